#include <google/protobuf/struct.pb.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <utility>

#include "envoy/config/core/v3/substitution_format_string.pb.h"
#include "envoy/extensions/access_loggers/file/v3/file.pb.h"
#include "envoy/extensions/access_loggers/stream/v3/stream.pb.h"
#include "xds/decode_parts.h"

namespace sluice::xds {
namespace {

using dataplane::AccessLogValue;
using ::envoy::config::accesslog::v3::AccessLog;
using ::envoy::extensions::access_loggers::file::v3::FileAccessLog;
using ::envoy::extensions::access_loggers::stream::v3::StderrAccessLog;
using ::envoy::extensions::access_loggers::stream::v3::StdoutAccessLog;
using google::protobuf::Struct;
using google::protobuf::Value;
using Format = core::SubstitutionFormatString;

using http::JsonFormat;

// As Envoy writes it: whole numbers of up to 32 bits are numbers, others are strings.
JsonFormat number_format(double number) {
  const bool whole = number == std::floor(number) && number >= INT32_MIN && number <= INT32_MAX;
  if (whole) return JsonFormat::literal(std::to_string(static_cast<int64_t>(number)));
  char text[32];
  std::string_view all(
      text, static_cast<size_t>(std::to_chars(text, text + sizeof(text), number).ptr - text));
  // "1e+20" is "1e20" there, "1e-07" is "1e-7".
  const size_t e = all.find('e');
  if (e == std::string_view::npos) return {std::string(all)};
  const bool negative = all[e + 1] == '-';
  std::string_view digits = all.substr(e + 2);
  while (digits.size() > 1 && digits.front() == '0') digits.remove_prefix(1);
  return {base::cat(all.substr(0, e), "e", negative ? "-" : "", digits)};
}

JsonFormat::Members members_of(const Struct& in);

JsonFormat value_format(const Value& value) {
  switch (value.kind_case()) {
    case Value::kStringValue:
      return {value.string_value()};
    case Value::kNumberValue:
      return number_format(value.number_value());
    case Value::kBoolValue:
      return JsonFormat::literal(value.bool_value() ? "true" : "false");
    case Value::kStructValue:
      return JsonFormat::object(members_of(value.struct_value()));
    case Value::kListValue: {
      JsonFormat::Members items;
      for (const Value& item : value.list_value().values()) {
        items.emplace_back("", value_format(item));
      }
      return JsonFormat::list(std::move(items));
    }
    default:
      return JsonFormat::null();
  }
}

// Sorted by key, as Envoy.
JsonFormat::Members members_of(const Struct& in) {
  JsonFormat::Members out;
  for (const auto& [key, value] : in.fields()) out.emplace_back(key, value_format(value));
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  return out;
}

void decode_json(const Struct& in, AccessLogValue* out) {
  out->json = true;
  out->json_format = members_of(in);
}

absl::Status decode_format(const Context& context, const Path& at, const Format& in,
                           AccessLogValue* out) {
  out->omit_empty_values = in.omit_empty_values();
  switch (in.format_case()) {
    case Format::kTextFormat:
      out->text_format = in.text_format();
      return absl::OkStatus();
    case Format::kJsonFormat:
      decode_json(in.json_format(), out);
      return absl::OkStatus();
    case Format::kTextFormatSource: {
      auto text =
          decode_data_source(context, Path(at, "text_format_source"), in.text_format_source());
      if (!text.ok()) return text.status();
      out->text_format = *std::move(text);
      return absl::OkStatus();
    }
    default:
      return absl::OkStatus();
  }
}

absl::Status decode_file(const Context& context, const Path& at, const FileAccessLog& in,
                         AccessLogValue* out) {
  out->path = in.path();
  if (in.path() == "/dev/stdout") out->sink = AccessLogValue::Sink::kStdout;
  if (in.path() == "/dev/stderr") out->sink = AccessLogValue::Sink::kStderr;
  switch (in.access_log_format_case()) {
    case FileAccessLog::kFormat:
      out->text_format = in.format();
      return absl::OkStatus();
    case FileAccessLog::kJsonFormat:
      decode_json(in.json_format(), out);
      return absl::OkStatus();
    case FileAccessLog::kTypedJsonFormat:
      decode_json(in.typed_json_format(), out);
      return absl::OkStatus();
    case FileAccessLog::kLogFormat:
      return decode_format(context, Path(at, "log_format"), in.log_format(), out);
    default:
      return absl::OkStatus();
  }
}

template <typename Stream>
absl::Status decode_stream(const Context& context, const Path& at, const google::protobuf::Any& any,
                           AccessLogValue* out) {
  auto in = context.unpack_as<Stream>(any, at);
  if (!in.ok()) return in.status();
  if (!in->has_log_format()) return absl::OkStatus();
  const Path inside = Context::inside(any, at);
  return decode_format(context, Path(inside, "log_format"), in->log_format(), out);
}

// False: not a logger that we have.
absl::StatusOr<bool> decode_logger(const Context& context, const Path& at, const AccessLog& in,
                                   AccessLogValue* out) {
  const Path config(at, "typed_config");
  const std::string type = context.type_of(in.typed_config());
  absl::Status status;
  if (type == FileAccessLog::descriptor()->full_name()) {
    auto file = context.unpack_as<FileAccessLog>(in.typed_config(), config);
    status = file.ok()
                 ? decode_file(context, Context::inside(in.typed_config(), config), *file, out)
                 : file.status();
  } else if (type == StdoutAccessLog::descriptor()->full_name()) {
    out->sink = AccessLogValue::Sink::kStdout;
    status = decode_stream<StdoutAccessLog>(context, config, in.typed_config(), out);
  } else if (type == StderrAccessLog::descriptor()->full_name()) {
    out->sink = AccessLogValue::Sink::kStderr;
    status = decode_stream<StderrAccessLog>(context, config, in.typed_config(), out);
  } else if (type.empty()) {
    return context.error(config,
                         "is required; name a logger such as "
                         "envoy.extensions.access_loggers.file.v3.FileAccessLog");
  } else {
    context.warn(config, type,
                 base::cat("this access logger is not supported yet and writes nothing: ", type));
    return false;
  }
  if (!status.ok()) return status;
  return true;
}

}  // namespace

absl::Status decode_access_logs(const Context& context, const Path& at,
                                const Repeated<AccessLog>& in, std::vector<AccessLogValue>* out) {
  for (int i = 0; i < in.size(); ++i) {
    const Path here(at, "access_log", i);
    AccessLogValue value;
    auto known = decode_logger(context, here, in[i], &value);
    if (!known.ok()) return known.status();
    if (!*known) continue;
    if (in[i].has_filter()) {
      absl::Status s =
          decode_log_filter(context, Path(here, "filter"), in[i].filter(), &value.filter);
      if (!s.ok()) return s;
    }
    out->push_back(std::move(value));
  }
  return absl::OkStatus();
}

}  // namespace sluice::xds
