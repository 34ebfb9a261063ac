#pragma once

#include <memory>
#include <string_view>

#include "absl/status/statusor.h"
#include "admin/page.h"

namespace re2 {
class RE2;
}

namespace sluice::admin {

// NameFilter answers "does the request want this name?": ?filter=REGEX (RE2, anywhere in the name),
// ?invert_filter. Cheap to copy. Main only.
class NameFilter {
 public:
  NameFilter() = default;  // wants all
  // Errors: the expression does not compile.
  static absl::StatusOr<NameFilter> from(const Request& request, std::string_view param = "filter");
  bool wants(std::string_view name) const;

 private:
  std::shared_ptr<const re2::RE2> regex_;
  bool invert_ = false;
};

}  // namespace sluice::admin
