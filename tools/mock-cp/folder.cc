#include "tools/mock-cp/folder.h"

#include <google/protobuf/any.pb.h>
#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/dynamic_message.h>
#include <poll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <memory>
#include <utility>

#include "base/text.h"
#include "xds/yaml.h"

namespace sluice::mock_cp {
namespace {

namespace pb = google::protobuf;

struct Key {
  const char* name;
  const char* type;
};
constexpr Key kKeys[] = {
    {"resources", "google.protobuf.Any"},
    {"listeners", "envoy.config.listener.v3.Listener"},
    {"clusters", "envoy.config.cluster.v3.Cluster"},
    {"routes", "envoy.config.route.v3.RouteConfiguration"},
    {"endpoints", "envoy.config.endpoint.v3.ClusterLoadAssignment"},
    {"secrets", "envoy.extensions.transport_sockets.tls.v3.Secret"},
    {"scoped_routes", "envoy.config.route.v3.ScopedRouteConfiguration"},
    {"virtual_hosts", "envoy.config.route.v3.VirtualHost"},
    {"runtimes", "envoy.service.runtime.v3.Runtime"},
    {"extension_configs", "envoy.config.core.v3.TypedExtensionConfig"},
};

// The message that a file is: made at run time, so that the reader's errors have the file's paths.
class FileMessage {
 public:
  FileMessage() : pool_(pb::DescriptorPool::generated_pool()) {
    pb::FileDescriptorProto file;
    file.set_name("mock_cp_file.proto");
    file.set_syntax("proto3");
    pb::DescriptorProto* message = file.add_message_type();
    message->set_name("File");
    int number = 0;
    for (const Key& key : kKeys) {
      const auto* type = pb::DescriptorPool::generated_pool()->FindMessageTypeByName(key.type);
      if (!type) continue;
      file.add_dependency(type->file()->name());
      pb::FieldDescriptorProto* field = message->add_field();
      field->set_name(key.name);
      field->set_number(++number);
      field->set_label(pb::FieldDescriptorProto::LABEL_REPEATED);
      field->set_type(pb::FieldDescriptorProto::TYPE_MESSAGE);
      field->set_type_name("." + std::string(key.type));
    }
    pb::FieldDescriptorProto* version = message->add_field();
    version->set_name("version_info");  // as in a DiscoveryResponse; versions are ours
    version->set_number(++number);
    version->set_label(pb::FieldDescriptorProto::LABEL_OPTIONAL);
    version->set_type(pb::FieldDescriptorProto::TYPE_STRING);
    const pb::FileDescriptor* built = pool_.BuildFile(file);
    factory_.SetDelegateToGeneratedFactory(true);
    message_.reset(factory_.GetPrototype(built->message_type(0))->New());
  }

  pb::Message& get() { return *message_; }

 private:
  pb::DescriptorPool pool_;
  pb::DynamicMessageFactory factory_;
  std::unique_ptr<pb::Message> message_;
};

// Where the first line that says something begins.
size_t first_content(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line = text.substr(at, end - at);
    const size_t start = line.find_first_not_of(" \t\r");
    if (start != line.npos && line[start] != '#' && !line.starts_with("---")) return at + start;
    at = end + 1;
  }
  return text.size();
}

// One line was put before the text: takes it off "FILE:LINE:COL: ...".
absl::Status one_line_up(const absl::Status& status, std::string_view file) {
  const std::string_view message = base::message_of(status);
  if (!message.starts_with(base::cat(file, ":"))) return status;
  const char* digits = message.data() + file.size() + 1;
  int line = 0;
  const auto [end, error] = std::from_chars(digits, message.data() + message.size(), line);
  if (error != std::errc() || line < 2) return status;
  return base::config_error(file, ":", line - 1,
                            message.substr(static_cast<size_t>(end - message.data())));
}

absl::Status collect(const pb::Message& message, std::string_view file, ResourceSet& out) {
  const pb::Reflection* reflection = message.GetReflection();
  std::vector<const pb::FieldDescriptor*> fields;
  reflection->ListFields(message, &fields);
  for (const pb::FieldDescriptor* field : fields) {
    if (!field->is_repeated()) continue;
    for (int i = 0; i < reflection->FieldSize(message, field); ++i) {
      const pb::Message& item = reflection->GetRepeatedMessage(message, field, i);
      const auto* any = dynamic_cast<const pb::Any*>(&item);
      const absl::Status status = any ? out.add(*any, file) : out.add(item, file);
      if (!status.ok()) return status;
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ResourceSet> read_resources(std::string_view text, std::string_view file) {
  std::string content(text);
  const size_t start = first_content(content);
  const bool flow_list = start < content.size() && content[start] == '[';
  const bool block_list = start < content.size() && content[start] == '-';
  if (flow_list) {
    content.insert(start, "{resources: ");
    content += "}";
  } else if (block_list) {
    const size_t newline = start == 0 ? std::string::npos : content.rfind('\n', start - 1);
    content.insert(newline == std::string::npos ? 0 : newline + 1, "resources:\n");
  }
  const auto lined = [&](const absl::Status& s) { return block_list ? one_line_up(s, file) : s; };

  auto document = xds::YamlDocument::parse(content, file);
  if (!document.ok()) return lined(document.status());
  FileMessage message;
  xds::Warnings warnings;
  if (absl::Status s = document->to_message({}, &message.get(), &warnings); !s.ok()) {
    return lined(s);
  }
  ResourceSet resources;
  if (absl::Status s = collect(message.get(), file, resources); !s.ok()) return s;
  return resources;
}

absl::StatusOr<std::string> read_message(std::string_view text, std::string_view file,
                                         std::string_view full_name) {
  const auto* type =
      pb::DescriptorPool::generated_pool()->FindMessageTypeByName(std::string(full_name));
  if (!type) return base::config_error(file, ": unknown type: ", full_name);
  auto document = xds::YamlDocument::parse(text, file);
  if (!document.ok()) return document.status();
  const std::unique_ptr<pb::Message> message(
      pb::MessageFactory::generated_factory()->GetPrototype(type)->New());
  xds::Warnings warnings;
  if (absl::Status s = document->to_message({}, message.get(), &warnings); !s.ok()) return s;
  return message->SerializeAsString();
}

FolderContent read_folder(const std::string& folder) {
  FolderContent content;
  std::error_code error;
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    const std::string extension = entry.path().extension();
    const std::string name = entry.path().filename();
    if (name.starts_with('.')) continue;
    if (extension == ".yaml" || extension == ".yml" || extension == ".json") {
      files.push_back(entry.path());
    }
  }
  if (error) content.errors.push_back(base::cat(folder, ": ", error.message()));
  std::sort(files.begin(), files.end());
  for (const auto& path : files) {
    const auto text = xds::read_file(path.string());
    const auto resources =
        text.ok() ? read_resources(*text, path.filename().string()) : text.status();
    const absl::Status status =
        resources.ok() ? content.resources.add_all(*resources) : resources.status();
    if (!status.ok()) content.errors.emplace_back(base::message_of(status));
  }
  content.num_files = files.size();
  return content;
}

absl::StatusOr<FolderWatch> FolderWatch::open(const std::string& folder) {
  FolderWatch watch(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  constexpr uint32_t kEvents =
      IN_MOVED_TO | IN_MOVED_FROM | IN_CLOSE_WRITE | IN_DELETE | IN_ONLYDIR;
  if (watch.fd_ < 0 || inotify_add_watch(watch.fd_, folder.c_str(), kEvents) < 0) {
    return base::config_error(folder, ": cannot be watched: ", std::strerror(errno));
  }
  return watch;
}

FolderWatch::FolderWatch(FolderWatch&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

FolderWatch::~FolderWatch() {
  if (fd_ >= 0) close(fd_);
}

bool FolderWatch::drain() {
  alignas(inotify_event) std::array<char, 4096> buffer;
  bool any = false;
  while (read(fd_, buffer.data(), buffer.size()) > 0) any = true;
  return any;
}

bool FolderWatch::wait(int stop_fd) {
  bool changed = false;
  while (true) {
    pollfd fds[2] = {{fd_, POLLIN, 0}, {stop_fd, POLLIN, 0}};
    const int ready = poll(fds, 2, changed ? static_cast<int>(kQuiet.count()) : -1);
    if (ready < 0 && errno != EINTR) return false;
    if (fds[1].revents != 0) return false;
    if (ready == 0) return true;
    if (fds[0].revents != 0) changed = drain() || changed;
  }
}

}  // namespace sluice::mock_cp
