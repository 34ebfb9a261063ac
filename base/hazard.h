#pragma once

// How immutable tables reach the workers, and how long they live (architecture, section 3). The
// words are those of C++26's std::hazard_pointer (protect, retire), with one difference that
// matters: reclamation never runs on a reader's thread.
//
//   HazardDomain<T>   main only. Publishes versions of a root, retires the superseded ones, hands
//                     out those that nobody protects any more.
//   HazardReader<T>   worker-local. adopt() once per loop turn; everything else is plain memory.
//   Pin<T>            worker-local. Keeps one version for one exchange.
//
// Cost. adopt() without a new version: one load of a line that only publish() writes. pin() and
// unpin(): a load, an addition, a store, on a line that only this worker writes. Only the adoption
// of a new version stores with sequential consistency, and only adoption allocates: a chunk of
// eight slots when more versions are held at once than ever before; slots are reused.
//
// Why it is safe (tests/models/hazard.pml proves it with store buffers): the reader stores its slot
// and then loads the root again; main stores the root and then loads the slots. All four are
// sequentially consistent, so either the reader sees the new root and tries again, or main sees the
// slot. No fences, so that ThreadSanitizer sees what the processor sees.
//
// Garbage is bounded: a version lives while it is published, held by a slot, or not yet reclaimed.

#include <algorithm>
#include <array>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "base/atomics.h"
#include "base/clock.h"

namespace sluice::base {

template <class T, class Atomics = StdAtomics>
class HazardDomain;
template <class T, class Atomics = StdAtomics>
class HazardReader;

// Called on the reader's thread when it cleared the slot of a superseded version: time for main to
// reclaim(). Fire a Nudge (base/mailbox.h) in it.
struct DrainedHook {
  void (*call)(void*) noexcept = nullptr;
  void* context = nullptr;
};

namespace internal {

// One published version. Main writes it before publishing; readers may read it while protected.
template <class T>
struct Root {
  std::unique_ptr<const T> value;
  std::uint64_t id = 0;
  MonoNs published_at = 0;
  MonoNs superseded_at = 0;  // main only, set when retired
};

// What a reader knows of a version that it protects. Only its reader writes it.
template <class T, class Atomics>
struct Held {
  // Twice the number of pins, plus one while this is the reader's current version: so only the last
  // unpin of a superseded version finds zero. Atomic only because admin reads it.
  static constexpr std::uint32_t kCurrent = 1;
  static constexpr std::uint32_t kPin = 2;
  typename Atomics::template Atomic<std::uint32_t> count{0};
  const T* value = nullptr;
  const Root<T>* root = nullptr;
  typename Atomics::template Atomic<const Root<T>*>* slot = nullptr;
  HazardReader<T, Atomics>* reader = nullptr;
  MonoNs superseded_at = 0;  // 0: current
  Held* next = nullptr;      // in the reader's list of superseded or of free ones
  Held* previous = nullptr;
};

// Slots lie on a line of their own: main's scan must not take the counts' lines from the worker.
template <class T, class Atomics>
struct SlotChunk {
  static constexpr std::size_t kSlots = 8;
  alignas(kCacheLine) std::array<typename Atomics::template Atomic<const Root<T>*>, kSlots> slots{};
  alignas(kCacheLine) std::array<Held<T, Atomics>, kSlots> held;
  typename Atomics::template Atomic<SlotChunk*> next{nullptr};
};

}  // namespace internal

// Pin keeps the version that was current when it was taken, for as long as it lives. Movable; one
// pointer; stays on its worker. A Pin must not outlive its reader's leave().
template <class T, class Atomics = StdAtomics>
class Pin {
 public:
  Pin() noexcept = default;
  Pin(Pin&& other) noexcept : held_(std::exchange(other.held_, nullptr)) {}
  Pin& operator=(Pin&& other) noexcept {
    Pin(std::move(other)).swap(*this);
    return *this;
  }
  ~Pin() { reset(); }

  void reset() noexcept;
  void swap(Pin& other) noexcept { std::swap(held_, other.held_); }
  // A second pin of the same version, which need not be current any more.
  Pin share() const noexcept { return Pin(held_); }

  explicit operator bool() const noexcept { return held_ != nullptr; }
  const T* get() const noexcept { return held_->value; }
  const T& operator*() const noexcept { return *held_->value; }
  const T* operator->() const noexcept { return held_->value; }

  std::uint64_t id() const noexcept { return held_->root->id; }
  // When this worker adopted the next version; 0 while the pinned one is current. An exchange that
  // finds this a second ago trades its pin for leases (hand-over).
  MonoNs superseded_at() const noexcept { return held_->superseded_at; }

 private:
  using Held = internal::Held<T, Atomics>;
  friend class HazardReader<T, Atomics>;

  explicit Pin(Held* held) noexcept : held_(held) { add(held, Held::kPin); }

  // One writer, so no read-modify-write.
  static std::uint32_t add(Held* held, std::uint32_t n) noexcept {
    const std::uint32_t sum = held->count.load(std::memory_order_relaxed) + n;
    held->count.store(sum, std::memory_order_relaxed);
    return sum;
  }

  Held* held_ = nullptr;
};

// HazardReader is a worker's view of the domain. Made by HazardDomain::register_reader() on main
// before the worker starts; from then on every call comes from the worker.
template <class T, class Atomics>
class HazardReader {
 public:
  HazardReader(const HazardReader&) = delete;
  HazardReader& operator=(const HazardReader&) = delete;
  ~HazardReader();

  // Call once, at the top of a loop turn. True: current() is a new version.
  bool adopt(MonoNs now) {
    if (root_->load(std::memory_order_acquire) == current_root_) [[likely]] {
      return false;
    }
    return adopt_new(now);
  }

  // The adopted version: valid until the next adopt(), null before the first. What must live longer
  // takes a pin.
  const T* current() const noexcept { return current_ == nullptr ? nullptr : current_->value; }
  std::uint64_t current_id() const noexcept { return current_ == nullptr ? 0 : current_->root->id; }

  // Needs a current version.
  Pin<T, Atomics> pin() noexcept { return Pin<T, Atomics>(current_); }

  // When the oldest version that is superseded and still pinned here was superseded; 0: there is
  // none. A worker whose timer finds this a second ago looks for exchanges to hand over.
  MonoNs oldest_superseded_at() const noexcept {
    return oldest_ == nullptr ? 0 : oldest_->superseded_at;
  }

  // fn(const T& value, std::uint64_t id, MonoNs superseded_at, std::uint32_t num_pins) for every
  // version that is superseded and still pinned here, oldest first.
  template <class Fn>
  void for_each_pinned(Fn&& fn) const {
    for (const Held* held = oldest_; held != nullptr; held = held->next) {
      fn(*held->value, held->root->id, held->superseded_at,
         held->count.load(std::memory_order_relaxed) / Held::kPin);
    }
  }

  // Ends the use of this object: nothing may be pinned. It holds nothing afterwards, and the domain
  // frees it at its next turn. (HazardDomain::ReaderPtr does this.)
  void leave() noexcept;

 private:
  using Held = internal::Held<T, Atomics>;
  using Root = internal::Root<T>;
  using Chunk = internal::SlotChunk<T, Atomics>;
  template <class U>
  using Atomic = typename Atomics::template Atomic<U>;
  friend class HazardDomain<T, Atomics>;
  friend class Pin<T, Atomics>;

  HazardReader(const Atomic<const Root*>& root, DrainedHook on_drained)
      : root_(&root), on_drained_(on_drained) {
    take_over(&first_chunk_);
  }

  bool adopt_new(MonoNs now);
  void supersede(Held* held, MonoNs now) noexcept;
  void last_unpin(Held* held) noexcept;
  void clear(Held* held) noexcept;
  Held* free_slot();
  void take_over(Chunk* chunk) noexcept;

  // Read in every turn, written at adoption.
  const Atomic<const Root*>* root_;
  const Root* current_root_ = nullptr;
  Held* current_ = nullptr;
  // Versions that are superseded and pinned, in the order in which they were superseded.
  Held* oldest_ = nullptr;
  Held* newest_ = nullptr;
  Held* free_ = nullptr;
  Chunk* last_chunk_ = &first_chunk_;
  DrainedHook on_drained_;
  // Read by main.
  alignas(kCacheLine) Atomic<std::uint64_t> adopted_id_{0};
  Atomic<MonoNs> adopted_at_{0};
  Atomic<bool> left_{false};
  Chunk first_chunk_;
};

// HazardDomain owns all versions of one root. Main only; it must outlive its readers.
template <class T, class Atomics>
class HazardDomain {
 public:
  using Reader = HazardReader<T, Atomics>;
  struct Leave {
    void operator()(Reader* reader) const noexcept { reader->leave(); }
  };
  using ReaderPtr = std::unique_ptr<Reader, Leave>;  // may be destroyed on its worker

  // One version that is still in memory.
  struct Live {
    std::uint64_t id;
    MonoNs published_at;
    MonoNs superseded_at;  // 0: the published one
    struct Reader {
      std::size_t index;  // in order of registration among those present
      std::uint32_t num_pins;
      bool is_current;
    };
    std::vector<Reader> readers;  // those that protect it
  };
  // How far a reader is: publish-to-effect time is adopted_at minus the version's published_at.
  struct Progress {
    std::uint64_t adopted_id;
    MonoNs adopted_at;
  };

  HazardDomain() = default;
  HazardDomain(const HazardDomain&) = delete;
  HazardDomain& operator=(const HazardDomain&) = delete;
  ~HazardDomain();

  ReaderPtr register_reader(DrainedHook on_drained = {});

  // Makes root what readers adopt from now on, and retires its predecessor. The caller then wakes
  // all workers, idle ones too, or their old versions stay. Ids count from 1.
  std::uint64_t publish(std::unique_ptr<const T> root, MonoNs now);

  // Appends every retired root that no reader protects: the caller destroys them where it likes
  // (the compile pool). Call after publish() and when a reader has drained a version. Returns the
  // number appended. O((slots + retired) log slots).
  std::size_t reclaim(std::vector<std::unique_ptr<const T>>& free_list);

  const T* published() const noexcept { return latest_ ? latest_->value.get() : nullptr; }
  std::uint64_t published_id() const noexcept { return latest_ ? latest_->id : 0; }
  std::size_t num_retired() const noexcept { return retired_.size(); }
  std::size_t num_readers() const noexcept { return readers_.size(); }

  // True once every reader has adopted version id or a later one.
  bool adopted_by_all(std::uint64_t id) const noexcept;
  std::vector<Progress> progress() const;
  // Oldest first; for admin, so allocation is fine.
  std::vector<Live> live() const;

 private:
  using Root = internal::Root<T>;
  using Chunk = internal::SlotChunk<T, Atomics>;
  using RootPtr = std::unique_ptr<Root>;

  RootPtr unused_root();
  void drop_readers_that_left();
  void collect_protected();
  Live describe(const Root& root) const;
  template <class Fn>
  static void for_each_chunk(const Reader& reader, Fn&& fn);

  // Its own line: every worker reads it in every turn.
  alignas(kCacheLine) typename Atomics::template Atomic<const Root*> root_{nullptr};
  alignas(kCacheLine) RootPtr latest_;
  std::vector<RootPtr> retired_;  // in order of publication
  std::vector<RootPtr> unused_;   // without values; used again, so that publishing settles
  std::vector<std::unique_ptr<Reader>> readers_;
  std::vector<const Root*> protected_;  // scratch of reclaim()
};

// --- Pin and HazardReader ---

template <class T, class Atomics>
void Pin<T, Atomics>::reset() noexcept {
  Held* held = std::exchange(held_, nullptr);
  if (held == nullptr) return;
  if (add(held, 0u - Held::kPin) == 0) [[unlikely]] {
    held->reader->last_unpin(held);
  }
}

template <class T, class Atomics>
HazardReader<T, Atomics>::~HazardReader() {
  for (Chunk* chunk = first_chunk_.next.load(); chunk != nullptr;) {
    delete std::exchange(chunk, chunk->next.load());
  }
}

template <class T, class Atomics>
bool HazardReader<T, Atomics>::adopt_new(MonoNs now) {
  Held* held = free_slot();
  const Root* root = root_->load(std::memory_order_acquire);
  for (;;) {
    held->slot->store(root, std::memory_order_seq_cst);
    const Root* again = root_->load(std::memory_order_seq_cst);
    if (again == root) break;
    root = again;
  }
  held->root = root;
  held->value = root->value.get();
  held->superseded_at = 0;
  held->count.store(Held::kCurrent, std::memory_order_relaxed);
  Held* old = std::exchange(current_, held);
  current_root_ = root;
  adopted_at_.store(now, std::memory_order_relaxed);
  adopted_id_.store(root->id, std::memory_order_release);
  if (old != nullptr) supersede(old, now);
  return true;
}

template <class T, class Atomics>
void HazardReader<T, Atomics>::supersede(Held* held, MonoNs now) noexcept {
  held->superseded_at = now;
  if (Pin<T, Atomics>::add(held, 0u - Held::kCurrent) == 0) {
    clear(held);
    return;
  }
  held->next = nullptr;
  held->previous = std::exchange(newest_, held);
  (held->previous == nullptr ? oldest_ : held->previous->next) = held;
}

template <class T, class Atomics>
void HazardReader<T, Atomics>::last_unpin(Held* held) noexcept {
  (held->previous == nullptr ? oldest_ : held->previous->next) = held->next;
  (held->next == nullptr ? newest_ : held->next->previous) = held->previous;
  clear(held);
}

// Release: all that this worker read of the version happens before main sees the empty slot.
template <class T, class Atomics>
void HazardReader<T, Atomics>::clear(Held* held) noexcept {
  held->value = nullptr;
  held->root = nullptr;
  held->next = std::exchange(free_, held);
  held->slot->store(nullptr, std::memory_order_release);
  if (on_drained_.call != nullptr) on_drained_.call(on_drained_.context);
}

template <class T, class Atomics>
auto HazardReader<T, Atomics>::free_slot() -> Held* {
  if (free_ == nullptr) {
    auto* chunk = new Chunk;
    take_over(chunk);
    // Sequentially consistent like the slots in it: the scan that must see a slot must find it.
    last_chunk_->next.store(chunk, std::memory_order_seq_cst);
    last_chunk_ = chunk;
  }
  return std::exchange(free_, free_->next);
}

template <class T, class Atomics>
void HazardReader<T, Atomics>::take_over(Chunk* chunk) noexcept {
  for (std::uint32_t i = Chunk::kSlots; i-- > 0;) {
    Held& held = chunk->held[i];
    held.slot = &chunk->slots[i];
    held.reader = this;
    held.next = std::exchange(free_, &held);
  }
}

template <class T, class Atomics>
void HazardReader<T, Atomics>::leave() noexcept {
  assert(oldest_ == nullptr);  // a pin that outlives its reader
  if (current_ != nullptr) {
    assert(current_->count.load(std::memory_order_relaxed) == Held::kCurrent);
    current_root_ = nullptr;
    clear(std::exchange(current_, nullptr));
  }
  left_.store(true, std::memory_order_release);  // from here on main may free *this
}

// --- HazardDomain ---

template <class T, class Atomics>
HazardDomain<T, Atomics>::~HazardDomain() {
  drop_readers_that_left();
  assert(readers_.empty());
}

template <class T, class Atomics>
auto HazardDomain<T, Atomics>::register_reader(DrainedHook on_drained) -> ReaderPtr {
  drop_readers_that_left();
  readers_.emplace_back(new Reader(root_, on_drained));
  return ReaderPtr(readers_.back().get());
}

template <class T, class Atomics>
std::uint64_t HazardDomain<T, Atomics>::publish(std::unique_ptr<const T> value, MonoNs now) {
  assert(value != nullptr);
  RootPtr root = unused_root();
  root->value = std::move(value);
  root->id = published_id() + 1;
  root->published_at = now;
  root_.store(root.get(), std::memory_order_seq_cst);
  std::swap(latest_, root);
  if (root != nullptr) {
    root->superseded_at = now;
    retired_.push_back(std::move(root));
  }
  return latest_->id;
}

template <class T, class Atomics>
std::size_t HazardDomain<T, Atomics>::reclaim(std::vector<std::unique_ptr<const T>>& free_list) {
  drop_readers_that_left();
  if (retired_.empty()) return 0;
  collect_protected();
  const auto is_protected = [this](const RootPtr& root) {
    return std::binary_search(protected_.begin(), protected_.end(), root.get(), std::less<>());
  };
  const auto first_free = std::stable_partition(retired_.begin(), retired_.end(), is_protected);
  const auto num_freed = static_cast<std::size_t>(retired_.end() - first_free);
  for (auto root = first_free; root != retired_.end(); ++root) {
    free_list.push_back(std::move((*root)->value));
    unused_.push_back(std::move(*root));
  }
  retired_.erase(first_free, retired_.end());
  return num_freed;
}

template <class T, class Atomics>
auto HazardDomain<T, Atomics>::unused_root() -> RootPtr {
  if (unused_.empty()) return std::make_unique<Root>();
  RootPtr root = std::move(unused_.back());
  unused_.pop_back();
  root->superseded_at = 0;
  return root;
}

template <class T, class Atomics>
bool HazardDomain<T, Atomics>::adopted_by_all(std::uint64_t id) const noexcept {
  return std::all_of(readers_.begin(), readers_.end(), [id](const auto& reader) {
    return reader->left_.load(std::memory_order_relaxed) ||
           reader->adopted_id_.load(std::memory_order_acquire) >= id;
  });
}

template <class T, class Atomics>
auto HazardDomain<T, Atomics>::progress() const -> std::vector<Progress> {
  std::vector<Progress> all;
  all.reserve(readers_.size());
  for (const auto& reader : readers_) {
    const std::uint64_t id = reader->adopted_id_.load(std::memory_order_acquire);
    all.push_back({id, reader->adopted_at_.load(std::memory_order_relaxed)});
  }
  return all;
}

template <class T, class Atomics>
auto HazardDomain<T, Atomics>::live() const -> std::vector<Live> {
  std::vector<Live> all;
  all.reserve(retired_.size() + 1);
  for (const RootPtr& root : retired_) all.push_back(describe(*root));
  if (latest_ != nullptr) all.push_back(describe(*latest_));
  return all;
}

template <class T, class Atomics>
auto HazardDomain<T, Atomics>::describe(const Root& root) const -> Live {
  Live live{root.id, root.published_at, root.superseded_at, {}};
  for (std::size_t r = 0; r < readers_.size(); ++r) {
    for_each_chunk(*readers_[r], [&](const Chunk& chunk) {
      for (std::size_t i = 0; i < Chunk::kSlots; ++i) {
        if (chunk.slots[i].load(std::memory_order_acquire) != &root) continue;
        const std::uint32_t count = chunk.held[i].count.load(std::memory_order_relaxed);
        const bool is_current = (count & internal::Held<T, Atomics>::kCurrent) != 0;
        live.readers.push_back({r, count / internal::Held<T, Atomics>::kPin, is_current});
      }
    });
  }
  return live;
}

template <class T, class Atomics>
void HazardDomain<T, Atomics>::drop_readers_that_left() {
  std::erase_if(readers_, [](const std::unique_ptr<Reader>& reader) {
    return reader->left_.load(std::memory_order_acquire);
  });
}

template <class T, class Atomics>
void HazardDomain<T, Atomics>::collect_protected() {
  protected_.clear();
  for (const auto& reader : readers_) {
    for_each_chunk(*reader, [this](const Chunk& chunk) {
      for (const auto& slot : chunk.slots) {
        const Root* root = slot.load(std::memory_order_seq_cst);
        if (root != nullptr) protected_.push_back(root);
      }
    });
  }
  std::sort(protected_.begin(), protected_.end(), std::less<>());
}

template <class T, class Atomics>
template <class Fn>
void HazardDomain<T, Atomics>::for_each_chunk(const Reader& reader, Fn&& fn) {
  for (const Chunk* chunk = &reader.first_chunk_; chunk != nullptr;
       chunk = chunk->next.load(std::memory_order_seq_cst)) {
    fn(*chunk);
  }
}

}  // namespace sluice::base
