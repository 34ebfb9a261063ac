#include "xds/validate_plan.h"

#include <string_view>
#include <utility>

#include "validate/validate.pb.h"

namespace sluice::xds {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::OneofDescriptor;

bool is_required(const validate::FieldRules& rules) {
  return rules.message().required() || rules.any().required() || rules.duration().required() ||
         rules.timestamp().required();
}

void add_rules(FieldPlan& plan, const validate::FieldRules& rules) {
  if (plan.field->is_map()) {
    plan.map = &rules.map();
    if (rules.map().has_keys()) plan.key = ValueRule::compile(rules.map().keys());
    if (rules.map().has_values()) plan.value = ValueRule::compile(rules.map().values());
  } else if (plan.field->is_repeated()) {
    plan.repeated = &rules.repeated();
    if (rules.repeated().has_items()) plan.value = ValueRule::compile(rules.repeated().items());
  } else {
    plan.value = ValueRule::compile(rules);
    plan.required = is_required(rules) && plan.field->real_containing_oneof() == nullptr;
  }
}

// The type of the messages that a field holds, itself, as elements or as values; null for scalars.
const Descriptor* message_type_of(const FieldDescriptor* field) {
  const FieldDescriptor* holder = field->is_map() ? field->message_type()->map_value() : field;
  return holder->message_type();
}

bool is_skipped(const FieldDescriptor* field) {
  const validate::FieldRules& rules = field->options().GetExtension(validate::rules);
  return rules.message().skip() || rules.repeated().items().message().skip() ||
         rules.map().values().message().skip();
}

// Rules that Envoy itself does not check, and that control planes break.
bool is_waived(const FieldDescriptor* field) {
  // istiod names no resolvers; Envoy unpacks this message unchecked.
  constexpr std::string_view kWaived =
      "envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig.resolvers";
  return field->full_name() == kWaived;
}

// Compiles `type`; `plan_of` gives the plan, perhaps yet to be filled, of another type.
template <class PlanOf>
void fill(MessagePlan& plan, const Descriptor* type, PlanOf plan_of) {
  if (type->options().GetExtension(validate::disabled)) return;
  for (int i = 0; i < type->real_oneof_decl_count(); ++i) {
    const OneofDescriptor* oneof = type->oneof_decl(i);
    if (oneof->options().GetExtension(validate::required)) plan.required_oneofs.push_back(oneof);
  }
  for (int i = 0; i < type->field_count(); ++i) {
    FieldPlan field;
    field.field = type->field(i);
    const bool has_rules =
        field.field->options().HasExtension(validate::rules) && !is_waived(field.field);
    if (has_rules) add_rules(field, field.field->options().GetExtension(validate::rules));
    if (const Descriptor* below = message_type_of(field.field)) {
      field.is_any = below->well_known_type() == Descriptor::WELLKNOWNTYPE_ANY;
      if (!field.is_any && !is_skipped(field.field)) field.below = plan_of(below);
    }
    plan.has_rules |= has_rules;
    plan.has_any |= field.is_any;
    if (has_rules || field.is_any || field.below != nullptr) {
      plan.fields.push_back(std::move(field));
    }
  }
  plan.has_rules |= !plan.required_oneofs.empty();
}

// Lets what is below count above, until nothing changes any more (types may be recursive).
void spread_upwards(const std::vector<MessagePlan*>& plans) {
  for (bool changed = true; changed;) {
    changed = false;
    for (MessagePlan* plan : plans) {
      const bool had_rules = plan->has_rules, had_any = plan->has_any;
      for (const FieldPlan& field : plan->fields) {
        if (field.below == nullptr) continue;
        plan->has_rules |= field.below->has_rules;
        plan->has_any |= field.below->has_any;
      }
      changed |= plan->has_rules != had_rules || plan->has_any != had_any;
    }
  }
}

bool is_idle(const FieldPlan& field) {
  const bool ruled = field.field->options().HasExtension(validate::rules);
  const bool useful_below = field.below && (field.below->has_rules || field.below->has_any);
  return !ruled && !field.is_any && !useful_below;
}

}  // namespace

const MessagePlan& Plans::of(const Descriptor* root) {
  std::lock_guard lock(mutex_);
  if (auto found = table_.find(root); found != table_.end()) return *found->second;

  std::vector<std::pair<const Descriptor*, MessagePlan*>> todo;
  std::vector<MessagePlan*> fresh;
  const auto plan_of = [&](const Descriptor* type) -> const MessagePlan* {
    std::unique_ptr<MessagePlan>& slot = table_[type];
    if (slot == nullptr) {
      slot = std::make_unique<MessagePlan>();
      todo.emplace_back(type, slot.get());
    }
    return slot.get();
  };

  const MessagePlan* result = plan_of(root);
  while (!todo.empty()) {
    const auto [type, plan] = todo.back();
    todo.pop_back();
    fresh.push_back(plan);
    fill(*plan, type, plan_of);
  }
  spread_upwards(fresh);
  for (MessagePlan* plan : fresh) std::erase_if(plan->fields, is_idle);
  return *result;
}

}  // namespace sluice::xds
