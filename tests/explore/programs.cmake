# The explorer of the life of a block: the engine, its threads taking turns in every order.
stack_program(explore explore/main.c explore/turns.c explore/world.c)
foreach(name pthread_create pthread_join pthread_cond_wait pthread_cond_timedwait pthread_cond_signal
        pthread_cond_broadcast clock_gettime apr_generate_random_bytes cachefs__durable_before cachefs__durable_changing
        cachefs__dirty_to_last cachefs__durable_wrote)
  target_link_options(explore PRIVATE -Wl,--wrap=${name})
endforeach()
# N=2 is 20 times as long: by hand, after changes of what is explored.
add_test(NAME explore COMMAND explore --preemptions 0)
add_test(NAME explore_long COMMAND explore --preemptions 1)
add_test(NAME explore_mutants_long COMMAND explore --mutants 2)
set_tests_properties(explore PROPERTIES LABELS "model;crash;short" TIMEOUT 600)
set_tests_properties(explore_long explore_mutants_long PROPERTIES LABELS "model;crash;long" TIMEOUT 3600)
