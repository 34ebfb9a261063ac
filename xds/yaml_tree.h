// YamlTree is a YAML or JSON document as a tree that remembers where each thing was written.
//
// Built in one pass from yaml-cpp's events (its own Node forgets the place of keys and does not
// notice duplicate ones), or from a protobuf Struct, which has no places. Aliases share their
// anchor's node, so a small file stays small; who walks the tree bounds its steps.
// Immutable once built; one thread builds, any may read.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"

namespace google::protobuf {
class Struct;
class Value;
}  // namespace google::protobuf

namespace sluice::xds {

struct YamlPlace {
  uint32_t line = 0;  // from 1; 0: unknown
  uint32_t column = 0;
};

struct YamlNode {
  enum class Kind : uint8_t { kNull, kScalar, kList, kMap };
  struct Entry {
    std::string key;  // empty in lists
    YamlPlace place;  // of the key
    const YamlNode* value = nullptr;
  };

  Kind kind = Kind::kNull;
  bool quoted = false;  // a scalar that can only be text
  YamlPlace place;
  std::string text;            // scalars
  std::vector<Entry> entries;  // lists and maps

  bool is_map() const { return kind == Kind::kMap; }
  bool is_list() const { return kind == Kind::kList; }
  bool is_scalar() const { return kind == Kind::kScalar; }
  bool is_null() const { return kind == Kind::kNull; }
  const Entry* find(std::string_view key) const;
};

class YamlTree {
 public:
  YamlTree() = default;
  YamlTree(const YamlTree&) = delete;
  YamlTree& operator=(const YamlTree&) = delete;

  // Errors: "FILE:LINE:COL: problem".
  absl::Status parse(std::string_view text, std::string_view file);
  void from_struct(const google::protobuf::Struct& value);

  const YamlNode& root() const { return *root_; }
  const std::string& file() const { return file_; }
  // "FILE:LINE:COL", "FILE", or empty.
  std::string where(YamlPlace place) const;

  YamlNode* add(YamlNode::Kind kind);
  void set_root(const YamlNode* root) { root_ = root; }

 private:
  const YamlNode* convert(const google::protobuf::Value& value);
  const YamlNode* convert(const google::protobuf::Struct& value);

  std::deque<YamlNode> nodes_;  // addresses stay
  const YamlNode* root_ = &kNothing;
  std::string file_;
  static const YamlNode kNothing;
};

// The same field in snake_case and camelCase.
bool same_field(std::string_view a, std::string_view b);

}  // namespace sluice::xds
