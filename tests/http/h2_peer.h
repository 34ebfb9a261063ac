#pragma once

#include <cstring>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/arena.h"
#include "base/buffer.h"
#include "base/slab.h"
#include "base/stat_groups.h"
#include "http/h2_codec.h"

namespace sluice::http::test {

using Pairs = std::vector<std::pair<std::string_view, std::string_view>>;

// One message exchange as one side of an H2Peer saw it.
struct H2Message {
  explicit H2Message(base::BlockPool& blocks) : arena(blocks), stream(this) {}

  base::Arena arena;
  RequestHead request;
  ResponseHead response;
  std::string body;
  std::vector<uint16_t> interims;
  bool has_head = false;
  bool too_large = false;
  bool too_many = false;
  bool ended = false;  // the peer's side
  bool has_trailers = false;
  uint8_t news = 0;  // all that ever came
  // A chain of what was sent lives here: send_text() only views it.
  std::vector<std::unique_ptr<std::string>> sent;
  H2Stream stream;  // destroyed first: it points into the arena
};

// A codec with what it needs, and a user that records: opens what begins, keeps bodies as text,
// takes all news. Bytes go in and out as strings.
class H2Peer {
 public:
  using Role = H2Codec::Role;
  explicit H2Peer(Role role, const H2Options& with = {}) : options(with) { restart(role); }
  void restart(Role role) {
    messages.clear();
    codec = std::make_unique<H2Codec>(role, options, slab, blocks, cells);
    started = codec->start();
  }

  // Bytes for the other side.
  std::string produce(size_t most = std::numeric_limits<size_t>::max()) {
    base::Chain out;
    codec->produce(&out, most);
    take_news();
    return text_of(out);
  }
  static std::string text_of(const base::Chain& chain) {
    std::string text;
    chain.for_each([&text](const base::View& v) { text.append(v.data, v.size); });
    return text;
  }

  // Feeds `bytes` in pieces of at most `piece`.
  void receive(std::string_view bytes, size_t piece = std::numeric_limits<size_t>::max()) {
    while (!bytes.empty()) {
      const base::BlockRef block = base::BlockRef::adopt(blocks.get_large());
      const size_t n = std::min({bytes.size(), piece, size_t{block->room()}});
      std::memcpy(block->tail(), bytes.data(), n);
      block->fill(static_cast<uint32_t>(n));
      if (!receive_block(block)) return;
      bytes.remove_prefix(n);
    }
  }
  bool receive_block(const base::BlockRef& block) {
    for (uint32_t at = 0; at < block->filled();) {
      const H2Codec::Event event =
          codec->feed(block->data() + at, block->filled() - at, block, now);
      at += event.consumed;
      handle(event);
      take_news();
      if (event.kind == H2Codec::Event::Kind::kFailed) return false;
      ++num_feeds;
    }
    return true;
  }

  H2Message& request(std::string_view method, std::string_view path, bool end,
                     const Pairs& fields = {}) {
    H2Message& m = add();
    m.request.fields.bind(&m.arena);
    m.request.method_text = method;
    m.request.method = method_of(method);
    m.request.path = path;
    m.request.scheme = "http";
    m.request.authority = "example.com";
    for (const auto& [name, value] : fields) m.request.fields.add(name, value);
    sent_ok = codec->send_request(&m.stream, &m.request, end, &m.response, &m.arena);
    return m;
  }
  // A response with a head of its own, so that m.request stays what came in.
  bool respond(H2Message& m, uint16_t status, bool end, const Pairs& fields = {}) {
    m.response = ResponseHead();
    m.response.status = status;
    m.response.fields.bind(&m.arena);
    for (const auto& [name, value] : fields) m.response.fields.add(name, value);
    return status < 200 ? codec->send_interim(m.stream, &m.response, m.arena)
                        : codec->send_response(m.stream, &m.response, end, m.arena);
  }
  void send_text(H2Message& m, std::string text) {
    m.sent.push_back(std::make_unique<std::string>(std::move(text)));
    codec->send_data(m.stream, base::View(std::string_view(*m.sent.back())));
  }
  void send_trailers(H2Message& m, const Pairs& fields) {
    auto* list = m.arena.make<FieldList>(&m.arena);
    for (const auto& [name, value] : fields) list->add(name, value);
    codec->send_end(m.stream, list);
  }
  void destroy(H2Message& m) {
    for (auto it = messages.begin(); it != messages.end(); ++it) {
      if (it->get() == &m) {
        messages.erase(it);
        return;
      }
    }
  }
  H2Message& last() { return *messages.back(); }
  bool failed() const { return codec->failure().code != H2Error::kNone; }

  H2Options options;
  base::Slab slab;
  base::BlockPool blocks;
  base::H2Cells cells;
  base::MonoNs now = base::kNsPerSec;
  bool open = true;     // requests that begin are opened
  bool repent = false;  // and given up at once
  bool consume = true;  // bodies are consumed as they come
  bool started = false;
  bool sent_ok = false;
  int num_goaways = 0;
  int num_settings = 0;
  int num_pongs = 0;
  int num_begun = 0;
  uint64_t num_feeds = 0;
  std::unique_ptr<H2Codec> codec;
  std::vector<std::unique_ptr<H2Message>> messages;  // destroyed before the codec

 private:
  H2Message& add() {
    messages.push_back(std::make_unique<H2Message>(blocks));
    return *messages.back();
  }

  void handle(const H2Codec::Event& event) {
    using Kind = H2Codec::Event::Kind;
    H2Message* const m =
        event.stream == nullptr ? nullptr : static_cast<H2Message*>(event.stream->owner());
    switch (event.kind) {
      case Kind::kNone:
      case Kind::kFailed:
        break;
      case Kind::kBegin:
        ++num_begun;
        if (open) {
          H2Message& begun = add();
          codec->open(&begun.stream, &begun.request, &begun.arena);
          if (repent) destroy(begun);
        }
        break;
      case Kind::kInterim:
        m->interims.push_back(m->response.status);
        break;
      case Kind::kHead:
        m->has_head = true;
        m->too_large = event.too_large;
        m->too_many = event.too_many;
        m->ended = event.end;
        break;
      case Kind::kData:
        m->body.append(event.data.data, event.data.size);
        if (event.end) m->ended = true;
        if (consume) codec->consume(m->stream, event.data.size);
        break;
      case Kind::kTrailers:
        m->has_trailers = true;
        m->ended = true;
        break;
      case Kind::kGoaway:
        ++num_goaways;
        break;
      case Kind::kSettings:
        ++num_settings;
        break;
      case Kind::kPong:
        ++num_pongs;
        break;
    }
  }
  void take_news() {
    uint8_t news = 0;
    while (H2Stream* const stream = codec->take_news(&news)) {
      static_cast<H2Message*>(stream->owner())->news |= news;
    }
  }
};

// Carries bytes both ways until nobody has any.
inline void pump(H2Peer& a, H2Peer& b, size_t piece = std::numeric_limits<size_t>::max()) {
  for (;;) {
    const std::string from_a = a.produce();
    b.receive(from_a, piece);
    const std::string from_b = b.produce();
    a.receive(from_b, piece);
    if (from_a.empty() && from_b.empty()) return;
  }
}

}  // namespace sluice::http::test
