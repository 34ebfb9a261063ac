#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "admin/page.h"
#include "base/arena.h"
#include "base/buffer.h"
#include "http/h1_body.h"
#include "http/h1_parser.h"
#include "http/h1_writer.h"
#include "net/stream.h"

namespace sluice::admin {

class AdminServer;

// Connection is one client of admin: HTTP/1.1 (or 1.0) with keep-alive and pipelining, on the
// codec of http/.
//
// Main only; owned by AdminServer, which it asks for each answer and tells of its end. Bounded: a
// head of 32 KiB, a body of 64 KiB, and of an answer what the stream holds at its high mark plus
// one piece: a long one is made while it is taken, one piece per turn of main, so that neither a
// slow client costs memory nor a fast one delays main. A client that sends or takes nothing is
// closed after a while.
class Connection {
 public:
  Connection(AdminServer& server, net::Loop& loop, base::BlockPool& pool, uint64_t id);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Takes `fd`. False: it is closed already.
  bool start(int fd);
  void respond(Response response);
  // Bytes of answers that wait in memory.
  size_t buffered() const noexcept { return stream_.buffered(); }

 private:
  enum class Phase : uint8_t { kHead, kBody, kWaiting, kStreaming, kFlushing, kClosed };
  enum class Step : uint8_t { kOn, kMore, kStop };
  static constexpr uint32_t kMaxHeadBytes = 32 * 1024;
  static constexpr size_t kMaxBodyBytes = 64 * 1024;
  static constexpr size_t kPieceBytes = 16 * 1024;
  static constexpr int64_t kIdleNs = 300 * base::kNsPerSec;
  static constexpr int64_t kPatienceNs = 30 * base::kNsPerSec;

  void on_stream(uint8_t events) noexcept;
  void on_timer() noexcept;
  void read();
  bool make_room();
  Step process();
  Step take_head();
  Step take_body();
  void dispatch();
  void refuse(uint16_t status, std::string_view why);
  bool write_head(uint16_t status, std::string_view type, http::Framing framing);
  void write_text(std::string_view text);
  void pump() noexcept;
  void finish();
  void on_flushed();
  void close();
  uint32_t unread() const noexcept { return block_ ? block_->filled() - at_ : 0; }
  bool reading() const noexcept { return phase_ == Phase::kHead || phase_ == Phase::kBody; }

  AdminServer& server_;
  net::Loop& loop_;
  base::BlockPool& pool_;
  const uint64_t id_;
  Phase phase_ = Phase::kHead;

  // The request.
  base::BlockRef block_;  // received; none while idle
  uint32_t at_ = 0;
  uint32_t scanned_ = 0;
  base::Arena arena_;
  http::RequestHead head_;
  http::H1BodyDecoder body_;
  Request request_;
  std::string form_;
  bool is_form_ = false;
  bool keep_alive_ = true;
  uint8_t minor_ = 1;

  // The answer.
  bool to_head_ = false;
  http::Framing framing_;
  http::ChunkWriter chunks_;
  Response response_;

  uint64_t seen_bytes_ = 0;  // received and sent when the timer was set
  net::Stream stream_;
  net::Call pump_ = net::Call::of<&Connection::pump>(this);
  net::Timer timer_ = net::Timer::of<&Connection::on_timer>(this);
};

}  // namespace sluice::admin
