#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "xds/config_source.h"
#include "xds/file_watcher.h"
#include "xds/transport.h"

namespace sluice::xds {

// FileTransport makes of a file a server that always sends what the file holds: a DiscoveryResponse
// (xds.md 1.10), read at the first request and whenever the file is replaced.
//
// Replaced means moved there (rule 161): a file that is edited in place is not read, because nobody
// can say when it is complete; a warning says so. With a watched_directory anything that is moved
// into that counts, and without one also the swap of `..data` where the file is a link into it, as
// Kubernetes mounts its ConfigMaps (rule 162). What cannot be read is reported and changes nothing
// (rules 50, 163). Formats by extension: .json .yaml .yml, .pb, .pb_text (rule 160).
// Main only. One stream at a time; watcher and executor outlive it.
class FileTransport final : public Transport {
 public:
  struct Options {
    FileSource file;
    Type type = Type::kCluster;
    bool allow_unknown_fields = true;
    std::function<void(std::string_view)> warn;
  };
  FileTransport(Options options, FileWatcher& watcher, Executor& executor);
  ~FileTransport() override;

  std::unique_ptr<Stream> open(std::string_view method, StreamEvents& events) override;

 private:
  class FileStream;
  void watch();
  void changed(FileWatcher::Change change, const std::string& name);

  Options options_;
  FileWatcher& watcher_;
  Executor& executor_;
  FileWatcher::Watch watch_;
  FileStream* stream_ = nullptr;
  bool warned_ = false;
};

// A serialised DiscoveryResponse, with this type and nonce, of a text in JSON or YAML. `name`
// stands before problems. Any thread.
absl::StatusOr<std::string> response_of(std::string_view text, std::string_view name, Type type,
                                        std::string_view nonce, bool allow_unknown_fields);
// The same of what a file holds.
absl::StatusOr<std::string> read_response(const std::string& path, Type type,
                                          std::string_view nonce, bool allow_unknown_fields);

}  // namespace sluice::xds
