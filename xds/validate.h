// Validator answers "does this message keep the rules that its proto declares?" for the
// `validate.rules` options of the Envoy protos (protoc-gen-validate), by reflection.
//
// Ownership: owns the compiled rules; borrows descriptors, which must outlive it (generated ones
// always do). Threads: check() may be called from any thread; a mutex guards the table of plans and
// is not held while a message is walked. Cost: the first check of a type compiles the rules of
// all types it can reach; from then on a walk over the fields that have rules, no allocation
// unless something is wrong. Config time only, never on the request path.
// Errors: InvalidArgument with the first fault as `path: problem`, for example
//   virtual_hosts[0].routes[2].match.path_specifier: one of prefix, path, safe_regex is required
// Rules of fields of an unset oneof member, of unset messages and of types marked `disabled` do
// not apply, as in protoc-gen-validate.
#pragma once

#include <google/protobuf/any.pb.h>
#include <google/protobuf/message.h>

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace sluice::xds {

class Plans;

// A place in a message: steps that live on the stack, innermost first, and become text only for an
// error. `field` may be null in a root that only names the resource.
class FieldPath {
 public:
  static constexpr int kSingular = -1;

  // A root: what the text starts with, e.g. `listeners["in"]`. Borrows the text.
  explicit FieldPath(std::string_view root) : root_(root) {}
  // A field below `parent` (null: at the top), or its element `index`. Borrows all. `entry` is the
  // map entry at that index, whose key is then shown in place of the index.
  FieldPath(const FieldPath* parent, const google::protobuf::FieldDescriptor* field,
            int index = kSingular, const google::protobuf::Message* entry = nullptr)
      : parent_(parent), field_(field), entry_(entry), index_(index) {}

  std::string str() const;

 private:
  const FieldPath* parent_ = nullptr;
  const google::protobuf::FieldDescriptor* field_ = nullptr;
  const google::protobuf::Message* entry_ = nullptr;
  std::string_view root_;
  int index_ = kSingular;
};

class Validator {
 public:
  // Called for every Any that is set, with its place. Whoever unpacks it there and calls check()
  // with that path validates the whole tree; an error ends the walk and is returned as it is.
  using AnyHook = std::function<absl::Status(const google::protobuf::Any&, const FieldPath&)>;

  Validator();
  ~Validator();
  Validator(const Validator&) = delete;
  Validator& operator=(const Validator&) = delete;

  // Checks `message`, and hands every Any in it to `hook` unless that is null.
  absl::Status check(const google::protobuf::Message& message, const FieldPath* at = nullptr,
                     const AnyHook* hook = nullptr) const;

 private:
  std::unique_ptr<Plans> plans_;
};

}  // namespace sluice::xds
