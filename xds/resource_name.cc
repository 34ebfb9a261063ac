#include "xds/resource_name.h"

#include <algorithm>
#include <utility>

#include "base/text.h"

namespace sluice::xds {
namespace {

constexpr std::string_view kScheme = "xdstp:";

int digit_of(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

// A % that begins no escape stands for itself.
std::string decoded(std::string_view in) {
  std::string out;
  out.reserve(in.size());
  for (size_t i = 0; i < in.size(); ++i) {
    const int high = in[i] == '%' && i + 2 < in.size() ? digit_of(in[i + 1]) : -1;
    const int low = high >= 0 ? digit_of(in[i + 2]) : -1;
    out.push_back(low >= 0 ? static_cast<char>(high * 16 + low) : in[i]);
    if (low >= 0) i += 2;
  }
  return out;
}

void encode_to(std::string& out, std::string_view in, std::string_view reserved) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  for (const char c : in) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= ' ' && byte < '~' && reserved.find(c) == std::string_view::npos) {
      out.push_back(c);
      continue;
    }
    out.push_back('%');
    out.push_back(kDigits[byte >> 4]);
    out.push_back(kDigits[byte & 15]);
  }
}

// What is before the first `mark`; `rest` is what is behind it, or nothing.
std::string_view cut(std::string_view text, char mark, std::string_view* rest) noexcept {
  const size_t at = text.find(mark);
  *rest = at == std::string_view::npos ? std::string_view() : text.substr(at + 1);
  return text.substr(0, at);
}

ContextParams params_of(std::string_view query) {
  ContextParams out;
  while (!query.empty()) {
    std::string_view value;
    const std::string_view key = cut(cut(query, '&', &query), '=', &value);
    if (!key.empty() || !value.empty()) out.emplace(decoded(key), decoded(value));
  }
  return out;
}

absl::StatusOr<std::vector<std::string>> directives_of(std::string_view fragment) {
  std::vector<std::string> out;
  while (!fragment.empty()) {
    std::string one = decoded(cut(fragment, ',', &fragment));
    if (!one.starts_with("alt=") && !one.starts_with("entry=")) {
      return base::config_error("no such directive: \"", one, "\"; there are alt= and entry=");
    }
    out.push_back(std::move(one));
  }
  return out;
}

}  // namespace

bool is_xdstp(std::string_view name) noexcept { return name.starts_with(kScheme); }

absl::StatusOr<ResourceName> parse_resource_name(std::string_view name) {
  if (!is_xdstp(name)) return base::config_error("must begin with xdstp:");
  name.remove_prefix(kScheme.size());
  if (!name.starts_with("//")) return base::config_error("must begin with xdstp://");
  std::string_view fragment, query, rest;
  const std::string_view path = cut(cut(name.substr(2), '#', &fragment), '?', &query);
  ResourceName out;
  out.authority = decoded(cut(path, '/', &rest));
  out.type = cut(rest, '/', &rest);
  out.id = decoded(rest);
  if (out.type.empty()) return base::config_error("names no type: xdstp://AUTHORITY/TYPE/ID");
  out.context = params_of(query);
  auto directives = directives_of(fragment);
  if (!directives.ok()) return directives.status();
  out.directives = *std::move(directives);
  return out;
}

bool ResourceName::is_glob() const noexcept { return id == "*" || id.ends_with("/*"); }

std::string ResourceName::text() const {
  std::string out(kScheme);
  out += "//";
  encode_to(out, authority, "%/?#");
  out.push_back('/');
  out += type;
  if (!id.empty()) out.push_back('/');
  encode_to(out, id, "%:?#[]");
  std::vector<std::string> params;
  for (const auto& [key, value] : context) {
    std::string& param = params.emplace_back();
    encode_to(param, key, "%#[]&=");
    param.push_back('=');
    encode_to(param, value, "%#[]&=");
  }
  std::sort(params.begin(), params.end());
  for (size_t i = 0; i < params.size(); ++i) base::cat_to(out, i == 0 ? "?" : "&", params[i]);
  return out;
}

std::string normal_name(std::string_view name) {
  if (!is_xdstp(name)) return std::string(name);
  const auto parsed = parse_resource_name(name);
  return parsed.ok() ? parsed->text() : std::string(name);
}

bool is_glob_name(std::string_view name) noexcept {
  return is_xdstp(name) && name.substr(0, name.find('?')).ends_with("/*");
}

std::string collection_of(std::string_view name) {
  if (!is_xdstp(name)) return {};
  const size_t end = std::min(name.find('?'), name.size());
  const size_t slash = name.substr(0, end).rfind('/');
  return base::cat(name.substr(0, slash + 1), "*", name.substr(end));
}

}  // namespace sluice::xds
