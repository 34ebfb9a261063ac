// Format strings and header values from the fuzzer: what parses renders, the same as the slow
// oracle where it has an opinion; no rendered line holds a control character that the format did
// not bring; JSON stays one line with balanced quotes.

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "http/format.h"
#include "tests/oracle/sample_exchange.h"
#include "tests/oracle/slow_format.h"

namespace {

using namespace sluice;

void check(bool ok) {
  if (!ok) std::abort();
}

// What append_json_escaped() wrote may stand between quotes: no bare quote, backslash or control.
void check_json_inside(std::string_view text) {
  for (size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    check(c >= 0x20 && c != '"' && c != 0x7f);
    if (c != '\\') continue;
    check(i + 1 < text.size());
    const char kind = text[i + 1];
    check(std::string_view("\"\\bfnrtu").find(kind) != std::string_view::npos);
    i += kind == 'u' ? 5 : 1;
    check(i < text.size());
  }
}

std::string render(const http::Format& format, const http::Facts& facts) {
  std::string room(256 * 1024, '\0');
  http::Sink sink(room.data(), room.size());
  format.render(facts, sink);
  check(!sink.full());
  room.resize(sink.size());
  return room;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > 4096) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t split = std::min(input.find('\n'), input.size());
  const std::string text(input.substr(0, split));
  const std::string value(split < input.size() ? input.substr(split + 1) : "");

  oracle::SampleExchange x;
  oracle::SampleExchange::use_plain_ticks();
  x.request.path = value;
  x.facts.upstream_transport_failure = value;
  x.request.fields.add("x-fuzz", value);  // refused when it is no field value

  for (const http::FormatOptions& options : {http::FormatOptions{}, http::Format::kHeaderValue}) {
    const auto format = http::Format::parse(text, options);
    const auto expected = oracle::slow_format(text, x.facts, options);
    if (!format.ok()) continue;
    const std::string line = render(*format, x.facts);
    if (expected) check(line == *expected);
    if (options.escape == http::FormatOptions::Escape::kLog) {
      const size_t own = static_cast<size_t>(
          std::count_if(text.begin(), text.end(), [](unsigned char c) { return c < 0x20; }));
      const size_t all = static_cast<size_t>(
          std::count_if(line.begin(), line.end(), [](unsigned char c) { return c < 0x20; }));
      check(all <= own);
    } else if (line.size() <= 16 * 1024) {
      check(format->render(x.facts, x.arena) == line);
    }
  }
  const http::JsonFormat::Members members = {
      {"k", text},
      {value, "%REQ(:PATH)%"},
      {"o", http::JsonFormat::object({{value, http::JsonFormat::list({{"", text}})}})}};
  const auto json = http::Format::parse_json(members);
  if (json.ok()) {
    const std::string line = render(*json, x.facts);
    check(line.ends_with("}\n") && line.find('\n') == line.size() - 1);
  }
  std::string room(value.size() * 6, '\0');
  http::Sink sink(room.data(), room.size());
  http::append_json_escaped(value, sink);
  check(!sink.full());
  check_json_inside(sink.text());
  return 0;
}
