#include "xds/config_source.h"

#include <sys/stat.h>

#include <deque>
#include <map>
#include <mutex>

#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/core/v3/config_source.pb.h"
#include "xds/bootstrap_servers.h"
#include "xds/decode_parts.h"
#include "xds/wire.h"

namespace sluice::xds {
namespace {

using Api = core::ApiConfigSource;

absl::Status check_version(const Context& context, const Path& at, const Api& in) {
  if (in.transport_api_version() == core::V3) return absl::OkStatus();
  return context.error(Path(at, "transport_api_version"),
                       "must be V3: ", core::ApiVersion_Name(in.transport_api_version()),
                       "; version 2 of the API is gone");
}

std::string names_of(const std::vector<ControlPlane>& servers) {
  std::string text;
  for (const ControlPlane& server : servers) {
    base::cat_to(text, text.empty() ? "" : ", then ", "\"", server.name, "\"");
  }
  return text;
}

absl::Status decode_grpc(const Context& context, const Path& at, const Api& in,
                         const Repeated<Cluster>& clusters, SourceValue* out) {
  auto grpc = decode_grpc_source(context, at, in, clusters);
  if (!grpc.ok()) return grpc.status();
  out->kind = SourceValue::Kind::kGrpc;
  out->grpc = *std::move(grpc);
  out->text =
      base::cat(out->grpc.delta ? "delta of " : "", "cluster ", names_of(out->grpc.servers));
  return absl::OkStatus();
}

absl::Status decode_rest(const Context& context, const Path& at, const Api& in,
                         const Repeated<Cluster>& clusters, SourceValue* out) {
  auto rest = decode_rest_source(context, at, in, clusters);
  if (!rest.ok()) return rest.status();
  out->kind = SourceValue::Kind::kRest;
  out->rest = *std::move(rest);
  out->text = base::cat("REST of cluster ", names_of(out->rest.servers));
  return absl::OkStatus();
}

absl::Status decode_api(const Context& context, const Path& at, const Api& in,
                        const Repeated<Cluster>& clusters, bool of_authority, SourceValue* out) {
  if (absl::Status s = check_version(context, at, in); !s.ok()) return s;
  switch (in.api_type()) {
    case Api::GRPC:
    case Api::DELTA_GRPC:
      return decode_grpc(context, at, in, clusters, out);
    case Api::AGGREGATED_GRPC:
    case Api::AGGREGATED_DELTA_GRPC:
      if (!of_authority) break;
      return decode_grpc(context, at, in, clusters, out);
    case Api::REST:
      return decode_rest(context, at, in, clusters, out);
    default:
      break;
  }
  return context.error(Path(at, "api_type"),
                       "not a way to reach a server: ", Api::ApiType_Name(in.api_type()),
                       "; set api_type: GRPC");
}

// A file must be there when it is named (rule 163).
absl::Status decode_file(const Context& context, const Path& at, const std::string& path,
                         const std::string& directory, SourceValue* out) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0) {
    return context.error(at, "no such file: \"", path, "\"; it must be there from the beginning");
  }
  if (!S_ISREG(info.st_mode)) return context.error(at, "not a file: \"", path, "\"");
  if (!directory.empty() && (stat(directory.c_str(), &info) != 0 || !S_ISDIR(info.st_mode))) {
    return context.error(Path(at, "watched_directory"), "no such directory: \"", directory, "\"");
  }
  out->kind = SourceValue::Kind::kFile;
  out->file = {path, directory};
  out->text = base::cat("file ", path);
  return absl::OkStatus();
}

absl::Status decode_source(const Context& context, const Path& at, const core::ConfigSource& in,
                           const Repeated<Cluster>& clusters, bool of_authority, SourceValue* out) {
  switch (in.config_source_specifier_case()) {
    case core::ConfigSource::kPath:
      return decode_file(context, Path(at, "path"), in.path(), "", out);
    case core::ConfigSource::kPathConfigSource:
      return decode_file(context, Path(at, "path_config_source"), in.path_config_source().path(),
                         in.path_config_source().watched_directory().path(), out);
    case core::ConfigSource::kApiConfigSource:
      return decode_api(context, Path(at, "api_config_source"), in.api_config_source(), clusters,
                        of_authority, out);
    default:
      return context.error(at,
                           "one of ads, self, api_config_source, path_config_source is required");
  }
}

}  // namespace

struct ConfigSources::State {
  Repeated<Cluster> clusters;
  std::mutex mutex;
  std::deque<SourceValue> values;  // by number; entries stay where they are
  std::map<std::string, SourceId> numbers;
};

ConfigSources::ConfigSources(std::vector<std::string> clusters)
    : state_(std::make_unique<State>()) {
  for (const std::string& bytes : clusters) {
    // What cannot be read is found by whoever decodes the cluster.
    static_cast<void>(state_->clusters.Add()->ParseFromString(bytes));
  }
  state_->values.emplace_back();
}

ConfigSources::~ConfigSources() = default;

absl::Status ConfigSources::set_ads(const Context& context, const Path& at, const Api& in) {
  if (in.api_type() == Api::REST) {
    return context.error(Path(at, "api_type"),
                         "REST carries no aggregated stream; set api_type: GRPC");
  }
  return decode_api(context, at, in, state_->clusters, false, &state_->values.front());
}

absl::StatusOr<SourceId> ConfigSources::number_of(const Context& context, const Path& at,
                                                  const core::ConfigSource& in, SourceId self) {
  return number(context, at, in, self, !in.authorities().empty());
}

absl::StatusOr<SourceId> ConfigSources::number_of_authority(const Context& context, const Path& at,
                                                            const core::ConfigSource& in) {
  return number(context, at, in, kAds, true);
}

absl::StatusOr<SourceId> ConfigSources::number(const Context& context, const Path& at,
                                               const core::ConfigSource& in, SourceId self,
                                               bool of_authority) {
  if (in.has_ads()) return kAds;
  if (in.has_self()) return self;
  core::ConfigSource plain = in;
  plain.clear_initial_fetch_timeout();
  plain.clear_authorities();
  const std::string key = plain.SerializeAsString();
  {
    const std::lock_guard lock(state_->mutex);
    const auto it = state_->numbers.find(key);
    if (it != state_->numbers.end()) return it->second;
  }
  SourceValue value;
  if (absl::Status s = decode_source(context, at, in, state_->clusters, of_authority, &value);
      !s.ok()) {
    return s;
  }
  value.lasting = hash_of(key);
  const std::lock_guard lock(state_->mutex);
  if (state_->values.size() >= kMaxSources) {
    return context.error(at, "more than ", kMaxSources, " configuration sources; use fewer");
  }
  const auto number = static_cast<SourceId>(state_->values.size());
  const auto [it, fresh] = state_->numbers.try_emplace(key, number);
  if (fresh) state_->values.push_back(std::move(value));
  return it->second;
}

const SourceValue& ConfigSources::value(SourceId source) const {
  const std::lock_guard lock(state_->mutex);
  return state_->values[source];
}

absl::Status require_delta(const Context& context, const Path& at, SourceId source) {
  const auto& sources = context.options().sources;
  if (sources == nullptr) return absl::OkStatus();
  const SourceValue& value = sources->value(source);
  if (value.kind == SourceValue::Kind::kGrpc && value.grpc.delta) return absl::OkStatus();
  return context.error(at, "must be incremental (DELTA_GRPC), as only that protocol can say what ",
                       "is asked for one by one: ",
                       source == kAds ? std::string_view("ads") : std::string_view(value.text));
}

absl::Status decode_config_source(const Context& context, const Path& at,
                                  const core::ConfigSource& in, SourceId* source,
                                  std::chrono::nanoseconds* timeout) {
  if (in.resource_api_version() == core::V2) {
    return context.error(Path(at, "resource_api_version"), "V2 is gone; write V3");
  }
  const auto& sources = context.options().sources;
  if (sources != nullptr) {
    auto number = sources->number_of(context, at, in, context.options().self);
    if (!number.ok()) return number.status();
    *source = *number;
  } else if (!in.has_ads()) {
    ConfigSources none({});
    auto number = none.number_of(context, at, in, kAds);
    if (!number.ok()) return number.status();
  }
  if (!in.has_initial_fetch_timeout()) return absl::OkStatus();
  return decode_duration(context, Path(at, "initial_fetch_timeout"), in.initial_fetch_timeout(),
                         timeout);
}

}  // namespace sluice::xds
