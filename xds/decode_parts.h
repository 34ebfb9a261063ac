// The parts that several decoders share: times, addresses, header edits, matchers.
// Pure conversions; PGV and the support table were checked before (decode_context.h).
#pragma once

#include <google/protobuf/duration.pb.h>
#include <google/protobuf/repeated_ptr_field.h>

#include <chrono>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "base/address.h"
#include "dataplane/values.h"
#include "envoy/config/accesslog/v3/accesslog.pb.h"
#include "envoy/config/core/v3/address.pb.h"
#include "envoy/config/core/v3/base.pb.h"
#include "envoy/config/core/v3/config_source.pb.h"
#include "envoy/type/matcher/v3/string.pb.h"
#include "envoy/type/v3/percent.pb.h"
#include "http/values.h"
#include "router/values.h"
#include "xds/config_source.h"
#include "xds/decode_context.h"

namespace sluice::xds {

namespace core = ::envoy::config::core::v3;

template <typename T>
using Repeated = google::protobuf::RepeatedPtrField<T>;
using Text = std::string_view;

std::string lower_case(std::string_view text);

// Negative and unrepresentable ones are errors.
absl::Status decode_duration(const Context& context, const Path& at,
                             const google::protobuf::Duration& in, std::chrono::nanoseconds* out);

absl::StatusOr<base::Address> decode_address(const Context& context, const Path& at,
                                             const core::Address& in);
absl::StatusOr<base::Address> decode_socket_address(const Context& context, const Path& at,
                                                    const core::SocketAddress& in);

// Where resources come from, as a number of options().sources, and how long to wait for them.
absl::Status decode_config_source(const Context& context, const Path& at,
                                  const core::ConfigSource& in, SourceId* source,
                                  std::chrono::nanoseconds* timeout);

// On demand and for virtual hosts there is only the incremental protocol.
absl::Status require_delta(const Context& context, const Path& at, SourceId source);

absl::StatusOr<http::HeaderMutation> decode_header(const Context& context, const Path& at,
                                                   const core::HeaderValueOption& in);
// `at` is the message that holds the lists; `add` and `remove` are the names of the fields.
absl::Status decode_header_edits(const Context& context, const Path& at, std::string_view add_name,
                                 const Repeated<core::HeaderValueOption>& add,
                                 std::string_view remove_name, const Repeated<std::string>& remove,
                                 router::HeaderEdits* out);

absl::StatusOr<router::StringMatch> decode_string_match(
    const Context& context, const Path& at, const ::envoy::type::matcher::v3::StringMatcher& in);

// Parts that make a whole: 100, 10,000 or a million.
uint64_t denominator_of(const ::envoy::type::v3::FractionalPercent& in);

// Inline text, or what a file or an environment variable holds.
absl::StatusOr<std::string> decode_data_source(const Context& context, const Path& at,
                                               const core::DataSource& in);

// A transport socket that does nothing (raw_buffer); TLS is an error.
absl::Status require_plaintext(const Context& context, const Path& at,
                               const core::TransportSocket& in);

// Which lines an access log gets.
absl::Status decode_log_filter(const Context& context, const Path& at,
                               const ::envoy::config::accesslog::v3::AccessLogFilter& in,
                               dataplane::LogFilterValue* out);

// Appends to `out`; loggers that write elsewhere are left out with a warning.
absl::Status decode_access_logs(const Context& context, const Path& at,
                                const Repeated<::envoy::config::accesslog::v3::AccessLog>& in,
                                std::vector<dataplane::AccessLogValue>* out);

}  // namespace sluice::xds
