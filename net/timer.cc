#include "net/timer.h"

namespace sluice::net {

TimerWheel::~TimerWheel() {
  auto let_go = [](Timer* timer) {
    for (; timer != nullptr; timer = timer->next_) timer->wheel_ = nullptr;
  };
  let_go(due_);
  let_go(firing_);
  for (auto& level : slots_) {
    for (Timer* first : level) let_go(first);
  }
}

void TimerWheel::push(Timer** head, Timer& timer) noexcept {
  timer.next_ = *head;
  if (timer.next_ != nullptr) timer.next_->link_ = &timer.next_;
  timer.link_ = head;
  *head = &timer;
}

void TimerWheel::insert(Timer& timer) noexcept {
  timer.wheel_ = this;
  ++num_armed_;
  const uint64_t tick = ceil_tick(timer.deadline_);
  if (tick <= tick_) {
    timer.slot_tick_ = 0;
    push(&due_, timer);
    return;
  }
  const int level = level_of(tick ^ tick_);
  const int shift = level * kDigitBits;
  const auto slot = (tick >> shift) & (kSlots - 1);
  timer.slot_tick_ = tick >> shift << shift;
  occupied_[level] |= uint64_t{1} << slot;
  push(&slots_[level][slot], timer);
}

void TimerWheel::unlink(Timer& timer) noexcept {
  *timer.link_ = timer.next_;
  if (timer.next_ != nullptr) timer.next_->link_ = timer.link_;
  timer.wheel_ = nullptr;
  --num_armed_;
  const auto at =
      reinterpret_cast<uintptr_t>(timer.link_) - reinterpret_cast<uintptr_t>(&slots_[0][0]);
  if (at < sizeof(slots_) && *timer.link_ == nullptr) {
    const uintptr_t index = at / sizeof(Timer*);
    occupied_[index / kSlots] &= ~(uint64_t{1} << (index % kSlots));
  }
}

void TimerWheel::splice(Timer** from, Timer** to) noexcept {
  *to = *from;
  *from = nullptr;
  if (*to != nullptr) (*to)->link_ = to;
}

// Every timer of a level has the digits above it in common with tick_, and a greater digit at it.
uint64_t TimerWheel::next_tick(int* level, int* slot) const noexcept {
  for (int l = 0; l < kLevels; ++l) {
    if (occupied_[l] == 0) continue;
    const int shift = l * kDigitBits;
    *level = l;
    *slot = __builtin_ctzll(occupied_[l]);
    const uint64_t above = tick_ >> (shift + kDigitBits) << (shift + kDigitBits);
    return above | (static_cast<uint64_t>(*slot) << shift);
  }
  return ~uint64_t{0};
}

base::MonoNs TimerWheel::next_deadline() const noexcept {
  if (due_ != nullptr) return static_cast<base::MonoNs>(tick_ << kTickShift);
  int level, slot;
  const uint64_t tick = next_tick(&level, &slot);
  if (tick > static_cast<uint64_t>(kNever) >> kTickShift) return kNever;
  return static_cast<base::MonoNs>(tick << kTickShift);
}

void TimerWheel::bring_up(int level, int slot) noexcept {
  occupied_[level] &= ~(uint64_t{1} << slot);
  splice(&slots_[level][slot], &firing_);
}

uint32_t TimerWheel::fire_all() noexcept {
  uint32_t num_fired = 0;
  while (firing_ != nullptr) {
    Timer& timer = *firing_;
    unlink(timer);
    if (ceil_tick(timer.deadline_) > tick_) {
      insert(timer);  // from a higher level, or postponed
      continue;
    }
    ++num_fired;
    timer.fire_(timer.owner_);
  }
  return num_fired;
}

uint32_t TimerWheel::advance(base::MonoNs now) noexcept {
  const uint64_t to = floor_tick(now);
  uint32_t num_fired = 0;
  if (due_ != nullptr) {
    splice(&due_, &firing_);
    num_fired += fire_all();
  }
  int level, slot;
  for (uint64_t tick = next_tick(&level, &slot); tick <= to; tick = next_tick(&level, &slot)) {
    tick_ = tick;
    bring_up(level, slot);
    num_fired += fire_all();
  }
  if (to > tick_) tick_ = to;
  return num_fired;
}

}  // namespace sluice::net
