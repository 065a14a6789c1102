# A room is one module of the house: its objects go into the library, and a static library of its own lets the tests
# of one room link without the rooms that they must not know.
function(cachefs_room name)
  file(GLOB sources CONFIGURE_DEPENDS ${ARGN})
  if(NOT sources)
    set(sources "${CMAKE_SOURCE_DIR}/cmake/empty.c")
  endif()
  add_library(obj_${name} OBJECT ${sources})
  target_link_libraries(obj_${name} PRIVATE cachefs_flags)
  add_library(room_${name} STATIC $<TARGET_OBJECTS:obj_${name}>)
  target_link_libraries(room_${name} PUBLIC cachefs_flags)
  set_property(GLOBAL APPEND PROPERTY CACHEFS_ROOMS ${name})
endfunction()
