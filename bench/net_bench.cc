// What does net/ add to a request, apart from the kernel's work? Timers, hooks, queues and turns,
// in ns; and whole round trips over a socketpair, with the loop's own counts of system calls beside
// them.

#include <benchmark/benchmark.h>
#include <sys/socket.h>

#include <memory>
#include <vector>

#include "base/buffer.h"
#include "net/loop.h"
#include "net/stream.h"
#include "net/timer.h"

namespace sluice::net {
namespace {

constexpr base::MonoNs kStart = 1'000'000'000;

struct Timers {
  explicit Timers(size_t n) {
    for (size_t i = 0; i < n; ++i) {
      timers.push_back(std::make_unique<Timer>([](void*) noexcept {}, nullptr));
      timers.back()->arm(wheel, kStart + static_cast<int64_t>(i % 60'000) * base::kNsPerMs);
    }
  }
  TimerWheel wheel{kStart};
  std::vector<std::unique_ptr<Timer>> timers;
};

// A request timeout: armed when the request begins, cancelled when it ends.
void BM_TimerArmCancel(benchmark::State& state) {
  Timers t(static_cast<size_t>(state.range(0)));
  size_t i = 0;
  for (auto _ : state) {
    Timer& timer = *t.timers[i];
    timer.cancel();
    timer.arm(t.wheel, kStart + 15 * base::kNsPerSec);
    if (++i == t.timers.size()) i = 0;
  }
}
BENCHMARK(BM_TimerArmCancel)->Arg(64)->Arg(100'000);

// An idle timeout: postponed by each request.
void BM_TimerPostpone(benchmark::State& state) {
  Timers t(64);
  base::MonoNs deadline = kStart + 3600 * base::kNsPerSec;
  size_t i = 0;
  for (auto _ : state) t.timers[++i % 64]->arm(t.wheel, ++deadline);
}
BENCHMARK(BM_TimerPostpone);

// What a turn pays for the wheel when nothing is due.
void BM_TimerLookAtTheClock(benchmark::State& state) {
  Timers t(10'000);
  t.wheel.advance(kStart + base::kNsPerMs);
  base::MonoNs now = kStart + base::kNsPerMs;
  for (auto _ : state) {
    benchmark::DoNotOptimize(t.wheel.advance(++now));
    benchmark::DoNotOptimize(t.wheel.next_deadline());
  }
}
BENCHMARK(BM_TimerLookAtTheClock)->Iterations(1'000'000);

// A whole turn in which one Call runs: epoll_wait, clock, hooks, queues.
void BM_Turn(benchmark::State& state) {
  Loop loop({.sleep_in_asio = state.range(0) != 0});
  Call call([](void*) noexcept {}, nullptr);
  for (auto _ : state) {
    loop.again(call);
    loop.poll_once();
  }
}
BENCHMARK(BM_Turn)->ArgName("asio")->Arg(0)->Arg(1);

struct Echo {
  void on_stream(uint8_t) noexcept {
    while (stream.readable()) {
      base::BlockRef block = base::BlockRef::adopt(pool.get_small());
      const Stream::Read read = stream.read_some(*block.get());
      if (read.bytes == 0) return;
      ++num_reads;
      const char* data = block->data();
      stream.write(base::View(data, read.bytes, std::move(block)));
    }
  }
  explicit Echo(base::BlockPool& p) : pool(p) { stream.set_owner<&Echo::on_stream>(this); }
  base::BlockPool& pool;
  uint64_t num_reads = 0;
  Stream stream;
};

// Two echoes that throw one message back and forth: an operation is one receive and one send.
void BM_EchoOverSocketPair(benchmark::State& state) {
  base::BlockPool pool;
  Loop loop({.sleep_in_asio = state.range(0) != 0});
  Echo left(pool), right(pool);
  int fds[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) != 0) return;
  left.stream.attach(loop, fds[0]);
  right.stream.attach(loop, fds[1]);
  left.stream.write("a small request or response head of some sixty-four bytes.....");
  const LoopCounters before = loop.counters();
  for (auto _ : state) {
    const uint64_t reads = left.num_reads + right.num_reads;
    while (left.num_reads + right.num_reads == reads) loop.poll_once();
  }
  const LoopCounters& now = loop.counters();
  const auto per_op = [&](uint64_t a, uint64_t b) {
    return benchmark::Counter(static_cast<double>(a - b), benchmark::Counter::kAvgIterations);
  };
  state.counters["recv"] = per_op(now.receives, before.receives);
  state.counters["send"] = per_op(now.sends, before.sends);
  state.counters["wait"] = per_op(now.waits, before.waits);
  state.counters["ctl"] = per_op(now.controls, before.controls);
}
BENCHMARK(BM_EchoOverSocketPair)->ArgName("asio")->Arg(0)->Arg(1);

}  // namespace
}  // namespace sluice::net
