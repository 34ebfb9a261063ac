#include "xds/yaml_reader.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "base/text.h"
#include "xds/yaml_scalar.h"

namespace sluice::xds {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumValueDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::OneofDescriptor;

const FieldDescriptor* find_field(const Descriptor& type, const std::string& key) {
  if (const FieldDescriptor* field = type.FindFieldByName(key)) return field;
  if (const FieldDescriptor* field = type.FindFieldByCamelcaseName(key)) return field;
  for (int i = 0; i < type.field_count(); ++i) {
    if (type.field(i)->json_name() == key) return type.field(i);
  }
  return nullptr;
}

// How many letters to change, add or drop to turn one word into the other.
size_t distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b.size()];
}

std::string_view kind_name(const YamlNode& node) {
  switch (node.kind) {
    case YamlNode::Kind::kNull:
      return "nothing";
    case YamlNode::Kind::kScalar:
      return "a value";
    case YamlNode::Kind::kList:
      return "a list";
    case YamlNode::Kind::kMap:
      return "an object";
  }
  return {};
}

std::string shown(std::string_view text) {
  constexpr size_t kMax = 80;
  if (text.size() <= kMax) return base::cat("\"", text, "\"");
  return base::cat("\"", text.substr(0, kMax), "...\"");
}

std::string choices(const FieldDescriptor& field) {
  std::string out;
  for (int i = 0; i < field.enum_type()->value_count(); ++i) {
    base::cat_to(out, i == 0 ? "" : ", ", field.enum_type()->value(i)->name());
  }
  return out;
}

bool equal_fold(std::string_view a, std::string_view b) {
  const auto up = [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; };
  return a.size() == b.size() &&
         std::equal(a.begin(), a.end(), b.begin(), [&](char x, char y) { return up(x) == up(y); });
}

}  // namespace

std::string nearest_field(const Descriptor& type, std::string_view name) {
  std::string best;
  size_t best_distance = std::min<size_t>(3, name.size() / 3 + 1);
  for (int i = 0; i < type.field_count(); ++i) {
    for (const std::string& known : {type.field(i)->name(), type.field(i)->json_name()}) {
      const size_t d = distance(name, known);
      if (d < best_distance) best = known, best_distance = d;
    }
  }
  return best;
}

std::string MessageReader::At::str() const {
  std::string out = parent == nullptr ? std::string() : parent->str();
  if (!name.empty()) base::cat_to(out, out.empty() ? "" : ".", name);
  if (index >= 0) base::cat_to(out, "[", index, "]");
  if (!key.empty()) base::cat_to(out, "[\"", key, "\"]");
  return out;
}

absl::Status MessageReader::fail(YamlPlace place, const At& at, std::string_view problem) const {
  const std::string where = tree_.where(place);
  const std::string path = at.str();
  return base::config_error(where, where.empty() ? "" : ": ", path, path.empty() ? "" : ": ",
                            problem);
}

absl::Status MessageReader::enter(const YamlNode& node, const At& at) {
  if (at.depth > kMaxDepth) return fail(node.place, at, "nested too deeply; the limit is 90");
  if (++nodes_ > kMaxNodes) return fail(node.place, at, "too large once its aliases are expanded");
  return absl::OkStatus();
}

absl::Status MessageReader::read(const YamlNode& node, Message* out) {
  At root;
  root.name = options_.path;
  if (node.is_null()) return absl::OkStatus();
  return message(node, out, root);
}

absl::Status MessageReader::message(const YamlNode& node, Message* out, const At& at) {
  if (absl::Status s = enter(node, at); !s.ok()) return s;
  absl::Status status;
  if (well_known(node, out, at, &status)) return status;
  if (!node.is_map()) {
    return fail(node.place, at,
                base::cat("expected an object (", out->GetDescriptor()->full_name(), "), found ",
                          kind_name(node),
                          node.is_scalar() ? base::cat(" ", shown(node.text)) : std::string()));
  }
  return fields(node, out, at, false);
}

absl::Status MessageReader::fields(const YamlNode& node, Message* out, const At& at, bool in_any) {
  const Descriptor& type = *out->GetDescriptor();
  const auto& reflection = *out->GetReflection();
  for (const YamlNode::Entry& entry : node.entries) {
    if (in_any && entry.key == "@type") continue;
    const At here = below(at, entry.key);
    const FieldDescriptor* known = find_field(type, entry.key);
    if (known == nullptr) {
      if (absl::Status s = unknown(entry, type, here); !s.ok()) return s;
      continue;
    }
    if (entry.value->is_null() && known->message_type() == nullptr) continue;
    const OneofDescriptor* oneof = known->real_containing_oneof();
    const bool again = known->is_repeated() ? reflection.FieldSize(*out, known) > 0
                                            : known->has_presence() && oneof == nullptr &&
                                                  reflection.HasField(*out, known);
    if (again) return fail(entry.place, here, "given twice, in snake_case and in camelCase");
    if (oneof != nullptr && reflection.HasOneof(*out, oneof) && !entry.value->is_null()) {
      const auto* other = reflection.GetOneofFieldDescriptor(*out, oneof);
      return fail(entry.place, here,
                  base::cat("excludes \"", other->name(), "\", which is given too; keep one"));
    }
    if (absl::Status s = field(*entry.value, *known, out, here); !s.ok()) return s;
  }
  return absl::OkStatus();
}

absl::Status MessageReader::unknown(const YamlNode::Entry& entry, const Descriptor& type,
                                    const At& at) {
  const std::string near = nearest_field(type, entry.key);
  std::string problem = base::cat("no such field in ", type.full_name());
  if (options_.allow_unknown_fields) {
    if (warnings_ != nullptr) {
      warnings_->add(base::cat(type.full_name(), ".", entry.key),
                     base::cat(tree_.where(entry.place), ": ", at.str(), ": ", problem,
                               ": ignored (--allow-unknown-static-fields)"));
    }
    return absl::OkStatus();
  }
  if (!near.empty()) {
    base::cat_to(problem, "; did you mean \"", near, "\"?");
  } else {
    problem += "; remove it, or start with --allow-unknown-static-fields";
  }
  return fail(entry.place, at, problem);
}

absl::Status MessageReader::field(const YamlNode& node, const Field& field, Message* out,
                                  const At& at) {
  if (field.is_map()) return map(node, field, out, at);
  if (field.is_repeated()) return list(node, field, out, at);
  return one(node, field, out, at);
}

absl::Status MessageReader::one(const YamlNode& node, const Field& field, Message* out,
                                const At& at) {
  if (field.message_type() == nullptr) return scalar(node, field, out, at);
  const bool takes_null = field.message_type()->full_name() == "google.protobuf.Value";
  if (node.is_null() && !takes_null && !field.is_repeated()) return absl::OkStatus();
  const auto& reflection = *out->GetReflection();
  Message* child = field.is_repeated() ? reflection.AddMessage(out, &field)
                                       : reflection.MutableMessage(out, &field);
  if (node.is_null() && !takes_null) return absl::OkStatus();  // an empty element
  return message(node, child, at);
}

// A single object counts as a list of one.
absl::Status MessageReader::list(const YamlNode& node, const Field& field, Message* out,
                                 const At& at) {
  if (node.is_null()) return absl::OkStatus();
  if (!node.is_list()) return one(node, field, out, at);
  if (absl::Status s = enter(node, at); !s.ok()) return s;
  for (size_t i = 0; i < node.entries.size(); ++i) {
    const At here{&at, {}, static_cast<int>(i), {}, at.depth};
    if (absl::Status s = one(*node.entries[i].value, field, out, here); !s.ok()) return s;
  }
  return absl::OkStatus();
}

absl::Status MessageReader::map(const YamlNode& node, const Field& field, Message* out,
                                const At& at) {
  if (node.is_null()) return absl::OkStatus();
  if (!node.is_map()) {
    return fail(node.place, at, base::cat("expected an object with keys, found ", kind_name(node)));
  }
  if (absl::Status s = enter(node, at); !s.ok()) return s;
  const Descriptor& entry_type = *field.message_type();
  YamlNode key;
  key.kind = YamlNode::Kind::kScalar;
  for (const YamlNode::Entry& entry : node.entries) {
    const At here{&at, {}, -1, entry.key, at.depth};
    Message* added = out->GetReflection()->AddMessage(out, &field);
    key.text = entry.key;
    key.place = entry.place;
    if (absl::Status s = one(key, *entry_type.map_key(), added, here); !s.ok()) return s;
    if (absl::Status s = one(*entry.value, *entry_type.map_value(), added, here); !s.ok()) return s;
  }
  return absl::OkStatus();
}

absl::Status MessageReader::scalar(const YamlNode& node, const Field& field, Message* out,
                                   const At& at) {
  if (absl::Status s = enter(node, at); !s.ok()) return s;
  if (!node.is_scalar()) {
    const std::string wanted = field.cpp_type() == Field::CPPTYPE_ENUM
                                   ? base::cat("one of ", choices(field))
                                   : std::string(field.cpp_type_name());
    return fail(node.place, at, base::cat("expected ", wanted, ", found ", kind_name(node)));
  }
  const auto& reflection = *out->GetReflection();
  const bool repeated = field.is_repeated();
  switch (field.cpp_type()) {
    case Field::CPPTYPE_STRING: {
      std::string text = node.text;
      if (field.type() == Field::TYPE_BYTES && !scalar_bytes(node.text, &text)) {
        return fail(node.place, at, base::cat("expected base64: ", shown(node.text)));
      }
      repeated ? reflection.AddString(out, &field, text) : reflection.SetString(out, &field, text);
      return absl::OkStatus();
    }
    case Field::CPPTYPE_BOOL: {
      bool flag = false;
      if (!scalar_bool(node.text, !node.quoted, &flag)) {
        return fail(node.place, at, base::cat("expected true or false: ", shown(node.text)));
      }
      repeated ? reflection.AddBool(out, &field, flag) : reflection.SetBool(out, &field, flag);
      return absl::OkStatus();
    }
    case Field::CPPTYPE_ENUM:
      return enumeration(node, field, out, at);
    default:
      return number(node, field, out, at);
  }
}

absl::Status MessageReader::enumeration(const YamlNode& node, const Field& field, Message* out,
                                        const At& at) {
  int number = -1;
  int64_t given = 0;
  for (int i = 0; i < field.enum_type()->value_count() && number < 0; ++i) {
    const EnumValueDescriptor* value = field.enum_type()->value(i);
    if (equal_fold(value->name(), node.text)) number = value->number();
  }
  if (number < 0 && scalar_int(node.text, true, &given) && given >= 0 &&
      given <= std::numeric_limits<int32_t>::max()) {
    number = static_cast<int>(given);
    if (field.enum_type()->FindValueByNumber(number) == nullptr) number = -1;
  }
  if (number < 0) {
    return fail(node.place, at,
                base::cat("expected one of ", choices(field), ": ", shown(node.text)));
  }
  const auto& reflection = *out->GetReflection();
  field.is_repeated() ? reflection.AddEnumValue(out, &field, number)
                      : reflection.SetEnumValue(out, &field, number);
  return absl::OkStatus();
}

absl::Status MessageReader::number(const YamlNode& node, const Field& field, Message* out,
                                   const At& at) {
  const auto& r = *out->GetReflection();
  const bool repeated = field.is_repeated();
  const bool plain = !node.quoted;
  int64_t i = 0;
  uint64_t u = 0;
  double d = 0;
  switch (field.cpp_type()) {
    case Field::CPPTYPE_INT32:
      if (!scalar_int(node.text, plain, &i) || i != static_cast<int32_t>(i)) break;
      repeated ? r.AddInt32(out, &field, static_cast<int32_t>(i))
               : r.SetInt32(out, &field, static_cast<int32_t>(i));
      return absl::OkStatus();
    case Field::CPPTYPE_INT64:
      if (!scalar_int(node.text, plain, &i)) break;
      repeated ? r.AddInt64(out, &field, i) : r.SetInt64(out, &field, i);
      return absl::OkStatus();
    case Field::CPPTYPE_UINT32:
      if (!scalar_uint(node.text, plain, &u) || u > std::numeric_limits<uint32_t>::max()) break;
      repeated ? r.AddUInt32(out, &field, static_cast<uint32_t>(u))
               : r.SetUInt32(out, &field, static_cast<uint32_t>(u));
      return absl::OkStatus();
    case Field::CPPTYPE_UINT64:
      if (!scalar_uint(node.text, plain, &u)) break;
      repeated ? r.AddUInt64(out, &field, u) : r.SetUInt64(out, &field, u);
      return absl::OkStatus();
    case Field::CPPTYPE_FLOAT:
      if (!scalar_double(node.text, &d)) break;
      repeated ? r.AddFloat(out, &field, static_cast<float>(d))
               : r.SetFloat(out, &field, static_cast<float>(d));
      return absl::OkStatus();
    case Field::CPPTYPE_DOUBLE:
      if (!scalar_double(node.text, &d)) break;
      repeated ? r.AddDouble(out, &field, d) : r.SetDouble(out, &field, d);
      return absl::OkStatus();
    default:
      break;
  }
  return fail(node.place, at,
              base::cat("expected a number (", field.type_name(), "): ", shown(node.text)));
}

}  // namespace sluice::xds
