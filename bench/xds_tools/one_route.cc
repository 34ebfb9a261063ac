// one_route [VIRTUAL_HOSTS ROUTES_EACH CHANGES]: what does one changed route among many cost? (T13;
// 1,000 100 9.) A control plane in this process answers over the transport's seam, so that what is
// timed is ours: from the moment when main has the last byte of a route configuration of which one
// route differs, to its adoption by the slowest of two idle workers; and the processor time of the
// whole process for it, old tables destroyed. Prints one line of JSON, medians and the worst.

#include <envoy/config/listener/v3/listener.pb.h>
#include <envoy/config/route/v3/route.pb.h>
#include <envoy/extensions/filters/http/router/v3/router.pb.h>
#include <envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h>
#include <envoy/service/discovery/v3/discovery.pb.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <string>
#include <vector>

#include "app/loop_executor.h"
#include "base/text.h"
#include "dataplane/server.h"
#include "xds/assemble.h"
#include "xds/client.h"

namespace sluice {
namespace {

namespace hcm = envoy::extensions::filters::network::http_connection_manager::v3;
using envoy::service::discovery::v3::DiscoveryRequest;
using envoy::service::discovery::v3::DiscoveryResponse;

int64_t process_cpu_ns() {
  timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return t.tv_sec * base::kNsPerSec + t.tv_nsec;
}

int64_t now_ns() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * base::kNsPerSec + t.tv_nsec;
}

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

template <typename Message>
std::string response_with(const Message& resource, int number) {
  DiscoveryResponse response;
  response.add_resources()->PackFrom(resource);
  response.set_type_url(response.resources(0).type_url());
  response.set_version_info(std::to_string(number));
  response.set_nonce(std::to_string(number));
  return response.SerializeAsString();
}

// Answers the first request for listeners and for routes, and sends routes when it is told to.
class ControlPlane final : public xds::Transport {
 public:
  ControlPlane(xds::Executor& executor, std::string listeners, std::string routes)
      : executor_(executor), listeners_(std::move(listeners)), routes_(std::move(routes)) {}

  std::unique_ptr<xds::Stream> open(std::string_view, xds::StreamEvents& events) override {
    events_ = &events;
    return std::make_unique<End>(*this);
  }
  // On main: the whole message is there.
  void deliver(std::string bytes) { events_->on_message(std::move(bytes)); }
  int acks = 0;

 private:
  struct End final : xds::Stream {
    explicit End(ControlPlane& o) : owner(o) {}
    void send(std::string bytes) override { owner.on_request(bytes); }
    void read() override {}
    ControlPlane& owner;
  };

  void on_request(const std::string& bytes) {
    DiscoveryRequest request;
    request.ParseFromString(bytes);
    if (request.has_error_detail()) {
      std::fprintf(stderr, "NACK: %s\n", request.error_detail().message().c_str());
      std::exit(1);
    }
    executor_.post([this] { events_->on_sent(); });
    if (!request.response_nonce().empty()) {
      ++acks;
      return;
    }
    std::string& answer = request.type_url().find("Listener") != std::string::npos ? listeners_
                          : request.type_url().find("Route") != std::string::npos  ? routes_
                                                                                   : nothing_;
    if (answer.empty()) return;
    executor_.post([this, text = std::exchange(answer, {})] { events_->on_message(text); });
  }

  xds::Executor& executor_;
  std::string listeners_, routes_, nothing_;
  xds::StreamEvents* events_ = nullptr;
};

// Everything is asked of the one client.
class Asked final : public xds::Subscriptions {
 public:
  explicit Asked(xds::Client& client) : client_(client) {}
  void subscribe_all(xds::Type type, xds::SourceId) override { client_.subscribe_all(type); }
  void subscribe(xds::Type type, const xds::ResourceKey& key) override {
    client_.subscribe(type, key.name);
  }
  void unsubscribe(xds::Type type, const xds::ResourceKey& key) override {
    client_.unsubscribe(type, key.name);
  }
  void begin_batch() override { client_.begin_batch(); }
  void end_batch() override { client_.end_batch(); }

 private:
  xds::Client& client_;
};

class Bench {
 public:
  Bench(int num_hosts, int routes_each, int changes)
      : changes_(changes),
        routes_(route_configuration(num_hosts, routes_each)),
        server_(two_workers()),
        control_plane_(executor_, response_with(listener(), 1), response_with(routes_, 1)) {
    executor_.attach(server_.main());
    xds::Assembler::Options options;
    options.has_lds = true;
    options.on_live = [this] { settle([this] { change(); }); };
    options.on_failure = [](const absl::Status& s) {
      std::fprintf(stderr, "%s\n", s.ToString().c_str());
      std::exit(1);
    };
    assembler_ = std::make_unique<xds::Assembler>(options, server_, executor_);
    client_ =
        std::make_unique<xds::Client>(xds::ClientOptions(), control_plane_, *assembler_, executor_);
    asked_ = std::make_unique<Asked>(*client_);
  }
  ~Bench() {
    client_.reset();
    assembler_.reset();
    executor_.detach();
  }

  int run() {
    if (!assembler_->start(asked_.get()).ok()) return 1;
    server_.run();
    std::sort(effects_ms_.begin(), effects_ms_.end());
    std::sort(cpu_ms_.begin(), cpu_ms_.end());
    std::printf(
        "{\"routes\": %d, \"message_mib\": %.1f, \"changes\": %d, \"effect_ms\": %.1f, "
        "\"effect_ms_worst\": %.1f, \"cpu_ms\": %.1f, \"cpu_ms_worst\": %.1f}\n",
        routes_.virtual_hosts_size() * routes_.virtual_hosts(0).routes_size(),
        static_cast<double>(message_bytes_) / (1 << 20), changes_,
        effects_ms_[effects_ms_.size() / 2], effects_ms_.back(), cpu_ms_[cpu_ms_.size() / 2],
        cpu_ms_.back());
    return 0;
  }

 private:
  static dataplane::Server::Options two_workers() {
    dataplane::Server::Options options;
    options.concurrency = 2;
    return options;
  }
  // Afterwards, when what went before is over and old tables are gone.
  void settle(std::function<void()> then) {
    executor_.call_at(executor_.now() + 300 * base::kNsPerMs, std::move(then));
  }
  void change() {
    if (done_ == changes_) return server_.stop();
    auto* host = routes_.mutable_virtual_hosts((done_ * 37) % routes_.virtual_hosts_size());
    auto* route = host->mutable_routes((done_ * 11) % host->routes_size());
    route->mutable_match()->set_prefix(base::cat("/changed/", done_, "/"));
    std::string bytes = response_with(routes_, done_ + 2);
    message_bytes_ = bytes.size();
    before_ = server_.tables().published_id();
    cpu_before_ns_ = process_cpu_ns();
    delivered_at_ = now_ns();
    control_plane_.deliver(std::move(bytes));
    settle([this] { measure(); });
  }
  void measure() {
    const uint64_t published = server_.tables().published_id();
    if (published == before_ || !server_.tables().adopted_by_all(published)) {
      return settle([this] { measure(); });  // not yet in effect
    }
    base::MonoNs last = 0;
    for (const auto& p : server_.tables().progress()) last = std::max(last, p.adopted_at);
    effects_ms_.push_back(static_cast<double>(last - delivered_at_) / 1e6);
    cpu_ms_.push_back(static_cast<double>(process_cpu_ns() - cpu_before_ns_) / 1e6);
    ++done_;
    change();
  }

  const int changes_;
  envoy::config::route::v3::RouteConfiguration routes_;
  app::LoopExecutor executor_;
  dataplane::Server server_;
  ControlPlane control_plane_;
  std::unique_ptr<xds::Assembler> assembler_;
  std::unique_ptr<xds::Client> client_;
  std::unique_ptr<Asked> asked_;
  int done_ = 0;
  uint64_t before_ = 0;
  size_t message_bytes_ = 0;
  int64_t cpu_before_ns_ = 0, delivered_at_ = 0;
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
