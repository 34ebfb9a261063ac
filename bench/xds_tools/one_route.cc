// one_route [VIRTUAL_HOSTS ROUTES_EACH CHANGES]: what does one changed route among many cost? (T13;
// 1,000 100 9.) A control plane in this process answers over the transport's seam, so that what is
// timed is ours: from the moment when main has the last byte of a route configuration of which one
// route differs, to its adoption by the slowest of two idle workers; and the processor time of the
// whole process for it, old tables destroyed. Prints one line of JSON, medians and the worst, and
// how long main did not turn at most (processor time; the first load included).

#include <envoy/config/listener/v3/listener.pb.h>
#include <envoy/config/route/v3/route.pb.h>
#include <envoy/extensions/filters/http/router/v3/router.pb.h>
#include <envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "app/loop_executor.h"
#include "base/text.h"
#include "bench/xds_tools/in_process.h"
#include "dataplane/server.h"
#include "xds/assemble.h"
#include "xds/client.h"

namespace sluice {
namespace {

namespace hcm = envoy::extensions::filters::network::http_connection_manager::v3;
using bench::now_ns;
using bench::process_cpu_ns;

envoy::config::route::v3::RouteConfiguration route_configuration(int num_hosts, int routes_each) {
  envoy::config::route::v3::RouteConfiguration out;
  out.set_name("r");
  for (int h = 0; h < num_hosts; ++h) {
    auto* host = out.add_virtual_hosts();
    host->set_name(base::cat("host-", h));
    host->add_domains(base::cat("host-", h, ".example"));
    for (int i = 0; i < routes_each; ++i) {
      auto* route = host->add_routes();
      route->mutable_match()->set_prefix(base::cat("/service/", i, "/"));
      route->mutable_route()->set_cluster(base::cat("c", i % 10));
    }
  }
  return out;
}

envoy::config::listener::v3::Listener listener() {
  hcm::HttpConnectionManager manager;
  manager.set_stat_prefix("in");
  manager.mutable_rds()->set_route_config_name("r");
  auto* source = manager.mutable_rds()->mutable_config_source();
  source->mutable_ads();
  source->set_resource_api_version(envoy::config::core::v3::V3);
  auto* filter = manager.add_http_filters();
  filter->set_name("router");
  filter->mutable_typed_config()->PackFrom(envoy::extensions::filters::http::router::v3::Router());
  envoy::config::listener::v3::Listener out;
  out.set_name("in");
  auto* address = out.mutable_address()->mutable_socket_address();
  address->set_address("127.0.0.1");
  address->set_port_value(0);
  auto* network = out.add_filter_chains()->add_filters();
  network->set_name("hcm");
  network->mutable_typed_config()->PackFrom(manager);
  return out;
}

class Bench {
 public:
  Bench(int num_hosts, int routes_each, int changes)
      : changes_(changes),
        routes_(route_configuration(num_hosts, routes_each)),
        server_(bench::two_workers()),
        control_plane_(executor_),
        watch_(executor_) {
    control_plane_.answer_first(xds::Type::kListener,
                                bench::response_with_all(std::vector{listener()}, 1));
    control_plane_.answer_first(xds::Type::kRoute,
                                bench::response_with_all(std::span(&routes_, 1), 1));
    executor_.attach(server_.main());
    xds::Assembler::Options options;
    options.has_lds = true;
    options.on_live = [this] {
      watch_.stop();
      bench::settle(executor_, [this] { change(); });
    };
    options.on_failure = [](const absl::Status& s) {
      std::fprintf(stderr, "%s\n", s.ToString().c_str());
      std::exit(1);
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
    watch_.start();
    if (!assembler_->start(asked_.get()).ok()) return 1;
    server_.run();
    std::sort(effects_ms_.begin(), effects_ms_.end());
    std::sort(cpu_ms_.begin(), cpu_ms_.end());
    std::printf(
        "{\"routes\": %d, \"message_mib\": %.1f, \"changes\": %d, \"effect_ms\": %.1f, "
        "\"effect_ms_worst\": %.1f, \"cpu_ms\": %.1f, \"cpu_ms_worst\": %.1f, "
        "\"main_held_ms\": %.1f}\n",
        routes_.virtual_hosts_size() * routes_.virtual_hosts(0).routes_size(),
        static_cast<double>(message_bytes_) / (1 << 20), changes_,
        effects_ms_[effects_ms_.size() / 2], effects_ms_.back(), cpu_ms_[cpu_ms_.size() / 2],
        cpu_ms_.back(), watch_.longest_ms());
    return 0;
  }

 private:
  void change() {
    if (done_ == changes_) return server_.stop();
    auto* host = routes_.mutable_virtual_hosts((done_ * 37) % routes_.virtual_hosts_size());
    auto* route = host->mutable_routes((done_ * 11) % host->routes_size());
    route->mutable_match()->set_prefix(base::cat("/changed/", done_, "/"));
    std::string bytes = bench::response_with_all(std::span(&routes_, 1), done_ + 2);
    message_bytes_ = bytes.size();
    cpu_before_ns_ = process_cpu_ns();
    effect_.begin();
    watch_.start();
    control_plane_.deliver(std::move(bytes));
    bench::settle(executor_, [this] { measure(); });
  }
  void measure() {
    const auto ms = effect_.ms();
    if (!ms) return bench::settle(executor_, [this] { measure(); });
    watch_.stop();
    effects_ms_.push_back(*ms);
    cpu_ms_.push_back(static_cast<double>(process_cpu_ns() - cpu_before_ns_) / 1e6);
    ++done_;
    change();
  }

  const int changes_;
  envoy::config::route::v3::RouteConfiguration routes_;
  app::LoopExecutor executor_;
  dataplane::Server server_;
  bench::ControlPlane control_plane_;
  bench::TurnWatch watch_;
  bench::Effect effect_{server_};
  std::unique_ptr<xds::Assembler> assembler_;
  std::unique_ptr<xds::Client> client_;
  std::unique_ptr<bench::Asked> asked_;
  int done_ = 0;
  size_t message_bytes_ = 0;
  int64_t cpu_before_ns_ = 0;
  std::vector<double> effects_ms_, cpu_ms_;
};

}  // namespace
}  // namespace sluice

int main(int argc, char** argv) {
  const auto number = [&](int i, int otherwise) {
    return argc > i ? std::atoi(argv[i]) : otherwise;
  };
  sluice::base::calibrate_ticks();
  sluice::Bench bench(number(1, 1000), number(2, 100), number(3, 9));
  return bench.run();
}
