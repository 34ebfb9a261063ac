#include "xds/client.h"

#include <algorithm>
#include <limits>
#include <random>
#include <utility>

#include "base/text.h"
#include "xds/delta.h"
#include "xds/methods.h"
#include "xds/sotw.h"

namespace sluice::xds {
namespace {

constexpr base::MonoNs kNever = std::numeric_limits<base::MonoNs>::max();

std::function<uint64_t()> seeded_random() {
  return [engine = std::mt19937_64(std::random_device{}())]() mutable { return engine(); };
}

std::unique_ptr<TypeState> state_for(Type type, const TypeOptions& options, bool delta) {
  if (delta) return std::make_unique<DeltaState>(type, options);
  return std::make_unique<SotwState>(type, options);
}

}  // namespace

Client::Client(ClientOptions options, std::vector<Transport*> transports, ResourceSink& sink,
               Executor& executor)
    : options_(std::move(options)),
      transports_(std::move(transports)),
      sink_(sink),
      executor_(executor),
      choice_(transports_.size(), Backoff(options_.backoff_base_ns, options_.backoff_max_ns,
                                          options_.random ? options_.random : seeded_random())),
      restored_at_(options_.restored.empty() ? kNever : executor.now() + options_.restored_wait_ns),
      self_(std::make_shared<Client*>(this)) {
  if (options_.method.empty()) options_.method = ads_method(options_.delta);
  states_.reserve(kNumTypes);
  for (size_t i = 0; i < kNumTypes; ++i) {
    states_.push_back(state_for(static_cast<Type>(i), options_.types[i], options_.delta));
  }
  for (RestoredResource& r : options_.restored) {
    state_of(r.type).restore(r.name, r.version, r.bytes);
  }
  options_.restored.clear();
  if (options_.rate_limit) tokens_ = options_.rate_limit->max_tokens;
  tokens_at_ = executor_.now();
}

Client::Client(ClientOptions options, Transport& transport, ResourceSink& sink, Executor& executor)
    : Client(std::move(options), std::vector<Transport*>{&transport}, sink, executor) {}

Client::~Client() {
  stop();
  *self_ = nullptr;
}

void Client::stop() {
  stopped_ = true;
  stream_.reset();
  probe_.reset();
  waiting_.reset();
  control_plane_.connected_state = false;
  if (timer_ != 0) executor_.cancel(std::exchange(timer_, 0));
}

// --- Subscriptions.

void Client::interest(Type type) {
  if (std::find(order_.begin(), order_.end(), type) == order_.end()) order_.push_back(type);
  touch();
}

void Client::subscribe_all(Type type) {
  if (state_of(type).subscribe_all(executor_.now())) interest(type);
}

void Client::unsubscribe_all(Type type) {
  if (state_of(type).unsubscribe_all()) touch();
}

void Client::subscribe(Type type, std::string_view name) {
  if (state_of(type).subscribe(name, executor_.now())) interest(type);
}

void Client::unsubscribe(Type type, std::string_view name) {
  if (state_of(type).unsubscribe(name)) touch();
}

bool Client::interested() const noexcept {
  return std::any_of(states_.begin(), states_.end(),
                     [](const auto& state) { return state->interested(); });
}

void Client::begin_batch() { ++batch_; }

void Client::end_batch() {
  if (--batch_ == 0) touch();
}

// --- The turn: whatever is due, in one place.

void Client::touch() {
  if (std::exchange(touched_, true)) return;
  executor_.post([self = self_] {
    if (Client* client = *self) {
      client->touched_ = false;
      client->run();
    }
  });
}

void Client::run() {
  if (stopped_) return;
  if (is_silent()) lost_stream(absl::DeadlineExceededError("no response to any request"), true);
  take_waiting();
  if (executor_.now() >= restored_at_) use_restored("has not answered");
  give_cached();
  report_timeouts();
  if (!stream_ && !order_.empty() && executor_.now() >= open_at_) open_stream();
  send_requests();
  read_on();
  arm();
}

void Client::arm() {
  const base::MonoNs now = executor_.now();
  base::MonoNs at = kNever;
  // What is due already waits for an event, which will run() again.
  const auto consider = [&](base::MonoNs due) {
    if (due > now) at = std::min(at, due);
  };
  for (const auto& state : states_) consider(state->wake_at());
  if (restored_at_ != kNever) consider(restored_at_);
  if (!stream_ && !order_.empty()) consider(open_at_);
  if (throttled_) consider(token_at_);
  if (stream_ && !got_message_ && silent_at_ != 0) consider(silent_at_);
  if (timer_ != 0 && at == timer_at_) return;
  if (timer_ != 0) executor_.cancel(std::exchange(timer_, 0));
  if (at == kNever) return;
  timer_at_ = at;
  timer_ = executor_.call_at(at, [this] {
    timer_ = 0;
    run();
  });
}

// --- The stream.

void Client::open_stream() {
  const base::MonoNs now = executor_.now();
  sending_ = reading_ = node_sent_ = connected_ = got_message_ = false;
  silent_at_ = 0;
  for (const auto& state : states_) state->stream_opened(now);
  ++control_plane_.streams_opened;
  stream_ = transports_[choice_.current()]->open(options_.method, *this);
}

bool Client::is_silent() const noexcept {
  return stream_ && !got_message_ && silent_at_ != 0 && executor_.now() >= silent_at_;
}

void Client::lost_stream(const absl::Status& status, bool silent) {
  stream_.reset();
  waiting_.reset();
  for (const auto& state : states_) {
    state->stream_closed();
    if (state->interested()) state->count_failure();
  }
  const size_t before = choice_.current();
  const int64_t wait_ns = choice_.on_end(connected_, got_message_, silent);
  open_at_ = executor_.now() + wait_ns;
  ++control_plane_.streams_closed;
  control_plane_.connected_state = false;
  control_plane_.last_error = base::message_of(status);
  // A server may end a stream at any time; without a message before it is a failure (A57).
  log(got_message_ ? Severity::kInfo : Severity::kWarning,
      base::cat(options_.label, ": stream ended", status.ok() ? "" : ": ",
                control_plane_.last_error, ", next in ", wait_ns / base::kNsPerMs,
                " ms; what was accepted stays in force"));
  if (choice_.current() != before) change_server();
  if (!got_message_ && restored_at_ != kNever) use_restored("cannot be used");
  touch();
}

// --- Several servers.

void Client::change_server() {
  for (const auto& state : states_) state->server_changed();
  log(Severity::kWarning, base::cat(options_.label, ": using server ", choice_.current() + 1,
                                    " of ", transports_.size()));
  probe_.reset();
}

void Client::start_probe() {
  if (probe_ || choice_.at_first()) return;
  probe_ = std::make_unique<Probe>(
      *transports_.front(), options_.method, executor_, [this] { return first_request(); },
      [this] { back_to_first(); });
}

// What a client that knows nothing asks for first.
std::string Client::first_request() const {
  const auto state = state_for(order_.front(), TypeOptions(), options_.delta);
  state->stream_opened(0);
  states_[static_cast<size_t>(order_.front())]->copy_interest(*state);
  return state->next_request(options_.node);
}

void Client::back_to_first() {
  log(Severity::kInfo, base::cat(options_.label, ": the first server works again"));
  stream_.reset();
  waiting_.reset();
  for (const auto& state : states_) state->stream_closed();
  ++control_plane_.streams_closed;
  choice_.back_to_first();
  change_server();
  open_at_ = executor_.now();
  touch();
}

// --- The last good configuration.

void Client::use_restored(std::string_view why) {
  restored_at_ = kNever;
  size_t count = 0;
  for (const auto& state : states_) {
    count += state->num_restored();
    state->use_restored();
  }
  if (count == 0) return;
  log(Severity::kWarning, base::cat(options_.label, " ", why,
                                    ": starting with the last good "
                                    "configuration, ",
                                    count, " resource(s)"));
}

// --- The stream's events.

void Client::on_trouble(const absl::Status& status) {
  control_plane_.last_error = base::message_of(status);
  for (const auto& state : states_) {
    if (!state->interested()) continue;
    state->count_failure();
    log(Severity::kWarning, base::cat(short_name_of(state->type()), ": ", base::message_of(status),
                                      "; what was accepted stays in force"));
  }
  if (restored_at_ != kNever) use_restored("cannot be used");
  touch();
}

void Client::on_closed(const absl::Status& status) { lost_stream(status); }

void Client::on_sent() {
  sending_ = false;
  if (!std::exchange(connected_, true)) {
    const int64_t patience = choice_.patience(options_.silent_server_ns);
    if (patience != 0) silent_at_ = executor_.now() + patience;
  }
  if (!std::exchange(control_plane_.connected_state, true)) {
    log(Severity::kInfo, base::cat(options_.label, ": connected"));
  }
  touch();
}

void Client::on_message(std::string bytes) {
  reading_ = false;
  auto owned = std::make_unique<std::string>(std::move(bytes));
  auto response = options_.delta ? split_delta_response(*owned) : split_response(*owned);
  if (!response.ok()) {
    ++control_plane_.responses_malformed;
    return lost_stream(response.status());
  }
  got_message_ = true;
  choice_.on_message();
  start_probe();
  ++control_plane_.responses_received;
  control_plane_.connected_state = true;
  if (!response->control_plane.empty()) control_plane_.identifier = response->control_plane;
  const Type type = type_of_url(response->type_url);
  if (type == Type::kCount) {
    log(Severity::kWarning,
        base::cat(options_.label,
                  ": response of a type that was not asked for: ", response->type_url));
  } else {
    waiting_ = Waiting{type, std::move(owned), *std::move(response)};
  }
  touch();
}

void Client::read_on() {
  if (!stream_ || reading_ || waiting_) return;
  reading_ = true;
  stream_->read();
}

// --- Responses.

void Client::take_waiting() {
  if (!waiting_) return;
  TypeState& state = state_of(waiting_->type);
  if (state.can_take()) {
    take(*std::exchange(waiting_, std::nullopt));
  } else {
    state.hurry();
  }
}

void Client::take(Waiting response) {
  const Type type = response.type;
  TypeState& state = state_of(type);
  const auto verdict = state.take(std::move(response.bytes), std::move(response.response),
                                  executor_.now(), executor_.wall());
  if (verdict == TypeState::Verdict::kApply) {
    give(type, state.take_update());
  } else if (verdict == TypeState::Verdict::kIgnored) {
    log(Severity::kWarning, base::cat(options_.label, ": ", short_name_of(type),
                                      " response, which was not asked for, is ignored"));
  }
}

void Client::give(Type type, Update update) {
  applying_[static_cast<size_t>(type)] = true;
  update.source = options_.source;
  sink_.apply(std::move(update), [self = self_, type](std::vector<Rejected> rejected) {
    if (Client* client = *self) client->applied(type, std::move(rejected));
  });
}

void Client::applied(Type type, std::vector<Rejected> rejected) {
  if (!std::exchange(applying_[static_cast<size_t>(type)], false)) return;
  TypeState& state = state_of(type);
  const uint64_t before = state.stats().update_rejected;
  state.applied(std::move(rejected), executor_.now(), executor_.wall());
  if (state.stats().update_rejected != before) {
    log(Severity::kWarning, base::cat(short_name_of(type), ": rejected: ", state.last_nack()));
  } else {
    log(Severity::kDebug,
        base::cat(short_name_of(type), ": version \"", state.version(), "\" accepted"));
  }
  if (options_.on_accepted) options_.on_accepted();
  touch();
}

void Client::give_cached() {
  for (const auto& state : states_) {
    if (batch_ > 0) return;
    if (auto update = state->take_cached(executor_.now())) give(state->type(), *std::move(update));
  }
}

void Client::report_timeouts() {
  for (const auto& state : states_) {
    for (const std::string& name : state->expired_fetches(executor_.now())) {
      log(Severity::kWarning, base::cat(short_name_of(state->type()), ": \"",
                                        name.empty() ? std::string_view("*") : name,
                                        "\" did not come within initial_fetch_timeout"));
      sink_.on_fetch_timeout(state->type(), options_.source, name);
    }
  }
}

// --- Requests.

// Answers go at once; names of endpoints and routes wait until the clusters and listeners that ask
// for them are all there, and then travel in one request.
bool Client::held(Type type) const noexcept {
  if (state(type).answering()) return false;
  const auto applying = [this](Type other) { return applying_[static_cast<size_t>(other)]; };
  switch (type) {
    case Type::kEndpoint:
      return applying(Type::kCluster);
    case Type::kRoute:
      return applying(Type::kListener) || applying(Type::kScopedRoute);
    case Type::kScopedRoute:
    case Type::kExtensionConfig:
      return applying(Type::kListener);
    case Type::kVirtualHost:
      return applying(Type::kRoute);
    case Type::kLbEndpoint:
      return applying(Type::kEndpoint);
    case Type::kSecret:
      return applying(Type::kCluster) || applying(Type::kListener);
    default:
      return false;
  }
}

void Client::send_requests() {
  const base::MonoNs now = executor_.now();
  throttled_ = false;
  control_plane_.pending_requests = 0;
  if (!stream_) return;
  for (const Type type : order_) {
    TypeState& state = state_of(type);
    if (!state.request_due(now) || held(type)) continue;
    if (!sending_ && batch_ == 0 && take_token()) {
      send(state);
    } else {
      ++control_plane_.pending_requests;
    }
  }
}

bool Client::take_token() {
  if (!options_.rate_limit) return true;
  if (throttled_) return false;
  const RequestRate& rate = *options_.rate_limit;
  const base::MonoNs now = executor_.now();
  tokens_ = std::min<double>(rate.max_tokens, tokens_ + static_cast<double>(now - tokens_at_) /
                                                            1e9 * rate.tokens_per_second);
  tokens_at_ = now;
  if (tokens_ >= 1 - 1e-6) {
    tokens_ -= 1;
    return true;
  }
  throttled_ = true;
  token_at_ = now + 1 + static_cast<int64_t>((1 - tokens_) / rate.tokens_per_second * 1e9);
  ++control_plane_.rate_limit_enforced;
  return false;
}

void Client::send(TypeState& state) {
  const bool with_node = !node_sent_ || !options_.node_on_first_message_only;
  std::string request = state.next_request(with_node ? std::string_view(options_.node) : "");
  node_sent_ = sending_ = true;
  ++control_plane_.requests_sent;
  stream_->send(std::move(request));
}

void Client::log(Severity severity, std::string_view text) const {
  if (options_.log) options_.log(severity, text);
}

}  // namespace sluice::xds
