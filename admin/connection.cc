#include "admin/connection.h"

#include <algorithm>
#include <cstring>
#include <ctime>

#include "admin/server.h"

namespace sluice::admin {
namespace {

constexpr http::H1Options kOptions = {.max_head_bytes = 32 * 1024, .accept_http_10 = true};
constexpr std::string_view kFormType = "application/x-www-form-urlencoded";

std::string http_date(base::WallNs wall) {
  const time_t seconds = wall / base::kNsPerSec;
  tm parts;
  gmtime_r(&seconds, &parts);
  char text[40];
  const size_t n = std::strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", &parts);
  return std::string(text, n);
}

}  // namespace

Connection::Connection(AdminServer& server, net::Loop& loop, base::BlockPool& pool, uint64_t id)
    : server_(server), loop_(loop), pool_(pool), id_(id), arena_(pool) {
  stream_.set_owner<&Connection::on_stream>(this);
}

bool Connection::start(int fd) {
  if (!stream_.attach(loop_, fd)) return false;
  loop_.arm_in(timer_, kPatienceNs);
  return true;
}

void Connection::on_stream(uint8_t events) noexcept {
  if (phase_ == Phase::kClosed) return;
  if ((events & net::kBroken) != 0 || stream_.hung_up()) return close();
  if ((events & net::kFlushed) != 0 && phase_ == Phase::kFlushing) {
    on_flushed();
    if (phase_ == Phase::kClosed) return;
  }
  if ((events & net::kDrained) != 0 && phase_ == Phase::kStreaming) loop_.again(pump_);
  if ((events & (net::kReadable | net::kPeerClosed)) != 0 && reading()) read();
}

// Closes a client that neither sent nor took a byte since the last time.
void Connection::on_timer() noexcept {
  const uint64_t bytes = stream_.bytes_received() + stream_.bytes_sent();
  if (phase_ != Phase::kWaiting && bytes == seen_bytes_) return close();
  seen_bytes_ = bytes;
  const bool idle = phase_ == Phase::kHead && unread() == 0;
  loop_.arm_in(timer_, idle ? kIdleNs : kPatienceNs);
}

void Connection::read() {
  for (;;) {
    Step step = Step::kOn;
    while (step == Step::kOn && unread() > 0 && reading()) step = process();
    if (step == Step::kStop || !reading() || !stream_.readable()) break;
    if (!make_room()) return refuse(431, "request head too large\n");
    const net::Stream::Read got = stream_.read_some(*block_.get());
    if (got.fault || got.eof) return close();
    if (got.bytes == 0 && got.drained) break;
  }
  if (phase_ == Phase::kHead && unread() == 0) block_.reset();
}

bool Connection::make_room() {
  if (!block_) {
    block_ = base::BlockRef::adopt(pool_.get_large());
    at_ = 0;
  }
  if (at_ > 0) {
    const uint32_t left = unread();
    std::memmove(block_->data(), block_->data() + at_, left);
    block_->clear();
    block_->fill(left);
    at_ = 0;
  }
  return block_->room() > 0;
}

Connection::Step Connection::process() {
  return phase_ == Phase::kHead ? take_head() : take_body();
}

Connection::Step Connection::take_head() {
  if (scanned_ == 0) {
    arena_.reset();
    head_ = http::RequestHead();
    head_.fields.bind(&arena_);
  }
  const http::HeadResult r =
      http::parse_request_head(block_->data() + at_, unread(), scanned_, kOptions, &head_);
  if (r.status == http::HeadResult::Status::kMore) {
    scanned_ = unread();
    return Step::kMore;
  }
  scanned_ = 0;
  if (r.status == http::HeadResult::Status::kBad) {
    const base::ReasonText& text = base::text_of(r.reason);
    refuse(text.status == 0 ? 400 : text.status, text.sentence);
    return Step::kStop;
  }
  at_ += r.consumed;
  request_ = {};
  request_.method = head_.method;
  request_.path = std::string(head_.path_only());
  if (const size_t mark = head_.path.find('?'); mark != std::string_view::npos) {
    parse_params(head_.path.substr(mark + 1), &request_);
  }
  keep_alive_ = head_.keep_alive;
  minor_ = head_.version_minor;
  to_head_ = head_.method == http::Method::kHead;
  form_.clear();
  is_form_ = head_.fields.value(http::HeaderId::kContentType).starts_with(kFormType);
  if (head_.framing.kind == http::Framing::Kind::kNone) {
    dispatch();
    return Step::kStop;
  }
  if (head_.expect_continue) stream_.write("HTTP/1.1 100 Continue\r\n\r\n");
  body_.start(head_.framing, &arena_);
  phase_ = Phase::kBody;
  return Step::kOn;
}

Connection::Step Connection::take_body() {
  using Kind = http::H1BodyDecoder::Step::Kind;
  const auto step = body_.next(block_->data() + at_, unread());
  form_.append(block_->data() + at_ + step.skip, step.size);
  at_ += step.skip + step.size;
  if (form_.size() > kMaxBodyBytes) {
    refuse(413, "request body too large\n");
    return Step::kStop;
  }
  switch (step.kind) {
    case Kind::kData:
      return Step::kOn;
    case Kind::kMore:
      return Step::kMore;
    case Kind::kEnd:
      dispatch();
      return Step::kStop;
    case Kind::kBad:
      refuse(400, base::text_of(step.reason).sentence);
      return Step::kStop;
  }
  return Step::kStop;
}

void Connection::dispatch() {
  phase_ = Phase::kWaiting;
  if (is_form_) parse_params(form_, &request_);
  server_.on_request(id_, request_);
}

void Connection::refuse(uint16_t status, std::string_view why) {
  keep_alive_ = false;
  phase_ = Phase::kWaiting;
  respond({.status = status, .text = std::string(why)});
}

void Connection::respond(Response response) {
  using Kind = http::Framing::Kind;
  if (phase_ != Phase::kWaiting) return;
  response_ = std::move(response);
  std::string& text = response_.text;
  while (response_.more && text.size() < kPieceBytes) {
    if (!response_.more(&text)) response_.more = nullptr;
  }
  framing_ = {.kind = Kind::kLength, .length = text.size()};
  if (response_.more) framing_ = {.kind = minor_ == 0 ? Kind::kUntilClose : Kind::kChunked};
  if (framing_.kind == Kind::kUntilClose) keep_alive_ = false;
  if (!write_head(response_.status, response_.type, framing_)) return close();
  phase_ = Phase::kStreaming;
  if (to_head_) {
    response_.more = nullptr;
    return finish();
  }
  write_text(text);
  text.clear();
  response_.more ? loop_.again(pump_) : finish();
}

bool Connection::write_head(uint16_t status, std::string_view type, http::Framing framing) {
  http::ResponseHead head;
  head.fields.bind(&arena_);
  head.status = status;
  head.framing = framing;
  const std::string date = http_date(loop_.clock().wall());
  bool ok = head.fields.add(http::HeaderId::kContentType, type) &&
            head.fields.add(http::HeaderId::kCacheControl, "no-cache, max-age=0") &&
            head.fields.add("x-content-type-options", "nosniff") &&
            head.fields.add(http::HeaderId::kDate, date) &&
            head.fields.add(http::HeaderId::kServer, "sluice");
  if (status == 405) ok = ok && head.fields.add("allow", "POST");
  const http::ResponseWrite how{
      .framing = framing, .downstream_minor = minor_, .close = !keep_alive_, .to_head = to_head_};
  base::Chain bytes;
  if (!ok || !http::write_response_head(&head, how, {}, arena_, &bytes)) return false;
  stream_.write(std::move(bytes));
  return true;
}

// Copies: an answer is made as text and leaves from blocks.
void Connection::write_text(std::string_view text) {
  base::Chain chain;
  while (!text.empty()) {
    auto block = base::BlockRef::adopt(text.size() > base::Block::kSmallBytes ? pool_.get_large()
                                                                              : pool_.get_small());
    const auto n = static_cast<uint32_t>(std::min<size_t>(text.size(), block->room()));
    std::memcpy(block->tail(), text.data(), n);
    base::View view(block->tail(), n, block);
    block->fill(n);
    chain.append(std::move(view));
    text.remove_prefix(n);
  }
  if (chain.empty()) return;
  if (framing_.kind == http::Framing::Kind::kChunked) {
    base::Chain framed;
    chunks_.append_chunk(std::move(chain), pool_, &framed);
    chain = std::move(framed);
  }
  stream_.write(std::move(chain));
}

void Connection::pump() noexcept {
  if (phase_ != Phase::kStreaming || stream_.congested()) return;  // kDrained comes
  std::string& text = response_.text;
  text.clear();
  while (response_.more && text.size() < kPieceBytes) {
    if (!response_.more(&text)) response_.more = nullptr;
  }
  write_text(text);
  response_.more ? loop_.again(pump_) : finish();
}

void Connection::finish() {
  if (framing_.kind == http::Framing::Kind::kChunked && !to_head_) {
    base::Chain last;
    chunks_.append_last(nullptr, arena_, &last);
    stream_.write(std::move(last));
  }
  phase_ = Phase::kFlushing;
  stream_.want_flushed();
}

void Connection::on_flushed() {
  const auto after = std::move(response_.after);
  response_ = {};
  chunks_.release();
  arena_.reset();
  if (keep_alive_) {
    phase_ = Phase::kHead;
    scanned_ = 0;
    seen_bytes_ = 0;
    if (unread() > 0 || stream_.readable()) {
      read();
    } else {
      block_.reset();
    }
  } else {
    // Nothing waits: the socket alone goes to the loop, no block of our pool.
    if (stream_.is_open()) stream_.close_after_flush(net::Linger::kYes);
    close();
  }
  if (after) after();
}

void Connection::close() {
  if (phase_ == Phase::kClosed) return;
  phase_ = Phase::kClosed;
  timer_.cancel();
  pump_.unlink();
  stream_.close_now();
  block_.reset();
  response_.more = nullptr;
  server_.on_closed(id_);
}

}  // namespace sluice::admin
