#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <string_view>

#include "tests/http/codec.h"

// Responses: any split gives the same answer, and what leaves towards the client reads as the same
// single response. The first byte chooses the method that is answered.

namespace sluice::http {
namespace {

void require(bool ok, std::string_view what) {
  if (ok) return;
  std::cerr << what << "\n";
  std::abort();
}

void fuzz(Method method, std::string_view bytes) {
  const Relayed whole = Relay().response(bytes, {}, method);
  std::vector<size_t> each(bytes.size());
  for (size_t i = 0; i < each.size(); ++i) each[i] = i + 1;
  const Relayed split = Relay().response(bytes, each, method);
  // A fault in a head that is not whole may be seen at once, or when the rest has come.
  require(whole.reason == split.reason || split.incomplete, "a split changes the reason");
  require(whole.messages.size() == split.messages.size(), "a split changes the messages");
  require(whole.messages.size() <= 1, "one request, two final responses");
  if (whole.messages.empty()) return;
  const Relayed again = Relay().response(whole.messages[0], {}, method);
  require(again.reason == base::Reason::kNone, "what left is refused");
  require(again.messages == whole.messages, "what left reads as another response");
}

}  // namespace
}  // namespace sluice::http

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using sluice::http::Method;
  if (size == 0 || size > 4096) return 0;
  const Method method = data[0] % 3 == 0 ? Method::kHead : Method::kGet;
  sluice::http::fuzz(method, {reinterpret_cast<const char*>(data) + 1, size - 1});
  return 0;
}
