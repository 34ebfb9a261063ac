#include "tests/support/h2_peer.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace sluice::testing {

namespace {

std::vector<nghttp2_nv> to_nv(const Fields& fields) {
  std::vector<nghttp2_nv> out;
  const auto bytes = [](const std::string& s) {
    return reinterpret_cast<uint8_t*>(const_cast<char*>(s.data()));
  };
  for (const auto& [name, value] : fields) {
    out.push_back({bytes(name), bytes(value), name.size(), value.size(), NGHTTP2_NV_FLAG_NONE});
  }
  return out;
}

}  // namespace

struct H2PeerCallbacks {
  static H2Peer& of(void* user) { return *static_cast<H2Peer*>(user); }

  static int header(nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name,
                    size_t name_size, const uint8_t* value, size_t value_size, uint8_t,
                    void* user) {
    auto& s = of(user).streams_[frame->hd.stream_id];
    auto& to = s.head_done ? s.trailers : s.head;
    to.emplace_back(std::string(reinterpret_cast<const char*>(name), name_size),
                    std::string(reinterpret_cast<const char*>(value), value_size));
    return 0;
  }
  static int data(nghttp2_session* session, uint8_t, int32_t id, const uint8_t* bytes, size_t size,
                  void* user) {
    of(user).streams_[id].body.append(reinterpret_cast<const char*>(bytes), size);
    if (of(user).gives_window_) nghttp2_session_consume(session, id, size);
    return 0;
  }
  static int frame(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    H2Peer& peer = of(user);
    const bool on_stream = frame->hd.stream_id != 0;
    switch (frame->hd.type) {
      case NGHTTP2_HEADERS: {
        auto& s = peer.streams_[frame->hd.stream_id];
        const int status = s.status();
        if (!s.head_done && status >= 100 && status < 200) {
          s.interims.push_back(status);
          s.head.clear();
        } else {
          s.head_done = true;
        }
        break;
      }
      case NGHTTP2_RST_STREAM:
        peer.streams_[frame->hd.stream_id].reset = frame->rst_stream.error_code;
        break;
      case NGHTTP2_GOAWAY:
        peer.goaways_.push_back({frame->goaway.last_stream_id, frame->goaway.error_code});
        break;
      case NGHTTP2_PING:
        ++(frame->hd.flags & NGHTTP2_FLAG_ACK ? peer.pongs_ : peer.pings_);
        break;
      case NGHTTP2_SETTINGS:
        if ((frame->hd.flags & NGHTTP2_FLAG_ACK) == 0) peer.settled_ = true;
        break;
      default:
        break;
    }
    const bool has_end = frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA;
    if (on_stream && has_end && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM)) {
      peer.streams_[frame->hd.stream_id].ended = true;
    }
    return 0;
  }
  static int close(nghttp2_session*, int32_t id, uint32_t, void* user) {
    of(user).streams_[id].closed = true;
    return 0;
  }
  static ssize_t read(nghttp2_session* session, int32_t id, uint8_t* to, size_t room,
                      uint32_t* flags, nghttp2_data_source*, void* user) {
    auto& out = of(user).sending_[id];
    const size_t n = std::min(room, out.bytes.size() - out.at);
    std::memcpy(to, out.bytes.data() + out.at, n);
    out.at += n;
    if (out.at < out.bytes.size()) return static_cast<ssize_t>(n);
    out.bytes.clear();
    out.at = 0;
    if (out.trailers) {
      *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
      const auto nv = to_nv(*out.trailers);
      nghttp2_submit_trailer(session, id, nv.data(), nv.size());
    } else if (out.end) {
      *flags |= NGHTTP2_DATA_FLAG_EOF;
    } else if (n == 0) {
      out.deferred = true;
      return NGHTTP2_ERR_DEFERRED;
    }
    return static_cast<ssize_t>(n);
  }
};

std::string value_of(const Fields& fields, std::string_view name) {
  for (const auto& [n, value] : fields) {
    if (n == name) return value;
  }
  return {};
}

int H2Peer::Stream::status() const { return std::atoi(value_of(head, ":status").c_str()); }

H2Peer::H2Peer(Socket socket, Role role, Options options)
    : socket_(std::move(socket)), gives_window_(options.gives_window) {
  nghttp2_session_callbacks* callbacks;
  nghttp2_session_callbacks_new(&callbacks);
  nghttp2_session_callbacks_set_on_header_callback(callbacks, &H2PeerCallbacks::header);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, &H2PeerCallbacks::data);
  nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, &H2PeerCallbacks::frame);
  nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, &H2PeerCallbacks::close);
  nghttp2_option* option;
  nghttp2_option_new(&option);
  nghttp2_option_set_no_auto_window_update(option, 1);
  if (role == Role::kClient) {
    nghttp2_session_client_new2(&session_, callbacks, this, option);
  } else {
    nghttp2_session_server_new2(&session_, callbacks, this, option);
  }
  nghttp2_option_del(option);
  nghttp2_session_callbacks_del(callbacks);
  nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, options.settings.data(),
                          options.settings.size());
}

H2Peer::~H2Peer() { nghttp2_session_del(session_); }

nghttp2_data_provider H2Peer::provider() {
  nghttp2_data_provider p{};
  p.read_callback = &H2PeerCallbacks::read;
  return p;
}

int32_t H2Peer::request(const Fields& fields, bool end) {
  const auto nv = to_nv(fields);
  nghttp2_data_provider body = provider();
  const int32_t id = nghttp2_submit_request(session_, nullptr, nv.data(), nv.size(),
                                            end ? nullptr : &body, nullptr);
  if (!end) sending_[id].begun = true;
  return id;
}

int32_t H2Peer::get(std::string_view path) {
  return request(
      {{":method", "GET"}, {":scheme", "http"}, {":authority", "h"}, {":path", std::string(path)}});
}

void H2Peer::interim(int32_t id, int status) {
  const Fields fields = {{":status", std::to_string(status)}};
  const auto nv = to_nv(fields);
  nghttp2_submit_headers(session_, NGHTTP2_FLAG_NONE, id, nullptr, nv.data(), nv.size(), nullptr);
}

void H2Peer::respond(int32_t id, const Fields& fields, bool end) {
  const auto nv = to_nv(fields);
  nghttp2_data_provider body = provider();
  nghttp2_submit_response(session_, id, nv.data(), nv.size(), end ? nullptr : &body);
  if (!end) sending_[id].begun = true;
}

void H2Peer::data(int32_t id, std::string_view bytes, bool end) {
  Out& out = sending_[id];
  out.bytes += bytes;
  out.end = out.end || end;
  if (std::exchange(out.deferred, false)) nghttp2_session_resume_data(session_, id);
}

void H2Peer::trailers(int32_t id, const Fields& fields) {
  Out& out = sending_[id];
  out.trailers = fields;
  if (std::exchange(out.deferred, false)) nghttp2_session_resume_data(session_, id);
}

void H2Peer::reset(int32_t id, uint32_t code) {
  nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, id, code);
}

void H2Peer::goaway(int32_t last_id, uint32_t code) {
  nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE, last_id, code, nullptr, 0);
}

void H2Peer::raw(std::string_view bytes) {
  flush();
  out_ += bytes;
  flush();
}

uint32_t H2Peer::setting(nghttp2_settings_id id) const {
  return nghttp2_session_get_remote_settings(session_, id);
}

void H2Peer::flush() { pump(0); }

// One round: writes what can be written, waits for the socket, reads what is there. False: closed.
bool H2Peer::pump(int wait_ms) {
  if (closed_) return false;
  const uint8_t* bytes;
  for (;;) {
    const ssize_t n = nghttp2_session_mem_send(session_, &bytes);
    if (n <= 0) break;
    out_.append(reinterpret_cast<const char*>(bytes), static_cast<size_t>(n));
  }
  size_t at = 0;
  while (at < out_.size()) {
    const ssize_t n =
        ::send(socket_.fd(), out_.data() + at, out_.size() - at, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n <= 0) break;
    at += static_cast<size_t>(n);
  }
  out_.erase(0, at);
  if (wait_ms == 0) return true;
  pollfd p{socket_.fd(), static_cast<short>(POLLIN | (out_.empty() ? 0 : POLLOUT)), 0};
  if (::poll(&p, 1, wait_ms) <= 0 || (p.revents & (POLLIN | POLLHUP | POLLERR)) == 0) return true;
  static thread_local char in[65536];
  const ssize_t n = ::recv(socket_.fd(), in, sizeof(in), MSG_DONTWAIT);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return true;
  if (n <= 0) {
    closed_ = true;
    return false;
  }
  if (nghttp2_session_mem_recv(session_, reinterpret_cast<uint8_t*>(in), static_cast<size_t>(n)) <
      0) {
    closed_ = true;
  }
  return !closed_;
}

bool H2Peer::run_until(const std::function<bool()>& done) {
  const auto until = std::chrono::steady_clock::now() + kPatience;
  while (!done()) {
    if (std::chrono::steady_clock::now() > until) return false;
    if (!pump(20)) return done();
  }
  flush();
  return true;
}

bool H2Peer::run_until_closed() {
  return run_until([&] { return closed_; });
}

void H2Peer::serve(const std::function<void(int32_t id)>& handle, bool at_head) {
  run_until([&] {
    for (auto& [id, s] : streams_) {
      if (s.handled || !s.head_done || (!at_head && !s.ended)) continue;
      s.handled = true;
      handle(id);
    }
    return closed_;
  });
}

std::string h2_frame(uint8_t type, uint8_t flags, int32_t stream, std::string_view payload) {
  const auto byte = [](size_t n) { return static_cast<char>(n & 0xff); };
  const size_t size = payload.size();
  const auto id = static_cast<size_t>(stream);
  std::string out = {byte(size >> 16), byte(size >> 8), byte(size),    byte(type), byte(flags),
                     byte(id >> 24),   byte(id >> 16),  byte(id >> 8), byte(id)};
  out += payload;
  return out;
}

std::string h2_block(const Fields& fields) {
  std::string out;
  const auto text = [&](const std::string& s) {
    size_t n = s.size();
    if (n < 127) {
      out += static_cast<char>(n);
    } else {
      out += '\x7f';
      for (n -= 127; n >= 128; n >>= 7) out += static_cast<char>((n & 0x7f) | 0x80);
      out += static_cast<char>(n);
    }
    out += s;
  };
  for (const auto& [name, value] : fields) {
    out += '\0';
    text(name);
    text(value);
  }
  return out;
}

}  // namespace sluice::testing
