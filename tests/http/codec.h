#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/arena.h"
#include "base/buffer.h"
#include "http/h1_body.h"
#include "http/h1_parser.h"
#include "http/h1_writer.h"
#include "http/path.h"

namespace sluice::http {

// What a proxy does with the bytes of one connection, without sockets: parse, normalise, strip,
// write, decode the body and chunk it again, until the bytes end or are refused.
struct Relayed {
  std::vector<std::string> messages;  // as they leave, head and body
  base::Reason reason = base::Reason::kNone;
  bool incomplete = false;  // the bytes ended inside a message
  bool keep_alive = true;
  int num_interim = 0;
};

inline std::string text_of(const base::Chain& chain) {
  std::string out;
  chain.for_each([&out](const base::View& view) { out.append(view.text()); });
  return out;
}

// One message, fed in pieces that end at `cuts` (offsets into `bytes`); returns what was used.
// Everything received lies in one large block, as a session would have it.
class Relay {
 public:
  explicit Relay(H1Options options = {}) : options_(options) {}

  Relayed requests(std::string_view bytes, const std::vector<size_t>& cuts) {
    return run(bytes, cuts, true, Method::kGet);
  }
  Relayed response(std::string_view bytes, const std::vector<size_t>& cuts, Method method) {
    return run(bytes, cuts, false, method);
  }
  PathOptions path_options;

 private:
  struct Feed {
    base::BlockRef block;
    std::string_view bytes;
    std::vector<size_t> cuts;
    size_t next_cut = 0;
    size_t begin = 0;  // first byte that is not used yet

    // Receives up to the next cut; false at the end.
    bool more() {
      const size_t filled = block->filled();
      if (filled == bytes.size()) return false;
      size_t to = bytes.size();
      while (next_cut < cuts.size() && cuts[next_cut] <= filled) ++next_cut;
      if (next_cut < cuts.size()) to = std::min(to, cuts[next_cut]);
      std::memcpy(block->tail(), bytes.data() + filled, to - filled);
      block->fill(static_cast<uint32_t>(to - filled));
      return true;
    }
    size_t size() const { return block->filled() - begin; }
    char* data() const { return block->data() + begin; }
  };

  Relayed run(std::string_view bytes, const std::vector<size_t>& cuts, bool is_request,
              Method method) {
    Relayed result;
    Feed feed;
    feed.block = base::BlockRef::adopt(pool_.get_large());
    feed.bytes = bytes.substr(0, feed.block->capacity());
    feed.cuts = cuts;
    while (result.keep_alive && (feed.size() != 0 || feed.more())) {
      base::Arena arena(pool_);
      if (!(is_request ? one_request(&feed, arena, &result)
                       : one_response(&feed, arena, method, &result))) {
        break;
      }
    }
    return result;
  }

  bool one_request(Feed* feed, base::Arena& arena, Relayed* result) {
    RequestHead head;
    head.fields.bind(&arena);
    const bool ok = head_of(feed, result, [&](size_t scanned) {
      return parse_request_head(feed->data(), feed->size(), scanned, options_, &head);
    });
    if (!ok) return false;
    const PathResult path = normalise_path(&head, path_options);
    if (path.kind == PathResult::Kind::kReject) return refuse(path.reason, result);
    head.upgrade = false;
    strip_hop_by_hop(&head);
    base::Chain out;
    if (!write_request_head(&head, feed->block, arena, &out)) {
      return refuse(base::Reason::kInternal, result);
    }
    result->keep_alive = head.keep_alive;
    return body(feed, head.framing, head.framing, arena, &out, result);
  }

  bool one_response(Feed* feed, base::Arena& arena, Method method, Relayed* result) {
    ResponseHead head;
    head.fields.bind(&arena);
    const bool ok = head_of(feed, result, [&](size_t scanned) {
      return parse_response_head(feed->data(), feed->size(), scanned, options_, method, &head);
    });
    if (!ok) return false;
    if (head.status == 101) return refuse(base::Reason::kUpstreamProtocolError, result);
    if (head.status < 200) {
      if (++result->num_interim > 16) return refuse(base::Reason::kUpstreamProtocolError, result);
      return true;
    }
    strip_hop_by_hop(&head);
    base::Chain out;
    ResponseWrite how;
    how.framing = framing_for(head, method, 1);
    how.to_head = method == Method::kHead;
    if (!write_response_head(&head, how, feed->block, arena, &out)) {
      return refuse(base::Reason::kInternal, result);
    }
    result->keep_alive = false;  // one final response
    return body(feed, head.framing, how.framing, arena, &out, result);
  }

  template <typename Parse>
  bool head_of(Feed* feed, Relayed* result, Parse&& parse) {
    size_t scanned = 0;
    for (;;) {
      const HeadResult head = parse(scanned);
      if (head.status == HeadResult::Status::kBad) return refuse(head.reason, result);
      if (head.status == HeadResult::Status::kDone) {
        feed->begin += head.consumed;
        return true;
      }
      scanned = feed->size();
      if (!feed->more()) {
        result->incomplete = true;
        return false;
      }
    }
  }

  bool body(Feed* feed, const Framing& in, const Framing& out_framing, base::Arena& arena,
            base::Chain* out, Relayed* result) {
    H1BodyDecoder decoder;
    decoder.start(in, &arena);
    ChunkWriter chunks;
    const bool chunked = out_framing.kind == Framing::Kind::kChunked;
    for (;;) {
      const H1BodyDecoder::Step step = decoder.next(feed->data(), feed->size());
      if (step.kind == H1BodyDecoder::Step::Kind::kBad) return refuse(step.reason, result);
      feed->begin += step.skip;
      base::Chain run;
      run.append(base::View(feed->data(), step.size, feed->block));
      feed->begin += step.size;
      if (chunked) {
        chunks.append_chunk(std::move(run), pool_, out);
      } else {
        out->append(std::move(run));
      }
      if (step.kind == H1BodyDecoder::Step::Kind::kEnd) break;
      if (feed->size() == 0 && !feed->more()) {
        if (decoder.on_eof()) break;
        result->incomplete = true;
        return false;
      }
    }
    if (chunked && !chunks.append_last(&decoder.trailers(), arena, out)) {
      return refuse(base::Reason::kInternal, result);
    }
    result->messages.push_back(text_of(*out));
    return true;
  }

  static bool refuse(base::Reason reason, Relayed* result) {
    result->reason = reason;
    result->keep_alive = false;
    return false;
  }

  H1Options options_;
  base::BlockPool pool_;
};

}  // namespace sluice::http
