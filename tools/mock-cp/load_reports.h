#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>

namespace sluice::mock_cp {

// LoadReports adds up what clients report of their load (LRS): each report has what came since the
// one before, so the sums are what the clients counted, over all streams of this process.
//
// Any thread.
class LoadReports {
 public:
  struct Sums {
    uint64_t issued = 0;
    uint64_t successful = 0;
    uint64_t error = 0;
    uint64_t in_progress = 0;  // of the last report
  };
  struct Cluster {
    uint64_t reports = 0;
    uint64_t dropped = 0;
    std::map<std::string, Sums> localities;  // "REGION/ZONE/SUB_ZONE"
    std::map<std::string, Sums> endpoints;   // "ADDRESS:PORT"
  };

  // How often clients are to report; 0: there is no such service.
  void set_interval_ms(uint64_t ms);
  bool serves() const;
  // The LoadStatsResponse that asks a client for everything.
  std::string question() const;
  // Adds a LoadStatsRequest. False: it is none. `line`: what the log says of it, if anything.
  bool take(std::string_view bytes, std::string* line);

  uint64_t reports() const;
  std::map<std::string, Cluster> clusters() const;
  void clear();

 private:
  mutable std::mutex mutex_;
  uint64_t interval_ms_ = 0;
  uint64_t reports_ = 0;
  std::map<std::string, Cluster> clusters_;
};

}  // namespace sluice::mock_cp
