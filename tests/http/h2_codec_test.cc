#include "http/h2_codec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/http/h2_peer.h"

// A client codec and a server codec over memory: messages arrive whole, in any split.

namespace sluice::http {
namespace {

using test::H2Message;
using test::H2Peer;
using test::pump;
using Role = H2Codec::Role;

std::string value_of(const FieldList& fields, std::string_view name) {
  const Field* const f = fields.find(name);
  return f == nullptr ? "(none)" : std::string(f->value());
}

class H2CodecSplit : public testing::TestWithParam<size_t> {
 protected:
  H2Peer client{Role::kClient};
  H2Peer server{Role::kServer};
  void carry() { pump(client, server, GetParam()); }
};

TEST_P(H2CodecSplit, RequestAndResponseWithoutBody) {
  H2Message& sent = client.request("GET", "/a?b=c", true, {{"X-Test", "one"}, {"accept", "*/*"}});
  ASSERT_TRUE(client.sent_ok);
  carry();
  ASSERT_EQ(server.messages.size(), 1u);
  H2Message& got = server.last();
  ASSERT_TRUE(got.has_head);
  EXPECT_TRUE(got.ended);
  EXPECT_EQ(got.request.method, Method::kGet);
  EXPECT_EQ(got.request.method_text, "GET");
  EXPECT_EQ(got.request.path, "/a?b=c");
  EXPECT_EQ(got.request.target, "/a?b=c");
  EXPECT_EQ(got.request.authority, "example.com");
  EXPECT_EQ(got.request.scheme, "http");
  EXPECT_EQ(got.request.version_major, 2);
  EXPECT_EQ(got.request.version_minor, 1);
  EXPECT_EQ(got.request.framing.kind, Framing::Kind::kNone);
  EXPECT_EQ(value_of(got.request.fields, "x-test"), "one");
  EXPECT_EQ(value_of(got.request.fields, "accept"), "*/*");
  EXPECT_FALSE(got.request.fields.begin()->line());

  ASSERT_TRUE(server.respond(got, 204, true, {{"x-answer", "yes"}}));
  carry();
  EXPECT_TRUE(sent.has_head);
  EXPECT_TRUE(sent.ended);
  EXPECT_EQ(sent.response.status, 204);
  EXPECT_EQ(value_of(sent.response.fields, "x-answer"), "yes");
  for (const H2Message* m : {&sent, &got}) {
    EXPECT_EQ(m->news & (H2Stream::kClosed | H2Stream::kSentEnd),
              H2Stream::kClosed | H2Stream::kSentEnd);
    EXPECT_EQ(m->stream.error(), H2Error::kNone);
    EXPECT_EQ(m->stream.codec(), nullptr);
  }
  EXPECT_EQ(server.codec->num_streams(), 0u);
}

TEST_P(H2CodecSplit, BodiesAndTrailersBothWays) {
  std::string up(200'000, 'u');
  std::string down(300'000, 'd');
  for (size_t i = 0; i < up.size(); ++i) up[i] = static_cast<char>('a' + i % 23);
  for (size_t i = 0; i < down.size(); ++i) down[i] = static_cast<char>('a' + i % 19);
  H2Message& sent = client.request("POST", "/", false, {{"te", "trailers"}});
  client.send_text(sent, up);
  client.send_trailers(sent, {{"x-sum", "1"}, {"content-length", "9"}});
  carry();
  H2Message& got = server.last();
  EXPECT_EQ(got.request.framing.kind, Framing::Kind::kChunked);
  EXPECT_TRUE(got.request.te_trailers);
  EXPECT_EQ(got.body, up);
  ASSERT_TRUE(got.has_trailers);
  EXPECT_TRUE(got.ended);
  EXPECT_EQ(value_of(got.stream.trailers(), "x-sum"), "1");
  EXPECT_EQ(got.stream.trailers().size(), 1u);

  ASSERT_TRUE(server.respond(got, 200, false, {{"content-length", std::to_string(down.size())}}));
  server.send_text(got, down);
  server.codec->send_end(got.stream, nullptr);
  carry();
  EXPECT_EQ(sent.response.framing.kind, Framing::Kind::kLength);
  EXPECT_EQ(sent.response.framing.length, down.size());
  EXPECT_EQ(sent.body, down);
  EXPECT_TRUE(sent.ended);
  EXPECT_FALSE(sent.has_trailers);
  EXPECT_NE(sent.news & H2Stream::kClosed, 0);
  EXPECT_EQ(sent.stream.error(), H2Error::kNone);
}

TEST_P(H2CodecSplit, InterimHeadsComeBeforeTheHead) {
  H2Message& sent = client.request("GET", "/", true);
  carry();
  H2Message& got = server.last();
  ASSERT_TRUE(server.respond(got, 103, false, {{"link", "</a>"}}));
  ASSERT_TRUE(server.respond(got, 103, false, {{"link", "</b>"}}));
  carry();
  EXPECT_THAT(sent.interims, testing::ElementsAre(103, 103));
  EXPECT_EQ(value_of(sent.response.fields, "link"), "</b>");
  EXPECT_FALSE(sent.has_head);
  ASSERT_TRUE(server.respond(got, 200, true));
  carry();
  EXPECT_TRUE(sent.has_head);
  EXPECT_EQ(sent.response.status, 200);
  EXPECT_EQ(sent.response.fields.size(), 0u);
}

INSTANTIATE_TEST_SUITE_P(Pieces, H2CodecSplit,
                         testing::Values(size_t{1}, size_t{2}, size_t{8}, size_t{9}, size_t{10},
                                         size_t{1000}, size_t{16'393}, size_t{1} << 40));

}  // namespace
}  // namespace sluice::http
