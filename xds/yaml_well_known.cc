// The types of google.protobuf that have a spelling of their own in YAML and JSON.
#include <google/protobuf/any.pb.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/duration.pb.h>
#include <google/protobuf/field_mask.pb.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/timestamp.pb.h>
#include <google/protobuf/util/field_mask_util.h>

#include <memory>
#include <string>

#include "base/text.h"
#include "xds/yaml_reader.h"
#include "xds/yaml_scalar.h"

namespace sluice::xds {
namespace {

using google::protobuf::Any;
using google::protobuf::Descriptor;
using google::protobuf::Duration;
using google::protobuf::DynamicCastToGenerated;
using google::protobuf::FieldMask;
using google::protobuf::ListValue;
using google::protobuf::Message;
using google::protobuf::MessageFactory;
using google::protobuf::Struct;
using google::protobuf::Timestamp;
using google::protobuf::Value;

bool is_wrapper(const Descriptor& type) {
  return type.well_known_type() >= Descriptor::WELLKNOWNTYPE_DOUBLEVALUE &&
         type.well_known_type() <= Descriptor::WELLKNOWNTYPE_BOOLVALUE;
}

// In an Any such a message is written below the key "value".
bool is_boxed(const Descriptor& type) {
  return type.well_known_type() != Descriptor::WELLKNOWNTYPE_UNSPECIFIED;
}

}  // namespace

bool MessageReader::well_known(const YamlNode& node, Message* out, const At& at,
                               absl::Status* status) {
  const Descriptor& type = *out->GetDescriptor();
  if (is_wrapper(type)) {
    if (node.is_map() && node.find("value") != nullptr) return false;  // {value: 5}
    *status = scalar(node, *type.field(0), out, at);
    return true;
  }
  if (auto* v = DynamicCastToGenerated<Any>(out)) return *status = any(node, v, at), true;
  if (auto* v = DynamicCastToGenerated<Struct>(out)) return *status = structure(node, v, at), true;
  if (auto* v = DynamicCastToGenerated<Value>(out)) return *status = value(node, v, at), true;
  if (!node.is_scalar() && !node.is_list()) return false;  // {seconds: 1, nanos: 2}
  int64_t seconds = 0;
  int32_t nanos = 0;
  if (auto* duration = DynamicCastToGenerated<Duration>(out)) {
    if (scalar_duration(node.text, &seconds, &nanos)) {
      duration->set_seconds(seconds);
      duration->set_nanos(nanos);
    } else {
      *status =
          fail(node.place, at,
               base::cat("expected a duration in seconds such as \"1.5s\": \"", node.text, "\""));
    }
    return true;
  }
  if (auto* time = DynamicCastToGenerated<Timestamp>(out)) {
    if (scalar_time(node.text, &seconds, &nanos)) {
      time->set_seconds(seconds);
      time->set_nanos(nanos);
    } else {
      *status =
          fail(node.place, at,
               base::cat("expected a time such as \"2024-01-31T12:00:00Z\": \"", node.text, "\""));
    }
    return true;
  }
  if (auto* mask = DynamicCastToGenerated<FieldMask>(out)) {
    google::protobuf::util::FieldMaskUtil::FromString(node.text, mask);
    return true;
  }
  if (auto* values = DynamicCastToGenerated<ListValue>(out); values != nullptr && node.is_list()) {
    Value holder;
    *status = value(node, &holder, at);
    values->Swap(holder.mutable_list_value());
    return true;
  }
  return false;
}

absl::Status MessageReader::any(const YamlNode& node, Any* out, const At& at) {
  const YamlNode::Entry* url = node.is_map() ? node.find("@type") : nullptr;
  if (url == nullptr || !url->value->is_scalar()) {
    if (node.is_map() && node.entries.empty()) return absl::OkStatus();
    return fail(node.place, at,
                "\"@type\" is missing; name the type, as in \"@type\": "
                "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router");
  }
  const std::string& type_url = url->value->text;
  const std::string name = type_url.substr(type_url.rfind('/') + 1);
  const Descriptor* type =
      google::protobuf::DescriptorPool::generated_pool()->FindMessageTypeByName(name);
  out->set_type_url(type_url.find('/') == type_url.npos ? "type.googleapis.com/" + name : type_url);
  if (type == nullptr) {
    // Whoever needs the extension refuses it by its type, with a better reason than ours.
    if (options_.allow_unknown_types) return absl::OkStatus();
    return fail(url->value->place, at, base::cat("unknown type: \"", type_url, "\""));
  }
  std::unique_ptr<Message> inner(MessageFactory::generated_factory()->GetPrototype(type)->New());
  if (!is_boxed(*type)) {
    if (absl::Status s = fields(node, inner.get(), at, true); !s.ok()) return s;
  } else if (const YamlNode::Entry* boxed = node.find("value")) {
    if (absl::Status s = message(*boxed->value, inner.get(), below(at, "value")); !s.ok()) return s;
  }
  inner->SerializePartialToString(out->mutable_value());
  return absl::OkStatus();
}

absl::Status MessageReader::structure(const YamlNode& node, Struct* out, const At& at) {
  if (!node.is_map()) return fail(node.place, at, "expected an object with keys");
  for (const YamlNode::Entry& entry : node.entries) {
    const At here = below(at, entry.key);
    Value& field = (*out->mutable_fields())[entry.key];
    if (absl::Status s = value(*entry.value, &field, here); !s.ok()) return s;
  }
  return absl::OkStatus();
}

absl::Status MessageReader::value(const YamlNode& node, Value* out, const At& at) {
  if (absl::Status s = enter(node, at); !s.ok()) return s;
  switch (node.kind) {
    case YamlNode::Kind::kNull:
      out->set_null_value(google::protobuf::NULL_VALUE);
      return absl::OkStatus();
    case YamlNode::Kind::kMap:
      return structure(node, out->mutable_struct_value(), at);
    case YamlNode::Kind::kList: {
      ListValue& values = *out->mutable_list_value();
      for (size_t i = 0; i < node.entries.size(); ++i) {
        const At here{&at, {}, static_cast<int>(i), {}, at.depth + 1};
        if (absl::Status s = value(*node.entries[i].value, values.add_values(), here); !s.ok()) {
          return s;
        }
      }
      return absl::OkStatus();
    }
    case YamlNode::Kind::kScalar:
      break;
  }
  bool flag = false;
  int64_t whole = 0;
  double number = 0;
  if (node.quoted) {
    out->set_string_value(node.text);
  } else if (scalar_bool(node.text, true, &flag)) {
    out->set_bool_value(flag);
  } else if (scalar_int(node.text, true, &whole)) {
    out->set_number_value(static_cast<double>(whole));
  } else if (scalar_double(node.text, &number)) {
    out->set_number_value(number);
  } else {
    out->set_string_value(node.text);
  }
  return absl::OkStatus();
}

}  // namespace sluice::xds
