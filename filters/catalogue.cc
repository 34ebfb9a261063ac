#include "filters/catalogue.h"

#include <array>
#include <type_traits>
#include <utility>
#include <variant>

#include "base/text.h"

namespace sluice::filters {

namespace {

using Catalogue = AnyChain::Filters;

// Calls fn<kind, Filter>() for each filter of the catalogue.
template <typename Fn>
constexpr void each_filter(Fn&& fn) {
  [&]<size_t... I>(std::index_sequence<I...>) {
    (fn.template operator()<I, std::tuple_element_t<I, Catalogue>>(), ...);
  }(std::make_index_sequence<kNumFilters>());
}

constexpr uint8_t kRouterKind = kind_of<Router>();

struct Entry {
  std::string_view name;
  std::string_view type_url;
  uint16_t state_room = 0;
};
constexpr auto kEntries = [] {
  std::array<Entry, kNumFilters> entries;
  each_filter([&]<size_t I, typename F>() {
    entries[I] = {F::kName, F::kTypeUrl, static_cast<uint16_t>(internal::state_room<F>())};
  });
  return entries;
}();

// Kinds of a fused chain's filters, in order.
template <typename Chain>
std::vector<uint8_t> kinds_of_chain() {
  std::vector<uint8_t> kinds;
  [&]<size_t... I>(std::index_sequence<I...>) {
    (kinds.push_back(kind_of<std::tuple_element_t<I, typename Chain::Filters>>()), ...);
  }(std::make_index_sequence<std::tuple_size_v<typename Chain::Filters>>());
  return kinds;
}

uint8_t chain_for(const std::vector<uint8_t>& kinds) {
  for (uint8_t i = 0; i < kAnyChain; ++i) {
    const bool same = visit_chain(
        i, [&]<typename Chain>() { return Chain::kFused && kinds_of_chain<Chain>() == kinds; });
    if (same) return i;
  }
  return kAnyChain;
}

// "envoy.filters.http.header_mutation" -> "header_mutation"
std::string_view brief(std::string_view name) { return name.substr(name.rfind('.') + 1); }

std::string join(std::span<const uint8_t> kinds) {
  std::string out;
  for (const uint8_t kind : kinds) {
    base::cat_to(out, out.empty() ? "" : " > ", brief(kEntries[kind].name));
  }
  return out;
}

struct Compiled {
  uint8_t kind = 0;
  std::shared_ptr<const void> config;
};

absl::StatusOr<Compiled> compile_config(const FilterConfig& config, std::string_view path,
                                        std::vector<std::string>* warnings) {
  absl::StatusOr<Compiled> out = Compiled();
  each_filter([&]<size_t I, typename F>() {
    const auto* value = std::get_if<typename F::Value>(&config);
    if (value == nullptr) return;
    auto compiled = F::compile(*value, path, warnings);
    if (compiled.ok()) {
      out = Compiled{static_cast<uint8_t>(I), *std::move(compiled)};
    } else {
      out = compiled.status();
    }
  });
  return out;
}

}  // namespace

absl::StatusOr<std::shared_ptr<const Router::Config>> Router::compile(const Value& value,
                                                                      std::string_view,
                                                                      std::vector<std::string>*) {
  return std::make_shared<const FilterRouter>(value);
}

void HeaderMutation::apply_one_by_one(Level* level) {
  for (http::HeaderEditList* edits : {&level->request, &level->response}) {
    for (http::HeaderEdit& edit : *edits) edit.begins_level = true;
  }
}

absl::StatusOr<std::shared_ptr<const HeaderMutation::Config>> HeaderMutation::compile(
    const Value& value, std::string_view path, std::vector<std::string>* warnings) {
  auto config = std::make_shared<Config>();
  absl::Status status = http::compile_edits({value.request_add, value.request_remove},
                                            base::cat(path, ".mutations.request_mutations"),
                                            &config->request, warnings);
  if (!status.ok()) return status;
  status = http::compile_edits({value.response_add, value.response_remove},
                               base::cat(path, ".mutations.response_mutations"), &config->response,
                               warnings);
  if (!status.ok()) return status;
  apply_one_by_one(config.get());
  config->most_specific_wins = value.most_specific_wins;
  return std::shared_ptr<const Config>(std::move(config));
}

absl::StatusOr<std::shared_ptr<const FilterChain>> FilterChain::compile(
    std::span<const FilterValue> values, std::string_view path,
    std::vector<std::string>* warnings) {
  if (values.empty()) {
    return base::config_error(path, ": empty: the last filter must be ", Router::kName);
  }
  if (values.size() > 255) {
    return base::config_error(path, ": more than 255 filters: ", values.size());
  }
  auto chain = std::make_shared<FilterChain>();
  size_t state_bytes = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    const FilterValue& value = values[i];
    const std::string here = base::cat(path, "[", i, "] (", value.name, ")");
    auto compiled = compile_config(value.config, here, warnings);
    if (!compiled.ok()) return compiled.status();
    const bool last = i + 1 == values.size();
    if ((compiled->kind == kRouterKind) != last) {
      return last ? base::config_error(here, ": the last filter must be ", Router::kName)
                  : base::config_error(here, ": the router must be the last filter, and once");
    }
    if (last && value.disabled) {
      return base::config_error(here, ": the router cannot be disabled");
    }
    for (const std::string& name : chain->names_) {
      if (name == value.name) return base::config_error(here, ": name is used twice: ", name);
    }
    chain->names_.push_back(value.name);
    chain->shared_names_.push_back(filter_name(value.name));
    chain->kinds_.push_back(compiled->kind);
    chain->configs_.push_back(value.disabled ? nullptr : compiled->config.get());
    chain->state_offsets_.push_back(static_cast<uint16_t>(state_bytes));
    state_bytes += kEntries[compiled->kind].state_room;
    chain->owned_.push_back(std::move(compiled->config));
  }
  if (state_bytes > 16 * 1024) {
    return base::config_error(path, ": filters need too much memory per exchange: ", state_bytes);
  }
  chain->lists_ = {chain->configs_.data(), chain->kinds_.data(), chain->state_offsets_.data(),
                   static_cast<uint16_t>(state_bytes), static_cast<uint8_t>(values.size())};
  chain->router_ = static_cast<const FilterRouter*>(chain->configs_.back());
  chain->index_ = chain_for(chain->kinds_);
  return std::shared_ptr<const FilterChain>(std::move(chain));
}

bool FilterChain::for_route(const RouteFilters& route, base::Arena& arena,
                            ChainConfigs* out) const noexcept {
  const size_t n = configs_.size();
  auto** const lists = static_cast<const void**>(arena.alloc(2 * n * sizeof(void*), sizeof(void*)));
  if (lists == nullptr) return false;
  for (size_t i = 0; i < n; ++i) {
    lists[i] = configs_[i];
    lists[n + i] = nullptr;
    const RouteFilters::Entry* const entry = route.find(shared_names_[i]);
    if (entry == nullptr || kinds_[i] == kRouterKind) continue;
    lists[i] = entry->says == RouteFilters::Says::kOff ? nullptr : owned_[i].get();
    if (entry->kind == kinds_[i]) lists[n + i] = entry->config.get();
  }
  *out = lists_;
  out->configs = lists;
  out->route_configs = lists + n;
  return true;
}

std::string FilterChain::describe() const {
  return base::cat(fused() ? "fused " : "variant ", join(kinds_));
}

std::string_view catalogue_name(uint8_t kind) noexcept {
  return kind < kNumFilters ? kEntries[kind].name : std::string_view();
}

std::string_view catalogue_type_url(uint8_t kind) noexcept {
  return kind < kNumFilters ? kEntries[kind].type_url : std::string_view();
}

int kind_of_type_url(std::string_view type_url) noexcept {
  for (size_t i = 0; i < kNumFilters; ++i) {
    if (kEntries[i].type_url == type_url) return static_cast<int>(i);
  }
  return -1;
}

size_t num_filters() noexcept { return kNumFilters; }

std::string describe_catalogue() {
  std::string out = "filters:\n";
  for (const Entry& entry : kEntries) base::cat_to(out, "  ", entry.name, "\n");
  out += "chains compiled in:\n";
  for (uint8_t i = 0; i < kAnyChain; ++i) {
    visit_chain(i, [&]<typename Chain>() {
      base::cat_to(out, "  fused ", join(kinds_of_chain<Chain>()), "\n");
    });
  }
  out += "  variant: any other order, by a switch per filter\n";
  return out;
}

}  // namespace sluice::filters
