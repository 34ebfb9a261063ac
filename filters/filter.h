#pragma once

#include <concepts>
#include <cstdint>
#include <string_view>
#include <type_traits>

#include "base/arena.h"
#include "base/buffer.h"
#include "base/reason.h"
#include "http/facts.h"
#include "http/message.h"

namespace sluice::filters {

// Verdict is what a hook answers.
//   kNext     go on with the next filter
//   kRespond  the filter wrote its answer into context.reply: request hooks that follow do not run,
//             nothing is sent upstream; the response hooks of the whole chain see the answer
//   kWait     the filter waits for something of its own (a call, a timer); it kept what it needs
//             from the context and will ask the exchange to go on: resume() runs the chain from the
//             next filter on
enum class Verdict : uint8_t { kNext, kRespond, kWait };

// LocalReply is an answer that a filter, the router or the exchange makes itself. Texts live in the
// arena, in the configuration, or are static; `fields` are added to the response.
struct LocalReply {
  uint16_t status = 0;
  base::Reason reason = base::Reason::kFilterResponse;
  std::string_view body;
  std::string_view content_type = "text/plain";
  std::string_view details;  // %RESPONSE_CODE_DETAILS%; empty: the reason's
  const http::FieldList* fields = nullptr;
};

// Resume lets a filter that answered kWait go on later. A function and its subject, no ownership:
// the filter drops it in on_done(). Call it on the worker's thread, never inside a hook.
struct Resume {
  void (*call)(void* exchange) noexcept = nullptr;
  void* exchange = nullptr;
  void operator()() const noexcept { call(exchange); }
};

// FilterContext is what hooks see of an exchange: borrowed, valid until on_done(). Plain pointers,
// no virtual calls; the exchange owns one and fills it.
struct FilterContext {
  http::RequestHead* request = nullptr;
  http::ResponseHead* response = nullptr;  // null in request hooks
  http::Facts* facts = nullptr;
  base::Arena* arena = nullptr;
  LocalReply* reply = nullptr;
  Resume resume{};
  // What the request's route says beside the filter's own configuration: the filter's RouteConfig,
  // or null. The chain sets it before each hook.
  const void* route_config = nullptr;
};

// A filter is a type with static hooks over two things: its compiled configuration (immutable,
// shared by workers, one per listener or route) and its state (one per exchange, in the arena, so
// trivially destructible; what needs care at the end is given up in on_done). It has
//
//   static constexpr std::string_view kName      the canonical name, "envoy.filters.http.router"
//   static constexpr std::string_view kTypeUrl   the type of its configuration
//   using Value    its configuration as a plain value (filters/values.h)
//   using Config   its configuration compiled
//   using State    its state; std::monostate when there is none
//   using RouteConfig   where it has one: what routes say of it, see context.route_config
//   static absl::StatusOr<std::shared_ptr<const Config>> compile(const Value&, path, warnings)
//
// and those hooks that it needs, all `static ... noexcept`; a hook that is not there costs nothing:
//
//   Verdict on_request(const Config&, State&, FilterContext&)
//   Verdict on_request_body(const Config&, State&, FilterContext&, base::Chain&, bool end)
//   Verdict on_response(const Config&, State&, FilterContext&)
//   Verdict on_response_body(const Config&, State&, FilterContext&, base::Chain&, bool end)
//   void on_done(const Config&, State&, FilterContext&)
//
// Request hooks run in the order of the chain, response hooks and on_done in reverse. Body hooks
// may drain, append and split the chain that they are given; `end` comes once.
// One concept per hook, and one that says whether a member of that name is there at all: a hook
// with a wrong signature is an error, not a hook that never runs.
#define SLUICE_FILTER_HOOK(Concept, hook, Returns, ...)                                  \
  template <typename F>                                                                  \
  concept Concept = requires(const typename F::Config& config, typename F::State& state, \
                             FilterContext& context, base::Chain& body) {                \
    { F::hook(__VA_ARGS__) } noexcept -> std::same_as<Returns>;                          \
  };                                                                                     \
  template <typename F>                                                                  \
  concept Concept##OrNone = Concept<F> || !requires { &F::hook; };

SLUICE_FILTER_HOOK(HasOnRequest, on_request, Verdict, config, state, context)
SLUICE_FILTER_HOOK(HasOnRequestBody, on_request_body, Verdict, config, state, context, body, true)
SLUICE_FILTER_HOOK(HasOnResponse, on_response, Verdict, config, state, context)
SLUICE_FILTER_HOOK(HasOnResponseBody, on_response_body, Verdict, config, state, context, body, true)
SLUICE_FILTER_HOOK(HasOnDone, on_done, void, config, state, context)
#undef SLUICE_FILTER_HOOK

template <typename F>
concept Filter =
    requires {
      { F::kName } -> std::convertible_to<std::string_view>;
      { F::kTypeUrl } -> std::convertible_to<std::string_view>;
      typename F::Value;
      typename F::Config;
      typename F::State;
    } && std::is_trivially_destructible_v<typename F::State> &&
    std::is_default_constructible_v<typename F::State> && HasOnRequestOrNone<F> &&
    HasOnRequestBodyOrNone<F> && HasOnResponseOrNone<F> && HasOnResponseBodyOrNone<F> &&
    HasOnDoneOrNone<F>;

}  // namespace sluice::filters
