#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nghttp2/nghttp2.h>

#include <regex>
#include <string>

#include "http/h2_codec.h"
#include "http/path.h"
#include "tests/http/h2_peer.h"
#include "tests/http/h2_wire.h"
#include "tests/support/json.h"

// The malformed and smuggling cases of tests/cases at the level of the codec: each whole, one byte
// at a time, cut at every offset; its head over CONTINUATIONs, padded, and with Huffman codes.

namespace sluice::http {
namespace {

using namespace test;  // NOLINT(google-build-using-namespace)
using Role = H2Codec::Role;
using sluice::test::Json;
using sluice::test::JsonReader;

std::string unhex(std::string_view hex) {
  std::string out;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    out.push_back(static_cast<char>(hex_value(hex[i]) * 16 + hex_value(hex[i + 1])));
  }
  return out;
}

Json cases() { return JsonReader::read_file("tests/cases/h2_cases.json"); }

// What would be sent on: as a head of HTTP/1 would show it.
std::string text_of(const RequestHead& head) {
  std::string text(head.method_text);
  text += " " + std::string(head.path) + "\r\nhost: " + std::string(head.authority) + "\r\n";
  for (const Field& f : head.fields) {
    if (!f.removed()) text += std::string(f.name()) + ": " + std::string(f.value()) + "\r\n";
  }
  return text;
}

bool matches(const std::string& text, std::string pattern) {
  auto flags = std::regex::ECMAScript;
  if (pattern.rfind("(?i)", 0) == 0) {
    flags |= std::regex::icase;
    pattern = pattern.substr(4);
  }
  return std::regex_search(text, std::regex(pattern, flags));
}

void check(const Json& c, const std::string& bytes, size_t piece) {
  H2Peer server(Role::kServer);
  server.receive(hello() + settings_ack());
  server.produce();
  server.receive(bytes, piece);
  const Answer answer = answer_of(server.produce());
  std::string outcome;
  size_t passed = 0;
  std::string upstream;
  for (const auto& m : server.messages) {
    if (!m->has_head) continue;
    outcome = m->too_large ? "400" : "200";
    if (m->too_large) continue;
    ++passed;
    upstream += text_of(m->request);
  }
  if (!answer.resets.empty()) outcome = "rst";
  if (answer.goaway > 0) outcome = "goaway";
  bool allowed = false;
  for (const Json& one : c["expect"]["any_of"].items) allowed |= one.text == outcome;
  EXPECT_TRUE(allowed) << "came to " << (outcome.empty() ? "nothing" : outcome);
  EXPECT_TRUE(c["expect"]["up"].contains(static_cast<int>(passed))) << passed << " passed";
  for (const Json& p : c["expect"]["must"].items) {
    EXPECT_TRUE(matches(upstream, p.text)) << p.text << "\n" << upstream;
  }
  for (const Json& p : c["expect"]["mustnot"].items) {
    EXPECT_FALSE(matches(upstream, p.text)) << p.text << "\n" << upstream;
  }
  // Whatever happened to that stream, the connection serves the next, unless it was ended.
  if (answer.goaway > 0) return;
  server.receive(get(99), piece);
  EXPECT_TRUE(server.last().has_head);
}

// The frames of a case, with the block of every HEADERS put through `change`.
template <typename Change>
std::string rewritten(const std::string& bytes, Change&& change) {
  std::string out;
  for (const WireFrame& f : frames_of(bytes)) {
    const bool head = f.head.is(Type::kHeaders);
    out += head ? change(f) : raw_frame(f.head.type, f.head.flags, f.head.stream_id, f.payload);
  }
  return out;
}

TEST(H2Cases, WholeAndInEverySplit) {
  const Json all = cases();
  ASSERT_GE(all.items.size(), 28u);
  for (const Json& c : all.items) {
    SCOPED_TRACE(c["id"].text + ": " + c["title"].text);
    const std::string bytes = unhex(c["hex"].text);
    const size_t step = bytes.size() < 300 ? 1 : 61;
    for (size_t piece = 1; piece <= bytes.size(); piece += step) check(c, bytes, piece);
    check(c, bytes, bytes.size());
  }
}

TEST(H2Cases, OverContinuations) {
  for (const Json& c : cases().items) {
    SCOPED_TRACE(c["id"].text + ": " + c["title"].text);
    for (const size_t parts : {2, 5, 9}) {
      const std::string bytes = rewritten(unhex(c["hex"].text), [parts](const WireFrame& f) {
        return continued(f.head.stream_id, f.head.has(H2Frame::kEndStream), f.payload,
                         f.payload.size() / parts + 1);
      });
      check(c, bytes, bytes.size());
      check(c, bytes, 5);
    }
  }
}

TEST(H2Cases, Padded) {
  for (const Json& c : cases().items) {
    SCOPED_TRACE(c["id"].text + ": " + c["title"].text);
    for (const size_t padding : {0, 1, 200}) {
      const std::string bytes = rewritten(unhex(c["hex"].text), [padding](const WireFrame& f) {
        return frame(
            Type::kHeaders, f.head.flags | H2Frame::kPadded, f.head.stream_id,
            std::string(1, static_cast<char>(padding)) + f.payload + std::string(padding, '\0'));
      });
      check(c, bytes, bytes.size());
      check(c, bytes, 3);
    }
  }
}

// The cases spell their names and values out; here they are decoded and encoded again.
class Recoder {
 public:
  Recoder() {
    nghttp2_hd_inflate_new(&inflater_);
    nghttp2_hd_deflate_new(&deflater_, 4096);
  }
  Recoder(const Recoder&) = delete;
  Recoder& operator=(const Recoder&) = delete;
  ~Recoder() {
    nghttp2_hd_inflate_del(inflater_);
    nghttp2_hd_deflate_del(deflater_);
  }
  std::string recode(const std::string& block) {
    std::vector<std::pair<std::string, std::string>> fields;
    const auto* at = reinterpret_cast<const uint8_t*>(block.data());
    size_t left = block.size();
    for (;;) {
      nghttp2_nv nv;
      int flags = 0;
      const ssize_t used = nghttp2_hd_inflate_hd2(inflater_, &nv, &flags, at, left, 1);
      if (used < 0) return block;
      at += used;
      left -= static_cast<size_t>(used);
      if ((flags & NGHTTP2_HD_INFLATE_EMIT) != 0) {
        fields.emplace_back(std::string(reinterpret_cast<char*>(nv.name), nv.namelen),
                            std::string(reinterpret_cast<char*>(nv.value), nv.valuelen));
      }
      if ((flags & NGHTTP2_HD_INFLATE_FINAL) != 0) break;
    }
    nghttp2_hd_inflate_end_headers(inflater_);
    std::vector<nghttp2_nv> nva;
    nva.reserve(fields.size());
    for (auto& [name, value] : fields) {
      nva.push_back({reinterpret_cast<uint8_t*>(name.data()),
                     reinterpret_cast<uint8_t*>(value.data()), name.size(), value.size(), 0});
    }
    std::string out(nghttp2_hd_deflate_bound(deflater_, nva.data(), nva.size()), '\0');
    const ssize_t size = nghttp2_hd_deflate_hd(deflater_, reinterpret_cast<uint8_t*>(out.data()),
                                               out.size(), nva.data(), nva.size());
    out.resize(size < 0 ? 0 : static_cast<size_t>(size));
    return out;
  }

 private:
  nghttp2_hd_inflater* inflater_ = nullptr;
  nghttp2_hd_deflater* deflater_ = nullptr;
};

TEST(H2Cases, HuffmanCodedAndIndexed) {
  size_t smaller = 0;
  for (const Json& c : cases().items) {
    SCOPED_TRACE(c["id"].text + ": " + c["title"].text);
    Recoder recoder;
    const std::string plain = unhex(c["hex"].text);
    const std::string bytes = rewritten(plain, [&recoder](const WireFrame& f) {
      return frame(Type::kHeaders, f.head.flags, f.head.stream_id, recoder.recode(f.payload));
    });
    smaller += bytes.size() < plain.size() ? 1 : 0;
    check(c, bytes, bytes.size());
    check(c, bytes, 1);
  }
  EXPECT_GE(smaller, 26u);
}

}  // namespace
}  // namespace sluice::http
