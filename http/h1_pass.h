#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/reason.h"
#include "http/message.h"
#include "http/scan.h"

namespace sluice::http {

// What the files of the HTTP/1 parser share: one attempt at a head, and the pass over its field
// lines (h1_fields.cc), which serves requests, responses and trailers. Private to h1_*.cc.

enum class Verdict : uint8_t { kOk, kMore, kBad };
enum class Section : uint8_t { kRequest, kResponse, kTrailers };

// The state of one attempt. `at` is the first byte that is not parsed.
struct Pass {
  char* at;
  Window window;
  base::Reason reason = base::Reason::kNone;
  base::Reason fault = base::Reason::kNone;
  uint16_t max_fields = 100;
  bool no_underscore = false;
  bool reject_underscore = false;

  // What the special fields said.
  std::string_view host;
  std::string_view expect;
  uint64_t length = 0;
  uint8_t num_host = 0;
  bool has_length = false;
  bool has_coding = false;
  bool close = false;
  bool keep_alive = false;
  bool connection_upgrade = false;
  bool nominates = false;  // Connection names more than keep-alive and upgrade
  bool has_upgrade = false;
  bool refuses_upgrade = false;
  bool te_trailers = false;
  bool grpc = false;

  const char* end() const noexcept { return window.end; }
  size_t left() const noexcept { return static_cast<size_t>(window.end - at); }
  // Refuses the message for what it says; how it is written is still checked to the end, so that a
  // broken line is called that wherever it stands.
  void refuse(base::Reason why) noexcept {
    if (fault == base::Reason::kNone) fault = why;
  }
  Verdict bad(base::Reason why) noexcept {
    reason = why;
    return Verdict::kBad;
  }
};

// Field lines up to and with the empty line, pushed in their order. A line that is not written as
// it must be is bad at once; one that says what it may not (Pass::fault) is bad at the end.
template <Section kSection>
Verdict parse_fields(Pass* pass, FieldList* fields) noexcept;

extern template Verdict parse_fields<Section::kRequest>(Pass*, FieldList*) noexcept;
extern template Verdict parse_fields<Section::kResponse>(Pass*, FieldList*) noexcept;
extern template Verdict parse_fields<Section::kTrailers>(Pass*, FieldList*) noexcept;

}  // namespace sluice::http
