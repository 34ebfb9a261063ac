#include <algorithm>
#include <charconv>
#include <cstring>

#include "http/format_ops.h"

namespace sluice::http {

namespace {

constexpr std::string_view kDays[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                      "Thursday", "Friday", "Saturday"};
constexpr std::string_view kMonths[] = {"January",   "February", "March",    "April",
                                        "May",       "June",     "July",     "August",
                                        "September", "October",  "November", "December"};

struct CivilTime {
  int64_t seconds;  // since the epoch
  uint32_t ns;
  int64_t year;
  uint32_t month, day, hour, minute, second;
  uint32_t weekday;   // 0 is Sunday
  uint32_t year_day;  // from 0
};

bool is_leap(int64_t year) noexcept {
  return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

// Days since 1970-01-01 to a date of the proleptic Gregorian calendar: eras of 400 years that begin
// in March, so that the leap day is the last.
CivilTime civil(base::WallNs at) noexcept {
  CivilTime t;
  t.seconds = at / base::kNsPerSec;
  int64_t ns = at % base::kNsPerSec;
  if (ns < 0) {
    ns += base::kNsPerSec;
    --t.seconds;
  }
  t.ns = static_cast<uint32_t>(ns);
  int64_t days = t.seconds / 86400;
  int64_t rest = t.seconds % 86400;
  if (rest < 0) {
    rest += 86400;
    --days;
  }
  const auto of_day = static_cast<uint32_t>(rest);
  t.hour = of_day / 3600;
  t.minute = of_day / 60 % 60;
  t.second = of_day % 60;
  t.weekday = static_cast<uint32_t>(((days + 4) % 7 + 7) % 7);

  const int64_t shifted = days + 719468;
  const int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
  const auto of_era = static_cast<uint32_t>(shifted - era * 146097);
  const uint32_t year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
  const uint32_t day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const uint32_t march_month = (5 * day_of_year + 2) / 153;
  t.day = day_of_year - (153 * march_month + 2) / 5 + 1;
  t.month = march_month < 10 ? march_month + 3 : march_month - 9;
  t.year = static_cast<int64_t>(year_of_era) + era * 400 + (t.month <= 2 ? 1 : 0);
  // January and February come last in a year that begins in March.
  t.year_day = t.month <= 2 ? day_of_year - 306 : day_of_year + 59 + (is_leap(t.year) ? 1 : 0);
  return t;
}

void put2(char* out, uint32_t n) noexcept {
  out[0] = static_cast<char>('0' + n / 10 % 10);
  out[1] = static_cast<char>('0' + n % 10);
}

void put_digits(char* out, uint64_t n, unsigned digits) noexcept {
  for (unsigned i = digits; i-- > 0; n /= 10) out[i] = static_cast<char>('0' + n % 10);
}

void append_padded(Sink& sink, uint64_t n, unsigned digits) noexcept {
  char text[20];
  put_digits(text, n, digits);
  sink.append({text, digits});
}

void append_number(Sink& sink, int64_t n) noexcept {
  char text[24];
  const char* end = std::to_chars(text, text + sizeof(text), n).ptr;
  sink.append({text, static_cast<size_t>(end - text)});
}

void append_fraction(Sink& sink, uint32_t ns, unsigned digits) noexcept {
  char text[9];
  put_digits(text, ns, 9);
  sink.append({text, digits});
}

// Shortest fraction that is exact.
unsigned exact_digits(uint32_t ns) noexcept {
  unsigned digits = 9;
  while (digits > 0 && ns % 10 == 0) {
    ns /= 10;
    --digits;
  }
  return digits;
}

void append_date(Sink& sink, const CivilTime& t) noexcept {
  append_number(sink, t.year);
  sink.append('-');
  append_padded(sink, t.month, 2);
  sink.append('-');
  append_padded(sink, t.day, 2);
}

void append_clock(Sink& sink, const CivilTime& t, bool seconds) noexcept {
  append_padded(sink, t.hour, 2);
  sink.append(':');
  append_padded(sink, t.minute, 2);
  if (!seconds) return;
  sink.append(':');
  append_padded(sink, t.second, 2);
}

// One conversion letter of strftime. False: not known.
bool append_conversion(Sink& sink, const CivilTime& t, char c) noexcept {
  const uint32_t hour12 = t.hour % 12 == 0 ? 12 : t.hour % 12;
  switch (c) {
    case 'Y':
      append_number(sink, t.year);
      break;
    case 'm':
      append_padded(sink, t.month, 2);
      break;
    case 'd':
      append_padded(sink, t.day, 2);
      break;
    case 'e':
      if (t.day < 10) sink.append(' ');
      append_number(sink, t.day);
      break;
    case 'H':
      append_padded(sink, t.hour, 2);
      break;
    case 'I':
      append_padded(sink, hour12, 2);
      break;
    case 'M':
      append_padded(sink, t.minute, 2);
      break;
    case 'S':
      append_padded(sink, t.second, 2);
      break;
    case 'p':
      sink.append(t.hour < 12 ? "AM" : "PM");
      break;
    case 'y':
      append_padded(sink, static_cast<uint64_t>((t.year % 100 + 100) % 100), 2);
      break;
    case 'j':
      append_padded(sink, t.year_day + 1, 3);
      break;
    case 'a':
      sink.append(kDays[t.weekday].substr(0, 3));
      break;
    case 'A':
      sink.append(kDays[t.weekday]);
      break;
    case 'b':
    case 'h':
      sink.append(kMonths[t.month - 1].substr(0, 3));
      break;
    case 'B':
      sink.append(kMonths[t.month - 1]);
      break;
    case 'u':
      append_number(sink, t.weekday == 0 ? 7 : t.weekday);
      break;
    case 'w':
      append_number(sink, t.weekday);
      break;
    case 'T':
      append_clock(sink, t, true);
      break;
    case 'R':
      append_clock(sink, t, false);
      break;
    case 'D':
      append_padded(sink, t.month, 2);
      sink.append('/');
      append_padded(sink, t.day, 2);
      sink.append('/');
      append_padded(sink, static_cast<uint64_t>((t.year % 100 + 100) % 100), 2);
      break;
    case 'F':
      append_date(sink, t);
      break;
    case 's':
      append_number(sink, t.seconds);
      break;
    case 'f':
      append_fraction(sink, t.ns, 9);
      break;
    case 'n':
      sink.append('\n');
      break;
    case 't':
      sink.append('\t');
      break;
    case 'z':
      sink.append("+0000");
      break;
    case 'Z':
      sink.append("UTC");
      break;
    case '%':
      sink.append('%');
      break;
    default:
      return false;
  }
  return true;
}

bool is_digit(char c) noexcept { return c >= '1' && c <= '9'; }

// %E1S to %E9S, %E*S, %E1f to %E9f, %E*f, %Ez, %E4Y; `spec` begins behind the E. Returns how many
// characters it took, 0: not known.
size_t append_extended(Sink& sink, const CivilTime& t, std::string_view spec) noexcept {
  if (spec.starts_with("z")) {
    sink.append("+00:00");
    return 1;
  }
  if (spec.starts_with("4Y")) {
    append_padded(sink, static_cast<uint64_t>(t.year), 4);
    return 2;
  }
  if (spec.size() < 2 || (spec[0] != '*' && !is_digit(spec[0]))) return 0;
  if (spec[1] != 'S' && spec[1] != 'f') return 0;
  const unsigned digits =
      spec[0] == '*' ? exact_digits(t.ns) : static_cast<unsigned>(spec[0] - '0');
  if (spec[1] == 'S') {
    append_padded(sink, t.second, 2);
    if (digits > 0) sink.append('.');
  }
  append_fraction(sink, t.ns, digits);
  return 2;
}

// Returns the offset behind the last conversion that was understood; all of it: pattern.size().
size_t walk(std::string_view pattern, const CivilTime& t, Sink& sink) noexcept {
  size_t at = 0;
  while (at < pattern.size()) {
    if (pattern[at] != '%') {
      const size_t next = std::min(pattern.find('%', at), pattern.size());
      sink.append(pattern.substr(at, next - at));
      at = next;
      continue;
    }
    const std::string_view spec = pattern.substr(at + 1);
    if (spec.empty()) return at;
    if (is_digit(spec[0]) && spec.size() > 1 && spec[1] == 'f') {
      append_fraction(sink, t.ns, static_cast<unsigned>(spec[0] - '0'));
      at += 3;
    } else if (spec[0] == 'E') {
      const size_t taken = append_extended(sink, t, spec.substr(1));
      if (taken == 0) return at;
      at += 2 + taken;
    } else if (append_conversion(sink, t, spec[0])) {
      at += 2;
    } else {
      return at;
    }
  }
  return at;
}

}  // namespace

size_t find_bad_time_pattern(std::string_view pattern) noexcept {
  Sink nowhere(nullptr, 0);
  const size_t end = walk(pattern, civil(0), nowhere);
  return end == pattern.size() ? std::string_view::npos : end;
}

void append_time(std::string_view pattern, base::WallNs at, Sink& sink) noexcept {
  walk(pattern, civil(at), sink);
}

namespace {

// Of the last second that this thread wrote: lines come many to a second.
struct WrittenSecond {
  int64_t second = INT64_MIN;
  char text[kDefaultTimeBytes] = {};
};
constinit thread_local WrittenSecond written;

void write_second(base::WallNs at, char* out) noexcept {
  const CivilTime t = civil(at);
  std::memcpy(out, "0000-00-00T00:00:00.000Z", kDefaultTimeBytes);
  const auto year = static_cast<uint32_t>(t.year);
  put2(out, year / 100);
  put2(out + 2, year % 100);
  put2(out + 5, t.month);
  put2(out + 8, t.day);
  put2(out + 11, t.hour);
  put2(out + 14, t.minute);
  put2(out + 17, t.second);
}

}  // namespace

void write_default_time(base::WallNs at, char* out) noexcept {
  int64_t second = at / base::kNsPerSec;
  int64_t ns = at % base::kNsPerSec;
  if (ns < 0) {
    ns += base::kNsPerSec;
    --second;
  }
  if (second != written.second) {
    write_second(at, written.text);
    written.second = second;
  }
  std::memcpy(out, written.text, kDefaultTimeBytes);
  put_digits(out + 20, static_cast<uint32_t>(ns / 1'000'000), 3);
}

}  // namespace sluice::http
