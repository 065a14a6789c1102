/*
 * test_s3fs.c - a bucket that s3fs has mounted beside us: each sees what the other makes.
 * tier: long
 * labels: s3
 */
#include "tests/mount/support_remote.h"

#include <criterion/criterion.h>
#include <string.h>
#include <unistd.h>

/* Names, bytes, modes, owners, times and symbolic links. s3fs keeps what it saw for a while, so
 * each name is looked at by it when it is whole. */
Test(mount_s3fs, files_and_directories_of_each_are_seen_right_by_the_other)
{
    rig_t rig;
    remote_t remote;
    if (access("/usr/bin/s3fs", X_OK) != 0)
        cr_skip_test("SKIPPED: there is no s3fs; the Debian package of that name has it");
    if (!remote_start(&remote, &rig, 0) || strcmp(remote.name, "S3") != 0)
        cr_skip_test("SKIPPED: built without libcurl");
    rig_sh_beside(
        &rig,
        "printf KEY:SECRET >tmp/pw; chmod 600 tmp/pw; mkdir b; at=${U#*endpoint=}\n"
        "serve \"$U\" $M --set attr_ttl=0 --set listing_ttl=0 --set negative_ttl=0; mkdir mnt/top\n"
        "s3fs test:/in b -o passwd_file=tmp/pw,url=${at%%&*},endpoint=us-east-1,sigv4"
        ",use_path_request_style,stat_cache_expire=1 -f >tmp/log 2>&1 & other=$!\n"
        "until grep -q \" $PWD/b \" /proc/mounts; do kill -0 $other || { cat tmp/log; exit 1; }; "
        "sleep 0.1; done\n"
        "fill() { mkdir $1/$2; chmod 750 $1/$2; head -c 300000 /dev/urandom >tmp/$2\n"
        "cp tmp/$2 $1/$2/file; chmod 640 $1/$2/file; chown 12:34 $1/$2/file\n"
        "echo x >$1/$2/old; mv $1/$2/old $1/$2/new; chmod 4711 $1/$2/new\n"
        "touch -d '2001-02-03 04:05:06' $1/$2/file; ln -s file $1/$2/link; ln -s ../$2 "
        "$1/$2/up\n"
        "ln -s file $1/$2/gone; rm $1/$2/gone; ln -s 'no where' $1/$2/was; mv $1/$2/was "
        "$1/$2/lost; }\n"
        "see() { cmp tmp/$2 $1/$2/file; test \"$(cat $1/$2/new)\" = x; test ! -e $1/$2/old\n"
        "test \"$(stat -c %a $1/$2)\" = 750; test \"$(stat -c %a $1/$2/new)\" = 4711\n"
        "test \"$(stat -c '%a %u %g %s %Y' $1/$2/file)\" = "
        "\"640 12 34 300000 $(date -d '2001-02-03 04:05:06' +%s)\"\n"
        "test \"$(ls $1/$2 | tr '\\n' ' ')\" = 'file link lost new up '\n"
        "cmp tmp/$2 $1/$2/link; cmp tmp/$2 $1/$2/up/file; test \"$(readlink $1/$2/lost)\" = 'no "
        "where'\n"
        "test \"$(stat -c '%F %s' $1/$2/link)\" = 'symbolic link 4'; test ! -e $1/$2/lost\n"
        "test \"$(find $1/$2 -type l | wc -l)\" = 3; }\n"
        "fill b theirs; see mnt theirs; fill mnt ours; sleep 2; see b ours; see mnt ours; see b "
        "theirs\n"
        "echo more >>mnt/theirs/new; sleep 2; test \"$(cat b/theirs/new)\" = \"$(printf "
        "'x\\nmore')\"\n"
        "test $(stat -c %a b/theirs/new) = 4711 || test $(stat -c %a b/theirs/new) = 711\n"
        "umount b; \"$CACHEFS\" unmount $M; wait $server");
    remote_stop(&remote);
    rig_end(&rig);
}
