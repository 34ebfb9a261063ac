#include <gtest/gtest.h>

#include "tests/admin/admin_site.h"

namespace sluice {
namespace {

using testing::AdminSite;
using Changes = std::vector<std::pair<std::string, std::string>>;

TEST(AdminRuntime, ShowsEachKeyInEachLayerAndWhatIsInForce) {
  admin::Sources sources;
  sources.runtime = [] {
    xds::Runtime::View view;
    view.layers = {"static", "admin"};
    view.keys = {{"a.b", {"1", "2"}}, {"c", {"true", ""}}};
    return view;
  };
  const AdminSite site(std::move(sources));
  const auto answer = site.get("/runtime");
  EXPECT_EQ(answer.status(), 200);
  EXPECT_EQ(answer.body,
            "{\n"
            " \"entries\": {\n"
            "  \"a.b\": {\n"
            "   \"layer_values\": [\n"
            "    \"1\",\n"
            "    \"2\"\n"
            "   ],\n"
            "   \"final_value\": \"2\"\n"
            "  },\n"
            "  \"c\": {\n"
            "   \"layer_values\": [\n"
            "    \"true\",\n"
            "    \"\"\n"
            "   ],\n"
            "   \"final_value\": \"true\"\n"
            "  }\n"
            " },\n"
            " \"layers\": [\n"
            "  \"static\",\n"
            "  \"admin\"\n"
            " ]\n"
            "}\n");
}

TEST(AdminRuntime, ModifyTakesPostsOnlyAndHandsOnAllKeys) {
  auto seen = std::make_shared<Changes>();
  admin::Sources sources;
  sources.modify_runtime = [seen](const Changes& changes) {
    *seen = changes;
    return absl::OkStatus();
  };
  const AdminSite site(std::move(sources));
  EXPECT_EQ(site.get("/runtime_modify?a=1").status(), 405);
  EXPECT_TRUE(seen->empty());
  const auto answer = site.post("/runtime_modify?a.b=50&c=");
  EXPECT_EQ(answer.status(), 200);
  EXPECT_EQ(answer.body, "OK\n");
  EXPECT_EQ(*seen, (Changes{{"a.b", "50"}, {"c", ""}}));
  EXPECT_EQ(site.post("/runtime_modify").status(), 400);
}

TEST(AdminRuntime, WithoutAnAdminLayerNothingIsModified) {
  const AdminSite site;
  const auto answer = site.post("/runtime_modify?a=1");
  EXPECT_EQ(answer.status(), 503);
  EXPECT_EQ(answer.body, "No admin layer specified\n");
}

}  // namespace
}  // namespace sluice
