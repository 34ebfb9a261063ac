# sluice_fetch_protos(<dir>) unpacks the packages of packages.txt into <dir>/<package>/.
#
# The client's own `npm pack` brings the archive, from wherever this machine's npm is set up to
# look, and the checksum in packages.txt decides whether it is the right one. Nothing of it runs.
function(sluice_fetch_protos dir)
  file(STRINGS ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/packages.txt lines REGEX "^[^#]")
  foreach(line IN LISTS lines)
    string(REPLACE " " ";" line "${line}")
    list(GET line 0 package)
    list(GET line 1 version)
    list(GET line 2 sha512)
    string(REGEX REPLACE "^@(.*)/" "\\1-" archive "${package}")
    set(archive ${dir}/${archive}-${version}.tgz)

    if(NOT EXISTS ${archive})
      find_program(SLUICE_NPM npm)
      if(NOT SLUICE_NPM)
        message(FATAL_ERROR "npm is needed to fetch ${package}; run scripts/setup")
      endif()
      message(STATUS "fetching ${package} ${version}")
      execute_process(
        COMMAND ${SLUICE_NPM} pack --silent --ignore-scripts ${package}@${version}
        WORKING_DIRECTORY ${dir} OUTPUT_QUIET ERROR_VARIABLE complaint RESULT_VARIABLE failed)
      if(failed OR NOT EXISTS ${archive})
        message(FATAL_ERROR "npm pack ${package}@${version} failed (is the network there?)\n"
          "${complaint}")
      endif()
    endif()

    file(SHA512 ${archive} actual)
    if(NOT actual STREQUAL sha512)
      file(REMOVE ${archive})
      message(FATAL_ERROR "${package} ${version}: checksum is ${actual}, proto/packages.txt says "
        "${sha512}")
    endif()
    file(ARCHIVE_EXTRACT INPUT ${archive} DESTINATION ${dir}/${package})
  endforeach()
endfunction()
