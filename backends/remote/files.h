/*
 * files.h - what backends whose files are read by ranges and whose directories are listed whole
 * have in common. Floor 2, shared by backends/ alone. The backend says how a question is put, and
 * what an answer says of a file.
 */
#ifndef BACKENDS_REMOTE_FILES_H
#define BACKENDS_REMOTE_FILES_H

#include "backends/remote/remote.h"

/** What is asked of the server: a method for a path, and who takes the answer. */
typedef struct remote_ask_t {
    const char *method;
    const char *path; /**< normal, within the root */
    int slash;        /**< ask for it as for a directory */
    apr_status_t (*prepare)(void *baton, struct curl_slist **headers);
    apr_status_t (*begin)(void *baton, const remote_answer_t *answer);
    apr_status_t (*body)(void *baton, const void *data, size_t len);
    void *baton;
} remote_ask_t;

/** A name of a listing. */
typedef struct remote_entry_t {
    char *name;
    vfs_type_e type;
    int has_attr; /**< size and mtime are known */
    uint64_t size;
    int64_t mtime_ns;
    char *etag; /**< with its quotes; NULL: not known */
} remote_entry_t;

/** The names of a directory, sorted, each once. */
typedef struct remote_names_t {
    remote_entry_t *entries;
    size_t count, room;
} remote_names_t;

/** A backend; `state` is that of the file system. */
typedef struct remote_backend_t {
    /** Ask, and follow where that leads. APR_SUCCESS: there is a status of HTTP, no redirect;
     * `*is_dir`: it is a directory. remote__answer_free ends the answer, always. */
    apr_status_t (*ask)(void *state, const vfs_ctx_t *ctx, const remote_ask_t *ask,
                        remote_answer_t *answer, int *is_dir);
    /** Attributes of a file of `size` bytes by the headers of an answer that is of it, or of a name
     * of a listing (no answer). */
    void (*attr)(const void *state, const remote_answer_t *answer, vfs_type_e type, uint64_t size,
                 const char *path, vfs_attr_t *attr);
    /** Attributes and version without the bytes. *blind: the server does not say. */
    apr_status_t (*head)(void *state, const vfs_ctx_t *ctx, const char *path, vfs_attr_t *attr,
                         vfs_validator_t *validator, int *blind);
    /** The same by whatever it takes; NULL where nothing is opened by remote__file. */
    apr_status_t (*stat)(void *state, const vfs_ctx_t *ctx, const char *path, vfs_attr_t *attr,
                         vfs_validator_t *validator);
    /** All names of a directory, by remote__names_add. */
    apr_status_t (*load)(void *state, const vfs_ctx_t *ctx, const char *path,
                         remote_names_t *names);
    int exact; /**< etags are of the bytes, which may be stored coded, and are given so */
} remote_backend_t;

/* ---- read.c */

/** Are the bytes of the answer coded in another way than those of the file? */
int remote__recoded(const remote_backend_t *backend, const remote_answer_t *answer);

/** Read a range of one version. `attr` and `validator` are those of the bytes; either may be NULL.
 * `*is_dir` may be NULL: a directory is EISDIR then. Where a server has no ranges, up to `skip_max`
 * bytes are read in vain. */
apr_status_t remote__read(const remote_backend_t *backend, void *state, uint64_t skip_max,
                          const vfs_ctx_t *ctx, const char *path, const vfs_iovec_t *iov,
                          size_t count, uint64_t off, size_t *got, vfs_attr_t *attr,
                          vfs_validator_t *validator, int *is_dir);

/* ---- handles.c */

/** A file that is open to be read. The others are ops of it. */
apr_status_t remote__file(vfs_file_t **out, const remote_backend_t *backend, uint64_t skip_max,
                          vfs_t *fs, const vfs_path_t *path, uint32_t flags, vfs_type_e type);
apr_status_t remote__close(vfs_file_t *file, const vfs_ctx_t *ctx);
apr_status_t remote__fetch(vfs_file_t *file, const vfs_ctx_t *ctx, const vfs_iovec_t *iov,
                           size_t count, apr_off_t off, size_t *got, vfs_validator_t *validator);
apr_status_t remote__readv_at(vfs_file_t *file, const vfs_ctx_t *ctx, const vfs_iovec_t *iov,
                              size_t count, apr_off_t off, size_t *got);
apr_status_t remote__read_at(vfs_file_t *file, const vfs_ctx_t *ctx, void *buf, size_t len,
                             apr_off_t off, size_t *got);
apr_status_t remote__fstat(vfs_file_t *file, const vfs_ctx_t *ctx, vfs_attr_t *attr,
                           vfs_validator_t *validator);
apr_status_t remote__flush(vfs_file_t *file, const vfs_ctx_t *ctx);
apr_status_t remote__sync(vfs_file_t *file, const vfs_ctx_t *ctx, uint32_t flags);
apr_status_t remote__sync_fs(vfs_t *fs, const vfs_ctx_t *ctx);
/** Attributes but for modes, owners and the device; `answer` (may be NULL) has the time. */
void remote__attr(const remote_answer_t *answer, vfs_type_e type, uint64_t size, const char *path,
                  vfs_attr_t *attr);

/* ---- listing.c */

/** A directory, read at once. The other three are ops of it. */
apr_status_t remote__opendir(const remote_backend_t *backend, vfs_dir_t **dir, vfs_t *fs,
                             const vfs_ctx_t *ctx, const vfs_path_t *path, uint32_t flags);
apr_status_t remote__closedir(vfs_dir_t *dir);
apr_status_t remote__readdir(vfs_dir_t *dir, const vfs_ctx_t *ctx, vfs_dirent_t *entry);
apr_status_t remote__seekdir(vfs_dir_t *dir, const vfs_ctx_t *ctx, uint64_t cookie);

/* ---- names.c */

/** Take a name that is one component; leaves out any other. Copies `like`, and its etag. */
apr_status_t remote__names_add(remote_names_t *names, const char *name, size_t len,
                               const remote_entry_t *like);
/** Forget all but the first `count`. */
void remote__names_cut(remote_names_t *names, size_t count);
/** Sort, and keep the first of those that are there twice. */
void remote__names_settle(remote_names_t *names);
void remote__names_free(remote_names_t *names);

#endif
