#include "dataplane/on_demand.h"

#include <utility>

#include "base/text.h"
#include "dataplane/exchange.h"
#include "dataplane/worker.h"

namespace sluice::dataplane {
namespace {

// No name has a NUL: the authority is checked, the others are ours or a field's value.
std::string key_of(const OnDemand::Demand& demand) {
  std::string key = base::cat(static_cast<int>(demand.lack), " ", demand.source, " ",
                              demand.cluster, " ", demand.routes);
  key.push_back('\0');
  key.append(demand.name);
  return key;
}

}  // namespace

bool OnDemand::wait(Exchange& exchange, const Demand& demand) {
  if (demand.name.size() > kMaxNameBytes) return false;
  const std::string key = key_of(demand);
  auto it = rooms_.find(key);
  if (it == rooms_.end()) {
    if (rooms_.size() >= kMaxQuestions) return false;
    it = rooms_.emplace(key, std::make_unique<Room>()).first;
    it->second->id = ++last_id_;
    keys_.emplace(last_id_, key);
    Question question{worker_.index(),
                      last_id_,
                      demand.lack,
                      std::string(demand.name),
                      std::string(demand.routes),
                      demand.cluster,
                      demand.source,
                      demand.timeout_ns};
    if (!worker_.ask_main(std::move(question))) {
      keys_.erase(last_id_);
      rooms_.erase(it);
      return false;
    }
  }
  it->second->waiting.push_back(exchange.worker_link());
  return true;
}

void OnDemand::answered(uint64_t id, Answer answer) noexcept {
  const auto key = keys_.extract(id);
  if (key.empty()) return;
  const auto room = rooms_.extract(key.mapped());
  while (net::Link* link = room.mapped()->waiting.pop()) {
    Exchange& exchange = Exchange::of_worker_link(*link);
    worker_.exchanges().push_back(*link);
    exchange.on_demand_answered(answer);
  }
}

}  // namespace sluice::dataplane
