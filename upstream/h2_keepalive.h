#pragma once

#include <cstdint>
#include <utility>

#include "base/clock.h"
#include "base/random.h"
#include "net/timer.h"
#include "upstream/values.h"

namespace sluice::upstream {

// H2Keepalive answers "is the other end of this HTTP/2 connection still there?": a connection from
// which nothing came for connection_keepalive.interval is pinged, and is dead when nothing comes
// within the timeout either (RFC 9113 6.7). The same for clients and endpoints.
//
// Envoy pings in every interval; here whatever arrives shows life as well as an answer does, so a
// busy connection is never pinged, and one whose answer stands behind a long upload is not given
// up. The jitter, which keeps connections of one moment from being pinged in one moment, is drawn
// anew with each ping. Member of its connection, which asks for its deadline; plain words, no timer
// of its own.
class H2Keepalive {
 public:
  enum class Step : uint8_t { kNothing, kPing, kDead };

  // The connection is open. `value` outlives this.
  void start(const H2Value& value, base::MonoNs now, base::Random& random) noexcept {
    value_ = &value;
    heard_at_ = now;
    draw(random);
  }
  // True: the deadline is another one now, and may be sooner.
  bool heard(base::MonoNs now) noexcept {
    heard_at_ = now;
    return std::exchange(sent_at_, 0) != 0;
  }
  // Before a new stream on a connection that was silent for long: ping first, so that a dead one is
  // found by the timeout?
  bool stale(base::MonoNs now) const noexcept {
    const int64_t limit = value_->keepalive_idle_interval.count();
    return limit > 0 && sent_at_ == 0 && now - heard_at_ > limit;
  }
  void sent(base::MonoNs now) noexcept { sent_at_ = now; }
  // Of the next step, whatever it will be.
  base::MonoNs deadline() const noexcept {
    if (sent_at_ != 0) return sent_at_ + value_->keepalive_timeout.count();
    constexpr int64_t kLongest = int64_t{1} << 60;  // 36 years, so that sums are times
    const int64_t every = value_->keepalive_interval.count();
    const bool pings = every > 0 && every < kLongest;
    return pings ? heard_at_ + every + jitter_ns_ : net::TimerWheel::kNever;
  }
  Step step(base::MonoNs now, base::Random& random) noexcept {
    if (deadline() > now) return Step::kNothing;
    if (sent_at_ != 0) return Step::kDead;
    sent_at_ = now;
    draw(random);
    return Step::kPing;
  }

 private:
  void draw(base::Random& random) noexcept {
    const uint64_t most = static_cast<uint64_t>(value_->keepalive_interval.count()) / 1'000'000 *
                          value_->keepalive_jitter_ppm;
    jitter_ns_ = most == 0 ? 0 : static_cast<int64_t>(random.next() % most);
  }

  const H2Value* value_ = nullptr;
  base::MonoNs heard_at_ = 0;
  base::MonoNs sent_at_ = 0;  // 0: no ping under way
  int64_t jitter_ns_ = 0;
};

}  // namespace sluice::upstream
