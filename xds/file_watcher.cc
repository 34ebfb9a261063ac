#include "xds/file_watcher.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <cstring>
#include <utility>

namespace sluice::xds {
namespace {

constexpr uint32_t kMask = IN_MOVED_TO | IN_CLOSE_WRITE | IN_ONLYDIR;

}  // namespace

// Whatever is posted holds the callback too: it must do nothing from now on.
FileWatcher::Watch::~Watch() {
  if (callback_ != nullptr) *callback_ = nullptr;
}

FileWatcher::Watch& FileWatcher::Watch::operator=(Watch&& other) noexcept {
  std::swap(callback_, other.callback_);
  return *this;
}

FileWatcher::FileWatcher(Executor& executor) : executor_(executor) {}

FileWatcher::~FileWatcher() {
  if (thread_.joinable()) {
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t n = write(stop_, &one, sizeof(one));
    thread_.join();
  }
  if (inotify_ >= 0) close(inotify_);
  if (stop_ >= 0) close(stop_);
}

bool FileWatcher::start() {
  if (thread_.joinable()) return true;
  if (inotify_ < 0) inotify_ = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
  if (stop_ < 0) stop_ = eventfd(0, EFD_CLOEXEC);
  if (inotify_ < 0 || stop_ < 0) return false;
  thread_ = std::thread([this] { read_events(); });
  return true;
}

FileWatcher::Watch FileWatcher::watch(const std::string& directory, Callback callback) {
  Watch out;
  if (!start()) return out;
  const std::lock_guard lock(mutex_);
  const int descriptor = inotify_add_watch(inotify_, directory.c_str(), kMask);
  if (descriptor < 0) return out;
  std::erase_if(watches_, [](const auto& entry) { return entry.second.expired(); });
  out.callback_ = std::make_shared<Callback>(std::move(callback));
  watches_.emplace(descriptor, out.callback_);
  return out;
}

void FileWatcher::read_events() {
  alignas(inotify_event) char buffer[16 * 1024];
  pollfd fds[2] = {{inotify_, POLLIN, 0}, {stop_, POLLIN, 0}};
  while (true) {
    if (poll(fds, 2, -1) < 0) continue;
    if (fds[1].revents != 0) return;
    const ssize_t size = read(inotify_, buffer, sizeof(buffer));
    for (ssize_t at = 0; at < size;) {
      inotify_event event;
      std::memcpy(&event, buffer + at, sizeof(event));
      const char* name = buffer + at + sizeof(event);
      handle(event.wd, event.mask, event.len > 0 ? name : "");
      at += static_cast<ssize_t>(sizeof(event) + event.len);
    }
  }
}

void FileWatcher::handle(int descriptor, uint32_t mask, std::string name) {
  if ((mask & (IN_MOVED_TO | IN_CLOSE_WRITE)) == 0) return;
  const Change change = (mask & IN_MOVED_TO) != 0 ? Change::kMovedIn : Change::kWritten;
  const std::lock_guard lock(mutex_);
  const auto [begin, end] = watches_.equal_range(descriptor);
  for (auto it = begin; it != end; ++it) {
    // Weak all the way to main, where a Watch ends.
    executor_.post([callback = it->second, change, name] {
      const auto held = callback.lock();
      if (held != nullptr && *held) (*held)(change, name);
    });
  }
}

}  // namespace sluice::xds
