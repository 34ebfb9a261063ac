#include "xds/file_transport.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "tests/support/xds/client_fixture.h"

namespace sluice::test {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

std::string yaml_of(std::string_view version, const std::vector<std::string>& names) {
  std::string text = base::cat("version_info: \"", version, "\"\nresources:\n");
  for (const std::string& name : names) {
    base::cat_to(text,
                 "- {\"@type\": type.googleapis.com/envoy.config.cluster.v3.Cluster, name: ", name,
                 "}\n");
  }
  if (names.empty()) text += "[]\n";
  return text;
}

class XdsFile : public XdsClient {
 protected:
  XdsFile() {
    std::string name = ::testing::TempDir() + "xds_file_XXXXXX";
    folder = mkdtemp(name.data());
  }
  ~XdsFile() override {
    client.reset();
    file.reset();
    fs::remove_all(folder);
  }
  void write(const std::string& name, std::string_view text) {
    std::ofstream(folder / name) << text;
  }
  void move_in(const std::string& name, std::string_view text) {
    write(name + ".new", text);
    fs::rename(folder / (name + ".new"), folder / name);
  }
  void open(const std::string& name, const std::string& watched = "") {
    file = std::make_unique<xds::FileTransport>(
        xds::FileTransport::Options{.file = {(folder / name).string(), watched},
                                    .warn = [this](auto text) { warnings.emplace_back(text); }},
        watcher, main);
    client = std::make_unique<Client>(options, *file, sink, main);
    client->subscribe_all(kC);
    main.run();
  }
  bool arrives(const std::set<std::string>& names) {
    return main.run_until([&] { return held(kC) == names; });
  }

  fs::path folder;
  xds::FileWatcher watcher{main};
  std::unique_ptr<xds::FileTransport> file;
  std::vector<std::string> warnings;
};

TEST_F(XdsFile, Rule160FourFormats) {
  auto message = response(kC, "1", "", {resource(kC, "a")});
  message.clear_type_url();
  std::string text;
  google::protobuf::TextFormat::PrintToString(message, &text);
  write("a.pb", message.SerializeAsString());
  write("a.pb_text", text);
  write("a.yaml", yaml_of("1", {"a"}));
  write("a.json",
        R"({"version_info": "1", "resources": [{"@type":
        "type.googleapis.com/envoy.config.cluster.v3.Cluster", "name": "a"}]})");
  for (const auto* name : {"a.pb", "a.pb_text", "a.yaml", "a.json"}) {
    SCOPED_TRACE(name);
    sink.held.clear();
    open(name);
    EXPECT_EQ(held(kC), std::set<std::string>{"a"});
    EXPECT_EQ(client->state(kC).version(), "1");
    client.reset();
  }
}

TEST_F(XdsFile, Rule161OnlyAMoveCountsAndAnEditInPlaceIsSaid) {
  write("c.yaml", yaml_of("1", {"a"}));
  open("c.yaml");
  EXPECT_TRUE(arrives({"a"}));
  write("c.yaml", yaml_of("2", {"b"}));
  EXPECT_TRUE(main.run_until([&] { return !warnings.empty(); }));
  EXPECT_THAT(warnings[0], HasSubstr("c.yaml: was written in place"));
  EXPECT_EQ(held(kC), std::set<std::string>{"a"});
  move_in("c.yaml", yaml_of("3", {"b", "c"}));
  EXPECT_TRUE(arrives({"b", "c"}));  // rule 164: the file is the full state
  move_in("other.yaml", yaml_of("4", {"d"}));
  move_in("c.yaml", yaml_of("5", {}));
  EXPECT_TRUE(arrives({}));
  EXPECT_EQ(client->stats(kC).update_success, 3u);
}

TEST_F(XdsFile, Rule162KubernetesSwapsALinkToADirectory) {
  for (const bool with_watched_directory : {true, false}) {
    SCOPED_TRACE(with_watched_directory);
    fs::remove_all(folder);
    fs::create_directories(folder / "..1");
    fs::create_directory_symlink("..1", folder / "..data");
    fs::create_symlink("..data/c.yaml", folder / "c.yaml");
    write("..1/c.yaml", yaml_of("1", {"a"}));
    open("c.yaml", with_watched_directory ? folder.string() : "");
    EXPECT_TRUE(arrives({"a"}));
    fs::create_directories(folder / "..2");
    write("..2/c.yaml", yaml_of("2", {"b"}));
    fs::create_directory_symlink("..2", folder / "..data_tmp");
    fs::rename(folder / "..data_tmp", folder / "..data");
    EXPECT_TRUE(arrives({"b"}));
    client.reset();
    sink.held.clear();
  }
}

TEST_F(XdsFile, Rules50And163BadContentChangesNothingAndIsCounted) {
  write("c.yaml", yaml_of("1", {"a"}));
  open("c.yaml");
  EXPECT_TRUE(arrives({"a"}));
  move_in("c.yaml", "resources: [");
  EXPECT_TRUE(main.run_until([&] { return client->stats(kC).update_failure == 1; }));
  EXPECT_THAT(client->control_plane().last_error, HasSubstr("c.yaml"));
  sink.bad["a"] = "wrong";
  move_in("c.yaml", yaml_of("2", {"a", "b"}).insert(0, "# new\n"));
  EXPECT_TRUE(arrives({"a", "b"}));
  fs::remove(folder / "c.yaml");
  move_in("c.yaml", yaml_of("3", {"b"}));
  EXPECT_TRUE(arrives({"b"}));
}

TEST_F(XdsFile, Rule164NamesAreTakenFromFilesThatHoldMore) {
  write("e.yaml",
        "resources:\n"
        "- {\"@type\": type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment, "
        "cluster_name: a}\n"
        "- {\"@type\": type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment, "
        "cluster_name: b}\n");
  file = std::make_unique<xds::FileTransport>(
      xds::FileTransport::Options{
          .file = {(folder / "e.yaml").string(), ""}, .type = kE, .warn = {}},
      watcher, main);
  start();
  client = std::make_unique<Client>(options, *file, sink, main);
  client->subscribe(kE, "b");
  main.run();
  EXPECT_EQ(held(kE), std::set<std::string>{"b"});
  client->subscribe(kE, "a");  // it was left out before; files answer no requests
  main.run();
  EXPECT_EQ(held(kE), (std::set<std::string>{"a", "b"}));
}

}  // namespace
}  // namespace sluice::test
