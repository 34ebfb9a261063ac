#include "base/arena.h"

namespace sluice::base {

namespace {
constexpr size_t kLinkBytes = alignof(std::max_align_t);
}

bool Arena::refill(size_t bytes) noexcept {
  Block* block;
  if (bytes + kLinkBytes <= Block::kSmallBytes - Block::kHeaderBytes) {
    block = pool_->get_small();
  } else if (bytes + kLinkBytes <= Block::kLargeBytes - Block::kHeaderBytes) {
    block = pool_->get_large();
  } else {
    return false;
  }
  std::memcpy(block->data(), &blocks_, sizeof(blocks_));
  blocks_ = block;
  next_ = block->data() + kLinkBytes;
  end_ = block->data() + block->capacity();
  return true;
}

void Arena::reset() noexcept {
  while (blocks_ != nullptr) {
    Block* block = blocks_;
    std::memcpy(&blocks_, block->data(), sizeof(blocks_));
    block->unref();
  }
  next_ = end_ = nullptr;
}

}  // namespace sluice::base
