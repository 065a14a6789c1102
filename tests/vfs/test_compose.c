/*
 * test_compose.c - what dispatch makes of other ops: get, access, readv_at and writev_at of a layer
 * that has none, compared with those of the layer below that has.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "support_fake.h"

static apr_pool_t *pool;
static vfs_t *mem, *fs;

static void setup(void)
{
    vfs_ops_t ops = pass_ops();
    pool = test_pool();
    mem = mem_create(pool);
    ops.get = NULL;
    ops.access = NULL;
    ops.readv_at = NULL;
    ops.writev_at = NULL;
    fs = layer_create(mem, &ops, pool);
    put(mem, "/f", "0123456789");
}

static void teardown(void)
{
    cr_assert_eq(vfs_destroy_stack(fs), APR_SUCCESS);
    apr_pool_destroy(pool);
}

Test(vfs_compose, get_is_open_read_close, .init = setup, .fini = teardown)
{
    for (size_t len = 0; len < 14; len++) {
        char buf[16] = "", expected[16] = "";
        vfs_attr_t attr, expected_attr;
        vfs_validator_t validator, expected_validator;
        size_t got, expected_got;
        cr_assert_eq(vfs_get(mem, NULL, "/f", expected, len, &expected_got, &expected_attr,
                             &expected_validator),
                     APR_SUCCESS);
        cr_assert_eq(vfs_get(fs, NULL, "/f", buf, len, &got, &attr, &validator), APR_SUCCESS);
        cr_assert_eq(got, len < 10 ? len : 10);
        cr_assert_eq(got, expected_got);
        cr_assert_str_eq(buf, expected);
        cr_assert_eq(attr.size, expected_attr.size);
        cr_assert_eq(attr.ino, expected_attr.ino);
        cr_assert(vfs_validator_equal(&validator, &expected_validator));
    }
    size_t got = 1;
    char byte;
    vfs_attr_t attr;
    cr_assert_eq(vfs_get(fs, NULL, "/", &byte, 1, &got, &attr, NULL), APR_SUCCESS);
    cr_assert_eq(got, 0u, "a directory has no bytes");
    cr_assert_eq(attr.type, VFS_TYPE_DIR);
    cr_assert_eq(vfs_get(fs, NULL, "/none", &byte, 1, &got, NULL, NULL), APR_ENOENT);
}

static int changes; /* how many reads are followed by a change of the file */
static apr_status_t read_answer;

static apr_status_t read_and_change(vfs_file_t *file, const vfs_ctx_t *ctx, void *buf, size_t len,
                                    apr_off_t off, size_t *got)
{
    apr_status_t status = vfs_pass_read_at(file, ctx, buf, len, off, got);
    if (changes > 0) {
        char text[32];
        snprintf(text, sizeof(text), "version %d", changes--);
        put(mem, "/f", text);
    }
    return read_answer != APR_SUCCESS ? read_answer : status;
}

Test(vfs_compose, get_starts_again_once_on_a_new_version, .init = setup, .fini = teardown)
{
    char buf[32] = "";
    size_t got;
    vfs_validator_t validator, now;
    fs->ops.read_at = read_and_change;
    changes = 1;
    cr_assert_eq(vfs_get(fs, NULL, "/f", buf, sizeof(buf), &got, NULL, &validator), APR_SUCCESS);
    cr_assert_eq(strncmp(buf, "version 1", got), 0);
    cr_assert_eq(vfs_validator(mem, NULL, "/f", &now), APR_SUCCESS);
    cr_assert(vfs_validator_equal(&validator, &now), "attributes and bytes are of one version");
    changes = 2;
    cr_assert_eq(vfs_get(fs, NULL, "/f", buf, sizeof(buf), &got, NULL, NULL), VFS_ESTALE);
    cr_assert_eq(got, 0u);
    read_answer = APR_EGENERAL;
    cr_assert_eq(vfs_get(fs, NULL, "/f", buf, sizeof(buf), &got, NULL, NULL), APR_EGENERAL);
    cr_assert_eq(got, 0u);
    read_answer = APR_SUCCESS;
}

Test(vfs_compose, access_asks_the_mode_bits, .init = setup, .fini = teardown)
{
    vfs_ctx_t ctx = VFS_CTX_INIT;
    ctx.flags = VFS_CTX_CREDS;
    ctx.uid = ctx.gid = 4321;
    cr_assert_eq(vfs_chmod(fs, NULL, "/f", 0604, 0), APR_SUCCESS);
    cr_assert_eq(vfs_access(fs, &ctx, "/f", VFS_ACCESS_EXIST), APR_SUCCESS);
    cr_assert_eq(vfs_access(fs, &ctx, "/f", VFS_ACCESS_READ), APR_SUCCESS);
    cr_assert_eq(vfs_access(fs, &ctx, "/f", VFS_ACCESS_WRITE), APR_EACCES);
    cr_assert_eq(vfs_access(fs, &ctx, "/none", VFS_ACCESS_EXIST), APR_ENOENT);
    cr_assert_eq(vfs_access(fs, &ctx, "/f/", VFS_ACCESS_EXIST), APR_ENOTDIR);
}

static vfs_file_t *open_file(vfs_t *of, uint32_t flags)
{
    vfs_file_t *file;
    cr_assert_eq(vfs_open(&file, of, NULL, "/f", flags, 0, NULL, NULL), APR_SUCCESS);
    return file;
}

/* Random pieces, read through the composed op and written the same way, against one flat buffer. */
Test(vfs_compose, pieces_are_one_range, .init = setup, .fini = teardown)
{
    vfs_file_t *file = open_file(fs, VFS_O_READ | VFS_O_WRITE);
    char model[512] = "0123456789", flat[512];
    size_t size = 10;
    srand(1);
    for (int round = 0; round < 500; round++) {
        vfs_iovec_t iov[6];
        size_t count = (size_t)rand() % 6, total = 0, moved;
        apr_off_t off = rand() % 200;
        for (size_t i = 0; i < count; i++) {
            iov[i].len = (size_t)rand() % 40;
            iov[i].base = flat + total;
            total += iov[i].len;
        }
        if (rand() % 2) {
            memset(flat, 'a' + round % 26, total);
            cr_assert_eq(vfs_writev_at(file, NULL, iov, count, off, &moved, NULL), APR_SUCCESS);
            cr_assert_eq(moved, total);
            memcpy(model + off, flat, total);
            if (total > 0 && (size_t)off + total > size) size = (size_t)off + total;
        } else {
            size_t left = (size_t)off < size ? size - (size_t)off : 0;
            cr_assert_eq(vfs_readv_at(file, NULL, iov, count, off, &moved), APR_SUCCESS);
            cr_assert_eq(moved, left < total ? left : total);
            cr_assert_eq(memcmp(flat, model + off, moved), 0);
        }
    }
    cr_assert_eq(vfs_close(file, NULL), APR_SUCCESS);
}

static unsigned writes;

static apr_status_t count_write(vfs_file_t *file, const vfs_ctx_t *ctx, const void *buf, size_t len,
                                apr_off_t off, size_t *written, vfs_validator_t *validator)
{
    writes++;
    if (((const char *)buf)[0] == '!') return APR_EGENERAL;
    return vfs_pass_write_at(file, ctx, buf, len, off, written, validator);
}

Test(vfs_compose, an_append_of_pieces_is_one_write, .init = setup, .fini = teardown)
{
    char a[] = "abc", b[] = "defg";
    vfs_iovec_t iov[] = {{a, 3}, {NULL, 0}, {b, 4}};
    vfs_validator_t validator;
    size_t n;
    fs->ops.write_at = count_write;
    vfs_file_t *file = open_file(fs, VFS_O_WRITE | VFS_O_APPEND);
    cr_assert_eq(vfs_writev_at(file, NULL, iov, 3, 0, &n, &validator), APR_SUCCESS);
    cr_assert_eq(n, 7u);
    cr_assert_eq(writes, 1u);
    cr_assert_str_eq(text_of(fs, "/f"), "0123456789abcdefg");
    cr_assert_eq(vfs_writev_at(file, NULL, iov + 1, 1, 0, &n, NULL), APR_SUCCESS);
    cr_assert_eq(writes, 1u, "nothing to append");
    cr_assert_eq(vfs_close(file, NULL), APR_SUCCESS);
}

Test(vfs_compose, an_error_says_how_much_was_accepted, .init = setup, .fini = teardown)
{
    char a[] = "abc", b[] = "!efg";
    vfs_iovec_t iov[] = {{a, 3}, {b, 4}};
    size_t n;
    fs->ops.write_at = count_write;
    vfs_file_t *file = open_file(fs, VFS_O_WRITE);
    cr_assert_eq(vfs_writev_at(file, NULL, iov, 2, 0, &n, NULL), APR_EGENERAL);
    cr_assert_eq(n, 3u);
    cr_assert_eq(vfs_close(file, NULL), APR_SUCCESS);
    fs->ops.read_at = read_and_change;
    read_answer = APR_EGENERAL;
    file = open_file(fs, VFS_O_READ);
    cr_assert_eq(vfs_readv_at(file, NULL, iov, 2, 0, &n), APR_EGENERAL);
    cr_assert_eq(n, 0u);
    cr_assert_eq(vfs_close(file, NULL), APR_SUCCESS);
}
