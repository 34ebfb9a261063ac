#include <benchmark/benchmark.h>

#include <cstring>
#include <string>
#include <string_view>

#include "base/arena.h"
#include "base/buffer.h"
#include "http/h1_body.h"
#include "http/h1_parser.h"
#include "http/h1_writer.h"
#include "http/path.h"

// What does the HTTP/1 codec cost per head, in time and (with valgrind --tool=callgrind
// --toggle-collect='sluice::http::parse_request_head*') in instructions: a load generator's request
// of four fields, a browser's of twelve, a small response; parsed, written, and both.

namespace sluice::http {
namespace {

constexpr std::string_view kSmall =
    "GET / HTTP/1.1\r\n"
    "Host: 127.0.0.1:8080\r\n"
    "User-Agent: h2load nghttp2/1.52.0\r\n"
    "Accept: */*\r\n"
    "X-Bench: 1\r\n"
    "\r\n";

constexpr std::string_view kBrowser =
    "GET /search/results.html?q=sluice+proxy&page=2&lang=en HTTP/1.1\r\n"
    "Host: www.example.com\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n"
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n"
    "Accept-Language: en-US,en;q=0.5\r\n"
    "Accept-Encoding: gzip, deflate, br, zstd\r\n"
    "Referer: https://www.example.com/search?q=sluice\r\n"
    "Connection: keep-alive\r\n"
    "Cookie: session=0123456789abcdef0123456789abcdef; theme=dark; consent=yes\r\n"
    "Upgrade-Insecure-Requests: 1\r\n"
    "Sec-Fetch-Dest: document\r\n"
    "Sec-Fetch-Mode: navigate\r\n"
    "Priority: u=0, i\r\n"
    "\r\n";

constexpr std::string_view kResponse =
    "HTTP/1.1 200 OK\r\n"
    "Content-Type: text/plain\r\n"
    "Content-Length: 128\r\n"
    "Date: Mon, 01 Jan 2024 00:00:00 GMT\r\n"
    "Server: origin\r\n"
    "\r\n";

// A block with the text, restored before every round because names are folded in place.
struct Received {
  explicit Received(std::string_view t) : text(t), block(base::BlockRef::adopt(pool.get_small())) {
    block->fill(static_cast<uint32_t>(t.size()));
    restore();
  }
  void restore() { std::memcpy(block->data(), text.data(), text.size()); }
  std::string_view text;
  base::BlockPool pool;
  base::BlockRef block;
  H1Options options;
};

void parse_request(benchmark::State& state, std::string_view text) {
  Received in(text);
  base::Arena arena(in.pool);
  for (auto _ : state) {
    in.restore();
    RequestHead head;
    head.fields.bind(&arena);
    const HeadResult r = parse_request_head(in.block->data(), text.size(), 0, in.options, &head);
    if (r.status != HeadResult::Status::kDone) state.SkipWithError("refused");
    benchmark::DoNotOptimize(head.path);
    arena.reset();
  }
}

// What a proxied request costs the codec: parse, normalise, strip, two added fields, write.
void relay_request(benchmark::State& state, std::string_view text) {
  Received in(text);
  base::Arena arena(in.pool);
  for (auto _ : state) {
    in.restore();
    RequestHead head;
    head.fields.bind(&arena);
    parse_request_head(in.block->data(), text.size(), 0, in.options, &head);
    normalise_path(&head, {});
    strip_hop_by_hop(&head);
    head.fields.add(HeaderId::kXForwardedFor, "127.0.0.1");
    head.fields.add(HeaderId::kXForwardedProto, "http");
    base::Chain out;
    if (!write_request_head(&head, in.block, arena, &out)) state.SkipWithError("refused");
    iovec iov[16];
    size_t total = 0;
    benchmark::DoNotOptimize(out.to_iovec(iov, 16, &total));
    out.clear();
    arena.reset();
  }
}

void relay_response(benchmark::State& state) {
  Received in(kResponse);
  base::Arena arena(in.pool);
  for (auto _ : state) {
    in.restore();
    ResponseHead head;
    head.fields.bind(&arena);
    parse_response_head(in.block->data(), kResponse.size(), 0, in.options, Method::kGet, &head);
    strip_hop_by_hop(&head);
    head.fields.set(HeaderId::kServer, "sluice");
    ResponseWrite how;
    how.framing = framing_for(head, Method::kGet, 1);
    base::Chain out;
    if (!write_response_head(&head, how, in.block, arena, &out)) state.SkipWithError("refused");
    benchmark::DoNotOptimize(out.bytes());
    out.clear();
    arena.reset();
  }
}

// 1 MiB in chunks of 16 KiB that arrive in blocks of 64 KiB.
void decode_chunks(benchmark::State& state) {
  std::string body;
  for (int i = 0; i < 64; ++i) body += "4000\r\n" + std::string(16384, 'x') + "\r\n";
  body += "0\r\n\r\n";
  base::BlockPool pool;
  base::Arena arena(pool);
  for (auto _ : state) {
    H1BodyDecoder decoder;
    Framing framing;
    framing.kind = Framing::Kind::kChunked;
    decoder.start(framing, &arena);
    size_t at = 0;
    while (!decoder.done()) {
      const auto step = decoder.next(body.data() + at, std::min<size_t>(65536, body.size() - at));
      at += step.skip + step.size;
    }
    benchmark::DoNotOptimize(at);
  }
}

BENCHMARK_CAPTURE(parse_request, small, kSmall);
BENCHMARK_CAPTURE(parse_request, browser, kBrowser);
BENCHMARK_CAPTURE(relay_request, small, kSmall);
BENCHMARK_CAPTURE(relay_request, browser, kBrowser);
BENCHMARK(relay_response);
BENCHMARK(decode_chunks);

}  // namespace
}  // namespace sluice::http
