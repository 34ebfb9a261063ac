#include "base/stats.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/stamps.h"
#include "base/stat_groups.h"

namespace sluice::base {
namespace {

std::vector<std::string> names_of(const StatsStore& store) {
  std::vector<std::string> names;
  StatsStore::Visitor visitor;
  visitor.counter = [&](std::string_view n, uint64_t) { names.emplace_back(n); };
  visitor.gauge = [&](std::string_view n, int64_t) { names.emplace_back(n); };
  visitor.histogram = [&](std::string_view n, const HistogramSnapshot&) { names.emplace_back(n); };
  store.visit(visitor);
  return names;
}

TEST(StatGroup, TablesAreSortedAndFitTheirStruct) {
  for (const StatGroup* group :
       {&ClusterCells::kGroup, &MembershipCells::kGroup, &HttpCells::kGroup, &TcpCells::kGroup,
        &ListenerCells::kGroup, &ListenerHttpCells::kGroup, &ListenerWorkerCells::kGroup,
        &FilesystemCells::kGroup, &TurnCells::kGroup, &CostHistograms::kGroup}) {
    SCOPED_TRACE(group->name);
    ASSERT_FALSE(group->rows.empty());
    size_t bytes = 0;
    for (size_t i = 0; i < group->rows.size(); ++i) {
      const StatRow& row = group->rows[i];
      if (i > 0) {
        EXPECT_LT(group->rows[i - 1].name, row.name);
      }
      if (row.of_main) continue;
      const auto same = [&](const StatRow& other) {
        return other.offset == row.offset && !other.of_main;
      };
      if (std::find_if(group->rows.begin(), group->rows.end(), same) != group->rows.begin() + i) {
        continue;  // another name of the same
      }
      bytes += row.read != nullptr                ? sizeof(CreditPools)
               : row.kind == StatKind::kHistogram ? sizeof(Histogram)
               : row.kind == StatKind::kStatuses  ? sizeof(StatusCells)
                                                  : sizeof(Cell);
      EXPECT_LT(row.offset, group->bytes);
    }
    EXPECT_EQ(bytes, group->bytes);  // every member has its row
  }
}

TEST(StatusCells, CountsEveryStatusAmongTheFirstAndBeyond) {
  StatusCells cells;
  std::map<uint16_t, uint64_t> told;
  uint32_t n = 0;
  for (int round = 0; round < 3; ++round) {
    for (uint16_t status = 599; status >= 100; --status) {
      if (status % 3 == 0) continue;
      for (uint32_t i = 0; i < n % 4; ++i, ++told[status]) cells.add(status);
      ++n;
    }
  }
  ASSERT_GT(told.size(), 7u);
  for (uint16_t status = 100; status < 600; ++status) {
    EXPECT_EQ(cells.get(status), told.contains(status) ? told[status] : 0) << status;
  }
}

TEST(StatusCells, ReadersSeeSumsThatOnlyGrow) {
  StatusCells cells;
  std::atomic<bool> done{false};
  std::thread writer([&] {
    for (uint32_t i = 0; i < 200'000; ++i) cells.add(static_cast<uint16_t>(100 + i % 20));
    done = true;
  });
  uint64_t last[20] = {};
  bool more = true;
  while (more) {
    more = !done;
    for (uint16_t i = 0; i < 20; ++i) {
      const uint64_t now = cells.get(static_cast<uint16_t>(100 + i));
      ASSERT_GE(now, last[i]);
      last[i] = now;
    }
  }
  writer.join();
  for (uint16_t i = 0; i < 20; ++i) EXPECT_EQ(cells.get(static_cast<uint16_t>(100 + i)), 10'000u);
}

TEST(StatsStore, StatusesAreCountersOfTheirOwn) {
  StatsStore store;
  const auto scope = store.scope<ClusterCells>("cluster.a.");
  WorkerCells<ClusterCells> one(scope);
  WorkerCells<ClusterCells> two(scope);
  for (int i = 0; i < 3; ++i) count_upstream(*one, 200);
  count_upstream(*two, 200);
  count_upstream(*two, 503);
  count_upstream(*two, 700);
  EXPECT_EQ(store.value("cluster.a.upstream_rq_200"), 4u);
  EXPECT_EQ(store.value("cluster.a.upstream_rq_503"), 1u);
  EXPECT_EQ(store.value("cluster.a.upstream_rq_unknown"), 1u);
  EXPECT_EQ(store.value("cluster.a.upstream_rq_completed"), 6u);
  EXPECT_EQ(store.value("cluster.a.external.upstream_rq_503"), 1u);
  EXPECT_EQ(store.value("cluster.a.external.upstream_rq_2xx"), 4u);
  EXPECT_THAT(names_of(store), testing::Not(testing::Contains("cluster.a.upstream_rq_404")));
}

TEST(StatsStore, SumsWorkersAndForgetsNoneThatEnded) {
  StatsStore store;
  const auto scope = store.scope<ClusterCells>("cluster.a.");
  WorkerCells<ClusterCells> first(scope);
  first->upstream_rq_total.add(3);
  {
    WorkerCells<ClusterCells> second(scope);
    second->upstream_rq_total.add(4);
    second->upstream_rq_time.add(1000);
    EXPECT_EQ(scope->num_blocks(), 2u);
  }
  EXPECT_EQ(store.value("cluster.a.upstream_rq_total"), 7u);
  EXPECT_EQ(store.value("cluster.a.upstream_rq_time"), 1u);
  WorkerCells<ClusterCells> third(scope);  // goes on with what the second left
  third->upstream_rq_total.add();
  EXPECT_EQ(scope->num_blocks(), 2u);
  EXPECT_EQ(store.value("cluster.a.upstream_rq_total"), 8u);
}

TEST(StatsStore, UnusedScopeHasNoCellsButItsNames) {
  StatsStore store;
  const auto scope = store.scope<ListenerHttpCells>("listener.x.http.y.");
  EXPECT_EQ(scope->num_blocks(), 0u);
  EXPECT_THAT(names_of(store), testing::Contains("listener.x.http.y.downstream_rq_2xx"));
  EXPECT_EQ(store.value("listener.x.http.y.downstream_rq_2xx"), 0u);
}

// Main's cells of a cluster stand in its scope, beside those of workers, and the gauges of its
// circuit breakers are reckoned from what is there when they are read.
TEST(StatsStore, MainsCellsAreOfTheSameScope) {
  StatsStore store;
  const auto scope = store.scope<ClusterCells>("cluster.a.");
  const WorkerCells<MembershipCells> mains(scope);
  mains->membership_total.set(3);
  EXPECT_EQ(store.num_scopes(), 1u);
  EXPECT_EQ(store.value("cluster.a.membership_total"), 3u);
  EXPECT_EQ(store.value("cluster.a.bind_errors"), 0u);
  {
    const WorkerCells<ClusterCells> workers(scope);
    workers->bind_errors.add(2);  // the first of its cells, as membership_change is of main's
    EXPECT_NE(static_cast<void*>(workers.get()), static_cast<void*>(mains.get()));
  }
  const WorkerCells<ClusterCells> next(scope);
  EXPECT_EQ(next->bind_errors.get(), 2u) << "goes on with what the worker before left";
  EXPECT_EQ(store.value("cluster.a.membership_change"), 0u);
  EXPECT_TRUE(scope->statuses(ClusterCells::kGroup.rows.front()).empty());

  mains->breakers.set_limits({10, 20, 1, 40, 50, 60, 70, 80});
  EXPECT_EQ(store.value("cluster.a.circuit_breakers.default.remaining_pending"), 20u);
  EXPECT_EQ(store.value("cluster.a.circuit_breakers.default.rq_open"), 0u);
  EXPECT_EQ(store.value("cluster.a.circuit_breakers.high.remaining_retries"), 80u);
  WorkerCredit requests(mains->breakers.make(1)[2]);
  const Credit one(requests);
  EXPECT_EQ(store.value("cluster.a.circuit_breakers.default.rq_open"), 1u);
  EXPECT_EQ(store.value("cluster.a.circuit_breakers.default.remaining_rq"), 0u);
}

TEST(StatsStore, SameNameIsTheSameScopeUntilNobodyKeepsIt) {
  StatsStore store;
  auto scope = store.scope<ClusterCells>("cluster.a.");
  EXPECT_EQ(store.scope<ClusterCells>("cluster.a."), scope);
  EXPECT_NE(static_cast<const void*>(store.scope<MembershipCells>("cluster.a.").get()),
            static_cast<const void*>(scope.get()));
  store.sweep();
  EXPECT_EQ(store.num_scopes(), 1u);  // the membership went, this one is kept
  WorkerCells<ClusterCells> cells(scope);
  scope.reset();
  store.sweep();
  EXPECT_EQ(store.num_scopes(), 1u);  // a worker still uses it
  cells = WorkerCells<ClusterCells>();
  store.sweep();
  EXPECT_EQ(store.num_scopes(), 0u);
  EXPECT_TRUE(names_of(store).empty());
}

TEST(StatsStore, VisitsByPrefixThenName) {
  StatsStore store;
  const auto b = store.scope<TurnCells>("b.");
  const auto a = store.scope<TurnCells>("a.");
  std::vector<std::string> names = names_of(store);
  EXPECT_TRUE(std::is_sorted(names.begin(), names.end()));
  EXPECT_EQ(names.front(), "a.accept_failed");
}

TEST(StatsStore, GaugeOfTwoWorkersMayBeNegativeInOne) {
  StatsStore store;
  const auto scope = store.scope<HttpCells>("http.in.");
  WorkerCells<HttpCells> one(scope), other(scope);
  one->downstream_cx_active.add(5);
  other->downstream_cx_active.sub(2);
  EXPECT_EQ(store.value("http.in.downstream_cx_active"), 3u);
}

TEST(StatsStore, CountsByStatusClass) {
  struct Row {
    uint16_t status;
    const char* name;
  };
  for (const Row& row :
       {Row{100, "1xx"}, Row{204, "2xx"}, Row{302, "3xx"}, Row{499, "4xx"}, Row{599, "5xx"}}) {
    SCOPED_TRACE(row.status);
    StatsStore store;
    const auto http = store.scope<HttpCells>("h.");
    const auto cluster = store.scope<ClusterCells>("c.");
    WorkerCells<HttpCells> down(http);
    WorkerCells<ListenerHttpCells> here(store.scope<ListenerHttpCells>("l.http.h."));
    WorkerCells<ClusterCells> up(cluster);
    count_downstream(*down, *here, row.status);
    count_upstream(*up, row.status);
    EXPECT_EQ(store.value(std::string("h.downstream_rq_") + row.name), 1u);
    EXPECT_EQ(store.value(std::string("c.upstream_rq_") + row.name), 1u);
    EXPECT_EQ(store.value("h.downstream_rq_completed"), 1u);
    EXPECT_EQ(store.value(std::string("l.http.h.downstream_rq_") + row.name), 1u);
    EXPECT_EQ(store.value("l.http.h.downstream_rq_completed"), 1u);
  }
  StatsStore store;
  const auto scope = store.scope<ClusterCells>("c.");
  WorkerCells<ClusterCells> up(scope);
  count_upstream(*up, 0);
  count_upstream(*up, 700);
  EXPECT_EQ(store.value("c.upstream_rq_unknown"), 2u);
}

// Workers come and go while main reads: nothing is lost, sums never go down.
TEST(StatsStore, ThreadsCountWhileMainReads) {
  StatsStore store;
  const auto scope = store.scope<TurnCells>("t.");
  constexpr int kThreads = 4;
  constexpr uint64_t kRounds = 200, kPerRound = 500;
  std::atomic<int> running{kThreads};
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      for (uint64_t r = 0; r < kRounds; ++r) {
        WorkerCells<TurnCells> cells(scope);
        for (uint64_t n = 0; n < kPerRound; ++n) {
          cells->tables_adopted.add();
          cells->table_adoption.add(100 + n);
        }
      }
      running.fetch_sub(1);
    });
  }
  uint64_t last = 0;
  while (running.load() != 0) {
    const uint64_t now = store.value("t.tables_adopted");
    ASSERT_GE(now, last);
    last = now;
  }
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(store.value("t.tables_adopted"), kThreads * kRounds * kPerRound);
  EXPECT_EQ(store.value("t.table_adoption"), kThreads * kRounds * kPerRound);
  EXPECT_LE(scope->num_blocks(), size_t{kThreads});
}

}  // namespace
}  // namespace sluice::base
