// What does a filter cost that has nothing to do? (contract T3: 20 ns at most, 5 ns aimed for),
// what the dispatch into a chain, and what a statistic?

#include <benchmark/benchmark.h>

#include <cstdlib>
#include <utility>
#include <variant>

#include "base/stamps.h"
#include "base/stat_groups.h"
#include "filters/catalogue.h"
#include "tests/oracle/sample_exchange.h"

namespace sluice::filters {
namespace {

// A filter that is configured, looks at the request and does nothing; N of them are N types.
template <size_t N>
struct Idle {
  static constexpr std::string_view kName = "idle";
  static constexpr std::string_view kTypeUrl = "idle";
  using Value = std::monostate;
  struct Config {
    http::Method method = http::Method::kTrace;
  };
  using State = std::monostate;
  static Verdict on_request(const Config& c, State&, FilterContext& x) noexcept {
    return x.request->method == c.method ? Verdict::kRespond : Verdict::kNext;
  }
  static Verdict on_response(const Config& c, State&, FilterContext& x) noexcept {
    return x.request->method == c.method ? Verdict::kRespond : Verdict::kNext;
  }
};

template <typename Numbers>
struct Made;
template <size_t... N>
struct Made<std::index_sequence<N...>> {
  using Fused = FusedChain<Idle<N>..., Router>;
  using Variant = VariantChain<Idle<N>..., Router>;
};

template <typename Chain, size_t kFilters>
void pass(benchmark::State& state, bool configured) {
  oracle::SampleExchange x;
  FilterContext context;
  context.request = &x.request;
  context.response = &x.response;
  context.facts = &x.facts;
  context.arena = &x.arena;
  const typename Idle<0>::Config idle;
  const FilterRouter router;
  const void* configs[kFilters + 1];
  uint8_t kinds[kFilters + 1];
  const uint16_t offsets[kFilters + 1] = {};
  for (size_t i = 0; i < kFilters; ++i) {
    configs[i] = configured ? &idle : nullptr;
    kinds[i] = static_cast<uint8_t>(i);
  }
  configs[kFilters] = &router;
  kinds[kFilters] = kFilters;
  ChainRun run;
  const ChainConfigs chain{configs, kinds, offsets, 0, kFilters + 1};
  for (auto _ : state) {
    Chain::begin(run, chain, x.arena);
    benchmark::DoNotOptimize(run);
    if (Chain::request(run, context) != Verdict::kNext) std::abort();
    benchmark::DoNotOptimize(x.request.method);
    if (Chain::response(run, context) != Verdict::kNext) std::abort();
    Chain::done(run, context);
  }
}

// Both directions of a request; the difference over eight filters, divided by eight, is one
// filter's cost.
template <size_t kFilters, bool kConfigured>
void BM_Fused(benchmark::State& state) {
  pass<typename Made<std::make_index_sequence<kFilters>>::Fused, kFilters>(state, kConfigured);
}
template <size_t kFilters, bool kConfigured>
void BM_Variant(benchmark::State& state) {
  pass<typename Made<std::make_index_sequence<kFilters>>::Variant, kFilters>(state, kConfigured);
}
BENCHMARK(BM_Fused<1, false>);
BENCHMARK(BM_Fused<1, true>);
BENCHMARK(BM_Fused<9, false>);
BENCHMARK(BM_Fused<9, true>);
BENCHMARK(BM_Variant<9, false>);
BENCHMARK(BM_Variant<9, true>);

// The exchange's way into its chain: one switch per phase.
void BM_Dispatch(benchmark::State& state) {
  const std::vector<FilterValue> values = {{"router", FilterRouter{}, false}};
  const auto chain = *FilterChain::compile(values, "bench");
  oracle::SampleExchange x;
  FilterContext context;
  context.request = &x.request;
  uint8_t index = chain->index();
  ChainRun run;
  for (auto _ : state) {
    benchmark::DoNotOptimize(index);
    const Verdict verdict = visit_chain(index, [&]<typename Chain>() {
      Chain::begin(run, chain->configs(), x.arena);
      return Chain::request(run, context);
    });
    benchmark::DoNotOptimize(verdict);
  }
}
BENCHMARK(BM_Dispatch);

void BM_Cell(benchmark::State& state) {
  base::Cell cell;
  for (auto _ : state) {
    cell.add();
    benchmark::ClobberMemory();
  }
}
BENCHMARK(BM_Cell);

void BM_HistogramAdd(benchmark::State& state) {
  base::Histogram histogram;
  uint64_t ns = 88;
  for (auto _ : state) {
    histogram.add(ns);
    ns = (ns * 2862933555777941757u + 3037000493u) >> 34;
  }
}
BENCHMARK(BM_HistogramAdd);

void BM_Stamp(benchmark::State& state) {
  base::Stamps stamps;
  for (auto _ : state) {
    stamps.mark(base::Stamp::kRouted);
    benchmark::ClobberMemory();
  }
}
BENCHMARK(BM_Stamp);

// All spans of one exchange into the worker's histograms.
void BM_RecordCosts(benchmark::State& state) {
  base::calibrate_ticks();
  base::CostHistograms costs;
  base::Stamps stamps;
  for (size_t i = 0; i < static_cast<size_t>(base::Stamp::kCount); ++i) {
    stamps.set(static_cast<base::Stamp>(i), 1'000'000 + 997 * i);
  }
  for (auto _ : state) {
    costs.record(stamps);
    benchmark::ClobberMemory();
  }
}
BENCHMARK(BM_RecordCosts);

}  // namespace
}  // namespace sluice::filters
