# From the unpacked packages to C++: patch, close over imports, run protoc, gather into units.

# Writes <out>/validate/validate.proto: the packaged one predates `ignore_empty`, which the Envoy
# protos use. The numbers are those of protoc-gen-validate's later releases.
function(sluice_patch_validate packaged out)
  file(READ ${packaged} text)
  foreach(kind Float Double Int32 Int64 UInt32 UInt64 SInt32 SInt64 Fixed32 Fixed64 SFixed32
      SFixed64)
    list(APPEND numbered ${kind}=8)
  endforeach()
  list(APPEND numbered String=26 Bytes=14 Repeated=5 Map=6)
  foreach(entry IN LISTS numbered)
    string(REGEX MATCH "^(.+)=(.+)$" entry ${entry})
    set(opening "message ${CMAKE_MATCH_1}Rules {\n")
    string(FIND "${text}" "${opening}" at)
    if(at EQUAL -1)
      message(FATAL_ERROR "${packaged}: no message ${CMAKE_MATCH_1}Rules to patch")
    endif()
    string(REPLACE "${opening}" "${opening}  optional bool ignore_empty = ${CMAKE_MATCH_2};\n"
      text "${text}")
  endforeach()
  file(WRITE ${out}/validate/validate.proto "${text}")
endfunction()

# Writes <out>/envoy/config/cluster/v3/cluster.proto: the packaged one predates `dns_jitter`, which
# istiod sends with every DNS cluster. Number and type are those of the later API.
function(sluice_patch_cluster packaged out)
  set(proto envoy/config/cluster/v3/cluster.proto)
  file(READ ${packaged}/${proto} text)
  set(opening "\nmessage Cluster {\n")
  string(FIND "${text}" "${opening}" at)
  string(FIND "${text}" "dns_jitter" there)
  if(at EQUAL -1 OR NOT there EQUAL -1)
    message(FATAL_ERROR "${packaged}/${proto}: is not what dns_jitter is patched into")
  endif()
  string(REPLACE "${opening}" "${opening}  google.protobuf.Duration dns_jitter = 58;\n"
    text "${text}")
  file(WRITE ${out}/${proto} "${text}")
endfunction()

# All files that `roots` import, directly or not, found along `path`; those with services apart.
function(sluice_close_imports roots path closure_out services_out)
  set(todo ${roots})
  set(closure)
  set(services)
  while(todo)
    list(POP_FRONT todo proto)
    if(proto IN_LIST closure OR proto MATCHES "^google/protobuf/")
      continue()
    endif()
    list(APPEND closure ${proto})
    set(file)
    foreach(dir IN LISTS path)
      if(EXISTS ${dir}/${proto})
        set(file ${dir}/${proto})
        break()
      endif()
    endforeach()
    if(NOT file)
      message(FATAL_ERROR "proto ${proto} is in none of ${path}")
    endif()
    file(STRINGS ${file} lines REGEX "^(import|service) ")
    foreach(line IN LISTS lines)
      if(line MATCHES "^import (public |weak )?\"([^\"]+)\"")
        list(APPEND todo ${CMAKE_MATCH_2})
      elseif(line MATCHES "^service" AND NOT proto IN_LIST services)
        list(APPEND services ${proto})
      endif()
    endforeach()
  endwhile()
  list(SORT closure)
  list(SORT services)
  set(${closure_out} ${closure} PARENT_SCOPE)
  set(${services_out} ${services} PARENT_SCOPE)
endfunction()

# Runs protoc over `protos` and `services` into `gen`.
function(sluice_run_protoc path gen protos services)
  set(flags ${path})
  list(TRANSFORM flags PREPEND -I)
  string(REPLACE ";" "\n" lines "${protos}")
  file(WRITE ${gen}/protos.rsp "${lines}\n")
  execute_process(COMMAND ${SLUICE_PROTOC} ${flags} --cpp_out=${gen} @${gen}/protos.rsp
    COMMAND_ERROR_IS_FATAL ANY)
  execute_process(COMMAND ${SLUICE_PROTOC} ${flags} --grpc_out=${gen}
    --plugin=protoc-gen-grpc=${SLUICE_GRPC_PLUGIN} ${services} COMMAND_ERROR_IS_FATAL ANY)

  # `requires` is a field of jwt_authn, and a keyword of C++20; later protocs append the underscore.
  foreach(suffix h cc)
    set(file ${gen}/envoy/extensions/filters/http/jwt_authn/v3/config.pb.${suffix})
    file(READ ${file} text)
    string(REGEX REPLACE "([^A-Za-z0-9_])requires([^A-Za-z0-9_])" "\\1requires_\\2" text "${text}")
    file(WRITE ${file} "${text}")
  endforeach()
endfunction()

# Gathers generated sources, fifteen to a unit: three times as fast to build as one by one. Two
# file-local names collide within a unit, and get a number each. CMake's own unity build would
# place the units below each build folder, where ccache could not share them.
function(sluice_write_units gen protos services)
  set(sources ${protos})
  list(TRANSFORM sources REPLACE "\\.proto$" ".pb.cc")
  set(stubs ${services})
  list(TRANSFORM stubs REPLACE "\\.proto$" ".grpc.pb.cc")
  list(APPEND sources ${stubs})

  set(number 0)
  set(unit)
  set(text)
  foreach(source IN LISTS sources)
    string(APPEND text "#define schemas schemas_${number}\n"
      "#define file_default_instances file_default_instances_${number}\n"
      "#include \"${source}\"\n"
      "#undef schemas\n#undef file_default_instances\n")
    math(EXPR number "${number} + 1")
    math(EXPR rest "${number} % 15")
    list(LENGTH sources total)
    if(rest EQUAL 0 OR number EQUAL total)
      file(WRITE ${gen}/units/unit_${number}.cc "${text}")
      set(text)
    endif()
  endforeach()
endfunction()
