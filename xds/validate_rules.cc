#include "xds/validate_rules.h"

#include <google/protobuf/descriptor.h>

#include <algorithm>
#include <cstdint>
#include <utility>

#include "absl/time/time.h"
#include "base/text.h"
#include "validate/validate.pb.h"

namespace sluice::xds {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

// Durations and timestamps compare as (seconds, nanoseconds).
struct Instant {
  int64_t seconds;
  int32_t nanos;
  auto operator<=>(const Instant&) const = default;
};

// A value or a limit of a rule in the form that is compared.
template <class T>
T plain(T number) {
  return number;
}
std::string_view plain(const std::string& text) { return text; }
Instant plain(const google::protobuf::Duration& d) { return {d.seconds(), d.nanos()}; }
Instant plain(const google::protobuf::Timestamp& t) { return {t.seconds(), t.nanos()}; }

template <class T>
std::string text(const T& value) {
  return base::cat(value);
}
std::string text(std::string_view value) { return shown(value); }
std::string text(const std::string& value) { return shown(value); }
std::string text(const Instant& value) {
  return absl::FormatDuration(absl::Seconds(value.seconds) + absl::Nanoseconds(value.nanos));
}

// `lt lte gt gte`: an interval, or, where the upper limit lies below the lower one, its outside.
template <class Rules, class T>
std::string check_range(const Rules& rules, const T& value) {
  const bool has_low = rules.has_gt() || rules.has_gte();
  const bool has_high = rules.has_lt() || rules.has_lte();
  if (!has_low && !has_high) return {};
  const T low = plain(rules.has_gt() ? rules.gt() : rules.gte());
  const T high = plain(rules.has_lt() ? rules.lt() : rules.lte());
  const bool low_ok = !has_low || (rules.has_gt() ? value > low : value >= low);
  const bool high_ok = !has_high || (rules.has_lt() ? value < high : value <= high);
  const bool outside = has_low && has_high && high < low;
  if (outside ? low_ok || high_ok : low_ok && high_ok) return {};

  std::string limits;
  if (has_low) base::cat_to(limits, rules.has_gt() ? "> " : ">= ", text(low));
  if (has_low && has_high) base::cat_to(limits, outside ? " or " : " and ");
  if (has_high) base::cat_to(limits, rules.has_lt() ? "< " : "<= ", text(high));
  return base::cat("must be ", limits, ", is ", text(value));
}

template <class List, class T>
bool lists(const List& list, const T& value) {
  return std::any_of(list.begin(), list.end(),
                     [&](const auto& entry) { return plain(entry) == value; });
}

template <class List>
std::string listed(const List& list) {
  std::string out;
  for (const auto& entry : list) base::cat_to(out, out.empty() ? "" : ", ", text(plain(entry)));
  return out;
}

template <class Rules, class T>
std::string check_lists(const Rules& rules, const T& value) {
  if (rules.in_size() > 0 && !lists(rules.in(), value)) {
    return base::cat("must be one of ", listed(rules.in()), ", is ", text(value));
  }
  if (lists(rules.not_in(), value)) return base::cat("must not be ", text(value));
  return {};
}

template <class Rules, class T>
std::string check_const(const Rules& rules, const T& value) {
  if (!rules.has_const_() || plain(rules.const_()) == value) return {};
  return base::cat("must be ", text(plain(rules.const_())), ", is ", text(value));
}

template <class Rules, class T>
std::string check_number(const Rules& rules, T value) {
  if (rules.ignore_empty() && value == T{}) return {};
  if (std::string problem = check_const(rules, value); !problem.empty()) return problem;
  if (std::string problem = check_lists(rules, value); !problem.empty()) return problem;
  return check_range(rules, value);
}

std::string check_bool(const validate::BoolRules& rules, bool value) {
  if (!rules.has_const_() || rules.const_() == value) return {};
  return rules.const_() ? "must be true" : "must be false";
}

std::string check_enum(const validate::EnumRules& rules, const FieldDescriptor* field, int value) {
  if (rules.defined_only() && field->enum_type()->FindValueByNumber(value) == nullptr) {
    return base::cat("must be a value of ", field->enum_type()->full_name(), ", is ", value);
  }
  if (std::string problem = check_const(rules, value); !problem.empty()) return problem;
  return check_lists(rules, value);
}

// Reads a Duration or Timestamp by field number, so that dynamic messages work as well.
Instant instant_of(const Message& message) {
  const Descriptor* type = message.GetDescriptor();
  const Reflection* reflection = message.GetReflection();
  return {reflection->GetInt64(message, type->FindFieldByNumber(1)),
          reflection->GetInt32(message, type->FindFieldByNumber(2))};
}

std::string check_duration(const validate::DurationRules& rules, const Message& message) {
  constexpr int64_t kMaxSeconds = 315'576'000'000;  // 10,000 years, as duration.proto says
  constexpr int32_t kNanosPerSecond = 1'000'000'000;
  const Instant value = instant_of(message);
  const bool one_sign =
      (value.seconds <= 0 || value.nanos >= 0) && (value.seconds >= 0 || value.nanos <= 0);
  if (value.seconds > kMaxSeconds || value.seconds < -kMaxSeconds ||
      value.nanos >= kNanosPerSecond || value.nanos <= -kNanosPerSecond || !one_sign) {
    return base::cat("is no valid duration: seconds ", value.seconds, ", nanos ", value.nanos);
  }
  if (std::string problem = check_const(rules, value); !problem.empty()) return problem;
  if (std::string problem = check_lists(rules, value); !problem.empty()) return problem;
  return check_range(rules, value);
}

std::string check_timestamp(const validate::TimestampRules& rules, const Message& message) {
  const Instant value = instant_of(message);
  if (std::string problem = check_const(rules, value); !problem.empty()) return problem;
  return check_range(rules, value);
}

std::string check_any(const validate::AnyRules& rules, const Message& message) {
  const FieldDescriptor* type_url = message.GetDescriptor()->FindFieldByNumber(1);
  return check_lists(rules, message.GetReflection()->GetString(message, type_url));
}

bool is_wrapper(const Descriptor* type) {
  return type->well_known_type() >= Descriptor::WELLKNOWNTYPE_DOUBLEVALUE &&
         type->well_known_type() <= Descriptor::WELLKNOWNTYPE_BOOLVALUE;
}

std::string check_message(const ValueRule& rule, const Message& message) {
  const validate::FieldRules& options = *rule.options;
  if (options.has_duration()) return check_duration(options.duration(), message);
  if (options.has_timestamp()) return check_timestamp(options.timestamp(), message);
  if (options.has_any()) return check_any(options.any(), message);
  const Descriptor* type = message.GetDescriptor();
  return is_wrapper(type) ? check_value(rule, message, type->FindFieldByNumber(1), -1)
                          : std::string();
}

std::string check_int32(const validate::FieldRules& options, int32_t value) {
  if (options.has_sint32()) return check_number(options.sint32(), value);
  if (options.has_sfixed32()) return check_number(options.sfixed32(), value);
  return check_number(options.int32(), value);
}

std::string check_int64(const validate::FieldRules& options, int64_t value) {
  if (options.has_sint64()) return check_number(options.sint64(), value);
  if (options.has_sfixed64()) return check_number(options.sfixed64(), value);
  return check_number(options.int64(), value);
}

std::string check_text(const ValueRule& rule, const std::string& value) {
  return rule.options->has_bytes()
             ? check_bytes(rule.options->bytes(), rule.pattern.get(), value)
             : check_string(rule.options->string(), rule.pattern.get(), value);
}

std::string_view pattern_of(const validate::FieldRules& options) {
  if (options.has_string()) return options.string().pattern();
  if (options.has_bytes()) return options.bytes().pattern();
  return {};
}

}  // namespace

ValueRule ValueRule::compile(const validate::FieldRules& options) {
  ValueRule rule{&options, nullptr};
  if (std::string_view pattern = pattern_of(options); !pattern.empty()) {
    rule.pattern = std::make_unique<re2::RE2>(re2::StringPiece(pattern.data(), pattern.size()));
  }
  return rule;
}

std::string check_value(const ValueRule& rule, const Message& message, const FieldDescriptor* field,
                        int index) {
  if (rule.options == nullptr) return {};
  const validate::FieldRules& options = *rule.options;
  const Reflection& read = *message.GetReflection();
  const bool single = index < 0;
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return check_int32(options, single ? read.GetInt32(message, field)
                                         : read.GetRepeatedInt32(message, field, index));
    case FieldDescriptor::CPPTYPE_INT64:
      return check_int64(options, single ? read.GetInt64(message, field)
                                         : read.GetRepeatedInt64(message, field, index));
    case FieldDescriptor::CPPTYPE_UINT32: {
      const uint32_t value =
          single ? read.GetUInt32(message, field) : read.GetRepeatedUInt32(message, field, index);
      return options.has_fixed32() ? check_number(options.fixed32(), value)
                                   : check_number(options.uint32(), value);
    }
    case FieldDescriptor::CPPTYPE_UINT64: {
      const uint64_t value =
          single ? read.GetUInt64(message, field) : read.GetRepeatedUInt64(message, field, index);
      return options.has_fixed64() ? check_number(options.fixed64(), value)
                                   : check_number(options.uint64(), value);
    }
    case FieldDescriptor::CPPTYPE_FLOAT:
      return check_number(options.float_(), single ? read.GetFloat(message, field)
                                                   : read.GetRepeatedFloat(message, field, index));
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return check_number(options.double_(), single
                                                 ? read.GetDouble(message, field)
                                                 : read.GetRepeatedDouble(message, field, index));
    case FieldDescriptor::CPPTYPE_BOOL:
      return check_bool(options.bool_(), single ? read.GetBool(message, field)
                                                : read.GetRepeatedBool(message, field, index));
    case FieldDescriptor::CPPTYPE_ENUM:
      return check_enum(options.enum_(), field,
                        single ? read.GetEnumValue(message, field)
                               : read.GetRepeatedEnumValue(message, field, index));
    case FieldDescriptor::CPPTYPE_STRING: {
      std::string scratch;
      return check_text(rule,
                        single ? read.GetStringReference(message, field, &scratch)
                               : read.GetRepeatedStringReference(message, field, index, &scratch));
    }
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return check_message(rule, single ? read.GetMessage(message, field)
                                        : read.GetRepeatedMessage(message, field, index));
  }
  return {};
}

std::string_view unenforced_rule(const validate::FieldRules& options) {
  if (options.string().has_uri()) return "string.uri";
  if (options.string().has_uri_ref()) return "string.uri_ref";
  if (options.string().has_email()) return "string.email";
  if (options.timestamp().has_lt_now()) return "timestamp.lt_now";
  if (options.timestamp().has_gt_now()) return "timestamp.gt_now";
  if (options.timestamp().has_within()) return "timestamp.within";
  if (options.map().has_no_sparse()) return "map.no_sparse";
  if (options.repeated().has_items()) return unenforced_rule(options.repeated().items());
  if (options.map().has_keys()) {
    if (std::string_view name = unenforced_rule(options.map().keys()); !name.empty()) return name;
  }
  return options.map().has_values() ? unenforced_rule(options.map().values()) : std::string_view();
}

}  // namespace sluice::xds
