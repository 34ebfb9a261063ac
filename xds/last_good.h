#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/clock.h"
#include "xds/client.h"
#include "xds/transport.h"

namespace sluice::xds {

// LastGood keeps on disk what control planes sent and what was accepted of it, so that a process
// that starts while they are away starts with something (--last-good-config-path; off by default).
//
// The file is written beside its place and renamed into it, so it is whole or not at all; its
// checksum is verified when it is read, and one that is cut, changed or of another node is not
// used. Readable by its owner only: resources may hold secrets. Saving is put off for a second
// after a change, so that a burst of updates is one write; one at a time, in the pool. Main only,
// but for what runs in the pool. executor and functions outlive it.
class LastGood {
 public:
  struct Options {
    std::string path;
    std::string node;  // serialised envoy.config.core.v3.Node
    // What is in force now; none: nothing was accepted from a control plane yet.
    std::function<std::optional<std::vector<RestoredResource>>()> collect;
    std::function<void(std::function<void()>)> run_in_pool;
    std::function<void(Severity, std::string_view)> log;
    int64_t delay_ns = base::kNsPerSec;
  };
  LastGood(Options options, Executor& executor);
  ~LastGood();
  LastGood(const LastGood&) = delete;
  LastGood& operator=(const LastGood&) = delete;

  // Something was accepted: it is saved soon.
  void changed();
  base::WallNs saved_at() const noexcept { return saved_at_; }  // 0: not yet

 private:
  void save();
  void saved(const absl::Status& status);

  Options options_;
  Executor& executor_;
  Executor::TimerId timer_ = 0;
  bool saving_ = false;
  bool again_ = false;
  base::WallNs saved_at_ = 0;
  std::shared_ptr<LastGood*> self_;  // for what is posted: null once this is gone
};

// The file's bytes, and back. An error says what is wrong with them.
std::string encode_last_good(std::string_view node, const std::vector<RestoredResource>& resources);
absl::StatusOr<std::vector<RestoredResource>> decode_last_good(std::string_view node,
                                                               std::string_view bytes);
// NotFound: there is no file.
absl::StatusOr<std::vector<RestoredResource>> read_last_good(const std::string& path,
                                                             std::string_view node);
absl::Status write_whole(const std::string& path, std::string_view bytes);

}  // namespace sluice::xds
