#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "http/h2_frame.h"

namespace sluice::http::test {

// HTTP/2 as bytes, written plainly: for what no codec would send.
using Type = H2Frame::Type;
using Pairs = std::vector<std::pair<std::string_view, std::string_view>>;

constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

inline std::string raw_frame(uint8_t type, uint8_t flags, int32_t id, std::string_view payload) {
  H2Frame f;
  f.length = static_cast<uint32_t>(payload.size());
  f.type = type;
  f.flags = flags;
  f.stream_id = id;
  uint8_t header[H2Frame::kHeaderBytes];
  f.write(header);
  return std::string(reinterpret_cast<char*>(header), sizeof(header)) + std::string(payload);
}
inline std::string frame(Type type, uint8_t flags, int32_t id, std::string_view payload = {}) {
  return raw_frame(static_cast<uint8_t>(type), flags, id, payload);
}
inline std::string u32(uint32_t n) {
  uint8_t b[4];
  H2Frame::write32(b, n);
  return {reinterpret_cast<char*>(b), 4};
}
inline std::string u16(unsigned n) {
  return {static_cast<char>(n >> 8 & 0xff), static_cast<char>(n & 0xff)};
}
inline std::string setting(unsigned id, uint32_t value) { return u16(id) + u32(value); }
inline std::string settings(std::string_view entries = {}) {
  return frame(Type::kSettings, 0, 0, entries);
}
inline std::string hello() { return std::string(kPreface) + settings(); }
inline std::string settings_ack() { return frame(Type::kSettings, H2Frame::kAck, 0); }
inline std::string ping() { return frame(Type::kPing, 0, 0, "12345678"); }
inline std::string reset(int32_t id, uint32_t code) {
  return frame(Type::kReset, 0, id, u32(code));
}
inline std::string window_update(int32_t id, uint32_t by) {
  return frame(Type::kWindowUpdate, 0, id, u32(by));
}
inline std::string data(int32_t id, bool end, std::string_view bytes) {
  return frame(Type::kData, end ? H2Frame::kEndStream : 0, id, bytes);
}
inline std::string padded_data(int32_t id, bool end, std::string_view bytes, size_t padding) {
  const auto flags =
      static_cast<uint8_t>(H2Frame::kPadded | (end ? H2Frame::kEndStream : uint8_t{0}));
  return frame(
      Type::kData, flags, id,
      std::string(1, static_cast<char>(padding)) + std::string(bytes) + std::string(padding, '\0'));
}

// RFC 7541 5.1, with `bits` of prefix below `high`.
inline std::string integer(uint8_t high, int bits, size_t n) {
  const auto most = static_cast<size_t>((1 << bits) - 1);
  if (n < most) return {static_cast<char>(high | n)};
  std::string out{static_cast<char>(high | most)};
  for (n -= most; n >= 128; n >>= 7) out += static_cast<char>(n % 128 + 128);
  out += static_cast<char>(n);
  return out;
}
// RFC 7541 6.2: 0x00 without indexing, 0x40 with; the name spelled out.
inline std::string literal(std::string_view name, std::string_view value, uint8_t how = 0) {
  return std::string(1, static_cast<char>(how)) + integer(0, 7, name.size()) + std::string(name) +
         integer(0, 7, value.size()) + std::string(value);
}
inline std::string indexed(size_t index) { return integer(0x80, 7, index); }
inline std::string block(const Pairs& fields) {
  std::string out;
  for (const auto& [name, value] : fields) out += literal(name, value);
  return out;
}
inline std::string request_block(std::string_view method, std::string_view path,
                                 const Pairs& fields = {}) {
  return block({{":method", method}, {":scheme", "http"}, {":authority", "a"}, {":path", path}}) +
         block(fields);
}
inline std::string headers(int32_t id, bool end, std::string_view fields) {
  return frame(Type::kHeaders,
               static_cast<uint8_t>(H2Frame::kEndHeaders | (end ? H2Frame::kEndStream : 0)), id,
               fields);
}
inline std::string get(int32_t id, const Pairs& fields = {}) {
  return headers(id, true, request_block("GET", "/t", fields));
}
inline std::string post(int32_t id, const Pairs& fields = {}) {
  return headers(id, false, request_block("POST", "/t", fields));
}
// The same block over HEADERS and CONTINUATIONs of at most `piece` bytes.
inline std::string continued(int32_t id, bool end, std::string_view fields, size_t piece) {
  std::string out;
  for (size_t at = 0; at == 0 || at < fields.size(); at += piece) {
    const bool last = at + piece >= fields.size();
    const auto flags = static_cast<uint8_t>((last ? H2Frame::kEndHeaders : 0) |
                                            (at == 0 && end ? H2Frame::kEndStream : 0));
    out +=
        frame(at == 0 ? Type::kHeaders : Type::kContinuation, flags, id, fields.substr(at, piece));
  }
  return out;
}

// What a peer answered, frame by frame.
struct WireFrame {
  H2Frame head;
  std::string payload;
};
inline std::vector<WireFrame> frames_of(std::string_view bytes) {
  std::vector<WireFrame> out;
  if (bytes.starts_with(kPreface)) bytes.remove_prefix(kPreface.size());
  while (bytes.size() >= H2Frame::kHeaderBytes) {
    WireFrame f;
    f.head = H2Frame::read(reinterpret_cast<const uint8_t*>(bytes.data()));
    f.payload = std::string(bytes.substr(H2Frame::kHeaderBytes, f.head.length));
    bytes.remove_prefix(std::min<size_t>(bytes.size(), H2Frame::kHeaderBytes + f.head.length));
    out.push_back(std::move(f));
  }
  return out;
}
inline uint32_t code_of(const WireFrame& f) {
  const auto* const at = reinterpret_cast<const uint8_t*>(f.payload.data());
  return H2Frame::read32(f.head.is(Type::kGoaway) ? at + 4 : at);
}
// Error codes of all resets, and of the last GOAWAY (-1: none).
struct Answer {
  std::vector<std::pair<int32_t, uint32_t>> resets;
  int64_t goaway = -1;
  int32_t goaway_last_id = -1;
  int num_goaways = 0;
  std::vector<WireFrame> frames;
};
inline Answer answer_of(std::string_view bytes) {
  Answer a;
  a.frames = frames_of(bytes);
  for (const WireFrame& f : a.frames) {
    if (f.head.is(Type::kReset)) a.resets.emplace_back(f.head.stream_id, code_of(f));
    if (f.head.is(Type::kGoaway)) {
      a.goaway = code_of(f);
      a.goaway_last_id =
          static_cast<int32_t>(H2Frame::read32(reinterpret_cast<const uint8_t*>(f.payload.data())));
      ++a.num_goaways;
    }
  }
  return a;
}

}  // namespace sluice::http::test
