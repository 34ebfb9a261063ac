#include "net/stream.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <memory>
#include <string>

#include "tests/net/peer.h"

namespace sluice::net {
namespace {

static_assert(sizeof(Stream) <= 200, "an idle connection pays for this");

// The sender's only: a small window on loopback makes TCP wait for its probe timers.
void shrink_send_buffer(Stream& stream) {
  const int bytes = 4096;
  setsockopt(stream.fd(), SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
}

// The same body over every kind of socket.
class StreamTest : public testing::TestWithParam<Path> {
 protected:
  void SetUp() override {
    if (!pair_.ok) GTEST_SKIP() << "no such sockets on this machine";
  }
  bool until(bool (*done)(Pair&)) {
    return run_until(pair_.loop, [&] { return done(pair_); });
  }
  Pair pair_{GetParam()};
  Peer& left_ = pair_.left;
  Peer& right_ = pair_.right;
  Loop& loop_ = pair_.loop;
};

TEST_P(StreamTest, BytesArriveInBothDirections) {
  left_.stream.write("to the right");
  right_.stream.write("to the left");
  ASSERT_TRUE(until([](Pair& p) { return p.right.received == "to the right"; }));
  ASSERT_TRUE(until([](Pair& p) { return p.left.received == "to the left"; }));
  EXPECT_EQ(left_.stream.bytes_sent(), 12u);
  EXPECT_EQ(left_.stream.bytes_received(), 11u);
}

TEST_P(StreamTest, NoReadThatIsKnownToFindNothing) {
  for (int i = 0; i < 100; ++i) {
    left_.stream.write("ping");
    const size_t size = left_.received.size() + 4;
    ASSERT_TRUE(run_until(loop_, [&] {
      if (right_.received.size() > left_.received.size()) {
        right_.stream.write("pong");
        right_.received.clear();
      }
      return left_.received.size() == size || right_.stream.buffered() > 0;
    }));
    ASSERT_TRUE(run_until(loop_, [&] { return left_.received.size() >= 4; }));
    left_.received.clear();
  }
  EXPECT_EQ(loop_.counters().empty_receives, 0u);
  EXPECT_EQ(loop_.counters().receives, 200u);
  EXPECT_EQ(loop_.counters().sends, 200u);
}

TEST_P(StreamTest, OneGatheredWritePerTurn) {
  std::string expected;
  static const std::string kPieces[] = {"alpha", "beta", "gamma", "delta"};
  for (int i = 0; i < 40; ++i) {
    left_.stream.write(kPieces[i % 4]);
    expected += kPieces[i % 4];
  }
  const uint64_t before = loop_.counters().sends;
  ASSERT_TRUE(run_until(loop_, [&] { return right_.received == expected; }));
  EXPECT_EQ(loop_.counters().sends - before, 1u);
}

TEST_P(StreamTest, MoreViewsThanOneWriteTakesKeepTheirOrder) {
  const std::string text = pattern(3000);
  for (size_t i = 0; i < text.size(); i += 2) {  // every other byte apart: no two views touch
    left_.stream.write(std::string_view(text).substr(i, 1));
  }
  std::string expected;
  for (size_t i = 0; i < text.size(); i += 2) expected.push_back(text[i]);
  const uint64_t before = loop_.counters().sends;
  ASSERT_TRUE(run_until(loop_, [&] { return right_.received.size() >= expected.size(); }));
  EXPECT_EQ(right_.received, expected);
  EXPECT_LE(loop_.counters().sends - before, (1500 + 63) / 64 + 2u);
}

TEST_P(StreamTest, MegabytesThroughATinyBuffer) {
  shrink_send_buffer(left_.stream);
  const std::string text = pattern(2 << 20);
  left_.stream.write(text);
  EXPECT_TRUE(left_.stream.congested());
  left_.stream.want_flushed();
  ASSERT_TRUE(run_until(loop_, [&] { return right_.received.size() >= text.size(); }))
      << right_.received.size() << " bytes came, " << left_.stream.buffered() << " wait, "
      << loop_.counters().full_sends << " short writes";
  EXPECT_EQ(right_.received, text);
  EXPECT_GT(loop_.counters().full_sends, 0u);
  ASSERT_TRUE(run_until(loop_, [&] { return left_.saw(kFlushed | kDrained); }));
  EXPECT_FALSE(left_.stream.congested());
  EXPECT_EQ(left_.num_seen[2], 1) << "kDrained comes once";
  EXPECT_EQ(left_.num_seen[3], 1) << "kFlushed comes once";
  EXPECT_EQ(left_.stream.buffered(), 0u);
}

TEST_P(StreamTest, OneByteAtATime) {
  const std::string text = pattern(300);
  right_.max_read = 1;
  for (size_t i = 0; i < text.size(); ++i) {
    left_.stream.write(std::string_view(text).substr(i, 1));
    loop_.poll_once();
  }
  ASSERT_TRUE(run_until(loop_, [&] { return right_.received.size() >= text.size(); }));
  EXPECT_EQ(right_.received, text);
}

TEST_P(StreamTest, HalfClosedStreamStillReceives) {
  left_.stream.write("request");
  left_.stream.shutdown_write();
  ASSERT_TRUE(until([](Pair& p) { return p.right.eof; }));
  EXPECT_EQ(right_.received, "request");
  EXPECT_TRUE(right_.saw(kPeerClosed));
  EXPECT_FALSE(right_.stream.hung_up());
  right_.stream.write("response");
  ASSERT_TRUE(until([](Pair& p) { return p.left.received == "response"; }));
  right_.stream.close_now();
  ASSERT_TRUE(until([](Pair& p) { return p.left.eof; }));
  EXPECT_FALSE(left_.fault);
}

TEST_P(StreamTest, EndComesAfterTheBytesEvenIfTheOwnerWasPaused) {
  right_.reading = false;
  left_.stream.write("last words");
  ASSERT_TRUE(until([](Pair& p) { return p.right.saw(kReadable); }));
  left_.stream.close_now();
  ASSERT_TRUE(until([](Pair& p) { return p.right.saw(kPeerClosed); }));
  EXPECT_TRUE(right_.stream.readable());
  right_.reading = true;
  right_.stream.read_again();
  ASSERT_TRUE(until([](Pair& p) { return p.right.eof; }));
  EXPECT_EQ(right_.received, "last words");
  EXPECT_TRUE(right_.stream.saw_eof());
}

TEST_P(StreamTest, PausedOwnerHearsNothingTwice) {
  right_.reading = false;
  left_.stream.write("one");
  ASSERT_TRUE(until([](Pair& p) { return p.right.saw(kReadable); }));
  for (int i = 0; i < 5; ++i) loop_.poll_once();
  EXPECT_EQ(right_.num_calls, 1);
}

TEST_P(StreamTest, ReadOfAnEmptySocketMakesNoSystemCall) {
  base::BlockRef block = base::BlockRef::adopt(pair_.pool.get_small());
  const uint64_t before = loop_.counters().receives;
  const Stream::Read read = right_.stream.read_some(*block.get());
  EXPECT_EQ(read.bytes, 0u);
  EXPECT_TRUE(read.drained);
  EXPECT_FALSE(read.eof);
  EXPECT_EQ(loop_.counters().receives, before);
}

TEST_P(StreamTest, WritingToAPeerThatIsGoneBreaks) {
  right_.stream.close_now();
  ASSERT_TRUE(run_until(loop_, [&] {
    left_.stream.write("anybody there?");
    return left_.saw(kBroken) || left_.fault;
  }));
  EXPECT_EQ(left_.stream.fault().kind, base::Fault::Kind::kReset);
  EXPECT_FALSE(left_.stream.fault().replay_safe);
  EXPECT_NE(left_.stream.error(), 0);
}

TEST_P(StreamTest, StreamCanBeAttachedAgainAfterItWasClosed) {
  left_.stream.write("first");
  ASSERT_TRUE(until([](Pair& p) { return p.right.received == "first"; }));
  left_.stream.close_now();
  right_.stream.close_now();
  EXPECT_FALSE(left_.stream.is_open());
  int fds[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
  ASSERT_TRUE(left_.stream.attach(loop_, fds[0]));
  ASSERT_TRUE(right_.stream.attach(loop_, fds[1]));
  EXPECT_EQ(left_.stream.bytes_sent(), 0u);
  left_.stream.write(" second");
  ASSERT_TRUE(until([](Pair& p) { return p.right.received == "first second"; }));
}

TEST_P(StreamTest, FlushWritesAtOnceAndTellsLater) {
  left_.stream.set_marks(0, 4);
  left_.stream.write("now");
  left_.stream.write(", please");
  left_.stream.want_flushed();
  ASSERT_TRUE(left_.stream.congested());
  ASSERT_TRUE(left_.stream.flush());
  EXPECT_EQ(left_.stream.buffered(), 0u);
  EXPECT_EQ(left_.seen & (kDrained | kFlushed), 0);
  loop_.poll_once();
  EXPECT_TRUE(left_.saw(kDrained | kFlushed));
  EXPECT_EQ(loop_.counters().sends, 1u);
}

TEST_P(StreamTest, AddressesAreThoseOfTheOtherEnd) {
  if (GetParam() == Path::kSocketPair) GTEST_SKIP() << "has none";
  EXPECT_EQ(left_.stream.peer(), right_.stream.local());
  EXPECT_EQ(left_.stream.local(), right_.stream.peer());
}

TEST_P(StreamTest, ReleasedDescriptorIsForgottenByTheLoop) {
  const int fd = right_.stream.release_fd();
  ASSERT_GE(fd, 0);
  left_.stream.write("for nobody");
  for (int i = 0; i < 5; ++i) loop_.poll_once();
  EXPECT_EQ(right_.num_calls, 0);
  ASSERT_TRUE(right_.stream.attach(loop_, fd));
  ASSERT_TRUE(until([](Pair& p) { return p.right.received == "for nobody"; }));
}

INSTANTIATE_TEST_SUITE_P(Paths, StreamTest,
                         testing::Values(Path::kSocketPair, Path::kTcp4, Path::kTcp6, Path::kUnix),
                         [](const auto& path) { return path_name(path.param); });

// --- what only TCP does ---

TEST(Stream, ResetIsAFaultAfterTheBytesThatCameBefore) {
  Pair pair(Path::kTcp4);
  ASSERT_TRUE(pair.ok);
  pair.left.stream.write("half a mess");
  ASSERT_TRUE(run_until(pair.loop, [&] { return pair.right.received == "half a mess"; }));
  pair.left.stream.reset();
  ASSERT_TRUE(run_until(pair.loop, [&] { return bool{pair.right.fault}; }));
  EXPECT_EQ(pair.right.fault.kind, base::Fault::Kind::kReset);
  EXPECT_EQ(pair.right.fault.side, base::Fault::Side::kClient);
  EXPECT_EQ(pair.right.stream.error(), ECONNRESET);
  EXPECT_TRUE(pair.right.stream.hung_up());
  EXPECT_FALSE(pair.right.eof);
}

// The peer answers and closes without having read all that it was sent, so that its answer is
// followed by a reset, and our write meets the reset before epoll told of either.
TEST(Stream, WhatCameBeforeAWriteBrokeCanStillBeRead) {
  for (const bool at_once : {false, true}) {
    SCOPED_TRACE(at_once);
    Pair pair(Path::kTcp4);
    ASSERT_TRUE(pair.ok);
    pair.left.reading = false;
    pair.right.stream.write("request, never read");
    ASSERT_TRUE(run_until(pair.loop, [&] { return pair.left.stream.readable(); }));
    struct Between {  // the sockets were asked, nothing is written yet
      void run() noexcept {
        EXPECT_EQ(::send(pair.left.stream.fd(), "answer", 6, 0), 6);
        pair.left.stream.close_now();
        pair.right.stream.write("more of the request");
        if (at_once) pair.right.stream.flush();
      }
      Pair& pair;
      bool at_once;
    } between{pair, at_once};
    Call call = Call::of<&Between::run>(&between);
    pair.loop.again(call);
    ASSERT_TRUE(run_until(pair.loop, [&] { return bool{pair.right.fault}; }));
    EXPECT_EQ(pair.right.received, "answer");
    EXPECT_FALSE(pair.right.eof) << "a reset taken for an orderly end";
    EXPECT_EQ(pair.right.fault.kind, base::Fault::Kind::kReset);
  }
}

// An owner that does not read (it waits for its other side) still hears that the peer is gone.
TEST(Stream, PausedOwnerHearsOfAReset) {
  Pair pair(Path::kTcp4);
  ASSERT_TRUE(pair.ok);
  pair.right.reading = false;
  pair.left.stream.reset();
  ASSERT_TRUE(run_until(pair.loop, [&] { return pair.right.saw(kPeerClosed); }));
  EXPECT_TRUE(pair.right.stream.hung_up());
}

class CloseAfterFlush : public testing::TestWithParam<Path> {};

// The client still sends when the server answers and closes: the whole answer must arrive, no RST
// may eat it.
TEST_P(CloseAfterFlush, ResponseSurvivesUnreadRequestBytes) {
  Pair pair(GetParam());
  if (!pair.ok) GTEST_SKIP();
  const std::string answer = pattern(300'000);
  pair.right.reading = false;
  const std::string question = pattern(200'000);
  pair.left.stream.write(question);
  ASSERT_TRUE(run_until(pair.loop, [&] { return pair.right.saw(kReadable); }));
  pair.right.stream.write(answer);
  pair.right.stream.close_after_flush(Linger::kYes);
  EXPECT_FALSE(pair.right.stream.is_open());
  ASSERT_TRUE(run_until(pair.loop, [&] { return pair.left.eof || pair.left.fault; }));
  EXPECT_EQ(pair.left.received, answer);
  EXPECT_FALSE(pair.left.fault);
  const uint64_t closes = pair.loop.counters().closes;
  pair.left.stream.close_now();
  ASSERT_TRUE(run_until(pair.loop, [&] { return pair.loop.counters().closes == closes + 2; }));
  EXPECT_EQ(pair.right.num_seen[0] + pair.right.num_seen[3] + pair.right.num_seen[5], 0);
}

TEST_P(CloseAfterFlush, PeerThatStaysIsClosedWhenPatienceEnds) {
  Pair pair(GetParam(), {.clock = base::Clock::Kind::kManual});
  if (!pair.ok) GTEST_SKIP();
  pair.right.stream.write("bye");
  pair.right.stream.close_after_flush(Linger::kYes, base::kNsPerSec);
  ASSERT_TRUE(run_until(pair.loop, [&] { return pair.left.eof; }));
  EXPECT_EQ(pair.left.received, "bye");
  for (int i = 0; i < 3; ++i) pair.loop.poll_once();
  EXPECT_EQ(pair.loop.counters().closes, 0u);
  pair.loop.clock().advance(base::kNsPerSec + 2 * TimerWheel::kTickNs);
  pair.loop.poll_once();
  EXPECT_EQ(pair.loop.counters().closes, 1u);
}

TEST_P(CloseAfterFlush, PeerThatTakesNothingIsClosedWhenPatienceEnds) {
  Pair pair(GetParam(), {.clock = base::Clock::Kind::kManual});
  if (!pair.ok) GTEST_SKIP();
  pair.left.reading = false;
  shrink_send_buffer(pair.right.stream);
  const std::string much = pattern(4 << 20);
  pair.right.stream.write(much);
  pair.right.stream.close_after_flush(Linger::kNo, base::kNsPerSec);
  for (int i = 0; i < 5; ++i) pair.loop.wait_once(base::kNsPerMs);
  EXPECT_EQ(pair.loop.counters().closes, 0u);
  for (int i = 0; i < 3; ++i) {
    pair.loop.clock().advance(base::kNsPerSec + 2 * TimerWheel::kTickNs);
    pair.loop.poll_once();
  }
  EXPECT_EQ(pair.loop.counters().closes, 1u);
}

// The owner and all that it lent may die at once.
TEST_P(CloseAfterFlush, WaitingBytesOutliveTheirOwner) {
  Pair pair(GetParam());
  if (!pair.ok) GTEST_SKIP();
  shrink_send_buffer(pair.right.stream);
  auto borrowed = std::make_unique<std::string>(pattern(150'000));
  const std::string expected = *borrowed + "static" + *borrowed;
  pair.right.stream.write(*borrowed);
  pair.right.stream.write("static");
  pair.right.stream.write(std::string_view(*borrowed));
  pair.right.stream.close_after_flush(Linger::kYes);
  borrowed->assign(borrowed->size(), 'x');
  borrowed.reset();
  ASSERT_TRUE(run_until(pair.loop, [&] { return pair.left.eof || pair.left.fault; }));
  EXPECT_EQ(pair.left.received, expected);
}

TEST_P(CloseAfterFlush, WithoutLingerItClosesInTheSameCall) {
  Pair pair(GetParam());
  if (!pair.ok) GTEST_SKIP();
  pair.right.stream.write("done");
  const uint64_t controls = pair.loop.counters().controls;
  pair.right.stream.close_after_flush(Linger::kNo);
  EXPECT_EQ(pair.loop.counters().closes, 1u);
  EXPECT_EQ(pair.loop.counters().controls, controls);
  ASSERT_TRUE(run_until(pair.loop, [&] { return pair.left.eof; }));
  EXPECT_EQ(pair.left.received, "done");
}

INSTANTIATE_TEST_SUITE_P(Paths, CloseAfterFlush,
                         testing::Values(Path::kSocketPair, Path::kTcp4, Path::kTcp6, Path::kUnix),
                         [](const auto& path) { return path_name(path.param); });

TEST(Stream, LoopThatDiesClosesLingeringSockets) {
  int fds[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
  {
    base::BlockPool pool;
    Loop loop;
    Stream stream;
    ASSERT_TRUE(stream.attach(loop, fds[0]));
    stream.close_after_flush(Linger::kYes);
    EXPECT_EQ(loop.counters().closes, 0u);
  }
  char byte;
  EXPECT_EQ(::recv(fds[1], &byte, 1, 0), 0);
  ::close(fds[1]);
}

// --- owners that act inside the call ---

struct Closer {
  void on_stream(uint8_t) noexcept {
    ++num_calls;
    for (auto* victim : victims) victim->reset();
  }
  std::vector<std::unique_ptr<Stream>*> victims;
  int num_calls = 0;
};

TEST(Stream, OwnerMayDestroyAnyStreamInsideTheCall) {
  Loop loop;
  int fds[2][2];
  for (auto& two : fds) {
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, two), 0);
    ASSERT_EQ(::send(two[1], "x", 1, 0), 1);
  }
  // Both are ready in the same batch; whichever is called first destroys both.
  auto first = std::make_unique<Stream>();
  auto second = std::make_unique<Stream>();
  Closer closer{{&first, &second}};
  first->set_owner<&Closer::on_stream>(&closer);
  second->set_owner<&Closer::on_stream>(&closer);
  ASSERT_TRUE(first->attach(loop, fds[0][0]));
  ASSERT_TRUE(second->attach(loop, fds[1][0]));
  first->write("never sent");
  for (int i = 0; i < 3; ++i) loop.poll_once();
  EXPECT_EQ(closer.num_calls, 1);
  ::close(fds[0][1]);
  ::close(fds[1][1]);
}

TEST(Stream, OwnerMayDestroyTheStreamWhenAWriteBreaks) {
  Loop loop;
  int fds[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
  auto stream = std::make_unique<Stream>();
  Closer closer{{&stream}};
  stream->set_owner<&Closer::on_stream>(&closer);
  ASSERT_TRUE(stream->attach(loop, fds[0]));
  ::close(fds[1]);
  stream->write("too late");
  for (int i = 0; i < 3; ++i) loop.poll_once();
  EXPECT_EQ(closer.num_calls, 1);
  EXPECT_EQ(stream, nullptr);
}

// A relay whose both sides always have something must not keep a third connection waiting.
TEST(Stream, EndlessFlushesLeaveOthersTheirTurns) {
  base::BlockPool pool;
  Loop loop;
  struct Refiller {
    Stream stream;
    void on_stream(uint8_t events) noexcept {
      if ((events & kFlushed) == 0) return;
      stream.write("again and again");
      stream.want_flushed();
    }
  } refiller;
  refiller.stream.set_owner<&Refiller::on_stream>(&refiller);
  int fds[2][2];
  for (auto& two : fds) {
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, two), 0);
  }
  ASSERT_TRUE(refiller.stream.attach(loop, fds[0][0]));
  Peer other(pool);
  ASSERT_TRUE(other.stream.attach(loop, fds[1][0]));
  refiller.on_stream(kFlushed);
  ASSERT_EQ(::send(fds[1][1], "hello", 5, 0), 5);
  for (int i = 0; i < 3; ++i) loop.poll_once();
  EXPECT_EQ(other.received, "hello");
  ::close(fds[0][1]);
  ::close(fds[1][1]);
}

// --- connecting ---

TEST(StreamConnect, WhatIsWrittenBeforeTheConnectionStandsArrives) {
  for (const Path path : {Path::kTcp4, Path::kTcp6, Path::kUnix}) {
    SCOPED_TRACE(path_name(path));
    Pair pair(Path::kSocketPair);
    auto sockets = listen_for_workers(listen_address(path), 1);
    if (!sockets.ok()) continue;
    Acceptor acceptor(pair.loop, std::move((*sockets)[0]), &Pair::on_accept, &pair);
    Peer client(pair.pool);
    ASSERT_TRUE(client.stream.connect(pair.loop, acceptor.local()));
    EXPECT_FALSE(client.stream.connected());
    EXPECT_FALSE(client.saw(kConnected)) << "never from inside connect()";
    client.stream.write("early");
    client.stream.shutdown_write();
    ASSERT_TRUE(run_until(pair.loop, [&] { return pair.right.eof; }));
    EXPECT_EQ(pair.right.received, "early");
    EXPECT_TRUE(client.stream.connected());
    EXPECT_EQ(client.num_seen[0], 1);
  }
}

// A port that was free a moment ago, and on which nobody listens.
base::Address dead_end() {
  auto sockets = listen_for_workers(listen_address(Path::kTcp4), 1);
  return (*sockets)[0].local();
}

TEST(StreamConnect, RefusalIsSafeToReplayAndKeepsErrno) {
  base::BlockPool pool;
  Loop loop;
  Peer client(pool);
  ASSERT_TRUE(client.stream.connect(loop, dead_end()));
  client.stream.write("never sent");
  ASSERT_TRUE(run_until(loop, [&] { return client.saw(kBroken); }));
  EXPECT_FALSE(client.saw(kConnected));
  EXPECT_EQ(client.stream.fault().kind, base::Fault::Kind::kRefused);
  EXPECT_EQ(client.stream.fault().side, base::Fault::Side::kBackend);
  EXPECT_TRUE(client.stream.fault().replay_safe);
  EXPECT_EQ(client.stream.error(), ECONNREFUSED);
  EXPECT_EQ(client.stream.buffered(), 0u);
}

TEST(StreamConnect, FailsAtOnceWhereThereIsNoSuchSocket) {
  base::BlockPool pool;
  Loop loop;
  Peer client(pool);
  EXPECT_FALSE(client.stream.connect(loop, *base::Address::unix_path("/nowhere/at/all.sock")));
  EXPECT_EQ(client.stream.error(), ENOENT);
  EXPECT_EQ(client.stream.fault().kind, base::Fault::Kind::kUnreachable);
  EXPECT_TRUE(client.stream.fault().replay_safe);
  EXPECT_FALSE(client.stream.is_open());
  loop.poll_once();
  EXPECT_EQ(client.num_calls, 0);
}

TEST(StreamConnect, FullQueueOfAUnixSocketIsARefusal) {
  Pair pair;
  auto sockets = listen_for_workers(listen_address(Path::kUnix), 1, {.backlog = 1});
  ASSERT_TRUE(sockets.ok());
  std::vector<std::unique_ptr<Peer>> clients;
  bool failed = false;
  for (int i = 0; i < 100 && !failed; ++i) {
    clients.push_back(std::make_unique<Peer>(pair.pool));
    failed = !clients.back()->stream.connect(pair.loop, (*sockets)[0].local());
  }
  ASSERT_TRUE(failed);
  EXPECT_EQ(clients.back()->stream.fault().kind, base::Fault::Kind::kRefused);
}

TEST(StreamConnect, BindsToTheSourceAddress) {
  Pair pair;
  auto sockets = listen_for_workers(listen_address(Path::kTcp4), 1);
  ASSERT_TRUE(sockets.ok());
  Acceptor acceptor(pair.loop, std::move((*sockets)[0]), &Pair::on_accept, &pair);
  Peer client(pair.pool);
  const base::Address source = *base::Address::ip("127.0.0.9", 0);
  ASSERT_TRUE(client.stream.connect(pair.loop, acceptor.local(), {.bind = &source}));
  ASSERT_TRUE(run_until(pair.loop, [&] { return client.saw(kConnected); }));
  EXPECT_EQ(client.stream.local().ip(), source.ip());
}

TEST(StreamConnect, ForeignSourceAddressFailsAtOnce) {
  base::BlockPool pool;
  Loop loop;
  Peer client(pool);
  const base::Address source = *base::Address::ip("192.0.2.1", 0);
  EXPECT_FALSE(client.stream.connect(loop, dead_end(), {.bind = &source}));
  EXPECT_EQ(client.stream.error(), EADDRNOTAVAIL);
}

TEST(StreamConnect, AbandonedAttemptIsSilent) {
  base::BlockPool pool;
  Loop loop;
  Peer client(pool);
  ASSERT_TRUE(client.stream.connect(loop, dead_end()));
  client.stream.close_now();
  for (int i = 0; i < 3; ++i) loop.poll_once();
  EXPECT_EQ(client.num_calls, 0);
}

}  // namespace
}  // namespace sluice::net
