#include "xds/last_good.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/text.h"
#include "envoy/config/core/v3/base.pb.h"
#include "xds/wire.h"
#include "xds/yaml.h"

namespace sluice::xds {
namespace {

constexpr std::string_view kMagic = "sluice last good configuration 1\n";

// Numbers are little-endian, texts have their length before them.
void put(std::string& out, uint64_t value) {
  for (int i = 0; i < 8; ++i) out.push_back(static_cast<char>(value >> (8 * i)));
}
void put(std::string& out, std::string_view text) {
  put(out, text.size());
  out.append(text);
}

class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}
  uint64_t number() {
    uint64_t value = 0;
    if (rest_.size() < 8) return fail();
    for (size_t i = 0; i < 8; ++i) {
      value |= static_cast<uint64_t>(static_cast<uint8_t>(rest_[i])) << (8 * i);
    }
    rest_.remove_prefix(8);
    return value;
  }
  std::string_view text() {
    const uint64_t size = number();
    if (size > rest_.size()) {
      fail();
      return {};
    }
    const std::string_view out = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return out;
  }
  bool ok() const { return ok_; }
  std::string_view rest() const { return rest_; }

 private:
  uint64_t fail() {
    ok_ = false;
    rest_ = {};
    return 0;
  }
  std::string_view rest_;
  bool ok_ = true;
};

// Of the node only what says for whom the configuration is: its build may change.
std::string identity_of(std::string_view bytes) {
  envoy::config::core::v3::Node node;
  if (!node.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return {};
  return base::cat(node.cluster(), "/", node.id());
}

absl::Status error_of(const std::string& path, std::string_view what) {
  return absl::UnavailableError(base::cat(path, ": cannot be ", what, ": ", std::strerror(errno)));
}

class File {
 public:
  explicit File(int fd) : fd_(fd) {}
  ~File() {
    if (fd_ >= 0) close(fd_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  bool is_open() const { return fd_ >= 0; }
  bool write_all(std::string_view bytes) const {
    while (!bytes.empty()) {
      const ssize_t size = write(fd_, bytes.data(), bytes.size());
      if (size < 0 && errno == EINTR) continue;
      if (size <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(size));
    }
    return fsync(fd_) == 0;
  }
  bool sync() const { return fsync(fd_) == 0; }

 private:
  int fd_;
};

std::string directory_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash + 1);
}

}  // namespace

// ---- The file.

std::string encode_last_good(std::string_view node,
                             const std::vector<RestoredResource>& resources) {
  std::string body;
  put(body, identity_of(node));
  put(body, resources.size());
  for (const RestoredResource& r : resources) {
    put(body, type_url_of(r.type));
    put(body, r.source);
    put(body, r.name);
    put(body, r.version);
    put(body, r.bytes);
  }
  std::string out(kMagic);
  put(out, hash_of(body));
  out += body;
  return out;
}

absl::StatusOr<std::vector<RestoredResource>> decode_last_good(std::string_view node,
                                                               std::string_view bytes) {
  if (!bytes.starts_with(kMagic)) return base::config_error("not a last good configuration");
  Reader reader(bytes.substr(kMagic.size()));
  const uint64_t checksum = reader.number();
  if (!reader.ok() || hash_of(reader.rest()) != checksum) {
    return base::config_error("the checksum is wrong: cut or changed");
  }
  const std::string_view owner = reader.text();
  if (const std::string own = identity_of(node); owner != own) {
    return base::config_error("of another node: \"", owner, "\", this is \"", own, "\"");
  }
  std::vector<RestoredResource> out;
  for (uint64_t left = reader.number(); left > 0 && reader.ok(); --left) {
    RestoredResource r;
    r.type = type_of_url(reader.text());
    r.source = reader.number();
    r.name = reader.text();
    r.version = reader.text();
    r.bytes = reader.text();
    if (r.type != Type::kCount) out.push_back(std::move(r));  // of a later release
  }
  if (!reader.ok() || !reader.rest().empty()) return base::config_error("the content is broken");
  return out;
}

absl::StatusOr<std::vector<RestoredResource>> read_last_good(const std::string& path,
                                                             std::string_view node) {
  if (access(path.c_str(), F_OK) != 0)
    return absl::NotFoundError(base::cat(path, ": no such file"));
  auto bytes = read_file(path);
  if (!bytes.ok()) return bytes.status();
  auto out = decode_last_good(node, *bytes);
  if (out.ok()) return out;
  return base::config_error(path, ": ", base::message_of(out.status()));
}

absl::Status write_whole(const std::string& path, std::string_view bytes) {
  const std::string beside = base::cat(path, ".new");
  {
    const File file(open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    if (!file.is_open() || !file.write_all(bytes)) return error_of(beside, "written");
  }
  if (rename(beside.c_str(), path.c_str()) != 0) return error_of(path, "replaced");
  const File directory(open(directory_of(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory.is_open() || !directory.sync()) return error_of(path, "made durable");
  return absl::OkStatus();
}

// ---- When it is written.

LastGood::LastGood(Options options, Executor& executor)
    : options_(std::move(options)), executor_(executor), self_(std::make_shared<LastGood*>(this)) {}

LastGood::~LastGood() {
  *self_ = nullptr;
  if (timer_ != 0) executor_.cancel(timer_);
}

void LastGood::changed() {
  if (saving_) {
    again_ = true;
    return;
  }
  if (timer_ != 0) return;
  timer_ = executor_.call_at(executor_.now() + options_.delay_ns, [this] {
    timer_ = 0;
    save();
  });
}

void LastGood::save() {
  auto resources = options_.collect();
  if (!resources) return;
  saving_ = true;
  options_.run_in_pool([self = self_, &executor = executor_, path = options_.path,
                        node = options_.node, resources = *std::move(resources)] {
    const absl::Status status = write_whole(path, encode_last_good(node, resources));
    executor.post([self, status] {
      if (LastGood* last_good = *self) last_good->saved(status);
    });
  });
}

void LastGood::saved(const absl::Status& status) {
  saving_ = false;
  if (status.ok()) {
    saved_at_ = executor_.wall();
  } else if (options_.log) {
    options_.log(Severity::kWarning,
                 base::cat("last good configuration: not saved: ", base::message_of(status)));
  }
  if (std::exchange(again_, false)) changed();
}

}  // namespace sluice::xds
