#include "xds/wire.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>

#include "base/text.h"

namespace sluice::xds {
namespace {

constexpr std::string_view kWrapperUrl = "type.googleapis.com/envoy.service.discovery.v3.Resource";
constexpr int kMaxDepth = 100;  // protobuf's default

// Reads tags and values as protobuf's parser does; after a fault every read fails.
class Reader {
 public:
  Reader(std::string_view bytes, int depth) noexcept
      : at_(bytes.data()), end_(bytes.data() + bytes.size()), depth_(depth) {}

  bool ok() const noexcept { return ok_; }

  // The next tag; false at the end or after a fault.
  bool next() noexcept {
    if (!ok_ || at_ == end_) return false;
    const std::optional<uint32_t> tag = read_tag();
    if (!tag) return fail();
    field_ = *tag >> 3;
    type_ = *tag & 7;
    return field_ != 0 && type_ != 4 ? true : fail();
  }

  // True if the current field is `field`, of length-delimited type, and was read.
  bool bytes(uint32_t field, std::string_view& out) noexcept {
    return is(field, 2) && read_bytes(out);
  }
  bool text(uint32_t field, std::string_view& out) noexcept {
    if (!bytes(field, out)) return false;
    if (!is_utf8(out)) fail();
    return true;
  }
  bool varint(uint32_t field, uint64_t& out) noexcept { return is(field, 0) && read_varint(out); }

  // Skips the current field, if nobody read it.
  void skip() noexcept {
    if (ok_ && !taken_) skip_value(field_, type_, depth_);
  }

  int depth() const noexcept { return depth_; }
  bool fail() noexcept {
    ok_ = false;
    return false;
  }

  // Starts the handling of a field: nothing of it is read yet.
  void begin() noexcept { taken_ = false; }

 private:
  bool is(uint32_t field, uint32_t type) noexcept {
    if (!ok_ || taken_ || field_ != field || type_ != type) return false;
    taken_ = true;
    return true;
  }

  std::optional<uint32_t> read_tag() noexcept {
    uint32_t tag = 0;
    for (int i = 0; i < 5 && at_ != end_; ++i) {
      const auto byte = static_cast<uint8_t>(*at_++);
      tag |= static_cast<uint32_t>(byte & 0x7f) << (7 * i);
      if (byte < 0x80) return tag;
    }
    return std::nullopt;
  }

  bool read_varint(uint64_t& out) noexcept {
    out = 0;
    for (int i = 0; i < 10 && at_ != end_; ++i) {
      const auto byte = static_cast<uint8_t>(*at_++);
      out |= static_cast<uint64_t>(byte & 0x7f) << (7 * i);
      if (byte < 0x80) return true;
    }
    return fail();
  }

  bool read_bytes(std::string_view& out) noexcept {
    uint64_t size = 0;
    for (int i = 0;; ++i) {
      if (i == 5 || at_ == end_) return fail();
      const auto byte = static_cast<uint8_t>(*at_++);
      size |= static_cast<uint64_t>(byte & 0x7f) << (7 * i);
      if (byte < 0x80) break;
    }
    if (size > static_cast<uint64_t>(end_ - at_)) return fail();
    out = std::string_view(at_, size);
    at_ += size;
    return true;
  }

  bool skip_value(uint32_t field, uint32_t type, int depth) noexcept {
    uint64_t number;
    std::string_view text;
    switch (type) {
      case 0:
        return read_varint(number);
      case 1:
        return advance(8);
      case 2:
        return read_bytes(text);
      case 3:
        return skip_group(field, depth - 1);
      case 5:
        return advance(4);
      default:
        return fail();
    }
  }

  bool skip_group(uint32_t field, int depth) noexcept {
    if (depth < 0) return fail();
    while (at_ != end_) {
      const std::optional<uint32_t> tag = read_tag();
      if (!tag || *tag >> 3 == 0) return fail();
      if ((*tag & 7) == 4) return *tag >> 3 == field ? true : fail();
      if (!skip_value(*tag >> 3, *tag & 7, depth)) return false;
    }
    return fail();
  }

  bool advance(ptrdiff_t count) noexcept {
    if (end_ - at_ < count) return fail();
    at_ += count;
    return true;
  }

  const char* at_;
  const char* end_;
  int depth_;
  uint32_t field_ = 0;
  uint32_t type_ = 0;
  bool taken_ = false;
  bool ok_ = true;
};

// Calls fn(reader) for each field, which reads those it knows; the others are skipped.
template <typename Fn>
bool for_each_field(std::string_view bytes, int depth, Fn&& fn) {
  Reader reader(bytes, depth);
  while (reader.next()) {
    reader.begin();
    fn(reader);
    reader.skip();
  }
  return reader.ok();
}

struct AnyView {
  std::string_view type_url;
  std::string_view value;
};

bool read_any(std::string_view bytes, int depth, AnyView& any) {
  return for_each_field(bytes, depth, [&](Reader& reader) {
    reader.text(1, any.type_url);
    reader.bytes(2, any.value);
  });
}

bool read_duration(std::string_view bytes, int depth, int64_t& seconds, int32_t& nanos) {
  return for_each_field(bytes, depth, [&](Reader& reader) {
    uint64_t number;
    if (reader.varint(1, number)) seconds = static_cast<int64_t>(number);
    if (reader.varint(2, number)) nanos = static_cast<int32_t>(number);
  });
}

int64_t clamped_ns(int64_t seconds, int32_t nanos) noexcept {
  constexpr int64_t kMaxSeconds = 9'000'000'000;  // 285 years
  return std::clamp<int64_t>(seconds, 0, kMaxSeconds) * 1'000'000'000 + std::max(nanos, 0);
}

// Fills `resource` from the bytes of a wrapper.
bool unwrap(std::string_view bytes, WireResource& resource) {
  AnyView any;
  int64_t seconds = 0;
  int32_t nanos = 0;
  bool has_ttl = false;
  resource.has_body = false;
  const bool read = for_each_field(bytes, kMaxDepth, [&](Reader& reader) {
    std::string_view sub;
    reader.text(1, resource.version);
    reader.text(3, resource.name);
    if (reader.text(4, sub)) resource.aliases.push_back(sub);
    if (reader.bytes(2, sub)) {
      resource.has_body = true;
      if (!read_any(sub, reader.depth() - 1, any)) reader.fail();
    }
    if (reader.bytes(6, sub)) {
      has_ttl = true;
      if (!read_duration(sub, reader.depth() - 1, seconds, nanos)) reader.fail();
    }
  });
  resource.type_url = any.type_url;
  resource.bytes = any.value;
  if (has_ttl) resource.ttl_ns = clamped_ns(seconds, nanos);
  return read;
}

uint64_t mix(uint64_t h) noexcept {
  h = (h ^ (h >> 33)) * 0xff51afd7ed558ccdULL;
  h = (h ^ (h >> 33)) * 0xc4ceb9fe1a85ec53ULL;
  return h ^ (h >> 33);
}

// Hashes what is in `resource`, adds it to the response's hash, and reads the name where the
// wrapper has none. `whole` is the hash of all that is around the message.
void finish(WireResource& resource, uint64_t whole, std::string_view response_url, uint64_t& sum) {
  resource.hash = hash_of(resource.bytes);
  sum += mix(resource.hash + whole +
             (resource.type_url == response_url ? 0 : hash_of(resource.type_url)));
  if (!resource.readable || !resource.has_body || !resource.name.empty()) return;
  const Type type = type_of_url(resource.type_url);
  if (type == Type::kCount) return;
  const auto name = name_of(type, resource.bytes);
  resource.readable = name.ok();
  if (name.ok()) resource.name = *name;
}

void complete(WireResource& resource, const AnyView& any, std::string_view response_url,
              uint64_t& sum) {
  resource.type_url = any.type_url;
  resource.bytes = any.value;
  uint64_t whole = 0;
  if (any.type_url == kWrapperUrl) {
    resource.wrapped = true;
    whole = mix(hash_of(any.value));
    resource.readable = unwrap(any.value, resource);
  }
  finish(resource, whole, response_url, sum);
}

bool read_control_plane(std::string_view bytes, int depth, std::string_view& identifier) {
  return for_each_field(bytes, depth, [&](Reader& reader) { reader.text(1, identifier); });
}

uint64_t load64(const char* at) noexcept {
  uint64_t value;
  std::memcpy(&value, at, sizeof(value));
  return value;
}

uint32_t load32(const char* at) noexcept {
  uint32_t value;
  std::memcpy(&value, at, sizeof(value));
  return value;
}

// XXH64 (its specification's names for the primes).
constexpr uint64_t kPrime1 = 0x9E3779B185EBCA87ULL;
constexpr uint64_t kPrime2 = 0xC2B2AE3D27D4EB4FULL;
constexpr uint64_t kPrime3 = 0x165667B19E3779F9ULL;
constexpr uint64_t kPrime4 = 0x85EBCA77C2B2AE63ULL;
constexpr uint64_t kPrime5 = 0x27D4EB2F165667C5ULL;

uint64_t xx_round(uint64_t acc, uint64_t input) noexcept {
  return std::rotl(acc + input * kPrime2, 31) * kPrime1;
}

uint64_t xx_merge(uint64_t hash, uint64_t acc) noexcept {
  return (hash ^ xx_round(0, acc)) * kPrime1 + kPrime4;
}

uint64_t xx_stripes(const char*& at, const char* end) noexcept {
  uint64_t a = kPrime1 + kPrime2, b = kPrime2, c = 0, d = 0 - kPrime1;
  for (; end - at >= 32; at += 32) {
    a = xx_round(a, load64(at));
    b = xx_round(b, load64(at + 8));
    c = xx_round(c, load64(at + 16));
    d = xx_round(d, load64(at + 24));
  }
  uint64_t hash = std::rotl(a, 1) + std::rotl(b, 7) + std::rotl(c, 12) + std::rotl(d, 18);
  for (const uint64_t acc : {a, b, c, d}) hash = xx_merge(hash, acc);
  return hash;
}

uint64_t xx_tail(uint64_t hash, const char* at, const char* end) noexcept {
  for (; end - at >= 8; at += 8) {
    hash = std::rotl(hash ^ xx_round(0, load64(at)), 27) * kPrime1 + kPrime4;
  }
  if (end - at >= 4) {
    hash = std::rotl(hash ^ (load32(at) * kPrime1), 23) * kPrime2 + kPrime3;
    at += 4;
  }
  for (; at != end; ++at) {
    hash = std::rotl(hash ^ (static_cast<uint8_t>(*at) * kPrime5), 11) * kPrime1;
  }
  return hash;
}

void put_varint(std::string& out, uint64_t value) {
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<char>(value | 0x80));
  out.push_back(static_cast<char>(value));
}

void put_bytes(std::string& out, uint32_t field, std::string_view bytes) {
  put_varint(out, field << 3 | 2);
  put_varint(out, bytes.size());
  out.append(bytes);
}

void put_if(std::string& out, uint32_t field, std::string_view bytes) {
  if (!bytes.empty()) put_bytes(out, field, bytes);
}

}  // namespace

absl::StatusOr<WireResponse> split_response(std::string_view bytes) {
  WireResponse response;
  std::vector<AnyView> anys;
  const bool read = for_each_field(bytes, kMaxDepth, [&](Reader& reader) {
    std::string_view sub;
    reader.text(1, response.version);
    reader.text(4, response.type_url);
    reader.text(5, response.nonce);
    if (reader.bytes(2, sub) && !read_any(sub, reader.depth() - 1, anys.emplace_back())) {
      reader.fail();
    }
    if (reader.bytes(6, sub) &&
        !read_control_plane(sub, reader.depth() - 1, response.control_plane)) {
      reader.fail();
    }
  });
  if (!read)
    return absl::InvalidArgumentError("not a DiscoveryResponse: the message is cut or broken");

  uint64_t sum = 0;
  response.resources.resize(anys.size());
  for (size_t i = 0; i < anys.size(); ++i) {
    complete(response.resources[i], anys[i], response.type_url, sum);
  }
  response.content_hash = mix(sum + anys.size()) ^ mix(hash_of(response.type_url));
  return response;
}

absl::StatusOr<WireResponse> split_delta_response(std::string_view bytes) {
  WireResponse response;
  std::vector<std::string_view> wrappers;
  const bool read = for_each_field(bytes, kMaxDepth, [&](Reader& reader) {
    std::string_view sub;
    reader.text(1, response.version);
    if (reader.bytes(2, sub)) wrappers.push_back(sub);
    reader.text(4, response.type_url);
    reader.text(5, response.nonce);
    if (reader.text(6, sub)) response.removed.push_back(sub);
    if (reader.bytes(7, sub) &&
        !read_control_plane(sub, reader.depth() - 1, response.control_plane)) {
      reader.fail();
    }
  });
  if (!read) {
    return absl::InvalidArgumentError("not a DeltaDiscoveryResponse: the message is cut or broken");
  }

  uint64_t sum = 0;
  response.resources.resize(wrappers.size());
  for (size_t i = 0; i < wrappers.size(); ++i) {
    WireResource& resource = response.resources[i];
    resource.wrapped = true;
    resource.readable = unwrap(wrappers[i], resource);
    finish(resource, mix(hash_of(wrappers[i])), response.type_url, sum);
  }
  for (const std::string_view name : response.removed) sum += mix(~hash_of(name));
  response.content_hash =
      mix(sum + wrappers.size()) ^ mix(hash_of(response.type_url)) ^ response.removed.size();
  return response;
}

absl::StatusOr<std::string_view> name_of(Type type, std::string_view bytes) {
  // Of all types but LbEndpoint, which has none.
  const uint32_t field = type == Type::kLbEndpoint ? 0 : 1;
  std::string_view name;
  if (!for_each_field(bytes, kMaxDepth, [&](Reader& reader) { reader.text(field, name); })) {
    return absl::InvalidArgumentError("the message is cut or broken");
  }
  return name;
}

namespace {

size_t size_of(const std::vector<std::string_view>& names) {
  size_t size = 0;
  for (const std::string_view name : names) size += name.size() + 6;
  return size;
}

void put_error(std::string& out, uint32_t field, std::string_view error) {
  if (error.empty()) return;
  std::string status;
  put_varint(status, 1 << 3);
  put_varint(status, kNackCode);
  put_bytes(status, 2, error);
  put_bytes(out, field, status);
}

}  // namespace

std::string encode_request(const WireRequest& request) {
  std::string out;
  out.reserve(64 + request.node.size() + request.version.size() + request.type_url.size() +
              request.nonce.size() + request.error.size() + size_of(request.names));
  put_if(out, 1, request.version);
  put_if(out, 2, request.node);
  for (const std::string_view name : request.names) put_bytes(out, 3, name);
  put_if(out, 4, request.type_url);
  put_if(out, 5, request.nonce);
  put_error(out, 6, request.error);
  return out;
}

std::string encode_request(const WireDeltaRequest& request) {
  std::string out;
  out.reserve(64 + request.node.size() + request.type_url.size() + request.nonce.size() +
              request.error.size() + size_of(request.subscribe) + size_of(request.unsubscribe));
  put_if(out, 1, request.node);
  put_if(out, 2, request.type_url);
  for (const std::string_view name : request.subscribe) put_bytes(out, 3, name);
  for (const std::string_view name : request.unsubscribe) put_bytes(out, 4, name);
  std::string entry;
  for (const auto& [name, version] : request.initial_versions) {
    entry.clear();
    put_bytes(entry, 1, name);
    put_bytes(entry, 2, version);
    put_bytes(out, 5, entry);
  }
  put_if(out, 6, request.nonce);
  put_error(out, 7, request.error);
  return out;
}

uint64_t hash_of(std::string_view bytes) noexcept {
  const char* at = bytes.data();
  const char* end = at + bytes.size();
  uint64_t hash = bytes.size() >= 32 ? xx_stripes(at, end) : kPrime5;
  hash = xx_tail(hash + bytes.size(), at, end);
  hash = (hash ^ (hash >> 33)) * kPrime2;
  hash = (hash ^ (hash >> 29)) * kPrime3;
  return hash ^ (hash >> 32);
}

bool is_utf8(std::string_view text) noexcept {
  const auto* at = reinterpret_cast<const uint8_t*>(text.data());
  const auto* end = at + text.size();
  const auto tail = [&](int count, uint8_t low, uint8_t high) {
    if (end - at < count + 1 || at[1] < low || at[1] > high) return false;
    for (int i = 2; i <= count; ++i) {
      if ((at[i] & 0xc0) != 0x80) return false;
    }
    at += count + 1;
    return true;
  };
  while (at != end) {
    const uint8_t c = *at;
    if (c < 0x80) {
      ++at;
    } else if (c < 0xc2 || c > 0xf4) {
      return false;
    } else if (c < 0xe0) {
      if (!tail(1, 0x80, 0xbf)) return false;
    } else if (c < 0xf0) {
      if (!tail(2, c == 0xe0 ? 0xa0 : 0x80, c == 0xed ? 0x9f : 0xbf)) return false;
    } else if (!tail(3, c == 0xf0 ? 0x90 : 0x80, c == 0xf4 ? 0x8f : 0xbf)) {
      return false;
    }
  }
  return true;
}

Type type_of_url(std::string_view type_url) noexcept {
  for (size_t i = 0; i < static_cast<size_t>(Type::kCount); ++i) {
    if (type_url_of(static_cast<Type>(i)) == type_url) return static_cast<Type>(i);
  }
  return Type::kCount;
}

}  // namespace sluice::xds
