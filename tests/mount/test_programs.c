/*
 * test_programs.c - programs that many use, on a mount: each checks its own work. tier: medium
 */
#include "tests/mount/support_rig.h"

#include <criterion/criterion.h>

static void git(rig_t *rig)
{
    rig_sh(rig, "exec >$T/out 2>&1 || exit 1; set -x\n"
                "git config --global user.email a@b.c; git config --global user.name n\n"
                "git init -q r && cd r\n"
                "for i in 1 2 3; do for j in $(seq 20); do echo $i $j >f$j; done\n"
                "git add . && git commit -qm $i; done\n"
                "git clone -q --no-local . ../c && cd ../c && git fsck --full --strict\n"
                "git checkout -q -b b HEAD~1 && echo x >f1 && git commit -qam x\n"
                "git gc -q --aggressive && git fsck --full && git status --porcelain >$T/st && "
                "test ! -s $T/st\n"
                "cd .. && rm -rf r c || { cat $T/out; exit 1; }");
}
Test(mount_programs, git_clones_checks_and_packs)
{
    rig_everywhere(git);
}

static void sqlite(rig_t *rig)
{
    rig_sh(rig,
           "for mode in wal delete truncate persist; do rm -f db*\n"
           "test $(sqlite3 db \"pragma journal_mode=$mode\") = $mode\n"
           "sqlite3 db 'create table t(id integer primary key, v blob); create index i on t(v)'\n"
           "work() { for n in 1 2 3 4 5; do sqlite3 -cmd '.timeout 100000' db \"begin immediate;"
           "insert into t(v) select randomblob(500) from (values(1),(2),(3),(4),(5));"
           "delete from t where id % 7 = $n; commit\"; done; }\n"
           "work & one=$!; work & two=$!; wait $one; wait $two\n"
           "test \"$(sqlite3 db 'pragma integrity_check')\" = ok\n"
           "sqlite3 db vacuum; test \"$(sqlite3 db 'pragma integrity_check')\" = ok\n"
           "cp db $T/copy; test \"$(sqlite3 $T/copy 'select count(*) from t')\" = "
           "\"$(sqlite3 db 'select count(*) from t')\"\ndone");
}
Test(mount_programs, two_sqlite_processes_share_a_data_base)
{
    rig_everywhere(sqlite);
}

static void make_project(rig_t *rig)
{
    rig_sh(
        rig,
        "mkdir p && cd p\n"
        "for i in $(seq 12); do echo \"int f$i(void) { return $i; }\" >f$i.c; done\n"
        "{ for i in $(seq 12); do echo \"int f$i(void);\"; done; echo 'int main(void) { return 0'\n"
        "for i in $(seq 12); do echo \"+ f$i()\"; done; echo '- 78; }'; } >main.c\n"
        "printf 'O = $(patsubst %%.c,%%.o,$(wildcard *.c))\\nprog: $(O)\\n\\t$(CC) -o $@ $^\\n' "
        ">Makefile\n"
        "make -s -j4 && ./prog && touch f3.c && make -q || make -s -j4\n"
        "make -q && ./prog");
}
Test(mount_programs, make_builds_and_knows_what_is_new)
{
    rig_everywhere(make_project);
}

static void copies(rig_t *rig)
{
    rig_sh(rig,
           "src=/usr/include/linux; rsync -a $src/ a && rsync -rc --itemize-changes $src/ a "
           ">$T/changes\n"
           "if grep '^>' $T/changes; then exit 1; fi\n"
           "tar cf $T/t.tar -C a . && mkdir b && tar xpf $T/t.tar -C b && diff -r a b && diff -r "
           "$src b\n"
           "ln b/a.out.h b/hard; cp -a b c && test \"$(stat -c %h c/hard)\" = 2 && diff -r b c\n"
           "mv c d && diff -r b d && find d -type f | wc -l >$T/n && rm -r b d && test ! -e d\n"
           "test \"$(cat $T/n)\" -gt 100");
}
Test(mount_programs, copies_of_trees_are_the_same)
{
    rig_everywhere(copies);
}

Test(mount_programs, what_programs_wrote_is_in_the_origin_after_unmounting)
{
    rig_t rig;
    rig_make(&rig);
    rig_mount(&rig, "file:", "--mode back --set flush_on_close=off --ram 8m --delay 100us");
    rig_sh(
        &rig,
        "cp -a /usr/include/linux l && head -c 20000000 /dev/urandom >$T/r && cp $T/r r\n"
        "cp --sparse=always $T/r s && truncate -s 30M s && mv l k && diff -r /usr/include/linux k");
    rig_unmount(&rig);
    rig_sh_beside(&rig,
                  "diff -r /usr/include/linux $O/k && cmp $T/r $O/r && cmp -n 20000000 $T/r $O/s\n"
                  "test \"$(stat -c %s $O/s)\" = 31457280 && test ! -e $O/l");
    rig_end(&rig);
}
