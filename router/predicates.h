#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "base/runtime.h"
#include "http/message.h"
#include "router/regex.h"
#include "router/values.h"

namespace sluice::router {

// What the predicates of one match() call look at. Lives on the caller's stack.
struct EvalContext {
  const http::RequestHead& head;
  std::string_view path;  // head.path without query and fragment
  uint64_t random = 0;
  uint32_t worker = 0;
  // Room for a header value that came in several lines; grows in the exchange's arena.
  char* scratch = nullptr;
  size_t scratch_size = 0;
  const base::RuntimeValues* runtime = nullptr;
};

// All of a header as one text: several lines are joined with ",".
struct HeaderValue {
  std::string_view text;
  bool found = false;
};

// A string match whose regular expression is compiled.
struct CompiledString {
  StringMatch::Kind kind = StringMatch::Kind::kExact;
  bool ignore_case = false;
  std::string text;  // lower case with ignore_case
  std::unique_ptr<const Regex> regex;

  bool matches(std::string_view value, uint32_t worker) const noexcept;
};

// Where a predicate's values come from. A header that came in several lines has several, each
// compared by itself, as in Envoy since 1.39; but those that Envoy keeps as one line (`one_line`)
// have one, the lines that are not empty joined with ",".
struct HeaderSource {
  enum class Kind : uint8_t { kField, kMethod, kPath, kAuthority, kScheme, kNothing };
  Kind kind = Kind::kField;
  bool one_line = false;
  http::HeaderId id = http::HeaderId::kOther;
  std::string name;

  // `name` in lower case; "host" is ":authority", as in Envoy.
  static HeaderSource of(std::string_view name);
  // Joined, whatever the name: to be shown, and for those of one line.
  HeaderValue read(EvalContext& context) const noexcept;
  // fn(std::string_view) -> bool for each value in turn, until one says true.
  template <typename Fn>
  bool any(EvalContext& context, Fn&& fn) const noexcept {
    if (kind != Kind::kField || one_line) {
      const HeaderValue value = read(context);
      return value.found && fn(value.text);
    }
    const http::FieldList& fields = context.head.fields;
    for (const http::Field* f = first(fields); f != nullptr && f != fields.end(); ++f) {
      if (is(*f) && fn(f->value())) return true;
    }
    return false;
  }

 private:
  const http::Field* first(const http::FieldList& fields) const noexcept {
    return id == http::HeaderId::kOther ? fields.find(std::string_view(name)) : fields.find(id);
  }
  bool is(const http::Field& f) const noexcept {
    return !f.removed() && f.id == id && (id != http::HeaderId::kOther || f.name() == name);
  }
  HeaderValue join(const http::Field* first, EvalContext& context) const noexcept;
};

struct HeaderPredicate {
  HeaderSource source;
  HeaderMatch::Kind kind = HeaderMatch::Kind::kPresent;
  bool present = true;
  bool invert = false;
  bool treat_missing_as_empty = false;
  int64_t range_from = 0;
  int64_t range_to = 0;
  CompiledString string;

  // `at` begins errors: `match.headers[0]`.
  static absl::StatusOr<HeaderPredicate> compile(const HeaderMatch& match, uint32_t num_workers,
                                                 const std::string& at);

  // Envoy's rules: one value that matches is enough, and inverted none may. A missing header
  // matches nothing, inverted or not, unless it is a matter of presence or treat_missing_as_empty
  // is set.
  bool holds(EvalContext& context) const noexcept;

 private:
  bool matches(std::string_view value, uint32_t worker) const noexcept;
};

struct QueryPredicate {
  std::string name;
  bool has_value = false;
  bool present = true;
  CompiledString value;

  // The first parameter of that name, not decoded (Envoy).
  bool holds(std::string_view path_and_query, uint32_t worker) const noexcept;
};

// Predicates are the conditions of a route beside its path, compiled: the method as a bit set, then
// the rest in list order. Immutable; routes of a virtual host that say the same share one object.
struct Predicates {
  static constexpr uint32_t kAlways = 1'000'000;
  static constexpr uint16_t kAnyMethod = 0xffff;

  uint16_t methods = kAnyMethod;  // bits of http::Method
  bool grpc_only = false;
  bool has_fraction = false;  // fraction_ppm says something, or its key may
  uint32_t fraction_ppm = kAlways;
  base::RuntimeKey fraction_key;
  std::vector<HeaderPredicate> headers;
  std::vector<QueryPredicate> query;
  std::unique_ptr<const Regex> path;  // full match of the path

  // `at` is the field path of the match, for errors. Without `runtime` keys have no values. Null if
  // there is nothing to check.
  static absl::StatusOr<std::unique_ptr<const Predicates>> compile(const RouteMatch& match,
                                                                   uint32_t num_workers,
                                                                   const std::string& at,
                                                                   base::RuntimeKeys* runtime);

  bool hold(EvalContext& context) const noexcept {
    if ((methods >> static_cast<unsigned>(context.head.method) & 1u) == 0) return false;
    return rest_holds(context);
  }
  // The first that does not hold, in plain words; empty when all hold. Allocates: for explain().
  std::string first_failing(EvalContext& context) const;

 private:
  bool rest_holds(EvalContext& context) const noexcept;
  bool fraction_holds(const EvalContext& context) const noexcept;
};

// Shares of the request's random number: its low half decides runtime fractions, its high half the
// weighted cluster, so that the two are independent.
inline uint64_t pick_below(uint32_t random, uint64_t limit) noexcept {
  return static_cast<uint64_t>((static_cast<unsigned __int128>(random) * limit) >> 32);
}

}  // namespace sluice::router
