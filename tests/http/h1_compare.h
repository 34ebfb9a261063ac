#pragma once

#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>

#include "http/h1_parser.h"
#include "tests/oracle/h1_oracle.h"

namespace sluice::http {

// What is wrong with the parser's answer to `text` as the oracle sees it; empty if nothing is. The
// text is put into memory of exactly its size, so that a sanitizer sees every byte read beyond it.
inline std::string disagreement(std::string_view text, base::BlockPool& pool) {
  const auto exact = std::make_unique<char[]>(text.size());
  if (!text.empty()) std::memcpy(exact.get(), text.data(), text.size());
  base::Arena arena(pool);
  RequestHead head;
  head.fields.bind(&arena);
  H1Options options;
  options.accept_http_10 = true;
  const HeadResult fast = parse_request_head(exact.get(), text.size(), 0, options, &head);
  const auto slow = test::H1Oracle::read(text);
  if (text.size() >= options.max_target_bytes) return {};  // limits have tests of their own

  const bool done = fast.status == HeadResult::Status::kDone;
  if (done != slow.has_value()) {
    return done ? "the oracle refuses it"
                : "the oracle accepts it, the parser says " +
                      std::string(base::text_of(fast.reason).code);
  }
  if (!done) {
    if (fast.status == HeadResult::Status::kMore && test::H1Oracle::is_complete(text)) {
      return "waits for more behind a whole head";
    }
    return {};
  }
  if (fast.consumed != slow->consumed) return "consumed differs";
  if (head.method_text != slow->method || head.target != slow->target) return "line differs";
  if (head.path != slow->path) return "path differs: " + std::string(head.path);
  if (head.authority != slow->authority) return "authority differs";
  if (head.version_minor != slow->minor) return "version differs";
  if (head.keep_alive != slow->keep_alive) return "keep_alive differs";
  if ((head.framing.kind == Framing::Kind::kChunked) != slow->chunked) return "chunked differs";
  if (head.framing.length != slow->length) return "length differs";
  if (head.fields.size() != slow->fields.size()) return "number of fields differs";
  for (size_t i = 0; i < slow->fields.size(); ++i) {
    const Field& field = head.fields.begin()[i];
    const auto& [name, value] = slow->fields[i];
    if (field.name() != name || field.value() != value) return "field differs: " + name;
    if (field.id != header_id_of(name)) return "id differs: " + name;
    const std::string line = name + ": " + value + "\r\n";
    if (field.line() && std::string_view(field.name_data, field.line_size()) != line) {
      return "not a clean line: " + name;
    }
  }
  return {};
}

}  // namespace sluice::http
