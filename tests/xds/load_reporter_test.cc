// LRS (rule 139) against a scripted server.

#include "xds/load_reporter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>

#include "base/text.h"
#include "envoy/service/load_stats/v3/lrs.pb.h"
#include "tests/support/xds/manual_executor.h"
#include "xds/bootstrap.h"

namespace sluice::xds {
namespace {

using envoy::service::load_stats::v3::LoadStatsRequest;
using envoy::service::load_stats::v3::LoadStatsResponse;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr int64_t kSec = base::kNsPerSec;
constexpr int64_t kMs = base::kNsPerMs;

class Server final : public Transport {
 public:
  explicit Server(Executor& executor) : executor_(executor) {}

  std::unique_ptr<Stream> open(std::string_view method, StreamEvents& events) override {
    methods.emplace_back(method);
    opened_at.push_back(executor_.now());
    requests.clear();
    auto end = std::make_unique<End>(*this, events);
    end_ = end.get();
    return end;
  }
  bool is_open() const { return end_ != nullptr; }
  void say(const LoadStatsResponse& response) { say(response.SerializeAsString()); }
  void say(std::string bytes) {
    ASSERT_TRUE(end_ != nullptr && end_->reading);
    end_->reading = false;
    end_->events.on_message(std::move(bytes));
  }
  void close() { end_->events.on_closed(absl::UnavailableError("gone")); }
  void finish_write() { end_->events.on_sent(); }

  std::vector<std::string> methods;
  std::vector<base::MonoNs> opened_at;
  std::deque<LoadStatsRequest> requests;
  bool hold_writes = false;

 private:
  struct End final : Stream {
    End(Server& o, StreamEvents& e) : owner(o), events(e) {}
    ~End() override {
      if (owner.end_ == this) owner.end_ = nullptr;
    }
    void send(std::string bytes) override {
      EXPECT_TRUE(owner.requests.emplace_back().ParseFromString(bytes));
      if (owner.hold_writes) return;
      owner.executor_.post([o = &owner, me = this] {
        if (o->end_ == me) me->events.on_sent();
      });
    }
    void read() override {
      EXPECT_FALSE(reading);
      reading = true;
    }
    Server& owner;
    StreamEvents& events;
    bool reading = false;
  };
  Executor& executor_;
  End* end_ = nullptr;
};

class LoadReport : public ::testing::Test {
 protected:
  LoadReport() {
    envoy::config::core::v3::Node node;
    node.set_id("n");
    options.node = node.SerializeAsString();
    options.random = [] { return uint64_t{240} * kSec - 1; };  // the longest wait, almost
    options.collect = [this](std::function<void(std::vector<ClusterLoad>)> done) {
      if (hold) {
        held.push_back(std::move(done));
      } else {
        done(clusters);
      }
    };
    clusters = {{"a", "svc-a", 0, {endpoint(1, "z1"), endpoint(2, "z1"), endpoint(3, "z2")}},
                {"b", "", 0, {endpoint(4, "z1")}}};
  }
  static EndpointLoad endpoint(uint16_t port, std::string zone) {
    EndpointLoad out;
    out.address = *base::Address::ip("127.0.0.1", port);
    out.region = "r";
    out.zone = std::move(zone);
    return out;
  }
  void start() {
    reporter = std::make_unique<LoadReporter>(options, std::vector<Transport*>{&server}, main);
    reporter->start();
    main.run();
  }
  void ask(const std::vector<std::string>& names, int64_t interval_ms = 1000,
           bool by_endpoint = false) {
    LoadStatsResponse response;
    for (const std::string& name : names) response.add_clusters(name);
    response.set_send_all_clusters(names.empty());
    response.set_report_endpoint_granularity(by_endpoint);
    response.mutable_load_reporting_interval()->set_seconds(interval_ms / 1000);
    response.mutable_load_reporting_interval()->set_nanos(
        static_cast<int32_t>(interval_ms % 1000 * kMs));
    server.say(response);
    main.run();
  }
  // Succeeded and failed requests of an endpoint.
  static void serve(EndpointLoad& e, uint64_t good, uint64_t bad = 0) {
    e.issued += good + bad;
    e.succeeded += good;
    e.failed += bad;
  }
  LoadStatsRequest take() {
    if (server.requests.empty()) {
      ADD_FAILURE() << "no request";
      return {};
    }
    auto out = std::move(server.requests.front());
    server.requests.pop_front();
    return out;
  }

  test::ManualExecutor main;
  Server server{main};
  LoadReporter::Options options;
  std::vector<ClusterLoad> clusters;
  bool hold = false;
  std::vector<std::function<void(std::vector<ClusterLoad>)>> held;
  std::unique_ptr<LoadReporter> reporter;
};

TEST_F(LoadReport, Rule139BeginsWithTheNodeAndWaitsToBeAsked) {
  start();
  ASSERT_THAT(server.methods, SizeIs(1));
  EXPECT_EQ(server.methods[0], "/envoy.service.load_stats.v3.LoadReportingService/StreamLoadStats");
  const auto hello = take();
  EXPECT_EQ(hello.node().id(), "n");
  EXPECT_EQ(hello.node().client_features(0), "envoy.lrs.supports_send_all_clusters");
  EXPECT_THAT(hello.cluster_stats(), IsEmpty());
  main.advance(60 * kSec);
  EXPECT_THAT(server.requests, IsEmpty());
}

TEST_F(LoadReport, Rule139ReportsByLocalityWhatCameSinceTheReportBefore) {
  start();
  take();
  serve(clusters[0].endpoints[0], 7);
  ask({"a"});
  serve(clusters[0].endpoints[0], 3, 1);
  serve(clusters[0].endpoints[1], 2);
  serve(clusters[0].endpoints[2], 0, 5);
  clusters[0].endpoints[2].active = 4;
  clusters[0].dropped = 6;
  serve(clusters[1].endpoints[0], 100);
  main.advance(kSec);
  auto report = take();
  EXPECT_FALSE(report.has_node());
  ASSERT_EQ(report.cluster_stats_size(), 1) << "nobody asked for b";
  const auto& a = report.cluster_stats(0);
  EXPECT_EQ(a.cluster_name(), "a");
  EXPECT_EQ(a.cluster_service_name(), "svc-a");
  EXPECT_EQ(a.total_dropped_requests(), 6U);
  EXPECT_EQ(a.load_report_interval().seconds(), 1);
  ASSERT_EQ(a.upstream_locality_stats_size(), 2);
  const auto& z1 = a.upstream_locality_stats(0);
  EXPECT_EQ(z1.locality().region(), "r");
  EXPECT_EQ(z1.locality().zone(), "z1");
  EXPECT_EQ(z1.total_successful_requests(), 5U) << "what was before it asked is not told";
  EXPECT_EQ(z1.total_error_requests(), 1U);
  EXPECT_EQ(z1.total_issued_requests(), 6U);
  EXPECT_THAT(z1.upstream_endpoint_stats(), IsEmpty());
  const auto& z2 = a.upstream_locality_stats(1);
  EXPECT_EQ(z2.total_error_requests(), 5U);
  EXPECT_EQ(z2.total_requests_in_progress(), 4U);

  clusters[0].endpoints[2].active = 0;
  main.advance(kSec);
  report = take();
  ASSERT_EQ(report.cluster_stats_size(), 1);
  EXPECT_THAT(report.cluster_stats(0).upstream_locality_stats(), IsEmpty()) << "nothing happened";
  EXPECT_EQ(report.cluster_stats(0).total_dropped_requests(), 0U);
  EXPECT_EQ(reporter->stats().requests, 1U);
  EXPECT_EQ(reporter->stats().responses, 2U);
}

TEST_F(LoadReport, Rule139AllClustersAlsoThoseThatComeLater) {
  start();
  take();
  ask({});
  ClusterLoad fresh{"c", "", 0, {endpoint(9, "z1")}};
  serve(fresh.endpoints[0], 4);
  clusters.push_back(fresh);
  main.advance(kSec);
  const auto report = take();
  ASSERT_EQ(report.cluster_stats_size(), 3);
  EXPECT_EQ(report.cluster_stats(2).upstream_locality_stats(0).total_successful_requests(), 4U);
}

TEST_F(LoadReport, Rule139EachEndpointIfAsked) {
  start();
  take();
  ask({"a"}, 500, true);
  serve(clusters[0].endpoints[0], 1);
  serve(clusters[0].endpoints[1], 2, 1);
  main.advance(500 * kMs);
  const auto report = take();
  const auto& place = report.cluster_stats(0).upstream_locality_stats(0);
  ASSERT_EQ(place.upstream_endpoint_stats_size(), 2);
  const auto& second = place.upstream_endpoint_stats(1);
  EXPECT_EQ(second.address().socket_address().port_value(), 2U);
  EXPECT_EQ(second.total_successful_requests(), 2U);
  EXPECT_EQ(second.total_error_requests(), 1U);
  EXPECT_EQ(second.total_issued_requests(), 3U);
}

TEST_F(LoadReport, Rule139ANewAnswerChangesWhatAndHowOften) {
  start();
  take();
  ask({"a"}, 10'000);
  serve(clusters[0].endpoints[0], 1);
  main.advance(9 * kSec);
  ask({"a", "b"}, 2'000);
  serve(clusters[1].endpoints[0], 3);
  main.advance(2 * kSec);
  const auto report = take();
  ASSERT_EQ(report.cluster_stats_size(), 2);
  EXPECT_EQ(report.cluster_stats(0).upstream_locality_stats(0).total_issued_requests(), 1U)
      << "a cluster that was followed before loses nothing";
  EXPECT_EQ(report.cluster_stats(0).load_report_interval().seconds(), 11);
  EXPECT_EQ(report.cluster_stats(1).upstream_locality_stats(0).total_issued_requests(), 3U);
  EXPECT_THAT(server.requests, IsEmpty());
}

TEST_F(LoadReport, AReportThatCannotBeSentYetIsPartOfTheNext) {
  start();
  take();
  ask({"a"});
  server.hold_writes = true;
  serve(clusters[0].endpoints[0], 1);
  main.advance(kSec);
  take();
  serve(clusters[0].endpoints[0], 2);
  main.advance(kSec);
  EXPECT_THAT(server.requests, IsEmpty()) << "the one before is on its way";
  server.finish_write();
  serve(clusters[0].endpoints[0], 4);
  main.advance(kSec);
  EXPECT_EQ(take().cluster_stats(0).upstream_locality_stats(0).total_issued_requests(), 6U);
}

TEST_F(LoadReport, WorkersThatAnswerLateDelayTheReportAndNothingElse) {
  start();
  take();
  hold = true;
  ask({"a"});
  main.advance(3 * kSec);
  EXPECT_THAT(held, SizeIs(1)) << "one question at a time";
  hold = false;
  std::exchange(held, {})[0](clusters);
  serve(clusters[0].endpoints[0], 1);
  main.advance(kSec);
  EXPECT_EQ(take().cluster_stats(0).upstream_locality_stats(0).total_issued_requests(), 1U);
}

TEST_F(LoadReport, AStreamThatEndsIsOpenedAgainAndNothingIsLost) {
  start();
  take();
  ask({"a"});
  serve(clusters[0].endpoints[0], 1);
  server.close();
  main.run();
  EXPECT_FALSE(server.is_open());
  main.advance(5 * kSec);
  ASSERT_TRUE(server.is_open());
  EXPECT_EQ(take().node().id(), "n");
  EXPECT_EQ(reporter->stats().retries, 1U);
  EXPECT_EQ(reporter->stats().errors, 1U);
  ask({"a"});
  main.advance(kSec);
  EXPECT_EQ(take().cluster_stats(0).upstream_locality_stats(0).total_issued_requests(), 1U);
}

TEST_F(LoadReport, GapsGrowUntilTheServerSaysSomething) {
  start();
  const auto gap_ms = [this] {
    const base::MonoNs closed_at = main.now();
    const size_t known = server.opened_at.size();
    server.close();
    while (server.opened_at.size() == known) main.advance(kMs);
    return (server.opened_at.back() - closed_at + 1) / kMs;
  };
  for (const int64_t want : {1'000, 2'000, 4'000, 8'000, 16'000, 30'000, 30'000}) {
    EXPECT_EQ(gap_ms(), want);
  }
  ask({"a"});
  EXPECT_EQ(gap_ms(), 1'000);
}

TEST_F(LoadReport, AnAnswerThatCannotBeReadEndsTheStream) {
  start();
  server.say(std::string("\xff\xff\xff"));
  main.run();
  EXPECT_EQ(reporter->stats().errors, 1U);
  main.advance(5 * kSec);
  EXPECT_TRUE(server.is_open());
}

TEST_F(LoadReport, AnIntervalOfNothingIsNotForEver) {
  start();
  take();
  ask({"a"}, 0);
  main.advance(kSec);
  EXPECT_THAT(server.requests, SizeIs(10));
}

TEST_F(LoadReport, ACounterThatBeganAgainIsNotNegative) {
  start();
  take();
  serve(clusters[0].endpoints[0], 50);
  ask({"a"});
  clusters[0].endpoints[0] = endpoint(1, "z1");
  serve(clusters[0].endpoints[0], 2);
  main.advance(kSec);
  EXPECT_EQ(take().cluster_stats(0).upstream_locality_stats(0).total_issued_requests(), 2U);
}

TEST(LoadStatsConfig, IsReadFromTheBootstrapOrRefusedByName) {
  const auto load = [](std::string_view api) {
    Flags flags;
    flags.config_yaml = base::cat(
        "cluster_manager: { load_stats_config: { ", api,
        ", grpc_services: { google_grpc: { target_uri: \"dns:///a:1\", stat_prefix: x } } } }");
    return load_bootstrap(flags);
  };
  const auto good = load("api_type: GRPC, transport_api_version: V3");
  ASSERT_TRUE(good.ok()) << good.status();
  ASSERT_TRUE(good->load_stats.has_value());
  EXPECT_EQ(good->load_stats->servers[0].target, "dns:///a:1");
  EXPECT_TRUE(good->warnings.empty());
  EXPECT_THAT(base::message_of(load("api_type: REST, transport_api_version: V3").status()),
              HasSubstr("cluster_manager.load_stats_config.api_type: load is reported over gRPC"));
}

}  // namespace
}  // namespace sluice::xds
