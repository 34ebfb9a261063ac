#include <memory>
#include <utility>

#include "admin/name_filter.h"
#include "admin/page.h"
#include "admin/sources.h"
#include "base/text.h"
#include "xds/config_dump.h"

namespace sluice::admin {

void show_config_dump(Site& site, const Request& request, const Reply& reply) {
  xds::DumpQuery query{.resource = std::string(request.value("resource")),
                       .mask = std::string(request.value("mask")),
                       .include_eds = request.has("include_eds"),
                       .wants = {}};
  auto filter = NameFilter::from(request, "name_regex");
  if (!filter.ok()) {
    return reply({.status = 400, .text = base::cat(base::message_of(filter.status()), "\n")});
  }
  if (request.has("name_regex")) {
    query.wants = [f = *std::move(filter)](std::string_view name) { return f.wants(name); };
  }
  auto made = xds::ConfigDump::make(site.sources.config ? site.sources.config() : xds::DumpInput(),
                                    std::move(query));
  if (!made.ok()) {
    return reply({.status = static_cast<uint16_t>(absl::IsNotFound(made.status()) ? 404 : 400),
                  .text = std::string(base::message_of(made.status()))});
  }
  const auto dump = std::make_shared<xds::ConfigDump>(*std::move(made));
  reply({.type = kJsonType, .more = [dump](std::string* out) { return dump->next(out); }});
}

}  // namespace sluice::admin
