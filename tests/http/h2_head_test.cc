#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "http/h2_codec.h"
#include "tests/http/h2_peer.h"
#include "tests/http/h2_wire.h"

// Heads: what a server makes of received ones, and what leaves of those that are sent.

namespace sluice::http {
namespace {

using testing::ElementsAre;
using testing::Pair;
using namespace test;  // NOLINT(google-build-using-namespace): the wire's words
using Role = H2Codec::Role;

constexpr uint32_t kProtocol = static_cast<uint32_t>(H2Error::kProtocol);

class H2Head : public testing::Test {
 protected:
  void SetUp() override { start({}); }
  void start(const H2Options& with) {
    server = std::make_unique<H2Peer>(Role::kServer, with);
    server->receive(hello() + settings_ack());
    server->produce();
  }
  // What stream 1 came to: the message, or null.
  H2Message* receive(const std::string& bytes) {
    server->receive(bytes);
    return server->messages.empty() ? nullptr : &server->last();
  }
  void expect_rejected(const std::string& bytes) {
    H2Message* const m = receive(bytes);
    ASSERT_NE(m, nullptr);
    EXPECT_FALSE(m->has_head);
    EXPECT_NE(m->news & H2Stream::kClosed, 0);
    EXPECT_EQ(m->stream.error(), H2Error::kProtocol);
    EXPECT_FALSE(m->stream.by_peer());
    EXPECT_FALSE(server->failed());
    EXPECT_THAT(answer_of(server->produce()).resets, ElementsAre(Pair(1, kProtocol)));
    EXPECT_EQ(server->cells.rx_messaging_error.get(), 1u);
    EXPECT_EQ(server->codec->num_streams(), 0u);
  }
  static std::string names(const FieldList& fields) {
    std::string out;
    for (const Field& f : fields) {
      if (!f.removed()) out += std::string(f.name()) + "=" + std::string(f.value()) + ";";
    }
    return out;
  }
  std::unique_ptr<H2Peer> server;
};

TEST_F(H2Head, FieldsAreInternedInTheirOrder) {
  H2Message* const m = receive(get(1, {{"user-agent", "x"}, {"zzz", ""}, {"x-request-id", "7"}}));
  ASSERT_TRUE(m->has_head);
  EXPECT_EQ(names(m->request.fields), "user-agent=x;zzz=;x-request-id=7;");
  EXPECT_EQ(m->request.fields.begin()->id, HeaderId::kUserAgent);
  EXPECT_TRUE(m->request.fields.has(HeaderId::kXRequestId));
  EXPECT_EQ(
      m->stream.head_bytes_received(),
      std::string(":methodGET:schemehttp:authoritya:path/tuser-agentxzzzx-request-id7").size());
}

TEST_F(H2Head, FramingSaysWhetherABodyFollows) {
  EXPECT_EQ(receive(get(1))->request.framing.kind, Framing::Kind::kNone);
  EXPECT_EQ(receive(post(3))->request.framing.kind, Framing::Kind::kChunked);
  H2Message* const m = receive(post(5, {{"content-length", "18446744073"}}));
  EXPECT_EQ(m->request.framing.kind, Framing::Kind::kLength);
  EXPECT_EQ(m->request.framing.length, 18446744073u);
  EXPECT_EQ(receive(post(7, {{"content-length", "0"}}))->request.framing.kind,
            Framing::Kind::kLength);
}

TEST_F(H2Head, WhatTheProxyLooksAtIsRead) {
  H2Message* const m = receive(post(1, {{"content-type", "application/grpc+proto"},
                                        {"te", "trailers"},
                                        {"expect", "100-Continue"}}));
  EXPECT_TRUE(m->request.is_grpc);
  EXPECT_TRUE(m->request.te_trailers);
  EXPECT_TRUE(m->request.expect_continue);
}

TEST_F(H2Head, CookieCrumbsBecomeOneField) {
  H2Message* const m =
      receive(get(1, {{"cookie", "a=1"}, {"x", "y"}, {"cookie", ""}, {"cookie", "b=2"}}));
  ASSERT_TRUE(m->has_head);
  EXPECT_EQ(names(m->request.fields), "cookie=a=1; ; b=2;x=y;");
  // One alone is not touched, and not copied.
  const uint64_t copied = base::copies().head_bytes;
  EXPECT_EQ(names(receive(get(3, {{"cookie", "a=1"}}))->request.fields), "cookie=a=1;");
  EXPECT_EQ(base::copies().head_bytes, copied);
}

TEST_F(H2Head, HostStandsInForAuthorityOrEqualsIt) {
  const auto head = [](const Pairs& fields) { return headers(1, true, block(fields)); };
  const Pairs pseudo = {{":method", "GET"}, {":scheme", "http"}, {":path", "/"}};
  Pairs fields = pseudo;
  fields.emplace_back("host", "h.example:81");
  H2Message* m = receive(head(fields));
  ASSERT_TRUE(m->has_head);
  EXPECT_EQ(m->request.authority, "h.example:81");
  EXPECT_EQ(m->request.fields.size(), 0u);

  m = receive(get(3, {{"host", "A"}}));
  ASSERT_TRUE(m->has_head);
  EXPECT_EQ(m->request.authority, "a");
  EXPECT_EQ(m->request.fields.size(), 0u);
}

TEST_F(H2Head, HostThatDiffersIsRejected) { expect_rejected(get(1, {{"host", "evil"}})); }

TEST_F(H2Head, WithoutAuthorityAndHostIsRejected) {
  expect_rejected(
      headers(1, true, block({{":method", "GET"}, {":scheme", "http"}, {":path", "/"}})));
}

TEST_F(H2Head, BadAuthoritiesAreRejected) {
  for (const std::string_view authority :
       {"u@a", "a/b", "a:b", "a:99999", "", "[::1", "a b", "a,b", "a#"}) {
    SCOPED_TRACE(authority);
    start({});
    expect_rejected(headers(
        1, true,
        block(
            {{":method", "GET"}, {":scheme", "http"}, {":authority", authority}, {":path", "/"}})));
  }
}

TEST_F(H2Head, BadPathsAreRejected) {
  for (const std::string_view path : {"", "t", "*", "/a#b", "/a b", "http://a/", "/\x80"}) {
    SCOPED_TRACE(path);
    start({});
    expect_rejected(headers(1, true, request_block("GET", path)));
  }
  start({});
  EXPECT_TRUE(receive(headers(1, true, request_block("OPTIONS", "*")))->has_head);
}

TEST_F(H2Head, ConnectHasAnAuthorityAlone) {
  H2Message* m = receive(headers(1, false, block({{":method", "CONNECT"}, {":authority", "a:1"}})));
  ASSERT_TRUE(m->has_head);
  EXPECT_EQ(m->request.method, Method::kConnect);
  EXPECT_EQ(m->request.path, "");
  EXPECT_EQ(m->request.framing.kind, Framing::Kind::kNone);
  EXPECT_FALSE(m->ended);
  start({});
  expect_rejected(headers(1, false, request_block("CONNECT", "/t")));
}

TEST_F(H2Head, ExtendedConnectOnlyWhereAllowed) {
  const std::string bytes = headers(1, false,
                                    block({{":method", "CONNECT"},
                                           {":protocol", "websocket"},
                                           {":scheme", "http"},
                                           {":path", "/chat"},
                                           {":authority", "a"}}));
  expect_rejected(bytes);
  H2Options options;
  options.allow_connect = true;
  start(options);
  H2Message* const m = receive(bytes);
  ASSERT_TRUE(m->has_head);
  EXPECT_EQ(m->request.protocol, "websocket");
  EXPECT_EQ(m->request.path, "/chat");

  H2Peer client(Role::kClient);
  H2Peer fresh(Role::kServer, options);
  EXPECT_FALSE(client.codec->peer_allows_connect());
  pump(client, fresh);
  EXPECT_TRUE(client.codec->peer_allows_connect());
}

TEST_F(H2Head, UnderscoresAsConfigured) {
  const std::string bytes = get(1, {{"x_y", "1"}, {"z", "2"}});
  EXPECT_EQ(names(receive(bytes)->request.fields), "x_y=1;z=2;");
  H2Options options;
  options.underscores = H2Options::Underscores::kDrop;
  start(options);
  EXPECT_EQ(names(receive(bytes)->request.fields), "z=2;");
  EXPECT_EQ(server->cells.dropped_headers_with_underscores.get(), 1u);
  options.underscores = H2Options::Underscores::kReject;
  start(options);
  H2Message* const m = receive(bytes);
  EXPECT_FALSE(m->has_head);
  EXPECT_EQ(m->stream.error(), H2Error::kProtocol);
  EXPECT_EQ(server->cells.requests_rejected_with_underscores_in_headers.get(), 1u);
  EXPECT_TRUE(receive(get(3))->has_head);
}

TEST_F(H2Head, TooManyFieldsAreMarkedAndTheConnectionGoesOn) {
  const auto with = [](size_t n, int32_t id) {  // of them four pseudo fields
    Pairs fields;
    for (size_t i = 0; i < n - 4; ++i) fields.emplace_back("x", "1");
    return get(id, fields);
  };
  H2Message* m = receive(with(100, 1));
  EXPECT_TRUE(m->has_head);
  EXPECT_FALSE(m->too_large);
  m = receive(with(101, 3));
  EXPECT_TRUE(m->has_head);
  EXPECT_TRUE(m->too_large);
  EXPECT_TRUE(m->too_many);
  EXPECT_EQ(m->request.path, "/t");
  EXPECT_EQ(server->cells.header_overflow.get(), 1u);
  ASSERT_TRUE(server->respond(*m, 431, true));
  server->produce();
  EXPECT_NE(m->news & H2Stream::kClosed, 0);
  EXPECT_TRUE(receive(get(5))->has_head);
}

TEST_F(H2Head, TooManyBytesToTheByte) {
  H2Options options;
  options.max_head_bytes = 5000;
  for (const int more : {0, 1}) {
    start(options);
    // Four pseudo fields, and one of the rest.
    const size_t used = std::string(":methodGET:schemehttp:authoritya:path/tx").size() + 5 * 32;
    const std::string value(5000 - used + static_cast<size_t>(more), 'v');
    H2Message* const m = receive(get(1, {{"x", value}}));
    EXPECT_TRUE(m->has_head);
    EXPECT_EQ(m->too_large, more == 1);
    EXPECT_FALSE(m->too_many);
  }
}

TEST_F(H2Head, CrumbsAndTableReferencesCountAsOftenAsTheyCome) {
  // 4 KiB once on the wire, then references of one byte.
  std::string fields = request_block("GET", "/");
  fields += literal("cookie", std::string(3900, 'c'), 0x40);
  for (int i = 0; i < 3000; ++i) fields += indexed(62);
  const size_t before = server->slab.bytes_out();
  H2Message* const m = receive(headers(1, true, fields));
  EXPECT_TRUE(m->too_large);
  EXPECT_LE(m->request.fields.size(), 100u);
  EXPECT_LE(server->slab.bytes_out(), before + 64 * 1024);
  // The table is what it was: HPACK was decoded to the end.
  H2Message* const next = receive(headers(3, true, request_block("GET", "/") + indexed(62)));
  ASSERT_TRUE(next->has_head);
  EXPECT_EQ(next->request.fields.value(HeaderId::kCookie).size(), 3900u);
}

TEST_F(H2Head, TrailersBeyondTheLimitResetTheStream) {
  Pairs many(101, {"x", "1"});
  H2Message* const m = receive(post(1) + headers(1, true, block(many)));
  EXPECT_TRUE(m->has_head);
  EXPECT_FALSE(m->has_trailers);
  EXPECT_EQ(m->stream.error(), H2Error::kEnhanceYourCalm);
  EXPECT_THAT(answer_of(server->produce()).resets, ElementsAre(Pair(1, 11u)));
  EXPECT_FALSE(server->failed());
}

TEST_F(H2Head, TableEntriesServeSeveralStreamsAndOutliveTheirEviction) {
  const std::string value(2000, 'v');
  H2Message* const one =
      receive(headers(1, true, request_block("GET", "/1") + literal("x-big", value, 0x40)));
  H2Message* const two = receive(headers(3, true, request_block("GET", "/2") + indexed(62)));
  // Evicts it.
  receive(
      headers(5, true, request_block("GET", "/3") + literal("y", std::string(4000, 'w'), 0x40)));
  for (H2Message* m : {one, two}) {
    ASSERT_TRUE(m->has_head);
    EXPECT_EQ(m->request.fields.find("x-big")->value(), value);
  }
  EXPECT_EQ(one->request.fields.find("x-big")->value_data,
            two->request.fields.find("x-big")->value_data);
  server->destroy(*one);
  EXPECT_EQ(two->request.fields.find("x-big")->value(), value);
  // And outlive the session.
  server->codec.reset();
  EXPECT_EQ(two->request.fields.find("x-big")->value(), value);
  EXPECT_EQ(two->stream.codec(), nullptr);
}

TEST_F(H2Head, AllMemoryComesBack) {
  for (int32_t id = 1; id < 400; id += 2) {
    H2Message* const m = receive(get(id, {{"x-long", std::string(300, 'a')}}));
    ASSERT_TRUE(server->respond(*m, 200, true));
    server->produce();
  }
  server->messages.clear();
  server->codec.reset();
  EXPECT_EQ(server->slab.bytes_out(), 0u);
  EXPECT_EQ(server->cells.streams_active.get(), 0);
  EXPECT_EQ(server->cells.outbound_frames_active.get(), 0);
}

// ---- Sent heads.

class H2SentHead : public testing::Test {
 protected:
  H2Peer client{Role::kClient};
  H2Peer server{Role::kServer};
};

TEST_F(H2SentHead, WhatEndsWithHttp1IsLeftOut) {
  client.request("GET", "/", true,
                 {{"Host", "other"},
                  {"Connection", "x-hop"},
                  {"Keep-Alive", "1"},
                  {"Proxy-Connection", "1"},
                  {"Transfer-Encoding", "chunked"},
                  {"Upgrade", "h2c"},
                  {"HTTP2-Settings", "AA"},
                  {"TE", "gzip"},
                  {"X-Kept", "1"}});
  ASSERT_TRUE(client.sent_ok);
  pump(client, server);
  const H2Message& got = server.last();
  ASSERT_TRUE(got.has_head);
  EXPECT_EQ(got.request.authority, "example.com");
  EXPECT_EQ(got.request.fields.size(), 1u);
  EXPECT_EQ(got.request.fields.begin()->name(), "x-kept");
}

TEST_F(H2SentHead, RemovedFieldsStayBehind) {
  H2Message m(client.blocks);
  m.request.fields.bind(&m.arena);
  m.request.method_text = "GET";
  m.request.path = "/";
  m.request.authority = "a";
  m.request.fields.add("x", "1");
  m.request.fields.add("y", "2");
  m.request.fields.remove("x");
  ASSERT_TRUE(client.codec->send_request(&m.stream, &m.request, true, &m.response, &m.arena));
  pump(client, server);
  EXPECT_EQ(server.last().request.fields.size(), 1u);
  EXPECT_EQ(server.last().request.fields.begin()->name(), "y");
}

TEST_F(H2SentHead, NothingUncleanLeaves) {
  const auto attempt = [this](auto&& change) {
    H2Message m(client.blocks);
    m.request.fields.bind(&m.arena);
    m.request.method_text = "GET";
    m.request.path = "/";
    m.request.authority = "a";
    change(m.request);
    return client.codec->send_request(&m.stream, &m.request, true, &m.response, &m.arena);
  };
  EXPECT_TRUE(attempt([](RequestHead&) {}));
  EXPECT_FALSE(attempt([](RequestHead& h) { h.path = "/a\r\nx: y"; }));
  EXPECT_FALSE(attempt([](RequestHead& h) { h.path = ""; }));
  EXPECT_FALSE(attempt([](RequestHead& h) { h.authority = "a\n"; }));
  EXPECT_FALSE(attempt([](RequestHead& h) { h.method_text = "G T"; }));
  EXPECT_FALSE(attempt([](RequestHead& h) { h.scheme = std::string_view("a\0b", 3); }));
  const auto field = [](std::string_view name, std::string_view value) {
    return [=](RequestHead& h) {
      Field f;
      f.name_data = name.data();
      f.name_size = static_cast<uint16_t>(name.size());
      f.value_data = value.data();
      f.value_size = static_cast<uint32_t>(value.size());
      h.fields.push(f);
    };
  };
  EXPECT_TRUE(attempt(field("x", "y")));
  EXPECT_FALSE(attempt(field("x", "y\nz")));
  EXPECT_FALSE(attempt(field("x y", "z")));
  EXPECT_FALSE(attempt(field("", "z")));
}

TEST_F(H2SentHead, ContentLengthFollowsTheFraming) {
  H2Message& sent = client.request("GET", "/", true);
  pump(client, server);
  H2Message& got = server.last();
  got.response = ResponseHead();
  got.response.status = 200;
  got.response.fields.bind(&got.arena);
  got.response.framing = {Framing::Kind::kLength, 12345};
  ASSERT_TRUE(server.codec->send_response(got.stream, &got.response, false, got.arena));
  pump(client, server);
  EXPECT_EQ(sent.response.fields.value(HeaderId::kContentLength), "12345");
  EXPECT_EQ(sent.response.framing.length, 12345u);

  H2Message& second = client.request("GET", "/", true);
  pump(client, server);
  H2Message& other = server.last();
  other.response = ResponseHead();
  other.response.status = 200;
  other.response.fields.bind(&other.arena);
  other.response.fields.add("content-length", "7");
  other.response.framing.kind = Framing::Kind::kChunked;
  ASSERT_TRUE(server.codec->send_response(other.stream, &other.response, false, other.arena));
  pump(client, server);
  EXPECT_FALSE(second.response.fields.has(HeaderId::kContentLength));
  EXPECT_EQ(second.response.framing.kind, Framing::Kind::kUntilClose);
}

TEST_F(H2SentHead, AnswersToHeadKeepTheirLengthAndHaveNoBody) {
  H2Message& sent = client.request("HEAD", "/", true);
  pump(client, server);
  ASSERT_TRUE(server.respond(server.last(), 200, true, {{"content-length", "42"}}));
  pump(client, server);
  ASSERT_TRUE(sent.has_head);
  EXPECT_TRUE(sent.ended);
  EXPECT_EQ(sent.response.framing.kind, Framing::Kind::kNone);
  EXPECT_EQ(sent.response.fields.value(HeaderId::kContentLength), "42");
  EXPECT_EQ(sent.stream.error(), H2Error::kNone);
}

TEST_F(H2SentHead, HeadsLargerThanAFrameGoInContinuations) {
  H2Options large;
  large.max_head_bytes = 200'000;
  H2Peer a(Role::kClient, large);
  H2Peer b(Role::kServer, large);
  const std::string value(30'000, '\x7e');
  H2Message& m = a.request("GET", "/", true, {{"x", value}, {"y", value}, {"z", value}});
  ASSERT_TRUE(a.sent_ok);
  pump(a, b, 777);
  ASSERT_EQ(b.messages.size(), 1u);
  ASSERT_TRUE(b.last().has_head);
  EXPECT_EQ(b.last().request.fields.find("z")->value(), value);
  EXPECT_EQ(m.stream.head_bytes_sent(),
            std::string(":methodGET:schemehttp:path/:authorityexample.comxyz").size() + 90'000);
}

TEST_F(H2SentHead, TooManyInterimHeadsEndTheStream) {
  H2Message& sent = client.request("GET", "/", true);
  pump(client, server);
  for (int i = 0; i < 17; ++i) server.respond(server.last(), 103, false);
  pump(client, server);
  EXPECT_EQ(sent.interims.size(), 16u);
  EXPECT_EQ(sent.stream.error(), H2Error::kEnhanceYourCalm);
  EXPECT_FALSE(client.failed());
}

TEST_F(H2SentHead, ResponseHeadsBeyondTheLimitEndTheStream) {
  H2Message& sent = client.request("GET", "/", true);
  pump(client, server);
  Pairs many(120, {"x", "1"});
  server.respond(server.last(), 200, true, many);
  pump(client, server);
  EXPECT_FALSE(sent.has_head);
  EXPECT_EQ(sent.stream.error(), H2Error::kEnhanceYourCalm);
  EXPECT_EQ(client.cells.header_overflow.get(), 1u);
}

}  // namespace
}  // namespace sluice::http
