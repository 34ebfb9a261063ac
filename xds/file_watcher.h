#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "xds/transport.h"

namespace sluice::xds {

// FileWatcher tells what happens in directories: which name was moved in, and which file was
// written in place (inotify).
//
// watch() and the callbacks on main. A thread of its own waits for the kernel, and only while
// something is watched; it costs nothing while nothing happens. A directory that cannot be watched
// is said by an empty Watch. A directory that is deleted or moved away is watched no more.
class FileWatcher {
 public:
  enum class Change : uint8_t { kMovedIn, kWritten };
  using Callback = std::function<void(Change, const std::string& name)>;

  // Ends the watch when it goes; may outlive the watcher.
  class Watch {
   public:
    Watch() = default;
    Watch(Watch&& other) noexcept = default;
    Watch& operator=(Watch&& other) noexcept;
    ~Watch();
    explicit operator bool() const noexcept { return callback_ != nullptr; }

   private:
    friend class FileWatcher;
    std::shared_ptr<Callback> callback_;  // emptied by the end of the watch
  };

  explicit FileWatcher(Executor& executor);
  ~FileWatcher();
  FileWatcher(const FileWatcher&) = delete;
  FileWatcher& operator=(const FileWatcher&) = delete;

  Watch watch(const std::string& directory, Callback callback);

 private:
  bool start();
  void read_events();
  void handle(int descriptor, uint32_t mask, std::string name);

  Executor& executor_;
  int inotify_ = -1;
  int stop_ = -1;  // eventfd
  std::thread thread_;
  std::mutex mutex_;
  // By inotify's watch descriptor. Watches that have ended are swept when a new one is made.
  std::multimap<int, std::weak_ptr<Callback>> watches_;
};

}  // namespace sluice::xds
