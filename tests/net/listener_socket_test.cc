#include "net/listener_socket.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include "tests/net/peer.h"

namespace sluice::net {
namespace {

using base::Address;
using testing::Test;

// A blocking client; closed by its destructor.
class Client {
 public:
  explicit Client(const Address& to) {
    fd_ = ::socket(to.socket_domain(), SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_storage storage;
    const socklen_t length = to.to_sockaddr(&storage);
    ok_ = ::connect(fd_, reinterpret_cast<sockaddr*>(&storage), length) == 0;
  }
  Client(Client&& o) noexcept : fd_(std::exchange(o.fd_, -1)), ok_(o.ok_) {}
  ~Client() {
    if (fd_ >= 0) ::close(fd_);
  }
  bool ok() const { return ok_; }
  // The server closed or reset.
  bool closed() const {
    char byte;
    return ::recv(fd_, &byte, 1, MSG_DONTWAIT) == 0 || errno == ECONNRESET;
  }

 private:
  int fd_;
  bool ok_;
};

struct Accepted {
  ~Accepted() { drop(); }
  void drop() {
    for (const int fd : fds) ::close(fd);
    fds.clear();
  }
  static void on_accept(void* self, int fd, const sockaddr_storage& peer,
                        socklen_t length) noexcept {
    auto* accepted = static_cast<Accepted*>(self);
    accepted->fds.push_back(fd);
    accepted->last_peer = Address::from_sockaddr(peer, length);
  }
  std::vector<int> fds;
  Address last_peer;
};

class TempDir {
 public:
  TempDir() {
    char name[] = "/tmp/sluice-test-XXXXXX";
    path_ = ::mkdtemp(name);
  }
  ~TempDir() { std::filesystem::remove_all(path_); }
  std::string operator/(const char* name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

const Address kAnyPort = *Address::ip("127.0.0.1", 0);

TEST(ListenForWorkers, PortZeroGivesAllWorkersTheSamePort) {
  auto sockets = listen_for_workers(kAnyPort, 4);
  ASSERT_TRUE(sockets.ok()) << sockets.status();
  ASSERT_EQ(sockets->size(), 4u);
  const Address first = (*sockets)[0].local();
  EXPECT_NE(first.port(), 0);
  for (const ListenSocket& socket : *sockets) EXPECT_EQ(socket.local(), first);
}

TEST(ListenForWorkers, ConnectionsSpreadOverAllWorkersAndNoneIsLost) {
  auto sockets = listen_for_workers(kAnyPort, 3);
  ASSERT_TRUE(sockets.ok());
  const Address where = (*sockets)[0].local();
  std::vector<std::unique_ptr<Loop>> loops;
  std::vector<std::unique_ptr<Acceptor>> acceptors;
  Accepted accepted[3];
  for (size_t i = 0; i < 3; ++i) {
    loops.push_back(std::make_unique<Loop>());
    acceptors.push_back(std::make_unique<Acceptor>(*loops[i], std::move((*sockets)[i]),
                                                   &Accepted::on_accept, &accepted[i]));
  }
  std::vector<Client> clients;
  for (int i = 0; i < 150; ++i) clients.emplace_back(where);
  EXPECT_TRUE(run_until(*loops[0], [&] {
    for (size_t i = 1; i < 3; ++i) loops[i]->poll_once();
    return accepted[0].fds.size() + accepted[1].fds.size() + accepted[2].fds.size() == 150;
  }));
  for (const Accepted& of_worker : accepted) EXPECT_GT(of_worker.fds.size(), 10u);
}

TEST(ListenForWorkers, SharedSocketIsOneQueueForAll) {
  auto sockets = listen_for_workers(kAnyPort, 2, {.reuse_port = false});
  ASSERT_TRUE(sockets.ok());
  EXPECT_NE((*sockets)[0].fd(), (*sockets)[1].fd());
  Client client((*sockets)[0].local());
  // Nobody accepts from the first: the second one gets it.
  Loop loop;
  Accepted accepted;
  Acceptor acceptor(loop, std::move((*sockets)[1]), &Accepted::on_accept, &accepted);
  EXPECT_TRUE(run_until(loop, [&] { return accepted.fds.size() == 1; }));
  EXPECT_EQ(accepted.last_peer.ip(), kAnyPort.ip());
}

TEST(ListenForWorkers, TakenPortIsRefusedByName) {
  auto taken = listen_for_workers(kAnyPort, 1, {.reuse_port = false});
  ASSERT_TRUE(taken.ok());
  const Address where = (*taken)[0].local();
  auto second = listen_for_workers(where, 2);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.status().message(), "cannot bind " + where.to_string() +
                                           ": Address already in use; stop who listens there or "
                                           "choose another port");
}

TEST(ListenForWorkers, ExclusiveRefusesWhereAnotherOfItsKindListens) {
  auto first = listen_for_workers(kAnyPort, 2);
  ASSERT_TRUE(first.ok());
  const Address where = (*first)[0].local();
  EXPECT_TRUE(listen_for_workers(where, 1).ok()) << "SO_REUSEPORT shares";
  EXPECT_FALSE(listen_for_workers(where, 1, {.exclusive = true}).ok());
  first->clear();
  EXPECT_TRUE(listen_for_workers(where, 2, {.exclusive = true}).ok());
}

TEST(ListenForWorkers, ForeignAddressIsRefusedByName) {
  auto sockets = listen_for_workers(*Address::ip("192.0.2.1", 8080), 1);
  ASSERT_FALSE(sockets.ok());
  EXPECT_EQ(sockets.status().message(),
            "cannot bind 192.0.2.1:8080: Cannot assign requested address; use an address of this "
            "machine, or freebind if it will come later");
  EXPECT_TRUE(listen_for_workers(*Address::ip("192.0.2.1", 8080), 1, {.freebind = true}).ok());
}

// In a child without privileges; exit code 0: as expected.
int bind_port_80_as_nobody() {
  if (::setuid(65534) != 0) return 2;
  auto sockets = listen_for_workers(*Address::ip("127.0.0.1", 80), 1);
  if (sockets.ok()) return 3;
  return sockets.status().message() ==
                 "cannot bind 127.0.0.1:80: Permission denied; use a port from 1024 up or give the "
                 "process CAP_NET_BIND_SERVICE"
             ? 0
             : 4;
}

TEST(ListenForWorkers, PrivilegedPortIsRefusedWithTheRemedy) {
  int first_free = 1024;
  std::ifstream("/proc/sys/net/ipv4/ip_unprivileged_port_start") >> first_free;
  if (first_free <= 80) GTEST_SKIP() << "every user may bind port 80 here";
  if (::getuid() != 0) GTEST_SKIP() << "needs root to become nobody";
  EXPECT_EXIT(std::_Exit(bind_port_80_as_nobody()), testing::ExitedWithCode(0), "");
}

TEST(ListenForWorkers, UnixSocketHasItsModeAndSharesItsQueue) {
  TempDir dir;
  const Address where = *Address::unix_path(dir / "in.sock");
  auto sockets = listen_for_workers(where, 2, {.unix_mode = 0620});
  ASSERT_TRUE(sockets.ok()) << sockets.status();
  struct stat status;
  ASSERT_EQ(::stat(where.path().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0620u);
  EXPECT_EQ((*sockets)[1].local(), where);
  EXPECT_TRUE(Client(where).ok());
}

TEST(ListenForWorkers, StaleUnixSocketIsReplacedALiveOneIsNot) {
  TempDir dir;
  const Address where = *Address::unix_path(dir / "in.sock");
  {
    auto first = listen_for_workers(where, 1);
    ASSERT_TRUE(first.ok());
    auto second = listen_for_workers(where, 1);
    ASSERT_FALSE(second.ok());
    EXPECT_EQ(second.status().message(), "cannot bind " + where.path() +
                                             ": Address already in use; stop who listens there or "
                                             "choose another path");
    EXPECT_TRUE(Client(where).ok());
  }
  EXPECT_TRUE(std::filesystem::exists(where.path()));
  EXPECT_TRUE(listen_for_workers(where, 1).ok());
}

TEST(ListenForWorkers, FileThatIsNoSocketIsLeftAlone) {
  TempDir dir;
  const Address where = *Address::unix_path(dir / "notes.txt");
  std::ofstream(where.path()) << "precious";
  auto sockets = listen_for_workers(where, 1);
  ASSERT_FALSE(sockets.ok());
  EXPECT_EQ(sockets.status().message(),
            "cannot bind " + where.path() +
                ": File exists; a file that is not a socket is there: remove it or choose another "
                "path");
  EXPECT_EQ(std::filesystem::file_size(where.path()), 8u);
}

TEST(ListenForWorkers, MissingDirectoryIsNamed) {
  TempDir dir;
  auto sockets = listen_for_workers(*Address::unix_path(dir / "no/such/in.sock"), 1);
  ASSERT_FALSE(sockets.ok());
  EXPECT_TRUE(std::string(sockets.status().message())
                  .ends_with("No such file or directory; create its directory first"))
      << sockets.status();
}

TEST(Acceptor, AcceptedSocketsAreReadyForUse) {
  auto sockets = listen_for_workers(kAnyPort, 1);
  ASSERT_TRUE(sockets.ok());
  Loop loop;
  Accepted accepted;
  Acceptor acceptor(loop, std::move((*sockets)[0]), &Accepted::on_accept, &accepted);
  Client client(acceptor.local());
  ASSERT_TRUE(run_until(loop, [&] { return accepted.fds.size() == 1; }));
  const int fd = accepted.fds[0];
  EXPECT_NE(::fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
  EXPECT_NE(::fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
  int nodelay = 0;
  socklen_t length = sizeof(nodelay);
  ASSERT_EQ(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &nodelay, &length), 0);
  EXPECT_NE(nodelay, 0) << "inherited from the listening socket";
}

TEST(Acceptor, ABurstIsTakenInBoundedPieces) {
  auto sockets = listen_for_workers(kAnyPort, 1);
  ASSERT_TRUE(sockets.ok());
  std::vector<Client> clients;
  for (int i = 0; i < 200; ++i) clients.emplace_back((*sockets)[0].local());
  Loop loop;
  Accepted accepted;
  Acceptor acceptor(loop, std::move((*sockets)[0]), &Accepted::on_accept, &accepted);
  size_t before = 0;
  EXPECT_TRUE(run_until(loop, [&] {
    EXPECT_LE(accepted.fds.size() - before, static_cast<size_t>(Acceptor::kPerTurn));
    before = accepted.fds.size();
    return before == 200;
  }));
  EXPECT_EQ(acceptor.counters().accepted, 200u);
}

TEST(Acceptor, PausedConnectionsWaitInTheKernel) {
  auto sockets = listen_for_workers(kAnyPort, 1);
  ASSERT_TRUE(sockets.ok());
  Loop loop;
  Accepted accepted;
  Acceptor acceptor(loop, std::move((*sockets)[0]), &Accepted::on_accept, &accepted);
  acceptor.pause();
  Client client(acceptor.local());
  EXPECT_TRUE(client.ok());
  for (int i = 0; i < 3; ++i) loop.poll_once();
  EXPECT_TRUE(accepted.fds.empty());
  acceptor.resume();
  EXPECT_TRUE(run_until(loop, [&] { return accepted.fds.size() == 1; }));
}

TEST(Acceptor, ReleasedSocketGoesOnWithItsSuccessor) {
  auto sockets = listen_for_workers(kAnyPort, 1);
  ASSERT_TRUE(sockets.ok());
  Loop loop;
  Accepted accepted;
  Acceptor first(loop, std::move((*sockets)[0]), &Accepted::on_accept, &accepted);
  const Address where = first.local();
  ListenSocket socket = first.release();
  Client client(where);
  for (int i = 0; i < 3; ++i) loop.poll_once();
  EXPECT_TRUE(accepted.fds.empty());
  Acceptor second(loop, std::move(socket), &Accepted::on_accept, &accepted);
  EXPECT_TRUE(run_until(loop, [&] { return accepted.fds.size() == 1; }));
}

#define CHECK_OR_RETURN(condition) \
  if (!(condition)) return __LINE__ % 250 + 1

// In a child with few descriptors: all clients hear something, the loop does not spin, and it
// recovers.
int run_out_of_descriptors() {
  auto sockets = listen_for_workers(kAnyPort, 1);
  CHECK_OR_RETURN(sockets.ok());
  const Address where = (*sockets)[0].local();
  Loop loop;
  Accepted accepted;
  Acceptor acceptor(loop, std::move((*sockets)[0]), &Accepted::on_accept, &accepted);
  loop.poll_once();
  std::vector<Client> clients;
  for (int i = 0; i < 100; ++i) clients.emplace_back(where);
  const rlimit limit{.rlim_cur = static_cast<rlim_t>(::dup(0)) + 40, .rlim_max = 4096};
  ::close(static_cast<int>(limit.rlim_cur) - 40);
  CHECK_OR_RETURN(::setrlimit(RLIMIT_NOFILE, &limit) == 0);

  const auto all_taken = [&] {
    return acceptor.counters().accepted + acceptor.counters().refused_no_fd == 100;
  };
  CHECK_OR_RETURN(run_until(loop, all_taken));
  CHECK_OR_RETURN(acceptor.counters().refused_no_fd >= 55);
  CHECK_OR_RETURN(acceptor.counters().accepted >= 30);
  CHECK_OR_RETURN(acceptor.counters().rests == 0);
  uint64_t num_closed = 0;
  for (const Client& client : clients) num_closed += client.closed() ? 1 : 0;
  CHECK_OR_RETURN(num_closed == acceptor.counters().refused_no_fd);
  // Nothing spins while descriptors are out.
  const uint64_t turns = loop.counters().turns;
  CHECK_OR_RETURN(!loop.wait_once(50 * base::kNsPerMs));
  CHECK_OR_RETURN(loop.counters().turns == turns + 1);
  // One is given back: the next client is served.
  accepted.drop();
  clients.clear();
  Client next(where);
  CHECK_OR_RETURN(next.ok());
  CHECK_OR_RETURN(run_until(loop, [&] { return accepted.fds.size() == 1; }));
  return 0;
}

TEST(Acceptor, OutOfDescriptorsItClosesTheExcessAndRecovers) {
  EXPECT_EXIT(std::_Exit(run_out_of_descriptors()), testing::ExitedWithCode(0), "");
}

// Not even the reserve helps (another thread took it): it rests instead of spinning, and comes back
// by itself.
int run_out_without_reserve() {
  auto sockets = listen_for_workers(kAnyPort, 1);
  CHECK_OR_RETURN(sockets.ok());
  const Address where = (*sockets)[0].local();
  Loop loop;
  Accepted accepted;
  Acceptor acceptor(loop, std::move((*sockets)[0]), &Accepted::on_accept, &accepted);
  ::close(std::exchange(loop.reserve_fd(), -1));
  Client client(where);
  CHECK_OR_RETURN(client.ok());
  const rlimit none{.rlim_cur = 3, .rlim_max = 4096};
  const rlimit enough{.rlim_cur = 100, .rlim_max = 4096};
  CHECK_OR_RETURN(::setrlimit(RLIMIT_NOFILE, &none) == 0);
  CHECK_OR_RETURN(run_until(loop, [&] { return acceptor.counters().rests == 1; }));
  CHECK_OR_RETURN(!loop.wait_once(10 * base::kNsPerMs));
  CHECK_OR_RETURN(::setrlimit(RLIMIT_NOFILE, &enough) == 0);
  CHECK_OR_RETURN(run_until(loop, [&] { return accepted.fds.size() == 1; }));
  return 0;
}

TEST(Acceptor, RestsWhereNotEvenTheReserveHelps) {
  EXPECT_EXIT(std::_Exit(run_out_without_reserve()), testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace sluice::net
