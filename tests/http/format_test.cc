#include "http/format.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <functional>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "base/text.h"
#include "http/format_ops.h"
#include "tests/oracle/sample_exchange.h"
#include "tests/oracle/slow_format.h"

namespace sluice::http {
namespace {

using oracle::SampleExchange;
using testing::HasSubstr;

using Kind = JsonFormat::Kind;
using Members = JsonFormat::Members;

class FormatTest : public testing::Test {
 protected:
  FormatTest() { SampleExchange::use_plain_ticks(); }

  std::string render(std::string_view text, Format::Options options = {}) {
    auto format = Format::parse(text, options);
    if (!format.ok())
      return std::string("error: ") + std::string(base::message_of(format.status()));
    return render(*format);
  }
  std::string render(const Format& format) {
    char room[4096];
    Sink sink(room, sizeof(room));
    format.render(x.facts, sink);
    return std::string(sink.text());
  }
  std::string json(const JsonFormat::Members& members, bool omit = false) {
    auto format = Format::parse_json(members, omit);
    if (!format.ok()) return std::string(base::message_of(format.status()));
    return render(*format);
  }

  SampleExchange x;
  std::vector<Format> formats;
};

TEST_F(FormatTest, DefaultFormatIsEnvoys) {
  EXPECT_EQ(render(Format::default_text()),
            "[2018-05-12T07:03:04.123Z] \"GET /a/b?x=1&y=two&z HTTP/1.1\" 200 - 5 1234 21 12 "
            "\"203.0.113.7\" \"curl/8.0\" \"0f1e2d3c-0000-4000-8000-000000000001\" "
            "\"example.com:8080\" \"[2001:db8::5]:9090\"\n");
}

TEST_F(FormatTest, Operators) {
  struct Row {
    const char* format;
    const char* expected;
  };
  const Row rows[] = {
      {"", ""},
      {"plain", "plain"},
      {"100%%", "100%"},
      {"%REQ(:METHOD)%", "GET"},
      {"%REQ(:method)%", "GET"},
      {"%REQ(:SCHEME)%", "http"},
      {"%REQ(HOST)%", "example.com:8080"},
      {"%REQ(X-CUSTOM)%", "first"},
      {"%REQ(X-CUSTOM):3%", "fir"},
      {"%REQ(X-NONE)%", "-"},
      {"%REQ(X-NONE?X-CUSTOM):2%", "fi"},
      {"%REQ(X-NONE?:PATH)%", "/a/b?x=1&y=two&z"},
      {"%REQ(X-EMPTY)%", ""},
      {"%REQ(X-EMPTY?X-CUSTOM)%", ""},
      {"%REQ_WITHOUT_QUERY(:PATH)%", "/a/b"},
      {"%RESP(X-BACK)%", "end"},
      {"%RESP(:STATUS)%", "200"},
      {"%TRAILER(X-SUM)%", "abc"},
      {"%TRAILER(X-NO?X-SUM)%", "abc"},
      {"%PATH% %PATH(WQ)% %PATH(NQ:PATH)%", "/a/b?x=1&y=two&z /a/b?x=1&y=two&z /a/b"},
      {"%PATH(NQ:ORIG)% %PATH(:ORIG_OR_PATH)%", "- /a/b?x=1&y=two&z"},
      {"%QUERY_PARAMS% %QUERY_PARAMS(ORIG)%", "x=1&y=two&z x=1&y=two&z"},
      {"%EMIT_TIME% %EMIT_TIME(%S.%3f)%", "2018-05-12T07:03:04.145Z 04.145"},
      {"%UPSTREAM_CONNECTION_POOL_READY_DURATION%", "-"},
      {"%PROTOCOL% %UPSTREAM_PROTOCOL%", "HTTP/1.1 HTTP/1.1"},
      {"%START_TIME%", "2018-05-12T07:03:04.123Z"},
      {"%START_TIME(%Y/%m/%dT%H:%M:%S%z %s)%", "2018/05/12T07:03:04+0000 1526108584"},
      {"%START_TIME(%s.%3f)%", "1526108584.123"},
      {"%START_TIME(%s.%6f)%", "1526108584.123456"},
      {"%START_TIME(%9f %f)%", "123456789 123456789"},
      {"%START_TIME(%E3S %E*S %Ez %E4Y)%", "04.123 04.123456789 +00:00 2018"},
      {"%START_TIME(%a %A %b %B %e %j %y %p %I %u %w %T %R %F %D %%)%",
       "Sat Saturday May May 12 132 18 AM 07 6 6 07:03:04 07:03 2018-05-12 05/12/18 %"},
      {"%REQUEST_DURATION%", "1"},
      {"%REQUEST_TX_DURATION%", "3"},
      {"%RESPONSE_DURATION%", "15"},
      {"%RESPONSE_TX_DURATION%", "6"},
      {"%DURATION%", "21"},
      {"%COMMON_DURATION(DS_RX_BEG:US_TX_BEG:us)%", "2000"},
      {"%COMMON_DURATION(US_RX_BEG:DS_TX_END:ns)%", "6999999"},
      {"%COMMON_DURATION(US_RX_BEG:US_RX_END:ns)%", "-"},
      {"%COST(parse)%", "700"},
      {"%COST(route)%", "-"},
      {"%BYTES_RECEIVED% %BYTES_SENT%", "5 1234"},
      {"%REQUEST_HEADERS_BYTES% %RESPONSE_HEADERS_BYTES% %RESPONSE_TRAILERS_BYTES%", "194 72 8"},
      {"%DOWNSTREAM_HEADER_BYTES_RECEIVED% %DOWNSTREAM_HEADER_BYTES_SENT%", "150 90"},
      {"%UPSTREAM_HEADER_BYTES_SENT% %UPSTREAM_HEADER_BYTES_RECEIVED%", "160 80"},
      {"%RESPONSE_CODE%", "200"},
      {"%RESPONSE_CODE_DETAILS%", "via_upstream"},
      {"%RESPONSE_FLAGS% %RESPONSE_FLAGS_LONG%", "- -"},
      {"%CONNECTION_TERMINATION_DETAILS%", "-"},
      {"%UPSTREAM_TRANSPORT_FAILURE_REASON%", "-"},
      {"%UPSTREAM_HOST%", "[2001:db8::5]:9090"},
      {"%UPSTREAM_HOST_NAME% %UPSTREAM_HOST_NAME_WITHOUT_PORT%", "[2001:db8::5]:9090 2001:db8::5"},
      {"%UPSTREAM_CLUSTER%", "backend"},
      {"%UPSTREAM_LOCAL_ADDRESS%", "10.0.0.1:51234"},
      {"%UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %UPSTREAM_REMOTE_PORT%", "2001:db8::5 9090"},
      {"%UPSTREAM_REQUEST_ATTEMPT_COUNT%", "1"},
      {"%DOWNSTREAM_REMOTE_ADDRESS%", "203.0.113.7:0"},
      {"%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", "203.0.113.7"},
      {"%DOWNSTREAM_DIRECT_REMOTE_ADDRESS%", "192.0.2.1:40000"},
      {"%DOWNSTREAM_DIRECT_REMOTE_PORT%", "40000"},
      {"%DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_PORT%", "10.0.0.1:8080 8080"},
      {"%CONNECTION_ID% %UPSTREAM_CONNECTION_ID%", "17 4"},
      {"%STREAM_ID%", "0f1e2d3c-0000-4000-8000-000000000001"},
      {"%ROUTE_NAME% %VIRTUAL_HOST_NAME% %FILTER_CHAIN_NAME%", "to-backend all plain"},
      {"%VIRTUAL_CLUSTER_NAME% %DOWNSTREAM_TLS_VERSION%", "- -"},
      {"%LOCAL_REPLY_BODY%", "-"},
      {"%GRPC_STATUS% %GRPC_STATUS_NUMBER%", "- -"},
      {"%DYNAMIC_METADATA(a:b:c):5% %FILTER_STATE(k:PLAIN)%", "- -"},
      {"%QUERY_PARAM(y)% %QUERY_PARAM(z)% %QUERY_PARAM(n)%", "two  -"},
      {"%REASON%", "none"},
      {"%ACCESS_LOG_TYPE%", "DownstreamEnd"},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.format);
    EXPECT_EQ(render(row.format), row.expected);
  }
  char name[256] = {};
  ASSERT_EQ(gethostname(name, sizeof(name) - 1), 0);
  EXPECT_EQ(render("%HOSTNAME%"), name);
}

TEST_F(FormatTest, ARelaySaysThatItIsOne) {
  x.facts.request = nullptr;
  EXPECT_EQ(render("%ACCESS_LOG_TYPE% %REQ(:METHOD)%"), "TcpConnectionEnd -");
  constexpr std::string_view kClosed =
      "%DOWNSTREAM_LOCAL_CLOSE_REASON% %UPSTREAM_LOCAL_CLOSE_REASON%";
  EXPECT_EQ(render(kClosed), "- -");
  x.facts.reason = base::Reason::kNoHealthyUpstream;
  EXPECT_EQ(render(kClosed), "tcp_initializion_failure:1 -");
  x.facts.reason = base::Reason::kConnectionIdleTimeout;
  EXPECT_EQ(render(kClosed), "tcp_session_idle_timeout tcp_session_idle_timeout");
}

TEST_F(FormatTest, FailuresShowFlagsDetailsAndReason) {
  x.facts.reason = base::Reason::kUpstreamConnectFailed;
  x.facts.response_code = 503;
  EXPECT_EQ(render("%RESPONSE_FLAGS% %RESPONSE_FLAGS_LONG% %RESPONSE_CODE_DETAILS% %REASON%"),
            "UF UpstreamConnectionFailure "
            "upstream_reset_before_response_started{remote_connection_failure} "
            "upstream_connect_failed");
  x.facts.add_flag(base::ResponseFlag::kURX);
  EXPECT_EQ(render("%RESPONSE_FLAGS% %RESPONSE_FLAGS_LONG%"),
            "UF,URX UpstreamConnectionFailure,UpstreamRetryLimitExceeded");
  EXPECT_EQ(render("%REASON(SENTENCE)%"), base::text_of(x.facts.reason).sentence);
}

TEST_F(FormatTest, NothingKnownIsDashesNotACrash) {
  const base::Address* none = nullptr;
  x.facts = Facts();
  EXPECT_EQ(x.facts.upstream_remote, none);
  EXPECT_EQ(render(Format::default_text()),
            "[1970-01-01T00:00:00.000Z] \"- - -\" 0 - 0 0 - - \"-\" \"-\" \"-\" \"-\" \"-\"\n");
}

TEST_F(FormatTest, UnixAddressIsItsPath) {
  const base::Address path = *base::Address::unix_path("/run/x.sock");
  x.facts.upstream_remote = &path;
  EXPECT_EQ(render("%UPSTREAM_HOST% %UPSTREAM_REMOTE_PORT%"), "/run/x.sock -");
  const base::Address longest = *base::Address::unix_path(std::string(100, 'p'));
  x.facts.upstream_remote = &longest;
  EXPECT_EQ(render("%UPSTREAM_HOST%"), longest.to_string());
}

TEST_F(FormatTest, GrpcStatusComesFromTrailersThenHeadTheStatus) {
  x.request.is_grpc = true;
  EXPECT_EQ(render("%GRPC_STATUS% %GRPC_STATUS_NUMBER%"), "Unknown 2");  // from HTTP 200 without it
  x.response.fields.add("grpc-status", "5");
  EXPECT_EQ(render("%GRPC_STATUS% %GRPC_STATUS(SNAKE_STRING)%"), "NotFound NOT_FOUND");
  x.trailers.add("grpc-status", "0");
  EXPECT_EQ(render("%GRPC_STATUS% %GRPC_STATUS(NUMBER)%"), "OK 0");
  x.trailers.set("grpc-status", "99");
  EXPECT_EQ(render("%GRPC_STATUS%"), "99");
  x.trailers.set("grpc-status", "x");
  EXPECT_EQ(render("%GRPC_STATUS%"), "InvalidCode");
}

TEST_F(FormatTest, ErrorsNamePositionAndRemedy) {
  struct Row {
    const char* format;
    const char* message;
  };
  const Row rows[] = {
      {"abc %NOPE% d", "position 4: unknown operator (write %% for a percent sign): %NOPE"},
      {"50% of", "position 2: unknown operator"},
      {"%PROTOCOL", "position 0: missing % at the end of %PROTOCOL"},
      {"%REQ(:PATH%", "position 0: missing ) after %REQ("},
      {"%REQ%", "position 0: %REQ% needs (an argument)"},
      {"%REQ()%", "position 0: %REQ% needs (an argument)"},
      {"%REQ(a b)%", "position 0: not a header name: a b"},
      {"%REQ(:status)%", "position 0: not a header name: :status"},
      {"%REQ(a):x%", "must be a number"},
      {"%REQ(a):0%", "must be a number"},
      {"%REQ(a):70000%", "must be a number"},
      {"%PROTOCOL(x)%", "%PROTOCOL% takes no argument: x"},
      {"%START_TIME(%Y %Q)%", "do not know the conversion"},
      {"%COST(tea)%", "COST takes one of"},
      {"%COMMON_DURATION(A:B:ms)%", "unknown point: A"},
      {"%COMMON_DURATION(DS_RX_BEG:DS_TX_END:h)%", "precision is ms, us or ns: h"},
      {"%COMMON_DURATION(DS_RX_BEG:DS_TX_END:ms:x)%", "too many: x"},
      {"%GRPC_STATUS(LOUD)%", "GRPC_STATUS takes"},
      {"%", "position 0: unknown operator"},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.format);
    EXPECT_THAT(render(row.format), HasSubstr(row.message));
  }
}

TEST_F(FormatTest, UnsupportedOperatorsWarn) {
  std::vector<std::string> warnings;
  ASSERT_TRUE(Format::parse("%PROTOCOL% %DYNAMIC_METADATA(a)%", {}, &warnings).ok());
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_THAT(warnings[0], HasSubstr("position 11: %DYNAMIC_METADATA% is not supported"));
}

TEST_F(FormatTest, NoValueCanBreakALine) {
  x.request.path = "/\r\n\x1b[2J\x7f\tz";
  const std::string nul("a\0b", 3);
  x.facts.upstream_transport_failure = nul;
  EXPECT_EQ(render("%REQ(:PATH)% %UPSTREAM_TRANSPORT_FAILURE_REASON%"),
            "/\\x0d\\x0a\\x1b[2J\\x7f\\x09z a\\x00b");
  EXPECT_EQ(json({{"p", "%REQ(:PATH)%"}, {"q", "<%UPSTREAM_TRANSPORT_FAILURE_REASON%>"}}),
            "{\"p\":\"/\\r\\n\\u001b[2J\\u007f\\tz\",\"q\":\"<a\\u0000b>\"}\n");
}

TEST_F(FormatTest, FullSinkCutsAndSaysSo) {
  auto format = Format::parse(Format::default_text());
  const std::string whole = render(*format);
  for (size_t room = 0; room <= whole.size(); ++room) {
    std::vector<char> memory(room + 1, '#');
    Sink sink(memory.data(), room);
    format->render(x.facts, sink);
    ASSERT_EQ(sink.text(), whole.substr(0, room));
    ASSERT_EQ(sink.full(), room < whole.size());
    ASSERT_EQ(memory[room], '#');
  }
}

TEST_F(FormatTest, HeaderValuesAreBorrowedWherePossible) {
  const auto value = [&](std::string_view text) {
    auto format = Format::parse(text, Format::kHeaderValue);
    EXPECT_TRUE(format.ok());
    formats.push_back(*std::move(format));
    return formats.back().render(x.facts, x.arena);
  };
  formats.reserve(16);
  EXPECT_EQ(value("literal"), "literal");
  EXPECT_EQ(value("%REQ(:PATH)%").data(), x.request.path.data());
  EXPECT_EQ(value("%REQ(:PATH):4%"), "/a/b");
  EXPECT_EQ(value("%REQ(X-NONE)%"), "");
  EXPECT_EQ(value("<%REQ(X-NONE)%>"), "<>");
  EXPECT_EQ(value("%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"), "203.0.113.7");
  EXPECT_EQ(value("%RESPONSE_CODE%"), "200");
  const std::string big(3000, 'b');
  x.request.path = big;
  EXPECT_EQ(value("%REQ(:PATH)%%REQ(:PATH)%"), big + big);
  const std::string huge(20'000, 'h');
  x.request.path = huge;
  EXPECT_EQ(value("x%REQ(:PATH)%").size(), 16u * 1024);
}

TEST_F(FormatTest, LiteralsAreFoldedAndKnown) {
  EXPECT_TRUE(Format::parse("a%%b")->is_literal());
  EXPECT_EQ(Format::parse("a%%b")->text(), "a%b");
  EXPECT_TRUE(Format::parse("")->is_literal());
  EXPECT_FALSE(Format::parse("%PROTOCOL%")->is_literal());
}

TEST_F(FormatTest, HeadersThatEnvoyKeepsInOneLineAreJoined) {
  SampleExchange::add(x.request.fields, {{"user-agent", "two"},
                                         {"cookie", "a=1"},
                                         {"cookie", "b=2"},
                                         {"set-cookie", "c=3"},
                                         {"set-cookie", "d=4"}});
  EXPECT_EQ(render("%REQ(USER-AGENT)% %REQ(COOKIE)% %REQ(SET-COOKIE)% %REQ(X-CUSTOM)%"),
            "curl/8.0,two a=1; b=2 c=3 first");
  x.request.fields.remove(x.request.fields.find("user-agent"));
  EXPECT_EQ(render("%REQ(USER-AGENT)%"), "two");
  SampleExchange::add(x.response.fields, {{"via", std::string(2000, 'v')}, {"via", "w"}});
  EXPECT_EQ(render("%RESP(VIA)%").size(), 1024u);  // joined ones are cut
}

TEST_F(FormatTest, JsonKeepsOrderAndNumbers) {
  EXPECT_EQ(json({{"code", "%RESPONSE_CODE%"},
                  {"b", "%BYTES_SENT% B"},
                  {"a\"", "x\"%PROTOCOL%"},
                  {"none", "%REQ(X-NONE)%"},
                  {"part", "%REQ(X-NONE)%!"},
                  {"empty", ""},
                  {"port", "%UPSTREAM_REMOTE_PORT%"}}),
            "{\"code\":200,\"b\":\"1234 B\",\"a\\\"\":\"x\\\"HTTP/1.1\",\"none\":null,"
            "\"part\":\"-!\",\"empty\":\"\",\"port\":9090}\n");
  EXPECT_EQ(json({}), "{}\n");
}

TEST_F(FormatTest, JsonOmitsEmptyValues) {
  EXPECT_EQ(json({{"n", "%REQ(X-NONE)%"}, {"p", "%PROTOCOL%"}, {"m", "%REQ(X-NONE)%"}}, true),
            "{\"p\":\"HTTP/1.1\"}\n");
  EXPECT_EQ(json({{"p", "[%REQ(X-NONE)%]"}}, true), "{\"p\":\"[]\"}\n");
}

TEST_F(FormatTest, JsonErrorsNameTheKey) {
  EXPECT_EQ(json({{"k", "%X%"}}),
            "k: position 0: unknown operator (write %% for a percent sign): %X");
  EXPECT_EQ(json({{"k", JsonFormat::list({{"", "a"}, {"", JsonFormat::object({{"o", "%X%"}})}})}}),
            "k: [1]: o: position 0: unknown operator (write %% for a percent sign): %X");
}

TEST_F(FormatTest, JsonNestsObjectsAndLists) {
  const JsonFormat three = JsonFormat::literal("3");
  const JsonFormat null = JsonFormat::null();
  const JsonFormat none = "%REQ(X-NONE)%";
  const auto object = &JsonFormat::object;
  const Members list = {{"", none},
                        {"", three},
                        {"", null},
                        {"", object({})},
                        {"", object({{"a", three}})},
                        {"", JsonFormat::list({})}};
  const Members members = {{"deep", object({{"a", object({{"c", none}})}})},
                           {"l", JsonFormat::list({})},
                           {"list", JsonFormat::list(list)},
                           {"o", object({{"code", "%RESPONSE_CODE%"}, {"x", "<%REQ(X-NONE)%>"}})},
                           {"z", null}};
  EXPECT_EQ(json(members),
            "{\"deep\":{\"a\":{\"c\":null}},\"l\":[],\"list\":[null,3,null,{},{\"a\":3},[]],"
            "\"o\":{\"code\":200,\"x\":\"<->\"},\"z\":null}\n");
  EXPECT_EQ(json(members, true),
            "{\"l\":[],\"list\":[3,{\"a\":3},[]],\"o\":{\"code\":200,\"x\":\"<>\"}}\n");
}

TEST_F(FormatTest, JsonDepthIsBounded) {
  const auto nested = [](size_t depth) {
    JsonFormat value = "x";
    for (size_t i = 1; i < depth; ++i) {
      Members items;
      items.emplace_back("", std::move(value));
      value = JsonFormat::list(std::move(items));
    }
    Members members;
    members.emplace_back("k", std::move(value));
    return members;
  };
  EXPECT_EQ(json(nested(Format::kMaxJsonDepth)),
            "{\"k\":" + std::string(31, '[') + "\"x\"" + std::string(31, ']') + "}\n");
  EXPECT_THAT(json(nested(Format::kMaxJsonDepth + 1)), testing::HasSubstr("more than 32 objects"));
}

// What a value is, said plainly; none: left out.
std::optional<std::string> slow_json(const JsonFormat& value, bool omit) {
  const auto leaf = [&](std::string_view text) -> std::optional<std::string> {
    if (text == "%RESPONSE_CODE%") return "200";
    if (text == "%PROTOCOL%") return "\"HTTP/1.1\"";
    if (text == "x%REQ(X-NONE)%") return omit ? "\"x\"" : "\"x-\"";
    if (text == "%REQ(X-NONE)%") return omit ? std::nullopt : std::optional<std::string>("null");
    return "\"" + std::string(text) + "\"";
  };
  switch (value.kind) {
    case Kind::kFormat:
      return leaf(value.text);
    case Kind::kLiteral:
      return value.text;
    case Kind::kNull:
      return omit ? std::nullopt : std::optional<std::string>("null");
    default:
      break;
  }
  const bool list = value.kind == Kind::kList;
  std::string inside;
  for (const auto& [key, member] : value.members) {
    const auto text = slow_json(member, omit);
    if (!text) continue;
    if (!inside.empty()) inside += ',';
    inside += list ? *text : "\"" + key + "\":" + *text;
  }
  if (omit && !list && inside.empty()) return std::nullopt;
  return (list ? "[" : "{") + inside + (list ? "]" : "}");
}

TEST_F(FormatTest, JsonAgreesWithTheSlowOracleOnRandomTrees) {
  std::mt19937 random(7);
  const char* const leaves[] = {"%RESPONSE_CODE%", "%PROTOCOL%", "x%REQ(X-NONE)%",
                                "%REQ(X-NONE)%",   "plain",      ""};
  const std::function<JsonFormat(int)> make = [&](int depth) -> JsonFormat {
    const auto pick = random() % (depth > 5 ? 8 : 12);
    if (pick < 6) return leaves[pick];
    if (pick == 6) return JsonFormat::literal("true");
    if (pick == 7) return JsonFormat::null();
    Members members;
    for (auto n = random() % 4; n > 0; --n) members.emplace_back("k", make(depth + 1));
    return pick % 2 == 0 ? JsonFormat::object(std::move(members))
                         : JsonFormat::list(std::move(members));
  };
  for (int i = 0; i < 2000; ++i) {
    Members members;
    for (auto n = random() % 5; n > 0; --n) members.emplace_back("m", make(1));
    for (const bool omit : {false, true}) {
      const auto expected = slow_json(JsonFormat::object(members), omit);
      ASSERT_EQ(json(members, omit), expected.value_or("{}") + "\n");
    }
  }
}

TEST(JsonEscape, Utf8IsKeptAndTheRestReplaced) {
  struct Row {
    std::string in;
    const char* out;
  };
  const Row rows[] = {
      {"plain text of some length, more than eight", "plain text of some length, more than eight"},
      {"\"\\/", "\\\"\\\\/"},
      {"\b\f\n\r\t", "\\b\\f\\n\\r\\t"},
      {std::string("\0\x01\x1f\x7f", 4), "\\u0000\\u0001\\u001f\\u007f"},
      {"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80",
       "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80"},
      {"\xc3", "\\ufffd"},
      {"\xc0\xaf", "\\ufffd\\ufffd"},                        // overlong
      {"\xed\xa0\x80", "\\ufffd\\ufffd\\ufffd"},             // surrogate
      {"\xf4\x90\x80\x80", "\\ufffd\\ufffd\\ufffd\\ufffd"},  // above U+10FFFF
      {"a\xff"
       "b",
       "a\\ufffdb"},
  };
  for (const Row& row : rows) {
    char room[256];
    Sink sink(room, sizeof(room));
    append_json_escaped(row.in, sink);
    EXPECT_EQ(sink.text(), row.out);
  }
}

// Every position of a special byte relative to the word-wise scan.
TEST(LogEscape, FindsASpecialByteAtEveryOffset) {
  for (size_t size = 0; size < 40; ++size) {
    for (size_t at = 0; at < size; ++at) {
      for (const char c : {'\0', '\n', '\x1f', '\x7f', ' ', '~', '\x80', '\xff'}) {
        std::string text(size, 'a');
        text[at] = c;
        char room[256];
        Sink sink(room, sizeof(room));
        append_log_escaped(text, sink);
        ASSERT_EQ(sink.text(), oracle::internal::escaped(text)) << size << " " << at;
      }
    }
  }
}

TEST(FormatTime, AgreesWithTheCLibraryOverCenturies) {
  std::mt19937_64 random(3);
  for (int i = 0; i < 20'000; ++i) {
    const auto seconds = static_cast<int64_t>(random() % 9'000'000'000u) - 2'000'000'000;
    const std::time_t t = seconds;
    std::tm tm{};
    gmtime_r(&t, &tm);
    constexpr char kPattern[] = "%Y-%m-%d %H:%M:%S %j %a %b %e %I %p %u %w %y";
    char expected[128];
    std::strftime(expected, sizeof(expected), kPattern, &tm);
    char room[128];
    Sink sink(room, sizeof(room));
    append_time(kPattern, seconds * base::kNsPerSec + 5, sink);
    ASSERT_EQ(sink.text(), expected) << seconds;
  }
}

TEST_F(FormatTest, AgreesWithTheSlowOracleOnRandomFormats) {
  const std::vector<std::string> pieces = {"a",
                                           " ",
                                           "%%",
                                           "\"",
                                           "%REQ(:PATH)%",
                                           "%REQ(X-CUSTOM):3%",
                                           "%REQ(X-NONE?USER-AGENT)%",
                                           "%REQ_WITHOUT_QUERY(:PATH)%",
                                           "%RESP(X-BACK?X-NONE):2%",
                                           "%RESP(:STATUS)%",
                                           "%TRAILER(X-SUM)%",
                                           "%PROTOCOL%",
                                           "%START_TIME%",
                                           "%DURATION%",
                                           "%RESPONSE_DURATION%",
                                           "%RESPONSE_CODE%",
                                           "%RESPONSE_FLAGS%",
                                           "%RESPONSE_CODE_DETAILS%",
                                           "%BYTES_SENT%",
                                           "%UPSTREAM_HOST%",
                                           "%UPSTREAM_HOST:7%",
                                           "%UPSTREAM_CLUSTER:4%",
                                           "%ROUTE_NAME%",
                                           "%DOWNSTREAM_REMOTE_ADDRESS%",
                                           "%CONNECTION_ID%",
                                           "%REQ(",
                                           "%",
                                           "%NOPE%"};
  std::mt19937 random(5);
  int compared = 0;
  for (int i = 0; i < 3000; ++i) {
    std::string text;
    for (size_t n = random() % 9; n > 0; --n) text += pieces[random() % pieces.size()];
    SCOPED_TRACE(text);
    x.facts.reason = i % 3 == 0 ? base::Reason::kUpstreamTimeout : base::Reason::kNone;
    x.facts.response = i % 5 == 0 ? nullptr : &x.response;
    Format::Options options;
    if (i % 2 == 0) options = Format::kHeaderValue;
    const auto expected = oracle::slow_format(text, x.facts, options);
    auto format = Format::parse(text, options);
    ASSERT_EQ(format.ok(), expected.has_value());
    if (!expected) continue;
    ++compared;
    ASSERT_EQ(render(*format), *expected);
    ASSERT_EQ(format->render(x.facts, x.arena), *expected);
  }
  EXPECT_GT(compared, 1000);
}

}  // namespace
}  // namespace sluice::http
