# sluice_library(<name> [SUBDIRS dir...] [DEPS target...])
#
# The library sluice_<name> of the current folder: every *.cc of it except main.cc, and of SUBDIRS.
# A folder with headers only becomes an interface library, an empty one too. Its headers are a
# header set, so that `all_verify_interface_header_sets` checks that each stands alone.
function(sluice_library name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SUBDIRS;DEPS")
  set(cc_globs ${CMAKE_CURRENT_SOURCE_DIR}/*.cc)
  set(h_globs ${CMAKE_CURRENT_SOURCE_DIR}/*.h)
  foreach(sub IN LISTS arg_SUBDIRS)
    list(APPEND cc_globs ${CMAKE_CURRENT_SOURCE_DIR}/${sub}/*.cc)
    list(APPEND h_globs ${CMAKE_CURRENT_SOURCE_DIR}/${sub}/*.h)
  endforeach()
  file(GLOB sources CONFIGURE_DEPENDS ${cc_globs})
  file(GLOB headers CONFIGURE_DEPENDS ${h_globs})
  list(FILTER sources EXCLUDE REGEX "/main\\.cc$")

  set(target sluice_${name})
  if(sources)
    add_library(${target} STATIC ${sources})
    set(scope PUBLIC)
  else()
    add_library(${target} INTERFACE)
    set(scope INTERFACE)
  endif()
  target_link_libraries(${target} ${scope} ${arg_DEPS} sluice_flags)
  if(headers)
    target_sources(${target} ${scope} FILE_SET HEADERS BASE_DIRS ${CMAKE_SOURCE_DIR}
      FILES ${headers})
  endif()
endfunction()

# sluice_program(<name> SOURCES file... LIBS target... [DIR dir])
#
# An executable in <build>/ or <build>/DIR. Nothing happens while its sources are missing.
function(sluice_program name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "DIR" "SOURCES;LIBS")
  foreach(source IN LISTS arg_SOURCES)
    file(GLOB found CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${source})
    if(NOT found)
      return()
    endif()
  endforeach()
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE ${arg_LIBS} sluice_flags)
  set_target_properties(${name} PROPERTIES
    RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/${arg_DIR})
endfunction()

# Tests of a sanitizer's build carry its name, so that one run of ctest may cover several builds.
set(SLUICE_TEST_PREFIX "")
if(SLUICE_SANITIZE)
  set(SLUICE_TEST_PREFIX "${SLUICE_SANITIZE}:")
endif()

# sluice_tests(<folder> LIBS target... LABELS label...)
#
# tests/<folder>/*_test.cc is one GoogleTest program, test_<folder>, and each of its cases a test
# of ctest named <folder>.Suite.Case; other *.cc of the folder are linked in. tests/<folder>/*_test.sh
# and *_test.py are tests of their own. All run in the repository's root, with the build folder in
# the environment as SLUICE_BIN_DIR.
function(sluice_tests folder)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "LIBS;LABELS")
  set(dir ${CMAKE_SOURCE_DIR}/tests/${folder})
  string(REPLACE "/" "_" name ${folder})

  if(SLUICE_FUZZ)
    return()  # the fuzz build has no other tests
  endif()
  file(GLOB cases CONFIGURE_DEPENDS ${dir}/*_test.cc)
  file(GLOB sources CONFIGURE_DEPENDS ${dir}/*.cc)
  if(cases)
    add_executable(test_${name} ${sources})
    target_link_libraries(test_${name} PRIVATE ${arg_LIBS} sluice_flags GTest::gmock
      GTest::gtest_main)
    set_target_properties(test_${name} PROPERTIES
      RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
    gtest_discover_tests(test_${name} TEST_PREFIX ${SLUICE_TEST_PREFIX}${name}. DISCOVERY_MODE PRE_TEST
      DISCOVERY_TIMEOUT 60 WORKING_DIRECTORY ${CMAKE_SOURCE_DIR}
      PROPERTIES LABELS "${arg_LABELS}" TIMEOUT 120
                 ENVIRONMENT "SLUICE_BIN_DIR=${CMAKE_BINARY_DIR}")
  endif()

  file(GLOB scripts CONFIGURE_DEPENDS ${dir}/*_test.sh ${dir}/*_test.py)
  foreach(script IN LISTS scripts)
    cmake_path(GET script STEM LAST_ONLY stem)
    set(test ${SLUICE_TEST_PREFIX}${name}.${stem})
    add_test(NAME ${test} COMMAND ${script} WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
    set_tests_properties(${test} PROPERTIES LABELS "${arg_LABELS}" TIMEOUT 300
      SKIP_RETURN_CODE 77 ENVIRONMENT "SLUICE_BIN_DIR=${CMAKE_BINARY_DIR}")
  endforeach()
endfunction()

# sluice_fuzz(<name> LIBS target...)
#
# tests/fuzz/<name>.cc, <build>/fuzz/<name>: with SLUICE_FUZZ (clang) a libFuzzer program; without,
# one that replays the seeds of tests/fuzz/corpus/<name>/ and fixed mutants of them, a test of ctest.
function(sluice_fuzz name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "LIBS")
  set(dir ${CMAKE_SOURCE_DIR}/tests/fuzz)
  add_executable(${name} ${dir}/${name}.cc)
  target_link_libraries(${name} PRIVATE ${arg_LIBS} sluice_flags)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/fuzz)
  if(SLUICE_FUZZ)
    target_link_options(${name} PRIVATE -fsanitize=fuzzer)
  else()
    target_sources(${name} PRIVATE ${dir}/replay.cc)
    set(test ${SLUICE_TEST_PREFIX}fuzz.${name})
    add_test(NAME ${test} COMMAND ${name} ${dir}/corpus/${name})
    set_tests_properties(${test} PROPERTIES LABELS fuzz TIMEOUT 120)
  endif()
endfunction()
