#include "filters/route_filters.h"

#include <map>
#include <mutex>
#include <utility>
#include <variant>

#include "base/text.h"
#include "filters/catalogue.h"

namespace sluice::filters {

namespace {

absl::StatusOr<HeaderMutation::Level> compile_level(const RouteHeaderMutation& value,
                                                    std::string_view path) {
  HeaderMutation::Level level;
  absl::Status status =
      http::compile_edits({value.request_add, value.request_remove},
                          base::cat(path, ".mutations.request_mutations"), &level.request);
  if (!status.ok()) return status;
  status = http::compile_edits({value.response_add, value.response_remove},
                               base::cat(path, ".mutations.response_mutations"), &level.response);
  if (!status.ok()) return status;
  HeaderMutation::apply_one_by_one(&level);
  return level;
}

// The names that are held, never destroyed: static objects may hold some.
struct Names {
  std::mutex mutex;
  std::map<std::string, std::weak_ptr<const std::string>, std::less<>> held;

  static Names& all() {
    static Names& names = *new Names();
    return names;
  }
  // By the last holder. Somebody may have made the name anew meanwhile.
  static void drop(const std::string* name) {
    Names& names = all();
    {
      const std::lock_guard<std::mutex> lock(names.mutex);
      const auto it = names.held.find(*name);
      if (it != names.held.end() && it->second.expired()) names.held.erase(it);
    }
    delete name;
  }
};

// What is known of one name while levels are gone through.
struct Merged {
  RouteFilters::Says says = RouteFilters::Says::kNothing;
  HeaderMutation::RouteConfig mutations;
  std::shared_ptr<const FilterOnDemand> on_demand;

  absl::Status add(const RouteFilterValue& value, std::string_view at) {
    if (says == RouteFilters::Says::kNothing) {
      says = value.disabled ? RouteFilters::Says::kOff : RouteFilters::Says::kOn;
    }
    if (value.disabled) return absl::OkStatus();
    if (const auto* own = std::get_if<FilterOnDemand>(&value.config)) {
      if (on_demand == nullptr) on_demand = std::make_shared<const FilterOnDemand>(*own);
    } else if (const auto* mutation = std::get_if<RouteHeaderMutation>(&value.config)) {
      auto compiled =
          compile_level(*mutation, base::cat(at, "typed_per_filter_config[\"", value.name, "\"]"));
      if (!compiled.ok()) return compiled.status();
      mutations.levels.push_back(*std::move(compiled));
    }
    return absl::OkStatus();
  }
  RouteFilters::Entry entry(std::string_view name) && {
    RouteFilters::Entry out{.name = filter_name(name), .says = says};
    if (on_demand != nullptr) {
      out.kind = kind_of<OnDemand>();
      out.config = std::move(on_demand);
    } else if (!mutations.levels.empty()) {
      out.kind = kind_of<HeaderMutation>();
      out.config = std::make_shared<const HeaderMutation::RouteConfig>(std::move(mutations));
    }
    return out;
  }
};

}  // namespace

FilterName filter_name(std::string_view name) {
  Names& names = Names::all();
  const std::lock_guard<std::mutex> lock(names.mutex);
  const auto it = names.held.find(name);
  if (it != names.held.end()) {
    if (FilterName known = it->second.lock()) return known;
  }
  FilterName fresh(new std::string(name), &Names::drop);
  names.held.insert_or_assign(*fresh, fresh);
  return fresh;
}

size_t num_filter_names() {
  const std::lock_guard<std::mutex> lock(Names::all().mutex);
  return Names::all().held.size();
}

absl::StatusOr<std::shared_ptr<const RouteFilters>> RouteFilters::compile(
    std::span<const Level> levels) {
  std::map<std::string, Merged, std::less<>> merged;
  for (const Level& level : levels) {
    if (level.values == nullptr) continue;
    for (const RouteFilterValue& value : *level.values) {
      if (absl::Status s = merged[value.name].add(value, level.at); !s.ok()) return s;
    }
  }
  if (merged.empty()) return std::shared_ptr<const RouteFilters>();
  auto out = std::make_shared<RouteFilters>();
  for (auto& [name, from] : merged) {
    out->entries_.push_back(std::move(from).entry(name));
  }
  return std::shared_ptr<const RouteFilters>(std::move(out));
}

}  // namespace sluice::filters
