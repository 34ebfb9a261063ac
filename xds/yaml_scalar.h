// The scalars of YAML as protobuf wants them: text to bool, number, duration, time, bytes.
//
// Pure functions; any thread. Each answers false when the text is not such a value and leaves `out`
// alone; the caller, who knows the field, writes the error.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace sluice::xds {

// true, false; when `plain` (not quoted) also YAML 1.1's yes, no, on, off in any case.
bool scalar_bool(std::string_view text, bool plain, bool* out);
// Decimal, 0x, 0o, and for plain scalars YAML 1.1's octal with a leading zero; 1e3 and 2.0 count.
bool scalar_int(std::string_view text, bool plain, int64_t* out);
bool scalar_uint(std::string_view text, bool plain, uint64_t* out);
// Also NaN, Infinity, -Infinity and YAML's .nan, .inf.
bool scalar_double(std::string_view text, double* out);
// "1.5s". Protobuf's range of 10,000 years.
bool scalar_duration(std::string_view text, int64_t* seconds, int32_t* nanos);
// RFC 3339.
bool scalar_time(std::string_view text, int64_t* seconds, int32_t* nanos);
// Base64 of either alphabet, padded or not.
bool scalar_bytes(std::string_view text, std::string* out);

}  // namespace sluice::xds
