#!/usr/bin/env bash
# ops-table.sh - writes docs/ops.md from vfs/vfs_ops.def and the table in vfs/vfs_ops.h.
#
#   scripts/ops-table.sh           writes the file
#   scripts/ops-table.sh --check   ends with 1 if the file is not what it would write
#   scripts/ops-table.sh --print   writes to standard output
set -euo pipefail
cd "$(dirname "$0")/.."

table() {
    cat <<'END'
# Operations

<!-- Made by scripts/ops-table.sh from vfs/vfs_ops.def. Do not edit. -->

A file system is one table of these operations (`vfs_ops_t` in [vfs/vfs_ops.h](../vfs/vfs_ops.h)). What each must do is
documented with the public function of the same name in [vfs/vfs.h](../vfs/vfs.h); the rules for authors stand at the head of
`vfs/vfs_ops.h`. A NULL op is `APR_ENOTIMPL`, except that dispatch composes `get`, `access`, `readv_at` and `writev_at` from
other ops (`vfs/compose.c`).

Classes: READ brings bytes out, WRITE takes bytes in, META asks, CHANGE changes names or attributes, HANDLE opens, closes or
locks, SYNC makes durable. `destroy` is in the table too, but is no operation of a user.
END
    perl -0777 -e '
        my ($def, $header) = map { open my $f, "<", $_ or die "$_: $!\n"; local $/; <$f> } @ARGV;
        my %by_hand = map { $_ => 1 } $def =~ /^VFS_OP_HAND\(\w+, (\w+),/mg;
        my %params;
        for my $name (keys %by_hand) {
            $header =~ /\(\*\Q$name\E\)\(([^;]*)\);/s or die "vfs_ops.h has no op $name\n";
            ($params{$name} = $1) =~ s/\s+/ /g;
        }
        my %kind = (FS => "On a file system, by path", FILE => "On an open file", DIR => "On an open directory");
        my (%rows, $count);
        while ($def =~ /^VFS_OP_(FS|FILE|DIR|HAND)\((.*)\)$/mg) {
            my ($what, $rest) = ($1, $2);
            if ($what eq "HAND") {
                $rest =~ /^(FS|FILE|DIR), (\w+), (\w+), "(.*)"$/ or die "cannot read: $rest\n";
                push @{$rows{$1}}, [$2, $3, $params{$2}, $4];
            } else {
                $rest =~ /^(\w+), (\w+), \((.*?)\), \(.*?\), "(.*)"$/ or die "cannot read: $rest\n";
                my $object = {FS => "vfs_t *fs", FILE => "vfs_file_t *file", DIR => "vfs_dir_t *dir"}->{$what};
                push @{$rows{$what}}, [$1, $2, "$object, $3", $4];
            }
            $count++;
        }
        die "only $count ops: is the format of vfs_ops.def another one?\n" if $count < 50;
        for my $k (qw(FS FILE DIR)) {
            print "\n## $kind{$k}\n\n| op | class | what it does | arguments |\n|---|---|---|---|\n";
            for my $r (@{$rows{$k}}) {
                s/\|/\\|/g for @$r;
                print "| `$r->[0]` | $r->[1] | $r->[3] | `$r->[2]` |\n";
            }
        }' vfs/vfs_ops.def vfs/vfs_ops.h
}

case "${1-}" in
--print) table ;;
--check)
    if ! diff -u docs/ops.md <(table); then
        echo "docs/ops.md is not up to date: run scripts/ops-table.sh" >&2
        exit 1
    fi
    ;;
"")
    made=$(table)
    printf '%s\n' "$made" >docs/ops.md
    ;;
*) sed -n '2,6s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
