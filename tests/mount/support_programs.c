/*
 * support_programs.c - see support_programs.h.
 */
#include "tests/mount/support_programs.h"

#include <stdio.h>

void programs_git(rig_t *rig)
{
    rig_sh(rig, "exec 3>&1 >$T/out 2>&1; trap 'test $? = 0 || cat $T/out >&3' EXIT; set -x\n"
                "git config --global user.email a@b.c; git config --global user.name n\n"
                "git init -q r; cd r\n"
                "for i in 1 2 3; do for j in $(seq 20); do echo $i $j >f$j; done\n"
                "git add .; git commit -qm $i; done\n"
                "git clone -q --no-local . ../c; cd ../c; git fsck --full --strict\n"
                "git checkout -q -b b HEAD~1; echo x >f1; git commit -qam x\n"
                "git gc -q --aggressive; git fsck --full; git status --porcelain >$T/st\n"
                "test ! -s $T/st; cd ..; rm -r r c; test ! -e r");
}

void programs_sqlite(rig_t *rig)
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

void programs_make(rig_t *rig)
{
    rig_sh(
        rig,
        "mkdir p && cd p\n"
        "for i in $(seq 12); do echo \"int f$i(void) { return $i; }\" >f$i.c; done\n"
        "{ for i in $(seq 12); do echo \"int f$i(void);\"; done; echo 'int main(void) { return 0'\n"
        "for i in $(seq 12); do echo \"+ f$i()\"; done; echo '- 78; }'; } >main.c\n"
        "printf 'O = $(patsubst %%.c,%%.o,$(wildcard *.c))\\nprog: $(O)\\n\\t$(CC) -o $@ $^\\n' "
        ">Makefile\n"
        "make -s -j4; ./prog; touch -d '9 seconds ago' *.c; touch -d '6 seconds ago' *.o\n"
        "touch -d '3 seconds ago' prog; make -q; touch f3.c; if make -q; then exit 1; fi; make -s "
        "-j4\n"
        "make -q; ./prog; cd ..; rm -r p");
}

void programs_copy(rig_t *rig, const char *from, unsigned kept)
{
    char script[1200];
    const char *all = kept & PROGRAMS_MODES ? "-a" : "-r";
    (void)snprintf(
        script, sizeof(script),
        "src=%s; rsync %s $src/ a; rsync %s -c --itemize-changes $src/ a >$T/changes\n"
        "if grep '^>' $T/changes; then exit 1; fi\n"
        "tar cf $T/t.tar -C a .; mkdir b; tar x%sf $T/t.tar -C b; diff -r a b; diff -r $src b\n"
        "%scp %s b c; %sdiff -r b c; mv c d; diff -r b d; test ! -e c; find d -type f | wc -l "
        ">$T/n\n"
        "test \"$(cat $T/n)\" -ge \"$(find $src -type f | wc -l)\"; rm -r a b d; test ! -e d",
        from, all, all, kept & PROGRAMS_MODES ? "p" : "mo",
        kept & PROGRAMS_LINKS ? "ln b/$(cd b; find . -type f | head -n 1) b/hard\n" : "",
        kept & PROGRAMS_MODES ? "-a" : "-r",
        kept & PROGRAMS_LINKS ? "test \"$(stat -c %h c/hard)\" = 2; " : "");
    rig_sh(rig, script);
}
