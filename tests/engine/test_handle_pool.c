/*
 * test_handle_pool.c - how many files may be open: exactly so many, whoever closed them.
 */
#include "tests/engine/support_rig.h"

#define MOST 8u

static unsigned open_all(rig_t *rig, vfs_file_t **files)
{
    unsigned n = 0;
    while (n < MOST + 1 && !vfs_open(&files[n], rig->fs, NULL, "/f", RIG_R, 0, NULL,
                                     NULL)) /* or there are enough */
        n++;
    return n;
}

static void close_all(vfs_file_t **files, unsigned n)
{
    while (n > 0)
        OK(vfs_close(files[--n], NULL));
}

typedef struct other_t {
    rig_t *rig;
    unsigned opened;
    apr_status_t status; /* of one more */
} other_t;

static void *in_another_thread(void *arg)
{
    other_t *o = arg;
    vfs_file_t *files[MOST + 1];
    o->opened = open_all(o->rig, files);
    o->status = vfs_open(&files[MOST], o->rig->fs, NULL, "/f", RIG_R, 0, NULL, NULL);
    for (unsigned i = o->opened; i > 0; i--)
        (void)vfs_close(files[i - 1], NULL); /* checked by what can be opened after it */
    return NULL;
}

static void run_other(other_t *o)
{
    pthread_t thread;
    EQ(pthread_create(&thread, NULL, in_another_thread, o), 0);
    EQ(pthread_join(thread, NULL), 0);
}

Test(handle_pool, what_one_thread_closed_another_opens)
{
    rig_t rig;
    vfs_file_t *files[MOST + 1];

    rig_open(&rig, "handles_max=8 attr_ttl=1h");
    rig_text(&rig, "/f", "text");
    other_t other = {.rig = &rig};
    for (int round = 0; round < 3; round++) {
        EQ(open_all(&rig, files), MOST);
        EQ(rig_stats(&rig).open_handles, MOST);
        close_all(files, MOST);
        EQ(rig_stats(&rig).open_handles, 0); /* those that rest in a slot are not open */
        run_other(&other);
        EQ(other.opened, MOST);
        IS(VFS_ELIMIT, other.status);
        EQ(rig_stats(&rig).open_handles, 0);
    }
    rig_close(&rig);
}

Test(handle_pool, files_and_directories_have_one_limit)
{
    rig_t rig;
    vfs_file_t *files[MOST + 1];
    vfs_dir_t *dir, *none;

    rig_open(&rig, "handles_max=8 attr_ttl=1h");
    rig_text(&rig, "/f", "text");
    EQ(open_all(&rig, files), MOST);
    close_all(files, MOST); /* their credits rest in slots */
    OK(vfs_opendir(&dir, rig.fs, NULL, "/", 0));
    EQ(rig_stats(&rig).open_handles, 1);
    EQ(open_all(&rig, files), MOST - 1);
    IS(VFS_ELIMIT, vfs_opendir(&none, rig.fs, NULL, "/", 0));
    OK(vfs_closedir(dir));
    EQ(rig_stats(&rig).open_handles, MOST - 1);
    close_all(files, MOST - 1);
    rig_close(&rig);
}
