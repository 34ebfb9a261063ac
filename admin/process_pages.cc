#include <algorithm>
#include <utility>

#include "admin/json.h"
#include "admin/page.h"
#include "admin/sources.h"
#include "base/text.h"
#include "dataplane/log.h"
#include "dataplane/server.h"
#include "xds/config_dump.h"

namespace sluice::admin {
namespace {

constexpr std::string_view kNode = "type.googleapis.com/envoy.config.core.v3.Node";

std::string levels_text() {
  std::string out = "active loggers:\n";
  for (const std::string_view component : log::components()) {
    base::cat_to(out, "  ", component, ": ", log::text_of(log::level_of(component)), "\n");
  }
  return out;
}

// "a:info,b:debug"; applied as a whole or not at all.
absl::Status set_levels(std::string_view paths) {
  std::vector<std::pair<std::string_view, log::Level>> wanted;
  while (!paths.empty()) {
    const std::string_view one = paths.substr(0, paths.find(','));
    paths.remove_prefix(std::min(paths.size(), one.size() + 1));
    const size_t colon = one.find(':');
    const std::string_view name = one.substr(0, colon);
    const auto known = log::components();
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      return base::config_error("unknown logger name: ", name);
    }
    const auto level =
        log::parse_level(colon == std::string_view::npos ? "" : one.substr(colon + 1));
    if (!level.ok()) return base::config_error("unknown logger level");
    wanted.emplace_back(name, *level);
  }
  for (const auto& [name, level] : wanted) {
    if (absl::Status status = log::set_component_level(name, level); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status apply_levels(const Request& request) {
  if (const std::string* text = request.find("level"); text != nullptr && !text->empty()) {
    const auto level = log::parse_level(*text);
    if (!level.ok()) return base::config_error("unknown logger level");
    log::set_level(*level);
  }
  if (const std::string* paths = request.find("paths")) return set_levels(*paths);
  for (const auto& [name, level] : request.params) {
    if (name == "level") continue;
    if (absl::Status s = set_levels(base::cat(name, ":", level)); !s.ok()) return s;
  }
  return absl::OkStatus();
}

void append_html(std::string_view text, std::string* out) {
  for (const char c : text) {
    if (c == '<') {
      *out += "&lt;";
    } else if (c == '>') {
      *out += "&gt;";
    } else if (c == '&') {
      *out += "&amp;";
    } else if (c == '\'') {
      *out += "&#39;";
    } else {
      out->push_back(c);
    }
  }
}

void add_home_row(const Page& page, std::string* out) {
  *out += "<tr><td>";
  if (page.changes) {
    base::cat_to(*out, "<form action='", page.path.substr(1), "' method='post'><button>", page.path,
                 "</button></form>");
  } else {
    base::cat_to(*out, "<a href='", page.path.substr(1), "'>", page.path, "</a>");
  }
  *out += "</td><td>";
  append_html(page.help, out);
  *out += "</td></tr>\n";
}

}  // namespace

void show_home(Site& site, const Request&, const Reply& reply) {
  std::string out =
      "<!DOCTYPE html>\n<html lang='en'>\n<head><meta charset='utf-8'><title>Sluice admin</title>\n"
      "<style>body{font:16px sans-serif;margin:2em}td{padding:.25em 1em .25em 0}form{margin:0}"
      "</style></head>\n<body><h1>Sluice admin</h1>\n<p>";
  append_html(base::cat(site.state(), ", ", site.sources.version), &out);
  out += "</p>\n<table>\n";
  for (const Page& page : pages()) {
    if (page.path != "/") add_home_row(page, &out);
  }
  out += "</table></body></html>\n";
  reply({.type = kHtmlType, .text = std::move(out)});
}

void show_help(Site&, const Request&, const Reply& reply) {
  reply({.text = base::cat("admin commands are:\n", help_text())});
}

void show_ready(Site& site, const Request&, const Reply& reply) {
  const std::string_view state = site.state();
  reply({.status = static_cast<uint16_t>(state == "LIVE" ? 200 : 503),
         .text = base::cat(state, "\n")});
}

void show_why_not_ready(Site& site, const Request&, const Reply& reply) {
  std::string out = base::cat(site.state(), "\n");
  if (site.failing) out += "/healthcheck/fail was called\n";
  const auto lines =
      site.sources.why_not_ready ? site.sources.why_not_ready() : std::vector<std::string>();
  for (const std::string& line : lines) base::cat_to(out, line, "\n");
  if (lines.empty()) out += "nothing is waited for\n";
  reply({.text = std::move(out)});
}

void show_server_info(Site& site, const Request&, const Reply& reply) {
  std::vector<Stat> stats;
  if (site.sources.stats) site.sources.stats(&stats);
  uint64_t uptime = 0;
  for (const Stat& stat : stats) uptime = stat.name == "server.uptime" ? stat.value : uptime;
  Json json;
  json.open_object().key("version").text(site.sources.version);
  json.key("state").text(site.state());
  json.key("uptime_current_epoch").text(base::cat(uptime, "s"));
  json.key("uptime_all_epochs").text(base::cat(uptime, "s"));
  json.key("hot_restart_version").text("disabled");
  json.key("command_line_options").open_object();
  for (const auto& [name, value] : site.sources.command_line) {
    json.key(name);
    if (name == "concurrency") {
      json.number(site.server.num_workers());
    } else if (value == "true" || value == "false") {
      json.boolean(value == "true");
    } else {
      json.text(value);
    }
  }
  std::string text = json.close_object().take();
  // The node is protobuf's own JSON, one level deeper.
  const auto node = xds::json_of(kNode, site.sources.node);
  if (node.ok() && !site.sources.node.empty()) {
    text += ",\n \"node\": ";
    for (const char c : *node) {
      text.push_back(c);
      if (c == '\n') text.push_back(' ');
    }
  }
  text += "\n}\n";
  reply({.type = kJsonType, .text = std::move(text)});
}

void show_certs(Site&, const Request&, const Reply& reply) {
  reply({.type = kJsonType, .text = "{\n \"certificates\": []\n}\n"});
}

void show_init_dump(Site& site, const Request&, const Reply& reply) {
  const auto lines =
      site.sources.why_not_ready ? site.sources.why_not_ready() : std::vector<std::string>();
  Json json;
  json.open_object();
  if (!lines.empty()) {
    json.key("unready_targets_dumps").open_list().open_object();
    json.key("name").text("init manager Server").key("target_names").open_list();
    for (const std::string& line : lines) json.text(line);
    json.close_list().close_object().close_list();
  }
  reply({.type = kJsonType, .text = json.close_object().take()});
}

void refuse_page(Site&, const Request& request, const Reply& reply) {
  for (const Page& page : refused_pages()) {
    if (page.path != request.path) continue;
    return reply({.status = 501, .text = base::cat("not supported: ", page.help, "\n")});
  }
}

void show_hot_restart_version(Site&, const Request&, const Reply& reply) {
  reply({.text = "disabled"});
}

void set_logging(Site&, const Request& request, const Reply& reply) {
  const absl::Status status = apply_levels(request);
  if (status.ok()) return reply({.text = levels_text()});
  reply({.status = 400,
         .text = base::cat("error: ", base::message_of(status),
                           "\n\nusage: /logging?<name>=<level> (change single level)\n"
                           "usage: /logging?paths=name1:level1,name2:level2,... (change multiple "
                           "levels)\nusage: /logging?level=<level> (change all levels)\n"
                           "levels: trace debug info warning error critical off\n",
                           levels_text())});
}

void reopen_logs(Site& site, const Request&, const Reply& reply) {
  log::reopen();
  if (site.sources.reopen_logs) site.sources.reopen_logs();
  reply({.text = "OK\n"});
}

void drain_listeners(Site& site, const Request& request, const Reply& reply) {
  if (site.sources.drain_listeners) {
    site.sources.drain_listeners({.inbound_only = request.has("inboundonly"),
                                  .graceful = request.has("graceful"),
                                  .skip_exit = request.has("skip_exit")});
  }
  reply({.text = "OK\n"});
}

void fail_healthcheck(Site& site, const Request&, const Reply& reply) {
  site.failing = true;
  reply({.text = "OK\n"});
}

void pass_healthcheck(Site& site, const Request&, const Reply& reply) {
  site.failing = false;
  reply({.text = "OK\n"});
}

void quit(Site& site, const Request&, const Reply& reply) {
  reply({.text = "OK\n", .after = site.sources.quit});
}

}  // namespace sluice::admin
