// YamlDocument reads YAML or JSON text (recognised without an extension) into protobuf messages and
// knows the line of every field.
//
// The text is parsed into a tree once; to_message() walks the tree together with the message's
// descriptor, so an error has file, line, column, field path and remedy, and the leniencies that
// bootstrap files in the wild rely on live in one place: snake_case, camelCase, a single object
// where a list is expected, durations as text or object, numbers as text, enums by name or number.
// Owns the tree; a value that moves; one thread. Config time only: allocates per node.
// Errors: InvalidArgument, "FILE:LINE:COL: path: problem; remedy". Duplicate keys are an error.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "xds/warnings.h"

namespace google::protobuf {
class Message;
class Struct;
}  // namespace google::protobuf

namespace sluice::xds {

struct YamlNode;
class YamlTree;

class YamlDocument {
 public:
  struct Options {
    bool allow_unknown_fields = false;  // warn in place of an error
    // An Any of a type that is not compiled in keeps its type and loses its content: for who
    // refuses it later by its type. Else an error.
    bool allow_unknown_types = false;
    std::string path;  // what field paths start with; usually empty
  };

  // `file` names the text in messages. Empty text is an empty document (an empty message).
  static absl::StatusOr<YamlDocument> parse(std::string_view text, std::string_view file);
  // From a Struct, as a TypedStruct carries it; messages then have paths but no lines.
  static YamlDocument from_struct(const google::protobuf::Struct& value);

  YamlDocument();  // empty
  YamlDocument(YamlDocument&&) noexcept;
  YamlDocument& operator=(YamlDocument&&) noexcept;
  ~YamlDocument();

  // Merges the document into `out` (lists append, as in protobuf).
  absl::Status to_message(const Options& options, google::protobuf::Message* out,
                          Warnings* warnings) const;

  const std::string& file() const;

 private:
  friend std::string position_of(std::span<const YamlDocument* const>, std::string_view);
  std::unique_ptr<YamlTree> tree_;
};

// "FILE:LINE:COL" of a field path such as `static_resources.clusters[0].name` in documents that
// were merged in this order; of its nearest parent where the field itself is not written; empty
// when nothing of the path is.
std::string position_of(std::span<const YamlDocument* const> documents, std::string_view path);

// Reads the whole of `path` once: a file, a pipe, /dev/fd/N.
absl::StatusOr<std::string> read_file(const std::string& path);

}  // namespace sluice::xds
