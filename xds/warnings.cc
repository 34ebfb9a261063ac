#include "xds/warnings.h"

#include <utility>

#include "base/text.h"

namespace sluice::xds {

void Warnings::add(const Entry& entry) {
  for (Entry& known : entries_) {
    if (known.kind == entry.kind) {
      known.count += entry.count;
      return;
    }
  }
  if (entries_.size() < kMaxKinds) {
    entries_.push_back(entry);
  } else {
    dropped_ += entry.count;
  }
}

void Warnings::add(std::string_view kind, std::string text) {
  add(Entry{std::string(kind), std::move(text), 1});
}

void Warnings::merge(const Warnings& other) {
  for (const Entry& entry : other.entries_) add(entry);
  dropped_ += other.dropped_;
}

std::vector<std::string> Warnings::texts() const {
  std::vector<std::string> out;
  out.reserve(entries_.size() + 1);
  for (const Entry& entry : entries_) {
    out.push_back(entry.count == 1
                      ? entry.text
                      : base::cat(entry.text, " (and at ", entry.count - 1, " more places)"));
  }
  if (dropped_ > 0) out.push_back(base::cat(dropped_, " more warnings are not shown"));
  return out;
}

}  // namespace sluice::xds
