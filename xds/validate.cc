#include "xds/validate.h"

#include <google/protobuf/descriptor.h>

#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "base/text.h"
#include "validate/validate.pb.h"
#include "xds/validate_plan.h"

namespace sluice::xds {
namespace {

using google::protobuf::Any;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::OneofDescriptor;
using google::protobuf::Reflection;

absl::Status fault(const FieldPath& at, std::string_view problem) {
  return base::config_error(at.str(), ": ", problem);
}

// A map key, which is a string, an integer or a bool, as text.
std::string key_text(const Message& entry) {
  const FieldDescriptor* key = entry.GetDescriptor()->map_key();
  const Reflection& read = *entry.GetReflection();
  switch (key->cpp_type()) {
    case FieldDescriptor::CPPTYPE_STRING:
      return shown(read.GetString(entry, key));
    case FieldDescriptor::CPPTYPE_INT32:
      return base::cat(read.GetInt32(entry, key));
    case FieldDescriptor::CPPTYPE_INT64:
      return base::cat(read.GetInt64(entry, key));
    case FieldDescriptor::CPPTYPE_UINT32:
      return base::cat(read.GetUInt32(entry, key));
    case FieldDescriptor::CPPTYPE_UINT64:
      return base::cat(read.GetUInt64(entry, key));
    default:
      return read.GetBool(entry, key) ? "true" : "false";
  }
}

std::string check_count(uint64_t count, uint64_t min, bool has_max, uint64_t max,
                        std::string_view unit) {
  if (count < min) return base::cat("must have at least ", min, " ", unit, ", has ", count);
  if (has_max && count > max) {
    return base::cat("must have at most ", max, " ", unit, ", has ", count);
  }
  return {};
}

// A repeated field's element as text that is equal for equal elements.
std::string element_text(const Message& message, const FieldDescriptor* field, int index) {
  const Reflection& read = *message.GetReflection();
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_STRING:
      return read.GetRepeatedString(message, field, index);
    case FieldDescriptor::CPPTYPE_ENUM:
      return base::cat(read.GetRepeatedEnumValue(message, field, index));
    case FieldDescriptor::CPPTYPE_INT32:
      return base::cat(read.GetRepeatedInt32(message, field, index));
    case FieldDescriptor::CPPTYPE_INT64:
      return base::cat(read.GetRepeatedInt64(message, field, index));
    case FieldDescriptor::CPPTYPE_UINT32:
      return base::cat(read.GetRepeatedUInt32(message, field, index));
    case FieldDescriptor::CPPTYPE_UINT64:
      return base::cat(read.GetRepeatedUInt64(message, field, index));
    case FieldDescriptor::CPPTYPE_FLOAT:
      return std::to_string(read.GetRepeatedFloat(message, field, index));
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return std::to_string(read.GetRepeatedDouble(message, field, index));
    case FieldDescriptor::CPPTYPE_BOOL:
      return read.GetRepeatedBool(message, field, index) ? "true" : "false";
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return read.GetRepeatedMessage(message, field, index).SerializeAsString();
  }
  return {};
}

std::string oneof_problem(const OneofDescriptor* oneof) {
  std::string names;
  for (int i = 0; i < oneof->field_count(); ++i) {
    base::cat_to(names, i == 0 ? "" : ", ", oneof->field(i)->name());
  }
  return base::cat("one of ", names, " is required");
}

// One walk over one message and what is below it.
class Walk {
 public:
  explicit Walk(const Validator::AnyHook* hook) : hook_(hook) {}

  absl::Status message(const MessagePlan& plan, const Message& message, const FieldPath* at) {
    if (!worth_a_visit(plan)) return absl::OkStatus();
    for (const OneofDescriptor* oneof : plan.required_oneofs) {
      if (message.GetReflection()->HasOneof(message, oneof)) continue;
      const std::string root = at == nullptr ? oneof->name() : at->str() + "." + oneof->name();
      return fault(FieldPath(root), oneof_problem(oneof));
    }
    for (const FieldPlan& field : plan.fields) {
      absl::Status status = field.field->is_map()        ? map(field, message, at)
                            : field.field->is_repeated() ? repeated(field, message, at)
                                                         : singular(field, message, at);
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }

 private:
  bool worth_a_visit(const MessagePlan& plan) const {
    return plan.has_rules || (hook_ != nullptr && plan.has_any);
  }

  absl::Status singular(const FieldPlan& plan, const Message& message, const FieldPath* at) {
    const Reflection& read = *message.GetReflection();
    const FieldPath here(at, plan.field);
    const bool is_message = plan.field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE;
    // The default of an unset scalar counts as its value, except in a oneof.
    const bool may_be_unset = is_message || plan.field->containing_oneof() != nullptr;
    if (may_be_unset && !read.HasField(message, plan.field)) {
      return plan.required ? fault(here, "is required") : absl::OkStatus();
    }
    const std::string problem = check_value(plan.value, message, plan.field, FieldPath::kSingular);
    if (!problem.empty()) return fault(here, problem);
    return is_message ? below(plan, read.GetMessage(message, plan.field), here) : absl::OkStatus();
  }

  absl::Status repeated(const FieldPlan& plan, const Message& message, const FieldPath* at) {
    const Reflection& read = *message.GetReflection();
    const int count = read.FieldSize(message, plan.field);
    if (plan.repeated != nullptr) {
      absl::Status status = list_rules(*plan.repeated, plan.field, message, at, count);
      if (!status.ok()) return status;
    }
    const bool has_messages = plan.below != nullptr || plan.is_any;
    if (plan.value.options == nullptr && !has_messages) return absl::OkStatus();
    for (int i = 0; i < count; ++i) {
      const FieldPath here(at, plan.field, i);
      const std::string problem = check_value(plan.value, message, plan.field, i);
      if (!problem.empty()) return fault(here, problem);
      if (!has_messages) continue;
      absl::Status status = below(plan, read.GetRepeatedMessage(message, plan.field, i), here);
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }

  static absl::Status list_rules(const validate::RepeatedRules& rules, const FieldDescriptor* field,
                                 const Message& message, const FieldPath* at, int count) {
    if (rules.ignore_empty() && count == 0) return absl::OkStatus();
    const std::string problem = check_count(static_cast<uint64_t>(count), rules.min_items(),
                                            rules.has_max_items(), rules.max_items(), "items");
    if (!problem.empty()) return fault(FieldPath(at, field), problem);
    if (!rules.unique()) return absl::OkStatus();
    std::unordered_set<std::string> seen;
    for (int i = 0; i < count; ++i) {
      if (seen.insert(element_text(message, field, i)).second) continue;
      return fault(FieldPath(at, field, i), "repeats an earlier item");
    }
    return absl::OkStatus();
  }

  absl::Status map(const FieldPlan& plan, const Message& message, const FieldPath* at) {
    const Reflection& read = *message.GetReflection();
    const int count = read.FieldSize(message, plan.field);
    if (plan.map != nullptr && !(plan.map->ignore_empty() && count == 0)) {
      const std::string problem =
          check_count(static_cast<uint64_t>(count), plan.map->min_pairs(),
                      plan.map->has_max_pairs(), plan.map->max_pairs(), "entries");
      if (!problem.empty()) return fault(FieldPath(at, plan.field), problem);
    }
    for (int i = 0; i < count; ++i) {
      const Message& entry = read.GetRepeatedMessage(message, plan.field, i);
      absl::Status status = map_entry(plan, entry, FieldPath(at, plan.field, i, &entry));
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }

  absl::Status map_entry(const FieldPlan& plan, const Message& entry, const FieldPath& here) {
    const FieldDescriptor* key = entry.GetDescriptor()->map_key();
    const FieldDescriptor* value = entry.GetDescriptor()->map_value();
    std::string problem = check_value(plan.key, entry, key, FieldPath::kSingular);
    if (!problem.empty()) return fault(here, base::cat("key ", problem));
    problem = check_value(plan.value, entry, value, FieldPath::kSingular);
    if (!problem.empty()) return fault(here, problem);
    if (plan.below == nullptr && !plan.is_any) return absl::OkStatus();
    return below(plan, entry.GetReflection()->GetMessage(entry, value), here);
  }

  absl::Status below(const FieldPlan& plan, const Message& message, const FieldPath& here) {
    if (plan.is_any) return hook_ == nullptr ? absl::OkStatus() : any(message, here);
    return plan.below == nullptr ? absl::OkStatus() : this->message(*plan.below, message, &here);
  }

  absl::Status any(const Message& message, const FieldPath& here) const {
    if (const Any* generated = google::protobuf::DynamicCastToGenerated<Any>(&message)) {
      return (*hook_)(*generated, here);
    }
    Any copy;  // of a dynamic message
    copy.ParseFromString(message.SerializeAsString());
    return (*hook_)(copy, here);
  }

  const Validator::AnyHook* hook_;
};

}  // namespace

std::string FieldPath::str() const {
  if (field_ == nullptr) return std::string(root_);
  std::string text = parent_ == nullptr ? std::string() : parent_->str();
  if (!text.empty()) text += '.';
  text += field_->name();
  if (entry_ != nullptr) {
    base::cat_to(text, "[", key_text(*entry_), "]");
  } else if (index_ != kSingular) {
    base::cat_to(text, "[", index_, "]");
  }
  return text;
}

Validator::Validator() : plans_(std::make_unique<Plans>()) {}
Validator::~Validator() = default;

absl::Status Validator::check(const Message& message, const FieldPath* at,
                              const AnyHook* hook) const {
  const MessagePlan& plan = plans_->of(message.GetDescriptor());
  return Walk(hook).message(plan, message, at);
}

}  // namespace sluice::xds
