// MessageReader fills a protobuf message from a YAML tree, walking both together.
//
// For one document and one call; borrows all it is given. Recursion is bounded by kMaxDepth, work
// by kMaxNodes (aliases can make a small file large). yaml.h says what it accepts and how errors
// read.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "xds/warnings.h"
#include "xds/yaml.h"
#include "xds/yaml_tree.h"

namespace google::protobuf {
class Any;
class Descriptor;
class FieldDescriptor;
class Struct;
class Value;
}  // namespace google::protobuf

namespace sluice::xds {

class MessageReader {
 public:
  static constexpr int kMaxDepth = 90;  // protobuf itself reads 100
  static constexpr uint64_t kMaxNodes = 20'000'000;

  MessageReader(const YamlTree& tree, const YamlDocument::Options& options, Warnings* warnings)
      : tree_(tree), options_(options), warnings_(warnings) {}

  absl::Status read(const YamlNode& node, google::protobuf::Message* out);

 private:
  using Field = google::protobuf::FieldDescriptor;
  using Message = google::protobuf::Message;

  // Where we are, as a list on the stack; becomes text only for an error.
  struct At {
    const At* parent = nullptr;
    std::string_view name;  // empty: an element or an entry
    int index = -1;
    std::string_view key;  // of a map's entry
    int depth = 0;
    std::string str() const;
  };
  static At below(const At& at, std::string_view name) { return {&at, name, -1, {}, at.depth + 1}; }

  absl::Status message(const YamlNode& node, Message* out, const At& at);
  absl::Status fields(const YamlNode& node, Message* out, const At& at, bool in_any);
  absl::Status field(const YamlNode& node, const Field& field, Message* out, const At& at);
  absl::Status one(const YamlNode& node, const Field& field, Message* out, const At& at);
  absl::Status list(const YamlNode& node, const Field& field, Message* out, const At& at);
  absl::Status map(const YamlNode& node, const Field& field, Message* out, const At& at);
  absl::Status scalar(const YamlNode& node, const Field& field, Message* out, const At& at);
  absl::Status number(const YamlNode& node, const Field& field, Message* out, const At& at);
  absl::Status enumeration(const YamlNode& node, const Field& field, Message* out, const At& at);
  // True when `out` is of a type with a spelling of its own.
  bool well_known(const YamlNode& node, Message* out, const At& at, absl::Status* status);
  absl::Status any(const YamlNode& node, google::protobuf::Any* out, const At& at);
  absl::Status structure(const YamlNode& node, google::protobuf::Struct* out, const At& at);
  absl::Status value(const YamlNode& node, google::protobuf::Value* out, const At& at);
  absl::Status unknown(const YamlNode::Entry& entry, const google::protobuf::Descriptor& type,
                       const At& at);
  absl::Status enter(const YamlNode& node, const At& at);
  absl::Status fail(YamlPlace place, const At& at, std::string_view problem) const;

  const YamlTree& tree_;
  const YamlDocument::Options& options_;
  Warnings* warnings_;
  uint64_t nodes_ = 0;
};

// The name in `type` that `name` was probably meant to be; empty: none is near.
std::string nearest_field(const google::protobuf::Descriptor& type, std::string_view name);

}  // namespace sluice::xds
