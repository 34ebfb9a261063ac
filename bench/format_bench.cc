// What does a line of the access log cost, what a header value, what their parts? (contract T22: an
// access log adds at most 0.7 us per request, 0.3 us aimed for.)

#include <benchmark/benchmark.h>

#include <cstdlib>
#include <string>

#include "base/stats.h"
#include "dataplane/access_log.h"
#include "http/format.h"
#include "http/header_edit.h"
#include "tests/oracle/sample_exchange.h"

namespace sluice {
namespace {

// A request as a mesh sees it: IPv4 endpoint, a real browser's agent.
struct Sample : oracle::SampleExchange {
  Sample() {
    base::calibrate_ticks();
    endpoint = *base::Address::ip("10.20.30.40", 8080);
    request.fields.set(http::HeaderId::kUserAgent,
                       "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0");
  }
};

http::Format parse(std::string_view text, http::FormatOptions options = {}) {
  auto format = http::Format::parse(text, options);
  if (!format.ok()) std::abort();
  return *std::move(format);
}

void render(benchmark::State& state, const http::Format& format) {
  Sample x;
  char room[4096];
  size_t bytes = 0;
  for (auto _ : state) {
    http::Sink sink(room, sizeof(room));
    format.render(x.facts, sink);
    bytes += sink.size();
    benchmark::DoNotOptimize(room);
  }
  state.counters["bytes"] = static_cast<double>(bytes) / static_cast<double>(state.iterations());
}

void BM_DefaultLine(benchmark::State& state) { render(state, parse(http::Format::default_text())); }
BENCHMARK(BM_DefaultLine);

void BM_JsonLine(benchmark::State& state) {
  const http::JsonFormat::Members members = {{"start_time", "%START_TIME%"},
                                             {"method", "%REQ(:METHOD)%"},
                                             {"path", "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%"},
                                             {"protocol", "%PROTOCOL%"},
                                             {"response_code", "%RESPONSE_CODE%"},
                                             {"response_flags", "%RESPONSE_FLAGS%"},
                                             {"bytes_received", "%BYTES_RECEIVED%"},
                                             {"bytes_sent", "%BYTES_SENT%"},
                                             {"duration", "%DURATION%"},
                                             {"user_agent", "%REQ(USER-AGENT)%"},
                                             {"request_id", "%REQ(X-REQUEST-ID)%"},
                                             {"authority", "%REQ(:AUTHORITY)%"},
                                             {"upstream_host", "%UPSTREAM_HOST%"}};
  render(state, *http::Format::parse_json(members));
}
BENCHMARK(BM_JsonLine);

void BM_Operator(benchmark::State& state, const char* text) { render(state, parse(text)); }
BENCHMARK_CAPTURE(BM_Operator, start_time, "%START_TIME%");
BENCHMARK_CAPTURE(BM_Operator, method, "%REQ(:METHOD)%");
BENCHMARK_CAPTURE(BM_Operator, known_header, "%REQ(USER-AGENT)%");
BENCHMARK_CAPTURE(BM_Operator, absent_header, "%REQ(X-ENVOY-ORIGINAL-PATH)%");
BENCHMARK_CAPTURE(BM_Operator, upstream_host, "%UPSTREAM_HOST%");
BENCHMARK_CAPTURE(BM_Operator, duration, "%DURATION%");

// What a request pays on its worker: the line, in a chunk that is handed over when full, while the
// flusher writes to /dev/null on another core.
void BM_AccessLogger(benchmark::State& state) {
  base::StatsStore stats;
  dataplane::AccessLogFlusher flusher(stats, {});
  dataplane::AccessLogValue value;
  value.path = "/dev/null";
  const auto logger = *dataplane::AccessLogger::compile(value, "bench", flusher);
  dataplane::WorkerAccessLog worker(flusher);
  Sample x;
  for (auto _ : state) worker.log(*logger, x.facts);
  state.counters["dropped"] = static_cast<double>(worker.num_dropped());
}
BENCHMARK(BM_AccessLogger);

void BM_HeaderEdits(benchmark::State& state) {
  http::HeaderEditList edits;
  const http::HeaderMutations values = {
      .add = {{"x-client", "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"}, {"x-literal", "yes"}},
      .remove = {"x-none"}};
  if (!http::compile_edits(values, "bench", &edits).ok()) std::abort();
  Sample x;
  base::Arena arena(x.pool);
  for (auto _ : state) {
    http::FieldList fields(&arena);
    fields.add(http::HeaderId::kUserAgent, "bench");
    http::apply_edits(edits, fields, x.facts, arena);
    benchmark::DoNotOptimize(fields);
    arena.reset();
  }
}
BENCHMARK(BM_HeaderEdits);

}  // namespace
}  // namespace sluice
