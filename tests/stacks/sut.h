/*
 * sut.h - stacks under test, built from a text: "cache-back-tiny-s8/mem", "sub/local",
 * "corfs-serve/mem". Floor 4. Shared by the conformance, model and fault programs.
 *
 * A spec names layers from the top down, separated by '/':
 *   mem local                 backends; local is a temporary directory that goes with the stack
 *   http-html http-json http-apache http-lighttpd
 *                             over local: what nginx, with such listings, Apache or lighttpd serves
 *                             of that directory
 *   webdav-nginx webdav-apache webdav-lighttpd
 *                             a directory of its own behind such a server
 *   sftp sftp-nolinks         over local: what OpenSSH serves of that directory
 *   s3 s3-links s3-plain s3-rver s3-rver-links
 *                             a part of a bucket: with metadata; and symbolic links; without, and
 *                             the server knows no conditions; with metadata, by s3rver; and links
 *   null trace count sub readonly bare noid whole objects plain links fault delay
 *                             layers; sub is rooted at "/sub/root" of what is below, bare has the
 * fewest ops, whole takes whole objects only, objects writes over such a one, plain follows no
 * links, links follows them over such a one corfs-exact corfs-serve   over what is below, with a
 * copy in memory cache[-WORD]... WORD: through back around, tiny large, sN (shards), store (in
 * memory too), key=value
 */
#ifndef TESTS_STACKS_SUT_H
#define TESTS_STACKS_SUT_H

#include "cachefs/cachefs.h"
#include "tests/stacks/sshd.h"
#include "tests/stacks/webserver.h"
#include "vfs/shims/shims.h"
#include "vfs/vfs.h"

#define SUT_LAYERS_MAX 12u

#define SUT_LOCAL 0x1u    /**< the bottom is a directory of the operating system */
#define SUT_READONLY 0x2u /**< nothing can be changed through the top */
#define SUT_SUB 0x4u      /**< the root is not that of the bottom */
#define SUT_CACHE 0x8u    /**< there is a cache in it */
#define SUT_BACK 0x10u
#define SUT_THROUGH 0x20u
#define SUT_AROUND 0x40u
#define SUT_TINY 0x80u
#define SUT_CORFS 0x100u
#define SUT_LAZY_CLOSE 0x200u /**< close leaves dirty data in the cache */
#define SUT_JOURNAL 0x400u    /**< sync leaves it there: the journal has it */
#define SUT_STAGED 0x1000u    /**< what is below a cache stages: VFS_CAP_STAGED */
#define SUT_STILL 0x2000u     /**< a directory's times do not change with its names */
#define SUT_DEEP 0x800u       /**< the server knows the root by a path that counts, too */
#define SUT_VAGUE 0x8000u     /**< a listing does not tell what may be a link */
#define SUT_PICKY 0x4000u     /**< the server refuses some names, or does not list them */

/** A stack under test. */
typedef struct sut_t {
    char spec[256];
    uint32_t traits; /**< SUT_* */
    vfs_t *fs;       /**< the top */
    vfs_t *cache;    /**< the upper cache in it, or NULL */
    vfs_t *count;    /**< the count shim right below that cache, or NULL */
    vfs_t *fault;    /**< the upper fault shim in it, or NULL */
    vfs_t *lower;    /**< below the count shim, or below the upper layer: where others make their
                        changes */
    vfs_t *bottom;   /**< the backend */
    char root[64];   /**< the directory of a local bottom, else "" */
    uint32_t shards; /**< of the cache */
    vfs_t *layers[SUT_LAYERS_MAX]; /**< from the bottom up */
    vfs_t *copy;                   /**< the second file system of a corfs layer */
    vfs_t *store, *bad_store;      /**< that of a cache, and the fault shim on it; or NULL */
    size_t nlayers;
    webserver_t web; /**< of an http layer */
    apr_pool_t *pool;
} sut_t;

/** Build a stack. @param keys "key=value,key=value" for every cache in it; may be NULL
 *  @return APR_SUCCESS; APR_EINVAL (a spec that nobody understands); what a layer says. A sentence
 * in err. */
apr_status_t sut_open(sut_t *sut, const char *spec, const char *keys, char *err, size_t errlen,
                      apr_pool_t *parent);
/** End it, from the top. Returns the first error; leftovers of a count shim are VFS_EDIRTY. */
apr_status_t sut_close(sut_t *sut);
/** End every layer above `sut->lower`, so that what is below can be looked at. */
apr_status_t sut_close_upper(sut_t *sut);
/** A layer with the fewest ops that a file system can have: everything else is APR_ENOTIMPL. */
apr_status_t sut_bare_create(vfs_t **out, vfs_t *lower, apr_pool_t *pool);
/** A layer whose files have no stable identity, and no links. */
apr_status_t sut_noid_create(vfs_t **out, vfs_t *lower, apr_pool_t *pool);
/** A layer whose symbolic links are told of, and not followed. */
apr_status_t sut_plain_create(vfs_t **out, vfs_t *lower, apr_pool_t *pool);
/** A layer that takes whole objects only, and calls their versions entity tags. */
apr_status_t sut_whole_create(vfs_t **out, vfs_t *lower, apr_pool_t *pool);

#endif
