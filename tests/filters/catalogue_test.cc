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
FilterValue mutation(std::string name, std::string header, bool disabled = false) {
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
