#include "http/header_edit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/text.h"
#include "tests/oracle/sample_exchange.h"

namespace sluice::http {
namespace {

using Action = HeaderMutation::Action;
using testing::ElementsAre;
using testing::HasSubstr;

class HeaderEditTest : public testing::Test {
 protected:
  using Pairs = std::initializer_list<std::pair<std::string_view, std::string_view>>;

  // Applies one level after the other to a head with these fields.
  std::vector<std::string> apply(Pairs fields, const std::vector<HeaderMutations>& levels) {
    HeaderEditList edits;
    for (const HeaderMutations& level : levels) {
      const absl::Status status = compile_edits(level, "route.request_headers", &edits);
      if (!status.ok()) return {std::string(base::message_of(status))};
    }
    RequestHead head;
    head.fields.bind(&x.arena);
    head.method_text = "GET";
    oracle::SampleExchange::add(head.fields, fields);
    x.facts.request = &head;
    num_refused = apply_edits(edits, head.fields, x.facts, x.arena);
    std::vector<std::string> out;
    for (const Field& f : head.fields) {
      if (!f.removed()) out.push_back(base::cat(f.name(), ": ", f.value()));
    }
    return out;
  }

  oracle::SampleExchange x;
  uint32_t num_refused = 0;
};

TEST_F(HeaderEditTest, ActionsDoWhatEnvoysDo) {
  struct Row {
    Action action;
    std::vector<std::string> absent;
    std::vector<std::string> present;
  };
  const Row rows[] = {
      {Action::kAppend, {"x-a: new"}, {"x-a: old", "x-a: new"}},
      {Action::kAddIfAbsent, {"x-a: new"}, {"x-a: old"}},
      {Action::kOverwrite, {"x-a: new"}, {"x-a: new"}},
      {Action::kOverwriteIfExists, {}, {"x-a: new"}},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(static_cast<int>(row.action));
    const std::vector<HeaderMutations> edit = {{.add = {{"x-a", "new", row.action}}, .remove = {}}};
    EXPECT_EQ(apply({}, edit), row.absent);
    EXPECT_EQ(apply({{"x-a", "old"}}, edit), row.present);
  }
}

TEST_F(HeaderEditTest, AppendJoinsFieldsOfWhichThereIsOne) {
  EXPECT_THAT(
      apply({{"x-forwarded-for", "1.1.1.1"}, {"cookie", "a=1"}, {"set-cookie", "b=2"}},
            {{.add = {{"x-forwarded-for", "2.2.2.2"}, {"cookie", "c=3"}, {"set-cookie", "d=4"}},
              .remove = {}}}),
      ElementsAre("x-forwarded-for: 1.1.1.1,2.2.2.2", "cookie: a=1; c=3", "set-cookie: b=2",
                  "set-cookie: d=4"));
}

TEST_F(HeaderEditTest, RemovalsComeFirstThenValuesThenOverwritesThenAdditions) {
  // The appended x-b is computed before x-a is overwritten, and written after it.
  EXPECT_THAT(apply({{"x-a", "1"}, {"x-gone", "g"}},
                    {{.add = {{"x-b", "%REQ(x-a)%%REQ(x-gone)%"}, {"x-a", "2", Action::kOverwrite}},
                      .remove = {"x-gone"}}}),
              ElementsAre("x-a: 2", "x-b: 1"));
  // Two additions "if absent" look at the head as it was: both are made.
  EXPECT_THAT(
      apply({}, {{.add = {{"x-a", "1", Action::kAddIfAbsent}, {"x-a", "2", Action::kAddIfAbsent}},
                  .remove = {}}}),
      ElementsAre("x-a: 1", "x-a: 2"));
}

TEST_F(HeaderEditTest, ALaterLevelSeesWhatAnEarlierOneDid) {
  EXPECT_THAT(apply({}, {{.add = {{"x-a", "1"}}, .remove = {}},
                         {.add = {{"x-a", "2", Action::kOverwriteIfExists}}, .remove = {}},
                         {.add = {{"x-b", "<%REQ(x-a)%>"}}, .remove = {"x-a"}}}),
              ElementsAre("x-b: <>"));
}

TEST_F(HeaderEditTest, EmptyValuesAreKeptOnlyOnDemand) {
  EXPECT_THAT(apply({}, {{.add = {{"x-a", "%REQ(x-none)%"},
                                  {"x-b", ""},
                                  {"x-c", "%REQ(x-none)%", Action::kAppend, true}},
                          .remove = {}}}),
              ElementsAre("x-c: "));
}

TEST_F(HeaderEditTest, ValuesThatWouldSplitTheHeadAreRefused) {
  x.facts.upstream_transport_failure = "a\r\nevil: yes";
  EXPECT_THAT(apply({}, {{.add = {{"x-a", "%UPSTREAM_TRANSPORT_FAILURE_REASON%"}, {"x-b", "b"}},
                          .remove = {}}}),
              ElementsAre("x-b: b"));
  EXPECT_EQ(num_refused, 1u);
}

TEST_F(HeaderEditTest, CompileRefusesWhatCannotBeEdited) {
  struct Row {
    HeaderMutations level;
    const char* message;
  };
  const Row rows[] = {
      {{.add = {{":path", "/"}}, .remove = {}},
       "route.request_headers_to_add[0]: pseudo-headers cannot be edited (use a rewrite): :path"},
      {{.add = {{"x-a", "1"}, {"host", "h"}}, .remove = {}},
       "route.request_headers_to_add[1]: host cannot be edited"},
      {{.add = {}, .remove = {"content-length"}},
       "route.request_headers_to_remove[0]: decides how the message is framed"},
      {{.add = {{"transfer-encoding", "chunked"}}, .remove = {}}, "decides how the message"},
      {{.add = {{"a b", "1"}}, .remove = {}}, "not a header name: a b"},
      {{.add = {{"", "1"}}, .remove = {}}, "not a header name: "},
      {{.add = {{"x-a", "%NOPE%"}}, .remove = {}},
       "route.request_headers_to_add[0].value: position 0: unknown operator"},
      {{.add = {{"x-a", "1\r\n2"}}, .remove = {}}, "holds control characters: x-a"},
  };
  for (const Row& row : rows) {
    const auto out = apply({}, {row.level});
    ASSERT_EQ(out.size(), 1u);
    EXPECT_THAT(out[0], HasSubstr(row.message));
  }
}

TEST_F(HeaderEditTest, NothingToDoIsNothing) {
  EXPECT_THAT(apply({{"x-a", "1"}}, {}), ElementsAre("x-a: 1"));
  EXPECT_THAT(apply({{"x-a", "1"}}, {{}, {}}), ElementsAre("x-a: 1"));
}

}  // namespace
}  // namespace sluice::http
