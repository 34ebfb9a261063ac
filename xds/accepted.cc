#include "xds/accepted.h"

#include <cstring>
#include <new>
#include <type_traits>
#include <utility>

namespace sluice::xds {

void AcceptedResources::Free::operator()(Accepted* resource) const noexcept {
  static_assert(std::is_trivially_destructible_v<Accepted>);
  ::operator delete(resource);
}

AcceptedResources::Ptr AcceptedResources::make(std::string_view name, std::string_view version,
                                               std::string_view bytes) {
  void* const memory =
      ::operator new(sizeof(Accepted) + name.size() + version.size() + bytes.size());
  Ptr resource(new (memory) Accepted());
  resource->name_size_ = static_cast<uint32_t>(name.size());
  resource->version_size_ = static_cast<uint32_t>(version.size());
  resource->bytes_size_ = static_cast<uint32_t>(bytes.size());
  char* to = static_cast<char*>(memory) + sizeof(Accepted);
  for (const std::string_view part : {name, version, bytes}) {
    if (!part.empty()) std::memcpy(to, part.data(), part.size());
    to += part.size();
  }
  return resource;
}

Accepted* AcceptedResources::find(std::string_view name) const noexcept {
  const auto it = set_.find(name);
  return it == set_.end() ? nullptr : it->get();
}

Accepted& AcceptedResources::put(std::string_view name, std::string_view version,
                                 std::string_view bytes) {
  Ptr next = make(name, version, bytes);
  bytes_ += bytes.size();
  const auto it = set_.find(name);
  if (it == set_.end()) return **set_.insert(std::move(next)).first;
  const Accepted& old = **it;
  bytes_ -= old.bytes().size();
  next->unused = old.unused;
  next->accepted_at = old.accepted_at;
  next->expires_at = old.expires_at;
  next->unchecked = old.unchecked;
  next->gone = old.gone;
  next->foreign = old.foreign;
  next->restored = old.restored;
  // The name, by which it has its place, is the same.
  Ptr& place = const_cast<Ptr&>(*it);
  place = std::move(next);
  return *place;
}

void AcceptedResources::erase(const Accepted& resource) {
  bytes_ -= resource.bytes().size();
  set_.erase(set_.find(resource.name()));
}

}  // namespace sluice::xds
