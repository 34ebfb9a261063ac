#include "xds/support.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <google/protobuf/unknown_field_set.h>

#include <string>
#include <unordered_map>

#include "base/text.h"

namespace sluice::xds {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::DescriptorPool;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

enum class Rule : uint8_t { kRefuse, kRead, kIgnore, kOnlyFalse };

struct FieldRule {
  Rule rule = Rule::kRefuse;
  std::string_view why;
};

struct TypeRule {
  std::vector<FieldRule> by_index;  // of the field in its message
};

void set_rule(const TypeSupport& support, const Descriptor& type, TypeRule& out,
              std::string_view name, FieldRule rule) {
  const FieldDescriptor* field = type.FindFieldByName(std::string(name));
  // A typo in the table; a test looks at every entry.
  if (field == nullptr) {
    fprintf(stderr, "support.h: no field %s in %s\n", std::string(name).c_str(),
            std::string(support.type).c_str());
    abort();
  }
  out.by_index[static_cast<size_t>(field->index())] = rule;
}

std::string_view next_word(std::string_view* text, char separator) {
  while (!text->empty() && (text->front() == separator || text->front() == '\n')) {
    text->remove_prefix(1);
  }
  const size_t end = std::min(text->find(separator), text->size());
  const std::string_view word = text->substr(0, end);
  text->remove_prefix(end);
  return word;
}

TypeRule rule_of(const TypeSupport& support, const Descriptor& type) {
  TypeRule out;
  out.by_index.resize(static_cast<size_t>(type.field_count()));
  std::string_view read = support.read, ignored = support.ignored, off = support.only_false;
  for (auto word = next_word(&read, ' '); !word.empty(); word = next_word(&read, ' ')) {
    set_rule(support, type, out, word, {Rule::kRead, {}});
  }
  for (auto word = next_word(&off, ' '); !word.empty(); word = next_word(&off, ' ')) {
    set_rule(support, type, out, word, {Rule::kOnlyFalse, {}});
  }
  for (auto line = next_word(&ignored, '\n'); !line.empty(); line = next_word(&ignored, '\n')) {
    const size_t colon = line.find(": ");
    const std::string_view why = colon == line.npos ? std::string_view() : line.substr(colon + 2);
    set_rule(support, type, out, line.substr(0, colon), {Rule::kIgnore, why});
  }
  return out;
}

class Rules {
 public:
  Rules() {
    for (const auto& table :
         {listener_support(), route_support(), cluster_support(), bootstrap_support()}) {
      for (const TypeSupport& support : table) {
        const Descriptor* type =
            DescriptorPool::generated_pool()->FindMessageTypeByName(std::string(support.type));
        if (type == nullptr) {
          fprintf(stderr, "support.h: no message %s\n", std::string(support.type).c_str());
          abort();
        }
        rules_.emplace(type, rule_of(support, *type));
      }
    }
  }

  // Null: not in the table; messages of google.protobuf are read whole.
  const TypeRule* find(const Descriptor* type) const {
    const auto found = rules_.find(type);
    return found == rules_.end() ? nullptr : &found->second;
  }

 private:
  std::unordered_map<const Descriptor*, TypeRule> rules_;
};

const Rules& rules() {
  static const Rules* const kRules = new Rules;
  return *kRules;
}

bool is_google(const Descriptor& type) { return type.full_name().starts_with("google.protobuf."); }

bool is_false(const Message& message, const FieldDescriptor& field) {
  if (field.message_type() == nullptr) return false;  // set means true
  if (field.message_type()->full_name() != "google.protobuf.BoolValue") return false;
  const Message& wrapper = message.GetReflection()->GetMessage(message, &field);
  return !wrapper.GetReflection()->GetBool(wrapper, field.message_type()->field(0));
}

class Search {
 public:
  explicit Search(const std::function<bool(const Finding&)>& found) : found_(found) {}

  // False: the caller has seen enough.
  bool message(const Message& message, const std::string& path) {
    const Reflection& reflection = *message.GetReflection();
    if (!unknown_fields(message, path)) return false;
    const TypeRule* rule = rules().find(message.GetDescriptor());
    std::vector<const FieldDescriptor*> fields;
    reflection.ListFields(message, &fields);
    for (const FieldDescriptor* field : fields) {
      const FieldRule at =
          rule == nullptr ? FieldRule{} : rule->by_index[static_cast<size_t>(field->index())];
      if (!field_of(message, *field, at, path)) return false;
    }
    return true;
  }

 private:
  bool field_of(const Message& message, const FieldDescriptor& field, const FieldRule& rule,
                const std::string& path) {
    switch (rule.rule) {
      case Rule::kRead:
        return field.message_type() == nullptr || is_google(*field.message_type()) ||
               field.is_map() || below(message, field, path);
      case Rule::kOnlyFalse:
        if (is_false(message, field)) return true;
        return report(Finding::Kind::kRefused, field, path, {});
      case Rule::kIgnore:
        return report(Finding::Kind::kIgnored, field, path, rule.why);
      case Rule::kRefuse:
        break;
    }
    return report(Finding::Kind::kRefused, field, path, {});
  }

  bool below(const Message& parent, const FieldDescriptor& field, const std::string& path) {
    const Reflection& reflection = *parent.GetReflection();
    if (!field.is_repeated()) {
      return message(reflection.GetMessage(parent, &field), join(path, field));
    }
    for (int i = 0; i < reflection.FieldSize(parent, &field); ++i) {
      if (!message(reflection.GetRepeatedMessage(parent, &field, i),
                   base::cat(join(path, field), "[", i, "]"))) {
        return false;
      }
    }
    return true;
  }

  bool unknown_fields(const Message& message, const std::string& path) {
    const auto& unknown = message.GetReflection()->GetUnknownFields(message);
    if (unknown.empty()) return true;
    Finding finding;
    finding.kind = Finding::Kind::kUnknown;
    finding.path = path;
    finding.field =
        base::cat(message.GetDescriptor()->full_name(), " number ", unknown.field(0).number());
    return found_(finding);
  }

  static std::string join(const std::string& path, const FieldDescriptor& field) {
    return path.empty() ? field.name() : base::cat(path, ".", field.name());
  }

  bool report(Finding::Kind kind, const FieldDescriptor& field, const std::string& path,
              std::string_view why) {
    Finding finding;
    finding.kind = kind;
    finding.path = join(path, field);
    finding.field = field.full_name();
    finding.why = why;
    return found_(finding);
  }

  const std::function<bool(const Finding&)>& found_;
};

void print_type(const TypeSupport& support, std::string* out) {
  const Descriptor* type =
      DescriptorPool::generated_pool()->FindMessageTypeByName(std::string(support.type));
  const TypeRule& rule = *rules().find(type);
  base::cat_to(*out, "\n### ", support.type, "\n\n");
  std::string read, off, refused;
  const auto append = [](std::string& list, const std::string& name) {
    base::cat_to(list, list.empty() ? "" : ", ", "`", name, "`");
  };
  for (int i = 0; i < type->field_count(); ++i) {
    const FieldRule& at = rule.by_index[static_cast<size_t>(i)];
    const std::string& name = type->field(i)->name();
    if (at.rule == Rule::kRead) append(read, name);
    if (at.rule == Rule::kOnlyFalse) append(off, name);
    if (at.rule == Rule::kRefuse) append(refused, name);
  }
  if (!read.empty()) base::cat_to(*out, "* read: ", read, "\n");
  for (int i = 0; i < type->field_count(); ++i) {
    const FieldRule& at = rule.by_index[static_cast<size_t>(i)];
    if (at.rule != Rule::kIgnore) continue;
    base::cat_to(*out, "* warning: `", type->field(i)->name(), "`: ", at.why, "\n");
  }
  if (!off.empty()) base::cat_to(*out, "* only `false`: ", off, "\n");
  if (!refused.empty()) base::cat_to(*out, "* refused: ", refused, "\n");
}

void print_section(std::string_view title, std::span<const TypeSupport> table, std::string* out) {
  base::cat_to(*out, "\n## ", title, "\n");
  for (const TypeSupport& support : table) print_type(support, out);
}

}  // namespace

void find_unsupported(const Message& message, const std::function<bool(const Finding&)>& found) {
  Search(found).message(message, {});
}

std::string support_markdown() {
  std::string out =
      "# What of Envoy's configuration Sluice does\n"
      "\n"
      "Printed from the table that the decoders enforce (`xds/support_*.cc`); a test keeps this "
      "file true to it.\n"
      "\n"
      "* **read**: it does what Envoy's documentation says; values that it does not have yet are "
      "refused by name.\n"
      "* **warning**: accepted and ignored, with a warning, because ignoring it changes neither "
      "where traffic goes, nor what is let in, nor what a client sees.\n"
      "* **refused**: an error that names the field. Static resources stop the start; of a control "
      "plane the resource is NACKed by name and its last good version keeps serving.\n"
      "\n"
      "A message that is not listed is refused whole where a listed one refers to it.\n";
  print_section("Bootstrap", bootstrap_support(), &out);
  print_section("Listeners", listener_support(), &out);
  print_section("Routes", route_support(), &out);
  print_section("Clusters and endpoints", cluster_support(), &out);
  return out;
}

}  // namespace sluice::xds
