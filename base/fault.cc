#include "base/fault.h"

#include <cerrno>

namespace sluice::base {

Fault::Kind fault_kind_of_errno(int error) noexcept {
  switch (error) {
    case 0:
      return Fault::Kind::kNone;
    case ECONNRESET:
    case EPIPE:
    case ECONNABORTED:
      return Fault::Kind::kReset;
    case ECONNREFUSED:
      return Fault::Kind::kRefused;
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EHOSTDOWN:
    case ENETDOWN:
    case EADDRNOTAVAIL:
    case ENOENT:
      return Fault::Kind::kUnreachable;
    case ETIMEDOUT:
      return Fault::Kind::kTimeout;
    case ENOMEM:
    case ENOBUFS:
    case EMFILE:
    case ENFILE:
      return Fault::Kind::kNoMemory;
    default:
      return Fault::Kind::kOther;
  }
}

}  // namespace sluice::base
