# cmake -DSOURCE=... -DOUT=... -P commit.cmake: writes xds/commit.h with the commit that is built and
# whether the tree is as committed; touches it only when that changed.
find_program(GIT git)
set(commit unknown)
set(state Modified)
if(GIT)
  execute_process(COMMAND ${GIT} -C ${SOURCE} rev-parse HEAD OUTPUT_VARIABLE head
    RESULT_VARIABLE failed ERROR_QUIET OUTPUT_STRIP_TRAILING_WHITESPACE)
  if(NOT failed)
    set(commit ${head})
    execute_process(COMMAND ${GIT} -C ${SOURCE} status --porcelain OUTPUT_VARIABLE changes
      ERROR_QUIET)
    if(changes STREQUAL "")
      set(state Clean)
    endif()
  endif()
endif()
set(text "// Written by cmake/commit.cmake.
#pragma once

#include <string_view>

namespace sluice::xds {
inline constexpr std::string_view kCommit = \"${commit}\";
inline constexpr std::string_view kCommitState = \"${state}\";
}  // namespace sluice::xds
")
set(old)
if(EXISTS ${OUT})
  file(READ ${OUT} old)
endif()
if(NOT old STREQUAL text)
  file(WRITE ${OUT} "${text}")
endif()
