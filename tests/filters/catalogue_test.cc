#include "filters/catalogue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/text.h"
#include "tests/oracle/sample_exchange.h"

namespace sluice::filters {
namespace {

using testing::HasSubstr;

FilterValue router(bool disabled = false) { return {"router", FilterRouter{}, disabled}; }
FilterValue mutation(std::string name, const std::string& header, bool disabled = false) {
  FilterHeaderMutation value;
  value.request_add.push_back({"x-request", header});
  value.response_add.push_back({"x-response", header});
  return {std::move(name), std::move(value), disabled};
}

std::string error_of(const std::vector<FilterValue>& values) {
  const auto chain = FilterChain::compile(values, "listeners[\"in\"].http_filters");
  return chain.ok() ? "" : std::string(base::message_of(chain.status()));
}

TEST(FilterChain, UsualOrdersAreFusedOthersRunOnTheVariant) {
  struct Row {
    std::vector<FilterValue> values;
    bool fused;
    const char* description;
  };
  const Row rows[] = {
      {{router()}, true, "fused router"},
      {{mutation("m", "1"), router()}, true, "fused header_mutation > router"},
      {{mutation("m", "1"), mutation("n", "2"), router()},
       false,
       "variant header_mutation > header_mutation > router"},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.description);
    const auto chain = FilterChain::compile(row.values, "f");
    ASSERT_TRUE(chain.ok());
    EXPECT_EQ((*chain)->fused(), row.fused);
    EXPECT_EQ((*chain)->describe(), row.description);
    EXPECT_EQ((*chain)->size(), row.values.size());
  }
}

std::vector<RouteFilterValue> adds(std::string name, std::string value) {
  RouteHeaderMutation mutation;
  mutation.request_add.push_back({"x-request", std::move(value)});
  return {{std::move(name), false, std::move(mutation)}};
}

TEST(RouteFiltersTest, TheMostSpecificOnDemandStandsInForTheChains) {
  const auto on = [](uint32_t source) {
    return std::vector<RouteFilterValue>{{"od", false, FilterOnDemand{true, source, 1}}};
  };
  const auto route = on(1), host = on(2);
  const std::vector<RouteFilterValue> off = {{"od", false, FilterOnDemand{}}};
  const auto source_of = [](std::initializer_list<const std::vector<RouteFilterValue>*> from) {
    std::vector<RouteFilters::Level> levels;
    for (const auto* values : from) levels.push_back({values, ""});
    const auto merged = RouteFilters::compile(levels);
    const RouteFilters::Entry* const entry = (*merged)->find(filter_name("od"));
    EXPECT_EQ(entry->kind, kind_of<OnDemand>());
    const auto* config = static_cast<const FilterOnDemand*>(entry->config.get());
    return config->odcds ? static_cast<int>(config->source) : -1;
  };
  EXPECT_EQ(source_of({&route, &host}), 1);
  EXPECT_EQ(source_of({nullptr, &host}), 2);
  EXPECT_EQ(source_of({&off, &host}), -1);
}

// What the levels add to a request behind the filter's own "0".
std::string added(const std::vector<RouteFilterValue>& route,
                  const std::vector<RouteFilterValue>& host,
                  const std::vector<RouteFilterValue>& table, bool most_specific_wins = false) {
  auto own = mutation("m", "0");
  std::get<FilterHeaderMutation>(own.config).most_specific_wins = most_specific_wins;
  const auto chain = FilterChain::compile(std::vector<FilterValue>{own, router()}, "f");
  const RouteFilters::Level levels[] = {{&route, "r."}, {&host, "h."}, {&table, "t."}};
  const auto filters = RouteFilters::compile(levels);
  EXPECT_TRUE(chain.ok() && filters.ok());
  oracle::SampleExchange x;
  ChainConfigs configs = (*chain)->configs();
  if (*filters != nullptr) {
    EXPECT_TRUE((*chain)->for_route(**filters, x.arena, &configs));
  }
  ChainRun run;
  FilterContext context;
  context.request = &x.request;
  context.facts = &x.facts;
  context.arena = &x.arena;
  visit_chain((*chain)->index(), [&]<typename Chain>() {
    EXPECT_TRUE(Chain::begin(run, configs, x.arena));
    EXPECT_EQ(Chain::request(run, context), Verdict::kNext);
  });
  std::string all;
  for (const http::Field& f : x.request.fields) {
    if (f.name() == "x-request") all += f.value();
  }
  return all;
}

TEST(HeaderMutation, MutationsComeOneAfterTheOther) {
  FilterHeaderMutation value;
  value.request_add.push_back({"x-request", "a"});
  value.request_add.push_back({"x-request", "b", http::HeaderMutation::Action::kOverwrite});
  value.request_add.push_back({"x-request", "c"});
  const auto chain =
      FilterChain::compile(std::vector<FilterValue>{{"m", value, false}, router()}, "f");
  ASSERT_TRUE(chain.ok());
  oracle::SampleExchange x;
  ChainRun run;
  FilterContext context;
  context.request = &x.request;
  context.facts = &x.facts;
  context.arena = &x.arena;
  visit_chain((*chain)->index(), [&]<typename Chain>() {
    EXPECT_TRUE(Chain::begin(run, (*chain)->configs(), x.arena));
    EXPECT_EQ(Chain::request(run, context), Verdict::kNext);
  });
  std::string all;
  for (const http::Field& f : x.request.fields) {
    if (f.name() == "x-request" && !f.removed()) all += f.value();
  }
  EXPECT_EQ(all, "bc");
}

TEST(RouteFilters, NamesAreSharedWhileHeldAndForgottenThen) {
  const size_t before = num_filter_names();
  {
    const FilterName one = filter_name("shared");
    EXPECT_EQ(filter_name("shared"), one);
    EXPECT_NE(filter_name("other"), one);
    EXPECT_EQ(num_filter_names(), before + 1);
  }
  for (int i = 0; i < 1000; ++i) filter_name("n" + std::to_string(i));
  EXPECT_EQ(num_filter_names(), before);
}

TEST(RouteFilters, LevelsComeInEnvoysOrder) {
  const auto r = adds("m", "r");
  const auto h = adds("m", "h");
  const auto t = adds("m", "t");
  EXPECT_EQ(added({}, {}, {}), "0");
  EXPECT_EQ(added(r, h, t), "0rht");
  EXPECT_EQ(added(r, h, t, true), "0thr");
  EXPECT_EQ(added(r, {}, t), "0rt");
  EXPECT_EQ(added(adds("other", "x"), h, {}), "0h");
}

TEST(RouteFilters, TheMostSpecificLevelThatNamesAFilterSwitchesIt) {
  const std::vector<RouteFilterValue> off = {{"m", true}};
  const std::vector<RouteFilterValue> on = {{"m", false}};
  const auto h = adds("m", "h");
  EXPECT_EQ(added(off, {}, {}), "");
  EXPECT_EQ(added({}, off, {}), "");
  EXPECT_EQ(added(on, off, {}), "0");
  EXPECT_EQ(added({}, on, off), "0");
  EXPECT_EQ(added(off, h, {}), "");
  EXPECT_EQ(added(on, h, {}), "0h");
}

TEST(RouteFilters, NothingSaidIsNoObjectAndErrorsNameTheLevel) {
  const std::vector<RouteFilterValue> none;
  const RouteFilters::Level levels[] = {{&none, "routes[0]."}, {nullptr, ""}};
  EXPECT_EQ(*RouteFilters::compile(levels), nullptr);
  const auto bad = adds("m", "%NOPE%");
  const RouteFilters::Level wrong[] = {{&bad, "routes[0]."}};
  EXPECT_THAT(std::string(base::message_of(RouteFilters::compile(wrong).status())),
              HasSubstr("routes[0].typed_per_filter_config[\"m\"].mutations.request_mutations"));
}

TEST(FilterChain, ErrorsNameTheFilter) {
  struct Row {
    std::vector<FilterValue> values;
    const char* message;
  };
  const Row rows[] = {
      {{},
       "listeners[\"in\"].http_filters: empty: the last filter must be envoy.filters.http.router"},
      {{mutation("m", "1")}, "http_filters[0] (m): the last filter must be"},
      {{router(), mutation("m", "1"), router()},
       "[0] (router): the router must be the last filter"},
      {{router(), router()}, "the router must be the last filter, and once"},
      {{router(true)}, "the router cannot be disabled"},
      {{mutation("m", "1"), mutation("m", "2"), router()}, "[1] (m): name is used twice: m"},
      {{mutation("m", "%NOPE%"), router()},
       "[0] (m).mutations.request_mutations_to_add[0].value: position 0: unknown operator"},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.message);
    EXPECT_THAT(error_of(row.values), HasSubstr(row.message));
  }
}

// Whatever chain type it is dispatched to, a list does the same.
TEST(FilterChain, RunsThroughOneDispatch) {
  struct Row {
    std::vector<FilterValue> values;
    std::vector<std::string> request;
    std::vector<std::string> response;
  };
  const Row rows[] = {
      {{router()}, {}, {}},
      {{mutation("m", "1"), router()}, {"1"}, {"1"}},
      {{mutation("m", "1", true), router()}, {}, {}},
      {{mutation("m", "1"), mutation("n", "2"), router()}, {"1", "2"}, {"2", "1"}},
      {{mutation("m", "1"), mutation("n", "2", true), router()}, {"1"}, {"1"}},
  };
  for (const Row& row : rows) {
    const auto chain = FilterChain::compile(row.values, "f");
    ASSERT_TRUE(chain.ok());
    SCOPED_TRACE((*chain)->describe());
    oracle::SampleExchange x;
    FilterContext context{
        .request = &x.request, .response = &x.response, .facts = &x.facts, .arena = &x.arena};
    ChainRun run;
    visit_chain((*chain)->index(), [&]<typename Chain>() {
      ASSERT_TRUE(Chain::begin(run, (*chain)->configs(), x.arena));
      EXPECT_EQ(Chain::request(run, context), Verdict::kNext);
      EXPECT_EQ(Chain::response(run, context), Verdict::kNext);
      Chain::done(run, context);
    });
    const auto values = [](const http::FieldList& fields, std::string_view name) {
      std::vector<std::string> out;
      for (const http::Field& f : fields) {
        if (f.name() == name) out.emplace_back(f.value());
      }
      return out;
    };
    EXPECT_EQ(values(x.request.fields, "x-request"), row.request);
    EXPECT_EQ(values(x.response.fields, "x-response"), row.response);
  }
}

TEST(Catalogue, KnowsFiltersByTypeUrl) {
  ASSERT_GT(num_filters(), 1u);
  for (size_t kind = 0; kind < num_filters(); ++kind) {
    const auto k = static_cast<uint8_t>(kind);
    EXPECT_EQ(kind_of_type_url(catalogue_type_url(k)), static_cast<int>(kind));
    EXPECT_THAT(describe_catalogue(), HasSubstr(std::string(catalogue_name(k))));
  }
  EXPECT_EQ(kind_of_type_url("type.googleapis.com/nothing"), -1);
  EXPECT_EQ(catalogue_name(255), "");
  EXPECT_THAT(describe_catalogue(), HasSubstr("  fused header_mutation > router\n"));
}

}  // namespace
}  // namespace sluice::filters
