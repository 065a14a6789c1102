# What `cmake --install` puts where: libraries, headers under the names that they include each other by, the program,
# cachefs.pc, and the CMake package with the targets cachefs::cachefs and cachefs::cachefs_static.
include(CMakePackageConfigHelpers)

install(TARGETS cachefs_shared cachefs_static EXPORT cachefsTargets
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(TARGETS cachefs RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
foreach(header vfs/vfs.h vfs/vfs_ops.h vfs/vfs_ops.def vfs/shims/shims.h cachefs/cachefs.h cachefs/check.h cachefs/policy.h
               backends/backends.h warming/warming.h metrics/metrics.h)
  get_filename_component(dir ${header} DIRECTORY)
  install(FILES ${header} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/${dir})
endforeach()
install(FILES docs/cachefs.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)

file(RELATIVE_PATH CACHEFS_PREFIX_FROM_PC /p/${CMAKE_INSTALL_LIBDIR}/pkgconfig /p)
set(CACHEFS_PC_PRIVATE "")
if(XXHASH_FOUND)
  set(CACHEFS_PC_PRIVATE libxxhash)
endif()
if(ZSTD_FOUND)
  string(APPEND CACHEFS_PC_PRIVATE " libzstd")
endif()
set(CACHEFS_PC_LIBS "")
if(CURL_FOUND)
  set(CACHEFS_PC_LIBS "-lcurl -lexpat") # the shared ones: their own static libraries are seldom there
endif()
if(SSH2_FOUND)
  string(APPEND CACHEFS_PC_LIBS " -lssh2")
endif()
configure_file(cmake/cachefs.pc.in cachefs.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/cachefs.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

set(package ${CMAKE_INSTALL_LIBDIR}/cmake/cachefs)
install(EXPORT cachefsTargets NAMESPACE cachefs:: DESTINATION ${package})
configure_package_config_file(cmake/cachefsConfig.cmake.in cachefsConfig.cmake INSTALL_DESTINATION ${package})
write_basic_package_version_file(cachefsConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/cachefsConfig.cmake ${CMAKE_CURRENT_BINARY_DIR}/cachefsConfigVersion.cmake
        DESTINATION ${package})
