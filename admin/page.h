#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "http/message.h"

namespace sluice::dataplane {
class Server;
}

namespace sluice::admin {

struct Sources;

// What an admin endpoint is asked and what it answers. Plain values; main only.

struct Request {
  http::Method method = http::Method::kGet;
  std::string path;  // without the query
  // Decoded; in order. Those of a POSTed form come behind those of the query.
  std::vector<std::pair<std::string, std::string>> params;

  bool has(std::string_view name) const noexcept { return find(name) != nullptr; }
  // Null: not given. The last one counts.
  const std::string* find(std::string_view name) const noexcept;
  std::string_view value(std::string_view name) const noexcept;
};

// Decodes "a=1&b=%20c" into request->params.
void parse_params(std::string_view text, Request* request);

// Body appends the next piece of a long answer, some ten KiB, and says whether more will follow. It
// is called again when the client has taken what it got, in later turns: what it captures must hold
// what it reads.
using Body = std::function<bool(std::string* out)>;

inline constexpr std::string_view kTextType = "text/plain; charset=UTF-8";
inline constexpr std::string_view kJsonType = "application/json";
inline constexpr std::string_view kHtmlType = "text/html; charset=UTF-8";

struct Response {
  uint16_t status = 200;
  std::string_view type = kTextType;
  std::string text = {};             // the beginning, mostly all
  Body more = {};                    // empty: text is everything
  std::function<void()> after = {};  // called once the answer has left
};

// Answers a request, at once or in a later turn; once. Answers to a connection that is gone are
// dropped.
using Reply = std::function<void(Response)>;

// What the endpoints work with.
struct Site {
  dataplane::Server& server;
  const Sources& sources;
  bool failing = false;  // /healthcheck/fail was the last word

  // "LIVE", "DRAINING", "PRE_INITIALIZING", "INITIALIZING".
  std::string_view state() const;
};

struct Param {
  std::string_view name;
  std::string_view help;
};

// One endpoint: its line in the help, and its function.
struct Page {
  std::string_view path;
  std::string_view help;
  void (*show)(Site&, const Request&, const Reply&);
  bool changes = false;  // POST only
  std::vector<Param> params = {};
};

const std::vector<Page>& pages();
// Endpoints that Envoy has and that make no sense here, or not yet: `help` says why, `show` answers
// 501 with it. They are found like the others and are not in the help.
const std::vector<Page>& refused_pages();
// "  /path (POST): help" lines.
std::string help_text();

// The endpoints, by file.
// stats_page.cc, prometheus.cc
void show_stats(Site&, const Request&, const Reply&);
void show_prometheus(Site&, const Request&, const Reply&);
// config_page.cc
void show_config_dump(Site&, const Request&, const Reply&);
// traffic_pages.cc
void show_clusters(Site&, const Request&, const Reply&);
void show_listeners(Site&, const Request&, const Reply&);
// cost_pages.cc
void show_cost(Site&, const Request&, const Reply&);
void show_tables(Site&, const Request&, const Reply&);
void show_memory(Site&, const Request&, const Reply&);
// runtime_pages.cc
void show_runtime(Site&, const Request&, const Reply&);
void modify_runtime(Site&, const Request&, const Reply&);
// process_pages.cc
void show_home(Site&, const Request&, const Reply&);
void show_help(Site&, const Request&, const Reply&);
void show_ready(Site&, const Request&, const Reply&);
void show_why_not_ready(Site&, const Request&, const Reply&);
void show_server_info(Site&, const Request&, const Reply&);
void show_certs(Site&, const Request&, const Reply&);
void show_init_dump(Site&, const Request&, const Reply&);
void refuse_page(Site&, const Request&, const Reply&);
void show_hot_restart_version(Site&, const Request&, const Reply&);
void set_logging(Site&, const Request&, const Reply&);
void reopen_logs(Site&, const Request&, const Reply&);
void drain_listeners(Site&, const Request&, const Reply&);
void fail_healthcheck(Site&, const Request&, const Reply&);
void pass_healthcheck(Site&, const Request&, const Reply&);
void quit(Site&, const Request&, const Reply&);

}  // namespace sluice::admin
