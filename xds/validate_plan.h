// Plans answers "which fields of this message type need a look?" for the Validator.
//
// A MessagePlan is the compiled form of a type's validate.rules: its required oneofs and the fields
// that have rules, or below which some message has rules or an Any. Plans point to each other as
// their types do, circles included. Built under a mutex, one whole closure of types at a time, and
// immutable from then on; they live as long as Plans. Config time only.
#pragma once

#include <google/protobuf/descriptor.h>

#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "xds/validate_rules.h"

namespace validate {
class MapRules;
class RepeatedRules;
}  // namespace validate

namespace sluice::xds {

struct MessagePlan;

struct FieldPlan {
  const google::protobuf::FieldDescriptor* field = nullptr;
  const validate::RepeatedRules* repeated = nullptr;  // null: none
  const validate::MapRules* map = nullptr;            // null: none
  const MessagePlan* below = nullptr;  // of the message type of field, element or map value
  ValueRule value;                     // of the field, the element, or the map's values
  ValueRule key;                       // of the map's keys
  bool required = false;               // of a message field outside of oneofs
  bool is_any = false;                 // field, element or map value is a google.protobuf.Any
};

struct MessagePlan {
  std::vector<const google::protobuf::OneofDescriptor*> required_oneofs;
  std::vector<FieldPlan> fields;
  bool has_rules = false;  // here or anywhere below
  bool has_any = false;    // here or anywhere below
};

class Plans {
 public:
  // The plan of `type`, compiled at the first call together with all types it reaches.
  const MessagePlan& of(const google::protobuf::Descriptor* type);

 private:
  using Table =
      std::unordered_map<const google::protobuf::Descriptor*, std::unique_ptr<MessagePlan>>;

  std::mutex mutex_;
  Table table_;  // guarded by mutex_; the plans in it are complete whenever it is free
};

}  // namespace sluice::xds
