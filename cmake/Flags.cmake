# Compiler flags of everything we build.
add_library(cachefs_flags INTERFACE)
target_include_directories(cachefs_flags INTERFACE "${CMAKE_SOURCE_DIR}")
target_compile_definitions(cachefs_flags INTERFACE _GNU_SOURCE _FILE_OFFSET_BITS=64)
target_compile_options(cachefs_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wpointer-arith -Wstrict-prototypes -Wmissing-prototypes
  -Wwrite-strings -Wvla -fno-strict-aliasing)
# gcc sets structs to zero by `rep stos`, which takes longer to begin than the stores take
include(CheckCCompilerFlag)
set(stores -mmemset-strategy=unrolled_loop:256:noalign,libcall:-1:noalign)
check_c_compiler_flag(${stores} CACHEFS_HAVE_MEMSET_STRATEGY)
if(CACHEFS_HAVE_MEMSET_STRATEGY)
  target_compile_options(cachefs_flags INTERFACE "$<$<CONFIG:Release>:${stores}>")
endif()
if(CACHEFS_WERROR)
  target_compile_options(cachefs_flags INTERFACE -Werror)
endif()
if(CACHEFS_SANITIZE)
  target_compile_options(cachefs_flags INTERFACE -fsanitize=${CACHEFS_SANITIZE}
    -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(cachefs_flags INTERFACE -fsanitize=${CACHEFS_SANITIZE})
endif()
if(CACHEFS_SANITIZE AND CMAKE_C_COMPILER_ID STREQUAL GNU)
  # among the sanitizers' checks gcc loses sight of values: it takes them for unset, or for too large to be printed; the
  # release preset looks at both. And it says of every fence that the thread sanitizer does not model it.
  target_compile_options(cachefs_flags INTERFACE -Wno-maybe-uninitialized -Wno-format-truncation -Wno-tsan)
endif()
if(CACHEFS_COVERAGE)
  target_compile_options(cachefs_flags INTERFACE --coverage -fprofile-update=atomic)
  target_link_options(cachefs_flags INTERFACE --coverage)
endif()
target_link_libraries(cachefs_flags INTERFACE PkgConfig::APR Threads::Threads ${CMAKE_DL_LIBS} m)
if(XXHASH_FOUND)
  target_link_libraries(cachefs_flags INTERFACE PkgConfig::XXHASH)
  target_compile_definitions(cachefs_flags INTERFACE CACHEFS_WITH_XXHASH)
endif()
