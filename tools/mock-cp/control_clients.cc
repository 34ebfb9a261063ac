// The pages about clients: what they did, waiting for it, and whether it was right.

#include <algorithm>
#include <charconv>
#include <chrono>
#include <optional>

#include "admin/json.h"
#include "base/text.h"
#include "tools/mock-cp/control.h"
#include "tools/mock-cp/expected_names.h"
#include "tools/mock-cp/types.h"

namespace sluice::mock_cp {
namespace {

using admin::Json;

constexpr int64_t kUsualWaitMs = 10'000;
constexpr int64_t kLongestWaitMs = 600'000;
constexpr int64_t kUsualEvents = 100;

int64_t number_of(std::string_view text, int64_t otherwise) {
  int64_t value = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
  return text.empty() || parsed.ec != std::errc() ? otherwise : value;
}

int64_t milliseconds_of(std::chrono::system_clock::time_point at) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(at.time_since_epoch()).count();
}

void write_type(const Journal::TypeRecord& type, Json* json) {
  json->open_object().key("wildcard").boolean(type.names.wildcard);
  json->key("names").open_list();
  for (const std::string& name : type.names.names) json->text(name);
  json->close_list();
  json->key("requests").number(type.num_requests).key("pushes").number(type.num_pushes);
  json->key("acks").number(type.num_acks).key("nacks").number(type.num_nacks);
  json->key("pushed").text(type.pushed).key("acked").text(type.acked);
  json->key("nacked").text(type.nacked).key("error").text(type.error).close_object();
}

void write_event(const Journal::Event& event, Json* json) {
  json->open_object().key("at_ms").number(milliseconds_of(event.at));
  json->key("kind").text(event.kind).key("type").text(short_name(event.type_url));
  json->key("version").text(event.version).key("nonce").text(event.nonce);
  json->key("count").number(event.num);
  if (!event.error.empty()) json->key("error").text(event.error);
  json->close_object();
}

void write_stream(uint64_t id, const Journal::StreamRecord& record, size_t most_events,
                  Json* json) {
  json->open_object().key("id").number(id).key("node").text(record.node_id);
  json->key("peer").text(record.peer).key("method").text(record.method);
  json->key("open").boolean(record.open);
  json->key("types").open_object();
  for (const auto& [url, type] : record.types) {
    json->key(short_name(url));
    write_type(type, json);
  }
  json->close_object();
  json->key("problems").open_list();
  for (const std::string& problem : record.problems) json->text(problem);
  json->close_list().key("events").open_list();
  const size_t skipped = record.events.size() - std::min(record.events.size(), most_events);
  for (size_t i = skipped; i < record.events.size(); ++i) write_event(record.events[i], json);
  json->close_list().close_object();
}

// What a /wait waits for.
struct Condition {
  enum class As : uint8_t { kAck, kNack, kAnswer };
  std::string node;
  std::string type_url;
  std::string version;
  As as = As::kAck;
  std::optional<std::set<std::string>> names;
  int64_t streams = -1;
};

bool has_version(const std::string& have, const std::string& wanted) {
  // "7+" is 7 while clusters that are gone are still there.
  const bool whole = !have.empty() && have.back() >= '0' && have.back() <= '9';
  return have == wanted || (whole && number_of(have, -1) >= number_of(wanted, 1LL << 62));
}

bool fulfils(const Journal::TypeRecord& type, const Condition& wanted) {
  if (wanted.names) {
    const Names& names = type.names;
    return std::all_of(wanted.names->begin(), wanted.names->end(),
                       [&names](const std::string& name) { return names.has(name); });
  }
  using As = Condition::As;
  return (wanted.as != As::kNack && has_version(type.acked, wanted.version)) ||
         (wanted.as != As::kAck && has_version(type.nacked, wanted.version));
}

bool holds(const Journal::Streams& streams, const Condition& wanted) {
  int64_t num_open = 0;
  for (const auto& [id, record] : streams) {
    if (!record.open || (!wanted.node.empty() && record.node_id != wanted.node)) continue;
    ++num_open;
    const auto type = record.types.find(wanted.type_url);
    if (wanted.streams < 0 && type != record.types.end() && fulfils(type->second, wanted)) {
      return true;
    }
  }
  return wanted.streams >= 0 && num_open == wanted.streams;
}

std::set<std::string> split(std::string_view list) {
  std::set<std::string> out;
  while (!list.empty()) {
    const std::string_view item = list.substr(0, list.find(','));
    list.remove_prefix(std::min(list.size(), item.size() + 1));
    if (!item.empty()) out.emplace(item);
  }
  return out;
}

absl::Status read_version(const Snapshot& snapshot, const admin::Request& request, Condition* out) {
  const Snapshot::TypeState* held = snapshot.find(out->type_url);
  const std::string_view version = request.value("version");
  if (version == "current" && !held) return base::config_error("type: nothing of it is served");
  out->version = version == "current" ? held->version : std::string(version);
  const std::string_view as = request.value("as");
  if (as == "nack") {
    out->as = Condition::As::kNack;
  } else if (as == "answer") {
    out->as = Condition::As::kAnswer;
  } else if (!as.empty() && as != "ack") {
    return base::config_error("as: expected ack, nack or answer: ", as);
  }
  return absl::OkStatus();
}

absl::StatusOr<Condition> read_condition(const Snapshot& snapshot, const admin::Request& request) {
  Condition out;
  out.node = request.value("node");
  if (request.has("streams")) {
    out.streams = number_of(request.value("streams"), 0);
    return out;
  }
  out.type_url = url_of(request.value("type"));
  if (out.type_url.empty()) return base::config_error("type: unknown: ", request.value("type"));
  if (request.has("names")) {
    const std::string_view names = request.value("names");
    out.names = names == "complete" ? expected_names(snapshot, out.type_url) : split(names);
    return out;
  }
  if (!request.has("version")) return base::config_error("version, names or streams: is missing");
  if (absl::Status status = read_version(snapshot, request, &out); !status.ok()) return status;
  return out;
}

}  // namespace

HttpServer::Response Control::clients(const Request& request) {
  const std::string_view node = request.head.value("node");
  const bool open_only = request.head.value("open") == "true";
  const auto events = static_cast<size_t>(
      std::max<int64_t>(0, number_of(request.head.value("events"), kUsualEvents)));
  Json json;
  json.open_list();
  server_.journal().read([&](const Journal::Streams& streams) {
    for (const auto& [id, record] : streams) {
      if ((!node.empty() && record.node_id != node) || (open_only && !record.open)) continue;
      write_stream(id, record, events, &json);
    }
  });
  json.close_list();
  return {200, json.take() + "\n"};
}

HttpServer::Response Control::wait(const Request& request) {
  const auto wanted = read_condition(*store_.current(), request.head);
  Json json;
  json.open_object();
  if (!wanted.ok()) {
    json.key("error").text(base::message_of(wanted.status())).close_object();
    return {400, json.take() + "\n"};
  }
  const int64_t longest = std::clamp<int64_t>(
      number_of(request.head.value("timeout_ms"), kUsualWaitMs), 0, kLongestWaitMs);
  const auto begun = std::chrono::steady_clock::now();
  const bool held = server_.journal().wait(
      begun + std::chrono::milliseconds(longest),
      [&wanted](const Journal::Streams& streams) { return holds(streams, *wanted); });
  const auto waited = std::chrono::steady_clock::now() - begun;
  json.key("holds").boolean(held).key("version").text(wanted->version);
  json.key("waited_ms")
      .number(std::chrono::duration_cast<std::chrono::milliseconds>(waited).count());
  json.close_object();
  return {held ? 200 : 408, json.take() + "\n"};
}

HttpServer::Response Control::check(const Request& request) {
  const std::string_view node = request.head.value("node");
  bool good = true;
  Json json;
  json.open_object().key("problems").open_list();
  server_.journal().read([&](const Journal::Streams& streams) {
    for (const auto& [id, record] : streams) {
      if (!node.empty() && record.node_id != node) continue;
      for (const std::string& problem : record.problems) {
        json.text(base::cat("stream ", id, ", node ", record.node_id, ": ", problem));
        good = false;
      }
    }
  });
  json.close_list().close_object();
  return {good ? 200 : 409, json.take() + "\n"};
}

}  // namespace sluice::mock_cp
