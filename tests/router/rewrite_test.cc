#include "router/rewrite.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

#include "re2/re2.h"
#include "router/table.h"
#include "tests/router/request.h"

namespace sluice::router {
namespace {

// One route for everything, and what it makes of a request.
class Rewrite {
 public:
  explicit Rewrite(RouteValue route) {
    auto compiled =
        RouteTable::compile(config_of({host({"*"}, {std::move(route)})}), ids_, nullptr);
    EXPECT_TRUE(compiled.ok()) << compiled.status();
    table_ = *compiled;
  }
  const Route& route() const { return table_->virtual_hosts()[0]->routes()[0]; }
  std::string path(std::string from) const {
    TestRequest request({.path = std::move(from)});
    return std::string(rewrite_path(route(), request.head().path, request.arena(), 0));
  }
  std::string host_of(oracle::LinearRequest values) const {
    TestRequest request(std::move(values));
    return std::string(
        rewrite_host(route(), route().target(0, nullptr), request.head(), request.arena(), 0));
  }
  std::string location(std::string authority, std::string from, bool tls = false) const {
    TestRequest request({.path = std::move(from), .authority = std::move(authority)});
    return std::string(redirect_location(route(), request.head(), tls, request.arena(), 0));
  }

 private:
  ClusterIds ids_;
  std::shared_ptr<const RouteTable> table_;
};

RouteValue with_prefix(RouteValue route, std::string to) {
  route.forward.path_rewrite = {PathRewrite::Kind::kPrefix, std::move(to), "", ""};
  return route;
}
RouteValue with_regex(RouteValue route, std::string pattern, std::string substitution) {
  route.forward.path_rewrite = {PathRewrite::Kind::kRegex, "", std::move(pattern),
                                std::move(substitution)};
  return route;
}
RouteValue redirect(RedirectAction action) {
  RouteValue route = prefix("/old", "");
  route.action = RouteValue::Action::kRedirect;
  route.redirect = std::move(action);
  return route;
}

TEST(RewritePath, PrefixIsReplacedAndQueryKept) {
  const Rewrite rewrite(with_prefix(prefix("/old"), "/new"));
  EXPECT_EQ(rewrite.path("/old/x?q=/old"), "/new/x?q=/old");
  EXPECT_EQ(rewrite.path("/old"), "/new");
}

TEST(RewritePath, ExactPathIsReplacedAsAWhole) {
  EXPECT_EQ(Rewrite(with_prefix(exact("/old"), "/new")).path("/old?q"), "/new?q");
}

TEST(RewritePath, WithoutRuleThePathStaysTheSameView) {
  const Rewrite rewrite(prefix("/"));
  TestRequest request({.path = "/x?y"});
  EXPECT_EQ(rewrite_path(rewrite.route(), request.head().path, request.arena(), 0).data(),
            request.head().path.data());
}

TEST(RewritePath, RegexSubstitutesGroupsEverywhereButInTheQuery) {
  const Rewrite rewrite(with_regex(prefix("/"), "/(\\w+)/v(\\d)", "/\\2-\\1"));
  EXPECT_EQ(rewrite.path("/a/v1/b/v2?c/v3"), "/1-a/2-b?c/v3");
  EXPECT_EQ(rewrite.path("/none?x"), "/none?x");
}

TEST(RewritePath, RegexThatLeavesNothingIsNone) {
  EXPECT_EQ(Rewrite(with_regex(prefix("/"), ".*", "")).path("/a?b"), "/a?b");
}

TEST(RewritePath, ResultThatGrowsTooBigFails) {
  const Rewrite rewrite(with_regex(prefix("/"), "a", std::string(100, 'b')));
  TestRequest request({.path = "/" + std::string(5000, 'a')});
  EXPECT_EQ(rewrite_path(rewrite.route(), request.head().path, request.arena(), 0).data(), nullptr);
}

TEST(RewritePath, RegexDoesWhatRe2GlobalReplaceDoes) {
  std::mt19937 random(5);
  for (const char* pattern : {"a", "a*", "(a)(b)?", "b|", "\\b", "(/)a+", "x*"}) {
    const Rewrite rewrite(with_regex(prefix("/"), pattern, "<\\0>"));
    for (int i = 0; i < 300; ++i) {
      std::string path = "/";
      for (size_t n = random() % 8; n != 0; --n) path += "ab/\xc3\xa9"[random() % 5];
      std::string want = path;
      RE2::GlobalReplace(&want, pattern, "<\\0>");
      EXPECT_EQ(rewrite.path(path), want) << pattern << " " << path;
    }
  }
}

TEST(RewriteHost, LiteralHeaderAndPathRegex) {
  RouteValue route = prefix("/");
  route.forward.host_rewrite = {HostRewrite::Kind::kLiteral, "new.com", "", false};
  EXPECT_EQ(Rewrite(route).host_of({}), "new.com");
  route.forward.host_rewrite = {HostRewrite::Kind::kHeader, "X-Host", "", false};
  EXPECT_EQ(Rewrite(route).host_of({.headers = {{"x-host", "h"}}}), "h");
  EXPECT_EQ(Rewrite(route).host_of({.authority = "kept"}), "kept");
  route.forward.host_rewrite = {HostRewrite::Kind::kPathRegex, "^/(\\w+)/.*$", "\\1.com", false};
  EXPECT_EQ(Rewrite(route).host_of({.path = "/shop/x?y"}), "shop.com");
}

TEST(Redirect, HostPathAndSchemeAreTheRequestsByDefault) {
  EXPECT_EQ(Rewrite(redirect({})).location("x:81", "/old?q"), "http://x:81/old?q");
}

TEST(Redirect, HttpsDropsTheDefaultPortOfHttp) {
  const Rewrite rewrite(redirect({.https = true}));
  EXPECT_EQ(rewrite.location("x:80", "/old"), "https://x/old");
  EXPECT_EQ(rewrite.location("x:8080", "/old"), "https://x:8080/old");
  EXPECT_EQ(rewrite.location("[::1]:80", "/old"), "https://[::1]/old");
  EXPECT_EQ(rewrite.location("[::1]", "/old"), "https://[::1]/old");
}

TEST(Redirect, NewPortReplacesTheOldOne) {
  EXPECT_EQ(Rewrite(redirect({.port = 8443})).location("x:81", "/old"), "http://x:8443/old");
}

TEST(Redirect, PathReplacesAndKeepsTheQueryUnlessItHasItsOwn) {
  EXPECT_EQ(Rewrite(redirect({.path = "/p"})).location("x", "/old?q"), "http://x/p?q");
  EXPECT_EQ(Rewrite(redirect({.path = "/p?own"})).location("x", "/old?q"), "http://x/p?own");
  EXPECT_EQ(Rewrite(redirect({.path = "/p", .strip_query = true})).location("x", "/old?q"),
            "http://x/p");
}

TEST(Redirect, PrefixRewriteKeepsTheRest) {
  RedirectAction action{.host = "y"};
  action.rewrite = {PathRewrite::Kind::kPrefix, "/new", "", ""};
  EXPECT_EQ(Rewrite(redirect(action)).location("x:1", "/old/z?q"), "http://y/new/z?q");
}

TEST(Redirect, PathWithoutSlashDoesNotBecomePartOfTheHost) {
  EXPECT_EQ(Rewrite(redirect({.path = ".evil.com"})).location("x", "/old"), "http://x/.evil.com");
}

TEST(Redirect, HttpsRequiredKeepsTheUrl) {
  TestRequest request({.path = "/a?b", .authority = "x:80"});
  EXPECT_EQ(https_location(request.head(), request.arena()), "https://x/a?b");
}

}  // namespace
}  // namespace sluice::router
