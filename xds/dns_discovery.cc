#include "xds/dns_discovery.h"

#include <algorithm>

#include "base/text.h"
#include "dataplane/log.h"

namespace sluice::xds {
namespace {

using base::cat;
using net::DnsAnswer;
using upstream::DnsValue;
using upstream::EndpointsValue;
using upstream::EndpointValue;
using Cells = base::MembershipCells;

constexpr int64_t kLogPauseNs = base::kNsPerSec;

// One more endpoint for each address that is not there yet.
void expand(const EndpointValue& pattern, const DnsValue::Name& name,
            std::vector<base::IpAddress> addresses, bool one, std::vector<EndpointValue>* out) {
  if (one && !addresses.empty()) {
    addresses.resize(1);
  } else {
    std::sort(addresses.begin(), addresses.end(), net::listed_before);
  }
  for (const base::IpAddress& address : addresses) {
    EndpointValue& endpoint = out->emplace_back(pattern);
    endpoint.address = base::Address::ip(address, name.port);
    if (endpoint.hostname.empty()) endpoint.hostname = name.name;
  }
}

}  // namespace

DnsDiscovery::DnsDiscovery(Executor& executor, Options options)
    : executor_(executor), options_(std::move(options)) {}

DnsDiscovery::~DnsDiscovery() {
  if (timer_ != 0) executor_.cancel(timer_);
  for (const auto& [question, name] : names_) {
    if (name->lookup != 0) options_.resolver->cancel(name->lookup);
  }
}

std::string DnsDiscovery::names_of(const DnsValue& value) {
  if (value.names.empty()) return {};
  std::string out = value.names[0].name;
  if (value.names.size() > 1) base::cat_to(out, " and ", value.names.size() - 1, " more");
  return out;
}

// ---- Who wants what.

// All that an answer and its time depend on; names do not hold line breaks.
std::string DnsDiscovery::question(const DnsValue& value, const std::string& name) const {
  const net::ResolverConfig& config = value.resolver ? *value.resolver : options_.config;
  std::string out = cat(name, "\n", static_cast<int>(value.family), " ", value.refresh.count(), " ",
                        value.jitter.count(), " ", value.respect_ttl, " ",
                        value.failure_base.count(), " ", value.failure_max.count(), " ",
                        config.servers_as_fallback, config.use_tcp, config.no_search_domains,
                        config.filter_unroutable, " ", config.timeout_ms, " ", config.num_tries);
  for (const base::Address& server : config.servers) base::cat_to(out, " ", server.to_string());
  return out;
}

DnsDiscovery::Name& DnsDiscovery::name_for(const std::shared_ptr<const DnsValue>& value,
                                           const std::string& name) {
  auto& slot = names_[question(*value, name)];
  if (slot != nullptr) return *slot;
  const bool backs_off = value->failure_base.count() > 0;
  const int64_t refresh = value->refresh.count();
  slot = std::make_unique<Name>(
      name, value,
      Backoff(backs_off ? value->failure_base.count() : refresh,
              backs_off ? value->failure_max.count() : refresh, options_.random));
  plan(*slot, executor_.now());
  return *slot;
}

DnsDiscovery::State DnsDiscovery::follow(const std::string& key, std::string_view cluster,
                                         std::shared_ptr<const DnsValue> value) {
  Follower& follower = followers_[key];
  follower.key = key;
  follower.cluster = std::string(cluster);
  follower.value = std::move(value);
  for (const DnsValue::Name& wanted : follower.value->names) {
    Name& name = name_for(follower.value, wanted.name);
    follower.names.push_back(&name);
    if (std::find(name.followers.begin(), name.followers.end(), &follower) ==
        name.followers.end()) {
      name.followers.push_back(&follower);
    }
  }
  return follower.state = state_of(follower);
}

void DnsDiscovery::unfollow(const std::string& key) {
  const auto it = followers_.find(key);
  if (it == followers_.end()) return;
  drop(it->second);
  followers_.erase(it);
}

void DnsDiscovery::drop(Follower& follower) {
  for (const DnsValue::Name& wanted : follower.value->names) {
    const auto it = names_.find(question(*follower.value, wanted.name));
    if (it == names_.end()) continue;  // stood there twice
    Name& name = *it->second;
    std::erase(name.followers, &follower);
    if (!name.followers.empty()) continue;
    if (name.lookup != 0) options_.resolver->cancel(name.lookup);
    due_.erase({name.due, &name});
    names_.erase(it);
  }
}

DnsDiscovery::State DnsDiscovery::state_of(const Follower& follower) {
  State out{nullptr, true};
  bool answered = follower.names.empty();
  for (const Name* name : follower.names) {
    answered = answered || !name->addresses.empty();
    out.complete = out.complete && name->ended_once;
  }
  if (!answered) return out;
  const DnsValue& value = *follower.value;
  auto endpoints = std::make_shared<EndpointsValue>();
  *endpoints = value.assignment;
  size_t next = 0;  // of value.names, which are in this order
  for (size_t l = 0; l < value.assignment.localities.size(); ++l) {
    const auto& patterns = value.assignment.localities[l].endpoints;
    auto& list = endpoints->localities[l].endpoints;
    list.clear();
    for (size_t e = 0; e < patterns.size(); ++e) {
      const bool named = next < value.names.size() && value.names[next].locality == l &&
                         value.names[next].endpoint == e;
      if (!named) {
        list.push_back(patterns[e]);
        continue;
      }
      expand(patterns[e], value.names[next], follower.names[next]->addresses,
             value.assignment.one_host, &list);
      ++next;
    }
  }
  out.endpoints = std::move(endpoints);
  return out;
}

// ---- Questions and answers.

void DnsDiscovery::ask(Name& name) {
  if (options_.resolver == nullptr) return;
  count(name, &Cells::update_attempt);
  const DnsValue& how = *name.how;
  name.lookup =
      options_.resolver->resolve(how.resolver ? *how.resolver : options_.config, name.name,
                                 how.family, [this, n = &name](DnsAnswer answer) {
                                   n->lookup = 0;
                                   take(*n, std::move(answer));
                                 });
}

void DnsDiscovery::take(Name& name, DnsAnswer answer) {
  const bool good = answer.status == DnsAnswer::Status::kOk && !answer.addresses.empty();
  plan(name, executor_.now() + next_wait(name, answer));
  if (answer.status == DnsAnswer::Status::kNoAddress) {
    count(name, &Cells::update_empty);
  } else if (!good) {
    count(name, &Cells::update_failure);
  }
  log_change(name, answer);
  name.ended_once = true;
  name.failing = !good;
  if (good) name.addresses = std::move(answer.addresses);
  tell(name, good);
}

// May make `name` go: whoever hears that something changed may leave.
void DnsDiscovery::tell(Name& name, bool good) {
  std::vector<std::pair<std::string, State>> others;
  for (Follower* follower : name.followers) {
    State now = state_of(*follower);
    const State& before = follower->state;
    const bool same = now.endpoints == before.endpoints ||
                      (now.endpoints != nullptr && before.endpoints != nullptr &&
                       *now.endpoints == *before.endpoints);
    if (same && good) {
      Cells* cells = options_.cells(follower->cluster);
      if (cells != nullptr) cells->update_success.add(), cells->update_no_rebuild.add();
    }
    if (same && now.complete == before.complete) continue;
    if (same) now.endpoints = before.endpoints;
    follower->state = now;
    others.emplace_back(follower->key, std::move(now));
  }
  for (auto& [key, state] : others) options_.changed(key, std::move(state));
}

int64_t DnsDiscovery::next_wait(Name& name, const DnsAnswer& answer) {
  const DnsValue& how = *name.how;
  int64_t wait = std::min(how.refresh.count(), kLongestWaitNs);
  if (answer.status == DnsAnswer::Status::kOk) {
    name.backoff.reset();
    if (how.respect_ttl && answer.ttl_s != 0) {
      wait = std::min(answer.ttl_s, kMaxTtlS) * base::kNsPerSec;
    }
    const int64_t jitter = std::min(how.jitter.count(), kLongestWaitNs);
    if (jitter > 0) {
      wait += static_cast<int64_t>(options_.random() % static_cast<uint64_t>(jitter + 1));
    }
  } else if (how.failure_base.count() > 0) {
    wait = std::min(name.backoff.next(), kLongestWaitNs);
  }
  return std::max(wait, kShortestWaitNs);
}

void DnsDiscovery::count(const Name& name, base::Cell Cells::* cell) const {
  for (const Follower* follower : name.followers) {
    if (Cells* cells = options_.cells(follower->cluster)) (cells->*cell).add();
  }
}

// Where many names fail at once, a line a second says how many.
void DnsDiscovery::log_change(Name& name, const DnsAnswer& answer) {
  const bool good = answer.status == DnsAnswer::Status::kOk;
  if (name.failing != good) return;
  const base::MonoNs now = executor_.now();
  if (logged_at_ != 0 && now - logged_at_ < kLogPauseNs) {
    ++not_logged_;
    return;
  }
  logged_at_ = now;
  const std::string others =
      not_logged_ == 0 ? "" : cat(" (and ", std::exchange(not_logged_, 0), " changes more)");
  if (good) {
    log::info("dns", cat(name.name, ": resolved again", others));
  } else if (name.addresses.empty()) {
    log::warn("dns", cat(name.name, ": ", answer.problem, "; it has no address yet", others));
  } else {
    log::warn("dns", cat(name.name, ": ", answer.problem, "; its last ", name.addresses.size(),
                         " address(es) stay in force", others));
  }
}

// ---- Time.

void DnsDiscovery::plan(Name& name, base::MonoNs due) {
  name.due = due;
  due_.emplace(due, &name);
  arm();
}

void DnsDiscovery::arm() {
  if (due_.empty() || (timer_ != 0 && timer_at_ <= due_.begin()->first)) return;
  if (timer_ != 0) executor_.cancel(timer_);
  timer_at_ = due_.begin()->first;
  timer_ = executor_.call_at(timer_at_, [this] { fire(); });
}

void DnsDiscovery::fire() {
  timer_ = 0;
  while (!due_.empty() && due_.begin()->first <= executor_.now()) {
    Name* const name = due_.begin()->second;
    due_.erase(due_.begin());
    ask(*name);
  }
  arm();
}

}  // namespace sluice::xds
