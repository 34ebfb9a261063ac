#include "xds/yaml.h"

#include <fcntl.h>
#include <google/protobuf/message.h>
#include <google/protobuf/struct.pb.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <utility>
#include <vector>

#include "base/text.h"
#include "xds/yaml_reader.h"
#include "xds/yaml_tree.h"

namespace sluice::xds {
namespace {

// One step of a field path: `name`, `[3]` or `["key"]`.
struct Step {
  std::string_view name;
  size_t index = 0;
  bool is_index = false;
};

// Cuts the next step off `path`; false at its end or where it is not a path.
bool next_step(std::string_view* path, Step* out) {
  if (path->starts_with('.')) path->remove_prefix(1);
  if (path->empty()) return false;
  if (path->starts_with("[\"")) {
    const size_t end = path->find("\"]", 2);
    if (end == path->npos) return false;
    *out = {path->substr(2, end - 2), 0, false};
    path->remove_prefix(end + 2);
    return true;
  }
  if (path->starts_with('[')) {
    size_t index = 0;
    const auto [at, error] = std::from_chars(path->data() + 1, path->data() + path->size(), index);
    const size_t end = path->find(']');
    if (error != std::errc() || end == path->npos || at != path->data() + end) return false;
    *out = {{}, index, true};
    path->remove_prefix(end + 1);
    return true;
  }
  const size_t end = std::min(path->find_first_of(".["), path->size());
  *out = {path->substr(0, end), 0, false};
  path->remove_prefix(end);
  return true;
}

struct Spot {
  const YamlTree* tree = nullptr;
  const YamlNode* node = nullptr;
  YamlPlace place;
};

const YamlNode::Entry* child(const YamlNode& node, std::string_view name) {
  for (const YamlNode::Entry& entry : node.entries) {
    if (same_field(entry.key, name)) return &entry;
  }
  return nullptr;
}

// Lists of merged documents follow each other: index 3 of [2 elements] + [2 elements] is the
// second's second. Whatever is not a list counts as a list of one.
void step_into_list(std::vector<Spot>& spots, size_t index) {
  for (const Spot& spot : spots) {
    const size_t size = spot.node->is_list() ? spot.node->entries.size() : 1;
    if (index >= size) {
      index -= size;
      continue;
    }
    Spot found = spot;
    if (spot.node->is_list()) {
      found.node = spot.node->entries[index].value;
      found.place = found.node->place;
    }
    spots = {found};
    return;
  }
  spots.clear();
}

void step_into_field(std::vector<Spot>& spots, std::string_view name) {
  std::vector<Spot> next;
  for (const Spot& spot : spots) {
    if (const auto* entry = child(*spot.node, name)) {
      next.push_back({spot.tree, entry->value, entry->place});
    }
  }
  spots = std::move(next);
}

}  // namespace

YamlDocument::YamlDocument() : tree_(std::make_unique<YamlTree>()) {}
YamlDocument::YamlDocument(YamlDocument&&) noexcept = default;
YamlDocument& YamlDocument::operator=(YamlDocument&&) noexcept = default;
YamlDocument::~YamlDocument() = default;

absl::StatusOr<YamlDocument> YamlDocument::parse(std::string_view text, std::string_view file) {
  YamlDocument document;
  if (absl::Status s = document.tree_->parse(text, file); !s.ok()) return s;
  return document;
}

YamlDocument YamlDocument::from_struct(const google::protobuf::Struct& value) {
  YamlDocument document;
  document.tree_->from_struct(value);
  return document;
}

absl::Status YamlDocument::to_message(const Options& options, google::protobuf::Message* out,
                                      Warnings* warnings) const {
  return MessageReader(*tree_, options, warnings).read(tree_->root(), out);
}

const std::string& YamlDocument::file() const { return tree_->file(); }

std::string position_of(std::span<const YamlDocument* const> documents, std::string_view path) {
  std::vector<Spot> spots;
  for (const YamlDocument* document : documents) {
    spots.push_back({document->tree_.get(), &document->tree_->root(), {}});
  }
  Spot best;
  for (Step step; next_step(&path, &step);) {
    step.is_index ? step_into_list(spots, step.index) : step_into_field(spots, step.name);
    if (spots.empty()) break;
    best = spots.back();  // of merged scalars the last wins
  }
  if (best.tree == nullptr || best.place.line == 0) return {};
  return best.tree->where(best.place);
}

absl::StatusOr<std::string> read_file(const std::string& path) {
  const auto fail = [&](int error) {
    return base::config_error(path, ": cannot be read: ", strerror(error),
                              error == ENOENT ? "; check the path" : "");
  };
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return fail(errno);
  std::string text;
  constexpr size_t kChunk = 64 * 1024;
  constexpr size_t kMax = size_t{1} << 30;
  while (text.size() <= kMax) {
    const size_t old = text.size();
    text.resize(old + kChunk);
    const ssize_t n = ::read(fd, text.data() + old, kChunk);
    const int error = errno;
    text.resize(old + static_cast<size_t>(std::max<ssize_t>(n, 0)));
    if (n < 0 && error == EINTR) continue;
    if (n < 0) {
      ::close(fd);
      return fail(error);
    }
    if (n == 0) break;
  }
  ::close(fd);
  if (text.size() > kMax) return base::config_error(path, ": larger than 1 GiB");
  return text;
}

}  // namespace sluice::xds
