// The compiled half of spdlog (SPDLOG_COMPILED_LIB), for which Debian has no archive.
// Only the sinks that dataplane/log.cc may use are in here.
#include <spdlog/async_logger-inl.h>
#include <spdlog/common-inl.h>
#include <spdlog/details/backtracer-inl.h>
#include <spdlog/details/file_helper-inl.h>
#include <spdlog/details/log_msg-inl.h>
#include <spdlog/details/log_msg_buffer-inl.h>
#include <spdlog/details/null_mutex.h>
#include <spdlog/details/os-inl.h>
#include <spdlog/details/periodic_worker-inl.h>
#include <spdlog/details/registry-inl.h>
#include <spdlog/details/thread_pool-inl.h>
#include <spdlog/logger-inl.h>
#include <spdlog/pattern_formatter-inl.h>
#include <spdlog/sinks/ansicolor_sink-inl.h>
#include <spdlog/sinks/base_sink-inl.h>
#include <spdlog/sinks/basic_file_sink-inl.h>
#include <spdlog/sinks/sink-inl.h>
#include <spdlog/sinks/stdout_color_sinks-inl.h>
#include <spdlog/sinks/stdout_sinks-inl.h>
#include <spdlog/spdlog-inl.h>

#include <mutex>

namespace spdlog {
using details::console_mutex;
using details::console_nullmutex;
using details::null_mutex;

template SPDLOG_API logger::logger(std::string, sinks_init_list::iterator,
                                   sinks_init_list::iterator);
template class SPDLOG_API sinks::base_sink<std::mutex>;
template class SPDLOG_API sinks::base_sink<null_mutex>;
template class SPDLOG_API sinks::basic_file_sink<std::mutex>;
template class SPDLOG_API sinks::basic_file_sink<null_mutex>;
template class SPDLOG_API sinks::stdout_sink_base<console_mutex>;
template class SPDLOG_API sinks::stdout_sink_base<console_nullmutex>;
template class SPDLOG_API sinks::stdout_sink<console_mutex>;
template class SPDLOG_API sinks::stdout_sink<console_nullmutex>;
template class SPDLOG_API sinks::stderr_sink<console_mutex>;
template class SPDLOG_API sinks::stderr_sink<console_nullmutex>;
template class SPDLOG_API sinks::ansicolor_sink<console_mutex>;
template class SPDLOG_API sinks::ansicolor_sink<console_nullmutex>;
template class SPDLOG_API sinks::ansicolor_stdout_sink<console_mutex>;
template class SPDLOG_API sinks::ansicolor_stdout_sink<console_nullmutex>;
template class SPDLOG_API sinks::ansicolor_stderr_sink<console_mutex>;
template class SPDLOG_API sinks::ansicolor_stderr_sink<console_nullmutex>;
}  // namespace spdlog

template SPDLOG_API std::shared_ptr<spdlog::logger>
spdlog::stdout_color_mt<spdlog::synchronous_factory>(const std::string&, color_mode);
template SPDLOG_API std::shared_ptr<spdlog::logger>
spdlog::stderr_color_mt<spdlog::synchronous_factory>(const std::string&, color_mode);
