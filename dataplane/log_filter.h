#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/runtime.h"
#include "dataplane/values.h"
#include "http/facts.h"
#include "router/predicates.h"

namespace sluice::dataplane {

// What a log may decide by beside the facts.
struct LogChance {
  const base::RuntimeValues* runtime = nullptr;  // of the worker's tables
  uint64_t random = 0;                           // of this line
  uint32_t worker = 0;                           // its index: regular expressions have one each
};

// LogFilter answers "does this exchange, or relayed connection, get a line?": Envoy's
// AccessLogFilter (config.accesslog.v3), compiled. Made on main or in the compile pool, immutable;
// any worker may call wants(), with its own index in the chance.
//
// wants() neither allocates nor throws; a header that came in several lines and is one for Envoy is
// joined on the stack, beyond 1 KiB in the exchange's arena. It costs a switch and a comparison for
// each condition that is looked at; `and` and `or` stop at the first that decides. Who asks
// takes_all() first spends nothing on a log without a filter.
class LogFilter {
 public:
  // `at` begins errors: `listeners["in"].access_log[0].filter`. Without `runtime` keys have no
  // values.
  static absl::StatusOr<LogFilter> compile(const LogFilterValue& value, const std::string& at,
                                           base::RuntimeKeys* runtime, uint32_t num_workers);

  LogFilter() = default;  // everything
  bool takes_all() const noexcept { return kind_ == LogFilterValue::Kind::kAll; }
  bool wants(const http::Facts& facts, const LogChance& chance) const noexcept;

 private:
  using Kind = LogFilterValue::Kind;
  bool compares(uint64_t number, const LogChance& chance) const noexcept;
  bool in_sample(const http::Facts& facts, const LogChance& chance) const noexcept;
  bool header_holds(const http::Facts& facts, const LogChance& chance) const noexcept;

  Kind kind_ = Kind::kAll;
  LogFilterValue::Compare compare_ = LogFilterValue::Compare::kEqual;
  bool independent_ = false;
  uint32_t denominator_ = 100;
  uint64_t number_ = 0;  // to compare with, the sample's numerator, or a mask
  uint64_t salt_ = 0;    // of samples: what one takes says nothing of what another does
  base::RuntimeKey key_;
  std::shared_ptr<const router::HeaderPredicate> header_;
  std::vector<LogFilter> parts_;
};

}  // namespace sluice::dataplane
