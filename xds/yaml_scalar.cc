#include "xds/yaml_scalar.h"

#include <google/protobuf/util/time_util.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

namespace sluice::xds {
namespace {

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  return out;
}

template <typename N>
bool parse_all(std::string_view text, int base, N* out) {
  N value{};
  const char* const end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, value, base);
  if (error != std::errc() || at != end || text.empty()) return false;
  *out = value;
  return true;
}

template <typename N>
bool parse_integer(std::string_view text, bool plain, N* out) {
  if (text.starts_with('+')) text.remove_prefix(1);
  if (text.starts_with("0x") || text.starts_with("0X")) return parse_all(text.substr(2), 16, out);
  if (text.starts_with("0o")) return parse_all(text.substr(2), 8, out);
  if (plain && text.size() > 1 && text[0] == '0' && text[1] >= '0' && text[1] <= '9') {
    return parse_all(text.substr(1), 8, out);
  }
  if (parse_all(text, 10, out)) return true;
  double number = 0;  // 1e3, 2.0
  if (!parse_all(text, 0, &number)) return false;
  constexpr double kExact = 9007199254740992.0;  // 2^53
  if (number != std::floor(number) || std::fabs(number) > kExact) return false;
  if (number < 0 && std::is_unsigned_v<N>) return false;
  *out = static_cast<N>(number);
  return true;
}

template <>
bool parse_all<double>(std::string_view text, int, double* out) {
  double value = 0;
  const char* const end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || at != end || text.empty() || !std::isfinite(value)) return false;
  *out = value;
  return true;
}

bool digits(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

int base64_digit(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == '+' || c == '-') return 62;
  if (c == '/' || c == '_') return 63;
  return -1;
}

}  // namespace

bool scalar_bool(std::string_view text, bool plain, bool* out) {
  const std::string word = plain ? lower(text) : std::string(text);
  if (word == "true" || (plain && (word == "yes" || word == "on" || word == "y"))) {
    *out = true;
    return true;
  }
  if (word == "false" || (plain && (word == "no" || word == "off" || word == "n"))) {
    *out = false;
    return true;
  }
  return false;
}

bool scalar_int(std::string_view text, bool plain, int64_t* out) {
  return parse_integer(text, plain, out);
}

bool scalar_uint(std::string_view text, bool plain, uint64_t* out) {
  return parse_integer(text, plain, out);
}

bool scalar_double(std::string_view text, double* out) {
  if (text.starts_with('+')) text.remove_prefix(1);
  if (parse_all(text, 0, out)) return true;
  const std::string word = lower(text);
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  if (word == "nan" || word == ".nan") return *out = std::nan(""), true;
  if (word == "infinity" || word == ".inf") return *out = kInfinity, true;
  if (word == "-infinity" || word == "-.inf") return *out = -kInfinity, true;
  return false;
}

bool scalar_duration(std::string_view text, int64_t* seconds, int32_t* nanos) {
  constexpr int64_t kMaxSeconds = 315'576'000'000;
  if (text.size() < 2 || text.back() != 's') return false;
  text.remove_suffix(1);
  const bool negative = text.starts_with('-');
  if (negative) text.remove_prefix(1);
  const size_t dot = std::min(text.find('.'), text.size());
  const std::string_view whole = text.substr(0, dot);
  std::string fraction(dot < text.size() ? text.substr(dot + 1) : std::string_view());
  if (fraction.size() > 9 || !digits(whole) || !digits(fraction)) return false;
  if (whole.empty() && fraction.empty()) return false;
  fraction.resize(9, '0');
  int64_t s = 0;
  int32_t n = 0;
  if (!whole.empty() && !parse_all(whole, 10, &s)) return false;
  if (!parse_all(std::string_view(fraction), 10, &n) || s > kMaxSeconds) return false;
  *seconds = negative ? -s : s;
  *nanos = negative ? -n : n;
  return true;
}

bool scalar_time(std::string_view text, int64_t* seconds, int32_t* nanos) {
  google::protobuf::Timestamp time;
  if (!google::protobuf::util::TimeUtil::FromString(std::string(text), &time)) return false;
  *seconds = time.seconds();
  *nanos = time.nanos();
  return true;
}

bool scalar_bytes(std::string_view text, std::string* out) {
  while (text.ends_with('=')) text.remove_suffix(1);
  std::string bytes;
  uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    if (c == '\n' || c == ' ') continue;
    const int digit = base64_digit(c);
    if (digit < 0) return false;
    bits = bits << 6 | static_cast<uint32_t>(digit);
    count += 6;
    if (count >= 8) {
      count -= 8;
      bytes.push_back(static_cast<char>(bits >> count & 0xFF));
    }
  }
  if (count >= 6) return false;  // one lone digit
  *out = std::move(bytes);
  return true;
}

}  // namespace sluice::xds
