# One program, one ctest entry for each stack: conformance_SPEC, with the labels conformance, its tier and its layers.
add_library(test_stacks STATIC ${CMAKE_CURRENT_SOURCE_DIR}/stacks/sut.c ${CMAKE_CURRENT_SOURCE_DIR}/stacks/bare.c
            ${CMAKE_CURRENT_SOURCE_DIR}/stacks/noid.c ${CMAKE_CURRENT_SOURCE_DIR}/stacks/plain.c ${CMAKE_CURRENT_SOURCE_DIR}/stacks/whole.c
            ${CMAKE_CURRENT_SOURCE_DIR}/stacks/sshd.c ${CMAKE_CURRENT_SOURCE_DIR}/stacks/webserver.c
            ${CMAKE_CURRENT_SOURCE_DIR}/stacks/nginx.c ${CMAKE_CURRENT_SOURCE_DIR}/stacks/apache.c
            ${CMAKE_CURRENT_SOURCE_DIR}/stacks/lighttpd.c ${CMAKE_CURRENT_SOURCE_DIR}/stacks/s3server.c)
# One s3rver for all builds: scripts/test.sh installs it.
set_source_files_properties(${CMAKE_CURRENT_SOURCE_DIR}/stacks/s3server.c PROPERTIES COMPILE_DEFINITIONS
  "S3_SERVER_PY=\"${CMAKE_CURRENT_SOURCE_DIR}/s3/server.py\";S3RVER_DIR=\"${CMAKE_SOURCE_DIR}/build/npm/node_modules/s3rver\"")
target_link_libraries(test_stacks PUBLIC cachefs_flags)

# stack_program(NAME sources...): a plain program over stacks under test
function(stack_program name)
  set(libs test_stacks)
  foreach(room ${all_rooms})
    list(APPEND libs room_${room})
  endforeach()
  add_executable(${name} ${ARGN})
  target_link_libraries(${name} PRIVATE cachefs_flags -Wl,--start-group ${libs} -Wl,--end-group)
  set_target_properties(${name} PROPERTIES ENABLE_EXPORTS ON)
endfunction()

# stack_labels(out kind spec): kind, and what the stack is made of; but no "trace", which `-L race` would find
function(stack_labels out kind spec)
  set(labels ${kind})
  string(REPLACE "/" ";" layers "${spec}")
  foreach(layer ${layers})
    string(REGEX REPLACE "-.*" "" layer ${layer})
    list(APPEND labels ${layer})
  endforeach()
  list(REMOVE_DUPLICATES labels)
  list(REMOVE_ITEM labels trace)
  set(${out} "${labels}" PARENT_SCOPE)
endfunction()

file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/conformance/*.c)
stack_program(conformance ${sources})

# conformance_stacks(TIER specs...)
function(conformance_stacks tier)
  foreach(spec ${ARGN})
    string(REPLACE "/" "_" name "${spec}")
    stack_labels(labels conformance ${spec})
    add_test(NAME conformance_${name} COMMAND conformance ${spec})
    set_tests_properties(conformance_${name} PROPERTIES LABELS "${labels};${tier}" TIMEOUT 1200)
  endforeach()
endfunction()

conformance_stacks(short mem local null/mem trace/mem sub/mem sub/local bare/mem noid/mem objects/whole/mem
                   links/plain/mem
                   readonly/mem readonly/local
                   corfs-exact/mem corfs-serve/mem)
foreach(mode through back around)
  foreach(size tiny large)
    conformance_stacks(short cache-${mode}-${size}-s8/mem)
    conformance_stacks(medium cache-${mode}-${size}-s8/objects/whole/mem cache-${mode}-${size}-store/objects/whole/mem)
    conformance_stacks(medium cache-${mode}-${size}-store/mem cache-${mode}-${size}-store/noid/mem)
    conformance_stacks(medium cache-${mode}-${size}-s1/mem cache-${mode}-${size}-s32/mem
                       cache-${mode}-${size}-s128/mem cache-${mode}-${size}-s8/local)
  endforeach()
  conformance_stacks(medium cache-${mode}-large/corfs-exact/mem cache-${mode}-large/corfs-serve/mem
                     cache-${mode}-large/delay/mem cache-${mode}-large/bare/mem cache-${mode}-large/noid/mem cache-${mode}-tiny-s8/noid/mem sub/cache-${mode}-large/mem
                     cache-${mode}-tiny-store-l2_compress=zstd/local cache-${mode}-tiny/cache-${mode}-large/mem readonly/cache-${mode}-large/mem)
endforeach()

if(CURL_FOUND AND NOT CACHEFS_SANITIZE MATCHES thread) # which does not know the library's own locks
  conformance_stacks(short http-html/local http-json/local http-apache/local http-lighttpd/local cache-through-large/http-json/local
                     cache-back-tiny-s8/http-html/local cache-around-tiny-s8/readonly/mem)
  # each of their behaviours is hundreds of requests: one of a kind where all is run several times over
  conformance_stacks(medium links/objects/s3-links objects/webdav-apache)
  conformance_stacks(long objects/s3 objects/s3-plain cache-back-tiny-s8/objects/s3-plain objects/webdav-nginx objects/webdav-lighttpd
                     cache-back-tiny-s8/objects/webdav-apache)
endif()

# Beside a gateway of Ceph, where that is installed.
if(CURL_FOUND AND NOT CACHEFS_SANITIZE)
  add_test(NAME conformance_radosgw COMMAND ${CMAKE_SOURCE_DIR}/scripts/radosgw.sh --installed
           $<TARGET_FILE:conformance> objects/s3-given)
  set_tests_properties(conformance_radosgw PROPERTIES LABELS "conformance;s3;long" TIMEOUT 1800 SKIP_RETURN_CODE 77)
endif()

if(SSH2_FOUND AND NOT CACHEFS_SANITIZE MATCHES thread)
  conformance_stacks(medium sftp/local)
  conformance_stacks(long cache-back-tiny-s8/sftp-nolinks/local cache-back-large-store/sftp-nolinks/local)
endif()

foreach(spec mem cache-through-tiny-s8/mem cache-back-tiny-s8/mem cache-around-tiny-s8/mem)
  string(REPLACE "/" "_" name "${spec}")
  valgrind_test(conformance_${name} $<TARGET_FILE:conformance> ${spec})
endforeach()
