#include "xds/secrets.h"

#include <string.h>

#include <set>

#include "base/text.h"
#include "envoy/extensions/transport_sockets/tls/v3/secret.pb.h"
#include "xds/decode_context.h"

namespace sluice::xds {
namespace {

namespace tls = ::envoy::extensions::transport_sockets::tls::v3;
using ::envoy::config::core::v3::DataSource;

void wipe(std::string* text) { explicit_bzero(text->data(), text->size()); }

bool is_given(bool has, const DataSource& in) {
  return has && in.specifier_case() != DataSource::SPECIFIER_NOT_SET;
}

absl::Status check_certificate(const Context& context, const Path& at,
                               const tls::TlsCertificate& in) {
  if (in.has_pkcs12() || in.has_private_key_provider()) return absl::OkStatus();
  if (!is_given(in.has_certificate_chain(), in.certificate_chain())) {
    return context.error(Path(at, "certificate_chain"), "is required");
  }
  if (is_given(in.has_private_key(), in.private_key())) return absl::OkStatus();
  return context.error(Path(at, "private_key"), "is required beside certificate_chain");
}

absl::StatusOr<Secret::Kind> kind_of(const Context& context, const Path& at,
                                     const tls::Secret& in) {
  switch (in.type_case()) {
    case tls::Secret::kTlsCertificate: {
      absl::Status s =
          check_certificate(context, Path(at, "tls_certificate"), in.tls_certificate());
      if (!s.ok()) return s;
      return Secret::Kind::kCertificate;
    }
    case tls::Secret::kValidationContext:
      return Secret::Kind::kValidation;
    case tls::Secret::kSessionTicketKeys:
      return Secret::Kind::kSessionTicketKeys;
    case tls::Secret::kGenericSecret: {
      const Path generic(at, "generic_secret");
      if (in.generic_secret().has_secret()) {
        return Secret::Kind::kGeneric;
      }
      return context.error(Path(generic, "secret"), "is required");
    }
    default:
      return context.error(at,
                           "one of tls_certificate, validation_context, session_ticket_keys, "
                           "generic_secret is required");
  }
}

}  // namespace

Secret::~Secret() { wipe(&bytes_); }

absl::StatusOr<std::shared_ptr<const Secret>> decode_secret(std::string_view bytes,
                                                            std::string_view name,
                                                            const DecodeOptions& options,
                                                            Warnings* warnings) {
  const Context context(options, warnings, base::cat("secret \"", name, "\""));
  const Path root;
  tls::Secret in;
  if (!parse_message(bytes, &in)) return context.error(root, "not a serialised Secret");
  if (absl::Status s = context.check_rules(in, root); !s.ok()) return s;
  const auto kind = kind_of(context, root, in);
  if (!kind.ok()) return kind.status();
  return std::make_shared<const Secret>(*kind, bytes);
}

// ---- Who uses what.

Secrets::Secrets(DecodeOptions options, Executor& executor)
    : options_(std::move(options)),
      executor_(executor),
      deadlines_(executor, [this](Type, const ResourceKey& key) {
        if (end_wait(key)) tell(key);
      }) {}

Secrets::Hold::~Hold() {
  if (owner_ != nullptr) owner_->leave(key_, id_);
}

absl::Status Secrets::add_static(std::string_view name, std::string_view bytes) {
  Warnings warnings;
  auto value = decode_secret(bytes, name, options_, &warnings);
  if (!value.ok()) return value.status();
  if (static_.emplace(name, *std::move(value)).second) return absl::OkStatus();
  return base::config_error("secret \"", name, "\": given twice; rename one of them");
}

Secrets::Value Secrets::static_secret(std::string_view name) const {
  const auto it = static_.find(name);
  return it == static_.end() ? nullptr : it->second;
}

Secrets::Hold Secrets::follow(const ResourceKey& key, int64_t fetch_timeout_ns, Changed changed) {
  const auto [it, fresh] = entries_.try_emplace(key);
  Hold hold;
  hold.owner_ = this;
  hold.key_ = key;
  hold.id_ = ++last_id_;
  it->second.users.emplace(hold.id_, std::move(changed));
  if (fresh) {
    it->second.since = executor_.now();
    if (subscriptions_ != nullptr) subscriptions_->subscribe(Type::kSecret, key);
    deadlines_.set(Type::kSecret, key, fetch_timeout_ns);
  }
  return hold;
}

void Secrets::leave(const ResourceKey& key, uint64_t id) {
  const auto it = entries_.find(key);
  it->second.users.erase(id);
  if (!it->second.users.empty()) return;
  entries_.erase(it);
  if (subscriptions_ != nullptr) subscriptions_->unsubscribe(Type::kSecret, key);
}

Secrets::Value Secrets::secret(const ResourceKey& key) const {
  const auto it = entries_.find(key);
  return it == entries_.end() ? nullptr : it->second.value;
}

bool Secrets::waiting(const ResourceKey& key) const {
  const auto it = entries_.find(key);
  return it != entries_.end() && it->second.value == nullptr && !it->second.wait_ended;
}

void Secrets::list_waits(std::vector<Wait>* out) const {
  for (const auto& [key, entry] : entries_) {
    if (!waiting(key)) continue;
    out->push_back({Type::kCount, "", Type::kSecret, key.name, false, entry.since});
  }
}

// ---- What comes.

void Secrets::apply(Update update, std::function<void(std::vector<Rejected>)> done) {
  std::vector<Rejected> rejected;
  std::set<ResourceKey> touched;
  Warnings warnings;
  for (Resource& resource : update.changed) {
    const ResourceKey key{update.source, resource.name};
    auto value = decode_secret(resource.bytes, resource.name, options_, &warnings);
    wipe(&resource.bytes);
    const auto it = entries_.find(key);
    if (!value.ok()) {
      rejected.push_back({resource.name, value.status()});
      if (end_wait(key)) touched.insert(key);
    } else if (it != entries_.end()) {
      it->second.value = *std::move(value);
      touched.insert(key);
    }
  }
  for (const std::string& name : update.removed) {
    if (end_wait({update.source, name})) touched.insert({update.source, name});
  }
  for (const ResourceKey& key : touched) tell(key);
  done(std::move(rejected));
}

void Secrets::on_fetch_timeout(Type, SourceId source, std::string_view name) {
  const ResourceKey key{source, std::string(name)};
  if (end_wait(key)) tell(key);
}

// False: nobody waits.
bool Secrets::end_wait(const ResourceKey& key) {
  if (!waiting(key)) return false;
  entries_.find(key)->second.wait_ended = true;
  return true;
}

// A user may leave, or follow others, when it is told.
void Secrets::tell(const ResourceKey& key) {
  const auto it = entries_.find(key);
  if (it == entries_.end()) return;
  std::vector<uint64_t> ids;
  for (const auto& [id, changed] : it->second.users) ids.push_back(id);
  for (const uint64_t id : ids) {
    const auto entry = entries_.find(key);
    if (entry == entries_.end()) return;
    const auto user = entry->second.users.find(id);
    if (user == entry->second.users.end() || !user->second) continue;
    const Changed changed = user->second;
    changed();
  }
}

}  // namespace sluice::xds
