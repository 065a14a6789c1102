/*
 * test_away.c - the origin of a mount goes away, by errors and by calls that hang, and comes back:
 * what was written is there then, and what failed works again, on the same mount.
 * tier: medium
 */
#include "tests/mount/support_rig.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

/* `up ...` mounts; in Python, feel(MOOD) returns when the origin is so. */
static const char prelude[] =
    "up() { serve \"sick:as:$O\" $M --plugin \"$SICK\" --end-timeout 60s \"$@\"; }\n"
    "for i in 1 2 3 4; do head -c 100000 /dev/urandom >origin/f$i; done\n"
    "cat >tmp/moods.py <<'END'\n"
    "import json, os, subprocess, sys, time\n"
    "def until(true):\n"
    "    for turn in range(6000):\n"
    "        if true(): return\n"
    "        time.sleep(0.02)\n"
    "    raise SystemExit('that never came')\n"
    "def text(path): return open(path, 'rb').read() if os.path.exists(path) else b''\n"
    "def feel(mood):\n"
    "    with open('tmp/mood', 'w') as f: f.write(mood + '\\n')\n"
    "    os.rename('tmp/mood', 'origin.mood')\n"
    "    until(lambda: text('origin.now').decode().strip() == mood)\n"
    "def tell(*what): return subprocess.check_output((os.environ['CACHEFS'],) + what)\n"
    "def status(name): return json.loads(tell('status', 'mnt', '--json'))[name]\n"
    "def fails(call):\n"
    "    try: call()\n"
    "    except OSError as e: return e.errno\n"
    "    raise SystemExit('it did not fail')\n"
    "END\n";

static void with_moods(const char *script)
{
    rig_t rig;
    char all[6000];
    cr_assert_not_null(getenv("CACHEFS_PLUGIN_SICK"));
    int len = snprintf(all, sizeof(all), "SICK='%s'\n%s%s", getenv("CACHEFS_PLUGIN_SICK"), prelude,
                       script);
    cr_assert(len > 0 && (size_t)len < sizeof(all));
    rig_make(&rig);
    rig_sh_beside(&rig, all);
    rig_end(&rig);
}

/* With a store `fsync` needs the journal alone. Nobody has to write anything again. Before the
 * write to an origin that hangs the kernel asks for the file's capabilities, and is answered
 * without. */
Test(mount_away, what_is_dirty_survives_and_arrives_when_the_origin_is_back)
{
    with_moods(
        "cat >tmp/do.py <<'END'\n"
        "from moods import *\n"
        "journal = sys.argv[1] == 'yes'\n"
        "f = os.open('mnt/f1', os.O_RDWR); data = bytearray(os.pread(f, 100000, 0))\n"
        "def put(what):\n"
        "    for at in (1234, 50000):\n"
        "        os.pwrite(f, what * 1000, at); data[at:at + 1000 * len(what)] = what * 1000\n"
        "def arrives():\n"
        "    assert status('dirty_files') == 1 and text('origin/f1') != data\n"
        "    feel('well'); until(lambda: text('origin/f1') == data)\n"
        "    until(lambda: status('dirty_bytes') == 0 and status('retrying_files') == 0)\n"
        "    try: os.fsync(f)\n"
        "    except OSError: pass # of an attempt that nobody was told of\n"
        "    os.fsync(f); assert status('retry_error') == 'none'\n"
        "    open('mnt/new', 'w').write('x'); assert text('mnt/new') == b'x'\n"
        "    assert text('mnt/f4') == text('origin/f4')\n"
        "    until(lambda: status('dirty_bytes') == 0)\n"
        "assert data == text('origin/f1'); feel('offline'); put(b'offline')\n"
        "assert os.pread(f, 100000, 0) == data\n"
        "if journal: os.fsync(f)\n"
        "else: fails(lambda: os.fsync(f))\n"
        "until(lambda: status('retrying_files') == 1); fails(lambda: open('mnt/f4').read())\n"
        "assert status('retry_error') != 'none'; arrives()\n"
        "tell('set', 'mnt', 'flush_interval', '1h'); tell('set', 'mnt', 'attr_ttl', '0')\n"
        "put(b'dirty')\n"
        "tell('set', 'mnt', 'access_log', os.path.abspath('tmp/log')); os.fstat(f); feel('hang'); "
        "put(b'hang')\n"
        "tell('set', 'mnt', 'access_log', 'off'); tell('set', 'mnt', 'attr_ttl', '1h')\n"
        "asked = [line for line in text('tmp/log').split(b'\\n') if b'getxattr,/f1' in line]\n"
        "assert asked and all(b',110,' in line for line in asked), asked\n"
        "tell('set', 'mnt', 'flush_interval', '20ms')\n"
        "if journal: os.fsync(f)\n"
        "time.sleep(0.5); arrives(); os.close(f)\n"
        "END\n"
        "for store in no yes; do rm -f origin.now origin.mood\n"
        "up --mode back --set flush_interval=20ms --set dirty_age=2h --set flush_on_close=off "
        "--set "
        "retry_min=20ms --set retry_max=200ms --set attr_ttl=1h "
        "$(test $store = no || echo --store s)\n"
        "timeout -k 1 100 python3 tmp/do.py $store; \"$CACHEFS\" unmount $M; wait $server\n"
        "test \"$(cat origin/new)\" = x; done");
}

/* Who waits goes on by itself; who was refused only has to ask again. */
Test(mount_away, reads_and_writes_work_again_without_a_new_mount)
{
    with_moods(
        "cat >tmp/do.py <<'END'\n"
        "from moods import *\n"
        "def put(path, what):\n"
        "    f = os.open(path, os.O_WRONLY)\n"
        "    try: os.pwrite(f, what, 70000)\n"
        "    finally: os.close(f)\n"
        "feel('offline')\n"
        "for turn in range(3):\n"
        "    fails(lambda: open('mnt/f3', 'rb').read()); fails(lambda: os.listdir('mnt'))\n"
        "    fails(lambda: put('mnt/f3', b'lost')); fails(lambda: os.mkdir('mnt/d'))\n"
        "feel('well'); assert text('mnt/f3') == text('origin/f3')\n"
        "put('mnt/f3', b'kept'); assert text('origin/f3')[70000:70004] == b'kept'\n"
        "assert text('mnt/f3') == text('origin/f3'); os.mkdir('mnt/d'); os.rmdir('mnt/d')\n"
        "assert len(os.listdir('mnt')) == 4; feel('hang')\n"
        "read = subprocess.Popen(['cat', 'mnt/f4'], stdout=open('tmp/f4', 'wb'))\n"
        "write = subprocess.Popen(['dd', 'of=mnt/f2', 'bs=1', 'seek=5000', 'conv=notrunc', "
        "'status=none'], stdin=subprocess.PIPE)\n"
        "write.stdin.write(b'late'); write.stdin.close()\n"
        "names = subprocess.Popen(['ls', '-l', 'mnt'], stdout=subprocess.DEVNULL)\n"
        "time.sleep(0.5); assert [p.poll() for p in (read, write, names)] == [None] * 3\n"
        "assert status('dirty_bytes') == 0; feel('well')\n"
        "assert [p.wait() for p in (read, write, names)] == [0] * 3\n"
        "assert text('tmp/f4') == text('origin/f4') and text('origin/f2')[5000:5004] == b'late'\n"
        "assert text('mnt/f2') == text('origin/f2')\n"
        "END\n"
        "for mode in through around; do rm -f origin.now origin.mood\n"
        "up --mode $mode --set attr_ttl=0 --set negative_ttl=0 --set listing_ttl=0\n"
        "timeout -k 1 100 python3 tmp/do.py; \"$CACHEFS\" unmount $M; wait $server; done");
}
