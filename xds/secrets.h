#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "xds/deadlines.h"
#include "xds/decode.h"
#include "xds/resources.h"
#include "xds/wait.h"

namespace sluice::xds {

// Secret is what SDS or the bootstrap says of one name: checked, and opaque to all but those who
// make TLS contexts of it. Nothing here prints it; its memory is wiped when the last user lets it
// go. Immutable; any thread.
class Secret {
 public:
  enum class Kind : uint8_t { kCertificate, kValidation, kSessionTicketKeys, kGeneric };

  Secret(Kind kind, std::string_view bytes) : kind_(kind), bytes_(bytes) {}
  ~Secret();
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;

  Kind kind() const noexcept { return kind_; }
  // A serialised envoy.extensions.transport_sockets.tls.v3.Secret. Not for logs.
  const std::string& private_bytes() const noexcept { return bytes_; }

 private:
  const Kind kind_;
  std::string bytes_;
};

// Errors name the field and what is wrong with it, never what it holds.
absl::StatusOr<std::shared_ptr<const Secret>> decode_secret(std::string_view bytes,
                                                            std::string_view name,
                                                            const DecodeOptions& options,
                                                            Warnings* warnings);

// Secrets keeps what came of secrets that somebody uses (SDS, rule 137): which are asked for, which
// have come, who waits.
//
// Each is asked for once, however many use it; when the last user goes it is forgotten. A new
// version replaces the old one and users are told; a bad one is refused by name, and one that is
// removed, or whose time is over, stays with who uses it. A wait ends with the secret, its
// rejection or removal, or its timeout. Static ones are found by name alone and are there from the
// start. It is the sink of Type::kSecret (Assembler::set_sink). Main only; executor and
// subscriptions outlive it, it outlives every Hold. Users are told after the update as a whole is
// taken.
class Secrets final : public ResourceSink {
 public:
  using Value = std::shared_ptr<const Secret>;
  using Changed = std::function<void()>;

  // Ends the use when it goes.
  class Hold {
   public:
    Hold() = default;
    Hold(Hold&& other) noexcept { swap(other); }
    Hold& operator=(Hold&& other) noexcept {
      Hold gone(std::move(other));
      swap(gone);
      return *this;
    }
    ~Hold();

   private:
    friend class Secrets;
    void swap(Hold& other) noexcept {
      std::swap(owner_, other.owner_);
      std::swap(key_, other.key_);
      std::swap(id_, other.id_);
    }
    Secrets* owner_ = nullptr;
    ResourceKey key_;
    uint64_t id_ = 0;
  };

  Secrets(DecodeOptions options, Executor& executor);

  void set_subscriptions(Subscriptions* subscriptions) { subscriptions_ = subscriptions; }

  absl::Status add_static(std::string_view name, std::string_view bytes);
  Value static_secret(std::string_view name) const;  // null: no such

  // `changed` is called when there is a new version, and when the wait ends.
  Hold follow(const ResourceKey& key, int64_t fetch_timeout_ns, Changed changed);
  Value secret(const ResourceKey& key) const;  // null: has not come
  bool waiting(const ResourceKey& key) const;  // it has not come, and may yet
  void list_waits(std::vector<Wait>* out) const;

  // ResourceSink.
  void apply(Update update, std::function<void(std::vector<Rejected>)> done) override;
  void on_fetch_timeout(Type type, SourceId source, std::string_view name) override;

 private:
  struct Entry {
    Value value;
    bool wait_ended = false;
    base::MonoNs since = 0;
    std::map<uint64_t, Changed> users;
  };
  void leave(const ResourceKey& key, uint64_t id);
  bool end_wait(const ResourceKey& key);
  void tell(const ResourceKey& key);

  DecodeOptions options_;
  Executor& executor_;
  Deadlines deadlines_;
  Subscriptions* subscriptions_ = nullptr;
  std::map<ResourceKey, Entry> entries_;
  std::map<std::string, Value, std::less<>> static_;
  uint64_t last_id_ = 0;
};

}  // namespace sluice::xds
