// Warnings collects what a configuration asks for and Sluice does not do, where that is harmless:
// nothing is ignored in silence. The owner logs them once the resource is in.
//
// A value; one thread. One entry per kind: the same field ignored on 10,000 routes is one warning
// with its first place and a count. Never more than kMaxKinds entries are kept, the rest is
// counted.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::xds {

class Warnings {
 public:
  static constexpr size_t kMaxKinds = 100;

  // `kind` is what makes two warnings the same, e.g. the full name of a protobuf field.
  void add(std::string_view kind, std::string text);

  // Ready to log: "text", or "text (and at 41 more places)".
  std::vector<std::string> texts() const;
  bool empty() const { return entries_.empty(); }
  void merge(const Warnings& other);

 private:
  struct Entry {
    std::string kind;
    std::string text;
    uint64_t count = 1;
  };
  void add(const Entry& entry);
  std::vector<Entry> entries_;
  uint64_t dropped_ = 0;
};

}  // namespace sluice::xds
