# Random operations against a reference: model_SPEC (one thread), model_threads_SPEC (four). The seed is a hash of the spec: each
# stack has steps of its own, and they are the same ones in every run. scripts/soak.sh looks for new ones.
file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/model/*.c)
stack_program(model ${sources})

# Background flushes that come often, so that they meet everything else.
set(often "flush_interval=10ms")
# So little memory that most reads ask the store.
set(few "entries_max=2")

# model_stacks(TIER OPS specs...)
function(model_stacks tier ops)
  foreach(spec ${ARGN})
    string(REPLACE "-${often}" "" name "${spec}")
    string(REPLACE "/" "_" name "${name}")
    set(suffix "")
    if(tier STREQUAL long)
      set(suffix _long)
    endif()
    stack_labels(labels model ${spec})
    string(SHA256 seed "${spec}")
    string(SUBSTRING ${seed} 0 8 seed)
    add_test(NAME model_${name}${suffix} COMMAND model ${spec} --ops ${ops} --seed 0x${seed})
    add_test(NAME model_threads_${name}${suffix} COMMAND model ${spec} --ops ${ops} --threads 4 --seed 0x${seed})
    set_tests_properties(model_${name}${suffix} model_threads_${name}${suffix} PROPERTIES
                         LABELS "${labels};${tier}" TIMEOUT 3600)
  endforeach()
endfunction()

# The corfs shims are not here: serving names and attributes of the copy, as they are meant to, is a difference.
model_stacks(short 20000 mem local null/mem cache-through-tiny-s8/mem cache-through-large/mem
             cache-back-tiny-s8-${often}/mem cache-back-large-${often}/mem cache-back-large-flush_on_close=off/mem
             cache-around-tiny-s8/mem cache-around-large/mem cache-back-tiny-s8-${often}/noid/mem
             cache-back-large-flush_on_close=off/noid/mem cache-through-tiny-store-${few}/mem
             cache-back-tiny-store-${few}-${often}/mem)
if(SSH2_FOUND AND NOT CACHEFS_SANITIZE MATCHES thread)
  model_stacks(medium 8000 sftp/local cache-back-tiny-s8-${often}/sftp-nolinks/local)
  model_stacks(long 20000 cache-around-large/sftp-nolinks/local cache-back-large-store-${often}/sftp-nolinks/local)
endif()
if(CURL_FOUND AND NOT CACHEFS_SANITIZE MATCHES thread)
  model_stacks(medium 8000 cache-back-tiny-s8-${often}/objects/s3 cache-back-tiny-s8-${often}/objects/webdav-lighttpd)
  model_stacks(long 20000 objects/s3 objects/s3-plain cache-through-tiny-s8/objects/s3 cache-around-large/objects/s3-plain
               cache-back-large-store-${often}/objects/s3 objects/webdav-apache objects/webdav-nginx objects/webdav-lighttpd
               cache-back-tiny-s8-${often}/objects/webdav-apache
               cache-through-tiny-s8/objects/webdav-lighttpd cache-back-tiny-s8-${often}/objects/webdav-nginx)
endif()
model_stacks(medium 20000 cache-through-tiny-s8/local cache-back-tiny-s8-${often}/local
             cache-around-tiny-s8/local cache-back-large-${often}/bare/mem cache-through-tiny-s8/noid/mem
             cache-through-large/delay/mem cache-through-tiny-store-${few}-attr_ttl=0/local
             cache-through-tiny-store-${few}-l2_compress=zstd/noid/mem cache-around-tiny-store-${few}-l2_promote=2/mem
             cache-back-tiny-s1-${often}/cache-through-large/mem)
model_stacks(short 20000 objects/whole/mem cache-back-tiny-s8-${often}/objects/whole/mem
             cache-through-tiny-s8/objects/whole/mem)
model_stacks(medium 20000 cache-back-large-flush_on_close=off/objects/whole/mem cache-around-large/objects/whole/mem
             cache-back-tiny-store-${few}-${often}/objects/whole/mem)
model_stacks(long 1000000 cache-through-tiny-s8/mem cache-back-tiny-s8-${often}/mem)
model_stacks(long 300000 mem cache-back-large-s128-${often}/mem cache-around-tiny-s8/mem
             cache-back-tiny-s8-${often}/local)
