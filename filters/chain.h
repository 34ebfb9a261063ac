#pragma once

#include <cstddef>
#include <cstdint>
#include <new>
#include <tuple>
#include <utility>

#include "base/arena.h"
#include "base/clock.h"
#include "base/histogram.h"
#include "filters/filter.h"

namespace sluice::filters {

// Chains run a listener's HTTP filters. FusedChain<Header, Router> is a type whose phases inline
// every hook; VariantChain runs any order of the catalogue's filters with a switch per filter.
// Both have only static functions over a ChainRun, the few words that an exchange keeps.
//
// Cost of a phase: per filter that has the hook, a test of its configuration pointer; nothing for
// one that has not. No allocation (states are one piece of the exchange's arena), no virtual call.
// A hook that answered kWait is resumed behind itself by calling the same phase again.

enum class Phase : uint8_t { kRequest, kRequestBody, kResponse, kResponseBody };
constexpr size_t kNumPhases = 4;

// ChainConfigs is what a chain runs with: one pointer per filter, null for one that is off here; of
// the listener, or of a route that overrides some. Immutable; lives in a FilterChain or a route.
struct ChainConfigs {
  const void* const* configs = nullptr;
  const uint8_t* kinds = nullptr;           // index in the catalogue
  const uint16_t* state_offsets = nullptr;  // VariantChain only
  uint16_t state_bytes = 0;
  uint8_t size = 0;
  // What the route says of each filter, null for nothing; null as a whole for most routes.
  const void* const* route_configs = nullptr;
};

// ChainRun is one exchange's passage through a chain: where it is and its filters' states.
struct ChainRun {
  ChainConfigs chain;
  std::byte* states = nullptr;
  // Where the next call of a phase begins: not 0 only after kWait. Counted from the phase's first
  // filter, which is the last of the list for responses.
  uint8_t next[kNumPhases] = {};
  bool begun = false;
  // On the exchanges that are sampled: two histograms per kind of filter, of requests and of
  // responses; else null.
  base::Histogram* costs = nullptr;
};

namespace internal {

// A phase by type: whether a filter has its hook, and how it is called.
struct RequestHook {
  static constexpr Phase kPhase = Phase::kRequest;
  static constexpr bool kReverse = false;
  template <typename F>
  static constexpr bool kHas = HasOnRequest<F>;
  template <typename F>
  static Verdict call(const typename F::Config& c, typename F::State& s,
                      FilterContext& x) noexcept {
    return F::on_request(c, s, x);
  }
};
struct RequestBodyHook {
  static constexpr Phase kPhase = Phase::kRequestBody;
  static constexpr bool kReverse = false;
  template <typename F>
  static constexpr bool kHas = HasOnRequestBody<F>;
  template <typename F>
  static Verdict call(const typename F::Config& c, typename F::State& s, FilterContext& x,
                      base::Chain& body, bool end) noexcept {
    return F::on_request_body(c, s, x, body, end);
  }
};
struct ResponseHook {
  static constexpr Phase kPhase = Phase::kResponse;
  static constexpr bool kReverse = true;
  template <typename F>
  static constexpr bool kHas = HasOnResponse<F>;
  template <typename F>
  static Verdict call(const typename F::Config& c, typename F::State& s,
                      FilterContext& x) noexcept {
    return F::on_response(c, s, x);
  }
};
struct ResponseBodyHook {
  static constexpr Phase kPhase = Phase::kResponseBody;
  static constexpr bool kReverse = true;
  template <typename F>
  static constexpr bool kHas = HasOnResponseBody<F>;
  template <typename F>
  static Verdict call(const typename F::Config& c, typename F::State& s, FilterContext& x,
                      base::Chain& body, bool end) noexcept {
    return F::on_response_body(c, s, x, body, end);
  }
};

// Calls one hook, timed if the exchange is sampled.
template <typename Hook, typename F, typename... Args>
inline Verdict call_hook(ChainRun& run, size_t at, const void* config, void* state,
                         FilterContext& x, Args&... args) noexcept {
  const auto& c = *static_cast<const typename F::Config*>(config);
  auto& s = *static_cast<typename F::State*>(state);
  x.route_config = run.chain.route_configs == nullptr ? nullptr : run.chain.route_configs[at];
  if (run.costs == nullptr) [[likely]]
    return Hook::template call<F>(c, s, x, args...);
  const base::Ticks begin = base::ticks_now();
  const Verdict verdict = Hook::template call<F>(c, s, x, args...);
  const auto ns = static_cast<uint64_t>(base::ns_of_ticks(base::ticks_now() - begin));
  run.costs[2 * run.chain.kinds[at] + (Hook::kReverse ? 1 : 0)].add(ns);
  return verdict;
}

// Remembers where to go on after kWait, forgets it otherwise.
inline void settle(ChainRun& run, Phase phase, Verdict verdict, size_t behind) noexcept {
  run.next[static_cast<size_t>(phase)] =
      verdict == Verdict::kWait ? static_cast<uint8_t>(behind) : uint8_t{0};
}

// Room for a state behind `offset`: 8-byte aligned.
template <typename F>
constexpr size_t state_room() {
  static_assert(alignof(typename F::State) <= 8);
  return std::is_empty_v<typename F::State> ? 0 : (sizeof(typename F::State) + 7) & ~size_t{7};
}

}  // namespace internal

// What both kinds of chain offer; Self has kStateBytes or a run-time size, make_states(),
// pass<Hook>() and done().
template <typename Self>
struct ChainPhases {  // NOLINT(bugprone-crtp-constructor-accessibility): static functions only
  // Prepares `run` for one exchange. False: no memory for the states.
  static bool begin(ChainRun& run, const ChainConfigs& configs, base::Arena& arena) noexcept {
    run = ChainRun{};
    run.chain = configs;
    if (const size_t bytes = Self::state_bytes(configs); bytes != 0) {
      run.states = static_cast<std::byte*>(arena.alloc(bytes, 8));
      if (run.states == nullptr) return false;
      Self::make_states(run);
    }
    run.begun = true;
    return true;
  }
  static Verdict request(ChainRun& run, FilterContext& x) noexcept {
    return Self::template pass<internal::RequestHook>(run, x);
  }
  static Verdict request_body(ChainRun& run, FilterContext& x, base::Chain& body,
                              bool end) noexcept {
    return Self::template pass<internal::RequestBodyHook>(run, x, body, end);
  }
  static Verdict response(ChainRun& run, FilterContext& x) noexcept {
    return Self::template pass<internal::ResponseHook>(run, x);
  }
  static Verdict response_body(ChainRun& run, FilterContext& x, base::Chain& body,
                               bool end) noexcept {
    return Self::template pass<internal::ResponseBodyHook>(run, x, body, end);
  }
  // Once, at the end of every exchange for which begin() was true, however it ended.
  static void done(ChainRun& run, FilterContext& x) noexcept {
    if (!run.begun) return;
    run.begun = false;
    Self::pass_done(run, x);
  }
};

template <Filter... Fs>
struct FusedChain : ChainPhases<FusedChain<Fs...>> {
  using Filters = std::tuple<Fs...>;
  static constexpr size_t kSize = sizeof...(Fs);
  static constexpr bool kFused = true;
  static constexpr bool kHasHooks =
      ((HasOnRequest<Fs> || HasOnResponse<Fs> || HasOnRequestBody<Fs> || HasOnResponseBody<Fs>) ||
       ...);
  // Whether the chain looks at bodies at all: if not, they need not pass through it.
  static constexpr bool kSeesRequestBody = (HasOnRequestBody<Fs> || ...);
  static constexpr bool kSeesResponseBody = (HasOnResponseBody<Fs> || ...);

  static constexpr size_t state_bytes(const ChainConfigs&) noexcept {
    return (size_t{0} + ... + internal::state_room<Fs>());
  }
  static void make_states(ChainRun& run) noexcept {
    each([&]<size_t I, typename F>() { new (state<I>(run)) typename F::State(); });
  }

  template <typename Hook, typename... Args>
  static Verdict pass(ChainRun& run, FilterContext& x, Args&... args) noexcept {
    return pass_all<Hook>(std::make_index_sequence<kSize>(), run, x, args...);
  }
  static void pass_done(ChainRun& run, FilterContext& x) noexcept {
    pass_done_all(std::make_index_sequence<kSize>(), run, x);
  }

 private:
  template <size_t I>
  using At = std::tuple_element_t<I, Filters>;

  template <size_t I>
  static constexpr size_t offset() {
    size_t bytes = 0;
    each([&]<size_t J, typename F>() { bytes += J < I ? internal::state_room<F>() : 0; });
    return bytes;
  }
  template <size_t I>
  static void* state(ChainRun& run) noexcept {
    // An empty state has no address of its own; any non-null one will do.
    if constexpr (internal::state_room<At<I>>() == 0) return &run;
    return run.states + offset<I>();
  }
  template <typename Fn>
  static constexpr void each(Fn&& fn) {
    [&]<size_t... I>(std::index_sequence<I...>) {
      (fn.template operator()<I, Fs>(), ...);
    }(std::make_index_sequence<kSize>());
  }

  // Whether to go on behind filter I.
  template <typename Hook, size_t I, typename... Args>
  static Verdict step(ChainRun& run, FilterContext& x, Args&... args) noexcept {
    if constexpr (Hook::template kHas<At<I>>) {
      const void* config = run.chain.configs[I];
      if (config == nullptr) return Verdict::kNext;
      return internal::call_hook<Hook, At<I>>(run, I, config, state<I>(run), x, args...);
    }
    return Verdict::kNext;
  }
  template <typename Hook, size_t... I, typename... Args>
  static Verdict pass_all(std::index_sequence<I...>, ChainRun& run, FilterContext& x,
                          Args&... args) noexcept {
    if constexpr (!(Hook::template kHas<Fs> || ...)) {
      return Verdict::kNext;
    } else {
      Verdict verdict = Verdict::kNext;
      const size_t from = run.next[static_cast<size_t>(Hook::kPhase)];
      size_t behind = 0;
      static_cast<void>(
          ((++behind, I < from || (verdict = step<Hook, Hook::kReverse ? kSize - 1 - I : I>(
                                       run, x, args...)) == Verdict::kNext) &&
           ...));
      internal::settle(run, Hook::kPhase, verdict, behind);
      return verdict;
    }
  }
  template <size_t... I>
  static void pass_done_all(std::index_sequence<I...>, ChainRun& run, FilterContext& x) noexcept {
    (done_one<kSize - 1 - I>(run, x), ...);
  }
  template <size_t I>
  static void done_one(ChainRun& run, FilterContext& x) noexcept {
    if constexpr (HasOnDone<At<I>>) {
      if (const void* config = run.chain.configs[I]; config != nullptr) {
        At<I>::on_done(*static_cast<const typename At<I>::Config*>(config),
                       *static_cast<typename At<I>::State*>(state<I>(run)), x);
      }
    }
  }
};

// VariantChain<All...> runs any order of the filters in All, the catalogue: what a listener gets
// whose order nobody compiled in. A switch per filter and phase.
template <Filter... All>
struct VariantChain : ChainPhases<VariantChain<All...>> {
  using Filters = std::tuple<All...>;
  static constexpr bool kFused = false;
  static constexpr bool kHasHooks = true;
  static constexpr bool kSeesRequestBody = (HasOnRequestBody<All> || ...);
  static constexpr bool kSeesResponseBody = (HasOnResponseBody<All> || ...);

  static size_t state_bytes(const ChainConfigs& configs) noexcept { return configs.state_bytes; }
  static void make_states(ChainRun& run) noexcept {
    for (size_t i = 0; i < run.chain.size; ++i) {
      with_kind(run.chain.kinds[i], [&]<typename F>() { new (state(run, i)) typename F::State(); });
    }
  }

  template <typename Hook, typename... Args>
  static Verdict pass(ChainRun& run, FilterContext& x, Args&... args) noexcept {
    Verdict verdict = Verdict::kNext;
    size_t i = run.next[static_cast<size_t>(Hook::kPhase)];
    while (i < run.chain.size && verdict == Verdict::kNext) {
      const size_t at = Hook::kReverse ? run.chain.size - 1 - i : i;
      ++i;
      const void* config = run.chain.configs[at];
      if (config == nullptr) continue;
      with_kind(run.chain.kinds[at], [&]<typename F>() {
        if constexpr (Hook::template kHas<F>) {
          verdict = internal::call_hook<Hook, F>(run, at, config, state(run, at), x, args...);
        }
      });
    }
    internal::settle(run, Hook::kPhase, verdict, i);
    return verdict;
  }
  static void pass_done(ChainRun& run, FilterContext& x) noexcept {
    for (size_t i = run.chain.size; i-- > 0;) {
      const void* config = run.chain.configs[i];
      if (config == nullptr) continue;
      with_kind(run.chain.kinds[i], [&]<typename F>() {
        if constexpr (HasOnDone<F>) {
          F::on_done(*static_cast<const typename F::Config*>(config),
                     *static_cast<typename F::State*>(state(run, i)), x);
        }
      });
    }
  }

 private:
  static void* state(ChainRun& run, size_t i) noexcept {
    return run.states == nullptr ? static_cast<void*>(&run)
                                 : run.states + run.chain.state_offsets[i];
  }
  template <typename Fn>
  static void with_kind(uint8_t kind, Fn&& fn) {
    uint8_t i = 0;
    static_cast<void>(((i++ == kind && (fn.template operator()<All>(), true)) || ...));
  }
};

}  // namespace sluice::filters
