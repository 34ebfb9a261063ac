# Third-party libraries as imported targets sluice::<name>, from the archives that Debian ships:
# our programs are static except for libc and libstdc++'s system parts, which saves a sidecar
# fifty shared libraries, three MB of memory and ten milliseconds of start.
#
# Debian's own CMake files name the shared libraries, so the archives are named here. Archives of
# one target are a link group, which makes their order irrelevant.

function(sluice_archives name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "ARCHIVES;DEPS")
  set(files)
  foreach(archive IN LISTS arg_ARCHIVES)
    find_library(SLUICE_LIB_${archive} NAMES lib${archive}.a REQUIRED)
    list(APPEND files ${SLUICE_LIB_${archive}})
  endforeach()
  string(JOIN "," group ${files})
  add_library(sluice_ext_${name} INTERFACE)
  target_link_libraries(sluice_ext_${name} INTERFACE
    "$<LINK_GROUP:RESCAN,${group}>" ${arg_DEPS})
  add_library(sluice::${name} ALIAS sluice_ext_${name})
endfunction()

# absl comes as some eighty small archives; the linker takes what is used.
find_library(SLUICE_LIB_absl_base NAMES libabsl_base.a REQUIRED)
cmake_path(GET SLUICE_LIB_absl_base PARENT_PATH SLUICE_LIB_DIR)
file(GLOB absl_files ${SLUICE_LIB_DIR}/libabsl_*.a)
list(TRANSFORM absl_files REPLACE ".*/lib(.*)\\.a" "\\1")
sluice_archives(absl ARCHIVES ${absl_files} DEPS Threads::Threads)

sluice_archives(openssl ARCHIVES ssl crypto DEPS Threads::Threads dl)
sluice_archives(nghttp2 ARCHIVES nghttp2)
sluice_archives(re2 ARCHIVES re2 DEPS Threads::Threads)
sluice_archives(cares ARCHIVES cares)

# Boost.Asio: headers only. scripts/setup unpacks them below build/deps where another version of
# Boost occupies the system's place.
find_path(SLUICE_BOOST_INCLUDE boost/asio.hpp
  PATHS ${CMAKE_SOURCE_DIR}/build/deps/boost/usr/include /usr/include NO_DEFAULT_PATH REQUIRED)
file(STRINGS ${SLUICE_BOOST_INCLUDE}/boost/version.hpp boost_version REGEX "define BOOST_VERSION ")
if(NOT boost_version MATCHES " ([0-9]+)$" OR CMAKE_MATCH_1 LESS 108100)
  message(FATAL_ERROR "Boost 1.81 or newer is needed, found:${boost_version}; run scripts/setup")
endif()
add_library(sluice_ext_asio INTERFACE)
target_include_directories(sluice_ext_asio SYSTEM INTERFACE ${SLUICE_BOOST_INCLUDE})
target_compile_definitions(sluice_ext_asio INTERFACE BOOST_ASIO_SEPARATE_COMPILATION
  BOOST_ASIO_NO_DEPRECATED)
target_link_libraries(sluice_ext_asio INTERFACE Threads::Threads)
add_library(sluice::asio ALIAS sluice_ext_asio)

# spdlog has no archive in Debian: compiled here, once, from its headers.
add_library(sluice_ext_spdlog STATIC EXCLUDE_FROM_ALL ${CMAKE_SOURCE_DIR}/cmake/spdlog.cc)
target_compile_definitions(sluice_ext_spdlog PUBLIC SPDLOG_COMPILED_LIB FMT_HEADER_ONLY)
target_compile_options(sluice_ext_spdlog PRIVATE -O2 -g0 -w)
target_link_libraries(sluice_ext_spdlog PUBLIC sluice_abi)
add_library(sluice::spdlog ALIAS sluice_ext_spdlog)

if(SLUICE_PROTOS)
  sluice_archives(protobuf ARCHIVES protobuf z DEPS Threads::Threads)
  sluice_archives(yaml ARCHIVES yaml-cpp)
  sluice_archives(grpc
    ARCHIVES grpc++_reflection grpc++ grpc gpr address_sorting upb
    DEPS sluice::protobuf sluice::re2 sluice::cares sluice::openssl sluice::absl dl rt)
  find_program(SLUICE_PROTOC protoc REQUIRED)
  find_program(SLUICE_GRPC_PLUGIN grpc_cpp_plugin REQUIRED)
endif()

find_package(GTest REQUIRED)
if(SLUICE_BENCH)
  find_package(benchmark REQUIRED)
endif()
