/*
 * figures.h - who has figures: each kind of remote backend says whether a file system is its own.
 * Floor 2, shared.
 */
#ifndef BACKENDS_FIGURES_H
#define BACKENDS_FIGURES_H

#include "backends/backends.h"

/** 1: it is ours; NULL, or what it has done goes to `out`, but for its size. */
int remote__figures_of(const vfs_t *fs, vfs_remote_figures_t *out);
int sftp__figures_of(const vfs_t *fs, vfs_remote_figures_t *out);

#endif
