#pragma once

#include <array>
#include <bit>
#include <cstring>
#include <string_view>

#include "http/message.h"

namespace sluice::http::internal {

// Which HeaderId is this name? The table of known names and a perfect hash of it, inline for the
// two places that ask for every field of every message: the parser and FieldList. Others call
// header_id_of(). Constant data, any thread; about 20 instructions, no allocation.

static_assert(std::endian::native == std::endian::little);

// In the order of HeaderId.
inline constexpr std::string_view kHeaderLines[] = {
    ": ",
    "host: ",
    "connection: ",
    "content-length: ",
    "transfer-encoding: ",
    "upgrade: ",
    "expect: ",
    "te: ",
    "trailer: ",
    "keep-alive: ",
    "proxy-connection: ",
    "content-type: ",
    "user-agent: ",
    "accept: ",
    "accept-encoding: ",
    "authorization: ",
    "cookie: ",
    "set-cookie: ",
    "date: ",
    "server: ",
    "via: ",
    "location: ",
    "origin: ",
    "referer: ",
    "cache-control: ",
    "etag: ",
    "vary: ",
    "content-encoding: ",
    "forwarded: ",
    "x-forwarded-for: ",
    "x-forwarded-proto: ",
    "x-forwarded-host: ",
    "x-forwarded-port: ",
    "x-forwarded-client-cert: ",
    "x-request-id: ",
    "x-client-trace-id: ",
    "traceparent: ",
    "tracestate: ",
    "grpc-status: ",
    "grpc-message: ",
    "grpc-timeout: ",
    "x-envoy-internal: ",
    "x-envoy-external-address: ",
    "x-envoy-original-path: ",
    "x-envoy-expected-rq-timeout-ms: ",
    "x-envoy-upstream-service-time: ",
    "x-envoy-upstream-rq-timeout-ms: ",
    "x-envoy-upstream-rq-per-try-timeout-ms: ",
    "x-envoy-retry-on: ",
    "x-envoy-max-retries: ",
    "x-envoy-attempt-count: ",
    "x-envoy-decorator-operation: ",
    "x-envoy-downstream-service-cluster: ",
    "x-envoy-downstream-service-node: ",
    "x-envoy-overloaded: ",
    "x-envoy-ratelimited: ",
    "x-envoy-force-trace: ",
    "x-envoy-hedge-on-per-try-timeout: ",
    "x-envoy-original-dst-host: ",
    "x-envoy-ip-tags: ",
    "x-envoy-upstream-alt-stat-name: ",
    "x-envoy-upstream-rq-timeout-alt-response: ",
    "x-envoy-retry-grpc-on: ",
    "x-envoy-retriable-status-codes: ",
    "x-envoy-retriable-header-names: ",
    "x-envoy-original-host: ",
    "x-envoy-upstream-healthchecked-cluster: ",
    "x-envoy-degraded: ",
    "x-envoy-local-reply-reason: ",
};
static_assert(std::size(kHeaderLines) == static_cast<size_t>(HeaderId::kCount));

// Without the colon and the space.
struct Names {
  std::string_view at[std::size(kHeaderLines)];
};
constexpr Names make_names() noexcept {
  Names names;
  for (size_t i = 0; i < std::size(kHeaderLines); ++i) {
    names.at[i] = kHeaderLines[i].substr(0, kHeaderLines[i].size() - 2);
  }
  return names;
}
inline constexpr Names kNames = make_names();
inline constexpr const auto& kHeaderNames = kNames.at;

// A perfect hash of the names above, but the two that are shorter than four characters: the last
// four characters, the one in the middle and the length, times a multiplier that a search found.
// Adding a name may need another multiplier: the assertion below says so.
inline constexpr unsigned kSlotBits = 9;
inline constexpr size_t kShortName = 4;

constexpr unsigned slot_of(uint32_t last4, char middle, size_t size) noexcept {
  const uint32_t key = last4 + (uint32_t{static_cast<unsigned char>(middle)} << 5) +
                       static_cast<uint32_t>(size) * 0x9e3779b1u;
  return static_cast<uint32_t>(key * 0x21636369u) >> (32 - kSlotBits);
}

constexpr unsigned slot_of(std::string_view name) noexcept {
  uint32_t last4 = 0;
  for (size_t i = 0; i < 4; ++i) {
    last4 |= uint32_t{static_cast<unsigned char>(name[name.size() - 4 + i])} << (8 * i);
  }
  return slot_of(last4, name[name.size() / 2], name.size());
}

struct Slots {
  std::array<uint8_t, size_t{1} << kSlotBits> id{};
  bool perfect = true;
};

constexpr Slots make_slots() noexcept {
  Slots slots;
  for (size_t i = 1; i < std::size(kHeaderNames); ++i) {
    if (kHeaderNames[i].size() < kShortName) continue;
    uint8_t& slot = slots.id[slot_of(kHeaderNames[i])];
    slots.perfect = slots.perfect && slot == 0;
    slot = static_cast<uint8_t>(i);
  }
  return slots;
}
inline constexpr Slots kSlots = make_slots();
static_assert(kSlots.perfect, "two names share a slot: search for another multiplier");

template <typename Word>
bool same_word(const char* a, const char* b) noexcept {
  Word x, y;
  std::memcpy(&x, a, sizeof(x));
  std::memcpy(&y, b, sizeof(y));
  return x == y;
}

// Inline compare of `size` >= 4 bytes by words that may overlap.
inline bool same_bytes(const char* a, const char* b, size_t size) noexcept {
  if (size < 8) {
    return same_word<uint32_t>(a, b) && same_word<uint32_t>(a + size - 4, b + size - 4);
  }
  for (size_t i = 0; i + 8 < size; i += 8) {
    if (!same_word<uint64_t>(a + i, b + i)) return false;
  }
  return same_word<uint64_t>(a + size - 8, b + size - 8);
}

// header_id_of(), inline.
[[gnu::always_inline]] inline HeaderId find_header_id(std::string_view name) noexcept {
  if (name.size() < kShortName) [[unlikely]] {
    if (name == "te") return HeaderId::kTe;
    return name == "via" ? HeaderId::kVia : HeaderId::kOther;
  }
  uint32_t last4;
  std::memcpy(&last4, name.data() + name.size() - 4, sizeof(last4));
  const uint8_t id = kSlots.id[slot_of(last4, name[name.size() / 2], name.size())];
  const std::string_view known = kHeaderNames[id];
  if (known.size() != name.size() || !same_bytes(known.begin(), name.begin(), name.size())) {
    return HeaderId::kOther;
  }
  return static_cast<HeaderId>(id);
}

}  // namespace sluice::http::internal
