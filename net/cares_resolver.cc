#include "net/cares_resolver.h"

#include <ares.h>
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netdb.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace sluice::net {
namespace {

constexpr uint16_t kDnsPort = 53;

bool is_v6(LookupFamily family, bool second) {
  return family == LookupFamily::kV6Only || (family == LookupFamily::kAuto && !second) ||
         (family == LookupFamily::kV4First && second);
}
int family_of(LookupFamily family, bool second) {
  if (family == LookupFamily::kAll) return AF_UNSPEC;
  return is_v6(family, second) ? AF_INET6 : AF_INET;
}
bool has_second(LookupFamily family) {
  return family == LookupFamily::kAuto || family == LookupFamily::kV4First;
}

DnsAnswer::Status status_of(int ares_status) {
  switch (ares_status) {
    case ARES_SUCCESS:
    case ARES_ENODATA:
    case ARES_ENOTFOUND:
      return DnsAnswer::Status::kNoAddress;
    case ARES_ETIMEOUT:
      return DnsAnswer::Status::kTimeout;
    default:
      return DnsAnswer::Status::kFailed;
  }
}

struct Families {
  bool v4 = true, v6 = true;
};

// Which families an interface other than loopback has.
Families routable_families() {
  ifaddrs* all = nullptr;
  if (::getifaddrs(&all) != 0) return {};
  Families found{false, false};
  for (const ifaddrs* i = all; i != nullptr; i = i->ifa_next) {
    if (i->ifa_addr == nullptr) continue;
    const int family = i->ifa_addr->sa_family;
    if (family != AF_INET && family != AF_INET6) continue;
    sockaddr_storage storage{};
    const socklen_t length = family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
    std::memcpy(&storage, i->ifa_addr, length);
    if (base::Address::from_sockaddr(storage, length).ip().is_loopback()) continue;
    (family == AF_INET ? found.v4 : found.v6) = true;
  }
  ::freeifaddrs(all);
  return found;
}

bool add_address(const ares_addrinfo_node& node, base::IpAddress* out) {
  if (node.ai_addr == nullptr) return false;
  if (node.ai_family != AF_INET && node.ai_family != AF_INET6) return false;
  const auto length = static_cast<socklen_t>(node.ai_family == AF_INET ? sizeof(sockaddr_in)
                                                                       : sizeof(sockaddr_in6));
  if (node.ai_addrlen < length) return false;
  sockaddr_storage storage{};
  std::memcpy(&storage, node.ai_addr, length);
  *out = base::Address::from_sockaddr(storage, length).ip();
  return true;
}

// Each once, in order; past the limit those stay that are listed first.
void tidy(std::vector<base::IpAddress>& addresses) {
  std::vector<base::IpAddress> sorted = addresses;
  std::sort(sorted.begin(), sorted.end(), listed_before);
  sorted.erase(std::unique(sorted.begin(), sorted.end()), sorted.end());
  if (sorted.size() == addresses.size() && sorted.size() <= NameResolver::kMaxAddresses) return;
  sorted.resize(std::min(sorted.size(), NameResolver::kMaxAddresses));
  std::vector<bool> seen(sorted.size());
  std::erase_if(addresses, [&](const base::IpAddress& address) {
    const auto it = std::lower_bound(sorted.begin(), sorted.end(), address, listed_before);
    if (it == sorted.end() || !(*it == address)) return true;
    const auto at = static_cast<size_t>(it - sorted.begin());
    const bool again = seen[at];
    seen[at] = true;
    return again;
  });
}

}  // namespace

bool listed_before(const base::IpAddress& a, const base::IpAddress& b) noexcept {
  if (a.v4 != b.v4) return a.v4;
  return std::memcmp(a.bytes, b.bytes, sizeof(a.bytes)) < 0;
}

struct CaresResolver::Lookup {
  CaresResolver& owner;
  const LookupId id;
  const ResolverConfig config;
  const std::string name;
  const LookupFamily family;
  Done done;  // empty: cancelled
  Channel* channel = nullptr;
  bool second = false;  // of the two families that are asked one after the other
  DnsAnswer answer = {};
};

// Channel is c-ares' state for one configuration, with its sockets and its timer in the loop.
class CaresResolver::Channel {
 public:
  Channel(CaresResolver& owner, const ResolverConfig& config)
      : config_(config), owner_(owner), loop_(owner.loop_), made_at_(loop_.now()) {
    ares_options options{};
    options.sock_state_cb = &Channel::on_socket_state;
    options.sock_state_cb_data = this;
    options.timeout = static_cast<int>(config.timeout_ms);
    options.tries = static_cast<int>(config.num_tries);
    options.flags = (config.use_tcp ? ARES_FLAG_USEVC : 0) |
                    (config.no_search_domains ? ARES_FLAG_NOSEARCH : 0);
    status_ = ares_init_options(
        &ares_, &options,
        ARES_OPT_SOCK_STATE_CB | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_FLAGS);
    if (status_ != ARES_SUCCESS) {
      ares_ = nullptr;
    } else if (!config.servers.empty() && (!config.servers_as_fallback || has_no_server())) {
      status_ = set_servers();
    }
    if (config.filter_unroutable) families_ = routable_families();
  }
  ~Channel() {
    if (ares_ != nullptr) ares_destroy(ares_);
  }
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  const ResolverConfig& config() const { return config_; }
  bool idle() const { return num_active_ == 0; }
  bool old() const { return loop_.now() - made_at_ >= kMaxAgeNs; }
  bool takes(const base::IpAddress& address) const {
    return address.v4 ? families_.v4 : families_.v6;
  }
  void ended() { --num_active_; }

  void ask(Lookup& lookup) {
    lookup.channel = this;
    ++num_active_;
    if (status_ != ARES_SUCCESS) return on_addresses(&lookup, status_, 0, nullptr);
    ares_addrinfo_hints hints{};
    hints.ai_flags = ARES_AI_NOSORT;  // the balancer's business; sorting opens sockets
    hints.ai_family = family_of(lookup.family, lookup.second);
    ares_getaddrinfo(ares_, lookup.name.c_str(), nullptr, &hints, &CaresResolver::on_addresses,
                     &lookup);
    set_timer();
  }

 private:
  struct Socket : EventTarget {
    Socket(Channel& c, int f) : EventTarget(&Socket::on_ready), channel(c), fd(f) {}
    static void on_ready(EventTarget* self, uint32_t events) noexcept {
      auto* socket = static_cast<Socket*>(self);
      socket->channel.process(socket->fd, events);  // which may close it
    }
    Channel& channel;
    const int fd;
    bool added = false;
  };

  // c-ares names this one server where the system names none.
  bool has_no_server() const {
    ares_addr_port_node* servers = nullptr;
    if (ares_get_servers_ports(ares_, &servers) != ARES_SUCCESS) return true;
    const bool none =
        servers == nullptr || (servers->next == nullptr && servers->family == AF_INET &&
                               servers->addr.addr4.s_addr == htonl(INADDR_LOOPBACK));
    ares_free_data(servers);
    return none;
  }

  int set_servers() {
    std::vector<ares_addr_port_node> nodes(config_.servers.size());
    for (size_t i = 0; i < nodes.size(); ++i) {
      const base::Address& address = config_.servers[i];
      sockaddr_storage storage{};
      address.to_sockaddr(&storage);
      nodes[i].next = i + 1 < nodes.size() ? &nodes[i + 1] : nullptr;
      nodes[i].udp_port = nodes[i].tcp_port = address.port() == 0 ? kDnsPort : address.port();
      nodes[i].family = address.ip().v4 ? AF_INET : AF_INET6;
      if (address.ip().v4) {
        nodes[i].addr.addr4 = reinterpret_cast<const sockaddr_in&>(storage).sin_addr;
      } else {
        std::memcpy(&nodes[i].addr.addr6, &reinterpret_cast<const sockaddr_in6&>(storage).sin6_addr,
                    sizeof(nodes[i].addr.addr6));
      }
    }
    return ares_set_servers_ports(ares_, nodes.data());
  }

  // c-ares says what it waits for on a socket; neither: it is about to close it.
  static void on_socket_state(void* self, int fd, int readable, int writable) {
    auto& sockets = static_cast<Channel*>(self)->sockets_;
    Loop& loop = static_cast<Channel*>(self)->loop_;
    if (readable == 0 && writable == 0) {
      const auto it = sockets.find(fd);
      if (it == sockets.end()) return;
      loop.remove(it->second.get(), fd);
      sockets.erase(it);
      return;
    }
    auto& socket = sockets[fd];
    if (socket == nullptr) socket = std::make_unique<Socket>(*static_cast<Channel*>(self), fd);
    const uint32_t events = (readable != 0 ? EPOLLIN : 0U) | (writable != 0 ? EPOLLOUT : 0U);
    // What cannot be watched ends with c-ares' own time-out.
    socket->added =
        socket->added ? loop.modify(fd, events, socket.get()) : loop.add(fd, events, socket.get());
  }

  void process(int fd, uint32_t events) noexcept {
    const bool broken = (events & (EPOLLERR | EPOLLHUP)) != 0;
    ares_process_fd(ares_, broken || (events & EPOLLIN) != 0 ? fd : ARES_SOCKET_BAD,
                    broken || (events & EPOLLOUT) != 0 ? fd : ARES_SOCKET_BAD);
    set_timer();
  }

  // The next time-out of a question; idle: when it is time to go.
  void set_timer() {
    if (idle()) return loop_.arm(timer_, made_at_ + kMaxAgeNs);
    timeval wait{};
    if (ares_timeout(ares_, nullptr, &wait) == nullptr) return timer_.cancel();
    loop_.arm_in(timer_, wait.tv_sec * base::kNsPerSec + wait.tv_usec * 1000);
  }
  void on_time() noexcept {
    if (idle()) return loop_.again(owner_.turn_);
    ares_process_fd(ares_, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    set_timer();
  }

  const ResolverConfig config_;
  CaresResolver& owner_;
  Loop& loop_;
  const base::MonoNs made_at_;
  ares_channel ares_ = nullptr;
  int status_ = ARES_SUCCESS;
  Families families_;
  size_t num_active_ = 0;
  std::unordered_map<int, std::unique_ptr<Socket>> sockets_;
  Timer timer_ = Timer::of<&Channel::on_time>(this);
};

CaresResolver::CaresResolver(Loop& loop, base::WorkerCells<base::ResolverCells> cells)
    : loop_(loop), cells_(std::move(cells)) {}

CaresResolver::~CaresResolver() {
  ending_ = true;
  channels_.clear();
  cells_->pending_resolutions.sub(static_cast<int64_t>(lookups_.size()));
}

NameResolver::LookupId CaresResolver::resolve(const ResolverConfig& config, const std::string& name,
                                              LookupFamily family, Done done) {
  const LookupId id = ++last_id_;
  lookups_.emplace(id, std::make_unique<Lookup>(*this, id, config, name, family, std::move(done)));
  waiting_.push_back(id);
  cells_->resolve_total.add();
  cells_->pending_resolutions.add();
  loop_.again(turn_);
  return id;
}

void CaresResolver::cancel(LookupId id) {
  const auto it = lookups_.find(id);
  if (it == lookups_.end() || !it->second->done) return;
  it->second->done = nullptr;
  if (it->second->channel != nullptr) return;  // c-ares still has it, or its answer is on the way
  lookups_.erase(it);
  cells_->pending_resolutions.sub();
}

// Called by c-ares, maybe from inside ask(): what follows waits for the next turn.
void CaresResolver::on_addresses(void* lookup, int status, int, ares_addrinfo* found) {
  auto& l = *static_cast<Lookup*>(lookup);
  if (!l.owner.ending_) l.owner.take(l, status, found);
  if (found != nullptr) ares_freeaddrinfo(found);
}

void CaresResolver::take(Lookup& lookup, int status, const ares_addrinfo* found) {
  const auto failed = static_cast<uint8_t>(status_of(status));
  if (!lookup.second || failed > static_cast<uint8_t>(lookup.answer.status)) {
    lookup.answer.status = status_of(status);  // of two failures the one that says less
    lookup.answer.problem = ares_strerror(status);
  }
  const ares_addrinfo_node* node = found == nullptr ? nullptr : found->nodes;
  for (; node != nullptr; node = node->ai_next) {
    base::IpAddress address;
    if (!add_address(*node, &address) || !lookup.channel->takes(address)) continue;
    const auto ttl = static_cast<uint32_t>(std::max(0, node->ai_ttl));
    lookup.answer.ttl_s =
        lookup.answer.addresses.empty() ? ttl : std::min(lookup.answer.ttl_s, ttl);
    lookup.answer.addresses.push_back(address);
  }
  lookup.channel->ended();
  --num_asking_;
  answered_.push_back(lookup.id);
  loop_.again(turn_);
}

// Outside c-ares: tells answers, then asks what waits.
void CaresResolver::turn() noexcept {
  const std::vector<LookupId> answered = std::exchange(answered_, {});
  for (const LookupId id : answered) finish(id);
  while (!waiting_.empty() && num_asking_ < kMaxInFlight) {
    const auto it = lookups_.find(waiting_.front());
    waiting_.pop_front();
    if (it != lookups_.end()) start(*it->second);
  }
  sweep();
}

void CaresResolver::finish(LookupId id) {
  const auto it = lookups_.find(id);
  Lookup& lookup = *it->second;
  DnsAnswer& answer = lookup.answer;
  const bool other_family = answer.addresses.empty() && has_second(lookup.family) && !lookup.second;
  if (other_family && lookup.done) {
    lookup.second = true;
    lookup.channel = nullptr;
    return waiting_.push_front(id);
  }
  if (!answer.addresses.empty()) {
    tidy(answer.addresses);
    answer.status = DnsAnswer::Status::kOk;
    answer.problem.clear();
  } else if (answer.status == DnsAnswer::Status::kNoAddress) {
    cells_->not_found.add();
  } else if (answer.status == DnsAnswer::Status::kTimeout) {
    cells_->timeouts.add();
  } else {
    cells_->get_addr_failure.add();
  }
  cells_->pending_resolutions.sub();
  const Done done = std::move(lookup.done);
  const DnsAnswer out = std::move(answer);
  lookups_.erase(it);
  if (done) done(out);
}

void CaresResolver::start(Lookup& lookup) {
  ++num_asking_;
  channel_of(lookup.config).ask(lookup);
}

CaresResolver::Channel& CaresResolver::channel_of(const ResolverConfig& config) {
  for (const auto& channel : channels_) {
    if (!channel->old() && channel->config() == config) return *channel;
  }
  channels_.push_back(std::make_unique<Channel>(*this, config));
  return *channels_.back();
}

void CaresResolver::sweep() noexcept {
  std::erase_if(channels_, [](const auto& channel) { return channel->idle() && channel->old(); });
}

}  // namespace sluice::net
