#include "xds/nack.h"

#include <cstdint>
#include <string_view>

#include "base/text.h"
#include "xds/wire.h"

namespace sluice::xds {

std::string nack_message(const std::vector<Rejected>& rejected) {
  constexpr size_t kRoomForRest = 40;
  constexpr size_t kRoom = kMaxNackBytes - kRoomForRest;
  std::string out;
  for (size_t i = 0; i < rejected.size(); ++i) {
    const Rejected& r = rejected[i];
    const std::string piece = base::cat(i == 0 ? "" : "; ", r.name.empty() ? "" : "\"", r.name,
                                        r.name.empty() ? "" : "\": ", base::message_of(r.status));
    if (out.size() + piece.size() <= kRoom) {
      out += piece;
      continue;
    }
    size_t left = rejected.size() - i;
    if (out.empty()) {  // even one does not fit: cut it, between characters
      size_t cut = kRoom;
      while (cut > 0 && (static_cast<uint8_t>(piece[cut]) & 0xc0) == 0x80) --cut;
      base::cat_to(out, std::string_view(piece).substr(0, cut), "...");
      --left;
    }
    if (left > 0) base::cat_to(out, "; and ", left, " more");
    break;
  }
  if (!is_utf8(out)) {
    for (char& c : out) c = static_cast<uint8_t>(c) < 0x80 ? c : '?';
  }
  return out;
}

}  // namespace sluice::xds
