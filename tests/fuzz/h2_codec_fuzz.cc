#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include "tests/http/h2_peer.h"
#include "tests/http/h2_wire.h"

// A live client codec against a live server codec, driven by a script: requests, answers, bodies,
// resets, and the carrying of what they wrote, with frames dropped, doubled, swapped, damaged or
// cut on their way, or bytes of the script in their place. The seeds inject the cases of
// tests/cases/h2_cases.json. Whatever happens, feed() makes progress, memory stays bounded, streams
// are counted right, and everything comes back when the connection ends.

namespace sluice::http {
namespace {

using namespace test;  // NOLINT(google-build-using-namespace)
using Role = H2Codec::Role;

void check(bool holds, const char* what) {
  if (holds) return;
  std::cerr << what << "\n";
  std::abort();
}

class Script {
 public:
  Script(const uint8_t* data, size_t size) : at_(data), end_(data + size) {}
  bool done() const { return at_ == end_; }
  uint8_t byte() { return done() ? 0 : *at_++; }
  std::string_view bytes(size_t n) {
    n = std::min(n, static_cast<size_t>(end_ - at_));
    const std::string_view out(reinterpret_cast<const char*>(at_), n);
    at_ += n;
    return out;
  }

 private:
  const uint8_t* at_;
  const uint8_t* end_;
};

constexpr size_t kPieces[] = {1, 2, 5, 9, 10, 64, 1000, 1 << 20};

class Run {
 public:
  explicit Run(Script script) : script_(script) {
    H2Options options;
    options.max_concurrent_streams = 20;
    options.max_head_bytes = 8 * 1024;
    options.allow_connect = true;
    client_.options = server_.options = options;
    client_.restart(Role::kClient);
    server_.restart(Role::kServer);
    pump(client_, server_);
  }
  ~Run() {
    client_.messages.clear();
    server_.messages.clear();
    for (H2Peer* peer : {&client_, &server_}) {
      check(peer->codec == nullptr || peer->codec->num_streams() == 0, "streams are left");
      peer->codec.reset();
      check(peer->slab.bytes_out() == 0, "the slab did not get all back");
      check(peer->blocks.num_out() == 0, "blocks are out");
      check(peer->cells.streams_active.get() == 0, "streams_active");
      check(peer->cells.pending_send_bytes.get() == 0, "pending_send_bytes");
      check(peer->cells.outbound_frames_active.get() == 0, "outbound_frames_active");
    }
  }
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  void all() {
    for (int steps = 0; !script_.done() && steps < 400; ++steps) {
      step();
      watch();
    }
    pump(client_, server_, 7);
    watch();
  }

 private:
  H2Message* pick(H2Peer& peer) {
    if (peer.messages.empty()) return nullptr;
    return peer.messages[script_.byte() % peer.messages.size()].get();
  }
  H2Peer& side() { return script_.byte() % 2 == 0 ? client_ : server_; }

  void watch() {
    for (H2Peer* peer : {&client_, &server_}) {
      uint32_t open = 0;
      for (const auto& m : peer->messages) open += m->stream.codec() != nullptr ? 1 : 0;
      check(peer->codec->num_streams() == open, "num_streams");
      check(!peer->failed() || open == 0, "streams outlive a failure");
      check(peer->slab.bytes_out() < 8 * 1024 * 1024, "too much of the slab is out");
      for (const auto& m : peer->messages) {
        check(m->request.fields.size() <= 100 && m->response.fields.size() <= 100, "fields");
        check(!m->has_head || m->too_large || peer == &client_ || !m->request.authority.empty(),
              "a head without authority");
      }
    }
  }

  void step() {
    switch (script_.byte() % 16) {
      case 0:
        return request(true);
      case 1:
        return request(false);
      case 2:
      case 7: {
        H2Peer& peer = side();
        if (H2Message* m = pick(peer)) peer.send_text(*m, std::string(97u * script_.byte(), 'x'));
        return;
      }
      case 3:
      case 8: {
        H2Peer& peer = side();
        H2Message* const m = pick(peer);
        if (m == nullptr) return;
        if (script_.byte() % 2 == 0) return peer.codec->send_end(m->stream, nullptr);
        return peer.send_trailers(*m, {{"x-trailer", "1"}, {"grpc-status", "0"}});
      }
      case 4:
      case 6:
        return respond();
      case 5:
      case 9:
        return give_up();
      case 10:
        return carry(client_, server_);
      case 11:
        return carry(server_, client_);
      case 12:
        damage_ = script_.byte();
        place_ = script_.byte();
        return;
      case 13:
        return inject(server_);
      case 14:
        return inject(client_);
      default:
        return other();
    }
  }

  void request(bool end) {
    if (!client_.codec->can_open() || client_.messages.size() > 40) return;
    std::string& path = text("/" + std::string(script_.byte(), 'p'));
    std::string& value = text(std::string(8u * script_.byte(), 'v'));
    constexpr std::string_view kMethods[] = {"GET", "POST", "HEAD", "OPTIONS", "CONNECT"};
    client_.request(kMethods[script_.byte() % 5], path, end,
                    {{"x-value", value}, {"cookie", "a=1"}, {"cookie", "b=2"}, {"te", "trailers"}});
  }
  void respond() {
    H2Message* const m = pick(server_);
    if (m == nullptr || m->response.status != 0) return;
    constexpr uint16_t kStatus[] = {100, 103, 200, 204, 304, 431, 500, 999};
    const uint16_t status = kStatus[script_.byte() % 8];
    server_.respond(*m, status, script_.byte() % 2 == 0, {{"server", "f"}});
    if (status < 200) m->response.status = 0;
  }
  void give_up() {
    H2Peer& peer = side();
    H2Message* const m = pick(peer);
    if (m == nullptr) return;
    if (script_.byte() % 2 == 0) return peer.destroy(*m);
    peer.codec->reset(m->stream, static_cast<H2Error>(script_.byte() % 14));
  }
  void other() {
    H2Peer& peer = side();
    switch (script_.byte() % 8) {
      case 0:
        return peer.codec->announce_shutdown();
      case 1:
        return peer.codec->finish_shutdown();
      case 2:
        return peer.codec->ping(7);
      case 3:
        peer.consume = !peer.consume;
        return;
      case 4:
        server_.open = !server_.open;
        return;
      case 5:
        server_.repent = !server_.repent;
        return;
      case 6:
        peer.now += int64_t{script_.byte()} * base::kNsPerSec;
        return;
      default:
        if (H2Message* m = pick(peer)) peer.codec->consume(m->stream, script_.byte());
    }
  }

  void inject(H2Peer& to) {
    const size_t size = size_t{script_.byte()} << 8 | script_.byte();
    to.receive(script_.bytes(size), kPieces[script_.byte() % 8]);
  }

  // What one side wrote, frame by frame, with one damage if one was asked for.
  void carry(H2Peer& from, H2Peer& to) {
    const size_t most = script_.byte() % 4 == 0 ? 100 : size_t{1} << 20;
    const std::string written = from.produce(most);
    const size_t piece = kPieces[script_.byte() % 8];
    if (damage_ == 0) return to.receive(written, piece);
    std::vector<std::string> frames;
    for (const WireFrame& f : frames_of(written)) {
      frames.push_back(raw_frame(f.head.type, f.head.flags, f.head.stream_id, f.payload));
    }
    if (frames.empty()) return;
    const size_t nth = place_ % frames.size();
    std::string& frame = frames[nth];
    const size_t at = (place_ * size_t{31} + damage_) % frame.size();
    switch (damage_ % 7) {
      case 0:
        frames.erase(frames.begin() + static_cast<std::ptrdiff_t>(nth));
        break;
      case 1:
        frames.insert(frames.begin() + static_cast<std::ptrdiff_t>(nth), std::string(frame));
        break;
      case 2:
        std::swap(frame, frames[(nth + 1) % frames.size()]);
        break;
      case 3:
        frame[at] = static_cast<char>(frame[at] ^ (1 << (damage_ / 7 % 8)));
        break;
      case 4:
        frame.resize(at);
        break;
      case 5:  // another type, or other flags
        frame[3 + damage_ / 7 % 2] = static_cast<char>(place_ % 12);
        break;
      default:  // of another stream
        if (frame.size() >= 9) frame[8] = static_cast<char>(place_ % 16);
        break;
    }
    damage_ = 0;
    std::string bytes;
    for (const std::string& f : frames) bytes += f;
    to.receive(bytes, piece);
  }

  std::string& text(std::string s) {
    texts_.push_back(std::make_unique<std::string>(std::move(s)));
    return *texts_.back();
  }

  Script script_;
  std::vector<std::unique_ptr<std::string>> texts_;  // what heads point to
  H2Peer client_{Role::kClient};
  H2Peer server_{Role::kServer};
  uint8_t damage_ = 0;
  uint8_t place_ = 0;
};

}  // namespace
}  // namespace sluice::http

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > 8192) return 0;
  sluice::http::Run run(sluice::http::Script(data, size));
  run.all();
  return 0;
}
