#pragma once

#include "admin/sources.h"

namespace sluice::app {

class Process;

// What admin shows of this process, and what it may do with it. `process` outlives the AdminServer
// that gets this. Main only.
admin::Sources admin_sources(Process& process);

}  // namespace sluice::app
