#include "dataplane/log_filter.h"

#include <algorithm>
#include <charconv>
#include <functional>
#include <string_view>
#include <system_error>
#include <utility>

#include "base/text.h"
#include "http/grpc.h"

namespace sluice::dataplane {

namespace {

const http::RequestHead kNoRequest;  // not in a function: that would guard it by a lock

// The first eight digits of a UUID; false: it does not begin so.
bool number_of_request_id(std::string_view id, uint64_t* out) noexcept {
  if (id.size() < 8) return false;
  const auto [end, error] = std::from_chars(id.begin(), id.begin() + 8, *out, 16);
  return error == std::errc() && end == id.begin() + 8;
}

// splitmix64's last step: every bit of the result depends on every bit of `x`.
uint64_t mixed(uint64_t x) noexcept {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

// How long it has taken by now, if its last byte has not left.
uint64_t duration_ms(const http::Facts& facts) noexcept {
  base::Stamps stamps;
  stamps.set(base::Stamp::kReceived, facts.stamps->get(base::Stamp::kReceived));
  stamps.set(base::Stamp::kFlushed, facts.stamps->get(base::Stamp::kFlushed));
  if (!stamps.has(base::Stamp::kFlushed)) stamps.mark(base::Stamp::kFlushed);
  const int64_t ns = stamps.between_ns(base::Stamp::kReceived, base::Stamp::kFlushed);
  return static_cast<uint64_t>(std::max<int64_t>(0, ns)) / 1'000'000;
}

// grpc-status of trailers, of the head, or what the status stands for: whether or not the request
// was gRPC (Envoy).
uint32_t grpc_status_of(const http::Facts& facts) noexcept {
  constexpr uint32_t kUnknown = 2, kMostKnown = 16;
  std::string_view text;
  if (facts.response_trailers != nullptr) {
    text = facts.response_trailers->value(http::HeaderId::kGrpcStatus);
  }
  if (text.empty() && facts.response != nullptr) {
    text = facts.response->fields.value(http::HeaderId::kGrpcStatus);
  }
  if (text.empty()) {
    if (facts.response_code == 0) return kUnknown;
    text = http::grpc_status_of(facts.response_code);
  }
  uint32_t code = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), code);
  const bool known = error == std::errc() && end == text.data() + text.size() && code <= kMostKnown;
  return known ? code : LogFilterValue::kOddGrpc;
}

}  // namespace

absl::StatusOr<LogFilter> LogFilter::compile(const LogFilterValue& value, const std::string& at,
                                             base::RuntimeKeys* runtime, uint32_t num_workers) {
  LogFilter out;
  out.kind_ = value.kind;
  out.compare_ = value.compare;
  out.number_ = value.number;
  out.denominator_ = std::max<uint32_t>(1, value.denominator);
  out.independent_ = value.independent;
  if (runtime != nullptr) out.key_ = runtime->acquire(value.runtime_key);
  if (value.kind == Kind::kSample) out.salt_ = mixed(std::hash<std::string>{}(at));
  if (value.kind == Kind::kHeader) {
    auto header = router::HeaderPredicate::compile(value.header, num_workers,
                                                   base::cat(at, ".header_filter.header"));
    if (!header.ok()) return header.status();
    out.header_ = std::make_shared<const router::HeaderPredicate>(*std::move(header));
  }
  const std::string_view field = value.kind == Kind::kAnd ? ".and_filter" : ".or_filter";
  for (size_t i = 0; i < value.parts.size(); ++i) {
    auto part =
        compile(value.parts[i], base::cat(at, field, ".filters[", i, "]"), runtime, num_workers);
    if (!part.ok()) return part.status();
    out.parts_.push_back(*std::move(part));
  }
  return out;
}

// NOLINTNEXTLINE(misc-no-recursion): as deep as LogFilterValue::kMaxDepth
bool LogFilter::wants(const http::Facts& facts, const LogChance& chance) const noexcept {
  const auto part_wants = [&](const LogFilter& part) { return part.wants(facts, chance); };
  switch (kind_) {
    case Kind::kAll:
      return true;
    case Kind::kNone:
      return false;
    case Kind::kStatus:
      return compares(facts.response_code, chance);
    case Kind::kDuration:
      return facts.stamps != nullptr && compares(duration_ms(facts), chance);
    case Kind::kSample:
      return in_sample(facts, chance);
    case Kind::kHeader:
      return header_holds(facts, chance);
    case Kind::kFlags:
      return (facts.flags() & number_) != 0;
    case Kind::kGrpcStatus:
      return (number_ >> grpc_status_of(facts) & 1) != 0;
    case Kind::kLogType:
      return (number_ >> static_cast<unsigned>(facts.log_type()) & 1) != 0;
    case Kind::kAnd:
      return std::all_of(parts_.begin(), parts_.end(), part_wants);
    case Kind::kOr:
      return std::any_of(parts_.begin(), parts_.end(), part_wants);
  }
  return true;
}

bool LogFilter::compares(uint64_t number, const LogChance& chance) const noexcept {
  const uint64_t with = key_.number_or(chance.runtime, number_);
  switch (compare_) {
    case LogFilterValue::Compare::kEqual:
      return number == with;
    case LogFilterValue::Compare::kAtLeast:
      return number >= with;
    case LogFilterValue::Compare::kAtMost:
      return number <= with;
  }
  return true;
}

bool LogFilter::in_sample(const http::Facts& facts, const LogChance& chance) const noexcept {
  uint64_t number = 0;
  if (independent_ || !number_of_request_id(facts.request_id, &number)) {
    number = mixed(chance.random ^ salt_);
  }
  return number % denominator_ < key_.number_or(chance.runtime, number_);
}

// A relay has no request: the conditions see one without headers (Envoy).
bool LogFilter::header_holds(const http::Facts& facts, const LogChance& chance) const noexcept {
  const http::RequestHead& head = facts.request == nullptr ? kNoRequest : *facts.request;
  char scratch[1024];
  router::EvalContext context{.head = head, .path = head.path};
  context.worker = chance.worker;
  context.scratch = scratch;
  context.scratch_size = sizeof(scratch);
  context.runtime = chance.runtime;
  return header_->holds(context);
}

}  // namespace sluice::dataplane
