// Rules on strings and bytes.
#include <arpa/inet.h>

#include <algorithm>
#include <string>
#include <string_view>

#include "base/text.h"
#include "validate/validate.pb.h"
#include "xds/validate_rules.h"

namespace sluice::xds {
namespace {

bool contains(std::string_view text, std::string_view part) { return text.find(part) != text.npos; }
bool contains(std::string_view text, char c) { return text.find(c) != text.npos; }
bool is_alnum(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

size_t count_characters(std::string_view utf8) {
  return static_cast<size_t>(std::count_if(utf8.begin(), utf8.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

// Limits on a length, in the unit that the rule counts.
struct Lengths {
  bool has_exact, has_max;
  uint64_t exact, min, max;
};

std::string check_length(const Lengths& limits, size_t length, std::string_view unit) {
  if (length == 0 && limits.min > 0) return "must not be empty";
  if (limits.has_exact && length != limits.exact) {
    return base::cat("must have ", limits.exact, " ", unit, ", has ", length);
  }
  if (length < limits.min) {
    return base::cat("must have at least ", limits.min, " ", unit, ", has ", length);
  }
  if (limits.has_max && length > limits.max) {
    return base::cat("must have at most ", limits.max, " ", unit, ", has ", length);
  }
  return {};
}

// What string and bytes rules have in common.
template <class Rules>
std::string check_content(const Rules& rules, const re2::RE2* pattern, std::string_view value) {
  if (rules.has_const_() && value != rules.const_()) {
    return base::cat("must be ", shown(rules.const_()), ", is ", shown(value));
  }
  if (!value.starts_with(rules.prefix())) {
    return base::cat("must start with ", shown(rules.prefix()), ", is ", shown(value));
  }
  if (!value.ends_with(rules.suffix())) {
    return base::cat("must end with ", shown(rules.suffix()), ", is ", shown(value));
  }
  if (!contains(value, rules.contains())) {
    return base::cat("must contain ", shown(rules.contains()), ", is ", shown(value));
  }
  if (pattern != nullptr &&
      !re2::RE2::PartialMatch(re2::StringPiece(value.data(), value.size()), *pattern)) {
    return base::cat("must match ", pattern->pattern(), ", is ", shown(value));
  }
  const auto equal = [&](const std::string& entry) { return entry == value; };
  if (rules.in_size() > 0 && std::none_of(rules.in().begin(), rules.in().end(), equal)) {
    std::string entries;
    for (const std::string& entry : rules.in()) {
      base::cat_to(entries, entries.empty() ? "" : ", ", shown(entry));
    }
    return base::cat("must be one of ", entries, ", is ", shown(value));
  }
  if (std::any_of(rules.not_in().begin(), rules.not_in().end(), equal)) {
    return base::cat("must not be ", shown(value));
  }
  return {};
}

bool is_ip(std::string_view value, int family) {
  const std::string text(value);
  if (text.size() != value.size() || text.find('\0') != text.npos) return false;
  unsigned char address[16];
  return inet_pton(family, text.c_str(), address) == 1;
}

// RFC 1034 section 3.1, one trailing dot allowed.
bool is_hostname(std::string_view value) {
  if (value.ends_with('.')) value.remove_suffix(1);
  if (value.empty() || value.size() > 253) return false;
  while (true) {
    const size_t dot = value.find('.');
    const std::string_view label = value.substr(0, dot);
    if (label.empty() || label.size() > 63 || label.front() == '-' || label.back() == '-' ||
        !std::all_of(label.begin(), label.end(), [](char c) { return is_alnum(c) || c == '-'; })) {
      return false;
    }
    if (dot == value.npos) return true;
    value.remove_prefix(dot + 1);
  }
}

// 8-4-4-4-12 hexadecimal digits.
bool is_uuid(std::string_view value) {
  if (value.size() != 36) return false;
  for (size_t i = 0; i < value.size(); ++i) {
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    if (dash ? value[i] != '-' : !contains("0123456789abcdefABCDEF", value[i])) {
      return false;
    }
  }
  return true;
}

// RFC 9110 section 5.6.2 `token`; a pseudo header's colon may come first. Loose: all but the
// characters that end a line or a string, and the empty text (protoc-gen-validate's pattern is
// `^[^\0\n\r]*$` then: optional names such as ClusterWeight.cluster_header rely on it).
bool is_header_name(std::string_view value, bool strict) {
  if (strict && value.size() > 1 && value.front() == ':') value.remove_prefix(1);
  constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
  if (strict && value.empty()) return false;
  return std::all_of(value.begin(), value.end(), [&](char c) {
    if (!strict) return c != '\0' && c != '\n' && c != '\r';
    return is_alnum(c) || contains(kMarks, c);
  });
}

bool is_header_value(std::string_view value, bool strict) {
  return std::all_of(value.begin(), value.end(), [&](char c) {
    if (!strict) return c != '\0' && c != '\n' && c != '\r';
    return c == '\t' || (static_cast<unsigned char>(c) >= 0x20 && c != 0x7F);
  });
}

std::string check_well_known(const validate::StringRules& rules, std::string_view value) {
  const auto verdict = [&](bool good, std::string_view what) {
    return good ? std::string() : base::cat("must be ", what, ", is ", shown(value));
  };
  switch (rules.well_known_case()) {
    case validate::StringRules::kIp:
      return verdict(is_ip(value, AF_INET) || is_ip(value, AF_INET6), "an IP address");
    case validate::StringRules::kIpv4:
      return verdict(is_ip(value, AF_INET), "an IPv4 address");
    case validate::StringRules::kIpv6:
      return verdict(is_ip(value, AF_INET6), "an IPv6 address");
    case validate::StringRules::kHostname:
      return verdict(is_hostname(value), "a host name");
    case validate::StringRules::kAddress:
      return verdict(is_hostname(value) || is_ip(value, AF_INET) || is_ip(value, AF_INET6),
                     "a host name or an IP address");
    case validate::StringRules::kUuid:
      return verdict(is_uuid(value), "a UUID");
    case validate::StringRules::kWellKnownRegex:
      if (rules.well_known_regex() == validate::HTTP_HEADER_NAME) {
        return verdict(is_header_name(value, rules.strict()), "a header name");
      }
      if (rules.well_known_regex() == validate::HTTP_HEADER_VALUE) {
        return verdict(is_header_value(value, rules.strict()), "a header value");
      }
      return {};
    default:  // see unenforced_rule()
      return {};
  }
}

}  // namespace

std::string shown(std::string_view value) {
  constexpr size_t kMost = 80;
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out = "\"";
  for (char c : value.substr(0, kMost)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte >= 0x7F) {
      base::cat_to(out, "\\x", kDigits[byte >> 4], kDigits[byte & 15]);
    } else {
      base::cat_to(out, c == '"' || c == '\\' ? "\\" : "", c);
    }
  }
  out += value.size() > kMost ? "...\"" : "\"";
  return out;
}

std::string check_string(const validate::StringRules& rules, const re2::RE2* pattern,
                         std::string_view value) {
  if (rules.ignore_empty() && value.empty()) return {};
  if (rules.has_len() || rules.has_min_len() || rules.has_max_len()) {
    const Lengths limits{rules.has_len(), rules.has_max_len(), rules.len(), rules.min_len(),
                         rules.max_len()};
    std::string problem = check_length(limits, count_characters(value), "characters");
    if (!problem.empty()) return problem;
  }
  const Lengths limits{rules.has_len_bytes(), rules.has_max_bytes(), rules.len_bytes(),
                       rules.min_bytes(), rules.max_bytes()};
  if (std::string problem = check_length(limits, value.size(), "bytes"); !problem.empty()) {
    return problem;
  }
  if (rules.has_not_contains() && contains(value, rules.not_contains())) {
    return base::cat("must not contain ", shown(rules.not_contains()), ", is ", shown(value));
  }
  if (std::string problem = check_content(rules, pattern, value); !problem.empty()) return problem;
  return check_well_known(rules, value);
}

std::string check_bytes(const validate::BytesRules& rules, const re2::RE2* pattern,
                        std::string_view value) {
  if (rules.ignore_empty() && value.empty()) return {};
  const Lengths limits{rules.has_len(), rules.has_max_len(), rules.len(), rules.min_len(),
                       rules.max_len()};
  if (std::string problem = check_length(limits, value.size(), "bytes"); !problem.empty()) {
    return problem;
  }
  if (std::string problem = check_content(rules, pattern, value); !problem.empty()) return problem;
  const bool v4 = value.size() == sizeof(in_addr), v6 = value.size() == sizeof(in6_addr);
  if (rules.ip() && !v4 && !v6) return "must be the 4 or 16 bytes of an IP address";
  if (rules.ipv4() && !v4) return "must be the 4 bytes of an IPv4 address";
  if (rules.ipv6() && !v6) return "must be the 16 bytes of an IPv6 address";
  return {};
}

}  // namespace sluice::xds
