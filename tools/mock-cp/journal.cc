#include "tools/mock-cp/journal.h"

#include <envoy/config/core/v3/base.pb.h>

#include <algorithm>
#include <utility>

namespace sluice::mock_cp {

uint64_t Journal::opened(std::string_view peer, std::string_view method) {
  const std::lock_guard lock(mutex_);
  StreamRecord& record = streams_[++last_id_];
  record.peer = peer;
  record.method = method;
  record.node_id = "?";
  changed_.notify_all();
  return last_id_;
}

void Journal::closed(uint64_t id) {
  const std::lock_guard lock(mutex_);
  if (const auto it = streams_.find(id); it != streams_.end()) it->second.open = false;
  size_t num_closed = 0;
  for (const auto& [other, record] : streams_) num_closed += record.open ? 0 : 1;
  for (auto it = streams_.begin(); it != streams_.end() && num_closed > kMostClosed;) {
    num_closed -= it->second.open ? 0 : 1;
    it = it->second.open ? std::next(it) : streams_.erase(it);
  }
  changed_.notify_all();
}

void Journal::add_event(StreamRecord& record, Event event) {
  event.at = std::chrono::system_clock::now();
  record.events.push_back(std::move(event));
  if (record.events.size() > kMostEvents) record.events.pop_front();
  changed_.notify_all();
}

void Journal::heard(uint64_t id, const Heard& heard) {
  const std::lock_guard lock(mutex_);
  const auto it = streams_.find(id);
  if (it == streams_.end()) return;
  StreamRecord& record = it->second;
  if (!heard.node.empty() && heard.node != record.node) {
    record.node = heard.node;
    envoy::config::core::v3::Node node;
    if (node.ParseFromString(heard.node)) record.node_id = node.id();
  }
  for (const std::string& problem : heard.problems) {
    if (++num_problems_ <= kMostProblems) record.problems.push_back(problem);
  }
  if (!heard.type_url.empty()) {
    TypeRecord& type = record.types[heard.type_url];
    ++type.num_requests;
    if (heard.names_changed) type.names = heard.names;
    if (heard.kind == Heard::Kind::kAck) {
      ++type.num_acks;
      type.acked = heard.version;
    } else if (heard.kind == Heard::Kind::kNack) {
      ++type.num_nacks;
      type.nacked = heard.version;
      type.error = heard.error;
    }
  }
  const size_t num = heard.names_changed ? heard.names.names.size() : 0;
  add_event(
      record,
      {{}, text_of(heard.kind), heard.type_url, heard.version, heard.nonce, heard.error, num});
}

void Journal::pushed(uint64_t id, const Push& push) {
  const std::lock_guard lock(mutex_);
  const auto it = streams_.find(id);
  if (it == streams_.end()) return;
  TypeRecord& type = it->second.types[push.type_url];
  ++type.num_pushes;
  type.pushed = push.version;
  add_event(it->second, {{},
                         "push",
                         push.type_url,
                         push.version,
                         push.nonce,
                         "",
                         push.items.size() + push.removed.size()});
}

void Journal::reset() {
  const std::lock_guard lock(mutex_);
  std::erase_if(streams_, [](const auto& entry) { return !entry.second.open; });
  for (auto& [id, record] : streams_) {
    record.events.clear();
    record.problems.clear();
    for (auto& [url, type] : record.types) {
      type.num_requests = type.num_pushes = type.num_acks = type.num_nacks = 0;
    }
  }
  num_problems_ = 0;
}

bool Journal::wait(std::chrono::steady_clock::time_point deadline,
                   const std::function<bool(const Streams&)>& condition) {
  std::unique_lock lock(mutex_);
  changed_.wait_until(lock, deadline, [&] { return stopped_ || condition(streams_); });
  return condition(streams_);
}

void Journal::read(const std::function<void(const Streams&)>& reader) const {
  const std::lock_guard lock(mutex_);
  reader(streams_);
}

void Journal::stop() {
  const std::lock_guard lock(mutex_);
  stopped_ = true;
  changed_.notify_all();
}

}  // namespace sluice::mock_cp
