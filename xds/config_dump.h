// ConfigDump answers /config_dump: the bootstrap and all resources as JSON of Envoy's
// envoy.admin.v3.ConfigDump, made of the bytes that they came in.
//
// make() sorts the input, next() makes some ten KiB of JSON per call: one resource at a time is
// decoded and printed, so that memory stays at the size of the input. A message that the build does
// not know (an Any of a strange type) is shown as a text that says so. Main only, cold.
//
// json_of() prints any single message; it is how admin gets at protobuf.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "xds/dump_parts.h"
#include "xds/resources.h"
#include "xds/type_state.h"

namespace sluice::xds {

// One resource as /config_dump lists it.
struct DumpResource {
  Type type = Type::kCluster;
  bool is_static = false;
  bool warming = false;
  std::string name = {};
  std::string version = {};
  std::string bytes = {};  // of the accepted one; empty: none was accepted
  base::WallNs updated_at = 0;
  std::optional<ErrorState> error = {};  // the last one was refused
};

struct DumpInput {
  std::string bootstrap = {};  // serialised envoy.config.bootstrap.v3.Bootstrap
  base::WallNs started_at = 0;
  std::string clusters_version = {}, listeners_version = {};
  std::vector<DumpResource> resources = {};
};

struct DumpQuery {
  std::string resource;  // ?resource=: only this list, its elements at the top
  std::string mask;      // ?mask=
  bool include_eds = false;
  std::function<bool(std::string_view name)> wants;  // ?name_regex=; empty: all
};

class ConfigDump {
 public:
  // NotFound: no such list. InvalidArgument: not a list.
  static absl::StatusOr<ConfigDump> make(DumpInput input, DumpQuery query);
  // Appends some of the JSON; false: that was the last.
  bool next(std::string* out);

 private:
  enum class Kind : uint8_t { kText, kBootstrap, kElement };
  struct Step {
    Kind kind = Kind::kText;
    std::string text = {};  // kText: as it is
    size_t index = 0;       // kElement: in input_.resources
    std::string_view list = {};
    bool last = true;  // of its list
  };
  ConfigDump(DumpInput input, DumpQuery query)
      : input_(std::move(input)), query_(std::move(query)) {}
  void split_inline_routes();
  void plan_all();
  void plan_config(std::string_view type, std::string_view version,
                   std::vector<std::string_view> lists);
  void plan_list(std::string_view list, size_t indent);
  bool selects(std::string_view list) const;
  std::string mask_of(std::string_view list) const;
  void add_bootstrap(std::string* out) const;
  void add_element(const Step& step, std::string* out) const;

  DumpInput input_;
  DumpQuery query_;
  DumpParts parts_;
  std::vector<Step> steps_;
  size_t step_ = 0;
};

// JSON with fields as the proto spells them, one space a level, no line break at the end.
// `all_fields`: unset ones too. An error: no such type, or not a message of it.
absl::StatusOr<std::string> json_of(std::string_view type_url, std::string_view bytes,
                                    bool all_fields = false);

// Listener.traffic_direction is INBOUND.
bool is_inbound_listener(std::string_view bytes);

}  // namespace sluice::xds
