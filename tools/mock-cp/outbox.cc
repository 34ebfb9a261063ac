#include "tools/mock-cp/outbox.h"

#include <algorithm>
#include <utility>

#include "base/text.h"

namespace sluice::mock_cp {

void Outbox::fill(const std::shared_ptr<const Snapshot>& snapshot) {
  Push push;
  while (stream_.next(snapshot, &push)) add(std::exchange(push, Push()));
}

// False: the response does not leave.
bool Outbox::apply(const Fault& fault, Push* push, Message* message, bool* twice) {
  switch (fault.action) {
    case Action::kReorder:
    case Action::kDelay:
      message->not_before = Clock::now() + fault.wait;
      message->behind_next = fault.action == Action::kReorder;
      return true;
    case Action::kDrop:
      stream_.dropped(*push);
      return false;
    case Action::kDuplicate:
      stream_.repeated(*push);
      *twice = true;
      return true;
    case Action::kWrongNonce:
    case Action::kNoNonce: {
      const std::string told = fault.action == Action::kNoNonce ? "" : nonce_before_;
      stream_.renamed(*push, told);
      push->nonce = told;
      return true;
    }
    case Action::kWrongType:
      stream_.dropped(*push);
      stream_.excused(push->nonce);
      distort(fault, push);
      return true;
    case Action::kTruncate:
      stream_.dropped(*push);
      stream_.excused(push->nonce);
      return true;
    case Action::kClose:
      message->end_status = fault.status;
      return true;
    default:
      distort(fault, push);
      return true;
  }
}

void Outbox::add(Push push) {
  Message message;
  bool twice = false;
  bool half = false;
  const std::string nonce = push.nonce;
  for (const auto& [id, fault] : faults_.take(push.type_url, stream_.node_id(), false)) {
    if (!apply(fault, &push, &message, &twice)) return;
    half = half || fault.action == Action::kTruncate;
    if (fault.action == Action::kEndless) endless_ = Endless{id, fault, push};
  }
  nonce_before_ = nonce;
  message.bytes = encode(push);
  if (half) message.bytes.resize(message.bytes.size() / 2);
  message.push = std::move(push);
  message.push.padding = 0;
  if (twice) messages_.push_back(message);
  messages_.push_back(std::move(message));
}

// The last response of the type once more, with a version of its own and other resources beside.
void Outbox::add_endless() {
  Endless& endless = *endless_;
  if (!faults_.active(endless.fault_id)) {
    stream_.forget(endless.last.type_url);
    endless_.reset();
    return;
  }
  Push push = endless.last;
  push.nonce = stream_.new_nonce();
  push.version = base::cat(push.version, ".", ++endless.round);
  add_resources(endless.fault.resources, base::cat("endless-", endless.round, "-"), &push);
  stream_.repeated(push);
  Message message;
  message.bytes = encode(push);
  push.items.resize(std::min<size_t>(push.items.size(), 1));
  message.push = std::move(push);
  messages_.push_back(std::move(message));
}

std::optional<Outbox::Message> Outbox::take(Clock::time_point now,
                                            const std::shared_ptr<const Snapshot>& snapshot) {
  if (messages_.empty() && endless_) {
    add_endless();
    if (!endless_) fill(snapshot);
  }
  const auto it = std::find_if(messages_.begin(), messages_.end(),
                               [now](const Message& m) { return m.not_before <= now; });
  if (it == messages_.end()) return std::nullopt;
  Message message = std::move(*it);
  messages_.erase(it);
  for (Message& waiting : messages_) {
    if (std::exchange(waiting.behind_next, false)) waiting.not_before = now;
  }
  return message;
}

std::optional<Outbox::Clock::time_point> Outbox::wake_at() const {
  std::optional<Clock::time_point> at;
  for (const Message& m : messages_) {
    if (!at || m.not_before < *at) at = m.not_before;
  }
  return at;
}

}  // namespace sluice::mock_cp
