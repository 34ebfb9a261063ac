#include "tools/mock-cp/faults.h"

#include <envoy/config/cluster/v3/cluster.pb.h>
#include <envoy/config/endpoint/v3/endpoint.pb.h>
#include <envoy/config/listener/v3/listener.pb.h>
#include <envoy/config/route/v3/route.pb.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <memory>

#include "base/text.h"
#include "tools/mock-cp/types.h"

namespace sluice::mock_cp {
namespace {

constexpr std::string_view kBadName = "mock-cp-bad";
constexpr std::array<std::string_view, static_cast<size_t>(Action::kCount)> kActions = {
    "delay",         "drop",    "duplicate", "reorder",     "corrupt",  "truncate",
    "oversize",      "empty",   "bad",       "wrong_nonce", "no_nonce", "wrong_type",
    "wrong_content", "endless", "close",     "refuse"};

absl::StatusOr<int64_t> number_of(std::string_view key, std::string_view text) {
  int64_t value = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
  if (parsed.ec == std::errc() && parsed.ptr == text.data() + text.size() && value >= -1 &&
      value <= (1LL << 32)) {
    return value;
  }
  return base::config_error(key, ": expected a number: ", text);
}

absl::Status set_number(std::string_view key, std::string_view value, Fault* fault) {
  const auto number = number_of(key, value);
  if (!number.ok()) return number.status();
  if (key == "count") {
    fault->count = *number;
  } else if (*number < 0) {
    return base::config_error(key, ": must not be negative: ", value);
  } else if (key == "ms") {
    fault->wait = std::chrono::milliseconds(*number);
  } else if (key == "bytes") {
    fault->bytes = static_cast<size_t>(*number);
  } else if (key == "resources") {
    fault->resources = static_cast<size_t>(*number);
  } else if (key == "status") {
    fault->status = static_cast<int>(*number);
  } else {
    return base::config_error(key,
                              ": unknown; a fault has action, type, node, count, ms, bytes, "
                              "resources, status, as");
  }
  return absl::OkStatus();
}

absl::Status set_type(std::string_view key, std::string_view value, std::string* url) {
  *url = url_of(value);
  if (!url->empty()) return absl::OkStatus();
  return base::config_error(key, ": unknown type: ", value);
}

// A resource that can be read and that its proto's rules forbid.
std::string bad_resource(std::string_view type_url) {
  const std::string name(kBadName);
  const std::string type = short_name(type_url);
  if (type == "CDS") {
    envoy::config::cluster::v3::Cluster cluster;
    cluster.set_name(name);
    cluster.mutable_connect_timeout()->set_seconds(-1);
    return cluster.SerializeAsString();
  }
  if (type == "EDS") {
    envoy::config::endpoint::v3::ClusterLoadAssignment endpoints;
    endpoints.set_cluster_name(name);
    endpoints.mutable_policy()->mutable_overprovisioning_factor()->set_value(0);
    return endpoints.SerializeAsString();
  }
  if (type == "LDS") {
    envoy::config::listener::v3::Listener listener;
    listener.set_name(name);
    listener.mutable_address()->mutable_socket_address()->set_port_value(70000);
    return listener.SerializeAsString();
  }
  if (type == "RDS") {
    envoy::config::route::v3::RouteConfiguration routes;
    routes.set_name(name);
    routes.add_virtual_hosts();  // without name and domains
    return routes.SerializeAsString();
  }
  return std::string("\xff\xff\xff", 3);
}

std::string named_resource(std::string_view type_url, const std::string& name) {
  if (short_name(type_url) == "CDS") {
    envoy::config::cluster::v3::Cluster cluster;
    cluster.set_name(name);
    cluster.mutable_load_assignment()->set_cluster_name(name);
    return cluster.SerializeAsString();
  }
  const std::string full(type_url.substr(type_url.rfind('/') + 1));
  const auto* type =
      google::protobuf::DescriptorPool::generated_pool()->FindMessageTypeByName(full);
  if (!type) return "";
  const std::unique_ptr<google::protobuf::Message> message(
      google::protobuf::MessageFactory::generated_factory()->GetPrototype(type)->New());
  const auto* field = type->FindFieldByName("cluster_name");
  if (!field) field = type->FindFieldByName("name");
  if (!field || field->cpp_type() != google::protobuf::FieldDescriptor::CPPTYPE_STRING) return "";
  message->GetReflection()->SetString(message.get(), field, name);
  return message->SerializeAsString();
}

void corrupt(Push::Item& item) { item.bytes.insert(0, "\xff\xff\xff"); }

}  // namespace

std::string_view text_of(Action action) noexcept { return kActions[static_cast<size_t>(action)]; }

absl::Status set_fault_field(std::string_view key, std::string_view value, Fault* fault) {
  if (key == "type") return set_type(key, value, &fault->type_url);
  if (key == "as") return set_type(key, value, &fault->as_url);
  if (key == "node") {
    fault->node = value;
    return absl::OkStatus();
  }
  if (key != "action") return set_number(key, value, fault);
  const auto* it = std::find(kActions.begin(), kActions.end(), value);
  if (it == kActions.end()) return base::config_error("action: unknown: ", value);
  fault->action = static_cast<Action>(it - kActions.begin());
  return absl::OkStatus();
}

absl::StatusOr<Fault> parse_fault(std::string_view text) {
  Fault fault;
  bool has_action = false;
  while (!text.empty()) {
    const std::string_view item = text.substr(0, text.find(','));
    text.remove_prefix(std::min(item.size() + 1, text.size()));
    const size_t equals = item.find('=');
    if (equals == item.npos) return base::config_error("expected KEY=VALUE: ", item);
    const std::string_view key = item.substr(0, equals);
    has_action = has_action || key == "action";
    absl::Status status = set_fault_field(key, item.substr(equals + 1), &fault);
    if (!status.ok()) return status;
  }
  if (!has_action) return base::config_error("action: is missing");
  return fault;
}

std::string describe(const Fault& fault) {
  return base::cat(text_of(fault.action), " ",
                   fault.type_url.empty() ? "of all types" : short_name(fault.type_url),
                   fault.node.empty() ? "" : " of node ", fault.node);
}

uint64_t FaultList::add(Fault fault) {
  const std::lock_guard lock(mutex_);
  faults_.emplace(++last_id_, std::move(fault));
  return last_id_;
}

bool FaultList::remove(uint64_t id) {
  const std::lock_guard lock(mutex_);
  return faults_.erase(id) > 0;
}

void FaultList::clear() {
  const std::lock_guard lock(mutex_);
  faults_.clear();
}

std::map<uint64_t, Fault> FaultList::all() const {
  const std::lock_guard lock(mutex_);
  return faults_;
}

bool FaultList::active(uint64_t id) const {
  const std::lock_guard lock(mutex_);
  return faults_.contains(id);
}

std::vector<std::pair<uint64_t, Fault>> FaultList::take(std::string_view type_url,
                                                        std::string_view node, bool new_stream) {
  const std::lock_guard lock(mutex_);
  std::vector<std::pair<uint64_t, Fault>> taken;
  for (auto it = faults_.begin(); it != faults_.end();) {
    auto& [id, fault] = *it;
    const bool meant = (fault.action == Action::kRefuse) == new_stream &&
                       (fault.type_url.empty() || fault.type_url == type_url) &&
                       (fault.node.empty() || fault.node == node);
    if (!meant || fault.count == 0) {
      ++it;
      continue;
    }
    taken.emplace_back(id, fault);
    if (fault.count > 0) --fault.count;
    // An endless one stays until it is removed.
    it = fault.count == 0 && fault.action != Action::kEndless ? faults_.erase(it) : std::next(it);
  }
  return taken;
}

void add_resources(size_t number, std::string_view prefix, Push* push) {
  for (size_t i = 0; i < number; ++i) {
    std::string name = base::cat(prefix, i);
    std::string bytes = named_resource(push->type_url, name);
    push->items.push_back({std::move(name), "1", push->type_url, std::move(bytes), {}, true});
  }
}

void distort(const Fault& fault, Push* push) {
  switch (fault.action) {
    case Action::kCorrupt:
      std::for_each(push->items.begin(), push->items.end(), corrupt);
      break;
    case Action::kOversize:
      push->padding = fault.bytes;
      break;
    case Action::kEmpty:
      push->items.clear();
      push->removed.clear();
      break;
    case Action::kBad:
      push->items.push_back(
          {std::string(kBadName), "1", push->type_url, bad_resource(push->type_url), {}, true});
      break;
    case Action::kWrongType:
      push->type_url = fault.as_url.empty() ? url_of("ECDS") : fault.as_url;
      break;
    case Action::kWrongContent:
      for (Push::Item& item : push->items) {
        item.type_url = fault.as_url.empty() ? url_of("ECDS") : fault.as_url;
      }
      break;
    default:
      break;
  }
}

}  // namespace sluice::mock_cp
