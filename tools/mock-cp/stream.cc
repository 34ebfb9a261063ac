#include "tools/mock-cp/stream.h"

#include <envoy/service/discovery/v3/discovery.pb.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <algorithm>

#include "base/text.h"
#include "tools/mock-cp/types.h"

namespace sluice::mock_cp {
namespace {

constexpr uint32_t kPaddingTag = (1000 << 3) | 2;  // field 1000, length-delimited

// Maps have no order of their own.
std::string same_bytes_for_same(const google::protobuf::MessageLite& message) {
  std::string bytes;
  google::protobuf::io::StringOutputStream stream(&bytes);
  google::protobuf::io::CodedOutputStream coded(&stream);
  coded.SetSerializationDeterministic(true);
  message.SerializeToCodedStream(&coded);
  coded.Trim();
  return bytes;
}

template <typename Response>
std::string finish(Response& out, const Push& push) {
  out.set_type_url(push.type_url);
  out.set_nonce(push.nonce);
  out.mutable_control_plane()->set_identifier("mock-cp");
  std::string bytes = out.SerializeAsString();
  if (push.padding == 0) return bytes;
  google::protobuf::io::StringOutputStream stream(&bytes);
  google::protobuf::io::CodedOutputStream coded(&stream);
  coded.WriteTag(kPaddingTag);
  coded.WriteVarint64(push.padding);
  coded.Trim();
  bytes.append(push.padding, 'x');
  return bytes;
}

}  // namespace

std::string_view text_of(Heard::Kind kind) noexcept {
  switch (kind) {
    case Heard::Kind::kSubscribe:
      return "subscribe";
    case Heard::Kind::kAck:
      return "ack";
    case Heard::Kind::kNack:
      return "nack";
    case Heard::Kind::kDropped:
      return "dropped";
    case Heard::Kind::kGarbage:
      return "garbage";
  }
  return "?";
}

std::string encode(const Push& push) {
  const auto fill = [](const Push::Item& item, google::protobuf::Any* any) {
    any->set_type_url(item.type_url);
    any->set_value(item.bytes);
  };
  if (!push.delta) {
    envoy::service::discovery::v3::DiscoveryResponse out;
    out.set_version_info(push.version);
    for (const Push::Item& item : push.items) fill(item, out.add_resources());
    return finish(out, push);
  }
  envoy::service::discovery::v3::DeltaDiscoveryResponse out;
  out.set_system_version_info(push.version);
  for (const Push::Item& item : push.items) {
    auto& resource = *out.add_resources();
    resource.set_name(item.name);
    resource.set_version(item.version);
    for (const std::string& alias : item.aliases) resource.add_aliases(alias);
    if (item.has_body) fill(item, resource.mutable_resource());
  }
  for (const std::string& name : push.removed) out.add_removed_resources(name);
  return finish(out, push);
}

void Nonces::sent(std::string nonce, std::string version) {
  open_.emplace_back(std::move(nonce), std::move(version));
  if (open_.size() > kMost) open_.pop_front();
}

Nonces::Verdict Nonces::take(std::string_view nonce, std::string* version) {
  const auto it = std::find_if(open_.begin(), open_.end(),
                               [nonce](const auto& entry) { return entry.first == nonce; });
  if (it == open_.end()) {
    return answered_any_ && answered_ == nonce ? Verdict::kRepeated : Verdict::kOther;
  }
  *version = it->second;
  answered_ = nonce;
  answered_any_ = true;
  open_.erase(open_.begin(), it + 1);
  return Verdict::kAnswer;
}

bool Nonces::waits_for(std::string_view nonce) const {
  return std::any_of(open_.begin(), open_.end(),
                     [nonce](const auto& entry) { return entry.first == nonce; });
}

void Nonces::forget(std::string_view nonce) {
  std::erase_if(open_, [nonce](const auto& entry) { return entry.first == nonce; });
}

void Nonces::rename(std::string_view nonce, std::string_view told) {
  for (auto& entry : open_) {
    if (entry.first == nonce) entry.first = told;
  }
}

void Stream::dropped(const Push& push) { nonces_of(push.type_url).forget(push.nonce); }

void Stream::repeated(const Push& push) { nonces_of(push.type_url).sent(push.nonce, push.version); }

void Stream::renamed(const Push& push, std::string_view told) {
  nonces_of(push.type_url).rename(push.nonce, told);
}

std::string Stream::new_nonce() {
  nonce_ = base::cat(id_, "-", ++num_nonces_);
  return nonce_;
}

bool Stream::take_type(const std::string& type_url, Heard& heard) const {
  heard.type_url = type_url.empty() ? only_type_ : type_url;
  if (heard.type_url.empty()) heard.problems.emplace_back("no_type: a request without type_url");
  if (!only_type_.empty() && heard.type_url != only_type_) {
    heard.problems.push_back(base::cat("wrong_type: a request for ", short_name(type_url),
                                       " on the stream of ", short_name(only_type_)));
    return false;
  }
  return !heard.type_url.empty();
}

void Stream::take_node(const envoy::config::core::v3::Node* node, Heard& heard) {
  const bool first = !std::exchange(any_request_, true);
  if (!node) {
    if (first) heard.problems.emplace_back("no_node: the first request of a stream has no node");
    return;
  }
  heard.node = same_bytes_for_same(*node);
  if (!first && !node_.empty() && heard.node != node_) {
    heard.problems.emplace_back("node_changed: the node differs from the one of the first request");
  }
  if (first) node_ = heard.node;
  if (!node->id().empty()) node_id_ = node->id();
}

void Stream::judge_nonce(Nonces& nonces, bool has_error, bool repeats, Heard& heard) const {
  switch (nonces.take(heard.nonce, &heard.version)) {
    case Nonces::Verdict::kAnswer:
      heard.kind = has_error ? Heard::Kind::kNack : Heard::Kind::kAck;
      if (has_error && heard.error.empty()) {
        heard.problems.emplace_back("empty_error: a NACK whose error_detail has no message");
      }
      return;
    case Nonces::Verdict::kRepeated:
      if (repeats) {
        heard.problems.push_back(base::cat("duplicate_ack: ", short_name(heard.type_url),
                                           " answers ", heard.nonce, " again"));
      }
      return;
    case Nonces::Verdict::kOther:
      break;
  }
  if (excused_.contains(heard.nonce)) return;
  heard.kind = Heard::Kind::kDropped;
  const std::string own = base::cat(id_, "-");
  if (!heard.nonce.starts_with(own)) {
    heard.problems.push_back(base::cat("unknown_nonce: ", short_name(heard.type_url), " answers \"",
                                       heard.nonce, "\", which was never sent on this stream"));
  }
}

}  // namespace sluice::mock_cp
