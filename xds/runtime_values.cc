#include "xds/runtime_values.h"

#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <system_error>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/string_view.h"
#include "base/text.h"
#include "envoy/service/runtime/v3/rtds.pb.h"
#include "xds/decode_context.h"
#include "xds/yaml.h"

namespace sluice::xds {
namespace {

using google::protobuf::Struct;
using google::protobuf::Value;

constexpr uint32_t kMillion = base::RuntimeValue::kMillion;
constexpr int kMaxDepth = 16;
constexpr std::streamsize kMaxFileBytes = 1 << 20;

std::string_view stripped(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\n\v\f";
  const size_t begin = text.find_first_not_of(kBlanks);
  if (begin == text.npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
}

void set_number(double number, base::RuntimeValue* out) {
  constexpr double kMost = 18446744073709549568.0;  // the largest double below 2^64
  if (!(number >= 0) || number > kMost || number != std::floor(number)) return;
  out->number = static_cast<uint64_t>(number);
  out->ppm = static_cast<uint32_t>(std::min<uint64_t>(*out->number, 100) * (kMillion / 100));
}

uint32_t parts_of(const Value& denominator) {
  if (denominator.kind_case() == Value::kNumberValue) {
    return denominator.number_value() == 2   ? kMillion
           : denominator.number_value() == 1 ? 10'000
                                             : 100;
  }
  return denominator.string_value() == "MILLION"        ? kMillion
         : denominator.string_value() == "TEN_THOUSAND" ? 10'000
                                                        : 100;
}

bool is_fraction(const Struct& in) {
  return in.fields().contains("numerator") || in.fields().contains("denominator");
}

void set_fraction(const Struct& in, base::RuntimeValue* out) {
  double numerator = 0;
  if (const auto it = in.fields().find("numerator"); it != in.fields().end()) {
    numerator = it->second.number_value();
  }
  const auto it = in.fields().find("denominator");
  const uint32_t parts = it == in.fields().end() ? 100 : parts_of(it->second);
  if (!(numerator >= 0)) return;
  out->ppm =
      static_cast<uint32_t>(std::min<double>(kMillion, std::floor(numerator) * (kMillion / parts)));
}

std::string json_of(const Struct& in) {
  std::string out;
  if (!google::protobuf::util::MessageToJsonString(in, &out).ok()) return "{}";
  return out;
}

std::string text_of_number(double number) {
  base::RuntimeValue whole;
  set_number(number, &whole);
  return whole.number ? base::cat(*whole.number) : base::cat(number);
}

class StructWalk {
 public:
  explicit StructWalk(const Context& context) : context_(context) {}

  absl::Status walk(const Path& at, const std::string& prefix, const Struct& in, int depth) {
    if (depth > kMaxDepth) return context_.error(at, "more than ", kMaxDepth, " levels deep");
    for (const auto& [name, value] : in.fields()) {
      const std::string key = prefix.empty() ? name : base::cat(prefix, ".", name);
      if (absl::Status s = one(Path(at, name), key, value, depth); !s.ok()) return s;
    }
    return absl::OkStatus();
  }
  RuntimeEntries take() { return std::move(out_); }

 private:
  absl::Status one(const Path& at, const std::string& key, const Value& value, int depth) {
    RuntimeEntry entry;
    switch (value.kind_case()) {
      case Value::kNumberValue:
        set_number(value.number_value(), &entry.value);
        entry.text = text_of_number(value.number_value());
        break;
      case Value::kBoolValue:
        entry.value.flag = value.bool_value();
        entry.text = value.bool_value() ? "true" : "false";
        break;
      case Value::kStringValue:
        entry = read_runtime_text(value.string_value());
        break;
      case Value::kStructValue:
        if (!value.struct_value().fields().empty() && !is_fraction(value.struct_value())) {
          return walk(at, key, value.struct_value(), depth + 1);
        }
        set_fraction(value.struct_value(), &entry.value);
        entry.text = json_of(value.struct_value());
        break;
      default:
        return context_.error(
            at, "not a runtime value: ", value.kind_case() == Value::kListValue ? "a list" : "null",
            "; write a number, true, false, text, or numerator and denominator");
    }
    out_.insert_or_assign(key, std::move(entry));
    return absl::OkStatus();
  }

  const Context& context_;
  RuntimeEntries out_;
};

// Without comments: files without a value are a place for them.
absl::StatusOr<std::string> read_value(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::string out, line;
  if (!in) return base::config_error(path.string(), ": cannot be read");
  while (std::getline(in, line)) {
    if (line.starts_with('#')) continue;
    base::cat_to(out, line, "\n");
    if (static_cast<std::streamsize>(out.size()) > kMaxFileBytes) {
      return base::config_error(path.string(), ": more than ", kMaxFileBytes, " bytes");
    }
  }
  return std::string(stripped(out));
}

absl::Status walk_directory(const std::filesystem::path& path, const std::string& prefix, int depth,
                            RuntimeEntries* out) {
  if (depth > kMaxDepth) {
    return base::config_error(path.string(), ": more than ", kMaxDepth, " levels deep");
  }
  std::error_code error;
  for (auto it = std::filesystem::directory_iterator(path, error);
       !error && it != std::filesystem::directory_iterator(); it.increment(error)) {
    const std::string name = it->path().filename().string();
    const std::string key = prefix.empty() ? name : base::cat(prefix, ".", name);
    absl::Status status;
    if (std::error_code kind; it->is_directory(kind)) {
      status = walk_directory(it->path(), key, depth + 1, out);
    } else if (it->is_regular_file(kind)) {
      auto text = read_value(it->path());
      status = text.status();
      if (text.ok()) out->insert_or_assign(key, read_runtime_text(*text));
    }
    if (!status.ok()) return status;
  }
  return error ? base::config_error(path.string(), ": ", error.message()) : absl::OkStatus();
}

}  // namespace

RuntimeEntry read_runtime_text(std::string_view text) {
  RuntimeEntry out{std::string(text), {}};
  const std::string_view bare = stripped(text);
  const absl::string_view word(bare.data(), bare.size());
  if (double number = 0; absl::SimpleAtod(word, &number)) {
    set_number(number, &out.value);
  } else if (absl::EqualsIgnoreCase(word, "true") || absl::EqualsIgnoreCase(word, "false")) {
    out.value.flag = absl::EqualsIgnoreCase(word, "true");
  } else if (bare.find("numerator") != bare.npos) {
    Struct fraction;
    Warnings ignored;
    auto document = YamlDocument::parse(bare, "runtime value");
    if (document.ok() && document->to_message({}, &fraction, &ignored).ok() &&
        is_fraction(fraction)) {
      set_fraction(fraction, &out.value);
    }
  }
  return out;
}

absl::StatusOr<RuntimeEntries> read_runtime_struct(const Context& context, const Path& at,
                                                   const Struct& in) {
  StructWalk walk(context);
  if (absl::Status s = walk.walk(at, "", in, 1); !s.ok()) return s;
  return walk.take();
}

absl::StatusOr<RuntimeEntries> read_runtime_directory(const std::string& path) {
  RuntimeEntries out;
  if (absl::Status s = walk_directory(path, "", 1, &out); !s.ok()) return s;
  return out;
}

absl::StatusOr<RuntimeEntries> decode_runtime(std::string_view bytes, const DecodeOptions& options,
                                              Warnings* warnings) {
  Context context(options, warnings, "runtime layer");
  const Path root;
  envoy::service::runtime::v3::Runtime in;
  if (!parse_message(bytes, &in)) return context.error(root, "not a serialised Runtime");
  context.set_label(base::cat("runtime layer \"", in.name(), "\""));
  if (absl::Status s = context.check(in, root); !s.ok()) return s;
  return read_runtime_struct(context, Path(root, "layer"), in.layer());
}

}  // namespace sluice::xds
