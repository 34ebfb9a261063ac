#pragma once

#include <cstddef>
#include <cstdint>

#include "base/clock.h"
#include "base/histogram.h"
#include "base/stats.h"

namespace sluice::base {

// Stamp names the fixed points of an exchange at which the cycle counter is read (architecture,
// section 5). They answer "where did the time go?" for the access log, for Envoy's durations and
// for the cost histograms (contract M1 to M4). Listed in the order in which they usually happen.
enum class Stamp : uint8_t {
  kAccepted,         // connection accepted; only on its first exchange
  kTlsDone,          // handshake done; only on its first exchange
  kReceived,         // first byte of the request seen by the parser
  kHeadParsed,       // request head complete
  kPinned,           // tables pinned
  kRouted,           // host and route matched
  kChainIn,          // request hooks begin
  kChainOut,         // request hooks done
  kPicked,           // the balancer named a host
  kPoolReady,        // a connection is ours; waited since kPicked
  kConnected,        // it had to be opened, and is; absent for a reused one
  kHeadSent,         // request head handed to the upstream's socket
  kRequestReceived,  // last byte of the request received
  kRequestSent,      // last byte of the request handed to the upstream's socket
  kResponseFirst,    // first byte of the response seen by the parser
  kResponseHead,     // response head complete
  kResponseIn,       // response hooks begin
  kResponseOut,      // response hooks done
  kResponseBegun,    // response head handed to the downstream's socket
  kResponseEnd,      // last byte of the response received
  kFlushed,          // last byte of the response handed to the downstream's socket
  kCount,
};

// Stamps is the array of an exchange: part of its arena, zeroed when it begins. 0 means "never".
// A retry overwrites the upstream's stamps: they tell of the last attempt.
// mark() costs a cycle-counter read, about 8 ns.
struct Stamps {
  Ticks at[static_cast<size_t>(Stamp::kCount)] = {};

  void mark(Stamp stamp) noexcept { at[static_cast<size_t>(stamp)] = ticks_now(); }
  void set(Stamp stamp, Ticks ticks) noexcept { at[static_cast<size_t>(stamp)] = ticks; }
  Ticks get(Stamp stamp) const noexcept { return at[static_cast<size_t>(stamp)]; }
  bool has(Stamp stamp) const noexcept { return get(stamp) != 0; }
  // -1: one of the two never happened. Never negative otherwise.
  int64_t between_ns(Stamp from, Stamp to) const noexcept {
    const Ticks a = get(from);
    const Ticks b = get(to);
    if (a == 0 || b == 0) return -1;
    return b <= a ? 0 : ns_of_ticks(b - a);
  }
};

// Cost names what the histograms hold: a pair of stamps each. `cpu` says that the span is work of
// this thread; the others are waiting.
enum class Cost : uint8_t {
  kParse,          // kReceived to kHeadParsed
  kRoute,          // kPinned to kRouted (M1)
  kChain,          // kChainIn to kChainOut (M2)
  kResponseChain,  // kResponseIn to kResponseOut (M2)
  kPick,           // kChainOut to kPicked
  kPool,           // kPicked to kPoolReady, waiting
  kConnect,        // kPicked to kConnected, waiting; new connections only
  kSend,           // kPoolReady to kHeadSent
  kUpstream,       // kHeadSent to kResponseFirst, waiting
  kResponseParse,  // kResponseFirst to kResponseHead
  kBody,           // kResponseHead to kResponseEnd, waiting
  kFlush,          // kResponseEnd to kFlushed
  kTotal,          // kReceived to kFlushed
  kCount,
};

struct CostSpan {
  const char* name;
  Stamp from;
  Stamp to;
  bool cpu;
};

inline constexpr CostSpan kCostSpans[] = {
    {"parse", Stamp::kReceived, Stamp::kHeadParsed, true},
    {"route", Stamp::kPinned, Stamp::kRouted, true},
    {"chain", Stamp::kChainIn, Stamp::kChainOut, true},
    {"response_chain", Stamp::kResponseIn, Stamp::kResponseOut, true},
    {"pick", Stamp::kChainOut, Stamp::kPicked, true},
    {"pool", Stamp::kPicked, Stamp::kPoolReady, false},
    {"connect", Stamp::kPicked, Stamp::kConnected, false},
    {"send", Stamp::kPoolReady, Stamp::kHeadSent, true},
    {"upstream", Stamp::kHeadSent, Stamp::kResponseFirst, false},
    {"response_parse", Stamp::kResponseFirst, Stamp::kResponseHead, true},
    {"body", Stamp::kResponseHead, Stamp::kResponseEnd, false},
    {"flush", Stamp::kResponseEnd, Stamp::kFlushed, true},
    {"total", Stamp::kReceived, Stamp::kFlushed, false},
};
static_assert(sizeof(kCostSpans) / sizeof(kCostSpans[0]) == static_cast<size_t>(Cost::kCount));

// CostHistograms holds one worker's costs: a statistics group ("cost."), written by the worker
// alone and readable from main (see base/stats.h). record() adds every span that happened: about
// 3 ns each.
struct CostHistograms {
  static const StatGroup kGroup;

  Histogram spans[static_cast<size_t>(Cost::kCount)];

  void record(const Stamps& stamps) noexcept {
    for (size_t i = 0; i < static_cast<size_t>(Cost::kCount); ++i) {
      const int64_t ns = stamps.between_ns(kCostSpans[i].from, kCostSpans[i].to);
      if (ns >= 0) spans[i].add(static_cast<uint64_t>(ns));
    }
  }
  // Only those that are kept for every exchange: routing, request chain, total.
  void record_always(const Stamps& stamps) noexcept {
    for (const Cost cost : {Cost::kRoute, Cost::kChain, Cost::kTotal}) {
      const CostSpan& span = kCostSpans[static_cast<size_t>(cost)];
      const int64_t ns = stamps.between_ns(span.from, span.to);
      if (ns >= 0) of(cost).add(static_cast<uint64_t>(ns));
    }
  }
  Histogram& of(Cost cost) noexcept { return spans[static_cast<size_t>(cost)]; }
  const Histogram& of(Cost cost) const noexcept { return spans[static_cast<size_t>(cost)]; }
};

}  // namespace sluice::base
