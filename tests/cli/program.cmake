# The tests of the program get it, and a plug-in with a scheme that misbehaves on order, through their environment.
add_library(cachefs_plugin_sick MODULE ${CMAKE_CURRENT_SOURCE_DIR}/cli/plugin_sick.c)
target_link_libraries(cachefs_plugin_sick PRIVATE cachefs_flags cachefs_shared)
file(GLOB files CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/cli/test_*.c)
foreach(file ${files})
  get_filename_component(base ${file} NAME_WE)
  string(REGEX REPLACE "^test_" "cli_" name ${base})
  add_dependencies(test_${name} cachefs cachefs_plugin_sick)
  set_property(TEST ${name} APPEND PROPERTY ENVIRONMENT
    "CACHEFS_PROGRAM=$<TARGET_FILE:cachefs>" "CACHEFS_PLUGIN_SICK=$<TARGET_FILE:cachefs_plugin_sick>")
endforeach()
# And the front door, from outside. It builds a release, whatever this build is.
if(CMAKE_BUILD_TYPE STREQUAL Debug AND NOT CACHEFS_SANITIZE AND NOT CACHEFS_COVERAGE)
  add_test(NAME cli_quickstart COMMAND ${BASH_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/cli/quickstart.sh ${CMAKE_SOURCE_DIR})
  set_tests_properties(cli_quickstart PROPERTIES LABELS "cli;long" TIMEOUT 900)
endif()
