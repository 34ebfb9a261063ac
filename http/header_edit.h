#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "base/arena.h"
#include "http/facts.h"
#include "http/format.h"
#include "http/message.h"
#include "http/values.h"

namespace sluice::http {

// HeaderEdit is one compiled change of a header list: request_headers_to_add and its siblings at
// every level of a route configuration, and the header_mutation filter. Immutable; any thread.
struct HeaderEdit {
  enum class Action : uint8_t { kRemove, kAppend, kAddIfAbsent, kOverwrite, kOverwriteIfExists };
  HeaderId id = HeaderId::kOther;
  Action action = Action::kAppend;
  bool keep_empty = false;
  // The first edit of a level (a route, a virtual host...). Levels are applied one after the other.
  bool begins_level = false;
  std::string name;                      // lower case
  std::string value;                     // ready text, when there is no format
  std::shared_ptr<const Format> format;  // set when the value has %OPERATORS%
};
using HeaderEditList = std::vector<HeaderEdit>;

// Appends the edits of one level to `out`, removals first. `path` begins the errors:
// "virtual_hosts[0].request_headers". Refused: pseudo-headers, host, fields that frame the message
// or the connection (content-length, transfer-encoding, connection...), names that are no tokens,
// literal values that cannot stand in a field.
absl::Status compile_edits(const HeaderMutations& values, std::string_view path,
                           HeaderEditList* out, std::vector<std::string>* warnings = nullptr);

// Envoy keeps most of the fields that it knows in one line, joining further ones with a comma.
// False for those.
bool may_stand_in_lines(HeaderId id) noexcept;

// Changes `fields` as Envoy does, level by level: removals; then all values are computed; then
// overwrites; then additions. Appending to a field that Envoy keeps once joins the values with a
// comma ("; " for cookie); others become a further line. A value that renders empty is skipped
// unless keep_empty. `facts` is what %OPERATORS% read, its heads included.
//
// Cost: one lookup by id per edit (by name for unknown names) and the bytes of the new lines in the
// arena; no allocation elsewhere. Returns how many values were refused, because they would hold CR,
// LF or NUL, or because the arena was full.
uint32_t apply_edits(std::span<const HeaderEdit> edits, FieldList& fields, const Facts& facts,
                     base::Arena& arena) noexcept;

}  // namespace sluice::http
