#include "admin/server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <fstream>
#include <future>
#include <map>
#include <string>

#include "base/text.h"
#include "dataplane/log.h"
#include "tests/admin/admin_site.h"
#include "tests/support/json.h"

namespace sluice::admin {
namespace {

using sluice::test::JsonReader;
using sluice::testing::AdminSite;
using sluice::testing::Message;
using sluice::testing::read_message;
using sluice::testing::Socket;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

TEST(AdminServer, ReadyIs200OnlyWhenLive) {
  std::atomic<const char*> state = "PRE_INITIALIZING";
  Sources sources;
  sources.state = [&] { return std::string_view(state.load()); };
  sources.why_not_ready = [] { return std::vector<std::string>{"cluster a waits"}; };
  AdminSite site(std::move(sources));
  EXPECT_THAT(site.get("/why-not-ready").body, HasSubstr("cluster a waits\n"));
  struct Row {
    const char* state;
    int status;
  };
  for (const Row& row : {Row{"PRE_INITIALIZING", 503}, Row{"INITIALIZING", 503}, Row{"LIVE", 200},
                         Row{"DRAINING", 503}}) {
    SCOPED_TRACE(row.state);
    state = row.state;
    const Message answer = site.get("/ready");
    EXPECT_EQ(answer.status(), row.status);
    EXPECT_EQ(answer.body, base::cat(row.state, "\n"));
  }
}

TEST(AdminServer, FailedHealthCheckDrains) {
  AdminSite site;
  EXPECT_EQ(site.get("/ready").status(), 200);
  EXPECT_EQ(site.post("/healthcheck/fail").body, "OK\n");
  EXPECT_EQ(site.get("/ready").status(), 503);
  EXPECT_EQ(site.get("/ready").body, "DRAINING\n");
  EXPECT_THAT(site.get("/stats?filter=^server\\.state$").body, "server.state: 1\n");
  EXPECT_EQ(site.post("/healthcheck/ok").body, "OK\n");
  EXPECT_EQ(site.get("/ready").body, "LIVE\n");
}

TEST(AdminServer, HeadersAreEnvoys) {
  AdminSite site;
  const Message answer = site.get("/ready");
  EXPECT_EQ(answer.field("content-type"), "text/plain; charset=UTF-8");
  EXPECT_EQ(answer.field("cache-control"), "no-cache, max-age=0");
  EXPECT_EQ(answer.field("x-content-type-options"), "nosniff");
  EXPECT_THAT(answer.field("date"), HasSubstr(" GMT"));
}

TEST(AdminServer, UnknownPathListsTheCommands) {
  AdminSite site;
  const Message answer = site.get("/nope");
  EXPECT_EQ(answer.status(), 404);
  EXPECT_THAT(answer.body, StartsWith("invalid path. admin commands are:\n"));
  for (const Page& page : pages()) EXPECT_THAT(answer.body, HasSubstr(std::string(page.path)));
}

TEST(AdminServer, MethodsAreChecked) {
  AdminSite site;
  for (const Page& page : pages()) {
    SCOPED_TRACE(page.path);
    if (page.changes) {
      const Message answer = site.get(page.path);
      EXPECT_EQ(answer.status(), 405);
      EXPECT_EQ(answer.body, "Method GET not allowed, POST required.");
    } else {
      EXPECT_EQ(site.get(page.path).status(), 200);
      EXPECT_EQ(site.ask("DELETE", page.path).status(), 405);
    }
  }
}

TEST(AdminServer, WhatEnvoyHasAndWeHaveNotSaysWhy) {
  AdminSite site;
  for (const Page& page : refused_pages()) {
    SCOPED_TRACE(page.path);
    const Message answer = page.changes ? site.post(page.path) : site.get(page.path);
    EXPECT_EQ(answer.status(), 501);
    EXPECT_EQ(answer.body, base::cat("not supported: ", page.help, "\n"));
    EXPECT_THAT(site.get("/help").body, Not(HasSubstr(std::string(page.path) + ":")));
  }
}

TEST(AdminServer, InitDumpNamesWhatIsWaitedFor) {
  Sources sources;
  std::atomic<bool> ready{false};
  sources.why_not_ready = [&]() -> std::vector<std::string> {
    if (ready) return {};
    return {"cluster \"a\" waits for endpoints"};
  };
  AdminSite site(std::move(sources));
  const auto dump = JsonReader(site.get("/init_dump").body).read();
  const auto& unready = dump["unready_targets_dumps"].items.at(0);
  EXPECT_EQ(unready["name"].text, "init manager Server");
  EXPECT_EQ(unready["target_names"].items.at(0).text, "cluster \"a\" waits for endpoints");
  ready = true;
  EXPECT_THAT(site.get("/init_dump?mask=listener").body, Not(HasSubstr("unready")));
}

TEST(AdminServer, HeadHasNoBody) {
  AdminSite site;
  Socket socket = site.connect();
  socket.send("HEAD /stats HTTP/1.1\r\nhost: a\r\n\r\nHEAD /ready HTTP/1.1\r\nhost: a\r\n\r\n");
  std::string rest;
  EXPECT_EQ(read_message(socket, &rest, true).status(), 200);
  const Message second = read_message(socket, &rest, true);
  EXPECT_EQ(second.status(), 200);
  EXPECT_EQ(rest, "");
  socket.send("GET /ready HTTP/1.1\r\nhost: a\r\n\r\n");
  EXPECT_EQ(read_message(socket, &rest).body, "LIVE\n");
}

TEST(AdminServer, PipelinedRequestsAreAnsweredInOrder) {
  AdminSite site;
  Socket socket = site.connect();
  socket.send(
      "GET /ready HTTP/1.1\r\nhost: a\r\n\r\nGET /stats HTTP/1.1\r\nhost: a\r\n\r\n"
      "GET /memory HTTP/1.1\r\nhost: a\r\n\r\nGET /nope HTTP/1.1\r\nhost: a\r\n\r\n");
  std::string rest;
  EXPECT_EQ(read_message(socket, &rest).body, "LIVE\n");
  EXPECT_THAT(read_message(socket, &rest).body, HasSubstr("cluster.c.upstream_rq_total: 0\n"));
  EXPECT_THAT(read_message(socket, &rest).body, HasSubstr("\"heap_size\""));
  EXPECT_EQ(read_message(socket, &rest).status(), 404);
}

TEST(AdminServer, RequestsMayComeByteByByte) {
  AdminSite site;
  Socket socket = site.connect();
  for (const char c : std::string("POST /logging HTTP/1.1\r\nhost: a\r\n"
                                  "content-type: application/x-www-form-urlencoded\r\n"
                                  "content-length: 10\r\n\r\nlevel=info")) {
    ASSERT_TRUE(socket.send({&c, 1}));
  }
  std::string rest;
  EXPECT_EQ(read_message(socket, &rest).status(), 200);
}

TEST(AdminServer, Http10ClosesAfterTheAnswer) {
  AdminSite site;
  Socket socket = site.connect();
  socket.send("GET /stats HTTP/1.0\r\n\r\n");
  const std::string all = socket.receive_all();
  EXPECT_THAT(all, StartsWith("HTTP/1.0 200 OK\r\n"));
  EXPECT_THAT(all, HasSubstr("cluster.c.upstream_rq_total: 0\n"));
  EXPECT_THAT(all, Not(HasSubstr("transfer-encoding")));
}

TEST(AdminServer, MalformedRequestsAreRefusedAndClosed) {
  AdminSite site;
  struct Row {
    std::string request;
    int status;
  };
  const Row rows[] = {
      {"GET /ready\r\n\r\n", 400},
      {"nonsense\r\n\r\n", 400},
      {"GET /ready HTTP/1.1\r\n\r\n", 400},
      {"GET /ready HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", 400},
      {"GET /ready HTTP/1.1\r\nhost: a\r\nbad name: x\r\n\r\n", 400},
      {"POST /logging HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ntransfer-encoding: "
       "chunked\r\n\r\n",
       400},
      {"POST /logging HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", 400},
      {"POST /logging HTTP/1.1\r\nhost: a\r\ncontent-length: 70000\r\n\r\n" +
           std::string(70000, 'x'),
       413},
      {"GET /ready HTTP/1.1\r\nhost: a\r\nx: " + std::string(40000, 'x') + "\r\n\r\n", 431},
      {"GET /ready HTTP/2.0\r\nhost: a\r\n\r\n", 505},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.request.substr(0, 80));
    Socket socket = site.connect();
    socket.send(row.request);
    std::string rest;
    const Message answer = read_message(socket, &rest);
    EXPECT_EQ(answer.status(), row.status);
    EXPECT_EQ(answer.field("connection"), "close");
    EXPECT_EQ(socket.receive_all(), "");
  }
  EXPECT_EQ(site.get("/ready").status(), 200);
}

TEST(AdminServer, ManyConnectionsAtOnce) {
  AdminSite site;
  std::vector<Socket> sockets;
  for (int i = 0; i < 40; ++i) {
    sockets.push_back(site.connect());
    sockets.back().send("GET /ready HTTP/1.1\r\nhost: a\r\n\r\n");
  }
  for (Socket& socket : sockets) {
    std::string rest;
    EXPECT_EQ(read_message(socket, &rest).body, "LIVE\n");
  }
}

TEST(AdminServer, ConnectionsBeyondTheLimitWait) {
  AdminServer::Options options;
  options.max_connections = 2;
  AdminSite site({}, options);
  Socket first = site.connect(), second = site.connect();
  std::string rest;
  for (Socket* socket : {&first, &second}) {
    socket->send("GET /ready HTTP/1.1\r\nhost: a\r\n\r\n");
    EXPECT_EQ(read_message(*socket, &rest).status(), 200);
  }
  Socket third = site.connect();  // in the kernel's queue
  third.send("GET /ready HTTP/1.1\r\nhost: a\r\n\r\n");
  site.proxy().on_main([&] { EXPECT_EQ(site.admin().num_connections(), 2u); });
  first.close();
  EXPECT_EQ(read_message(third, &rest).status(), 200);
}

// 100,000 statistics of 100 bytes: what waits for a client that does not read stays small.
TEST(AdminServer, SlowReaderOfALongAnswerKeepsMemoryBounded) {
  constexpr int kNum = 100'000;
  Sources sources;
  sources.stats = [](std::vector<Stat>* out) {
    for (int i = 0; i < kNum; ++i) {
      std::string name = base::cat("x", 1'000'000 + i, ".");
      name.resize(98, 'a');
      out->push_back({.name = std::move(name), .value = static_cast<uint64_t>(i)});
    }
  };
  AdminSite site(std::move(sources));
  Socket socket = site.connect();
  socket.send("GET /stats?filter=^x HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
  std::string all = socket.receive_until("\r\n\r\n");
  uint64_t most = 0;
  for (int i = 0; i < 2'000; ++i) {
    site.proxy().on_main([&] { most = std::max(most, site.admin().block_bytes()); });
  }
  EXPECT_LT(most, 512u * 1024);
  EXPECT_EQ(site.get("/ready").status(), 200) << "others are served meanwhile";
  all += socket.receive_all();
  EXPECT_GT(all.size(), 10'000'000u);
  EXPECT_THAT(all.substr(all.size() - 400), HasSubstr(": 99999\n"));
  EXPECT_THAT(all.substr(all.size() - 7), "\r\n0\r\n\r\n");
}

TEST(AdminServer, ClientThatLeavesInTheMiddleIsForgotten) {
  Sources sources;
  sources.stats = [](std::vector<Stat>* out) {
    for (int i = 0; i < 50'000; ++i) out->push_back({.name = std::string(200, 'y')});
  };
  AdminSite site(std::move(sources));
  {
    Socket socket = site.connect();
    socket.send("GET /stats?filter=^y HTTP/1.1\r\nhost: a\r\n\r\n");
    socket.receive_until("\r\n\r\n");
    socket.reset();
  }
  size_t open = 1;
  const auto until = std::chrono::steady_clock::now() + sluice::testing::kPatience;
  while (open != 0 && std::chrono::steady_clock::now() < until) {
    site.proxy().on_main([&] { open = site.admin().num_connections(); });
  }
  EXPECT_EQ(open, 0u);
}

TEST(AdminServer, AddressFileNamesTheBoundPort) {
  const std::string path = base::cat(::testing::TempDir(), "admin_address_", getpid());
  AdminServer::Options options;
  options.address_path = path;
  AdminSite site({}, options);
  std::ifstream file(path);
  std::string text;
  std::getline(file, text);
  EXPECT_EQ(text, base::cat("127.0.0.1:", site.address().port()));
  std::remove(path.c_str());
}

TEST(AdminServer, TakenAddressIsAnError) {
  AdminSite site;
  site.proxy().on_main([&] {
    auto second = AdminServer::start({.address = site.address(), .address_path = ""},
                                     site.proxy().server(), {});
    ASSERT_FALSE(second.ok());
    EXPECT_THAT(second.status().ToString(), HasSubstr("admin.address: "));
    EXPECT_THAT(second.status().ToString(), HasSubstr(site.address().to_string()));
  });
}

TEST(AdminServer, QuitsAfterTheAnswerHasLeft) {
  std::promise<void> asked;
  Sources sources;
  sources.quit = [&] { asked.set_value(); };
  AdminSite site(std::move(sources));
  EXPECT_EQ(site.post("/quitquitquit").body, "OK\n");
  EXPECT_EQ(asked.get_future().wait_for(sluice::testing::kPatience), std::future_status::ready);
}

TEST(AdminServer, DrainPassesItsParameters) {
  DrainRequest seen;
  Sources sources;
  sources.drain_listeners = [&](const DrainRequest& request) { seen = request; };
  AdminSite site(std::move(sources));
  EXPECT_EQ(site.post("/drain_listeners?inboundonly&graceful").body, "OK\n");
  EXPECT_TRUE(seen.inbound_only);
  EXPECT_TRUE(seen.graceful);
  EXPECT_FALSE(seen.skip_exit);
}

TEST(AdminServer, LoggingChangesLevelsOrNothing) {
  AdminSite site;
  EXPECT_EQ(site.post("/logging?level=warning").status(), 200);
  EXPECT_THAT(site.post("/logging").body, HasSubstr("  main: warning\n"));
  EXPECT_EQ(site.post("/logging?paths=main:debug,admin:error").status(), 200);
  EXPECT_THAT(site.post("/logging").body, HasSubstr("  main: debug\n"));
  EXPECT_THAT(site.post("/logging").body, HasSubstr("  admin: error\n"));
  for (const char* bad : {"/logging?level=loud", "/logging?paths=main:info,nope:info",
                          "/logging?paths=main:info,admin:loud", "/logging?nope=info"}) {
    SCOPED_TRACE(bad);
    EXPECT_EQ(site.post(bad).status(), 400);
    EXPECT_THAT(site.post("/logging").body, HasSubstr("  main: debug\n"));
  }
  EXPECT_EQ(site.post("/logging?level=info").status(), 200);
}

TEST(AdminServer, TrafficPages) {
  AdminSite site;
  EXPECT_EQ(site.send_traffic(), 200);
  const std::string clusters = site.get("/clusters").body;
  EXPECT_THAT(clusters, HasSubstr("c::observability_name::c\n"));
  EXPECT_THAT(clusters, HasSubstr("c::default_priority::max_connections::1024\n"));
  EXPECT_THAT(clusters, HasSubstr("::health_flags::healthy\n"));
  const std::string endpoint = "c::127.0.0.1:" + std::to_string(site.origin_port()) + "::";
  for (const char* line : {"cx_active::", "cx_connect_fail::0\n", "cx_total::1\n", "rq_active::0\n",
                           "rq_error::0\n", "rq_pending_active::0\n", "rq_success::1\n",
                           "rq_timeout::0\n", "rq_total::1\n", "region::\n", "priority::0\n"}) {
    EXPECT_THAT(clusters, HasSubstr(endpoint + line));
  }
  EXPECT_EQ(site.get("/clusters?filter=^d").body, "");
  const auto json = JsonReader(site.get("/clusters?format=json").body).read();
  const auto& status = json["cluster_statuses"].items.at(0);
  EXPECT_EQ(status["name"].text, "c");
  EXPECT_EQ(status["host_statuses"].items.at(0)["health_status"]["eds_health_status"].text,
            "HEALTHY");
  std::map<std::string, std::string> stats;
  for (const auto& stat : status["host_statuses"].items.at(0)["stats"].items) {
    stats[stat["name"].text] = stat.has("value") ? stat["value"].text : "";
  }
  EXPECT_EQ(stats.size(), 9u);
  EXPECT_EQ(stats["rq_total"], "1");
  EXPECT_EQ(stats["rq_success"], "1");
  EXPECT_EQ(stats["rq_error"], "");  // as protobuf's JSON leaves out zeros

  const std::string line = base::cat("in::127.0.0.1:", site.proxy().port(), "\n");
  EXPECT_EQ(site.get("/listeners").body, line);
  const auto listeners = JsonReader(site.get("/listeners?format=json").body).read();
  EXPECT_EQ(listeners["listener_statuses"]
                .items.at(0)["local_address"]["socket_address"]["port_value"]
                .number,
            site.proxy().port());
}

TEST(AdminServer, CostAndTablesTellOfTraffic) {
  AdminSite site;
  EXPECT_EQ(site.send_traffic(), 200);
  const auto cost = JsonReader(site.get("/cost?format=json").body).read();
  const auto& spans = cost["spans"].items;
  ASSERT_EQ(spans.size(), static_cast<size_t>(base::Cost::kCount));
  EXPECT_EQ(spans[1]["name"].text, "route");
  EXPECT_EQ(spans[1]["kind"].text, "work");
  EXPECT_EQ(spans[1]["count"].number, 1);
  EXPECT_GT(spans[1]["p99_ns"].number, 0);
  EXPECT_EQ(spans[8]["name"].text, "upstream");
  EXPECT_EQ(spans[8]["kind"].text, "wait");
  EXPECT_THAT(site.get("/cost").body, HasSubstr("response_parse"));

  const auto tables = JsonReader(site.get("/tables?format=json").body).read();
  EXPECT_EQ(tables["published"].number, 1);
  EXPECT_EQ(tables["versions"].items.size(), 1u);
  EXPECT_TRUE(tables["versions"].items[0]["readers"].items.at(0)["current"].boolean);
  EXPECT_THAT(site.get("/tables").body, HasSubstr("published: version 1\n"));
}

TEST(AdminServer, ServerInfoIsJson) {
  Sources sources;
  sources.version = "sha/0.1.0/Clean/DEBUG/SSL";
  sources.command_line = {{"config_path", "a \"b\""}, {"disable_hot_restart", "true"}};
  AdminSite site(std::move(sources));
  const auto info = JsonReader(site.get("/server_info").body).read();
  EXPECT_EQ(info["version"].text, "sha/0.1.0/Clean/DEBUG/SSL");
  EXPECT_EQ(info["state"].text, "LIVE");
  EXPECT_EQ(info["command_line_options"]["config_path"].text, "a \"b\"");
  EXPECT_TRUE(info["command_line_options"]["disable_hot_restart"].boolean);
}

}  // namespace
}  // namespace sluice::admin
