// What one value must be: the rule of a field, of an element, of a map's key or value.
//
// compile() takes what a FieldRules option says and prepares its patterns; check_value() then says
// what is wrong with a value, in words that complete the sentence "<path>: ...", empty for nothing.
// Borrows the options. Immutable, any thread. Allocates only to complain.
// The rules themselves are documented in validate.proto of protoc-gen-validate.
#pragma once

#include <google/protobuf/message.h>
#include <re2/re2.h>

#include <memory>
#include <string>
#include <string_view>

namespace validate {
class BytesRules;
class FieldRules;
class StringRules;
}  // namespace validate

namespace sluice::xds {

struct ValueRule {
  const validate::FieldRules* options = nullptr;  // null: anything goes
  std::unique_ptr<re2::RE2> pattern;              // null: none

  static ValueRule compile(const validate::FieldRules& options);
};

// Checks `field` of `message`, its element `index` if the field is repeated.
std::string check_value(const ValueRule& rule, const google::protobuf::Message& message,
                        const google::protobuf::FieldDescriptor* field, int index);

std::string check_string(const validate::StringRules& rules, const re2::RE2* pattern,
                         std::string_view value);
std::string check_bytes(const validate::BytesRules& rules, const re2::RE2* pattern,
                        std::string_view value);

// The first kind of rule in `options` that check_value() would not enforce; empty if there is none.
std::string_view unenforced_rule(const validate::FieldRules& options);

// A value as an error shows it: quoted, escaped, shortened.
std::string shown(std::string_view value);

}  // namespace sluice::xds
