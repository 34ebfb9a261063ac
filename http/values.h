#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace sluice::http {

// Header edits as plain values: what xds/decode makes of HeaderValueOption lists and of the
// header_mutation filter, what tests write by hand, and what http::HeaderEdits::compile() takes.
// Defaults are Envoy's.
struct HeaderMutation {
  enum class Action : uint8_t { kAppend, kAddIfAbsent, kOverwrite, kOverwriteIfExists };
  std::string name;   // lower case
  std::string value;  // may hold %OPERATORS%; compiled by http::Format
  Action action = Action::kAppend;
  bool keep_empty = false;
};

// Removals come before additions, as in Envoy.
struct HeaderMutations {
  std::vector<HeaderMutation> add;
  std::vector<std::string> remove;  // lower case
  bool empty() const { return add.empty() && remove.empty(); }
};

}  // namespace sluice::http
