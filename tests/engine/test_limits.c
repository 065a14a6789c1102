/*
 * test_limits.c - the limits are hard: memory, entries, names, handles.
 */
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/engine/support_rig.h"

#define FILES 24

typedef struct sampler_t {
    rig_t *rig;
    _Atomic int stop;
    uint64_t ram, blocks, names;
} sampler_t;

static void *sample(void *arg)
{
    sampler_t *s = arg;

    while (!atomic_load(&s->stop)) {
        cachefs_stats_t now = {.size = sizeof(now)};
        (void)cachefs_stats(s->rig->fs, &now);
        if (now.ram_used > s->ram) s->ram = now.ram_used;
        if (now.blocks > s->blocks) s->blocks = now.blocks;
        if (now.names > s->names) s->names = now.names;
    }
    return NULL;
}

/* Read and write a tree four times as large as the limit; every byte must be right. */
static void churn(rig_t *rig, size_t ram, const char *data)
{
    size_t len = ram * 4 / FILES;
    char name[32];
    unsigned x = 1;

    for (int i = 0; i < FILES; i++) {
        (void)snprintf(name, sizeof(name), "/f%d", i);
        rig_put(rig, name, data + i * 64, len);
    }
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < FILES; i++) {
            (void)snprintf(name, sizeof(name), "/f%d", i);
            vfs_file_t *f = rig_file(rig->fs, name, RIG_W);
            for (int k = 0; k < 12; k++) {
                x = x * 1103515245u + 12345u;
                size_t off = (x >> 4) % (len - 20000), n = (x >> 9) % 20000 + 1;
                rig_read(f, (apr_off_t)off, data + i * 64 + off, n);
                if (k % 3 == 0) rig_write(f, (apr_off_t)off, data + i * 64 + off, n);
            }
            rig_read(f, 0, data + i * 64, len);
            OK(vfs_close(f, NULL));
        }
    }
    OK(cachefs_flush(rig->fs, NULL, NULL, 0));
    for (int i = 0; i < FILES; i++) {
        (void)snprintf(name, sizeof(name), "/f%d", i);
        rig_holds(rig->bottom, name, data + i * 64, len);
    }
}

static void within(size_t ram, const char *keys, uint64_t blocks_max, uint64_t names_max)
{
    rig_t rig;
    pthread_t thread;
    char *data = rig_bytes(ram * 4 / FILES + FILES * 64, 3), all[512];

    (void)snprintf(all, sizeof(all), "ram=%zu %s", ram, keys);
    rig_open(&rig, all);
    sampler_t s = {.rig = &rig};
    pthread_create(&thread, NULL, sample, &s);
    churn(&rig, ram, data);
    atomic_store(&s.stop, 1);
    pthread_join(thread, NULL);
    cr_assert(s.ram <= ram, "%s: %" PRIu64 " bytes of memory", all, s.ram);
    cr_assert(!blocks_max || s.blocks <= blocks_max, "%s: %" PRIu64 " blocks", all, s.blocks);
    cr_assert(!names_max || s.names <= names_max, "%s: %" PRIu64 " names", all, s.names);
    free(data);
    rig_close(&rig);
}

static const char *const modes[] = {"mode=through", "mode=around",
                                    "mode=back flush_on_close=off flush_interval=20ms"};

Test(limits, memory_holds_in_every_policy_and_write_mode)
{
    const cachefs_policy_ops_t *policy;
    char keys[256];

    for (size_t i = 0; (policy = cachefs_policy_at(i)) != NULL; i++)
        for (int m = 0; m < 3; m++) {
            (void)snprintf(keys, sizeof(keys), "policy=%s %s", policy->name, modes[m]);
            within(1u << 20, keys, 0, 0);
        }
}

Test(limits, memory_holds_at_every_size)
{
    static const size_t rams[] = {2u << 20, 5000000, 8u << 20, 32u << 20, 64u << 20};

    for (int i = 0; i < 5; i++)
        within(rams[i], modes[i % 3], 0, 0);
}

Test(limits, blocks_and_names_hold)
{
    for (int m = 0; m < 3; m++) {
        char keys[256];
        (void)snprintf(keys, sizeof(keys), "%s entries_max=50 metadata_entries_max=16", modes[m]);
        within(4u << 20, keys, 50, 16);
    }
}

/* A write makes whole granules dirty: one more than its bytes fill, where it does not begin with
 * one. */
Test(limits, dirty_bytes_hold_where_a_write_is_as_large_as_the_limit)
{
    static const uint64_t limits[] = {1, 4096, 6000, 8192, 16384, 20000, 65536};

    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        rig_t rig;
        char keys[200], *data = rig_bytes(200000, 1);
        (void)snprintf(
            keys, sizeof(keys),
            "mode=back flush_interval=1h dirty_age=1h flush_on_close=off dirty_max=%" PRIu64,
            limits[i]);
        rig_open(&rig, keys);
        vfs_file_t *f = rig_file(rig.fs, "/f", RIG_C);
        for (apr_off_t off = 0; off < 20000; off += 1500) {
            for (size_t len = 1; len < 150000; len = len * 3 + 100) {
                rig_write(f, off, data + off, len);
                cr_assert(rig_stats(&rig).dirty_bytes <= limits[i],
                          "%s: %" PRIu64 " after %zu bytes at %ld", keys,
                          rig_stats(&rig).dirty_bytes, len, (long)off);
            }
        }
        rig_read(f, 0, data, 100000);
        OK(vfs_flush(f, NULL));
        OK(vfs_close(f, NULL));
        rig_close(&rig);
        free(data);
    }
}

Test(limits, memory_that_is_too_little_for_the_index_is_refused_by_name)
{
    static const char *const keys[] = {"ram=1m metadata_entries_max=120000",
                                       "ram=1m metadata_entries_max=100000000",
                                       "ram=1m shards=1024 policy=s3fifo"};

    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        rig_t rig;
        cachefs_config_t config;
        vfs_t *fs = NULL;
        char err[256] = "";
        rig_open(&rig, "");
        rig_config(&config, keys[i], rig.pool);
        IS(APR_EINVAL, cachefs_create(&fs, rig.bottom, &config, err, sizeof(err), rig.pool));
        cr_assert(strncmp(err, "ram: \"1m\" is not accepted", 24) == 0, "%s", err);
        CHECK(fs == NULL);
        rig_close(&rig);
    }
}

/* Whatever is not refused has room for data: a prefetch of a block succeeds. */
Test(limits, what_is_not_refused_holds_data)
{
    static const uint32_t shards[] = {1, 128, 256, 512, 1024};
    const cachefs_policy_ops_t *policy;
    int made = 0;

    for (size_t i = 0; (policy = cachefs_policy_at(i)) != NULL; i++)
        for (int k = 0; k < 5; k++) {
            rig_t rig;
            cachefs_config_t config = CACHEFS_CONFIG_INIT;
            vfs_t *fs = NULL;
            char err[256] = "";
            uint64_t fetched = 0;
            config.ram_bytes = 1u << 20;
            config.shards = shards[k];
            config.policy = policy->name;
            rig_open(&rig, "");
            apr_status_t st = cachefs_create(&fs, rig.bottom, &config, err, sizeof(err), rig.pool);
            if (st == APR_SUCCESS) {
                char *data = rig_bytes(100000, 1);
                rig_put(&rig, "/f", data, 100000);
                for (int n = 0; n < 3; n++) {
                    vfs_file_t *f = rig_file(fs, "/f", RIG_R);
                    st = cachefs_prefetch(f, NULL, 30000 * n, 16384, &fetched);
                    cr_assert(st == APR_SUCCESS, "%s, %u shards: %s", policy->name, shards[k],
                              rig_status(st));
                    OK(vfs_close(f, NULL));
                }
                free(data);
                OK(vfs_destroy(fs));
                made++;
            } else {
                IS(APR_EINVAL, st);
                cr_assert(strstr(err, policy->name) != NULL, "%s", err);
            }
            rig_close(&rig);
        }
    CHECK(made >= 14 * 3);
}

Test(limits, what_policies_remember_counts_with_the_memory)
{
    static const struct {
        const char *policy;
        uint64_t least, most; /* more than lru */
    } rows[] = {{"lru", 0, 0},
                {"lirs", 256u << 10, 768u << 10},
                {"arc", 1u << 20, 3u << 20},
                {"auto", 512u << 10, 1536u << 10}};
    uint64_t lru = 0;

    for (int i = 0; i < 4; i++) {
        rig_t rig;
        char keys[64];
        (void)snprintf(keys, sizeof(keys), "ram=256m policy=%s", rows[i].policy);
        rig_open(&rig, keys);
        uint64_t used = rig_stats(&rig).ram_used;
        if (i == 0) lru = used;
        cr_assert(used >= lru + rows[i].least && used <= lru + rows[i].most,
                  "%s: %" PRIu64 ", lru: %" PRIu64, rows[i].policy, used, lru);
        rig_close(&rig);
    }
}

Test(limits, the_number_of_handles_holds)
{
    rig_t rig;
    vfs_file_t *files[10], *more = NULL;
    vfs_dir_t *d = NULL;

    rig_open(&rig, "handles_max=10");
    rig_text(&rig, "/f", "text");
    for (int i = 0; i < 10; i++)
        files[i] = rig_file(rig.fs, "/f", i % 2 ? RIG_R : RIG_W);
    EQ(rig_stats(&rig).open_handles, 10);
    IS(VFS_ELIMIT, vfs_open(&more, rig.fs, NULL, "/f", RIG_R, 0, NULL, NULL));
    IS(VFS_ELIMIT, vfs_open(&more, rig.fs, NULL, "/f", RIG_W, 0, NULL, NULL));
    IS(VFS_ELIMIT, vfs_open(&more, rig.fs, NULL, "/new", RIG_C, 0644, NULL, NULL));
    IS(VFS_ELIMIT, vfs_opendir(&d, rig.fs, NULL, "/", 0));
    OK(vfs_close(files[0], NULL));
    OK(vfs_opendir(&d, rig.fs, NULL, "/", 0));
    IS(VFS_ELIMIT, vfs_open(&more, rig.fs, NULL, "/f", RIG_R, 0, NULL, NULL));
    OK(vfs_closedir(d));
    files[0] = rig_file(rig.fs, "/f", RIG_R);
    for (int i = 0; i < 10; i++)
        OK(vfs_close(files[i], NULL));
    EQ(rig_stats(&rig).open_handles, 0);
    rig_close(&rig);
}

#if defined(__SANITIZE_ADDRESS__)
#define RSS_SPARE_KIB (1024L * 1024) /* shadow memory and quarantine are not ours */
#else
#define RSS_SPARE_KIB (24L * 1024)
#endif

/* In a child of its own: fill a cache of 64 MiB four times over a directory; its peak. */
static long peak_kib(void)
{
    int pipes[2];
    long peak = 0;

    cr_assert_eq(pipe(pipes), 0);
    pid_t pid = fork();
    cr_assert(pid >= 0);
    if (pid == 0) {
        struct rusage usage;
        rig_t rig;
        static char buf[65536];
        rig_open_local(&rig, "ram=64m");
        for (int i = 0; i < 64; i++) {
            char name[32];
            (void)snprintf(name, sizeof(name), "/f%d", i);
            vfs_file_t *f = rig_file(rig.bottom, name, RIG_C);
            for (int k = 0; k < 64; k++)
                rig_write(f, k * 65536, buf, sizeof(buf));
            OK(vfs_close(f, NULL));
            f = rig_file(rig.fs, name, RIG_R);
            for (int k = 0; k < 64; k++)
                rig_read(f, k * 65536, buf, sizeof(buf));
            OK(vfs_close(f, NULL));
        }
        rig_close(&rig);
        getrusage(RUSAGE_SELF, &usage);
        long kib = usage.ru_maxrss;
        _exit(write(pipes[1], &kib, sizeof(kib)) == (ssize_t)sizeof(kib) ? 0 : 1);
    }
    int status = 0;
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    cr_assert_eq(read(pipes[0], &peak, sizeof(peak)), (ssize_t)sizeof(peak));
    close(pipes[0]);
    close(pipes[1]);
    return peak;
}

Test(limits, the_process_stays_near_the_limit_of_the_cache)
{
    long peak = peak_kib();

    cr_assert(peak <= 64L * 1024 + RSS_SPARE_KIB, "%ld KiB", peak);
    CHECK(peak > 48L * 1024); /* it was full */
}
