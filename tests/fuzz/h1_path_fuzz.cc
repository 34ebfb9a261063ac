#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <string>
#include <string_view>

#include "http/path.h"
#include "http/scan.h"

// Paths: normalising twice is normalising once; no dot segment is left; the query is untouched; the
// result may stand in a request line if the path could.

namespace sluice::http {
namespace {

void require(bool ok, std::string_view what) {
  if (ok) return;
  std::cerr << what << "\n";
  std::abort();
}

void fuzz(const PathOptions& options, const std::string& text) {
  base::BlockPool pool;
  base::Arena arena(pool);
  std::string_view path = text;
  if (normalise_path(&path, options, arena).kind == PathResult::Kind::kReject) return;
  const std::string once(path);
  require(normalise_path(&path, options, arena).kind == PathResult::Kind::kSame, "not idempotent");
  require(path == once, "not idempotent");
  const char* const end = path.data() + path.size();
  const char* const stop = Scan::target(path.data(), {path.data(), end});
  require(stop == end, "a byte that no target may hold");
  const size_t query = text.find('?');
  if (query != text.npos) {
    require(once.substr(once.find('?')) == text.substr(query), "the query was touched");
  }
  if (!options.normalize || once.empty() || once[0] != '/') return;
  const std::string bare = once.substr(0, once.find('?')) + "/";
  require(bare.find("/../") == bare.npos && bare.find("/./") == bare.npos, "a dot segment is left");
}

}  // namespace
}  // namespace sluice::http

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using sluice::http::PathOptions;
  if (size < 2 || size > 4096) return 0;
  PathOptions options;
  options.normalize = (data[0] & 1) != 0;
  options.merge_slashes = (data[0] & 2) != 0;
  options.escaped_slashes = static_cast<PathOptions::EscapedSlashes>((data[0] >> 2) & 3);
  std::string path = "/";
  for (size_t i = 1; i < size; ++i) {
    const char c = static_cast<char>(data[i]);
    if (sluice::http::is_class(c, sluice::http::kTargetByte)) path.push_back(c);
  }
  sluice::http::fuzz(options, path);
  return 0;
}
