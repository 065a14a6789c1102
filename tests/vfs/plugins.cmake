# The shared objects that test_registry.c loads: they find the library in the program that loads them.
foreach(plugin good foreign none)
  add_library(vfs_plugin_${plugin} MODULE "${CMAKE_CURRENT_LIST_DIR}/plugin_${plugin}.c")
  target_link_libraries(vfs_plugin_${plugin} PRIVATE cachefs_flags)
  set_target_properties(vfs_plugin_${plugin} PROPERTIES PREFIX "" SUFFIX ".so")
  add_dependencies(test_vfs_registry vfs_plugin_${plugin})
endforeach()
target_compile_definitions(test_vfs_registry PRIVATE
  VFS_TEST_PLUGIN_DIR="${CMAKE_CURRENT_BINARY_DIR}")
