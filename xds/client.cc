#include "xds/client.h"

#include <algorithm>
#include <limits>
#include <random>
#include <utility>

#include "base/text.h"

namespace sluice::xds {
namespace {

constexpr std::string_view kAdsMethod =
    "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources";
constexpr base::MonoNs kNever = std::numeric_limits<base::MonoNs>::max();

std::function<uint64_t()> seeded_random() {
  return [engine = std::mt19937_64(std::random_device{}())]() mutable { return engine(); };
}

}  // namespace

Client::Client(ClientOptions options, Transport& transport, ResourceSink& sink, Executor& executor)
    : options_(std::move(options)),
      transport_(transport),
      sink_(sink),
      executor_(executor),
      backoff_(options_.backoff_base_ns, options_.backoff_max_ns,
               options_.random ? options_.random : seeded_random()),
      self_(std::make_shared<Client*>(this)) {
  states_.reserve(kNumTypes);
  for (size_t i = 0; i < kNumTypes; ++i) {
    states_.emplace_back(static_cast<Type>(i), options_.types[i]);
  }
  if (options_.rate_limit) tokens_ = options_.rate_limit->max_tokens;
  tokens_at_ = executor_.now();
}

Client::~Client() {
  stop();
  *self_ = nullptr;
}

void Client::stop() {
  stopped_ = true;
  stream_.reset();
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
  take_waiting();
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
  for (const SotwState& state : states_) consider(state.wake_at());
  if (!stream_ && !order_.empty()) consider(open_at_);
  if (throttled_) consider(token_at_);
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
  sending_ = reading_ = node_sent_ = got_message_ = false;
  for (SotwState& state : states_) state.stream_opened(now);
  ++control_plane_.streams_opened;
  stream_ = transport_.open(kAdsMethod, *this);
}

void Client::lost_stream(const absl::Status& status) {
  stream_.reset();
  waiting_.reset();
  for (SotwState& state : states_) {
    state.stream_closed();
    if (state.interested()) state.count_connection_failure();
  }
  const int64_t wait_ns = backoff_.next();
  open_at_ = executor_.now() + wait_ns;
  ++control_plane_.streams_closed;
  control_plane_.connected_state = false;
  control_plane_.last_error = base::message_of(status);
  // A server may end a stream at any time; without a message before it is a failure (A57).
  log(got_message_ ? Severity::kInfo : Severity::kWarning,
      base::cat("control plane: stream ended", status.ok() ? "" : ": ", control_plane_.last_error,
                ", next in ", wait_ns / base::kNsPerMs, " ms; what was accepted stays in force"));
  touch();
}

void Client::on_closed(const absl::Status& status) { lost_stream(status); }

void Client::on_sent() {
  sending_ = false;
  if (!std::exchange(control_plane_.connected_state, true)) {
    log(Severity::kInfo, "control plane: connected");
  }
  touch();
}

void Client::on_message(std::string bytes) {
  reading_ = false;
  auto owned = std::make_unique<std::string>(std::move(bytes));
  auto response = split_response(*owned);
  if (!response.ok()) {
    ++control_plane_.responses_malformed;
    return lost_stream(response.status());
  }
  got_message_ = true;
  backoff_.reset();
  ++control_plane_.responses_received;
  control_plane_.connected_state = true;
  if (!response->control_plane.empty()) control_plane_.identifier = response->control_plane;
  const Type type = type_of_url(response->type_url);
  if (type == Type::kCount) {
    log(Severity::kWarning, base::cat("control plane: response of a type that was not asked for: ",
                                      response->type_url));
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
  SotwState& state = state_of(waiting_->type);
  if (state.can_take()) {
    take(*std::exchange(waiting_, std::nullopt));
  } else {
    state.hurry();
  }
}

void Client::take(Waiting response) {
  const Type type = response.type;
  SotwState& state = state_of(type);
  const auto verdict = state.take(std::move(response.bytes), std::move(response.response),
                                  executor_.now(), executor_.wall());
  if (verdict == SotwState::Verdict::kApply) {
    give(type, state.take_update());
  } else if (verdict == SotwState::Verdict::kIgnored) {
    log(Severity::kWarning, base::cat("control plane: ", short_name_of(type),
                                      " response, which was not asked for, is ignored"));
  }
}

void Client::give(Type type, Update update) {
  applying_[static_cast<size_t>(type)] = true;
  sink_.apply(std::move(update), [self = self_, type](std::vector<Rejected> rejected) {
    if (Client* client = *self) client->applied(type, std::move(rejected));
  });
}

void Client::applied(Type type, std::vector<Rejected> rejected) {
  if (!std::exchange(applying_[static_cast<size_t>(type)], false)) return;
  SotwState& state = state_of(type);
  const uint64_t before = state.stats().update_rejected;
  state.applied(std::move(rejected), executor_.now(), executor_.wall());
  if (state.stats().update_rejected != before) {
    log(Severity::kWarning, base::cat(short_name_of(type), ": rejected: ", state.last_nack()));
  } else {
    log(Severity::kDebug,
        base::cat(short_name_of(type), ": version \"", state.version(), "\" accepted"));
  }
  touch();
}

void Client::give_cached() {
  for (SotwState& state : states_) {
    if (batch_ > 0) return;
    if (auto update = state.take_cached(executor_.now())) give(state.type(), *std::move(update));
  }
}

void Client::report_timeouts() {
  for (SotwState& state : states_) {
    for (const std::string& name : state.expired_fetches(executor_.now())) {
      log(Severity::kWarning, base::cat(short_name_of(state.type()), ": \"",
                                        name.empty() ? std::string_view("*") : name,
                                        "\" did not come within initial_fetch_timeout"));
      sink_.on_fetch_timeout(state.type(), name);
    }
  }
}

// --- Requests.

// Answers go at once; names of endpoints and routes wait until the clusters and listeners that ask
// for them are all there, and then travel in one request.
bool Client::held(Type type) const noexcept {
  if (state_of(type).answering()) return false;
  if (type == Type::kEndpoint) return applying_[static_cast<size_t>(Type::kCluster)];
  if (type == Type::kRoute) return applying_[static_cast<size_t>(Type::kListener)];
  return false;
}

void Client::send_requests() {
  const base::MonoNs now = executor_.now();
  throttled_ = false;
  control_plane_.pending_requests = 0;
  if (!stream_) return;
  for (const Type type : order_) {
    SotwState& state = state_of(type);
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

void Client::send(SotwState& state) {
  const SotwRequest request = state.next_request();
  WireRequest wire;
  if (!node_sent_ || !options_.node_on_first_message_only) wire.node = options_.node;
  wire.version = request.version;
  wire.type_url = type_url_of(state.type());
  wire.nonce = request.nonce;
  wire.names = request.names;
  wire.error = request.error;
  node_sent_ = sending_ = true;
  ++control_plane_.requests_sent;
  stream_->send(encode_request(wire));
}

void Client::log(Severity severity, std::string_view text) const {
  if (options_.log) options_.log(severity, text);
}

}  // namespace sluice::xds
