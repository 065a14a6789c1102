# The tests of the mount get the program through their environment.
add_executable(lockstep mount/lockstep.c mount/lockstep_apply.c mount/lockstep_compare.c mount/lockstep_lacks.c mount/lockstep_steps.c model/random.c)
target_link_libraries(lockstep PRIVATE cachefs_flags)
file(GLOB files CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/mount/test_*.c)
foreach(file ${files})
  get_filename_component(base ${file} NAME_WE)
  string(REGEX REPLACE "^test_" "mount_" name ${base})
  add_dependencies(test_${name} cachefs cachefs_plugin_sick lockstep)
  target_link_libraries(test_${name} PRIVATE test_stacks) # has the servers
  if(CURL_FOUND)
    target_compile_definitions(test_${name} PRIVATE REMOTE_HTTP)
  endif()
  if(SSH2_FOUND)
    target_compile_definitions(test_${name} PRIVATE REMOTE_SFTP)
  endif()
  if(CACHEFS_HTTP_FOUND)
    set_property(TEST ${name} APPEND PROPERTY ENVIRONMENT "CACHEFS_HTTP=1")
  endif()
  if(name STREQUAL mount_staged AND CURL_FOUND)
    target_link_libraries(test_${name} PRIVATE test_stacks) # has the bucket
    target_compile_definitions(test_${name} PRIVATE REMOTE_HTTP)
  endif()
  if(name STREQUAL mount_log)
    target_sources(test_${name} PRIVATE ${CMAKE_SOURCE_DIR}/tools/mount_log.c)
  endif()
  set_property(TEST ${name} APPEND PROPERTY ENVIRONMENT "CACHEFS_PROGRAM=$<TARGET_FILE:cachefs>"
    "CACHEFS_LOCKSTEP=$<TARGET_FILE:lockstep>"
    "CACHEFS_PLUGIN_SICK=$<TARGET_FILE:cachefs_plugin_sick>" "CACHEFS_UNIT=${CMAKE_BINARY_DIR}/tools/cachefs@.service")
endforeach()
