#include "http/path.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

namespace sluice::http {
namespace {

using Kind = PathResult::Kind;
using Escaped = PathOptions::EscapedSlashes;

struct Outcome {
  Kind kind;
  std::string path;
};

Outcome normalised(const std::string& text, const PathOptions& options) {
  base::BlockPool pool;
  base::Arena arena(pool);
  std::string_view path = text;
  const PathResult result = normalise_path(&path, options, arena);
  return {result.kind, std::string(path)};
}

PathOptions options_of(bool normalize, bool merge, Escaped escaped = Escaped::kKeep) {
  PathOptions options;
  options.normalize = normalize;
  options.merge_slashes = merge;
  options.escaped_slashes = escaped;
  return options;
}

TEST(Path, Normalises) {
  const struct {
    const char* from;
    const char* to;
  } rows[] = {
      {"/", "/"},
      {"/a/b", "/a/b"},
      {"/index.html", "/index.html"},
      {"/.well-known/x", "/.well-known/x"},
      {"/a/..b/c", "/a/..b/c"},
      {"/a/./b", "/a/b"},
      {"/a/../b", "/b"},
      {"/a/b/../../c", "/c"},
      {"/..", "/"},
      {"/../../a", "/a"},
      {"/.", "/"},
      {"/a/.", "/a/"},
      {"/a/..", "/"},
      {"/a/b/..", "/a/"},
      {"/a//../b", "/a/b"},
      {"/a//b", "/a//b"},
      {"/pub/%2e%2e/admin", "/admin"},
      {"/pub/%2E./admin", "/admin"},
      {"/pub/.%2e", "/"},
      {"/pub/%252e%252e/admin", "/pub/%252e%252e/admin"},
      {"/%41%7e%2d", "/A~-"},
      {"/%2f%2F%c3%C3", "/%2f%2F%c3%C3"},
      {"/a\\..\\b", "/b"},
      {"/a\"<>^`{}", "/a%22%3C%3E%5E%60%7B%7D"},
      {"/%zz%4", "/%zz%4"},
      {"/%%32e%%32e/x", "/%%32e%%32e/x"},
      {"/%2%45", "/%2%45"},
      {"/a/../b?x=/../%2e", "/b?x=/../%2e"},
      {"/a?/../b", "/a?/../b"},
      {"*", "*"},
      {"", ""},
      {"/pub%2f..%2fadmin", "/pub%2f..%2fadmin"},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(row.from);
    const Outcome outcome = normalised(row.from, options_of(true, false));
    EXPECT_EQ(outcome.path, row.to);
    EXPECT_EQ(outcome.kind, std::string(row.from) == row.to ? Kind::kSame : Kind::kChanged);
  }
}

TEST(Path, MergesSlashesAfterNormalising) {
  EXPECT_EQ(normalised("//a///b//", options_of(true, true)).path, "/a/b/");
  EXPECT_EQ(normalised("/a//../b", options_of(true, true)).path, "/a/b");
  EXPECT_EQ(normalised("//a//b?x=//", options_of(false, true)).path, "/a/b?x=//");
  EXPECT_EQ(normalised("/a/../b", options_of(false, true)).path, "/a/../b");
}

TEST(Path, EscapedSlashesFollowThePolicy) {
  const std::string path = "/pub%2f..%5Cadmin?x=%2f";
  EXPECT_EQ(normalised(path, options_of(true, false, Escaped::kReject)).kind, Kind::kReject);
  EXPECT_EQ(normalised("/a?x=%2f", options_of(true, false, Escaped::kReject)).kind, Kind::kSame);
  const Outcome forward = normalised(path, options_of(true, false, Escaped::kUnescapeForward));
  EXPECT_EQ(forward.kind, Kind::kChanged);
  EXPECT_EQ(forward.path, "/admin?x=%2f");
  const Outcome redirect = normalised(path, options_of(true, false, Escaped::kUnescapeRedirect));
  EXPECT_EQ(redirect.kind, Kind::kRedirect);
  EXPECT_EQ(redirect.path, "/admin?x=%2f");
  EXPECT_EQ(normalised("/a/../b", options_of(true, false, Escaped::kUnescapeRedirect)).kind,
            Kind::kChanged);
  EXPECT_EQ(normalised("/%252f", options_of(true, false, Escaped::kUnescapeForward)).path,
            "/%252f");
}

TEST(Path, AnEscapedNulIsRejected) {
  EXPECT_EQ(normalised("/a%00b", options_of(true, false)).kind, Kind::kReject);
  EXPECT_EQ(normalised("/a?%00b", options_of(true, false)).kind, Kind::kSame);
}

TEST(Path, NormalisingTwiceIsNormalisingOnce) {
  std::mt19937 random(11);
  constexpr const char* kPieces[] = {"/",   "//",  "..", ".", "%2e", "%2E", "%2f", "%5c", "\\",
                                     "%",   "%25", "2",  "e", "a",   "%41", "%zz", "%2",  "?",
                                     "%32", "%45", "f",  "<", "{",   "%c3", "..."};
  for (int i = 0; i < 100000; ++i) {
    std::string path = "/";
    for (unsigned n = static_cast<unsigned>(random() % 10); n > 0; --n) {
      path += kPieces[random() % std::size(kPieces)];
    }
    for (const bool merge : {false, true}) {
      for (const Escaped escaped : {Escaped::kKeep, Escaped::kUnescapeForward}) {
        const PathOptions options = options_of(true, merge, escaped);
        const Outcome once = normalised(path, options);
        if (once.kind == Kind::kReject) continue;
        const Outcome twice = normalised(once.path, options);
        ASSERT_EQ(twice.path, once.path) << path;
        ASSERT_EQ(twice.kind, Kind::kSame) << path;
        const std::string bare = once.path.substr(0, once.path.find('?')) + "/";
        ASSERT_EQ(bare.find("/../"), bare.npos) << path << " -> " << once.path;
        ASSERT_EQ(bare.find("/./"), bare.npos) << path << " -> " << once.path;
        if (merge) {
          ASSERT_EQ(bare.substr(0, bare.size() - 1).find("//"), bare.npos) << path;
        }
      }
    }
  }
}

TEST(Path, PercentDecode) {
  char out[16];
  EXPECT_EQ(std::string(out, percent_decode("a%20b%zz%4", out)), "a b%zz%4");
  EXPECT_EQ(hex_value('g'), -1);
  EXPECT_EQ(hex_value('F'), 15);
}

}  // namespace
}  // namespace sluice::http
