#include "tools/mock-cp/control.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <charconv>
#include <memory>
#include <utility>

#include "admin/json.h"
#include "base/text.h"
#include "tools/mock-cp/folder.h"
#include "tools/mock-cp/types.h"

namespace sluice::mock_cp {
namespace {

using admin::Json;
using http::Method;
using Response = HttpServer::Response;

Response fail(int status, std::string_view problem) {
  Json json;
  json.open_object().key("error").text(problem).close_object();
  return {status, json.take() + "\n"};
}

Response answer(Json& json) { return {200, json.take() + "\n"}; }

// Versions of all types.
Response answer(const Snapshot& snapshot) {
  Json json;
  json.open_object().key("versions").open_object();
  for (const auto& [url, state] : snapshot.types) json.key(short_name(url)).text(state.version);
  json.close_object().close_object();
  return answer(json);
}

Response answer(const absl::StatusOr<Store::Snapshots>& result) {
  if (result.ok()) return answer(**result);
  const std::string_view problem = base::message_of(result.status());
  return fail(problem.ends_with("is not there") ? 404 : 400, problem);
}

bool reads(Method method) { return method == Method::kGet || method == Method::kHead; }

std::unique_ptr<google::protobuf::Message> parse(std::string_view type_url,
                                                 const std::string& bytes) {
  const std::string full(type_url.substr(type_url.rfind('/') + 1));
  const auto* type =
      google::protobuf::DescriptorPool::generated_pool()->FindMessageTypeByName(full);
  if (!type) return nullptr;
  std::unique_ptr<google::protobuf::Message> message(
      google::protobuf::MessageFactory::generated_factory()->GetPrototype(type)->New());
  return message->ParseFromString(bytes) ? std::move(message) : nullptr;
}

bool is_raw(std::string_view content_type) {
  return content_type.starts_with("application/octet-stream") ||
         content_type.starts_with("application/x-protobuf");
}

uint64_t number_of(std::string_view text) {
  uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

}  // namespace

const std::vector<Control::Page>& Control::pages() {
  static const std::vector<Page> kPages = {
      {"/resources",
       "GET: all, or /resources/TYPE/NAME as JSON. PUT: the files' formats, or with "
       "/TYPE/NAME one resource (protobuf bytes as application/octet-stream, any). "
       "PATCH, DELETE /resources/TYPE/NAME",
       &Control::resources},
      {"/touch", "POST ?type=CDS: the same resources under a new version", &Control::touch},
      {"/faults", "GET. POST ?action=delay&type=EDS&ms=500&count=3. DELETE [?id=N]",
       &Control::faults},
      {"/streams", "DELETE [?node=ID&id=N&type=EDS&status=14]: ends them", &Control::streams},
      {"/clients", "GET [?node=ID&open=true&events=N]: streams, subscriptions, ACKs and NACKs",
       &Control::clients},
      {"/wait",
       "GET ?type=CDS&version=N|current&as=ack|nack|answer, ?type=EDS&names=a,b|complete, "
       "or ?streams=N; [&node=ID&timeout_ms=10000]",
       &Control::wait},
      {"/check", "GET [?node=ID]: 409 and what clients did that they must not", &Control::check},
      {"/loads", "GET: sums of what clients reported of their load. DELETE: forgets them",
       &Control::loads},
      {"/reset", "POST: back to the files; no faults, no history", &Control::reset},
  };
  return kPages;
}

HttpServer::Response Control::handle(const Request& request) {
  const std::string& path = request.head.path;
  for (const Page& page : pages()) {
    const bool below = path.size() > page.path.size() && path[page.path.size()] == '/';
    if (path.starts_with(page.path) && (path.size() == page.path.size() || below)) {
      return (this->*page.show)(request);
    }
  }
  return path == "/" ? show_help(request) : fail(404, base::cat("no such path: ", path));
}

HttpServer::Response Control::show_help(const Request&) {
  std::string text = "mock-cp\n";
  for (const Page& page : pages()) base::cat_to(text, page.path, "  ", page.help, "\n");
  return {200, std::move(text), "text/plain; charset=UTF-8"};
}

// "/resources/TYPE/NAME"; a name may have slashes.
bool Control::read_target(std::string_view path, Target* out) {
  path.remove_prefix(std::string_view("/resources/").size());
  const size_t slash = path.find('/');
  if (slash == path.npos || slash + 1 == path.size()) return false;
  admin::Request decoded;
  admin::parse_params(base::cat("name=", path.substr(slash + 1)), &decoded);
  *out = {url_of(path.substr(0, slash)), std::string(decoded.value("name"))};
  return !out->type_url.empty();
}

HttpServer::Response Control::resources(const Request& request) {
  const std::string_view path = request.head.path;
  if (path.size() <= std::string_view("/resources/").size()) {
    if (reads(request.head.method)) return list_resources(request);
    if (request.head.method == Method::kPut) return set_resources(request);
    return fail(405, "GET or PUT, or name a resource: /resources/TYPE/NAME");
  }
  Target target;
  if (!read_target(path, &target)) return fail(404, "expected /resources/TYPE/NAME");
  return one_resource(request, target);
}

HttpServer::Response Control::list_resources(const Request& request) {
  const auto snapshot = store_.current();
  const std::string wanted = url_of(request.head.value("type"));
  Json json;
  json.open_object();
  for (const auto& [url, state] : snapshot->types) {
    if (!wanted.empty() && url != wanted) continue;
    json.key(short_name(url)).open_object().key("version").text(state.version);
    json.key("resources").open_object();
    for (const auto& [name, entry] : state.resources) {
      json.key(name).open_object().key("version").text(entry.version);
      json.key("origin").text(entry.origin).close_object();
    }
    json.close_object().close_object();
  }
  json.close_object();
  return answer(json);
}

HttpServer::Response Control::one_resource(const Request& request, const Target& target) {
  switch (request.head.method) {
    case Method::kGet:
    case Method::kHead:
      return show_resource(target);
    case Method::kPut:
      return set_resource(request, target);
    case Method::kPatch:
      return answer(store_.patch(target.type_url, target.name, request.body));
    case Method::kDelete:
      return answer(store_.erase(target.type_url, target.name));
    default:
      return fail(405, "GET, PUT, PATCH or DELETE");
  }
}

HttpServer::Response Control::show_resource(const Target& target) {
  const auto snapshot = store_.current();
  const Snapshot::TypeState* held = snapshot->find(target.type_url);
  const auto found =
      held ? held->resources.find(target.name) : ResourceSet::ByName::const_iterator();
  if (!held || found == held->resources.end()) return fail(404, "no such resource");
  const auto message = parse(target.type_url, found->second.bytes);
  std::string json;
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  options.preserve_proto_field_names = true;
  if (!message || !google::protobuf::util::MessageToJsonString(*message, &json, options).ok()) {
    return fail(400, "cannot be read as its type: it was set as bytes");
  }
  return {200, std::move(json)};
}

HttpServer::Response Control::set_resource(const Request& request, const Target& target) {
  if (is_raw(request.content_type)) {
    return answer(store_.set_raw(target.type_url, target.name, request.body));
  }
  const std::string_view full =
      std::string_view(target.type_url).substr(target.type_url.rfind('/') + 1);
  const auto bytes = read_message(request.body, "body", full);
  if (!bytes.ok()) return fail(400, base::message_of(bytes.status()));
  return answer(store_.set_raw(target.type_url, target.name, *bytes));
}

HttpServer::Response Control::set_resources(const Request& request) {
  auto resources = read_resources(request.body, "body");
  if (!resources.ok()) return fail(400, base::message_of(resources.status()));
  for (auto& [url, by_name] : resources->types) {
    for (auto& [name, entry] : by_name) entry.origin = "set";
  }
  return answer(store_.set(*resources));
}

HttpServer::Response Control::touch(const Request& request) {
  if (request.head.method != Method::kPost) return fail(405, "POST");
  const std::string url = url_of(request.head.value("type"));
  if (url.empty()) return fail(400, "type: unknown");
  return answer(store_.touch(url));
}

HttpServer::Response Control::faults(const Request& request) {
  Json json;
  if (request.head.method == Method::kPost) {
    Fault fault;
    if (!request.head.has("action")) return fail(400, "action: is missing");
    for (const auto& [key, value] : request.head.params) {
      const absl::Status status = set_fault_field(key, value, &fault);
      if (!status.ok()) return fail(400, base::message_of(status));
    }
    json.open_object().key("id").number(server_.faults().add(std::move(fault))).close_object();
    return answer(json);
  }
  if (request.head.method == Method::kDelete) {
    const bool one = request.head.has("id");
    if (!one) server_.faults().clear();
    if (one && !server_.faults().remove(number_of(request.head.value("id")))) {
      return fail(404, "no such fault");
    }
  }
  json.open_object();
  for (const auto& [id, fault] : server_.faults().all()) {
    json.key(std::to_string(id)).open_object().key("what").text(describe(fault));
    json.key("count").number(fault.count).close_object();
  }
  json.close_object();
  return answer(json);
}

HttpServer::Response Control::streams(const Request& request) {
  if (request.head.method != Method::kDelete) return fail(405, "DELETE");
  StreamFilter filter = {number_of(request.head.value("id")),
                         std::string(request.head.value("node")),
                         url_of(request.head.value("type"))};
  const int status =
      request.head.has("status") ? static_cast<int>(number_of(request.head.value("status"))) : 14;
  Json json;
  json.open_object().key("closed").number(server_.close_streams(filter, status)).close_object();
  return answer(json);
}

HttpServer::Response Control::loads(const Request& request) {
  if (request.head.method == Method::kDelete) server_.loads().clear();
  if (request.head.method != Method::kDelete && !reads(request.head.method)) {
    return fail(405, "GET or DELETE");
  }
  Json json;
  const auto list = [&json](std::string_view key, const auto& by_name) {
    json.key(key).open_object();
    for (const auto& [name, sums] : by_name) {
      json.key(name).open_object().key("issued").number(sums.issued);
      json.key("successful").number(sums.successful).key("error").number(sums.error);
      json.key("in_progress").number(sums.in_progress).close_object();
    }
    json.close_object();
  };
  json.open_object().key("reports").number(server_.loads().reports());
  json.key("clusters").open_object();
  for (const auto& [name, cluster] : server_.loads().clusters()) {
    json.key(name).open_object().key("reports").number(cluster.reports);
    json.key("dropped").number(cluster.dropped);
    list("localities", cluster.localities);
    list("endpoints", cluster.endpoints);
    json.close_object();
  }
  json.close_object().close_object();
  return answer(json);
}

HttpServer::Response Control::reset(const Request& request) {
  if (request.head.method != Method::kPost) return fail(405, "POST");
  server_.faults().clear();
  server_.journal().reset();
  return answer(*store_.reset());
}

}  // namespace sluice::mock_cp
