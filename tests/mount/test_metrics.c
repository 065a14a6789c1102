/*
 * test_metrics.c - a mount is monitored by HTTP, and looked at by `cachefs top`.
 */
#include "tests/mount/support_rig.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

static void with_mount(const char *args, const char *script)
{
    rig_t rig;
    rig_make(&rig);
    rig_sh_beside(&rig, "head -c 100000 /dev/urandom >origin/f; echo one >origin/x");
    rig_mount(&rig, "file:", args);
    rig_sh_beside(&rig, script);
    rig_end(&rig);
}

#define GET                                                                                        \
    "where=$(\"$CACHEFS\" status $M | awk '$1 == \"metrics\" {print $2}')\n"                       \
    "cat >tmp/get.py <<'END'\n"                                                                    \
    "import sys, urllib.error, urllib.request\n"                                                   \
    "url, method, accept = sys.argv[1:]\n"                                                         \
    "request = urllib.request.Request(url, method=method, headers={'Accept': accept})\n"           \
    "opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))\n"                      \
    "try: answer = opener.open(request, timeout=60)\n"                                             \
    "except urllib.error.HTTPError as error: answer = error\n"                                     \
    "print(answer.code, answer.headers['Content-Type'])\n"                                         \
    "sys.stdout.write(answer.read().decode())\n"                                                   \
    "END\n"                                                                                        \
    "get() { python3 tmp/get.py http://$where$1 ${2:-GET} ${3:-text/plain} >tmp/page; head -1 "    \
    "tmp/page; }\n"

Test(mount_metrics, it_serves_metrics_figures_and_health)
{
    if (!getenv("CACHEFS_HTTP")) cr_skip_test("built without libmicrohttpd");
    with_mount("--metrics localhost:0", GET
               "cat mnt/f mnt/f >tmp/c; get /metrics | grep '^200 text/plain; version=0.0.4'\n"
               "tail -n +2 tmp/page >tmp/metrics; promtool check metrics <tmp/metrics\n"
               "grep '^cachefs_opens_total [1-9]' tmp/metrics\n"
               "get /metrics GET application/openmetrics-text | grep '^200 application/openmet'\n"
               "test \"$(tail -1 tmp/page)\" = '# EOF'\n"
               "get /stats.json | grep '^200 application/json'; tail -n +2 tmp/page >tmp/j\n"
               "python3 -c 'import json; j = json.load(open(\"tmp/j\")); assert j[\"opens\"] > 0 "
               "and j[\"kernel_inodes\"] > 0 and \"read_miss_p99_ns\" in j'\n"
               "\"$CACHEFS\" stats mnt --json | grep -o '^ *\"[a-z0-9_]*\"' >tmp/k1\n"
               "grep -o '^ *\"[a-z0-9_]*\"' tmp/j | cmp - tmp/k1\n"
               "get /healthz | grep ^200; get /healthz HEAD | grep ^200; get / | grep ^404\n"
               "get /metrics POST | grep ^405\n");
}

/* Its origin takes no bytes of files that are called bad. */
Test(mount_metrics, it_is_ill_when_dirty_data_waits_too_long)
{
    rig_t rig;
    char text[3000];
    if (!getenv("CACHEFS_HTTP")) cr_skip_test("built without libmicrohttpd");
    cr_assert_not_null(getenv("CACHEFS_PLUGIN_SICK"));
    (void)snprintf(text, sizeof(text),
                   "serve \"sick:nowrite:$O\" $M --plugin '%s' --mode back --set "
                   "flush_interval=10ms --set dirty_age=10ms --set flush_on_close=off "
                   "--end-timeout 10ms --metrics [::1]:0\n" GET
                   "echo x >mnt/good; get /healthz | grep ^200; echo x >mnt/bad\n"
                   "while ! get /healthz | grep ^503; do sleep 0.05; done\n"
                   "grep 'waits for the origin' tmp/page; kill $server; wait $server && exit 1\n"
                   "test \"$(cat origin/good)\" = x",
                   getenv("CACHEFS_PLUGIN_SICK"));
    rig_make(&rig);
    rig_sh_beside(&rig, text);
    rig_end(&rig);
}

Test(mount_metrics, others_reach_it_only_when_told)
{
    rig_t rig;
    if (!getenv("CACHEFS_HTTP")) cr_skip_test("built without libmicrohttpd");
    rig_make(&rig);
    rig_sh_beside(
        &rig, "no 2 \"$CACHEFS\" mount mem: $M --metrics 0.0.0.0:0; grep 'metrics-any' tmp/said\n"
              "no 2 \"$CACHEFS\" mount mem: $M --metrics 9470; grep 'such as 127' tmp/said\n"
              "no 2 \"$CACHEFS\" mount mem: $M --metrics 1.2.3.4:70000; grep 'such' tmp/said\n"
              "no 2 \"$CACHEFS\" mount mem: $M --metrics 203.0.113.1:80 --metrics-any\n"
              "if grep -q \" $M \" /proc/mounts; then exit 1; fi\n"
              "\"$CACHEFS\" mount mem: $M --metrics 0.0.0.0:0 --metrics-any\n"
              "at=$(\"$CACHEFS\" status $M | awk '$1 == \"metrics\" {print $2}')\n"
              "mkdir two; no 2 \"$CACHEFS\" mount mem: two --metrics 127.0.0.1:${at##*:}\n"
              "grep -i 'in use' tmp/said; \"$CACHEFS\" unmount $M");
    rig_end(&rig);
}

Test(mount_metrics, top_is_a_frame_in_a_pipe_and_lives_on_a_terminal)
{
    with_mount("",
               "cat mnt/f mnt/f mnt/x >tmp/c; \"$CACHEFS\" top mnt >tmp/frame\n"
               "grep '^hits .*memory .*%' tmp/frame; grep '^dirty .*0 B in 0 files' tmp/frame\n"
               "grep '^  read_miss ' tmp/frame; grep -q \"$(printf '\\033')\" tmp/frame && exit 1\n"
               "TERM=dumb script -qec '\"$CACHEFS\" top mnt' tmp/dumb </dev/null >tmp/o\n"
               "test $(grep -ac '^hits' tmp/dumb) = 1\n"
               "mkfifo tmp/keys; TERM=xterm script -qec '\"$CACHEFS\" top mnt --interval 100ms' "
               "tmp/screen <tmp/keys >tmp/o & top=$!; exec 4>tmp/keys\n"
               "while test $(grep -ac '^hits' tmp/screen) -lt 3; do sleep 0.05; done\n"
               "printf q >&4; wait $top; exec 4>&-; grep -a '99 %' tmp/screen >tmp/o");
}

/* One file is asked for as often as forty others together; and one that finds no way below is named
 * with the reason. What is renamed is flushed. */
Test(mount_metrics, the_hottest_files_and_the_queue_are_told)
{
    rig_t rig;
    char text[3000];
    cr_assert_not_null(getenv("CACHEFS_PLUGIN_SICK"));
    (void)snprintf(
        text, sizeof(text),
        "serve \"sick:nowrite:$O\" $M --plugin '%s' --mode back --set flush_on_close=off --set "
        "flush_interval=1h --set dirty_age=2h --set retry_min=10s --end-timeout 1s\n"
        "for i in $(seq 40); do echo $i >mnt/cold$i; done; echo x >mnt/hot; mv mnt/hot 'mnt/h t'\n"
        "cat >tmp/ask.py <<'END'\n"
        "import os\n"
        "fds = [os.open('mnt/cold%%d' %% (i + 1), os.O_RDONLY | os.O_DIRECT) for i in range(40)]\n"
        "hot = os.open('mnt/h t', os.O_RDONLY | os.O_DIRECT)\n"
        "import mmap; page = mmap.mmap(-1, 4096)\n"
        "for turn in range(100):\n"
        "    for fd in fds: os.preadv(fd, [page], 0); os.preadv(hot, [page], 0)\n"
        "END\n"
        "python3 tmp/ask.py; echo y >mnt/bad; no 1 \"$CACHEFS\" flush mnt/bad\n"
        "\"$CACHEFS\" stats mnt --json >tmp/j; \"$CACHEFS\" top mnt >tmp/top; \"$CACHEFS\" status "
        "mnt >tmp/s\n"
        "cat >tmp/see.py <<'END'\n"
        "import json\n"
        "all = json.load(open('tmp/j')); hot = all['hottest']; queue = all['queue']\n"
        "assert hot[0]['path'] == '/h t' and 2000 < hot[0]['calls'] < 8000, hot\n"
        "assert len(hot) == 20 and hot[0]['calls'] > 5 * hot[1]['calls'], hot\n"
        "assert all['retrying_files'] == 1 and all['dirty_files'] == 41, all\n"
        "assert len(queue) == 20 and queue[0]['path'] == '/cold1', queue\n"
        "ages = [file['age_us'] for file in queue]; assert ages == sorted(ages)[::-1], ages\n"
        "assert queue[0]['error'] == '' and queue[0]['dirty_bytes'] == 4096, queue\n"
        "END\n"
        "python3 tmp/see.py; grep '^ *[0-9]* /h t$' tmp/top; grep '/cold1$' tmp/top\n"
        "grep '^queue  *1 of the dirty' tmp/top; grep '^retry_error  *[A-Z]' tmp/s\n"
        "\"$CACHEFS\" flush mnt/cold* 'mnt/h t'; \"$CACHEFS\" top mnt | grep '/bad  again in "
        "[^:]*s: "
        "[A-Z]'\n"
        "\"$CACHEFS\" stats mnt | grep 'calls [0-9]*, path /h t'\n"
        "kill $server; wait $server && exit 1; true",
        getenv("CACHEFS_PLUGIN_SICK"));
    rig_make(&rig);
    rig_sh_beside(&rig, text);
    rig_end(&rig);
}
