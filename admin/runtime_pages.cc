// What runtime keys are, and the operator's layer of them.

#include "admin/json.h"
#include "admin/page.h"
#include "admin/sources.h"
#include "base/text.h"

namespace sluice::admin {

void show_runtime(Site& site, const Request&, const Reply& reply) {
  const auto view = site.sources.runtime ? site.sources.runtime() : xds::Runtime::View();
  Json json;
  json.open_object().key("entries").open_object();
  for (const auto& key : view.keys) {
    std::string_view in_force;
    json.key(key.name).open_object().key("layer_values").open_list();
    for (const std::string& text : key.texts) {
      json.text(text);
      if (!text.empty()) in_force = text;
    }
    json.close_list().key("final_value").text(in_force).close_object();
  }
  json.close_object().key("layers").open_list();
  for (const std::string& layer : view.layers) json.text(layer);
  reply({.type = kJsonType, .text = json.close_list().close_object().take()});
}

void modify_runtime(Site& site, const Request& request, const Reply& reply) {
  if (request.params.empty()) {
    return reply({.status = 400,
                  .text = "usage: /runtime_modify?key1=value1&key2=value2&keyN=valueN\n"
                          "       or send the parameters as form values\n"
                          "use an empty value to remove a previously added override\n"});
  }
  const absl::Status status = site.sources.modify_runtime
                                  ? site.sources.modify_runtime(request.params)
                                  : absl::FailedPreconditionError("No admin layer specified");
  if (!status.ok()) {
    return reply({.status = 503, .text = base::cat(base::message_of(status), "\n")});
  }
  reply({.text = "OK\n"});
}

}  // namespace sluice::admin
