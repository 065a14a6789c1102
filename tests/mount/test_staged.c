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
    rig_mount(&rig, uri, mode);
    rig_sh(&rig, script);
    rig_end(&rig);
    webserver_stop(&web);
}

static void in_each_mode(const char *script)
{
    static const char *const modes[] = {"--mode through", "--mode around", "--mode back"};
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
        on_a_bucket(modes[i], script);
}

Test(mount_staged, what_is_closed_is_at_the_origin)
{
    in_each_mode("for i in 1 2 3; do echo text $i >f$i\n"
                 "test \"$(\"$CACHEFS\" cat \"$U\" f$i)\" = \"text $i\"; done");
}

Test(mount_staged, close_fails_if_the_origin_has_gone)
{
    in_each_mode("cat >$T/do.py <<'END'\n"
                 "import os, signal\n"
                 "fd = os.open('f', os.O_WRONLY | os.O_CREAT, 0o644); os.write(fd, b'text')\n"
                 "os.kill(int(os.environ['SERVER']), signal.SIGKILL)\n"
                 "try: os.close(fd)\n"
                 "except OSError: pass\n"
                 "else: raise SystemExit('close said that all is well')\n"
                 "END\n"
                 "python3 $T/do.py");
}
#else
Test(mount_staged, there_is_no_such_origin)
{
    cr_skip_test("SKIPPED: built without libcurl");
}
#endif
