/*
 * test_staged.c - close(2) on a mount of an origin that takes whole files tells whether it has
 * them, in each write mode. labels: s3
 */
#include "tests/mount/support_rig.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#ifdef REMOTE_HTTP
#include "tests/stacks/s3server.h"

/* `mode`, or NULL: the script mounts, by `serve` and $MODE. */
static void on_a_bucket(const char *mode, const char *script)
{
    rig_t rig;
    webserver_t web;
    char uri[256], number[16];
    rig_make(&rig);
    s3server_credentials(0);
    cr_assert(s3server_start(&web, NULL));
    s3server_uri(uri, sizeof(uri), web.port, "test/in", "&retries=0");
    (void)snprintf(number, sizeof(number), "%d", (int)web.pid);
    cr_assert(setenv("SERVER", number, 1) == 0 && setenv("U", uri, 1) == 0);
    if (mode != NULL) rig_mount(&rig, uri, mode);
    (mode != NULL ? rig_sh : rig_sh_beside)(&rig, script);
    rig_end(&rig);
    webserver_stop(&web);
}

Test(mount_staged, what_is_closed_is_at_the_origin)
{
    static const char *const modes[] = {"--mode through", "--mode around", "--mode back"};
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
        on_a_bucket(modes[i], "for i in 1 2 3; do echo text $i >f$i\n"
                              "test \"$(\"$CACHEFS\" cat \"$U\" f$i)\" = \"text $i\"; done");
}

Test(mount_staged, close_fails_if_the_origin_has_gone_and_the_end_tells_of_it)
{
    static const char *const modes[] = {"through", "around", "back"};
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        cr_assert(setenv("MODE", modes[i], 1) == 0);
        on_a_bucket(NULL,
                    "cat >tmp/do.py <<'END'\n"
                    "import os, signal\n"
                    "fd = os.open('mnt/f', os.O_WRONLY | os.O_CREAT, 0o644)\n"
                    "os.write(fd, b'text')\n"
                    "os.kill(int(os.environ['SERVER']), signal.SIGKILL)\n"
                    "try: os.close(fd)\n"
                    "except OSError: pass\n"
                    "else: raise SystemExit('close said that all is well')\n"
                    "END\n"
                    "serve \"$U\" $M --mode $MODE --end-timeout 1s 2>tmp/told; python3 tmp/do.py\n"
                    "no 1 \"$CACHEFS\" unmount $M --timeout 1s; grep 'still mounted' tmp/said\n"
                    "kill $server; no 1 wait $server; cat tmp/told; grep lost tmp/told");
    }
}
#else
Test(mount_staged, there_is_no_such_origin)
{
    cr_skip_test("SKIPPED: built without libcurl");
}
#endif
