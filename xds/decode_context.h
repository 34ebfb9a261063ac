// Context is what every decoder carries: how to say where it is, how to fail, how to warn, how to
// unpack an extension. One per resource and call; borrows options and warnings; one thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "base/text.h"
#include "xds/decode.h"
#include "xds/warnings.h"

namespace google::protobuf {
class Any;
class Message;
}  // namespace google::protobuf

namespace sluice::xds {

// A field path as steps on the stack; text only for errors and `source`.
class Path {
 public:
  Path() = default;  // the resource itself
  Path(const Path& parent, std::string_view field, int index = -1)
      : parent_(&parent), field_(field), index_(index) {}
  static Path entry(const Path& parent, std::string_view field, std::string_view key) {
    Path path(parent, field);
    path.key_ = key;
    return path;
  }
  std::string str() const;
  void append_to(std::string& out) const;

 private:
  const Path* parent_ = nullptr;
  std::string_view field_;
  std::string_view key_;
  int index_ = -1;
};

class Context {
 public:
  // `label` names the resource in messages: `listener "in"`.
  Context(const DecodeOptions& options, Warnings* warnings, std::string label)
      : options_(options), warnings_(warnings), label_(std::move(label)) {}

  const DecodeOptions& options() const { return options_; }
  void set_label(std::string label) { label_ = std::move(label); }

  template <typename... Parts>
  absl::Status error(const Path& at, const Parts&... problem) const {
    return fault(at.str(), base::cat(problem...));
  }
  // `kind` as in Warnings::add().
  void warn(const Path& at, std::string_view kind, std::string_view text) const;

  // The proto's own rules, then what we do not support, then fields that nobody knows.
  absl::Status check(const google::protobuf::Message& message, const Path& at) const;
  // The first of these only.
  absl::Status check_rules(const google::protobuf::Message& message, const Path& at) const;

  // The full name of what `any` holds; of a TypedStruct what that stands for.
  std::string type_of(const google::protobuf::Any& any) const;
  // Whether it is a TypedStruct, whose fields are written below `value`.
  static bool is_typed_struct(const google::protobuf::Any& any);
  static Path inside(const google::protobuf::Any& any, const Path& at) {
    return is_typed_struct(any) ? Path(at, "value") : Path(at, {});
  }
  // Into `out`, whose type is type_of(any); checked.
  absl::Status unpack(const google::protobuf::Any& any, const Path& at,
                      google::protobuf::Message* out) const;
  template <typename M>
  absl::StatusOr<M> unpack_as(const google::protobuf::Any& any, const Path& at) const {
    M message;
    if (absl::Status s = unpack(any, at, &message); !s.ok()) return s;
    return message;
  }

 private:
  absl::Status fault(const std::string& path, std::string_view problem) const;
  std::string place(const std::string& path) const;
  absl::Status read_typed_struct(const google::protobuf::Any& any, const Path& at,
                                 google::protobuf::Message* out) const;

  const DecodeOptions& options_;
  Warnings* warnings_;
  std::string label_;
};

// False: not such a message, or larger than protobuf reads.
bool parse_message(std::string_view bytes, google::protobuf::Message* out);

// `path` and `field` joined by a dot.
std::string join_path(std::string_view path, std::string_view field);

}  // namespace sluice::xds
