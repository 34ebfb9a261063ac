# Compiler and linker flags, all in one place.
#
# sluice_abi    what every object needs to link with every other: language, machine, sanitizer.
#               The generated protos use only this and their own flags, so that dev and release
#               builds compile them to the same objects and ccache shares them.
# sluice_flags  what our own code is compiled with on top: warnings, optimisation, hardening.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_CXX_SCAN_FOR_MODULES OFF)
set(CMAKE_VERIFY_INTERFACE_HEADER_SETS ON)

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Debug CACHE STRING "Debug or Release" FORCE)
endif()
foreach(language C CXX)
  foreach(type DEBUG RELEASE)
    set(CMAKE_${language}_FLAGS_${type} "")  # see sluice_flags below
  endforeach()
endforeach()

# Builds below build/ see their sources under the same relative paths in every clone, so that ccache
# may share objects between clones, above all those of the protos.
find_program(SLUICE_CCACHE ccache)
set(launcher ${SLUICE_CCACHE})
cmake_path(IS_PREFIX CMAKE_SOURCE_DIR ${CMAKE_BINARY_DIR} in_tree)
if(SLUICE_CCACHE AND in_tree)
  set(launcher ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1
    ${SLUICE_CCACHE})
endif()
foreach(language C CXX)
  if(SLUICE_CCACHE AND NOT CMAKE_${language}_COMPILER_LAUNCHER)
    set(CMAKE_${language}_COMPILER_LAUNCHER ${launcher})
  endif()
endforeach()

find_program(SLUICE_MOLD mold)
if(SLUICE_MOLD)
  add_link_options(-fuse-ld=mold)
endif()

find_package(Threads REQUIRED)

add_library(sluice_abi INTERFACE)
target_compile_options(sluice_abi INTERFACE -fPIE -pthread)
target_link_options(sluice_abi INTERFACE -pie)
target_link_libraries(sluice_abi INTERFACE Threads::Threads)
if(CMAKE_SYSTEM_PROCESSOR STREQUAL "x86_64")
  target_compile_options(sluice_abi INTERFACE -march=x86-64-v2)
endif()
if(SLUICE_SANITIZE)
  target_compile_options(sluice_abi INTERFACE -fsanitize=${SLUICE_SANITIZE})
  target_link_options(sluice_abi INTERFACE -fsanitize=${SLUICE_SANITIZE})
endif()

add_library(sluice_flags INTERFACE)
target_link_libraries(sluice_flags INTERFACE sluice_abi)
target_include_directories(sluice_flags INTERFACE ${CMAKE_SOURCE_DIR})
target_compile_options(sluice_flags INTERFACE -Wall -Wextra -Wshadow -Wconversion -Werror
  -fno-omit-frame-pointer)
if(CMAKE_BUILD_TYPE STREQUAL "Release")
  target_compile_options(sluice_flags INTERFACE -O2 -g1 -fstack-protector-strong
    -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
  target_compile_definitions(sluice_flags INTERFACE NDEBUG)
  target_link_options(sluice_flags INTERFACE -Wl,-z,relro,-z,now -Wl,--gc-sections
    -static-libstdc++ -static-libgcc)
  target_compile_options(sluice_flags INTERFACE -ffunction-sections -fdata-sections)
else()
  target_compile_options(sluice_flags INTERFACE -O1 -g)
endif()
if(SLUICE_SANITIZE STREQUAL "address")
  # Left off the generated protos, which it would make four times as slow to build.
  target_compile_options(sluice_flags INTERFACE -fsanitize=undefined
    -fno-sanitize-recover=undefined)
  target_link_options(sluice_flags INTERFACE -fsanitize=undefined)
endif()
if(SLUICE_SANITIZE AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # g++ sees ghosts through its own instrumentation.
  target_compile_options(sluice_flags INTERFACE -Wno-maybe-uninitialized -Wno-stringop-overflow
    -Wno-array-bounds -Wno-restrict -Wno-tsan)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  target_compile_options(sluice_flags INTERFACE -Wno-error)  # g++ decides what is a mistake
endif()
if(SLUICE_FUZZ)
  target_compile_options(sluice_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
# 7 % fewer instructions per request, but Debian 12's mold stops with an assertion in some of the
# programs: only with GNU ld until then.
if(SLUICE_LTO)
  target_compile_options(sluice_flags INTERFACE -flto=auto -fno-fat-lto-objects)
  target_link_options(sluice_flags INTERFACE -flto=auto -fuse-ld=bfd)
endif()
