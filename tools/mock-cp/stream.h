#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tools/mock-cp/resource_set.h"
#include "tools/mock-cp/types.h"

namespace envoy::config::core::v3 {
class Node;
}

namespace sluice::mock_cp {

// What both protocols share: what a client says in a request, what it is sent, and Stream, the
// server's side of one client's stream without I/O and threads. Requests go in, responses come
// out of next(). sotw_stream.h and delta_stream.h are the two kinds.

struct Names {
  bool wildcard = false;
  std::set<std::string, std::less<>> names;

  bool has(std::string_view name) const { return wildcard || names.contains(name); }
  bool empty() const { return !wildcard && names.empty(); }
  bool operator==(const Names&) const = default;
};

// One request, understood.
struct Heard {
  enum class Kind : uint8_t {
    kSubscribe,  // says what is wanted, answers nothing
    kAck,
    kNack,
    kDropped,  // answers something old or unknown: ignored, as go-control-plane does
    kGarbage,  // is no request
  };
  Kind kind = Kind::kSubscribe;
  std::string type_url;
  std::string version;  // of the response that is answered
  std::string nonce;
  std::string error;  // of a NACK
  std::string node;   // serialised, if it came
  bool names_changed = false;
  Names names;  // now wanted, if they changed
  // What a client must not do: "code: what happened". docs/mock_cp.md lists the codes.
  std::vector<std::string> problems;
};

std::string_view text_of(Heard::Kind kind) noexcept;

// A response in plain values.
struct Push {
  struct Item {
    std::string name;
    std::string version;
    std::string type_url;
    std::string bytes;
    std::vector<std::string> aliases;
    bool has_body = true;
  };
  bool delta = false;
  std::string type_url;
  std::string version;
  std::string nonce;
  std::vector<Item> items;
  std::vector<std::string> removed;  // delta only
  size_t padding = 0;                // bytes of an unknown field
};

// As a DiscoveryResponse or a DeltaDiscoveryResponse.
std::string encode(const Push& push);

// The responses of one type that wait for an answer, oldest first.
class Nonces {
 public:
  enum class Verdict : uint8_t {
    kAnswer,    // of one that waits; those before it are answered with it
    kRepeated,  // the nonce that was answered last
    kOther,
  };
  static constexpr size_t kMost = 1000;

  void sent(std::string nonce, std::string version);
  // `version`: of the response that is answered.
  Verdict take(std::string_view nonce, std::string* version);
  void forget(std::string_view nonce);
  void rename(std::string_view nonce, std::string_view told);
  bool waiting() const { return !open_.empty(); }
  bool waits_for(std::string_view nonce) const;
  bool answered() const { return answered_any_; }

 private:
  std::deque<std::pair<std::string, std::string>> open_;
  std::string answered_;
  bool answered_any_ = false;
};

class Stream {
 public:
  // `type_url`: the only type, empty on ADS.
  Stream(std::string id, std::string type_url)
      : id_(std::move(id)), only_type_(std::move(type_url)) {}
  virtual ~Stream() = default;
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  virtual Heard hear(std::string_view request) = 0;
  // The next response that is due under this snapshot, if any. One of a type at a time: the next
  // waits for its answer.
  virtual bool next(const std::shared_ptr<const Snapshot>& snapshot, Push* out) = 0;
  // Sends all of the type once more.
  virtual void forget(std::string_view type_url) = 0;

  // What faults do to a response after next(): an answer to it is understood for what it is.
  void dropped(const Push& push);                         // it was not sent: await no answer
  void repeated(const Push& push);                        // it is sent once more
  void renamed(const Push& push, std::string_view told);  // under another nonce
  void excused(std::string_view nonce) { excused_.insert(std::string(nonce)); }

  const std::string& node_id() const noexcept { return node_id_; }
  const std::string& last_nonce() const noexcept { return nonce_; }
  std::string new_nonce();

 protected:
  virtual Nonces& nonces_of(std::string_view type_url) = 0;

  // What both kinds of requests say. False: there is no type to go on with.
  template <typename Request>
  bool begin(std::string_view bytes, std::string_view kind, Request& request, Heard& heard) {
    if (!request.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
      heard.kind = Heard::Kind::kGarbage;
      heard.problems.push_back("garbage: not a " + std::string(kind));
      return false;
    }
    take_node(request.has_node() ? &request.node() : nullptr, heard);
    if (!take_type(request.type_url(), heard)) return false;
    heard.nonce = request.response_nonce();
    heard.error = request.error_detail().message();
    return true;
  }
  // The states of a stream's types by the order in which they are sent.
  template <typename States>
  static std::vector<typename States::value_type*> in_order(States& states) {
    std::vector<typename States::value_type*> order;
    for (auto& entry : states) order.push_back(&entry);
    std::stable_sort(order.begin(), order.end(),
                     [](auto* a, auto* b) { return rank_of(a->first) < rank_of(b->first); });
    return order;
  }
  // Whether listeners and routes are what the snapshot says, so that clusters may go. `changed`:
  // whether a type, by URL and state, has something to send.
  template <typename States, typename Changed>
  static bool routes_settled(const States& states, Changed changed) {
    return std::none_of(states.begin(), states.end(), [&](const auto& entry) {
      const auto& [url, state] = entry;
      return stage_of(url) == Stage::kRoutes && (state.nonces.waiting() || changed(url, state));
    });
  }

  bool take_type(const std::string& type_url, Heard& heard) const;
  void take_node(const envoy::config::core::v3::Node* node, Heard& heard);
  // Kind and version of a request with a nonce; `repeats`: it says nothing that the last one did
  // not say.
  void judge_nonce(Nonces& nonces, bool has_error, bool repeats, Heard& heard) const;

 private:
  const std::string id_;
  const std::string only_type_;
  std::string node_id_ = "?";
  std::string node_;
  bool any_request_ = false;
  uint64_t num_nonces_ = 0;
  std::string nonce_;
  std::set<std::string, std::less<>> excused_;
};

}  // namespace sluice::mock_cp
