// Pools and circuit breakers: ClusterState against a listening socket that answers nothing.

#include <gtest/gtest.h>

#include <deque>
#include <memory>

#include "net/listener_socket.h"
#include "tests/upstream/cluster_site.h"

namespace sluice::upstream {
namespace {

using Balancer = ClusterValue::Balancer;

// A cluster of one endpoint to which connections can be made.
class PoolTest : public testing::Test {
 protected:
  PoolTest() {
    auto sockets = net::listen_for_workers(*base::Address::ip("127.0.0.1", 0), 1);
    listening_ = std::move((*sockets)[0]);
    EndpointsValue value;
    value.localities.emplace_back().endpoints.emplace_back().address = listening_.local();
    site_ = std::make_unique<ClusterSite>(Balancer::kRoundRobin, value);
  }
  ~PoolTest() override {
    for (Asker& asker : askers_) {
      if (asker.connection != nullptr) asker.connection->abort();
    }
    if (host_ != nullptr) {
      for (Asker& asker : askers_) {
        if (asker.linked()) site_->state().forget(*host_, &asker, PoolKind::kHttp1);
      }
    }
    site_.reset();
  }

  base::Reason ask(uint8_t priority = 0) {
    if (host_ == nullptr) host_ = site_->pick();
    return site_->state().acquire(*host_, &askers_.emplace_back(), priority);
  }
  size_t num_served() const {
    size_t n = 0;
    for (const Asker& asker : askers_) n += asker.connection != nullptr;
    return n;
  }
  bool wait_served(size_t n) {
    for (int i = 0; i < 1000 && num_served() < n; ++i) site_->loop.wait_once(10'000'000);
    return num_served() == n;
  }
  uint64_t stat(std::string_view name) {
    return site_->stats.value("cluster.c." + std::string(name));
  }
  BreakerLimits& limits() { return site_->limits.breakers_default; }

  net::ListenSocket listening_;
  std::unique_ptr<ClusterSite> site_;
  std::deque<Asker> askers_;
  ClusterSite::HostT* host_ = nullptr;
};

TEST_F(PoolTest, OneConnectionForEachThatWaits) {
  for (int i = 0; i < 3; ++i) EXPECT_EQ(ask(), base::Reason::kNone);
  EXPECT_EQ(host_->h1.num_connecting, 3u);
  ASSERT_TRUE(wait_served(3));
  EXPECT_EQ(site_->state().num_connections(), 3u);
  EXPECT_EQ(stat("upstream_cx_total"), 3u);
  EXPECT_EQ(stat("upstream_rq_pending_active"), 0u);
}

TEST_F(PoolTest, BeyondMaxConnectionsTheyWait) {
  limits().max_connections = 2;
  for (int i = 0; i < 5; ++i) EXPECT_EQ(ask(), base::Reason::kNone);
  ASSERT_TRUE(wait_served(2));
  EXPECT_EQ(site_->state().num_connections(), 2u);
  EXPECT_EQ(host_->h1.num, 3u);
  EXPECT_EQ(stat("upstream_cx_overflow"), 3u);
  // A connection that ends makes room for one that waits.
  askers_[0].connection->abort();
  askers_[0].connection = nullptr;
  ASSERT_TRUE(wait_served(2));
  EXPECT_EQ(host_->h1.num, 2u);
}

TEST_F(PoolTest, AHostWithoutAConnectionGetsOneWhateverTheLimit) {
  limits().max_connections = 0;
  EXPECT_EQ(ask(), base::Reason::kNone);
  EXPECT_EQ(ask(), base::Reason::kNone);
  ASSERT_TRUE(wait_served(1));
  EXPECT_EQ(host_->h1.num, 1u);
}

TEST_F(PoolTest, BeyondMaxPendingTheyAreRefused) {
  limits().max_pending_requests = 2;
  EXPECT_EQ(ask(), base::Reason::kNone);
  EXPECT_EQ(ask(), base::Reason::kNone);
  EXPECT_EQ(ask(), base::Reason::kOverflowPending);
  EXPECT_EQ(stat("upstream_rq_pending_overflow"), 1u);
  ASSERT_TRUE(wait_served(2));
  EXPECT_EQ(ask(), base::Reason::kNone) << "those who were served do not wait any more";
}

TEST_F(PoolTest, PrioritiesHaveLimitsOfTheirOwn) {
  limits().max_pending_requests = 1;
  EXPECT_EQ(ask(0), base::Reason::kNone);
  EXPECT_EQ(ask(0), base::Reason::kOverflowPending);
  EXPECT_EQ(ask(1), base::Reason::kNone);
}

TEST_F(PoolTest, WhoLeavesTheQueueGivesItsPlaceBack) {
  limits().max_pending_requests = 1;
  ASSERT_EQ(ask(), base::Reason::kNone);
  site_->state().forget(*host_, &askers_.back(), PoolKind::kHttp1);
  EXPECT_EQ(stat("upstream_rq_pending_active"), 0u);
  EXPECT_EQ(ask(), base::Reason::kNone);
}

// Limits are the process's: what one worker uses, another cannot. Both lease in batches, so each
// may stop a little early, but never late (base/credit.h).
TEST(Breakers, WorkersShareOneLimitAndNeverExceedIt) {
  constexpr uint32_t kLimit = 1000;
  ClusterValue value;
  value.breakers_default.max_requests = kLimit;
  Breakers breakers;
  breakers.set_limits(limits_of(value));
  base::CreditPool& requests = breakers.make(4)[2];
  struct WorkerOfFour {
    explicit WorkerOfFour(base::CreditPool& pool) : account(pool) {}
    base::WorkerCredit account;
    std::vector<base::Credit> held;
  };
  std::deque<WorkerOfFour> workers;
  for (int i = 0; i < 4; ++i) workers.emplace_back(requests);
  base::Random random(3);
  uint32_t in_use = 0, most = 0, refused = 0;
  for (int i = 0; i < 300'000; ++i) {
    WorkerOfFour& worker = workers[random.below(4)];
    const bool rising = i / 20'000 % 2 == 0;
    if (random.below(100) < (rising ? 60u : 40u)) {
      if (base::Credit credit(worker.account); credit) {
        worker.held.push_back(std::move(credit));
        most = std::max(most, ++in_use);
      } else {
        ++refused;
        EXPECT_GT(in_use, kLimit - kLimit / 4) << "refused too early";
      }
    } else if (!worker.held.empty()) {
      worker.held.pop_back();
      --in_use;
    }
    ASSERT_LE(in_use, kLimit);
  }
  EXPECT_GT(refused, 0u);
  EXPECT_GT(most, kLimit - kLimit / 4);
  // A lower limit holds at once for what comes, and counts what is in use.
  value.breakers_default.max_requests = 10;
  breakers.set_limits(limits_of(value));
  for (WorkerOfFour& worker : workers) worker.account.settle();
  EXPECT_EQ(bool(base::Credit(workers[0].account)), in_use < 10);
  for (WorkerOfFour& worker : workers) worker.held.clear();
  for (WorkerOfFour& worker : workers) worker.account.settle();
  EXPECT_EQ(breakers.remaining(2), 10u);
}

}  // namespace
}  // namespace sluice::upstream
