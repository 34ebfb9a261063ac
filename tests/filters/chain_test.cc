#include "filters/chain.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "tests/oracle/sample_exchange.h"

namespace sluice::filters {
namespace {

// Filters that write down when they are called. Letter tells them apart; each may be told to wait
// or to respond at a hook.
struct Script {
  std::string* journal;
  Verdict on_request = Verdict::kNext;
  Verdict on_body = Verdict::kNext;
  Verdict on_response = Verdict::kNext;
};

template <char kLetter>
struct Recorder {
  static constexpr std::string_view kName = "test";
  static constexpr std::string_view kTypeUrl = "test";
  using Value = std::monostate;
  using Config = Script;
  struct State {
    uint64_t calls = 0;
  };

  static void note(const Config& c, State& s, std::string_view hook) {
    c.journal->append(hook).push_back(kLetter);
    c.journal->append(std::to_string(s.calls++)).push_back(' ');
  }
  static Verdict on_request(const Config& c, State& s, FilterContext&) noexcept {
    note(c, s, "q");
    return c.on_request;
  }
  static Verdict on_request_body(const Config& c, State& s, FilterContext&, base::Chain& body,
                                 bool end) noexcept {
    note(c, s, end ? "E" : "b");
    body.append(std::string_view("+"));
    return c.on_body;
  }
  static Verdict on_response(const Config& c, State& s, FilterContext&) noexcept {
    note(c, s, "r");
    return c.on_response;
  }
  static void on_done(const Config& c, State& s, FilterContext&) noexcept { note(c, s, "d"); }
};
using A = Recorder<'a'>;
using B = Recorder<'b'>;
using C = Recorder<'c'>;

// Has no hooks at all.
struct Marker {
  static constexpr std::string_view kName = "marker";
  static constexpr std::string_view kTypeUrl = "marker";
  using Value = std::monostate;
  using Config = Script;
  using State = std::monostate;
};
static_assert(Filter<A> && Filter<Marker>);
static_assert(HasOnRequest<A> && !HasOnResponseBody<A> && !HasOnDone<Marker>);

// A hook with a wrong signature is not a filter, rather than a hook that is never called.
struct Misspelt : Marker {
  static bool on_request(const Config&, State&, FilterContext&) noexcept { return true; }
};
static_assert(!Filter<Misspelt>);
struct Throwing : Marker {
  static Verdict on_request(const Config&, State&, FilterContext&) { return Verdict::kNext; }
};
static_assert(!Filter<Throwing>);

using Fused = FusedChain<A, B, C, Marker>;
static_assert(Fused::kSeesRequestBody && !Fused::kSeesResponseBody);

// The same behaviour is asked of both kinds of chain.
template <typename ChainType>
class ChainTest : public testing::Test {
 protected:
  void SetUp() override {
    context.request = &x.request;
    context.response = &x.response;
    context.facts = &x.facts;
    context.arena = &x.arena;
    for (Script& s : scripts) s.journal = &journal;
    for (size_t i = 0; i < 4; ++i) configs[i] = &scripts[i];
    ASSERT_TRUE(restart());
  }
  bool restart() {
    journal.clear();
    return ChainType::begin(run, {configs, kinds, offsets, 24, 4}, x.arena);
  }

  oracle::SampleExchange x;
  std::string journal;
  Script scripts[4] = {};
  const void* configs[4] = {};
  const uint8_t kinds[4] = {0, 1, 2, 3};
  const uint16_t offsets[4] = {0, 8, 16, 24};
  FilterContext context;
  ChainRun run;
};
using ChainTypes = testing::Types<Fused, VariantChain<A, B, C, Marker>>;
TYPED_TEST_SUITE(ChainTest, ChainTypes);

TYPED_TEST(ChainTest, RequestsInOrderResponsesInReverseStatesKept) {
  EXPECT_EQ(TypeParam::request(this->run, this->context), Verdict::kNext);
  EXPECT_EQ(TypeParam::response(this->run, this->context), Verdict::kNext);
  TypeParam::done(this->run, this->context);
  EXPECT_EQ(this->journal, "qa0 qb0 qc0 rc1 rb1 ra1 dc2 db2 da2 ");
}

TYPED_TEST(ChainTest, NullConfigurationSkipsTheFilterEverywhere) {
  this->configs[1] = nullptr;
  ASSERT_TRUE(this->restart());
  TypeParam::request(this->run, this->context);
  TypeParam::response(this->run, this->context);
  TypeParam::done(this->run, this->context);
  EXPECT_EQ(this->journal, "qa0 qc0 rc1 ra1 dc2 da2 ");
}

TYPED_TEST(ChainTest, RespondStopsRequestsAndTheWholeChainSeesTheAnswer) {
  this->scripts[1].on_request = Verdict::kRespond;
  EXPECT_EQ(TypeParam::request(this->run, this->context), Verdict::kRespond);
  EXPECT_EQ(TypeParam::response(this->run, this->context), Verdict::kNext);
  EXPECT_EQ(this->journal, "qa0 qb0 rc0 rb1 ra1 ");
}

TYPED_TEST(ChainTest, WaitGoesOnBehindTheFilterThatWaited) {
  this->scripts[0].on_request = this->scripts[2].on_request = Verdict::kWait;
  EXPECT_EQ(TypeParam::request(this->run, this->context), Verdict::kWait);
  EXPECT_EQ(this->journal, "qa0 ");
  EXPECT_EQ(TypeParam::request(this->run, this->context), Verdict::kWait);
  EXPECT_EQ(this->journal, "qa0 qb0 qc0 ");
  EXPECT_EQ(TypeParam::request(this->run, this->context), Verdict::kNext);
  EXPECT_EQ(this->journal, "qa0 qb0 qc0 ");
}

TYPED_TEST(ChainTest, WaitInAResponseGoesOnInReverse) {
  this->scripts[1].on_response = Verdict::kWait;
  EXPECT_EQ(TypeParam::response(this->run, this->context), Verdict::kWait);
  EXPECT_EQ(this->journal, "rc0 rb0 ");
  EXPECT_EQ(TypeParam::response(this->run, this->context), Verdict::kNext);
  EXPECT_EQ(this->journal, "rc0 rb0 ra0 ");
}

TYPED_TEST(ChainTest, WaitOfTheLastFilterEndsThePhase) {
  this->scripts[0].on_response = Verdict::kWait;
  EXPECT_EQ(TypeParam::response(this->run, this->context), Verdict::kWait);
  EXPECT_EQ(TypeParam::response(this->run, this->context), Verdict::kNext);
  EXPECT_EQ(this->journal, "rc0 rb0 ra0 ");
}

TYPED_TEST(ChainTest, EveryPieceOfABodyPassesTheWholeChain) {
  base::Chain body;
  body.append(std::string_view("x"));
  EXPECT_EQ(TypeParam::request_body(this->run, this->context, body, false), Verdict::kNext);
  EXPECT_EQ(body.bytes(), 4u);
  EXPECT_EQ(TypeParam::request_body(this->run, this->context, body, true), Verdict::kNext);
  EXPECT_EQ(this->journal, "ba0 bb0 bc0 Ea1 Eb1 Ec1 ");
  EXPECT_EQ(TypeParam::response_body(this->run, this->context, body, true), Verdict::kNext);
  EXPECT_EQ(this->journal.size(), std::string("ba0 bb0 bc0 Ea1 Eb1 Ec1 ").size());
}

TYPED_TEST(ChainTest, DoneRunsOnceAndOnlyAfterBegin) {
  TypeParam::done(this->run, this->context);
  TypeParam::done(this->run, this->context);
  EXPECT_EQ(this->journal, "dc0 db0 da0 ");
  ChainRun never;
  TypeParam::done(never, this->context);
  EXPECT_EQ(this->journal, "dc0 db0 da0 ");
}

TYPED_TEST(ChainTest, SampledExchangesTimeEachFilterInBothDirections) {
  base::Histogram costs[8];
  this->run.costs = costs;
  TypeParam::request(this->run, this->context);
  TypeParam::response(this->run, this->context);
  for (size_t i = 0; i < 8; ++i) {
    SCOPED_TRACE(i);
    EXPECT_EQ(costs[i].snapshot().count(), i / 2 == 3 ? 0u : 1u);  // the marker has no hooks
  }
}

}  // namespace
}  // namespace sluice::filters
