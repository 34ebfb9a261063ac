#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <string_view>

#include "tests/http/codec.h"
#include "tests/http/h1_compare.h"

// Requests: the parser agrees with the oracle; any split gives the same; what leaves reads as the
// same messages, one for one, when it is read again (no smuggling through ourselves).

namespace sluice::http {
namespace {

void require(bool ok, std::string_view what) {
  if (ok) return;
  std::cerr << what << "\n";
  std::abort();
}

void fuzz(std::string_view bytes) {
  static base::BlockPool pool;
  const std::string problem = disagreement(bytes, pool);
  require(problem.empty(), problem);

  H1Options options;
  options.accept_http_10 = false;
  options.underscores =
      bytes.size() % 2 == 0 ? H1Options::Underscores::kAllow : H1Options::Underscores::kReject;
  const Relayed whole = Relay(options).requests(bytes, {});
  std::vector<size_t> each(bytes.size());
  for (size_t i = 0; i < each.size(); ++i) each[i] = i + 1;
  const Relayed split = Relay(options).requests(bytes, each);
  // A fault in a head that is not whole may be seen at once, or when the rest has come.
  require(whole.reason == split.reason || split.incomplete, "a split changes the reason");
  require(whole.messages.size() == split.messages.size(), "a split changes the messages");

  std::string all;
  for (const std::string& message : whole.messages) all += message;
  const Relayed again = Relay(options).requests(all, {});
  require(again.reason == base::Reason::kNone, "what left is refused");
  require(again.messages == whole.messages, "what left reads as other messages");
}

}  // namespace
}  // namespace sluice::http

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 4096) sluice::http::fuzz({reinterpret_cast<const char*>(data), size});
  return 0;
}
