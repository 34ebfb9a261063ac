// The start of the process, step by step (rule 90).

#include <utility>

#include "base/text.h"
#include "dataplane/log.h"
#include "xds/assemble.h"

namespace sluice::xds {

absl::Status Assembler::add_static(const Bootstrap& bootstrap) {
  log_warnings(bootstrap.warnings.texts());
  locate_ = bootstrap.locate;
  runtime_.set_layers(bootstrap.runtime);
  for (const auto& cluster : bootstrap.clusters) {
    absl::Status status = clusters_.put(cluster.value, true);
    if (!status.ok()) return status;
  }
  for (const auto& listener : bootstrap.listeners) static_listeners_.push_back(listener.value);
  return absl::OkStatus();
}

absl::Status Assembler::start(Subscriptions* subscriptions) {
  subscriptions_ = subscriptions;
  runtime_.set_subscriptions(subscriptions);
  leds_.set_subscriptions(subscriptions);
  clusters_.set_subscriptions(subscriptions);
  listeners_.set_subscriptions(subscriptions);
  demands_.set_subscriptions(subscriptions);
  phase_ = Phase::kStaticClusters;
  phase_since_ = executor_.now();
  turn();
  return failure_;
}

void Assembler::advance() {
  while (failure_.ok() && advance_one()) phase_since_ = executor_.now();
  if (phase_ != Phase::kLive && !listeners_.failure().status.ok()) {
    fail(located(listeners_.failure().name, listeners_.failure().status));
  }
}

// True: the next phase has begun.
bool Assembler::advance_one() {
  switch (phase_) {
    case Phase::kStaticClusters:
      return runtime_.num_waiting() == 0 && clusters_.num_warming() == 0 && begin_clusters();
    case Phase::kClusters:
      return cds_answered_ && clusters_.num_warming() == 0 && begin_listeners();
    case Phase::kListeners:
      if (!lds_answered_ || listeners_.num_waiting() > 0) return false;
      phase_ = Phase::kLive;
      if (options_.on_live) options_.on_live();
      return true;
    case Phase::kNew:
    case Phase::kLive:
      break;
  }
  return false;
}

bool Assembler::begin_clusters() {
  phase_ = Phase::kClusters;
  if (options_.has_cds && subscriptions_ != nullptr) {
    subscribe_all(Type::kCluster, {options_.cds_source, options_.cds_name});
  } else {
    cds_answered_ = true;
  }
  return true;
}

void Assembler::subscribe_all(Type type, const ResourceKey& key) {
  if (key.name.empty()) {
    subscriptions_->subscribe_all(type, key.source);
  } else {
    subscriptions_->subscribe(type, key);
  }
}

bool Assembler::begin_listeners() {
  if (subscriptions_ != nullptr) subscriptions_->begin_batch();
  absl::Status status = put_static_listeners();
  if (status.ok()) {
    phase_ = Phase::kListeners;
    if (options_.has_lds && subscriptions_ != nullptr) {
      subscribe_all(Type::kListener, {options_.lds_source, options_.lds_name});
    } else {
      lds_answered_ = true;
    }
    server_.publish();
    if (options_.run_workers) server_.start();
  } else {
    fail(std::move(status));
  }
  if (subscriptions_ != nullptr) subscriptions_->end_batch();
  return failure_.ok();
}

absl::Status Assembler::put_static_listeners() {
  for (dataplane::ListenerValue& value : static_listeners_) {
    std::vector<std::string> warnings;
    const std::string name = value.name;
    const absl::Status status = listeners_.put(value, true, &warnings);
    log_warnings(warnings);
    if (!status.ok()) return located(name, status);
  }
  return absl::OkStatus();
}

// "FILE:LINE:COL: " before the message, where the listener's place in the bootstrap is known.
absl::Status Assembler::located(std::string_view listener, const absl::Status& status) const {
  std::string place;
  for (size_t i = 0; i < static_listeners_.size() && locate_; ++i) {
    if (static_listeners_[i].name != listener) continue;
    const bool address = base::message_of(status).find(".address: ") != std::string_view::npos;
    place = locate_(base::cat("static_resources.listeners[", i, "]", address ? ".address" : ""));
  }
  return absl::Status(status.code(),
                      base::cat(place, place.empty() ? "" : ": ", base::message_of(status)));
}

void Assembler::fail(absl::Status status) {
  if (!failure_.ok()) return;
  failure_ = std::move(status);
  if (options_.on_failure) options_.on_failure(failure_);
}

// ---- For admin.

Assembler::State Assembler::state() const noexcept {
  if (server_.draining()) return State::kDraining;
  if (phase_ < Phase::kListeners) return State::kPreInitializing;
  return phase_ == Phase::kListeners ? State::kInitializing : State::kLive;
}

std::string_view Assembler::text_of(State state) noexcept {
  switch (state) {
    case State::kPreInitializing:
      return "PRE_INITIALIZING";
    case State::kInitializing:
      return "INITIALIZING";
    case State::kLive:
      return "LIVE";
    case State::kDraining:
      break;
  }
  return "DRAINING";
}

std::vector<Wait> Assembler::waits() const {
  std::vector<Wait> out;
  if (phase_ == Phase::kClusters && !cds_answered_) {
    out.push_back({Type::kCount, "", Type::kCluster, "", false, phase_since_});
  }
  if (phase_ == Phase::kListeners && !lds_answered_) {
    out.push_back({Type::kCount, "", Type::kListener, "", false, phase_since_});
  }
  runtime_.list_waits(&out);
  clusters_.list_waits(&out);
  leds_.list_waits(&out);
  listeners_.list_waits(&out);
  return out;
}

}  // namespace sluice::xds
