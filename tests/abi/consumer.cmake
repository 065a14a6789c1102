# Programs of strangers: what they need is installed into a directory of its own, and used from there through pkg-config and
# through find_package, from C and from C++. And the example of README.md, against the build tree.
find_program(CACHEFS_CXX NAMES c++ g++ clang++)
set(consumer ${CMAKE_COMMAND} "-DBUILD=${CMAKE_BINARY_DIR}" "-DSOURCE=${CMAKE_SOURCE_DIR}" "-DCC=${CMAKE_C_COMPILER}"
  "-DCXX=${CACHEFS_CXX}" "-DSANITIZE=${CACHEFS_SANITIZE}" "-DCOVERAGE=${CACHEFS_COVERAGE}"
  "-DLIBDIR=${CMAKE_INSTALL_LIBDIR}" "-DVERSION=${PROJECT_VERSION}")
set(cases pkgconfig package)
if(NOT CACHEFS_SANITIZE AND NOT CACHEFS_COVERAGE) # it builds everything itself
  list(APPEND cases bare)
endif()
foreach(case ${cases})
  add_test(NAME abi_consumer_${case}
    COMMAND ${consumer} -DCASE=${case} -P ${CMAKE_CURRENT_SOURCE_DIR}/abi/consumer_run.cmake)
endforeach()
add_test(NAME abi_readme_example
  COMMAND ${consumer} -DCASE=readme -P ${CMAKE_CURRENT_SOURCE_DIR}/abi/consumer_run.cmake)
set_tests_properties(abi_consumer_pkgconfig abi_consumer_package abi_readme_example
  PROPERTIES LABELS "abi;medium" TIMEOUT 900)
if(TEST abi_consumer_bare)
  set_tests_properties(abi_consumer_bare PROPERTIES LABELS "abi;long" TIMEOUT 900)
endif()
