// ResourceName answers "are these two the same resource?" for names that are written as URNs:
//
//     xdstp://AUTHORITY/TYPE/ID?KEY=VALUE&KEY=VALUE#DIRECTIVE,DIRECTIVE
//
// The authority says who has the resource (authorities.h), the type is the full name of its
// message, the ID is a path, and the context parameters are part of the name, in any order. A name
// has many spellings and one normal form: what needs it is percent-encoded, and nothing else, and
// parameters are sorted, byte by byte as Envoy writes it, since servers compare texts. Everything
// in xds/ that is compared or asked for is in normal form; a name without the scheme is its own.
// An ID that ends in `/*` names a glob collection: all resources with the same parameters whose
// path differs in the last step only. Pure functions, any thread; the cost grows with the length.
// xRFC TP1; of a parameter that is given twice the first counts, as in Envoy.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace sluice::xds {

using ContextParams = std::map<std::string, std::string, std::less<>>;

struct ResourceName {
  std::string authority;
  std::string type;
  std::string id;
  ContextParams context;
  // What the fragment says, decoded ("entry=name"); no part of the name, and not in text().
  std::vector<std::string> directives;

  bool is_glob() const noexcept;
  std::string text() const;  // the normal form
};

bool is_xdstp(std::string_view name) noexcept;

// Errors: what is wrong, without the name.
absl::StatusOr<ResourceName> parse_resource_name(std::string_view name);

// The normal form of any name: what is no URN, or is a broken one, stays as it is.
std::string normal_name(std::string_view name);

// ---- Of names in normal form, by their text.

bool is_glob_name(std::string_view name) noexcept;
// The glob collection that holds it; empty: none, it is no URN.
std::string collection_of(std::string_view name);

}  // namespace sluice::xds
