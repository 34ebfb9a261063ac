#include "http/h1_parser.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "base/reason.h"

namespace sluice::http {
namespace {

using base::Reason;
using Status = HeadResult::Status;

std::string repeat(const char* text, size_t times) {
  std::string out;
  for (size_t i = 0; i < times; ++i) out += text;
  return out;
}

// Keeps everything alive that a head refers to.
struct Parsed {
  explicit Parsed(std::string t, H1Options options = {}, size_t scanned = 0)
      : text(std::move(t)), arena(pool) {
    head.fields.bind(&arena);
    result = parse_request_head(text.data(), text.size(), scanned, options, &head);
  }
  std::string text;
  base::BlockPool pool;
  base::Arena arena;
  RequestHead head;
  HeadResult result;
};

struct ParsedResponse {
  explicit ParsedResponse(std::string t, Method method = Method::kGet)
      : text(std::move(t)), arena(pool) {
    head.fields.bind(&arena);
    result = parse_response_head(text.data(), text.size(), 0, {}, method, &head);
  }
  std::string text;
  base::BlockPool pool;
  base::Arena arena;
  ResponseHead head;
  HeadResult result;
};

const std::string kGet = "GET /t HTTP/1.1\r\nHost: a\r\n";
const std::string kPost = "POST /t HTTP/1.1\r\nHost: a\r\n";

TEST(H1Parser, ReadsAHeadAsViewsOfTheBuffer) {
  Parsed p("POST /a/b?c=d HTTP/1.1\r\nHost: Example.com:80\r\nX-ONE: 1\r\nx-two:2\r\n\r\nbody");
  ASSERT_EQ(p.result.status, Status::kDone);
  EXPECT_EQ(p.result.consumed, p.text.size() - 4);
  EXPECT_EQ(p.head.method, Method::kPost);
  EXPECT_EQ(p.head.path, "/a/b?c=d");
  EXPECT_EQ(p.head.path_only(), "/a/b");
  EXPECT_EQ(p.head.authority, "Example.com:80");
  EXPECT_EQ(p.head.line, "POST /a/b?c=d HTTP/1.1\r\n");
  ASSERT_EQ(p.head.fields.size(), 3u);
  const Field* const f = p.head.fields.begin();
  EXPECT_EQ(f[0].id, HeaderId::kHost);
  EXPECT_EQ(f[1].name(), "x-one");
  EXPECT_EQ(f[1].name_data, p.text.data() + p.text.find("x-one"));
  EXPECT_TRUE(f[1].line());
  EXPECT_FALSE(f[2].line()) << "no space behind the colon";
}

TEST(H1Parser, OnlyExactLinesAreClean) {
  const struct {
    const char* line;
    bool clean;
    const char* value;
  } rows[] = {
      {"X: y\r\n", true, "y"},   {"X:y\r\n", false, "y"},     {"X:  y\r\n", false, "y"},
      {"X: y \r\n", false, "y"}, {"X:\ty\r\n", false, "y"},   {"X: \r\n", true, ""},
      {"X:\r\n", false, ""},     {"X: y z\r\n", true, "y z"}, {"X: \xc3\xa9\r\n", true, "\xc3\xa9"},
      {"X: y\t\r\n", false, "y"}};
  for (const auto& row : rows) {
    SCOPED_TRACE(row.line);
    Parsed p(kGet + row.line + "\r\n");
    ASSERT_EQ(p.result.status, Status::kDone);
    const Field& field = p.head.fields.begin()[1];
    EXPECT_EQ(field.line(), row.clean);
    EXPECT_EQ(field.value(), row.value);
  }
}

TEST(H1Parser, RefusesWithTheReasonOfTheRule) {
  const struct {
    std::string text;
    Reason reason;
  } rows[] = {
      {"GET  /t HTTP/1.1\r\nHost: a\r\n\r\n", Reason::kBadRequestLine},
      {" GET /t HTTP/1.1\r\nHost: a\r\n\r\n", Reason::kBadRequestLine},
      {"GET\t/t\tHTTP/1.1\r\nHost: a\r\n\r\n", Reason::kBadRequestLine},
      {"G(T /t HTTP/1.1\r\nHost: a\r\n\r\n", Reason::kBadRequestLine},
      {repeat("A", 65) + " /t HTTP/1.1\r\nHost: a\r\n\r\n", Reason::kBadRequestLine},
      {"GET /t\r\n\r\n", Reason::kBadRequestLine},
      {"\x16\x03\x01\x02", Reason::kBadRequestLine},
      {"\r\n\r\nGET /t HTTP/1.1\r\nHost: a\r\n\r\n", Reason::kBadRequestLine},
      {"GET /t x HTTP/1.1\r\nHost: a\r\n\r\n", Reason::kBadVersion},
      {"GET /t#f HTTP/1.1\r\nHost: a\r\n\r\n", Reason::kBadTarget},
      {"GET /\x80 HTTP/1.1\r\nHost: a\r\n\r\n", Reason::kBadTarget},
      {"GET t HTTP/1.1\r\nHost: a\r\n\r\n", Reason::kBadTarget},
      {"GET * HTTP/1.1\r\nHost: a\r\n\r\n", Reason::kBadTarget},
      {"GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", Reason::kBadTarget},
      {"GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", Reason::kBadTarget},
      {"GET http:///t HTTP/1.1\r\nHost: a\r\n\r\n", Reason::kBadTarget},
      {"CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n", Reason::kBadTarget},
      {"CONNECT /t HTTP/1.1\r\nHost: a\r\n\r\n", Reason::kBadTarget},
      {"GET /t http/1.1\r\nHost: a\r\n\r\n", Reason::kBadVersion},
      {"GET /t HTTP/1.10\r\nHost: a\r\n\r\n", Reason::kBadVersion},
      {"GET /t HTTP/1.1 \r\nHost: a\r\n\r\n", Reason::kBadVersion},
      {"GET /t HTTP/1.1\nHost: a\r\n\r\n", Reason::kBadVersion},
      {"GET /t HTTP/1.2\r\nHost: a\r\n\r\n", Reason::kVersionNotSupported},
      {"GET /t HTTP/2.0\r\nHost: a\r\n\r\n", Reason::kVersionNotSupported},
      {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Reason::kProtocolMismatch},
      {"GET /t HTTP/1.0\r\n\r\n", Reason::kHttp10NotAccepted},
      {"GET /t HTTP/1.1\r\nX: y\r\n\r\n", Reason::kMissingHost},
      {kGet + "Host: a\r\n\r\n", Reason::kBadHost},
      {"GET /t HTTP/1.1\r\nHost:\r\n\r\n", Reason::kBadHost},
      {"GET /t HTTP/1.1\r\nHost: a/b\r\n\r\n", Reason::kBadHost},
      {"GET /t HTTP/1.1\r\nHost: a, b\r\n\r\n", Reason::kBadHost},
      {"GET /t HTTP/1.1\r\nHost: u@a\r\n\r\n", Reason::kBadHost},
      {"GET /t HTTP/1.1\r\nHost: a:99999\r\n\r\n", Reason::kBadHost},
      {"GET /t HTTP/1.1\r\nHost: a:\r\n\r\n", Reason::kBadHost},
      {"GET /t HTTP/1.1\r\nHost: [::1\r\n\r\n", Reason::kBadHost},
      {"GET /t HTTP/1.1\r\nHost: [1.2.3.4]\r\n\r\n", Reason::kBadHost},
      {kGet + "X : y\r\n\r\n", Reason::kBadHeaderLine},
      {kGet + "X\r\n\r\n", Reason::kBadHeaderLine},
      {kGet + " X: y\r\n\r\n", Reason::kBadHeaderLine},
      {kGet + "X: y\r\n z\r\n\r\n", Reason::kBadHeaderLine},
      {kGet + "X: y\n\r\n", Reason::kBadHeaderLine},
      {kGet + "X: y\rz\r\n\r\n", Reason::kBadHeaderLine},
      {kGet + "X: y\r\n\r\r\n", Reason::kBadHeaderLine},
      {kGet + ": y\r\n\r\n", Reason::kBadHeaderName},
      {kGet + "X[]: y\r\n\r\n", Reason::kBadHeaderName},
      {kGet + "X\xc3: y\r\n\r\n", Reason::kBadHeaderName},
      {kGet + std::string("X: y\0z\r\n\r\n", 10), Reason::kBadHeaderValue},
      {kGet + "X: y\x7f\r\n\r\n", Reason::kBadHeaderValue},
      {kGet + "X: \x0b\r\n\r\n", Reason::kBadHeaderValue},
      {kPost + "Content-Length: 5\r\nContent-Length: 5\r\n\r\n", Reason::kBadContentLength},
      {kPost + "Content-Length: 5, 5\r\n\r\n", Reason::kBadContentLength},
      {kPost + "Content-Length: +5\r\n\r\n", Reason::kBadContentLength},
      {kPost + "Content-Length: \r\n\r\n", Reason::kBadContentLength},
      {kPost + "Content-Length: 18446744073709551617\r\n\r\n", Reason::kBadContentLength},
      {kPost + "Content-Length: 9999999999999999999\r\n\r\n", Reason::kBadContentLength},
      {kPost + "Transfer-Encoding: gzip, chunked\r\n\r\n", Reason::kBadTransferEncoding},
      {kPost + "Transfer-Encoding: chunked,\r\n\r\n", Reason::kBadTransferEncoding},
      {kPost + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
       Reason::kBadFraming},
      {kPost + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", Reason::kBadFraming},
      {"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nContent-Length: 5\r\n\r\n", Reason::kBadFraming},
      {kGet + "Expect: 200-maybe\r\n\r\n", Reason::kExpectationFailed},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(testing::PrintToString(row.text));
    Parsed p(row.text);
    ASSERT_EQ(p.result.status, Status::kBad);
    EXPECT_EQ(base::text_of(p.result.reason).code, base::text_of(row.reason).code);
  }
}

TEST(H1Parser, ABrokenLineIsCalledThatBeforeABadMeaning) {
  Parsed p(kPost + "Content-Length: x\r\nBroken\r\n\r\n");
  EXPECT_EQ(p.result.reason, Reason::kBadHeaderLine);
}

TEST(H1Parser, FramesRequests) {
  Parsed none(kGet + "\r\n");
  EXPECT_EQ(none.head.framing.kind, Framing::Kind::kNone);
  Parsed zero(kPost + "Content-Length: 0\r\n\r\n");
  EXPECT_EQ(zero.head.framing.kind, Framing::Kind::kNone);
  Parsed length(kPost + "Content-Length: 4611686018427387904\r\n\r\n");
  EXPECT_EQ(length.head.framing.kind, Framing::Kind::kLength);
  EXPECT_EQ(length.head.framing.length, uint64_t{1} << 62);
  Parsed chunked(kPost + "Transfer-Encoding: CHUNKED\r\n\r\n");
  EXPECT_EQ(chunked.head.framing.kind, Framing::Kind::kChunked);
}

TEST(H1Parser, AllowChunkedLengthDropsTheLengthAndTheConnection) {
  H1Options options;
  options.allow_chunked_length = true;
  Parsed p(kPost + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", options);
  ASSERT_EQ(p.result.status, Status::kDone);
  EXPECT_EQ(p.head.framing.kind, Framing::Kind::kChunked);
  EXPECT_FALSE(p.head.fields.has(HeaderId::kContentLength));
  EXPECT_FALSE(p.head.keep_alive);
}

TEST(H1Parser, Http10) {
  H1Options options;
  options.accept_http_10 = true;
  Parsed plain("GET /t HTTP/1.0\r\n\r\n", options);
  ASSERT_EQ(plain.result.status, Status::kDone);
  EXPECT_FALSE(plain.head.keep_alive);
  Parsed kept("GET /t HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", options);
  EXPECT_TRUE(kept.head.keep_alive);
  Parsed coded("POST /t HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", options);
  EXPECT_EQ(coded.result.reason, Reason::kBadFraming);
}

TEST(H1Parser, AbsoluteFormGivesAuthorityAndPath) {
  const struct {
    const char* method;
    const char* target;
    const char* authority;
    const char* path;
  } rows[] = {{"GET", "http://b.example/x?y", "b.example", "/x?y"},
              {"GET", "HTTPS://b:443", "b:443", "/"},
              {"GET", "http://b?q=/", "b", "/?q=/"},
              {"OPTIONS", "http://[::1]:8080", "[::1]:8080", "*"}};
  for (const auto& row : rows) {
    SCOPED_TRACE(row.target);
    Parsed p(std::string(row.method) + " " + row.target + " HTTP/1.1\r\nHost: a\r\n\r\n");
    ASSERT_EQ(p.result.status, Status::kDone);
    EXPECT_TRUE(p.head.absolute_form);
    EXPECT_EQ(p.head.authority, row.authority);
    EXPECT_EQ(p.head.path, row.path);
  }
  H1Options options;
  options.allow_absolute_url = false;
  Parsed refused("GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", options);
  EXPECT_EQ(refused.result.reason, Reason::kBadTarget);
}

TEST(H1Parser, ConnectTakesAuthorityForm) {
  Parsed p("CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n");
  ASSERT_EQ(p.result.status, Status::kDone);
  EXPECT_EQ(p.head.method, Method::kConnect);
  EXPECT_EQ(p.head.authority, "a.example:443");
  EXPECT_TRUE(p.head.path.empty());
}

TEST(H1Parser, UpgradeNeedsBothFieldsAndNoBodyAndNoHttp2) {
  const struct {
    const char* fields;
    bool upgrade;
  } rows[] = {{"Connection: Upgrade\r\nUpgrade: websocket\r\n", true},
              {"Connection: keep-alive, UPGRADE\r\nUpgrade: websocket\r\n", true},
              {"Upgrade: websocket\r\n", false},
              {"Connection: Upgrade\r\n", false},
              {"Connection: Upgrade\r\nUpgrade: h2c\r\n", false},
              {"Connection: Upgrade\r\nUpgrade: websocket, H2C\r\n", false},
              {"Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 5\r\n", false}};
  for (const auto& row : rows) {
    SCOPED_TRACE(row.fields);
    Parsed p(kGet + row.fields + "\r\n");
    ASSERT_EQ(p.result.status, Status::kDone);
    EXPECT_EQ(p.head.upgrade, row.upgrade);
  }
}

TEST(H1Parser, SmallFlags) {
  Parsed p(kPost + "Connection: x, close\r\nExpect: 100-Continue\r\nTE: gzip, Trailers\r\n" +
           "Content-Type: application/grpc+proto\r\n\r\n");
  ASSERT_EQ(p.result.status, Status::kDone);
  EXPECT_FALSE(p.head.keep_alive);
  EXPECT_TRUE(p.head.expect_continue);
  EXPECT_TRUE(p.head.te_trailers);
  EXPECT_TRUE(p.head.is_grpc);
  Parsed q(kPost + "Content-Type: application/grpcx\r\n\r\n");
  EXPECT_FALSE(q.head.is_grpc);
}

TEST(H1Parser, Underscores) {
  const std::string text = kGet + "X_Y: 1\r\nA: b\r\n\r\n";
  H1Options options;
  EXPECT_EQ(Parsed(text, options).head.fields.size(), 3u);
  options.underscores = H1Options::Underscores::kDrop;
  Parsed dropped(text, options);
  EXPECT_EQ(dropped.head.fields.size(), 2u);
  EXPECT_EQ(dropped.head.fields.find("x_y"), nullptr);
  options.underscores = H1Options::Underscores::kReject;
  EXPECT_EQ(Parsed(text, options).result.reason, Reason::kUnderscoreHeader);
}

TEST(H1Parser, LimitsAreExact) {
  H1Options options;
  options.max_fields = 100;
  EXPECT_EQ(Parsed(kGet + repeat("X: 1\r\n", 99) + "\r\n", options).result.status, Status::kDone);
  EXPECT_EQ(Parsed(kGet + repeat("X: 1\r\n", 100) + "\r\n", options).result.reason,
            Reason::kTooManyHeaders);

  const size_t max = options.max_head_bytes;
  const auto head_of = [](size_t bytes) {
    const std::string start = kGet + "X: ";
    return start + repeat("a", (bytes - start.size() - 4)) + "\r\n\r\n";
  };
  EXPECT_EQ(Parsed(head_of(max), options).result.status, Status::kDone);
  EXPECT_EQ(Parsed(head_of(max + 1), options).result.reason, Reason::kHeadTooLarge);
  EXPECT_EQ(Parsed(head_of(max).substr(0, max - 1), options).result.status, Status::kMore);
  EXPECT_EQ(Parsed(head_of(max + 1).substr(0, max), options).result.reason, Reason::kHeadTooLarge);
  EXPECT_EQ(Parsed(head_of(max + 1), options, max - 1).result.reason, Reason::kHeadTooLarge);

  const auto target_of = [](size_t bytes) {
    return "GET /" + repeat("a", (bytes - 1)) + " HTTP/1.1\r\nHost: a\r\n\r\n";
  };
  EXPECT_EQ(Parsed(target_of(8000), options).result.status, Status::kDone);
  EXPECT_EQ(Parsed(target_of(options.max_target_bytes), options).result.status, Status::kDone);
  EXPECT_EQ(Parsed(target_of(options.max_target_bytes + 1), options).result.reason,
            Reason::kTargetTooLong);
}

TEST(H1Parser, EveryPrefixWaitsAndTheWholeIsTheSame) {
  std::string text =
      "\r\nPOST /a HTTP/1.1\r\nHost: a.example\r\nX-Long-Name-Of-A-Field: value\r\n"
      "Content-Length: 3\r\n\r\n";
  base::BlockPool pool;
  base::Arena arena(pool);
  RequestHead head;
  head.fields.bind(&arena);
  size_t scanned = 0;
  for (size_t size = 1; size < text.size(); ++size) {
    ASSERT_EQ(parse_request_head(text.data(), size, scanned, {}, &head).status, Status::kMore)
        << size;
    ASSERT_EQ(parse_request_head(text.data(), size, 0, {}, &head).status, Status::kMore) << size;
    scanned = size;
  }
  ASSERT_EQ(parse_request_head(text.data(), text.size(), scanned, {}, &head).status, Status::kDone);
  EXPECT_EQ(head.fields.size(), 3u);
  EXPECT_EQ(head.framing.length, 3u);
}

TEST(H1Parser, BadBytesAreSeenBeforeTheHeadIsWhole) {
  base::BlockPool pool;
  const char* rows[] = {"GET /t HTTP/1.1\rH", "GET /t HTTP/1.1\r\nA: b\nC",
                        "GET /t HTTP/1.1\r\nA: \x01"};
  for (const char* row : rows) {
    SCOPED_TRACE(row);
    std::string text = row;
    base::Arena arena(pool);
    RequestHead head;
    head.fields.bind(&arena);
    HeadResult result;
    for (size_t size = 1; size <= text.size() && result.status == Status::kMore; ++size) {
      result = parse_request_head(text.data(), size, size - 1, {}, &head);
    }
    EXPECT_EQ(result.status, Status::kBad);
  }
}

TEST(H1Parser, AHeadIsFreshWhenItIsParsedAgain) {
  base::BlockPool pool;
  base::Arena arena(pool);
  RequestHead head;
  head.fields.bind(&arena);
  std::string first = kPost + "TE: trailers\r\nConnection: close\r\nContent-Length: 7\r\n\r\n";
  std::string second = kGet + "\r\n";
  ASSERT_EQ(parse_request_head(first.data(), first.size(), 0, {}, &head).status, Status::kDone);
  ASSERT_EQ(parse_request_head(second.data(), second.size(), 0, {}, &head).status, Status::kDone);
  EXPECT_TRUE(head.keep_alive);
  EXPECT_FALSE(head.te_trailers);
  EXPECT_EQ(head.framing.kind, Framing::Kind::kNone);
  EXPECT_EQ(head.fields.size(), 1u);
  EXPECT_FALSE(head.fields.has(HeaderId::kContentLength));
}

TEST(H1Parser, Authorities) {
  for (const char* good : {"a", "a.b-c_d", "127.0.0.1:8080", "[::1]", "[fe80::1]:65535", "a:0"}) {
    EXPECT_TRUE(is_valid_authority(good)) << good;
  }
  for (const char* bad :
       {"",     ":",   ":80",   "a:",      "a:b",          "a:65536", "a:000080", "a b",
        "a@b",  "a/b", "a?b",   "a#b",     "a\\b",         "[]",      "[:]",      "[::1]x",
        "[::1", "::1", "a%20b", "a:80:80", "[::1%25eth0]", "a,b",     "\xc3\xa9"}) {
    EXPECT_FALSE(is_valid_authority(bad)) << bad;
  }
}

TEST(H1Parser, FramesResponses) {
  using Kind = Framing::Kind;
  const struct {
    const char* text;
    Method method;
    Kind kind;
    uint64_t length;
    bool keep_alive;
  } rows[] = {
      {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", Method::kGet, Kind::kLength, 5, true},
      {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", Method::kGet, Kind::kNone, 0, true},
      {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", Method::kHead, Kind::kNone, 0, true},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", Method::kGet, Kind::kChunked, 0,
       true},
      {"HTTP/1.1 200 OK\r\n\r\n", Method::kGet, Kind::kUntilClose, 0, false},
      {"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", Method::kGet, Kind::kLength, 5, false},
      {"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\n", Method::kGet,
       Kind::kLength, 5, true},
      {"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\n", Method::kGet,
       Kind::kLength, 5, false},
      {"HTTP/1.1 304 Not Modified\r\nContent-Length: 40\r\n\r\n", Method::kGet, Kind::kNone, 0,
       true},
      {"HTTP/1.1 204 No Content\r\n\r\n", Method::kGet, Kind::kNone, 0, true},
      {"HTTP/1.1 100 Continue\r\n\r\n", Method::kPost, Kind::kNone, 0, true},
      {"HTTP/1.1 200 OK\r\n\r\n", Method::kConnect, Kind::kNone, 0, true},
      {"HTTP/1.1 200\r\nContent-Length: 5\r\n\r\n", Method::kGet, Kind::kLength, 5, true},
      {"HTTP/1.1 200 \r\nContent-Length: 5\r\n\r\n", Method::kGet, Kind::kLength, 5, true},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(row.text);
    ParsedResponse p(row.text, row.method);
    ASSERT_EQ(p.result.status, Status::kDone);
    EXPECT_EQ(p.head.framing.kind, row.kind);
    EXPECT_EQ(p.head.framing.length, row.length);
    EXPECT_EQ(p.head.keep_alive, row.keep_alive);
  }
}

TEST(H1Parser, RefusesResponsesAsUpstreamErrorsAndKeepsTheRule) {
  const struct {
    std::string text;
    Reason reason;
    Reason detail;
  } rows[] = {
      {"HTTP/1.1 99 X\r\n\r\n", Reason::kUpstreamProtocolError, Reason::kBadRequestLine},
      {"HTTP/1.1 099 X\r\n\r\n", Reason::kUpstreamProtocolError, Reason::kBadRequestLine},
      {"HTTP/1.1 1000 X\r\n\r\n", Reason::kUpstreamProtocolError, Reason::kBadRequestLine},
      {"HTTP/1.1  200 X\r\n\r\n", Reason::kUpstreamProtocolError, Reason::kBadRequestLine},
      {"HTTP/2.0 200 OK\r\n\r\n", Reason::kUpstreamProtocolError, Reason::kVersionNotSupported},
      {"ICY 200 OK\r\n\r\n", Reason::kUpstreamProtocolError, Reason::kBadVersion},
      {"HTTP/1.1 200 O\x01K\r\n\r\n", Reason::kUpstreamProtocolError, Reason::kBadRequestLine},
      {"HTTP/1.1 200 OK\r\nX : y\r\n\r\n", Reason::kUpstreamProtocolError, Reason::kBadHeaderLine},
      {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
       Reason::kUpstreamProtocolError, Reason::kBadFraming},
      {"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", Reason::kUpstreamProtocolError,
       Reason::kBadFraming},
      {"HTTP/1.1 204 X\r\nContent-Length: 5\r\n\r\n", Reason::kUpstreamProtocolError,
       Reason::kBadFraming},
      {"HTTP/1.1 100 X\r\nTransfer-Encoding: chunked\r\n\r\n", Reason::kUpstreamProtocolError,
       Reason::kBadFraming},
      {std::string("HTTP/1.1 200 OK\r\n") + repeat("X: 1\r\n", 101) + "\r\n",
       Reason::kUpstreamHeadTooLarge, Reason::kTooManyHeaders},
      {"HTTP/1.1 200 OK\r\nX: " + repeat("a", 70000), Reason::kUpstreamHeadTooLarge,
       Reason::kHeadTooLarge},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(row.text.substr(0, 60));
    ParsedResponse p(row.text);
    ASSERT_EQ(p.result.status, Status::kBad);
    EXPECT_EQ(p.result.reason, row.reason);
    EXPECT_EQ(base::text_of(p.result.detail).code, base::text_of(row.detail).code);
  }
}

TEST(H1Parser, SwitchingProtocolsNamesTheProtocol) {
  ParsedResponse p("HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
  ASSERT_EQ(p.result.status, Status::kDone);
  EXPECT_TRUE(p.head.upgrade);
  EXPECT_FALSE(ParsedResponse("HTTP/1.1 101 X\r\n\r\n").head.upgrade);
}

}  // namespace
}  // namespace sluice::http
