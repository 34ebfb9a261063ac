#include "xds/decode_context.h"

#include <google/protobuf/any.pb.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include "udpa/type/v1/typed_struct.pb.h"
#include "xds/support.h"
#include "xds/type/v3/typed_struct.pb.h"
#include "xds/validate.h"
#include "xds/yaml.h"

namespace sluice::xds {
namespace {

using google::protobuf::Any;
using google::protobuf::Message;
using google::protobuf::Struct;

constexpr std::string_view kXdsTypedStruct = "xds.type.v3.TypedStruct";
constexpr std::string_view kUdpaTypedStruct = "udpa.type.v1.TypedStruct";

std::string_view name_of(std::string_view type_url) {
  return type_url.substr(type_url.rfind('/') + 1);
}

// The two packages' messages have the same fields.
bool open_typed_struct(const Any& any, std::string* type_url, Struct* value) {
  const std::string_view name = name_of(any.type_url());
  if (name == kXdsTypedStruct) {
    ::xds::type::v3::TypedStruct typed;
    if (!typed.ParseFromString(any.value())) return false;
    *type_url = typed.type_url();
    value->Swap(typed.mutable_value());
    return true;
  }
  udpa::type::v1::TypedStruct typed;
  if (name != kUdpaTypedStruct || !typed.ParseFromString(any.value())) return false;
  *type_url = typed.type_url();
  value->Swap(typed.mutable_value());
  return true;
}

const Validator& validator() {
  static const Validator* const kValidator = new Validator;
  return *kValidator;
}

std::string_view after(std::string_view text, std::string_view separator) {
  const size_t at = text.find(separator);
  return at == text.npos ? text : text.substr(at + separator.size());
}

}  // namespace

bool parse_message(std::string_view bytes, Message* out) {
  return bytes.size() <= INT32_MAX &&
         out->ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
}

std::string join_path(std::string_view path, std::string_view field) {
  if (path.empty()) return std::string(field);
  if (field.empty()) return std::string(path);
  return base::cat(path, field.starts_with('[') ? "" : ".", field);
}

void Path::append_to(std::string& out) const {
  if (parent_ != nullptr) parent_->append_to(out);
  if (!field_.empty()) base::cat_to(out, out.empty() ? "" : ".", field_);
  if (index_ >= 0) base::cat_to(out, "[", index_, "]");
  if (!key_.empty()) base::cat_to(out, "[\"", key_, "\"]");
}

std::string Path::str() const {
  std::string out;
  append_to(out);
  return out;
}

std::string Context::place(const std::string& path) const {
  if (!options_.locate) return {};
  const std::string where = options_.locate(path);
  return where.empty() ? where : base::cat(where, ": ");
}

absl::Status Context::fault(const std::string& path, std::string_view problem) const {
  return base::config_error(place(path), label_, label_.empty() ? "" : ": ", path,
                            path.empty() ? "" : ": ", problem);
}

void Context::warn(const Path& at, std::string_view kind, std::string_view text) const {
  if (warnings_ == nullptr) return;
  const std::string path = at.str();
  warnings_->add(kind, base::cat(place(path), label_, label_.empty() ? "" : ": ", path,
                                 path.empty() ? "" : ": ", text));
}

absl::Status Context::check_rules(const Message& message, const Path& at) const {
  const absl::Status rules = validator().check(message);
  if (rules.ok()) return rules;
  const std::string_view text = base::message_of(rules);
  const std::string_view field = text.substr(0, text.find(": "));
  return fault(join_path(at.str(), field), after(text, ": "));
}

absl::Status Context::check(const Message& message, const Path& at) const {
  absl::Status status = check_rules(message, at);
  if (!status.ok()) return status;
  find_unsupported(message, [&](const Finding& finding) {
    const std::string path = join_path(at.str(), finding.path);
    switch (finding.kind) {
      case Finding::Kind::kRefused:
        status = fault(path, "not supported yet, and not safe to ignore; remove it");
        return false;
      case Finding::Kind::kIgnored:
        warn(Path(Path(), path), finding.field, base::cat("not supported yet: ", finding.why));
        return true;
      case Finding::Kind::kUnknown:
        break;
    }
    if (options_.reject_unknown_fields) {
      status = fault(path, base::cat("unknown field: ", finding.field,
                                     "; --reject-unknown-dynamic-fields refuses it"));
      return false;
    }
    if (!options_.ignore_unknown_fields) {
      warn(Path(Path(), path), finding.field,
           base::cat("unknown field: ", finding.field,
                     ": ignored; it is newer than the API that this build knows"));
    }
    return true;
  });
  return status;
}

bool Context::is_typed_struct(const Any& any) {
  const std::string_view name = name_of(any.type_url());
  return name == kXdsTypedStruct || name == kUdpaTypedStruct;
}

std::string Context::type_of(const Any& any) const {
  std::string type_url = any.type_url();
  if (is_typed_struct(any)) {
    Struct ignored;
    if (!open_typed_struct(any, &type_url, &ignored)) return {};
  }
  return std::string(name_of(type_url));
}

absl::Status Context::unpack(const Any& any, const Path& at, Message* out) const {
  const std::string wanted = out->GetDescriptor()->full_name();
  if (type_of(any) != wanted) {
    return error(at, "expected a ", wanted, ", found \"", any.type_url(), "\"");
  }
  if (is_typed_struct(any)) {
    if (absl::Status s = read_typed_struct(any, at, out); !s.ok()) return s;
  } else if (!out->ParseFromString(any.value())) {
    return error(at, "not a serialised ", wanted);
  }
  return check(*out, inside(any, at));
}

absl::Status Context::read_typed_struct(const Any& any, const Path& at, Message* out) const {
  std::string type_url;
  Struct value;
  if (!open_typed_struct(any, &type_url, &value)) return error(at, "not a serialised TypedStruct");
  YamlDocument::Options options;
  options.allow_unknown_fields =
      options_.is_static ? options_.allow_unknown_static_fields : !options_.reject_unknown_fields;
  options.allow_unknown_types = true;
  options.path = Path(at, "value").str();
  Warnings ignored;
  const bool warn_unknown = !options_.ignore_unknown_fields;
  const absl::Status s = YamlDocument::from_struct(value).to_message(
      options, out, warn_unknown ? warnings_ : &ignored);
  if (s.ok()) return s;
  const std::string_view text = base::message_of(s);
  return fault(std::string(text.substr(0, text.find(": "))), after(text, ": "));
}

}  // namespace sluice::xds
