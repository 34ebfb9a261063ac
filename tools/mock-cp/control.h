#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tools/mock-cp/http_server.h"
#include "tools/mock-cp/server.h"
#include "tools/mock-cp/store.h"

namespace sluice::mock_cp {

// Control is what the HTTP interface does: a table of paths over the store (what is served), the
// faults (what goes wrong) and the journal (what clients did). docs/mock_cp.md describes them; so
// does GET /.
//
// handle() from any thread; a /wait keeps its thread until its condition holds or its deadline
// passes. All three outlive it. Answers are JSON; an error is {"error": "..."} with 400, 404, 405,
// a wait that failed 408, a check that failed 409.
class Control {
 public:
  Control(Server& server, Store& store) : server_(server), store_(store) {}

  HttpServer::Response handle(const HttpServer::Request& request);

 private:
  using Request = HttpServer::Request;
  using Response = HttpServer::Response;
  struct Target {  // of /resources/TYPE/NAME
    std::string type_url;
    std::string name;
  };
  struct Page {
    std::string_view path;  // what a request's path begins with
    std::string_view help;
    Response (Control::*show)(const Request&);
  };
  static const std::vector<Page>& pages();
  static bool read_target(std::string_view path, Target* out);

  Response show_help(const Request& request);
  Response resources(const Request& request);
  Response list_resources(const Request& request);
  Response one_resource(const Request& request, const Target& target);
  Response show_resource(const Target& target);
  Response set_resource(const Request& request, const Target& target);
  Response set_resources(const Request& request);
  Response touch(const Request& request);
  Response faults(const Request& request);
  Response streams(const Request& request);
  Response clients(const Request& request);
  Response wait(const Request& request);
  Response check(const Request& request);
  Response loads(const Request& request);
  Response reset(const Request& request);

  Server& server_;
  Store& store_;
};

}  // namespace sluice::mock_cp
