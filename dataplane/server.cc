#include "dataplane/server.h"

#include <pthread.h>

#include <utility>

#include "base/text.h"

namespace sluice::dataplane {

Server::Server(const Options& options) : options_(options), main_({.clock = options.clock}) {
  flusher_ = std::make_unique<AccessLogFlusher>(stats_, options.access_log);
  builder_ = std::make_unique<TablesBuilder>(
      TablesBuilder::Options{.num_workers = options.concurrency}, stats_, flusher_.get());
  pool_ = std::make_unique<CompilePool>(1);
  for (uint32_t i = 0; i < options.concurrency; ++i) {
    const Worker::Options worker{
        .index = i, .num_workers = options.concurrency, .clock = options.clock};
    const Worker::Shared shared{.main = main_.mailbox(),
                                .tables = tables_,
                                .stats = stats_,
                                .drop = {&Server::on_drop, this},
                                .reclaim = {&Server::on_reclaim, this},
                                .ask = {&Server::on_ask, this},
                                .flusher = flusher_.get(),
                                .drain_ns = options.drain_ns};
    workers_.push_back(std::make_unique<Worker>(worker, shared));
    wake_workers_.push_back(std::make_unique<base::Nudge>(workers_.back()->loop().mailbox(),
                                                          &Server::on_adopt_nudge, nullptr));
  }
}

Server::~Server() {
  for (auto& worker : workers_) worker->stop();
  for (std::thread& thread : threads_) thread.join();
  if (!threads_started_) {
    for (auto& worker : workers_) worker->close_all();
  }
  workers_.clear();
  wake_workers_.clear();
  main_.poll_once();  // what the workers gave back
  reclaim();
  pool_.reset();
}

void Server::publish() {
  if (!builder_->changed()) return;
  main_.clock().refresh();
  published_at_ = main_.now();
  tables_.publish(builder_->build(), published_at_);
  for (auto& nudge : wake_workers_) nudge->fire();
  reclaim();
  constexpr int64_t kSweepEveryNs = 10 * base::kNsPerSec;
  if (published_at_ - swept_at_ < kSweepEveryNs) return;
  swept_at_ = published_at_;
  stats_.sweep();  // statistics of what is gone
}

void Server::start() {
  threads_started_ = true;
  for (auto& worker : workers_) {
    threads_.emplace_back([w = worker.get()] { w->run(); });
    const std::string name = base::cat("worker-", worker->index());
    pthread_setname_np(threads_.back().native_handle(), name.c_str());
  }
}

void Server::on_reclaim(void* self) noexcept { static_cast<Server*>(self)->reclaim(); }

void Server::reclaim() {
  std::vector<std::unique_ptr<const Tables>> free;
  tables_.reclaim(free);
  for (auto& root : free) pool_->destroy(std::shared_ptr<const Tables>(std::move(root)));
}

void Server::on_drop(void* self, std::shared_ptr<const void>&& part) noexcept {
  static_cast<Server*>(self)->pool_->destroy(std::move(part));
}

void Server::on_ask(void* self, OnDemand::Question&& question) noexcept {
  auto* server = static_cast<Server*>(self);
  if (!server->ask_) return server->answer(question.worker, question.id, OnDemand::Answer::kNone);
  server->ask_(std::move(question));
}

void Server::answer(uint32_t worker, uint64_t id, OnDemand::Answer answer) {
  if (worker >= workers_.size()) return;  // they are gone
  Worker* to = workers_[worker].get();
  to->loop().post_task([to, id, answer] { to->on_demand_answered(id, answer); });
}

void Server::drain(int64_t within_ns, std::function<void()> done) {
  if (done) drained_ = std::move(done);
  if (std::exchange(draining_, true)) {
    main_.arm_in(drain_timer_, 10 * base::kNsPerMs);
    return;
  }
  drain_deadline_ = main_.now() + within_ns;
  for (auto& worker : workers_) {
    worker->loop().post_task([w = worker.get(), within_ns] { w->drain(within_ns); });
  }
  main_.arm_in(drain_timer_, 10 * base::kNsPerMs);
}

void Server::check_drained() {
  take_census([this](std::vector<Worker::Census> all) {
    uint64_t sessions = 0;
    for (const Worker::Census& c : all) sessions += c.sessions;
    if (sessions == 0 || main_.now() >= drain_deadline_) {
      if (drained_) std::exchange(drained_, nullptr)();
      return;
    }
    main_.arm_in(drain_timer_, 50 * base::kNsPerMs);
  });
}

void Server::take_census(std::function<void(std::vector<Worker::Census>)> done) {
  struct Round {
    std::vector<Worker::Census> all;
    size_t missing;
    std::function<void(std::vector<Worker::Census>)> done;
  };
  auto round = std::make_shared<Round>();
  round->all.resize(workers_.size());
  round->missing = workers_.size();
  round->done = std::move(done);
  for (size_t i = 0; i < workers_.size(); ++i) {
    workers_[i]->loop().post_task([this, round, i] {
      const Worker::Census census = workers_[i]->census();
      main_.post_task([round, i, census] {
        round->all[i] = census;
        if (--round->missing == 0) round->done(std::move(round->all));
      });
    });
  }
}

struct Server::HostsRound {
  HostSums sums;
  size_t missing;
  std::function<void(HostSums)> done;
};

void Server::count_hosts(std::function<void(HostSums)> done) {
  auto round = std::make_shared<HostsRound>(HostsRound{{}, workers_.size(), std::move(done)});
  for (size_t i = 0; i < workers_.size(); ++i) ask_hosts(round, i, 0);
}

void Server::ask_hosts(const std::shared_ptr<HostsRound>& round, size_t worker, uint32_t slot) {
  workers_[worker]->loop().post_task([this, round, worker, slot] {
    auto rows = std::make_shared<std::vector<Worker::HostRow>>();
    uint32_t next = slot;
    const bool more = workers_[worker]->list_hosts(&next, rows.get());
    main_.post_task([this, round, worker, next, more, rows] {
      for (const Worker::HostRow& row : *rows) {
        round->sums[{row.cluster, row.scope, row.address}] += row.counts;
      }
      if (more) return ask_hosts(round, worker, next);
      if (--round->missing == 0) round->done(std::move(round->sums));
    });
  });
}

std::vector<base::HistogramSnapshot> Server::costs() const {
  std::vector<base::HistogramSnapshot> sums(static_cast<size_t>(base::Cost::kCount));
  for (const auto& worker : workers_) {
    for (size_t i = 0; i < sums.size(); ++i) {
      worker->costs().spans[i].add_to(sums[i]);
    }
  }
  return sums;
}

std::vector<base::HistogramSnapshot> Server::filter_costs() const {
  std::vector<base::HistogramSnapshot> sums(2 * filters::kNumFilters);
  for (const auto& worker : workers_) {
    for (size_t i = 0; i < sums.size(); ++i) worker->filter_costs().spans[i].add_to(sums[i]);
  }
  return sums;
}

int64_t Server::publish_to_effect_ns() const {
  int64_t slowest = 0;
  for (const auto& progress : tables_.progress()) {
    if (progress.adopted_id < tables_.published_id()) return -1;
    slowest = std::max(slowest, progress.adopted_at - published_at_);
  }
  return slowest;
}

}  // namespace sluice::dataplane
