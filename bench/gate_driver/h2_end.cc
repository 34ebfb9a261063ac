#include "bench/gate_driver/h2_end.h"

#include <algorithm>
#include <cstring>

#include "base/text.h"
#include "bench/gate_driver/peers.h"

namespace sluice::gate {

using http::H2Codec;
using http::HeaderId;

struct H2End::Message {
  explicit Message(base::BlockPool& blocks) : arena(blocks), stream(this) {}
  base::Arena arena;
  http::RequestHead request;
  http::ResponseHead response;
  http::H2Stream stream;
  bool received = false;
};

H2End::H2End(bool client, const Scenario& scenario, std::string path)
    : client_(client),
      scenario_(scenario),
      path_(std::move(path)),
      body_(client ? scenario.request_body_bytes : scenario.response_body_bytes, 'b'),
      cells_(stats_.scope<base::H2Cells>("peer.")) {
  options_.max_concurrent_streams = 1000;
  options_.initial_stream_window = 1024 * 1024;
  options_.initial_connection_window = 64 * 1024 * 1024;
  codec_ = std::make_unique<H2Codec>(client ? H2Codec::Role::kClient : H2Codec::Role::kServer,
                                     options_, slab_, blocks_, *cells_);
  if (!codec_->start()) die("no memory");
}

H2End::~H2End() { messages_.clear(); }

void H2End::send_message() {
  if (client_) {
    Message& m = *messages_.emplace_back(std::make_unique<Message>(blocks_));
    m.request.fields.bind(&m.arena);
    m.request.method = body_.empty() ? http::Method::kGet : http::Method::kPost;
    m.request.method_text = http::text_of(m.request.method);
    m.request.scheme = "http";
    m.request.authority = "www.example.com";
    m.request.path = path_;
    m.request.fields.add(HeaderId::kUserAgent, "gate/1.0");
    m.request.fields.add(HeaderId::kAccept, "*/*");
    m.request.fields.add(HeaderId::kAcceptEncoding, "gzip, br");
    if (!body_.empty()) m.request.framing = {http::Framing::Kind::kLength, body_.size()};
    if (!codec_->send_request(&m.stream, &m.request, body_.empty(), &m.response, &m.arena)) {
      die("send_request");
    }
    if (body_.empty()) return;
    codec_->send_data(m.stream, base::View(body_));
    codec_->send_end(m.stream, nullptr);
    return;
  }
  if (to_answer_.empty()) die("nothing to answer");
  Message& m = *to_answer_.front();
  to_answer_.pop_front();
  m.response.fields.bind(&m.arena);
  m.response.status = 200;
  m.response.fields.add(HeaderId::kServer, "origin");
  m.response.fields.add(HeaderId::kDate, "Sun, 06 Nov 1994 08:49:37 GMT");
  m.response.fields.add(HeaderId::kContentType, "application/octet-stream");
  m.response.framing = {http::Framing::Kind::kLength, body_.size()};
  if (!codec_->send_response(m.stream, &m.response, false, m.arena)) die("send_response");
  codec_->send_data(m.stream, base::View(body_));
  codec_->send_end(m.stream, nullptr);
}

void H2End::receive(std::string_view bytes) {
  while (!bytes.empty()) {
    const base::BlockRef block = base::BlockRef::adopt(blocks_.get_large());
    const auto size = static_cast<uint32_t>(std::min<size_t>(bytes.size(), block->room()));
    std::memcpy(block->data(), bytes.data(), size);
    block->fill(size);
    for (uint32_t at = 0; at < size;) {
      H2Codec::Event event = codec_->feed(block->data() + at, size - at, block, 0);
      at += event.consumed;
      handle(event);
      drop_closed();
    }
    bytes.remove_prefix(size);
  }
}

void H2End::handle(H2Codec::Event& event) {
  using Kind = H2Codec::Event::Kind;
  if (event.kind == Kind::kFailed) die("the proxy broke HTTP/2");
  if (event.kind == Kind::kBegin) {
    Message& m = *messages_.emplace_back(std::make_unique<Message>(blocks_));
    codec_->open(&m.stream, &m.request, &m.arena);
    return;
  }
  if (event.stream == nullptr) return;
  auto* message = static_cast<Message*>(event.stream->owner());
  if (event.data.size > 0) codec_->consume(*event.stream, event.data.size);
  if (event.end || event.kind == Kind::kTrailers) finished(message);
}

void H2End::finished(Message* message) {
  if (client_ && message->response.status != 200) die("not 200");
  message->received = true;
  ++num_whole_;
  if (!client_) to_answer_.push_back(message);
}

void H2End::drop_closed() {
  uint8_t news = 0;
  while (http::H2Stream* stream = codec_->take_news(&news)) {
    if ((news & http::H2Stream::kClosed) == 0) continue;
    auto* message = static_cast<Message*>(stream->owner());
    if (!message->received || stream->error() != http::H2Error::kNone) die("a stream was reset");
    std::erase_if(messages_, [message](const auto& m) { return m.get() == message; });
  }
}

std::string H2End::take_output() {
  base::Chain out;
  codec_->produce(&out, 16 * 1024 * 1024);
  std::string text;
  out.for_each([&text](const base::View& view) { text.append(view.text()); });
  drop_closed();
  return text;
}

bool H2End::take_message() {
  if (num_whole_ == 0) return false;
  --num_whole_;
  return true;
}

}  // namespace sluice::gate
