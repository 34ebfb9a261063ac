#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <memory>
#include <string>
#include <string_view>

#include "http/h1_body.h"

// Chunked bodies: any split gives the same body, the same trailers, the same end or the same fault.
// The first byte is the size of the pieces.

namespace sluice::http {
namespace {

using Kind = H1BodyDecoder::Step::Kind;

struct Decoded {
  std::string body;
  std::string trailers;
  Kind last = Kind::kMore;
  base::Reason reason = base::Reason::kNone;
  size_t used = 0;
  bool operator==(const Decoded& o) const {
    if ((last == Kind::kBad) != (o.last == Kind::kBad) || reason != o.reason || body != o.body) {
      return false;
    }
    return last == Kind::kBad || ((last == Kind::kEnd) == (o.last == Kind::kEnd) &&
                                  trailers == o.trailers && used == o.used);
  }
};

Decoded decode(std::string_view bytes, size_t piece) {
  base::BlockPool pool;
  base::Arena arena(pool);
  H1BodyDecoder decoder;
  Framing framing;
  framing.kind = Framing::Kind::kChunked;
  decoder.start(framing, &arena);
  Decoded out;
  for (size_t begin = 0; begin < bytes.size() && !decoder.done(); begin += piece) {
    const size_t size = std::min(piece, bytes.size() - begin);
    const auto exact = std::make_unique<char[]>(size);
    std::memcpy(exact.get(), bytes.data() + begin, size);
    for (size_t at = 0;;) {
      const auto step = decoder.next(exact.get() + at, size - at);
      out.last = step.kind;
      out.reason = step.reason;
      if (step.kind == Kind::kBad) return out;
      if (at + step.skip + step.size > size) std::abort();
      out.body.append(exact.get() + at + step.skip, step.size);
      at += step.skip + step.size;
      out.used += step.skip + step.size;
      if (step.kind == Kind::kEnd || at == size) break;
    }
  }
  for (const Field& f : decoder.trailers()) {
    out.trailers += std::string(f.name()) + (f.removed() ? "-" : "+") + std::string(f.value());
  }
  return out;
}

}  // namespace
}  // namespace sluice::http

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2 || size > 8192) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const auto whole = sluice::http::decode(bytes, bytes.size());
  const auto split = sluice::http::decode(bytes, 1 + data[0]);
  const auto single = sluice::http::decode(bytes, 1);
  if (!(whole == split) || !(whole == single)) {
    std::cerr << "a split changes the body\n";
    std::abort();
  }
  return 0;
}
