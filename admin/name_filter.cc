#include "admin/name_filter.h"

#include <re2/re2.h>

#include "base/text.h"

namespace sluice::admin {

absl::StatusOr<NameFilter> NameFilter::from(const Request& request, std::string_view param) {
  NameFilter filter;
  filter.invert_ = request.has("invert_filter");
  const std::string* text = request.find(param);
  if (text == nullptr || text->empty()) return filter;
  RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(1024 * 1024);
  filter.regex_ = std::make_shared<const RE2>(*text, options);
  if (filter.regex_->ok()) return filter;
  return base::config_error("Invalid re2 regex: ", filter.regex_->error());
}

bool NameFilter::wants(std::string_view name) const {
  if (regex_ == nullptr) return true;
  const re2::StringPiece piece(name.data(), name.size());
  return RE2::PartialMatch(piece, *regex_) != invert_;
}

}  // namespace sluice::admin
