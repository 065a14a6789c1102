/*
 * test_remotes_away.c - mounts of S3, WebDAV and SFTP whose server goes away and comes back:
 * nothing that was acknowledged is lost, and the mount works again. tier: long labels: s3 webdav
 * sftp
 */
#include "tests/mount/support_remote.h"

#include <criterion/criterion.h>

static void on_relays(const char *script)
{
    rig_t rig;
    remote_t remote;
    for (size_t i = 0; remote_start(&remote, &rig, i); i++) {
        remote_relay(&remote, &rig);
        rig_sh_beside(&rig, script);
        remote_stop(&remote);
        rig_end(&rig);
    }
}

/* Offline: connections end at once. Hang: they are taken, and nothing passes. */
Test(mount_remotes_away, what_is_dirty_arrives_and_calls_work_when_the_server_is_back)
{
    on_relays(
        "cat >tmp/do.py <<'END'\n"
        "import json, os, subprocess, sys, time\n"
        "def until(true):\n"
        "    for turn in range(4000):\n"
        "        if true(): return\n"
        "        time.sleep(0.02)\n"
        "    raise SystemExit('that never came')\n"
        "def text(path): return open(path, 'rb').read() if os.path.exists(path) else b''\n"
        "def feel(mood):\n"
        "    with open('tmp/mood.w', 'w') as f: f.write(mood)\n"
        "    os.rename('tmp/mood.w', 'tmp/mood'); until(lambda: text('tmp/mood.now') == "
        "mood.encode())\n"
        "def tell(*what): return subprocess.check_output((os.environ['CACHEFS'],) + what)\n"
        "def status(name): return json.loads(tell('status', 'mnt', '--json'))[name]\n"
        "def below(name):\n"
        "    if os.environ['DIRECT']: return tell('cat', os.environ['DIRECT'], name)\n"
        "    return text('origin/' + name)\n"
        "def fails(call):\n"
        "    try: call()\n"
        "    except OSError as e: return e.errno\n"
        "    raise SystemExit('it did not fail')\n"
        "def works(call):\n"
        "    try: call(); return True\n"
        "    except OSError: return False\n"
        "def put(path, what):\n"
        "    with open(path, 'wb') as f: f.write(what)\n"
        "if sys.argv[1] == 'back':\n"
        "    f = os.open('mnt/f1', os.O_RDWR); data = bytearray(os.pread(f, 100000, 0))\n"
        "    for mood in 'offline', 'hang':\n"
        "        tell('set', 'mnt', 'flush_interval', '1h'); feel(mood)\n"
        "        for at in (1234, 50000):\n"
        "            os.pwrite(f, mood.encode() * 1000, at)\n"
        "            data[at:at + 1000 * len(mood)] = mood.encode() * 1000\n"
        "        assert os.pread(f, 100000, 0) == data; assert status('dirty_files') == 1\n"
        "        tell('set', 'mnt', 'flush_interval', '20ms')\n"
        "        if mood == 'offline': until(lambda: status('retrying_files') == 1)\n"
        "        else: time.sleep(0.5)\n"
        "        feel('well'); until(lambda: below('f1') == data)\n"
        "        until(lambda: status('dirty_bytes') == 0 and works(lambda: os.fsync(f)))\n"
        "    os.close(f)\n"
        "else:\n"
        "    feel('offline')\n"
        "    fails(lambda: open('mnt/f2').read()); fails(lambda: os.listdir('mnt'))\n"
        "    fails(lambda: put('mnt/new', b'lost')); fails(lambda: os.mkdir('mnt/d'))\n"
        "    feel('well'); until(lambda: works(lambda: put('mnt/new', b'kept')))\n"
        "    assert below('new') == b'kept' and text('mnt/f2') == below('f2')\n"
        "    feel('hang'); read = subprocess.Popen(['cat', 'mnt/f3'], stdout=open('tmp/f3', "
        "'wb'))\n"
        "    time.sleep(0.5); assert read.poll() is None; feel('well')\n"
        "    assert read.wait() == 0 and text('tmp/f3') == below('f3')\n"
        "END\n"
        "serve \"$U\" $M; for i in 1 2 3; do head -c 100000 /dev/urandom >mnt/f$i; done\n"
        "\"$CACHEFS\" unmount $M; wait $server\n"
        "ttl=1h; for mode in 'back' 'back --store s' through; do test \"$mode\" != through || "
        "ttl=0\n"
        "serve \"$U\" $M --mode $mode --end-timeout 60s --set dirty_age=2h --set "
        "flush_on_close=off "
        "--set attr_ttl=$ttl --set negative_ttl=0 --set listing_ttl=0 --set retry_min=20ms --set "
        "retry_max=200ms\n"
        "timeout -k 1 120 python3 tmp/do.py $mode; \"$CACHEFS\" unmount $M; wait $server; done");
}
