#include "router/regex.h"

#include <algorithm>

#include "re2/re2.h"

namespace sluice::router {

namespace {

// What all texts between `low` and `high` begin with.
std::string common_prefix(const std::string& low, const std::string& high) {
  const auto ends = std::mismatch(low.begin(), low.end(), high.begin(), high.end());
  return {low.begin(), ends.first};
}

}  // namespace

Regex::Regex(std::string_view pattern, uint32_t num_workers)
    : objects_(std::make_unique<std::unique_ptr<re2::RE2>[]>(std::max(num_workers, 1u))),
      size_(std::max(num_workers, 1u)) {
  RE2::Options options;
  options.set_log_errors(false);
  for (uint32_t i = 0; i < size_; ++i) {
    objects_[i] = std::make_unique<re2::RE2>(re2::StringPiece(pattern), options);
    if (!objects_[i]->ok()) return;
    // Builds the first states of the DFA now, not under a request.
    objects_[i]->Match("/", 0, 1, RE2::ANCHOR_BOTH, nullptr, 0);
  }
  std::string low;
  std::string high;
  if (objects_[0]->PossibleMatchRange(&low, &high, 64)) literal_prefix_ = common_prefix(low, high);
}

Regex::~Regex() = default;

bool Regex::ok() const noexcept { return objects_[0]->ok(); }
std::string Regex::error() const { return objects_[0]->error(); }
const std::string& Regex::pattern() const noexcept { return objects_[0]->pattern(); }

bool Regex::full_match(std::string_view text, uint32_t worker) const noexcept {
  return on(worker).Match(re2::StringPiece(text), 0, text.size(), RE2::ANCHOR_BOTH, nullptr, 0);
}

bool Regex::check_substitution(std::string_view rewrite, std::string* problem) const {
  return objects_[0]->CheckRewriteString(re2::StringPiece(rewrite), problem);
}

}  // namespace sluice::router
