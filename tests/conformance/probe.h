/*
 * probe.h - what a stack without a capability must answer. Floor 4.
 */
#ifndef TESTS_CONFORMANCE_PROBE_H
#define TESTS_CONFORMANCE_PROBE_H

#include "tests/conformance/conf.h"

/** Check that the ops of these missing VFS_CAP_* answer APR_ENOTIMPL (EROFS where nothing can be
 * changed), and that they changed nothing. */
void conf_probe(conf_t *t, uint64_t missing);

#endif
