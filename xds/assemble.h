#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "dataplane/server.h"
#include "xds/bootstrap.h"
#include "xds/deadlines.h"
#include "xds/decode_update.h"
#include "xds/demands.h"
#include "xds/leds_endpoints.h"
#include "xds/resources.h"
#include "xds/runtime.h"
#include "xds/wait.h"
#include "xds/warming_clusters.h"
#include "xds/warming_listeners.h"

namespace sluice::xds {

// Assembler makes tables of resources: it takes those of the bootstrap and those that come in
// updates, keeps the last good form of each, joins what belongs together (warming_clusters.h,
// warming_listeners.h), and publishes what is complete.
//
// Starts the process in xDS' order (rule 90): static clusters, then those of CDS, each with its
// endpoints; then listeners, which accept as soon as their routes are there; then it is live. Each
// step waits at most its configuration source's initial_fetch_timeout.
// Everything that one turn of main brings goes into one publish. A publish waits for clusters that
// began to warm less than max_hold_ns ago, so that routes do not arrive before what they lead to.
// Clusters and endpoints of a big update are taken piece by piece, a turn of main each, so that
// main goes on answering; nothing is published in between. Main only; updates of more than
// inline_bytes are decoded in the server's compile pool, later ones of the same type wait for them
// (client.h). Server, executor and subscriptions outlive it. Errors of static resources end the
// start; those of others go back to the control plane by name, and what worked keeps working.
class Assembler final : public ResourceSink {
 public:
  struct Options {
    DecodeOptions decode;  // of what control planes send
    bool has_lds = false;
    bool has_cds = false;
    SourceId lds_source = kAds, cds_source = kAds;
    std::string lds_name, cds_name;  // of one or of a collection; empty: all that the source has
    size_t inline_bytes = 64 * 1024;
    size_t slice = 256;  // resources per turn
    int64_t max_hold_ns = base::kNsPerSec;
    // Whether start() and what follows runs the workers; tests may have none.
    bool run_workers = true;
    // Outlives the assembler. Null: no name is ever resolved.
    net::NameResolver* resolver = nullptr;
    net::ResolverConfig resolver_config;  // of clusters that bring none
    std::function<uint64_t()> random;     // none: the operating system's
    std::function<void()> on_live;
    // A static listener could not serve when its turn came.
    std::function<void(absl::Status)> on_failure;
  };
  Assembler(Options options, dataplane::Server& server, Executor& executor);
  ~Assembler() override;
  Assembler(const Assembler&) = delete;
  Assembler& operator=(const Assembler&) = delete;

  // Static resources; once, before start(). Errors: "FILE:LINE:COL: path: problem; remedy".
  absl::Status add_static(const Bootstrap& bootstrap);
  // Begins; `subscriptions` is null without a control plane. The error of a static listener, where
  // it is known at once.
  absl::Status start(Subscriptions* subscriptions);

  // ResourceSink.
  void apply(Update update, std::function<void(std::vector<Rejected>)> done) override;
  void on_fetch_timeout(Type type, SourceId source, std::string_view name) override;

  // Updates of this type go to `sink`, which outlives this, in place of being refused. Before
  // start(); not of those types that are the assembler's own.
  void set_sink(Type type, ResourceSink* sink) { sinks_[static_cast<size_t>(type)] = sink; }

  // What a request lacks (dataplane/on_demand.h); the server calls it.
  void ask(dataplane::OnDemand::Question question);
  const Demands& demands() const noexcept { return demands_; }
  const WarmingListeners& listeners() const noexcept { return listeners_; }

  // ---- For admin.
  enum class State : uint8_t { kPreInitializing, kInitializing, kLive, kDraining };
  State state() const noexcept;
  // "LIVE", "DRAINING", "PRE_INITIALIZING", "INITIALIZING".
  static std::string_view text_of(State state) noexcept;
  // What waits for what, since when.
  std::vector<Wait> waits() const;
  Runtime& runtime() noexcept { return runtime_; }

 private:
  // What is being waited for.
  enum class Phase : uint8_t { kNew, kStaticClusters, kClusters, kListeners, kLive };

  struct Taking;  // a decoded update, and how much of it is taken

  void take(DecodedUpdate decoded, Type type, SourceId source,
            std::function<void(std::vector<Rejected>)> done);
  void take_on(const std::shared_ptr<Taking>& taking);
  bool take_slice(Taking& taking);
  void take_cluster(Taking& taking, upstream::ClusterValue value);
  void take_endpoints(Taking& taking, size_t index);
  void take_listeners(DecodedUpdate& decoded);
  void take_routes(DecodedUpdate& decoded, SourceId source);
  void take_virtual_hosts(DecodedUpdate& decoded, SourceId source);
  void take_runtime(DecodedUpdate& decoded, SourceId source);
  void take_extensions(DecodedUpdate& decoded, SourceId source);
  absl::Status check_required(const DecodedRoutes& routes) const;
  void answered(Type type);
  void end_wait(Type type, const ResourceKey& key);
  void log_warnings(const std::vector<std::string>& texts);

  bool advance_one();
  void advance();
  bool begin_clusters();
  bool begin_listeners();
  void subscribe_all(Type type, const ResourceKey& key);
  absl::Status put_static_listeners();
  absl::Status located(std::string_view listener, const absl::Status& status) const;
  void fail(absl::Status status);

  void touch();
  void turn();
  base::MonoNs hold_until() const;

  Options options_;
  std::array<ResourceSink*, kNumTypes> sinks_{};  // by Type; null: its own, or nobody's
  dataplane::Server& server_;
  Executor& executor_;
  Subscriptions* subscriptions_ = nullptr;
  Deadlines deadlines_;
  Runtime runtime_;
  WarmingClusters clusters_;
  LedsEndpoints leds_;
  WarmingListeners listeners_;
  Demands demands_;

  Phase phase_ = Phase::kNew;
  base::MonoNs phase_since_ = 0;
  bool cds_answered_ = false;  // the first response came, or its wait ended
  bool lds_answered_ = false;
  std::vector<dataplane::ListenerValue> static_listeners_;
  std::function<std::string(std::string_view)> locate_;
  absl::Status failure_;

  bool touched_ = false;
  int num_taking_ = 0;           // updates of which a part is taken
  base::MonoNs changed_at_ = 0;  // of the oldest change that is not published; 0: none
  Executor::TimerId hold_timer_ = 0;
  absl::flat_hash_set<std::string> logged_;  // warnings
  std::shared_ptr<Assembler*> self_;         // for what is posted: null once this is gone
};

}  // namespace sluice::xds
