#include "xds/yaml_tree.h"

#include <google/protobuf/struct.pb.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <charconv>
#include <sstream>
#include <unordered_map>
#include <unordered_set>

#include "base/text.h"

namespace sluice::xds {
namespace {

using google::protobuf::Struct;
using google::protobuf::Value;
using Kind = YamlNode::Kind;

YamlPlace place_of(const YAML::Mark& mark) {
  if (mark.is_null()) return {};
  return {static_cast<uint32_t>(mark.line + 1), static_cast<uint32_t>(mark.column + 1)};
}

YamlPlace place_at(std::string_view text, size_t offset) {
  const std::string_view before = text.substr(0, offset);
  const size_t newline = before.rfind('\n');
  const auto line = std::count(before.begin(), before.end(), '\n');
  return {static_cast<uint32_t>(line + 1),
          static_cast<uint32_t>(newline == before.npos ? offset + 1 : offset - newline)};
}

// How many bytes of UTF-8 start at `i`; 0: none that are valid.
size_t utf8_length(std::string_view s, size_t i) {
  const auto byte = [&](size_t k) { return static_cast<uint8_t>(s[k]); };
  const uint8_t lead = byte(i);
  if (lead < 0x80) return 1;
  const size_t n = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || i + n > s.size()) return 0;
  for (size_t k = 1; k < n; ++k) {
    if ((byte(i + k) & 0xC0) != 0x80) return 0;
  }
  const uint8_t second = byte(i + 1);
  if ((lead == 0xE0 && second < 0xA0) || (lead == 0xED && second > 0x9F)) return 0;
  if ((lead == 0xF0 && second < 0x90) || (lead == 0xF4 && second > 0x8F)) return 0;
  return n;
}

// The offset of the first byte that has no place in a text file; npos: none.
size_t find_binary(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const auto c = static_cast<uint8_t>(text[i]);
    if ((c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0x7F) return i;
    const size_t n = utf8_length(text, i);
    if (n == 0) return i;
    i += n;
  }
  return std::string_view::npos;
}

// Builds the tree from yaml-cpp's events. The first error wins; events after it are ignored.
class Builder : public YAML::EventHandler {
 public:
  explicit Builder(YamlTree& tree) : tree_(tree) {}

  const absl::Status& status() const { return status_; }
  const YamlNode* root() const { return root_; }

  void OnDocumentStart(const YAML::Mark&) override { anchors_.clear(); }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    place(open(Kind::kNull, mark, anchor));
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end() || is_open(found->second)) {
      fail(place_of(mark), "an alias that refers to itself");
      return;
    }
    place(found->second);
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    YamlNode* node = open(Kind::kScalar, mark, anchor);
    node->text = value;
    node->quoted = tag == "!" || tag == "tag:yaml.org,2002:str";
    place(node);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    stack_.push_back({open(Kind::kList, mark, anchor), {}, {}, {}, false});
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    stack_.push_back({open(Kind::kMap, mark, anchor), {}, {}, {}, false});
  }
  void OnMapEnd() override { close(); }

 private:
  struct Open {
    YamlNode* node;
    std::string key;
    YamlPlace key_place;
    std::unordered_set<std::string> keys;
    bool has_key;
  };

  YamlNode* open(Kind kind, const YAML::Mark& mark, YAML::anchor_t anchor) {
    YamlNode* node = tree_.add(kind);
    node->place = place_of(mark);
    if (anchor != YAML::NullAnchor) anchors_[anchor] = node;
    return node;
  }

  bool is_open(const YamlNode* node) const {
    return std::any_of(stack_.begin(), stack_.end(), [&](const Open& o) { return o.node == node; });
  }

  void close() {
    const YamlNode* node = stack_.back().node;
    stack_.pop_back();
    place(node);
  }

  void place(const YamlNode* node) {
    if (stack_.empty()) {
      root_ = node;
      return;
    }
    Open& top = stack_.back();
    if (top.node->is_list()) {
      top.node->entries.push_back({{}, node->place, node});
    } else if (!top.has_key) {
      take_key(top, *node);
    } else {
      top.node->entries.push_back({std::move(top.key), top.key_place, node});
      top.has_key = false;
    }
  }

  void take_key(Open& top, const YamlNode& key) {
    if (!key.is_scalar()) return fail(key.place, "a key must be text");
    if (!top.keys.insert(key.text).second) {
      const auto* first = top.node->find(key.text);
      fail(key.place, base::cat("duplicate key \"", key.text, "\"; the first is in line ",
                                first == nullptr ? 0 : first->place.line, ", remove one of them"));
    }
    top.key = key.text;
    top.key_place = key.place;
    top.has_key = true;
  }

  void fail(YamlPlace at, std::string_view problem) {
    if (status_.ok()) status_ = base::config_error(tree_.where(at), ": ", problem);
  }

  YamlTree& tree_;
  std::vector<Open> stack_;
  std::unordered_map<YAML::anchor_t, const YamlNode*> anchors_;
  const YamlNode* root_ = nullptr;
  absl::Status status_;
};

}  // namespace

const YamlNode YamlTree::kNothing;

const YamlNode::Entry* YamlNode::find(std::string_view key) const {
  for (const Entry& entry : entries) {
    if (entry.key == key) return &entry;
  }
  return nullptr;
}

YamlNode* YamlTree::add(Kind kind) {
  nodes_.emplace_back();
  nodes_.back().kind = kind;
  return &nodes_.back();
}

std::string YamlTree::where(YamlPlace place) const {
  if (place.line == 0) return file_;
  return base::cat(file_, ":", place.line, ":", place.column);
}

absl::Status YamlTree::parse(std::string_view text, std::string_view file) {
  file_ = std::string(file);
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  if (const size_t bad = find_binary(text); bad != text.npos) {
    return base::config_error(where(place_at(text, bad)), ": not text: byte ",
                              static_cast<uint8_t>(text[bad]),
                              "; write the file as UTF-8 without control characters");
  }
  std::istringstream stream{std::string(text)};
  Builder builder(*this);
  try {
    YAML::Parser parser(stream);
    if (!parser.HandleNextDocument(builder)) return absl::OkStatus();
    if (builder.root() != nullptr) root_ = builder.root();
    Builder rest(*this);
    if (parser.HandleNextDocument(rest) && rest.root() != nullptr && !rest.root()->is_null()) {
      return base::config_error(where(rest.root()->place),
                                ": a second document; only one is read, remove the other");
    }
  } catch (const YAML::Exception& e) {
    return base::config_error(where(place_of(e.mark)), ": not valid YAML or JSON: ", e.msg);
  }
  return builder.status();
}

void YamlTree::from_struct(const Struct& value) { root_ = convert(value); }

const YamlNode* YamlTree::convert(const Struct& value) {
  YamlNode* node = add(Kind::kMap);
  for (const auto& [key, field] : value.fields()) {
    node->entries.push_back({key, {}, convert(field)});
  }
  std::sort(node->entries.begin(), node->entries.end(),
            [](const auto& a, const auto& b) { return a.key < b.key; });
  return node;
}

const YamlNode* YamlTree::convert(const Value& value) {
  YamlNode* node = nullptr;
  switch (value.kind_case()) {
    case Value::kStructValue:
      return convert(value.struct_value());
    case Value::kListValue:
      node = add(Kind::kList);
      for (const Value& item : value.list_value().values()) {
        node->entries.push_back({{}, {}, convert(item)});
      }
      return node;
    case Value::kStringValue:
      node = add(Kind::kScalar);
      node->text = value.string_value();
      node->quoted = true;
      return node;
    case Value::kBoolValue:
      node = add(Kind::kScalar);
      node->text = value.bool_value() ? "true" : "false";
      return node;
    case Value::kNumberValue: {
      node = add(Kind::kScalar);
      char buffer[32];
      const auto end = std::to_chars(buffer, buffer + sizeof(buffer), value.number_value()).ptr;
      node->text.assign(buffer, end);
      return node;
    }
    default:
      return add(Kind::kNull);
  }
}

bool same_field(std::string_view a, std::string_view b) {
  size_t i = 0, j = 0;
  bool up_a = false, up_b = false;
  const auto fold = [](char c, bool up) {
    return up && c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
  };
  while (true) {
    while (i < a.size() && a[i] == '_') ++i, up_a = true;
    while (j < b.size() && b[j] == '_') ++j, up_b = true;
    if (i == a.size() || j == b.size()) return i == a.size() && j == b.size();
    if (fold(a[i++], up_a) != fold(b[j++], up_b)) return false;
    up_a = up_b = false;
  }
}

}  // namespace sluice::xds
