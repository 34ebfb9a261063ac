// one_cluster [CLUSTERS CHANGES]: what do many clusters with endpoints weigh, and what does it cost
// when one of them changes? (T15; 10,000 9.) A control plane in this process sends full states of
// clusters and of endpoints, in turn one cluster and one cluster's endpoint is another one. Timed
// from the last byte to the adoption by the slowest of two idle workers. Prints one line of JSON:
// medians, heap and resident memory per idle cluster, and how long main did not turn at most
// (processor time; the first load included).

#include <envoy/config/cluster/v3/cluster.pb.h>
#include <envoy/config/endpoint/v3/endpoint.pb.h>
#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "app/loop_executor.h"
#include "base/text.h"
#include "bench/xds_tools/in_process.h"
#include "xds/assemble.h"

namespace sluice {
namespace {

using bench::now_ns;

std::string name_of(int i) { return base::cat("outbound|80||service-", i, ".shop.svc"); }

envoy::config::cluster::v3::Cluster cluster(int i, int connect_timeout_s) {
  envoy::config::cluster::v3::Cluster out;
  out.set_name(name_of(i));
  out.set_type(envoy::config::cluster::v3::Cluster::EDS);
  auto* source = out.mutable_eds_cluster_config()->mutable_eds_config();
  source->mutable_ads();
  source->set_resource_api_version(envoy::config::core::v3::V3);
  out.mutable_connect_timeout()->set_seconds(connect_timeout_s);
  return out;
}

envoy::config::endpoint::v3::ClusterLoadAssignment endpoints(int i, uint32_t port) {
  envoy::config::endpoint::v3::ClusterLoadAssignment out;
  out.set_cluster_name(name_of(i));
  auto* address = out.add_endpoints()
                      ->add_lb_endpoints()
                      ->mutable_endpoint()
                      ->mutable_address()
                      ->mutable_socket_address();
  address->set_address(base::cat("10.", i / 62500, ".", i / 250 % 250, ".", i % 250 + 1));
  address->set_port_value(port);
  return out;
}

struct Memory {
  double heap = 0, resident = 0;  // bytes
};

Memory memory() {
  malloc_trim(0);
  const auto info = mallinfo2();
  long pages = 0, resident = 0;
  if (FILE* f = std::fopen("/proc/self/statm", "r")) {
    if (std::fscanf(f, "%ld %ld", &pages, &resident) != 2) resident = 0;
    std::fclose(f);
  }
  return {static_cast<double>(info.uordblks + info.hblkhd),
          static_cast<double>(resident * sysconf(_SC_PAGESIZE))};
}

double median(std::vector<double>& values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

class Bench {
 public:
  Bench(int num_clusters, int changes)
      : num_clusters_(num_clusters),
        changes_(changes),
        server_(bench::two_workers()),
        control_plane_(executor_),
        watch_(executor_) {
    executor_.attach(server_.main());
    xds::Assembler::Options options;
    options.has_cds = true;
    options.on_live = [this] {
      watch_.stop();
      bench::settle(executor_, [this] { begin(); });
    };
    assembler_ = std::make_unique<xds::Assembler>(options, server_, executor_);
    client_ =
        std::make_unique<xds::Client>(xds::ClientOptions(), control_plane_, *assembler_, executor_);
    asked_ = std::make_unique<bench::Asked>(*client_);
  }
  ~Bench() {
    client_.reset();
    assembler_.reset();
    executor_.detach();
  }

  int run() {
    before_ = memory();
    control_plane_.answer_first(xds::Type::kCluster, clusters_with(-1));
    control_plane_.answer_first(xds::Type::kEndpoint, endpoints_with(-1));
    watch_.start();
    if (!assembler_->start(asked_.get()).ok()) return 1;
    server_.run();
    const double n = num_clusters_;
    std::printf(
        "{\"clusters\": %d, \"heap_each\": %.0f, \"resident_each\": %.0f, "
        "\"cluster_effect_ms\": %.1f, \"endpoint_effect_ms\": %.1f, \"main_held_ms\": %.1f}\n",
        num_clusters_, (after_.heap - before_.heap) / n, (after_.resident - before_.resident) / n,
        median(cluster_ms_), median(endpoint_ms_), watch_.longest_ms());
    return 0;
  }

 private:
  std::string clusters_with(int changed) const {
    std::vector<envoy::config::cluster::v3::Cluster> all;
    for (int i = 0; i < num_clusters_; ++i) all.push_back(cluster(i, i == changed ? 9 : 5));
    return bench::response_with_all(all, done_ + 2);
  }
  std::string endpoints_with(int changed) const {
    std::vector<envoy::config::endpoint::v3::ClusterLoadAssignment> all;
    for (int i = 0; i < num_clusters_; ++i) all.push_back(endpoints(i, i == changed ? 81 : 80));
    return bench::response_with_all(all, done_ + 2);
  }
  void begin() {
    after_ = memory();
    change();
  }
  void change() {
    if (done_ == 2 * changes_) return server_.stop();
    const int which = done_ * 37 % num_clusters_;
    std::string bytes = done_ % 2 == 0 ? clusters_with(which) : endpoints_with(which);
    effect_.begin();
    watch_.start();
    control_plane_.deliver(std::move(bytes));
    bench::settle(executor_, [this] { measure(); });
  }
  void measure() {
    const auto ms = effect_.ms();
    if (!ms) return bench::settle(executor_, [this] { measure(); });
    watch_.stop();
    auto& effects = done_ % 2 == 0 ? cluster_ms_ : endpoint_ms_;
    effects.push_back(*ms);
    ++done_;
    change();
  }

  const int num_clusters_, changes_;
  app::LoopExecutor executor_;
  dataplane::Server server_;
  bench::ControlPlane control_plane_;
  bench::TurnWatch watch_;
  bench::Effect effect_{server_};
  std::unique_ptr<xds::Assembler> assembler_;
  std::unique_ptr<xds::Client> client_;
  std::unique_ptr<bench::Asked> asked_;
  Memory before_, after_;
  int done_ = 0;
  std::vector<double> cluster_ms_, endpoint_ms_;
};

}  // namespace
}  // namespace sluice

int main(int argc, char** argv) {
  const auto number = [&](int i, int otherwise) {
    return argc > i ? std::atoi(argv[i]) : otherwise;
  };
  sluice::base::calibrate_ticks();
  sluice::Bench bench(number(1, 10'000), number(2, 9));
  return bench.run();
}
