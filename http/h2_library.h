#pragma once

#include <nghttp2/nghttp2.h>

#include "base/slab.h"

namespace sluice::http {

struct H2Options;
class H2Codec;
class H2Stream;

// A session of nghttp2 for one codec, with its memory from `slab`: callbacks and options are made
// once, when the program starts, and only read from then on, by any thread. nullptr: no memory.
// Private to h2_*.cc.
nghttp2_session* new_h2_session(bool server, const H2Options& options, base::Slab& slab,
                                H2Codec* codec) noexcept;

// The source of a stream's body.
nghttp2_data_provider body_of(H2Stream* stream) noexcept;

}  // namespace sluice::http
