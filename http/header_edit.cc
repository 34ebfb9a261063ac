#include "http/header_edit.h"

#include <algorithm>
#include <cstddef>

#include "base/text.h"

namespace sluice::http {

namespace {

using Action = HeaderEdit::Action;

Action action_of(HeaderMutation::Action action) noexcept {
  switch (action) {
    case HeaderMutation::Action::kAppend:
      return Action::kAppend;
    case HeaderMutation::Action::kAddIfAbsent:
      return Action::kAddIfAbsent;
    case HeaderMutation::Action::kOverwrite:
      return Action::kOverwrite;
    case HeaderMutation::Action::kOverwriteIfExists:
      return Action::kOverwriteIfExists;
  }
  return Action::kAppend;
}

// What the proxy decides itself: message framing, the connection, the authority.
bool is_ours(HeaderId id) noexcept {
  switch (id) {
    case HeaderId::kHost:
    case HeaderId::kConnection:
    case HeaderId::kContentLength:
    case HeaderId::kTransferEncoding:
    case HeaderId::kUpgrade:
    case HeaderId::kTe:
    case HeaderId::kTrailer:
    case HeaderId::kKeepAlive:
    case HeaderId::kProxyConnection:
      return true;
    default:
      return false;
  }
}

absl::Status check_name(std::string_view name, std::string_view path) {
  if (name.starts_with(':')) {
    return base::config_error(path, ": pseudo-headers cannot be edited (use a rewrite): ", name);
  }
  if (!is_token(name)) return base::config_error(path, ": not a header name: ", name);
  const HeaderId id = header_id_of(name);
  if (id == HeaderId::kHost) {
    return base::config_error(path, ": host cannot be edited (use host_rewrite_literal): ", name);
  }
  if (is_ours(id)) {
    return base::config_error(path,
                              ": decides how the message is framed, cannot be edited: ", name);
  }
  return absl::OkStatus();
}

absl::Status compile_value(const HeaderMutation& from, std::string_view path, HeaderEdit* edit,
                           std::vector<std::string>* warnings) {
  std::vector<std::string> heard;
  auto format = Format::parse(from.value, Format::kHeaderValue, &heard);
  if (!format.ok()) {
    return base::config_error(path, ".value: ", base::message_of(format.status()));
  }
  for (const std::string& w : heard) {
    if (warnings != nullptr) warnings->push_back(base::cat(path, ".value: ", w));
  }
  if (!format->is_literal()) {
    edit->format = std::make_shared<const Format>(*std::move(format));
    return absl::OkStatus();
  }
  edit->value = format->text();
  if (!is_field_value(edit->value)) {
    return base::config_error(path, ".value: holds control characters: ", from.name);
  }
  return absl::OkStatus();
}

const Field* find(const FieldList& fields, const HeaderEdit& edit) noexcept {
  return edit.id == HeaderId::kOther ? fields.find(edit.name) : fields.find(edit.id);
}

void remove(FieldList& fields, const HeaderEdit& edit) noexcept {
  edit.id == HeaderId::kOther ? fields.remove(edit.name) : fields.remove(edit.id);
}

bool overwrite(FieldList& fields, const HeaderEdit& edit, std::string_view value) noexcept {
  return edit.id == HeaderId::kOther ? fields.set(edit.name, value) : fields.set(edit.id, value);
}

bool append(FieldList& fields, const HeaderEdit& edit, std::string_view value) noexcept {
  if (edit.id == HeaderId::kOther) return fields.add(edit.name, value);
  if (may_stand_in_lines(edit.id)) return fields.add(edit.id, value);
  return fields.append_value(edit.id, edit.id == HeaderId::kCookie ? "; " : ",", value);
}

bool overwrites(Action action) noexcept {
  return action == Action::kOverwrite || action == Action::kOverwriteIfExists;
}

// The value to write, or one with a null pointer when the edit does not apply to this head.
std::string_view value_of(const HeaderEdit& edit, const FieldList& fields, const Facts& facts,
                          base::Arena& arena) noexcept {
  if (edit.action == Action::kAddIfAbsent && find(fields, edit) != nullptr) return {};
  if (edit.action == Action::kOverwriteIfExists && find(fields, edit) == nullptr) return {};
  const std::string_view value =
      edit.format == nullptr ? std::string_view(edit.value) : edit.format->render(facts, arena);
  if (!value.empty()) return value;
  return edit.keep_empty ? std::string_view("") : std::string_view();
}

uint32_t apply_level(std::span<const HeaderEdit> edits, FieldList& fields, const Facts& facts,
                     base::Arena& arena) noexcept {
  while (!edits.empty() && edits.front().action == Action::kRemove) {
    remove(fields, edits.front());
    edits = edits.subspan(1);
  }
  if (edits.empty()) return 0;
  auto* const values = arena.array<std::string_view>(edits.size());
  if (values == nullptr) return static_cast<uint32_t>(edits.size());
  for (size_t i = 0; i < edits.size(); ++i) {
    values[i] = value_of(edits[i], fields, facts, arena);
  }
  uint32_t refused = 0;
  for (size_t i = 0; i < edits.size(); ++i) {
    if (values[i].data() == nullptr || !overwrites(edits[i].action)) continue;
    if (!overwrite(fields, edits[i], values[i])) ++refused;
  }
  for (size_t i = 0; i < edits.size(); ++i) {
    if (values[i].data() == nullptr || overwrites(edits[i].action)) continue;
    if (!append(fields, edits[i], values[i])) ++refused;
  }
  return refused;
}

}  // namespace

bool may_stand_in_lines(HeaderId id) noexcept {
  switch (id) {
    case HeaderId::kOther:
    case HeaderId::kSetCookie:
    case HeaderId::kForwarded:
    case HeaderId::kTraceparent:
    case HeaderId::kTracestate:
    case HeaderId::kXEnvoyOriginalHost:
      return true;
    default:
      return false;
  }
}

absl::Status compile_edits(const HeaderMutations& values, std::string_view path,
                           HeaderEditList* out, std::vector<std::string>* warnings) {
  const size_t begin = out->size();
  for (size_t i = 0; i < values.remove.size(); ++i) {
    const std::string here = base::cat(path, "_to_remove[", i, "]");
    if (absl::Status s = check_name(values.remove[i], here); !s.ok()) return s;
    HeaderEdit& edit = out->emplace_back();
    edit.action = Action::kRemove;
    edit.id = header_id_of(values.remove[i]);
    edit.name = values.remove[i];
  }
  for (size_t i = 0; i < values.add.size(); ++i) {
    const HeaderMutation& from = values.add[i];
    const std::string here = base::cat(path, "_to_add[", i, "]");
    if (absl::Status s = check_name(from.name, here); !s.ok()) return s;
    HeaderEdit& edit = out->emplace_back();
    edit.action = action_of(from.action);
    edit.id = header_id_of(from.name);
    edit.name = from.name;
    edit.keep_empty = from.keep_empty;
    if (absl::Status s = compile_value(from, here, &edit, warnings); !s.ok()) return s;
  }
  if (out->size() > begin) (*out)[begin].begins_level = true;
  return absl::OkStatus();
}

uint32_t apply_edits(std::span<const HeaderEdit> edits, FieldList& fields, const Facts& facts,
                     base::Arena& arena) noexcept {
  uint32_t refused = 0;
  while (!edits.empty()) {
    const auto next = std::find_if(edits.begin() + 1, edits.end(),
                                   [](const HeaderEdit& e) { return e.begins_level; });
    const auto size = static_cast<size_t>(next - edits.begin());
    refused += apply_level(edits.first(size), fields, facts, arena);
    edits = edits.subspan(size);
  }
  return refused;
}

}  // namespace sluice::http
