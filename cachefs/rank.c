/*
 * rank.c - see rank.h. Floor 2, private to cachefs/.
 */
#include "cachefs/rank.h"

#ifndef NDEBUG
_Thread_local unsigned cachefs__ranks_held;
#else
typedef int cachefs__rank_unused_t; /* a translation unit has something in it */
#endif
