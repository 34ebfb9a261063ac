#pragma once

#include <nghttp2/nghttp2.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/support/sockets.h"

namespace sluice::testing {

using Fields = std::vector<std::pair<std::string, std::string>>;
// Of the first field with that name; "" when missing.
std::string value_of(const Fields& fields, std::string_view name);

// H2Peer is a client or a server of HTTP/2 on a blocking socket, made of nghttp2 alone, so that
// what it sees is not what our own codec thinks. Nothing happens but inside run_until() and the
// calls that send. Every wait has a deadline. One thread.
class H2Peer {
 public:
  enum class Role : uint8_t { kClient, kServer };
  struct Options {
    std::vector<nghttp2_settings_entry> settings;
    bool gives_window = true;  // false: what was received never opens a window
  };
  struct Stream {
    Fields head;
    Fields trailers;
    std::vector<int> interims;
    std::string body;
    bool head_done = false;
    bool ended = false;             // END_STREAM was received
    bool closed = false;            // both ways, or reset
    bool handled = false;           // for serve()
    std::optional<uint32_t> reset;  // received
    int status() const;
  };
  struct Goaway {
    int32_t last_id;
    uint32_t code;
  };

  H2Peer(Socket socket, Role role) : H2Peer(std::move(socket), role, Options()) {}
  H2Peer(Socket socket, Role role, Options options);
  ~H2Peer();
  H2Peer(const H2Peer&) = delete;
  H2Peer& operator=(const H2Peer&) = delete;

  // Client. `end`: no body. The stream's id.
  int32_t request(const Fields& fields, bool end = true);
  int32_t get(std::string_view path);
  // Server.
  void interim(int32_t id, int status);
  void respond(int32_t id, const Fields& fields, bool end);
  // Both.
  void data(int32_t id, std::string_view bytes, bool end);
  void trailers(int32_t id, const Fields& fields);
  void reset(int32_t id, uint32_t code);
  void goaway(int32_t last_id, uint32_t code = 0);
  // Bytes as they are, behind what was queued.
  void raw(std::string_view bytes);
  // Writes what can be written without waiting.
  void flush();

  // Sends and receives until `done`; false: the connection ended or time ran out before.
  bool run_until(const std::function<bool()>& done);
  // Until the peer closed the connection.
  bool run_until_closed();
  bool run_until_ended(int32_t id) {
    return run_until([&] { return stream(id).ended || stream(id).closed; });
  }
  // Server: calls `handle(id)` once for each request, when its head (`at_head`) or all of it came,
  // until the connection ends.
  void serve(const std::function<void(int32_t id)>& handle, bool at_head = false);

  Stream& stream(int32_t id) { return streams_[id]; }
  std::map<int32_t, Stream>& streams() { return streams_; }
  const std::vector<Goaway>& goaways() const { return goaways_; }
  uint32_t pings() const { return pings_; }  // each was answered by nghttp2
  uint32_t pongs() const { return pongs_; }
  bool settled() const { return settled_; }  // the peer's SETTINGS came
  bool closed() const { return closed_; }
  uint32_t setting(nghttp2_settings_id id) const;
  Socket& socket() { return socket_; }

 private:
  friend struct H2PeerCallbacks;
  struct Out {
    std::string bytes;
    size_t at = 0;
    bool end = false;
    bool deferred = false;
    bool begun = false;
    std::optional<Fields> trailers;
  };
  nghttp2_data_provider provider();
  bool pump(int wait_ms);

  Socket socket_;
  nghttp2_session* session_ = nullptr;
  std::string out_;
  std::map<int32_t, Stream> streams_;
  std::map<int32_t, Out> sending_;
  std::vector<Goaway> goaways_;
  uint32_t pings_ = 0;
  uint32_t pongs_ = 0;
  bool settled_ = false;
  bool closed_ = false;
  bool gives_window_;
};

// One frame as it is on the wire.
std::string h2_frame(uint8_t type, uint8_t flags, int32_t stream, std::string_view payload);
// Field lines without compression: literals, not indexed, no Huffman code.
std::string h2_block(const Fields& fields);
constexpr std::string_view kH2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

}  // namespace sluice::testing
