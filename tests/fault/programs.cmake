# The fault sweep: fault_SPEC.
file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/fault/*.c)
list(FILTER sources EXCLUDE REGEX "/(test|support)_[^/]*$")
stack_program(fault ${sources})

# fault_stacks(TIER specs...)
function(fault_stacks tier)
  foreach(spec ${ARGN})
    string(REPLACE "/" "_" name "${spec}")
    stack_labels(labels fault ${spec})
    add_test(NAME fault_${name} COMMAND fault ${spec})
    set_tests_properties(fault_${name} PROPERTIES LABELS "${labels};${tier}" TIMEOUT 3600)
  endforeach()
endfunction()

fault_stacks(short count/fault/mem)
fault_stacks(medium cache-through-large/fault/mem cache-back-large/fault/mem cache-around-large/fault/mem
             cache-through-tiny-s1/fault/mem cache-back-tiny-s1/fault/mem cache-around-tiny-s1/fault/mem
             cache-back-large-flush_on_close=off/fault/mem cache-back-large-store/fault/mem
             cache-back-tiny-store-s1/fault/mem cache-back-large-store-fsync=remote/fault/mem
             cache-through-large/fault/local cache-back-large/fault/local cache-back-tiny-s1/fault/bare/mem
             cache-back-large-s8/cache-through-large/fault/mem)
valgrind_test(fault_count_fault_mem $<TARGET_FILE:fault> count/fault/mem)
