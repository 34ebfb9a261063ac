#include "xds/yaml.h"

#include <fcntl.h>
#include <google/protobuf/message.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <string>
#include <thread>
#include <vector>

#include "base/text.h"
#include "tests/xds/messages.h"

namespace sluice::xds {
namespace {

constexpr std::string_view kBootstrap = "envoy.config.bootstrap.v3.Bootstrap";

struct Read {
  absl::Status status;
  std::string text;  // the message, on one line
  std::vector<std::string> warnings;
};

Read read(std::string_view type, std::string_view yaml, YamlDocument::Options options = {}) {
  Read out;
  const auto document = YamlDocument::parse(yaml, "a.yaml");
  out.status = document.status();
  if (!document.ok()) return out;
  auto message = new_message(type);
  Warnings warnings;
  out.status = document->to_message(options, message.get(), &warnings);
  out.text = text_of(*message);
  out.warnings = warnings.texts();
  return out;
}

std::string refused(std::string_view type, std::string_view yaml) {
  const Read got = read(type, yaml);
  EXPECT_FALSE(got.status.ok()) << yaml << "\n" << got.text;
  return std::string(base::message_of(got.status));
}

struct Same {
  const char* name;
  std::string_view type;
  std::string_view yaml;
  std::string_view text;
};

TEST(Yaml, ReadsWhatBootstrapsInTheWildRelyOn) {
  const Same kRows[] = {
      {"snake and camel mixed", kCluster, "{name: a, connectTimeout: 1s, lb_policy: RANDOM}",
       "name: \"a\" connect_timeout { seconds: 1 } lb_policy: RANDOM"},
      {"JSON", kCluster, R"({"name": "a", "type": "EDS"})", "name: \"a\" type: EDS"},
      {"JSON with tabs", kCluster, "{\n\t\"name\": \"a\",\n\t\"type\": \"EDS\"\n}\n",
       "name: \"a\" type: EDS"},
      {"trailing comment, no newline", kCluster, "name: a # here", "name: \"a\""},
      {"one object for a list", kCluster, "{circuit_breakers: {thresholds: {max_requests: 5}}}",
       "circuit_breakers { thresholds { max_requests { value: 5 } } }"},
      {"one value for a list", "envoy.config.route.v3.VirtualHost", "{domains: '*'}",
       "domains: \"*\""},
      {"duration as an object", kCluster, "{connect_timeout: {nanos: 500000000}}",
       "connect_timeout { nanos: 500000000 }"},
      {"duration with a fraction", kCluster, "{connect_timeout: 0.25s}",
       "connect_timeout { nanos: 250000000 }"},
      {"a number as text", "envoy.config.core.v3.SocketAddress", "{port_value: '80'}",
       "port_value: 80"},
      {"a number with a point", "envoy.config.core.v3.SocketAddress", "{port_value: 8e1}",
       "port_value: 80"},
      {"hexadecimal", "envoy.config.core.v3.Pipe", "{mode: 0x1ff}", "mode: 511"},
      {"octal", "envoy.config.core.v3.Pipe", "{mode: 0644}", "mode: 420"},
      {"text that looks like a number", kCluster, "{name: 12}", "name: \"12\""},
      {"text that looks like a bool", kCluster, "{name: yes}", "name: \"yes\""},
      {"a bool as text", kListener, "{enable_mptcp: 'true'}", "enable_mptcp: true"},
      {"a wrapper", kListener, "{use_original_dst: true}", "use_original_dst { value: true }"},
      {"a wrapper as an object", kListener, "{use_original_dst: {value: true}}",
       "use_original_dst { value: true }"},
      {"an enum by number", kCluster, "{lb_policy: 3}", "lb_policy: RANDOM"},
      {"an enum in small letters", kCluster, "{lb_policy: random}", "lb_policy: RANDOM"},
      {"null is unset", kCluster, "{name: ~, load_assignment: null, health_checks: null}", ""},
      {"an empty document", kCluster, "", ""},
      {"comments only", kCluster, "# nothing\n", ""},
      {"an empty object", kCluster, "{}", ""},
      {"bytes", "envoy.config.core.v3.DataSource", "{inline_bytes: aGk=}", "inline_bytes: \"hi\""},
      {"a map", "envoy.config.core.v3.Metadata", "{filter_metadata: {x: {a: 1}}}",
       "filter_metadata { key: \"x\" value { fields { key: \"a\" value { number_value: 1 } } } }"},
      {"a struct keeps kinds", "google.protobuf.Struct", "{a: '1', b: true, c: [~], d: x}",
       "fields { key: \"a\" value { string_value: \"1\" } } fields { key: \"b\" value { "
       "bool_value: "
       "true } } fields { key: \"c\" value { list_value { values { null_value: NULL_VALUE } } } } "
       "fields { key: \"d\" value { string_value: \"x\" } }"},
      {"an anchor", kCluster, "{name: &n a, alt_stat_name: *n}",
       "name: \"a\" alt_stat_name: \"a\""},
      {"escaped slash and unicode", kCluster, R"({"name": "a\/\u00e9"})", "name: \"a/\\303\\251\""},
      {"a byte order mark", kCluster, "\xEF\xBB\xBFname: a", "name: \"a\""},
  };
  for (const Same& row : kRows) {
    SCOPED_TRACE(row.name);
    const Read got = read(row.type, row.yaml);
    EXPECT_TRUE(got.status.ok()) << got.status;
    EXPECT_EQ(got.text, row.text);
  }
}

TEST(Yaml, ReadsAnyByItsType) {
  const Read got = read("google.protobuf.Any",
                        R"({"@type": type.googleapis.com/google.protobuf.Duration, value: 2s})");
  ASSERT_TRUE(got.status.ok()) << got.status;
  EXPECT_EQ(got.text, "[type.googleapis.com/google.protobuf.Duration] { seconds: 2 }");
  const Read envoy = read("envoy.config.core.v3.TransportSocket", R"(
name: x
typed_config:
  "@type": type.googleapis.com/envoy.config.core.v3.Pipe
  path: /a)");
  EXPECT_TRUE(envoy.status.ok()) << envoy.status;
}

TEST(Yaml, NamesPlacePathAndRemedy) {
  const struct {
    std::string_view type;
    std::string_view yaml;
    std::string_view message;
  } kRows[] = {
      {kCluster, "name: a\nlb_polcy: RANDOM\n",
       "a.yaml:2:1: lb_polcy: no such field in envoy.config.cluster.v3.Cluster; did you mean "
       "\"lb_policy\"?"},
      {kCluster, "name: a\nzzzzzzzz: 1\n",
       "a.yaml:2:1: zzzzzzzz: no such field in envoy.config.cluster.v3.Cluster; remove it, or "
       "start with --allow-unknown-static-fields"},
      {kCluster, "name: a\nname: b\n",
       "a.yaml:2:1: duplicate key \"name\"; the first is in line 1, remove one of them"},
      {kCluster, "connect_timeout: 1s\nconnectTimeout: 1s\n",
       "a.yaml:2:1: connectTimeout: given twice, in snake_case and in camelCase"},
      {kCluster, "connect_timeout: 5\n",
       "a.yaml:1:18: connect_timeout: expected a duration in seconds such as \"1.5s\": \"5\""},
      {kCluster, "connect_timeout: 5m\n",
       "a.yaml:1:18: connect_timeout: expected a duration in seconds such as \"1.5s\": \"5m\""},
      {kCluster, "type: STATICK\n",
       "a.yaml:1:7: type: expected one of STATIC, STRICT_DNS, LOGICAL_DNS, EDS, ORIGINAL_DST: "
       "\"STATICK\""},
      {kCluster, "load_assignment:\n  endpoints:\n  - lb_endpoints:\n    - endpoint: 5\n",
       "a.yaml:4:17: load_assignment.endpoints[0].lb_endpoints[0].endpoint: expected an object "
       "(envoy.config.endpoint.v3.Endpoint), found a value \"5\""},
      {kCluster, "name: [a, b]\n", "a.yaml:1:7: name: expected string, found a list"},
      {"envoy.config.core.v3.SocketAddress", "port_value: -1",
       "a.yaml:1:13: port_value: expected a number (uint32): \"-1\""},
      {"envoy.config.core.v3.SocketAddress", "port_value: 1.5",
       "a.yaml:1:13: port_value: expected a number (uint32): \"1.5\""},
      {"envoy.config.core.v3.SocketAddress", "port_value: 99999999999",
       "a.yaml:1:13: port_value: expected a number (uint32): \"99999999999\""},
      {kListener, "enable_mptcp: maybe",
       "a.yaml:1:15: enable_mptcp: expected true or false: \"maybe\""},
      {"envoy.config.core.v3.DataSource", "inline_bytes: '!'",
       "a.yaml:1:15: inline_bytes: expected base64: \"!\""},
      {"envoy.config.core.v3.Address", "pipe: {path: /a}\nsocket_address: {address: a}\n",
       "a.yaml:2:1: socket_address: excludes \"pipe\", which is given too; keep one"},
      {"envoy.config.core.v3.TransportSocket", "name: x\ntyped_config: {a: b}",
       "a.yaml:2:15: typed_config: \"@type\" is missing; name the type, as in \"@type\": "
       "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
      {"envoy.config.core.v3.TransportSocket", "typed_config: {'@type': t/no.Such, a: b}",
       "a.yaml:1:25: typed_config: unknown type: \"t/no.Such\""},
      {kCluster, "name: 'a\nb: [", "a.yaml:2:5: not valid YAML or JSON: illegal EOF in scalar"},
      {kCluster, "a: b: c\n", "a.yaml:1:5: not valid YAML or JSON: illegal map value"},
      {kCluster, "name: a\n---\nname: b\n",
       "a.yaml:3:1: a second document; only one is read, remove the other"},
      {kCluster, "name: \xFF",
       "a.yaml:1:7: not text: byte 255; write the file as UTF-8 without control characters"},
      {kCluster, "- name: a\n",
       "a.yaml:1:1: expected an object (envoy.config.cluster.v3.Cluster), found a list"},
  };
  for (const auto& row : kRows) EXPECT_EQ(refused(row.type, row.yaml), row.message);
}

TEST(Yaml, WarnsOfUnknownFieldsWhereTheyAreAllowed) {
  YamlDocument::Options options;
  options.allow_unknown_fields = true;
  const Read got = read(kCluster, "name: a\nnew_thing: {b: 1}\n", options);
  ASSERT_TRUE(got.status.ok()) << got.status;
  EXPECT_EQ(got.text, "name: \"a\"");
  ASSERT_EQ(got.warnings.size(), 1U);
  EXPECT_EQ(got.warnings[0],
            "a.yaml:2:1: new_thing: no such field in envoy.config.cluster.v3.Cluster: ignored "
            "(--allow-unknown-static-fields)");
}

TEST(Yaml, BoundsDepthAndExpansion) {
  std::string deep;
  for (int i = 0; i < 300; ++i) deep += "{a: ";
  deep += "1";
  deep.append(300, '}');
  EXPECT_NE(refused("google.protobuf.Struct", deep).find("nested too deeply"), std::string::npos);

  std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 9; ++i) {
    const std::string before = base::cat("*a", i - 1);
    base::cat_to(bomb, "a", i, ": &a", i, " [", before);
    for (int j = 0; j < 9; ++j) base::cat_to(bomb, ", ", before);
    bomb += "]\n";
  }
  YamlDocument::Options options;
  options.allow_unknown_fields = true;
  EXPECT_TRUE(read(kCluster, bomb, options).status.ok());  // nobody walks it
  EXPECT_NE(refused("google.protobuf.Struct", "x: " + std::string("&x [*x]"))
                .find("an alias that refers to itself"),
            std::string::npos);
}

TEST(Yaml, FindsTheLineOfAFieldPath) {
  const auto first = YamlDocument::parse(
      "static_resources:\n  clusters:\n  - name: a\n  - name: b\n    connectTimeout: 1s\n", "f");
  const auto second = YamlDocument::parse("staticResources: {clusters: {name: c}}", "y");
  ASSERT_TRUE(first.ok() && second.ok());
  const YamlDocument* const documents[] = {&*first, &*second};
  const struct {
    std::string_view path, place;
  } kRows[] = {
      {"static_resources", "y:1:1"},
      {"static_resources.clusters[0].name", "f:3:5"},
      {"static_resources.clusters[1].connect_timeout", "f:5:5"},
      {"static_resources.clusters[1].no.such[3]", "f:4:5"},
      {"static_resources.clusters[2].name", "y:1:30"},
      {"node.id", ""},
  };
  for (const auto& row : kRows) {
    EXPECT_EQ(position_of(documents, row.path), row.place) << row.path;
  }
}

TEST(Yaml, ReadsPipesAndNamesUnreadableFiles) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const std::string text(200'000, 'x');
  std::thread writer([&] {
    size_t done = 0;
    while (done < text.size()) {
      const ssize_t n = write(ends[1], text.data() + done, text.size() - done);
      ASSERT_GT(n, 0);
      done += static_cast<size_t>(n);
    }
    close(ends[1]);
  });
  const auto got = read_file(base::cat("/dev/fd/", ends[0]));
  writer.join();
  close(ends[0]);
  ASSERT_TRUE(got.ok()) << got.status();
  EXPECT_EQ(*got, text);
  EXPECT_EQ(base::message_of(read_file("/no/such.yaml").status()),
            "/no/such.yaml: cannot be read: No such file or directory; check the path");
  EXPECT_EQ(base::message_of(read_file("/").status()), "/: cannot be read: Is a directory");
}

TEST(Yaml, NamesTheFieldOfABootstrap) {
  EXPECT_EQ(refused(kBootstrap, "static_resources:\n  listener: []\n"),
            "a.yaml:2:3: static_resources.listener: no such field in "
            "envoy.config.bootstrap.v3.Bootstrap.StaticResources; did you mean \"listeners\"?");
}

}  // namespace
}  // namespace sluice::xds
