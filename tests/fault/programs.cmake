# The fault sweep: fault_SPEC.
file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/fault/*.c)
list(FILTER sources EXCLUDE REGEX "/(test|support)_[^/]*$")
stack_program(fault ${sources})

# fault_stacks(TIER specs...): calls to the layer below the cache fail
function(fault_stacks tier)
  foreach(spec ${ARGN})
    fault_stack(fault ${tier} ${spec})
  endforeach()
endfunction()

# store_stacks(TIER specs...): calls to its store fail
function(store_stacks tier)
  foreach(spec ${ARGN})
    fault_stack(fault_store ${tier} ${spec} --store)
  endforeach()
endfunction()

function(fault_stack kind tier spec)
  string(REPLACE "/" "_" name "${spec}")
  stack_labels(labels fault ${spec})
  add_test(NAME ${kind}_${name} COMMAND fault ${spec} ${ARGN})
  set_tests_properties(${kind}_${name} PROPERTIES LABELS "${labels};${tier}" TIMEOUT 3600)
endfunction()

fault_stacks(short count/fault/mem)
fault_stacks(medium cache-through-large/fault/mem cache-back-large/fault/mem cache-around-large/fault/mem
             cache-through-tiny-s1/fault/mem cache-back-tiny-s1/fault/mem cache-around-tiny-s1/fault/mem
             cache-back-large-flush_on_close=off/fault/mem cache-back-large-store/fault/mem
             cache-back-tiny-store-s1/fault/mem cache-back-large-store-fsync=remote/fault/mem
             cache-through-large-store/fault/mem cache-around-large-store/fault/mem cache-through-large/fault/local cache-back-large/fault/local cache-back-tiny-s1/fault/bare/mem
             cache-back-large-s8/cache-through-large/fault/mem)
fault_stacks(medium cache-back-large/objects/fault/whole/mem cache-through-large/objects/fault/whole/mem
             cache-around-large/objects/fault/whole/mem)
store_stacks(medium cache-through-large-store/mem cache-around-large-store/mem cache-back-large-store/mem
             cache-back-tiny-store-s1/mem cache-back-large-store-fsync=remote/mem)
valgrind_test(fault_count_fault_mem $<TARGET_FILE:fault> count/fault/mem)
