# libcachefs, shared and static, from the rooms. The program and the examples use the shared one, so that a plug-in finds
# the same registry as they do.
get_property(rooms GLOBAL PROPERTY CACHEFS_ROOMS)
set(objects "")
foreach(room ${rooms})
  list(APPEND objects $<TARGET_OBJECTS:obj_${room}>)
endforeach()
add_library(cachefs_shared SHARED ${objects})
add_library(cachefs_static STATIC ${objects})
foreach(lib cachefs_shared cachefs_static)
  target_link_libraries(${lib} PRIVATE $<BUILD_INTERFACE:cachefs_flags>)
  target_include_directories(${lib} INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_link_libraries(${lib} INTERFACE $<INSTALL_INTERFACE:PkgConfig::APR>)
  set_target_properties(${lib} PROPERTIES OUTPUT_NAME cachefs)
endforeach()
set_target_properties(cachefs_shared PROPERTIES VERSION ${PROJECT_VERSION} SOVERSION 0 EXPORT_NAME cachefs)
set_target_properties(cachefs_static PROPERTIES EXPORT_NAME cachefs_static)
target_link_libraries(cachefs_static INTERFACE
  $<INSTALL_INTERFACE:PkgConfig::APRUTIL> $<INSTALL_INTERFACE:PkgConfig::XXHASH>
  $<INSTALL_INTERFACE:Threads::Threads> $<INSTALL_INTERFACE:m>)
if(NOT CACHEFS_SANITIZE)
  # a sanitizer's own symbols come with the program, not with the library
  target_link_options(cachefs_shared PRIVATE -Wl,--no-undefined)
endif()
