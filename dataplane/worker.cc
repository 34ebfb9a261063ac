#include "dataplane/worker.h"

#include <algorithm>
#include <ctime>
#include <new>

namespace sluice::dataplane {

namespace {

constexpr int64_t kHandOverAfterNs = base::kNsPerSec;
constexpr size_t kMaxSpareExchanges = 1024;

uint64_t seed_of(uint32_t index) {
  timespec ts;
  clock_gettime(CLOCK_REALTIME, &ts);
  return static_cast<uint64_t>(ts.tv_nsec) * 0x9e3779b97f4a7c15 + static_cast<uint64_t>(ts.tv_sec) +
         base::ticks_now() + index * 7919u;
}

}  // namespace

WorkerListener::WorkerListener(Worker& w, const std::shared_ptr<SocketSet>& set)
    : worker(w), sockets(set) {
  const auto on_accept = [](void* self, int fd, const sockaddr_storage& peer,
                            socklen_t length) noexcept {
    auto& listener = *static_cast<WorkerListener*>(self);
    listener.worker.on_accept(listener, fd, peer, length);
  };
  acceptor = std::make_unique<net::Acceptor>(w.loop_, std::move(set->per_worker[w.options_.index]),
                                             on_accept, this);
  acceptor->count_refused_into(w.cells_->accept_failed);
  sockets->balance.open(w.options_.index, &w);
}

void WorkerListener::stop_accepting() noexcept {
  sockets->balance.close(worker.options_.index);
  acceptor.reset();
}

Worker::Worker(const Options& options, const Shared& shared)
    : options_(options),
      shared_(shared),
      loop_(net::Loop::Options{.clock = options.clock}),
      reader_(shared.tables.register_reader({&Worker::on_drained_version, this})),
      reclaim_nudge_(shared.main, shared.reclaim.call, shared.reclaim.context),
      leases_(shared.main, shared.drop),
      random_(seed_of(options.index)),
      cells_(shared.stats.scope<base::TurnCells>("sluice.worker.")),
      h2_cells_(shared.stats.scope<base::H2Cells>("http2.")),
      next_id_(options.index) {
  if (shared.flusher != nullptr) access_log_ = std::make_unique<WorkerAccessLog>(*shared.flusher);
  loop_.at_turn_begin(turn_begin_);
}

// By then everything that this worker had open has been closed by close_all(). What others handed
// over since is closed here, while there is something to count it in.
Worker::~Worker() {
  for (base::PostChain rest = loop_.mailbox().close(); !rest.empty();) {
    base::Post* post = rest.take();
    post->run(post);
  }
  for (void* memory : spare_exchanges_) ::operator delete(memory);
}

void Worker::run() {
  loop_.run();
  close_all();
  base::release_thread_segments();
}

void Worker::on_turn_begin() noexcept {
  if (reader_->adopt(loop_.now())) [[unlikely]]
    adopt();
}

void Worker::on_drained_version(void* self) noexcept {
  static_cast<Worker*>(self)->reclaim_nudge_.fire();
}

// ---- Adopting tables.

void Worker::adopt() noexcept {
  const base::Ticks from = base::ticks_now();
  const uint64_t before = std::exchange(adopted_version_, tables()->version);
  adopt_clusters(before);
  if (tables()->listeners.get() != adopted_listeners_) adopt_listeners();
  leases_.sweep();
  if (!second_.armed()) loop_.arm_in(second_, base::kNsPerSec);
  cells_->tables_adopted.add();
  cells_->table_adoption.add(static_cast<uint64_t>(base::ns_of_ticks(base::ticks_now() - from)));
}

// Pools of clusters that changed are brought up to date here, so that a cluster without traffic
// does not keep connections to endpoints that are gone.
void Worker::adopt_clusters(uint64_t from_version) noexcept {
  const auto look_at = [this](uint32_t slot) {
    if (slot >= clusters_.size() || clusters_[slot] == nullptr) return;
    const upstream::ClusterEntry& entry = tables()->clusters.at(slot);
    if (entry.cluster == nullptr || entry.cluster->stats.get() != clusters_[slot]->scope()) {
      retire_cluster(slot);
    } else if (entry.endpoints != nullptr) {
      clusters_[slot]->bind(entry);
    }
  };
  if (from_version + 1 == tables()->version) {
    for (const router::ClusterId slot : tables()->changed_clusters) look_at(slot);
  } else {
    for (uint32_t slot = 0; slot < clusters_.size(); ++slot) look_at(slot);
  }
}

void Worker::retire_cluster(uint32_t slot) noexcept {
  clusters_[slot]->drop_all();
  retired_clusters_.push_back(std::move(clusters_[slot]));
}

void Worker::drop_unused_clusters() noexcept {
  std::erase_if(retired_clusters_, [](const auto& cluster) { return cluster->unused(); });
}

UpstreamCluster& Worker::cluster(const upstream::ClusterEntry& entry) {
  const uint32_t slot = entry.cluster->id;
  if (slot >= clusters_.size()) [[unlikely]]
    clusters_.resize(slot + 1);
  std::unique_ptr<UpstreamCluster>& cluster = clusters_[slot];
  if (cluster == nullptr) [[unlikely]] {
    cluster = std::make_unique<UpstreamCluster>(
        upstream::WorkerParts{loop_, blocks_, leases_, random_, slab_}, entry.cluster);
  }
  return *cluster;
}

void Worker::adopt_listeners() noexcept {
  adopted_listeners_ = tables()->listeners.get();
  for (auto& listener : listeners_) listener->seen = false;
  for (const auto& entry : adopted_listeners_->listeners) {
    for (const auto& sockets : entry->sockets) open_listener(*entry, sockets);
  }
  std::erase_if(listeners_, [this](std::unique_ptr<WorkerListener>& listener) {
    if (listener->seen) return false;
    drain_listener(std::move(listener), shared_.drain_ns);
    return true;
  });
}

void Worker::open_listener(const ListenerEntry& entry, const std::shared_ptr<SocketSet>& sockets) {
  WorkerListener* listener = nullptr;
  for (auto& open : listeners_) {
    if (open->sockets == sockets) listener = open.get();
  }
  if (listener == nullptr) {
    listeners_.push_back(std::make_unique<WorkerListener>(*this, sockets));
    listener = listeners_.back().get();
    if (draining_) listener->stop_accepting();
  }
  listener->seen = true;
  listener->buffer_limit_bytes = entry.buffer_limit_bytes;
  listener->exact_balance = entry.exact_balance;
  const bool known = listener->config || listener->tcp;
  if (known && listener->config.get() == entry.http.get() && listener->tcp.get() == entry.tcp.get())
    return;
  listener->cells = base::WorkerCells<base::ListenerCells>(entry.stats);
  listener->own_cells =
      base::WorkerCells<base::ListenerWorkerCells>(entry.worker_stats[options_.index]);
  listener->config.reset();
  listener->tcp.reset();
  // Sessions that are open go on counting into the cells that they began with.
  if (entry.tcp != nullptr) {
    listener->tcp = leases_.take(entry.tcp);
    listener->tcp_cells = std::make_shared<base::WorkerCells<base::TcpCells>>(entry.tcp->stats);
    return;
  }
  if (entry.http == nullptr) return;  // its filter is missing
  listener->config = leases_.take(entry.http);
  listener->http_cells = std::make_shared<HttpSessionCells>(*entry.http);
}

void Worker::drain_listener(std::unique_ptr<WorkerListener> listener, int64_t within_ns) noexcept {
  listener->stop_accepting();
  listener->draining_until = loop_.now() + within_ns;
  for (net::Link* l = nullptr; (l = listener->sessions.next(l)) != nullptr;) {
    static_cast<Session*>(l)->drain();
  }
  draining_listeners_.push_back(std::move(listener));
  drop_empty_listeners();
  if (!second_.armed()) loop_.arm_in(second_, base::kNsPerSec);
}

void Worker::drop_empty_listeners() noexcept {
  std::erase_if(draining_listeners_,
                [](const auto& listener) { return listener->num_sessions == 0; });
}

// ---- Exchanges.

Exchange* Worker::take_exchange() {
  void* memory;
  if (spare_exchanges_.empty()) [[unlikely]] {
    memory = ::operator new(sizeof(Exchange));
  } else {
    memory = spare_exchanges_.back();
    spare_exchanges_.pop_back();
  }
  return new (memory) Exchange(*this);
}

void Worker::give_exchange(Exchange* exchange) noexcept {
  exchange->~Exchange();
  if (spare_exchanges_.size() >= kMaxSpareExchanges) [[unlikely]] {
    ::operator delete(static_cast<void*>(exchange));
    return;
  }
  spare_exchanges_.push_back(exchange);
}

bool Worker::ask_main(OnDemand::Question&& question) {
  return base::post_task(shared_.main, [ask = shared_.ask, q = std::move(question)]() mutable {
    if (ask.call != nullptr) ask.call(ask.context, std::move(q));
  });
}

void Worker::on_demand_answered(uint64_t id, OnDemand::Answer answer) noexcept {
  on_turn_begin();
  on_demand_.answered(id, answer);
}

std::string_view Worker::date() noexcept {
  const int64_t second = loop_.clock().wall() / base::kNsPerSec;
  if (second != date_second_) [[unlikely]] {
    date_second_ = second;
    const time_t t = second;
    tm parts;
    gmtime_r(&t, &parts);
    std::strftime(date_, sizeof(date_), "%a, %d %b %Y %H:%M:%S GMT", &parts);
  }
  return {date_, 29};
}

// ---- Once a second, while there is something to look after.

void Worker::on_second() noexcept {
  hand_over_old_exchanges();
  leases_.sweep();
  drop_unused_clusters();
  if (access_log_ != nullptr && access_log_->pending() &&
      loop_.now() >= log_flushed_at_ + shared_.flusher->interval_ns()) {
    access_log_->flush();
    log_flushed_at_ = loop_.now();
  }
  for (auto& listener : draining_listeners_) {
    if (listener->draining_until > loop_.now()) continue;
    while (net::Link* l = listener->sessions.next(nullptr)) {
      static_cast<Session*>(l)->close(base::Reason::kDraining);
    }
  }
  drop_empty_listeners();
  const bool more = reader_->oldest_superseded_at() != 0 || leases_.num_idle() != 0 ||
                    !retired_clusters_.empty() || !draining_listeners_.empty() ||
                    (access_log_ != nullptr && access_log_->pending());
  if (more) loop_.arm_in(second_, base::kNsPerSec);
}

void Worker::hand_over_old_exchanges() noexcept {
  const base::MonoNs oldest = reader_->oldest_superseded_at();
  if (oldest == 0 || loop_.now() - oldest < kHandOverAfterNs) return;
  for (net::Link* l = nullptr; (l = exchanges_.next(l)) != nullptr;) {
    Exchange& exchange = Exchange::of_worker_link(*l);
    const base::MonoNs superseded = exchange.pin_superseded_at();
    if (superseded != 0 && loop_.now() - superseded >= kHandOverAfterNs) exchange.hand_over();
  }
}

void Worker::note_log_line() noexcept {
  if (!second_.armed()) loop_.arm_in(second_, base::kNsPerSec);
}

// ---- The end.

void Worker::drain(int64_t within_ns) noexcept {
  draining_ = true;
  for (auto& listener : draining_listeners_) {
    listener->draining_until = std::min(listener->draining_until, loop_.now() + within_ns);
  }
  for (auto& listener : listeners_) drain_listener(std::move(listener), within_ns);
  listeners_.clear();
}

void Worker::close_all() noexcept {
  for (auto* list : {&listeners_, &draining_listeners_}) {
    for (auto& listener : *list) {
      listener->stop_accepting();
      while (net::Link* l = listener->sessions.next(nullptr)) {
        static_cast<Session*>(l)->close(base::Reason::kDraining);
      }
    }
  }
  for (auto& cluster : clusters_) {
    if (cluster != nullptr) cluster->drop_all();
  }
  loop_.poll_once();  // deferred destruction
  listeners_.clear();
  draining_listeners_.clear();
  clusters_.clear();
  retired_clusters_.clear();
  if (access_log_ != nullptr) access_log_->flush();
  access_log_.reset();
  reader_.reset();
}

Worker::Census Worker::census() const noexcept {
  Census c;
  c.sessions = num_sessions_;
  for (const net::Link* l = nullptr; (l = exchanges_.next(l)) != nullptr;) ++c.exchanges;
  c.block_bytes_out = blocks_.bytes_out();
  c.block_bytes_free = blocks_.bytes_free();
  c.tables_version = adopted_version_;
  c.loop = loop_.counters();
  return c;
}

bool Worker::list_hosts(uint32_t* slot, std::vector<HostRow>* out) const {
  constexpr size_t kEnough = 1000;
  for (; *slot < clusters_.size() && out->size() < kEnough; ++*slot) {
    const UpstreamCluster* cluster = clusters_[*slot].get();
    if (cluster == nullptr) continue;
    for (const auto& [address, host] : cluster->hosts()) {
      out->push_back({*slot, cluster->scope(), address, host->counts_now()});
    }
  }
  return *slot < clusters_.size();
}

}  // namespace sluice::dataplane
