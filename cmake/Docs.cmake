# The target `docs`: the API reference in docs/html of the build directory, from the public headers; a warning is an error.
find_program(DOXYGEN_EXECUTABLE doxygen)
set(CACHEFS_PUBLIC_HEADERS
  vfs/vfs.h vfs/vfs_ops.h vfs/shims/shims.h backends/backends.h cachefs/cachefs.h cachefs/check.h cachefs/policy.h
  warming/warming.h metrics/metrics.h)
if(DOXYGEN_EXECUTABLE)
  list(TRANSFORM CACHEFS_PUBLIC_HEADERS PREPEND "\"${CMAKE_SOURCE_DIR}/" OUTPUT_VARIABLE input)
  list(TRANSFORM input APPEND "\"")
  list(JOIN input " " CACHEFS_DOC_INPUT)
  configure_file("${CMAKE_SOURCE_DIR}/docs/Doxyfile.in" "${CMAKE_BINARY_DIR}/Doxyfile" @ONLY)
  add_custom_target(docs
    COMMAND "${DOXYGEN_EXECUTABLE}" "${CMAKE_BINARY_DIR}/Doxyfile"
    COMMENT "API reference: ${CMAKE_BINARY_DIR}/docs/html/index.html"
    VERBATIM)
endif()
