// support.h answers "does Sluice do what this field asks for?" for every field of every message
// that the decoders read.
//
// One table, which is also the documentation (docs/config_support.md is printed from it). A set
// field that the table does not name is an error: so nothing is ever ignored in silence, and a
// field that a new version of the protos brings is refused until somebody decides. The rule: an
// error where ignoring the field could change where traffic goes, what is let in or what a client
// sees; a warning otherwise. Immutable, built at first use; any thread. A check walks what is set,
// by reflection.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace google::protobuf {
class FieldDescriptor;
class Message;
}  // namespace google::protobuf

namespace sluice::xds {

struct TypeSupport {
  std::string_view type;  // full name of a message
  // Names of fields, separated by spaces: read by a decoder, which has the last word on values.
  std::string_view read;
  // Lines "field: why it does no harm": accepted with a warning.
  std::string_view ignored = {};
  // Fields of which only `false` (the default, spelt out) is accepted.
  std::string_view only_false = {};
};

std::span<const TypeSupport> listener_support();   // listener, connection manager, access log
std::span<const TypeSupport> route_support();      // route configuration and header edits
std::span<const TypeSupport> cluster_support();    // cluster and endpoints
std::span<const TypeSupport> bootstrap_support();  // bootstrap and configuration sources

struct Finding {
  enum class Kind { kRefused, kIgnored, kUnknown };
  Kind kind = Kind::kRefused;
  std::string path;      // relative to the message
  std::string field;     // full name; of unknown fields the message's and the number
  std::string_view why;  // kIgnored
};

// Everything that is set in `message` and not read, in field order; an Any's content is left to who
// unpacks it. Stops early when `found` returns false.
void find_unsupported(const google::protobuf::Message& message,
                      const std::function<bool(const Finding&)>& found);

// docs/config_support.md.
std::string support_markdown();

}  // namespace sluice::xds
