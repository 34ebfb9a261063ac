// Any bytes as the script of a control plane: it sends responses, of the state of the world or
// incremental, with resources that are mutants of good ones, ends streams, lets time pass; and the
// proxy subscribes, decodes, assembles and publishes. Nothing may crash, each response is answered
// once at most, and a client to whom nothing more happens has nothing left to do.
#include <google/protobuf/any.pb.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dataplane/server.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/service/discovery/v3/discovery.pb.h"
#include "tests/support/xds/manual_executor.h"
#include "tests/support/xds/messages.h"
#include "tests/support/xds/yaml_resource.h"
#include "xds/assemble.h"
#include "xds/client.h"

namespace sluice::test {
namespace {

using xds::kAds;
using xds::Type;

void demand(bool holds) {
  if (!holds) std::abort();
}

class Script {
 public:
  Script(const uint8_t* data, size_t size) : at_(data), end_(data + size) {}
  bool over() const { return at_ == end_; }
  uint8_t byte() { return over() ? 0 : *at_++; }
  size_t below(size_t n) { return byte() % n; }

 private:
  const uint8_t* at_;
  const uint8_t* end_;
};

constexpr std::array<std::string_view, 4> kNames = {"a", "b", "c", ""};

constexpr std::string_view kDiscovered =
    "- name: a\n        config_discovery: {config_source: {ads: {}, initial_fetch_timeout: 1s}, "
    "type_urls: [type.googleapis.com/"
    "envoy.extensions.filters.http.header_mutation.v3.HeaderMutation]}\n      ";

std::string listener_yaml(std::string_view routes, std::string_view filters = "") {
  return base::cat(
      "name: a\naddress: {socket_address: {address: 127.0.0.1, port_value: 0}}\n"
      "bind_to_port: false\nfilter_chains:\n- filters:\n  - name: h\n    typed_config:\n"
      "      \"@type\": type.googleapis.com/envoy.extensions.filters.network."
      "http_connection_manager.v3.HttpConnectionManager\n      stat_prefix: s\n      ",
      routes, "\n      http_filters:\n      ", filters,
      "- name: r\n        typed_config: {\"@type\": "
      "type.googleapis.com/"
      "envoy.extensions.filters.http.router.v3.Router}\n");
}

// Good resources, from which mutants are made.
const std::vector<std::string>& seeds(Type type) {
  static const auto* const kSeeds = [] {
    auto* all = new std::array<std::vector<std::string>, xds::kNumTypes>;
    const auto add = [&](Type t, const std::string& yaml) {
      (*all)[static_cast<size_t>(t)].push_back(yaml_resource(t, "1", yaml).bytes);
    };
    add(Type::kCluster, "{name: a, type: EDS, eds_cluster_config: {eds_config: {ads: {}}}}");
    add(Type::kCluster,
        "{name: a, type: EDS, eds_cluster_config: {service_name: b, eds_config: {self: {}, "
        "initial_fetch_timeout: 1s}}, connect_timeout: 2s, lb_policy: LEAST_REQUEST}");
    add(Type::kCluster,
        "{name: a, load_assignment: {cluster_name: a, endpoints: [{lb_endpoints: [{endpoint: "
        "{address: {socket_address: {address: 127.0.0.1, port_value: 9}}}}]}]}}");
    add(Type::kEndpoint,
        "{cluster_name: a, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: "
        "{address: 127.0.0.1, port_value: 9}}}, load_balancing_weight: 3}]}]}");
    add(Type::kEndpoint, "{cluster_name: a}");
    add(Type::kRoute,
        "{name: a, virtual_hosts: [{name: v, domains: [\"*\"], routes: [{match: {prefix: /}, "
        "route: {cluster: a}}, {match: {safe_regex: {regex: \"a+\"}}, direct_response: {status: "
        "200}}]}, {name: w, domains: [x.test], routes: [{match: {path: /p}, redirect: "
        "{host_redirect: "
        "y}}]}]}");
    add(Type::kRoute, "{name: a, validate_clusters: true, virtual_hosts: []}");
    add(Type::kRoute, "{name: a, vhds: {config_source: {ads: {}}}, virtual_hosts: []}");
    add(Type::kScopedRoute,
        "{name: a, route_configuration_name: a, key: {fragments: [{string_key: "
        "k}]}}");
    add(Type::kScopedRoute,
        "{name: a, route_configuration_name: b, on_demand: true, key: "
        "{fragments: [{string_key: l}]}}");
    add(Type::kScopedRoute,
        "{name: a, route_configuration: {name: i}, key: {fragments: "
        "[{string_key: m}]}}");
    add(Type::kVirtualHost,
        "{name: a, domains: [a.test], routes: [{match: {prefix: /}, route: "
        "{cluster: a}}]}");
    add(Type::kVirtualHost, "{name: b, domains: [b.test], routes: []}");
    for (const Type t :
         {Type::kExtensionConfig, Type::kRuntime, Type::kLbEndpoint, Type::kSecret}) {
      (*all)[static_cast<size_t>(t)].push_back(resource(t, "a", "x").value());
    }
    add(Type::kListener,
        listener_yaml(
            "scoped_routes: {name: s, scope_key_builder: {fragments: [{header_value_extractor: "
            "{name: "
            "x, index: 0}}]}, rds_config_source: {ads: {}}, scoped_rds: {scoped_rds_config_source: "
            "{ads: {}}}}"));
    add(Type::kListener, listener_yaml("rds: {route_config_name: a, config_source: {ads: {}}}"));
    add(Type::kListener,
        listener_yaml("route_config: {name: i, virtual_hosts: [{name: v, domains: [\"*\"], routes: "
                      "[{match: {prefix: /}, route: {cluster: b}}]}]}"));
    add(Type::kListener,
        listener_yaml("rds: {route_config_name: a, config_source: {ads: {}}}", kDiscovered));
    add(Type::kExtensionConfig,
        "{name: a, typed_config: {\"@type\": type.googleapis.com/"
        "envoy.extensions.filters.http.header_mutation.v3.HeaderMutation, mutations: "
        "{request_mutations: [{append: {header: {key: x, value: y}}}, {remove: z}]}}}");
    add(Type::kExtensionConfig,
        "{name: a, typed_config: {\"@type\": type.googleapis.com/"
        "envoy.extensions.filters.http.router.v3.Router}}");
    add(Type::kRuntime,
        "{name: a, layer: {k: 5, f: {numerator: 1, denominator: MILLION}, n: {m: true, t: x}}}");
    for (size_t t = 0; t < xds::kNumTypes; ++t) {
      auto& its = (*all)[t];
      if (its.empty()) its.push_back(resource(static_cast<Type>(t), "a", "x").value());
    }
    return all;
  }();
  return (*kSeeds)[static_cast<size_t>(type)];
}

// The name is the first field.
std::string named(std::string_view name, std::string bytes) {
  if (!bytes.starts_with("\n\1a")) return bytes;  // of a type without a name of its own
  return base::cat("\n", std::string(1, static_cast<char>(name.size())), name, bytes.substr(3));
}

google::protobuf::Any some_resource(Script& script, Type type, std::string_view name) {
  google::protobuf::Any any;
  any.set_type_url(std::string(type_url_of(type)));
  const auto& from = seeds(type);
  std::string bytes = named(name, from[script.below(from.size())]);
  const size_t mutations = script.byte() < 128 ? 0 : script.below(4);
  for (size_t i = 0; i < mutations && !bytes.empty(); ++i) {
    const size_t at = (script.byte() * size_t{256} + script.byte()) % bytes.size();
    switch (script.below(4)) {
      case 0:
        bytes[at] = static_cast<char>(script.byte());
        break;
      case 1:
        bytes.resize(at);
        break;
      case 2:
        bytes.insert(at, bytes.substr(at / 2, script.byte()));
        break;
      case 3:
        bytes.erase(at, script.below(8) + 1);
        break;
    }
  }
  any.set_value(bytes);
  if (script.byte() == 0) any.set_type_url("type.googleapis.com/a.B");
  return any;
}

// The server's end.
class Server final : public xds::Transport {
 public:
  Server(xds::Executor& executor, bool delta) : executor_(executor), delta_(delta) {}

  std::unique_ptr<xds::Stream> open(std::string_view, xds::StreamEvents& events) override {
    inbox_.clear();
    answered_.clear();
    auto stream = std::make_unique<End>(*this, events);
    end_ = stream.get();
    return stream;
  }
  void send(std::string bytes) {
    inbox_.push_back(std::move(bytes));
    deliver();
  }
  void close() {
    if (end_ != nullptr) end_->events.on_closed(absl::UnavailableError("x"));
  }
  bool is_open() const { return end_ != nullptr; }
  size_t unread() const { return end_ == nullptr ? 0 : inbox_.size(); }

 private:
  struct End final : xds::Stream {
    End(Server& s, xds::StreamEvents& e) : server(s), events(e) {}
    ~End() override {
      if (server.end_ == this) server.end_ = nullptr;
    }
    void send(std::string bytes) override {
      demand(!std::exchange(writing, true));
      server.check(bytes);
      server.executor_.post([s = &server, me = this] {
        if (s->end_ != me) return;
        me->writing = false;
        me->events.on_sent();
      });
    }
    void read() override {
      demand(!std::exchange(reading, true));
      server.executor_.post([s = &server] { s->deliver(); });
    }
    Server& server;
    xds::StreamEvents& events;
    bool writing = false;
    bool reading = false;
  };

  void deliver() {
    if (end_ == nullptr || !end_->reading || inbox_.empty()) return;
    end_->reading = false;
    std::string bytes = std::move(inbox_.front());
    inbox_.pop_front();
    end_->events.on_message(std::move(bytes));
  }
  // Incremental requests have a nonce in answers only: no nonce is answered twice.
  void check(const std::string& bytes) {
    if (delta_) {
      DeltaDiscoveryRequest request;
      demand(request.ParseFromString(bytes));
      const std::string& nonce = request.response_nonce();
      demand(nonce.empty() || answered_.insert(nonce).second);
      demand(nonce.empty() ? !request.has_error_detail() : true);
    } else {
      DiscoveryRequest request;
      demand(request.ParseFromString(bytes));
      if (!request.has_error_detail()) return;
      demand(answered_.insert(request.response_nonce()).second);
    }
  }

  xds::Executor& executor_;
  const bool delta_;
  End* end_ = nullptr;
  std::deque<std::string> inbox_;
  std::set<std::string> answered_;
};

// Before the assembler: listeners must not bind what a mutant says.
class Guard final : public xds::ResourceSink {
 public:
  explicit Guard(xds::Assembler& assembler) : assembler_(assembler) {}
  void apply(xds::Update update, std::function<void(std::vector<xds::Rejected>)> done) override {
    for (xds::Resource& r : update.changed) {
      envoy::config::listener::v3::Listener listener;
      if (update.type != Type::kListener || !listener.ParseFromString(r.bytes)) continue;
      listener.mutable_bind_to_port()->set_value(false);
      r.bytes = listener.SerializeAsString();
    }
    assembler_.apply(std::move(update), std::move(done));
  }
  void on_fetch_timeout(Type type, xds::SourceId source, std::string_view name) override {
    assembler_.on_fetch_timeout(type, source, name);
  }

 private:
  xds::Assembler& assembler_;
};

class OneSource final : public xds::Subscriptions {
 public:
  explicit OneSource(xds::Client& client) : client_(client) {}
  void subscribe_all(Type type, xds::SourceId) override { client_.subscribe_all(type); }
  void unsubscribe_all(Type type, xds::SourceId) override { client_.unsubscribe_all(type); }
  void subscribe(Type type, const xds::ResourceKey& key) override {
    client_.subscribe(type, key.name);
  }
  void unsubscribe(Type type, const xds::ResourceKey& key) override {
    client_.unsubscribe(type, key.name);
  }
  void begin_batch() override { client_.begin_batch(); }
  void end_batch() override { client_.end_batch(); }

 private:
  xds::Client& client_;
};

std::string sotw_response(Script& script, Type type, const std::string& nonce) {
  std::vector<google::protobuf::Any> resources;
  for (size_t i = script.below(5); i > 0; --i) {
    const std::string_view name = kNames[script.below(kNames.size())];
    google::protobuf::Any any = some_resource(script, type, name);
    const size_t form = script.below(8);
    if (form == 0) any = wrapped(name, &any, script.byte() * 20);
    if (form == 1) any = wrapped(name, nullptr, script.byte() * 20);
    resources.push_back(std::move(any));
  }
  return response(type, std::to_string(script.below(3)), nonce, resources).SerializeAsString();
}

std::string incremental_response(Script& script, Type type, const std::string& nonce) {
  std::vector<WrappedResource> resources;
  for (size_t i = script.below(5); i > 0; --i) {
    const std::string_view name = kNames[script.below(kNames.size())];
    const google::protobuf::Any any = some_resource(script, type, name);
    const size_t form = script.below(8);
    const std::string full = type == Type::kVirtualHost && !name.empty()
                                 ? base::cat(kNames[script.below(2)], "/", name)
                                 : std::string(name);
    resources.push_back(delta_resource(full, std::to_string(script.below(3)),
                                       form == 0 ? nullptr : &any,
                                       form < 2 ? script.byte() * 20 : 0));
    if (form == 2) resources.back().add_aliases(std::string(kNames[script.below(4)]));
    if (form == 3) resources.back().clear_name();
  }
  std::vector<std::string> removed;
  for (size_t i = script.below(3); i > 0; --i) {
    removed.emplace_back(kNames[script.below(kNames.size())]);
  }
  return delta_response(type, nonce, resources, removed).SerializeAsString();
}

void run(Script& script) {
  const bool delta = script.below(2) == 1;
  ManualExecutor main;
  Server control_plane(main, delta);
  dataplane::Server::Options server_options;
  server_options.concurrency = 1;
  dataplane::Server server(server_options);
  xds::Assembler::Options options;
  options.has_cds = options.has_lds = true;
  options.run_workers = false;
  options.inline_bytes = size_t{1} << 30;
  xds::Assembler assembler(options, server, main);
  Guard guard(assembler);
  xds::ClientOptions client_options;
  client_options.delta = delta;
  client_options.random = [] { return uint64_t{1}; };
  xds::Client client(client_options, control_plane, guard, main);
  OneSource subscriptions(client);
  xds::Bootstrap bootstrap;
  bootstrap.runtime.resize(1);
  bootstrap.runtime[0].kind = xds::RuntimeLayerValue::Kind::kRtds;
  bootstrap.runtime[0].rtds.name = "a";
  bootstrap.runtime[0].initial_fetch_timeout = std::chrono::seconds(1);
  demand(assembler.add_static(bootstrap).ok());
  static_cast<void>(assembler.start(&subscriptions));
  main.run();
  for (uint32_t nonce = 1; !script.over() && nonce < 200; ++nonce) {
    const auto type = static_cast<Type>(script.below(xds::kNumTypes));
    const size_t action = script.below(16);
    if (action == 0) {
      control_plane.close();
    } else if (action == 1) {
      main.advance(script.byte() * 100 * base::kNsPerMs);
    } else if (action == 2) {
      client.subscribe(type, kNames[script.below(3)]);
    } else if (action == 4) {
      using Lack = dataplane::OnDemand::Lack;
      const auto lack = static_cast<Lack>(script.below(3));
      const std::string name(kNames[script.below(4)]);
      assembler.ask({0, nonce, lack, name, std::string(kNames[script.below(4)]), 0, xds::kAds,
                     base::kNsPerSec});
    } else if (action == 3 && control_plane.is_open()) {
      std::string bytes = sotw_response(script, type, std::to_string(nonce));
      bytes.resize(script.byte() % (bytes.size() + 1));
      control_plane.send(std::move(bytes));
    } else if (control_plane.is_open()) {
      control_plane.send(delta ? incremental_response(script, type, std::to_string(nonce))
                               : sotw_response(script, type, std::to_string(nonce)));
    }
    if (script.byte() < 200) main.run();
  }
  main.advance(60 * base::kNsPerSec);
  demand(control_plane.unread() == 0);  // nothing is stuck
  assembler.waits();
  client.stop();
}

}  // namespace
}  // namespace sluice::test

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  sluice::test::Script script(data, size);
  sluice::test::run(script);
  return 0;
}
