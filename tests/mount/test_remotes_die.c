/*
 * test_remotes_die.c - a web server that is killed, or stopped, under a mount, and one that is too
 * slow for who waits: calls end with an error, in time; the mount works again when the server does;
 * nothing that was accepted is lost, or it is told. tier: medium labels: http webdav
 */
#include "tests/mount/support_rig.h"

#include <criterion/criterion.h>
#include <stdio.h>

#ifdef REMOTE_HTTP

/* `begin` starts nginx over "origin", always at the same place, and `end` kills it: a network of
 * its own (127.77.*.*) has no other program that could take its port meanwhile. What is in "slow"
 * and "slower" comes slowly. `again` tries until it works: the breaker lets a second or two pass.
 */
static const char prelude[] =
    "A=127.77.$(($$ / 250 % 250)).$(($$ % 250 + 1)):8080; D=$PWD/tmp; web=\n"
    "mkdir -p origin/data origin/slow origin/slower; chmod 777 origin/*; cat >tmp/conf <<C\n"
    "load_module /usr/lib/nginx/modules/ngx_http_dav_ext_module.so; user root; daemon off;\n"
    "master_process off; pid $D/pid; error_log $D/error.log; events { worker_connections 256; }\n"
    "http { access_log $D/log; client_body_temp_path $D/t1; proxy_temp_path $D/t2;\n"
    "fastcgi_temp_path $D/t3; uwsgi_temp_path $D/t4; scgi_temp_path $D/t5;\n"
    "default_type application/octet-stream; dav_ext_lock_zone zone=l:1m; server { listen $A;\n"
    "root $PWD/origin; client_max_body_size 0; dav_methods PUT DELETE MKCOL COPY MOVE; autoindex "
    "on;\n"
    "dav_ext_methods PROPFIND OPTIONS LOCK UNLOCK; dav_ext_lock zone=l;\n"
    "location /slow/ { limit_rate 2m; } location /slower/ { limit_rate 50k; } } }\n"
    "C\n"
    "again() { until \"$@\" >tmp/again 2>&1; do sleep 0.1; done; }\n"
    "begin() { /usr/sbin/nginx -p $D -c $D/conf -e $D/error.log & web=$!\n"
    "again python3 -c \"import socket; socket.create_connection(('${A%:*}', 8080))\"; }\n"
    "end() { kill -9 $web; wait $web || true; }; trap 'kill -9 $web 2>/dev/null || true' EXIT\n"
    "Q='retries=0&connect_timeout=1s&first_byte_timeout=300ms&stall_timeout=1s&proxy=none'\n"
    "head -c 4000000 /dev/urandom >origin/slow/big; cp origin/slow/big origin/slower\n"
    "head -c 100000 /dev/urandom >origin/warm; cp origin/warm origin/cold; chmod 666 "
    "origin/*[md]\n";

static void on_nginx(const char *script)
{
    rig_t rig;
    char all[6000];
    int len = snprintf(all, sizeof(all), "%s%s", prelude, script);
    cr_assert(len > 0 && (size_t)len < sizeof(all));
    rig_make(&rig);
    rig_sh_beside(&rig, all);
    rig_end(&rig);
}

Test(mount_remotes_die, a_read_ends_with_an_error_and_works_when_the_server_does)
{
    on_nginx("for scheme in http dav; do begin; serve \"$scheme://$A/?$Q\" $M --attr-ttl 1h\n"
             "cmp mnt/warm origin/warm; cat mnt/slow/big >tmp/got 2>tmp/said & reader=$!\n"
             "until test -s tmp/got; do sleep 0.02; done; end; no 1 wait $reader\n"
             "cmp mnt/warm origin/warm; no 1 cat mnt/cold; grep 'No route to host' tmp/said\n"
             "begin; again cmp mnt/cold origin/cold; again cmp mnt/slow/big origin/slow/big\n"
             "kill -STOP $web; \"$CACHEFS\" invalidate mnt/cold; no 1 timeout 60 cat mnt/cold\n"
             "cmp mnt/warm origin/warm; kill -CONT $web; again cmp mnt/cold origin/cold; end\n"
             "\"$CACHEFS\" unmount $M; wait $server; done");
}

/* The lock of the first attempt has made an empty file, which is nobody else's. */
Test(mount_remotes_die, an_upload_fails_and_the_next_one_meets_nothing_of_it)
{
    on_nginx("head -c 64000000 /dev/urandom >tmp/new; begin; serve \"dav://$A/data?$Q\" $M\n"
             "cp tmp/new mnt/up 2>tmp/why & writer=$!\n"
             "until test -n \"$(ls tmp/t1)\"; do kill -0 $writer; done; kill -STOP $web\n"
             "no 1 wait $writer; grep 'No route to host' tmp/why; end; no 1 cp tmp/new mnt/other\n"
             "begin; again cp tmp/new mnt/up; cmp tmp/new origin/data/up\n"
             "test \"$(ls origin/data)\" = up; end; \"$CACHEFS\" unmount $M; wait $server");
}

Test(mount_remotes_die, what_is_dirty_is_told_to_be_lost_or_arrives_later)
{
    on_nginx(
        "head -c 3000000 /dev/urandom >tmp/new\n"
        "dirty() { begin; serve \"dav://$A/?$Q\" $M --mode back --attr-ttl 1h --set "
        "flush_on_close=off --set flush_interval=1h --set retry_min=20ms --set retry_max=200ms "
        "\"$@\"\n"
        "exec 3<>mnt/warm; end; cat tmp/new >&3; exec 3>&-; cmp mnt/warm tmp/new; }\n"
        "dirty --end-timeout 1s 2>tmp/told; no 1 \"$CACHEFS\" unmount $M --timeout 1s\n"
        "grep 'still mounted' tmp/said; cmp mnt/warm tmp/new; kill $server; no 1 wait $server\n"
        "! grep -q \" $M \" /proc/mounts; grep 'lost' tmp/told; cmp origin/warm origin/cold\n"
        "dirty --end-timeout 5m; kill $server; sleep 0.5; begin; wait $server\n"
        "cmp origin/warm tmp/new; end");
}

/* Written through: `close` has told of it, and nothing is dirty. */
Test(mount_remotes_die, what_is_staged_is_told_to_be_lost_or_arrives_later)
{
    on_nginx("head -c 3000000 /dev/urandom >tmp/new\n"
             "staged() { begin; serve \"dav://$A/?$Q\" $M --attr-ttl 1h \"$@\"\n"
             "exec 3<>mnt/warm; end; cat tmp/new >&3 || true; exec 3>&- ; cmp mnt/warm tmp/new; }\n"
             "staged --end-timeout 1s 2>tmp/told; no 1 \"$CACHEFS\" unmount $M --timeout 1s\n"
             "grep 'still mounted' tmp/said; no 1 \"$CACHEFS\" flush $M --wait --timeout 1s\n"
             "kill $server; no 1 wait $server; ! grep -q \" $M \" /proc/mounts\n"
             "grep 'lost' tmp/told; cmp origin/warm origin/cold\n"
             "staged --end-timeout 5m; kill $server; sleep 0.5; begin; wait $server\n"
             "cmp origin/warm tmp/new; end");
}

/* None of them would come to an end within a minute. */
Test(mount_remotes_die, ctrl_c_ends_who_waits_for_a_slow_server)
{
    on_nginx(
        "int() { set +e; timeout -k 60 -s INT --preserve-status 1 \"$@\" >tmp/out 2>tmp/said\n"
        "got=$?; set -e; cat tmp/said; test $got = 130; }; begin\n"
        "for scheme in http dav; do mkdir tmp/to; O=$scheme://$A/\n"
        "int \"$CACHEFS\" cat $O slower/big; int \"$CACHEFS\" warm $O slower/big\n"
        "int \"$CACHEFS\" cp $O slower/big tmp/to; rmdir tmp/to; done\n"
        "serve \"dav://$A/?proxy=none\" $M --attr-ttl 1h; cat mnt/warm >tmp/out\n"
        "head -c 64000000 /dev/urandom >tmp/new; int cat mnt/slower/big; kill -STOP $web\n"
        "int cat mnt/cold; int cp tmp/new mnt/cold; kill -CONT $web; again cp tmp/new mnt/new\n"
        "cmp tmp/new origin/new; again cmp mnt/cold origin/cold; \"$CACHEFS\" unmount $M\n"
        "wait $server; end");
}

#endif
