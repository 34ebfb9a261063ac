#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <new>

// The regressions that `bench/gate --planted` plants, one per request: see base/plant.h.
namespace sluice::base {

#if defined(SLUICE_PLANT_MUTEX)
inline std::mutex plant_mutex;
inline void plant(const char*, size_t) noexcept {
  const std::lock_guard lock(plant_mutex);
  asm volatile("" ::: "memory");
}

#elif defined(SLUICE_PLANT_ALLOCATION)
inline void plant(const char*, size_t) noexcept { ::operator delete(::operator new(48)); }

#elif defined(SLUICE_PLANT_COPY)
// What came with the head is copied aside.
inline char plant_copy[64 * 1024];
inline void plant(const char* head, size_t bytes) noexcept {
  std::memcpy(plant_copy, head, bytes < sizeof(plant_copy) ? bytes : sizeof(plant_copy));
  asm volatile("" ::: "memory");
}

#elif defined(SLUICE_PLANT_VIRTUAL)
struct PlantStep {
  virtual ~PlantStep() = default;
  virtual void run() noexcept { asm volatile("" ::: "memory"); }
};
struct PlantOtherStep : PlantStep {
  void run() noexcept override { asm volatile("nop" ::: "memory"); }
};
inline PlantOtherStep plant_step;
inline PlantStep* volatile plant_chosen_step = &plant_step;
inline void plant(const char*, size_t) noexcept { plant_chosen_step->run(); }

#elif defined(SLUICE_PLANT_INSTRUCTIONS)
// Some 2 % of a request.
inline void plant(const char*, size_t) noexcept {
  for (int i = 0; i < 110; ++i) asm volatile("" ::: "memory");
}

#elif defined(SLUICE_PLANT_LISTWALK)
// A list as long as the route configuration, whose last entry is the one.
extern uint32_t plant_list_size;
struct PlantNode {
  PlantNode* next;
};
inline PlantNode* plant_list() noexcept {
  PlantNode* first = nullptr;
  for (uint32_t i = 0; i < plant_list_size; ++i) first = new PlantNode{first};
  return first;
}
inline void plant(const char*, size_t) noexcept {
  static PlantNode* const first = plant_list();
  PlantNode* volatile last = nullptr;
  for (PlantNode* n = first; n != nullptr; n = n->next) last = n;
  (void)last;
}
#endif

}  // namespace sluice::base
