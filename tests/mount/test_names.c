/*
 * test_names.c - names on a mount: renames, links, removed files, listings, as the kernel and its
 * programs see them.
 * tier: medium
 */
#include "tests/mount/support_rig.h"

#include <criterion/criterion.h>

static void renames(rig_t *rig)
{
    rig_sh(rig, "mkdir -p a/b/c && echo 1 >a/b/c/f\n"
                "exec 3<a/b/c/f\n"
                "mv a/b z && test \"$(cat z/c/f)\" = 1 && test ! -e a/b\n"
                "test \"$(cat <&3)\" = 1\n"
                "(cd z/c && mv ../../z ../../y && test \"$(cat f)\" = 1 && echo 2 >g)\n"
                "test \"$(cat y/c/g)\" = 2\n"
                "mkdir e && mv -T e a && test -d a && test ! -e e\n"
                "if mv -T y/c a/../y 2>$T/err; then exit 1; fi\n"
                "echo new >n && echo old >o && mv n o && test \"$(cat o)\" = new");
}
Test(mount_names, a_directory_that_moves_takes_all_below_it_along)
{
    rig_everywhere(renames);
}

static void links(rig_t *rig)
{
    rig_sh(rig, "echo one >f && ln f g\n"
                "test \"$(stat -c %i f)\" = \"$(stat -c %i g)\" && test \"$(stat -c %h f)\" = 2\n"
                "echo two >>g && test \"$(tail -n1 f)\" = two\n"
                "rm f && test \"$(stat -c %h g)\" = 1 && test \"$(head -n1 g)\" = one\n"
                "ln -s g s && test \"$(readlink s)\" = g && test \"$(tail -n1 s)\" = two\n"
                "ln -s /nowhere d && test -h d && test ! -e d && rm d && test ! -h d");
}
Test(mount_names, two_names_of_one_file_are_one_inode)
{
    rig_everywhere(links);
}

static void removed(rig_t *rig)
{
    rig_sh(rig, "exec 3<>f; echo bytes >&3; rm f; test ! -e f\n"
                "test \"$(stat -L -c %h /proc/self/fd/3)\" = 0\n"
                "test \"$(cat /proc/self/fd/3)\" = bytes\n"
                "chmod 600 /proc/self/fd/3 && test \"$(stat -L -c %a /proc/self/fd/3)\" = 600\n"
                "truncate -s 2 /proc/self/fd/3 && test \"$(stat -L -c %s /proc/self/fd/3)\" = 2\n"
                "echo other >f && test \"$(stat -c %s f)\" = 6\n"
                "mkdir d && cd d && rmdir ../d && test \"$(stat -c %h .)\" = 0 && ls -A .");
}
Test(mount_names, what_is_open_lives_on_without_a_name)
{
    rig_everywhere(removed);
}

static void listings(rig_t *rig)
{
    rig_sh(rig, "mkdir d && cd d && seq 1 3000 | sed s/^/name-/ | xargs touch\n"
                "test \"$(ls | wc -l)\" = 3000 && test \"$(ls -a | wc -l)\" = 3002\n"
                "test \"$(ls | sort -u | wc -l)\" = 3000\n"
                "ls -li | awk 'NR > 1 { print $1, $NF }' | sort >$T/long\n"
                "ls -i | awk '{ print $1, $2 }' | sort >$T/plain && cmp $T/long $T/plain\n"
                "rm name-1* && test \"$(ls | wc -l)\" = \"$(seq 1 3000 | grep -vc ^1)\"\n"
                "rm -r ../d && test ! -e ../d");
}
Test(mount_names, a_listing_has_each_name_once_with_its_number)
{
    rig_everywhere(listings);
}

/* rewinddir(3) before anything was read looks like the first read. */
static void rewound(rig_t *rig)
{
    rig_sh(rig, "mkdir r; touch r/a; cat >$T/r.pl <<'END'\n"
                "opendir my $d, 'r' or die; open my $f, '>', 'r/b' or die; unlink 'r/a' or die;\n"
                "rewinddir $d; my @names = grep { !/^[.]/ } readdir $d; \"@names\" eq 'b' or die "
                "\"@names\";\n"
                "open $f, '>', 'r/c' or die; rewinddir $d;\n"
                "@names = sort grep { !/^[.]/ } readdir $d; \"@names\" eq 'b c' or die "
                "\"@names\";\n"
                "END\n"
                "perl $T/r.pl");
}
Test(mount_names, a_directory_that_is_rewound_lists_what_is_there)
{
    rig_everywhere(rewound);
}

/* The kernel knows the file by the name that it had, for as long as it is open. */
Test(mount_names, what_others_renamed_is_found_by_its_new_name_alone)
{
    rig_t rig;
    rig_make(&rig);
    rig_mount(&rig, "file:", "--set attr_ttl=0 --set negative_ttl=0 --set listing_ttl=0");
    rig_sh(&rig,
           "for i in 1 2 3; do echo $i >f; ln f h; exec 3<f; mv $O/f $O/g; test ! -e f\n"
           "test \"$(cat g)\" = $i; mv g f; test \"$(cat f)\" = $i; test ! -e g; mv $O/h $O/k\n"
           "test \"$(cat k)\" = $i; mv $O/f $O/g; test \"$(cat k)\" = $i; echo $i >>k\n"
           "test \"$(cat g | wc -l)\" = 2; mv $O/g $O/f; test \"$(cat f | wc -l)\" = 2\n"
           "exec 3<&-; rm f k; test \"$(ls -A $O | wc -l)\" = 0; done");
    rig_end(&rig);
}

Test(mount_names, names_of_any_bytes_and_of_full_length_work)
{
    rig_t rig;
    rig_make(&rig);
    rig_mount(&rig, "file:", NULL);
    rig_sh(&rig, "long=$(printf '%0255d' 7); echo x >\"$long\"; test \"$(cat \"$long\")\" = x\n"
                 "if echo x >\"${long}8\" 2>$T/err; then exit 1; fi\n"
                 "odd=$(printf 'a\\377\\nb*'); echo y >\"$odd\"; test \"$(cat \"$odd\")\" = y\n"
                 "test \"$(cat \"$O/$odd\")\" = y; rm \"$odd\" \"$long\"; test -z \"$(ls -A)\"");
    rig_end(&rig);
}

Test(mount_names, inode_numbers_are_those_below_and_stay)
{
    rig_t rig;
    rig_make(&rig);
    rig_mount(&rig, "file:", NULL);
    rig_sh(&rig, "echo 1 >f && test \"$(stat -c %i f)\" = \"$(stat -c %i $O/f)\"");
    rig_unmount(&rig);
    rig_mount(&rig, "file:", "--mode back");
    rig_sh(&rig, "test \"$(stat -c %i f)\" = \"$(stat -c %i $O/f)\"\n"
                 "mv f g && test \"$(stat -c %i g)\" = \"$(stat -c %i $O/g)\"");
    rig_end(&rig);
}
