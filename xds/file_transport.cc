#include "xds/file_transport.h"

#include <google/protobuf/text_format.h>
#include <unistd.h>

#include <climits>
#include <set>
#include <utility>

#include "base/text.h"
#include "envoy/service/discovery/v3/discovery.pb.h"
#include "xds/resources.h"
#include "xds/yaml.h"

namespace sluice::xds {
namespace {

using ::envoy::service::discovery::v3::DiscoveryRequest;
using ::envoy::service::discovery::v3::DiscoveryResponse;

constexpr std::string_view kSwapped = "..data";

std::string directory_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

std::string_view name_in_directory(const std::string& path) {
  return std::string_view(path).substr(path.rfind('/') + 1);  // npos + 1 is 0
}

bool links_into_swapped(const std::string& path) {
  char target[PATH_MAX];
  const ssize_t size = readlink(path.c_str(), target, sizeof(target));
  return size > 0 && std::string_view(target, static_cast<size_t>(size)).starts_with("..data/");
}

absl::Status parse_text(std::string_view text, std::string_view name, bool allow_unknown_fields,
                        DiscoveryResponse* out) {
  auto document = YamlDocument::parse(text, name);
  if (!document.ok()) return document.status();
  YamlDocument::Options options;
  options.allow_unknown_fields = allow_unknown_fields;
  options.allow_unknown_types = true;  // refused where they are needed
  Warnings warnings;
  return document->to_message(options, out, &warnings);
}

absl::Status parse_file(const std::string& path, const std::string& text, bool allow_unknown_fields,
                        DiscoveryResponse* out) {
  if (path.ends_with(".pb")) {
    if (out->ParseFromString(text)) return absl::OkStatus();
    return base::config_error(path, ": not a serialised DiscoveryResponse");
  }
  if (path.ends_with(".pb_text")) {
    if (google::protobuf::TextFormat::ParseFromString(text, out)) return absl::OkStatus();
    return base::config_error(path, ": not a DiscoveryResponse in protobuf's text format");
  }
  return parse_text(text, path, allow_unknown_fields, out);
}

std::string finished(DiscoveryResponse response, Type type, std::string_view nonce) {
  response.set_type_url(std::string(type_url_of(type)));
  response.set_nonce(std::string(nonce));
  return response.SerializeAsString();
}

}  // namespace

absl::StatusOr<std::string> response_of(std::string_view text, std::string_view name, Type type,
                                        std::string_view nonce, bool allow_unknown_fields) {
  DiscoveryResponse response;
  absl::Status s = parse_text(text, name, allow_unknown_fields, &response);
  if (!s.ok()) return s;
  return finished(std::move(response), type, nonce);
}

absl::StatusOr<std::string> read_response(const std::string& path, Type type,
                                          std::string_view nonce, bool allow_unknown_fields) {
  auto text = read_file(path);
  if (!text.ok()) return text.status();
  DiscoveryResponse response;
  absl::Status s = parse_file(path, *text, allow_unknown_fields, &response);
  if (!s.ok()) return s;
  return finished(std::move(response), type, nonce);
}

// Whether a request is an ACK or a NACK is not looked at: a file learns nothing of that. One that
// asks for a name for the first time is given what the file holds.
class FileTransport::FileStream final : public Stream {
 public:
  FileStream(FileTransport& owner, StreamEvents& events)
      : owner_(owner), events_(events), self_(std::make_shared<FileStream*>(this)) {}
  ~FileStream() override {
    *self_ = nullptr;
    if (owner_.stream_ == this) owner_.stream_ = nullptr;
  }

  void send(std::string bytes) override {
    DiscoveryRequest request;
    const bool read = request.ParseFromString(bytes);
    bool fresh = !std::exchange(asked_, true);
    for (int i = 0; read && i < request.resource_names_size(); ++i) {
      fresh |= names_.insert(request.resource_names(i)).second;
    }
    due_ |= fresh;
    soon([](FileStream& stream) { stream.events_.on_sent(); });
    if (fresh) deliver_soon();
  }
  void read() override {
    reading_ = true;
    deliver_soon();
  }
  void reload() {
    if (!asked_) return;
    due_ = true;
    deliver_soon();
  }

 private:
  void deliver_soon() {
    soon([](FileStream& stream) { stream.deliver(); });
  }
  template <typename Fn>
  void soon(Fn fn) {
    owner_.executor_.post([self = self_, fn] {
      if (FileStream* stream = *self) fn(*stream);
    });
  }

  void deliver() {
    if (!reading_ || !due_) return;
    due_ = false;
    const auto& options = owner_.options_;
    auto bytes = read_response(options.file.path, options.type, std::to_string(++nonce_),
                               options.allow_unknown_fields);
    if (!bytes.ok()) return events_.on_trouble(bytes.status());
    reading_ = false;
    events_.on_message(*std::move(bytes));
  }

  FileTransport& owner_;
  StreamEvents& events_;
  std::shared_ptr<FileStream*> self_;  // for what is posted: null once this is gone
  bool asked_ = false;
  std::set<std::string> names_;  // asked for so far
  bool due_ = false;
  bool reading_ = false;
  uint64_t nonce_ = 0;
};

FileTransport::FileTransport(Options options, FileWatcher& watcher, Executor& executor)
    : options_(std::move(options)), watcher_(watcher), executor_(executor) {}

FileTransport::~FileTransport() = default;

// The watch is there before the file is read, so that no change is missed.
std::unique_ptr<Stream> FileTransport::open(std::string_view, StreamEvents& events) {
  if (!watch_) watch();
  auto stream = std::make_unique<FileStream>(*this, events);
  stream_ = stream.get();
  return stream;
}

void FileTransport::watch() {
  const FileSource& file = options_.file;
  const std::string directory =
      file.watched_directory.empty() ? directory_of(file.path) : file.watched_directory;
  watch_ = watcher_.watch(directory, [this](FileWatcher::Change change, const std::string& name) {
    changed(change, name);
  });
  if (watch_ || !options_.warn) return;
  options_.warn(
      base::cat(directory, ": cannot be watched; changes of ", file.path, " will not be seen"));
}

void FileTransport::changed(FileWatcher::Change change, const std::string& name) {
  const FileSource& file = options_.file;
  const bool is_file = name == name_in_directory(file.path);
  if (change == FileWatcher::Change::kWritten) {
    if (!is_file || !file.watched_directory.empty() || std::exchange(warned_, true)) return;
    if (options_.warn) {
      options_.warn(base::cat(file.path,
                              ": was written in place, which is not read; write another "
                              "file and move it there"));
    }
    return;
  }
  const bool counts = !file.watched_directory.empty() || is_file ||
                      (name == kSwapped && links_into_swapped(file.path));
  if (counts && stream_ != nullptr) stream_->reload();
}

}  // namespace sluice::xds
