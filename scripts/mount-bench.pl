#!/usr/bin/perl
# mount-bench.pl DIR CACHEFS ROUNDS - what scripts/mount-bench.sh runs once all is built: DIR holds passthrough_ll and takes all files.
use strict;
use warnings;
use File::Path qw(make_path remove_tree);
use JSON::PP;
use POSIX qw(O_RDWR O_CREAT O_EXCL);
use Time::HiRes qw(time sleep);

my ($dir, $cachefs, $rounds) = @ARGV;
my $files = 10_000;
my $data  = "$dir/data";
my @systems = qw(plain passthrough careful cachefs rclone);
my %where = (plain => $data, map { $_ => "$dir/mnt-$_" } @systems[1 .. $#systems]);
my %mount = (
    passthrough => ["$dir/passthrough_ll", '-o', "source=$data", $where{passthrough}],
    careful     => ["$dir/passthrough_ll", '-o', "source=$data,xattr,default_permissions", $where{careful}],
    cachefs     => [$cachefs, 'mount', "file://$data", $where{cachefs}, '--ram', '1g'],
    rclone      => ['rclone', 'mount', $data, $where{rclone}, '--vfs-cache-mode', 'full', '--cache-dir', "$dir/rclone", '--daemon'],
);

sub run { system(@_) == 0 or die "mount-bench: @_ failed\n" }

sub is_mounted {
    my ($path) = @_;
    open my $in, '<', '/proc/self/mounts' or die "mount-bench: /proc/self/mounts: $!\n";
    return scalar grep { (split)[1] eq $path } <$in>;
}

sub unmount_all {
    for my $system (grep { $mount{$_} } @systems) {
        system('fusermount3', '-u', '-z', $where{$system}) if is_mounted($where{$system});
    }
}

sub mount_all {
    for my $system (grep { $mount{$_} } @systems) {
        make_path($where{$system});
        run(@{ $mount{$system} });
        for (1 .. 100) { last if is_mounted($where{$system}); sleep 0.1 }
        is_mounted($where{$system}) or die "mount-bench: $system did not mount\n";
    }
}

sub make_data {
    make_path($data);
    if (!-e "$data/big" || -s "$data/big" != 256 << 20) { run("head -c 256M /dev/urandom >$data/big") }
    run('cp', '-r', '/usr/include', "$data/tree") if !-d "$data/tree";
}

# What fio says of one pass or of some seconds over the big file, in bytes a second.
sub fio {
    my ($system, @args) = @_;
    my $out = qx(fio --name=x --filename=$where{$system}/big --readonly --ioengine=psync --size=256m --group_reporting --output-format=json @args 2>/dev/null);
    die "mount-bench: fio failed on $system\n" if $?;
    $out =~ s/^[^{]*//;
    return decode_json($out)->{jobs}[0]{read}{bw_bytes};
}

sub timed {
    my ($what) = @_;
    my $begun = time;
    $what->();
    return 1 / (time - $begun);
}

# Of a file of its own, which the system holds: in place, by calls of 4 KiB.
sub write_over {
    my ($system) = @_;
    my ($text, $at) = ('y' x 4096, 1);
    sysopen my $f, "$where{$system}/small-write-$system", O_RDWR | O_CREAT or die "mount-bench: a file on $system: $!\n";
    for (1 .. (-s $f ? 0 : 32)) { syswrite($f, 'x' x (1 << 20)) == 1 << 20 or die "mount-bench: write on $system: $!\n" }
    my $rate = timed(sub {
        for (1 .. $files) {
            $at = ($at * 1_103_515_245 + 12_345) % (1 << 13);
            sysseek($f, $at * 4096, 0) && syswrite($f, $text) == 4096 or die "mount-bench: write on $system: $!\n";
        }
    });
    close $f or die "mount-bench: close on $system: $!\n";
    return $rate;
}

my $round = 0;
sub small { my ($system, $i) = @_; return sprintf '%s/small-%s-%d/%05d', $where{$system}, $system, $round, $i }

sub create_small {
    my ($system) = @_;
    my $text = 'x' x 1024;
    mkdir "$where{$system}/small-$system-$round" or die "mount-bench: mkdir on $system: $!\n";
    return timed(sub {
        for my $i (1 .. $files) {
            sysopen my $f, small($system, $i), O_RDWR | O_CREAT | O_EXCL or die "mount-bench: create on $system: $!\n";
            syswrite($f, $text) == 1024 or die "mount-bench: write on $system: $!\n";
            close $f or die "mount-bench: close on $system: $!\n";
        }
    });
}

sub stat_small {
    my ($system) = @_;
    return timed(sub { for my $i (1 .. $files) { -s small($system, $i) == 1024 or die "mount-bench: stat on $system\n" } });
}

sub read_small {
    my ($system) = @_;
    return timed(sub {
        for my $i (1 .. $files) {
            open my $f, '<', small($system, $i) or die "mount-bench: open on $system: $!\n";
            sysread($f, my $text, 4096) == 1024 or die "mount-bench: read on $system\n";
        }
    });
}

sub unlink_small {
    my ($system) = @_;
    my $rate = timed(sub { for my $i (1 .. $files) { unlink small($system, $i) or die "mount-bench: unlink on $system: $!\n" } });
    rmdir "$where{$system}/small-$system-$round";
    return $rate;
}

sub shell {
    my ($command) = @_;
    return sub { my ($system) = @_; return timed(sub { run("cd $where{$system}/tree && $command") }) };
}

# Each: what it is, and a rate: more is better. Those "through the daemon" drop what the kernel holds of the file first.
my @cases = (
    ['4 KiB random reads, one job',                     sub { fio($_[0], qw(--rw=randread --bs=4k --invalidate=0 --runtime=2 --time_based)) }],
    ['4 KiB random reads, two jobs',                    sub { fio($_[0], qw(--rw=randread --bs=4k --invalidate=0 --runtime=2 --time_based --numjobs=2)) }],
    ['4 KiB random reads, through the daemon',          sub { fio($_[0], qw(--rw=randread --bs=4k --invalidate=1 --io_size=64m)) }],
    ['1 MiB sequential reads',                          sub { fio($_[0], qw(--rw=read --bs=1m --invalidate=0 --runtime=2 --time_based)) }],
    ['1 MiB sequential reads, through the daemon',      sub { fio($_[0], qw(--rw=read --bs=1m --invalidate=1)) }],
    ['4 KiB random writes',                             \&write_over],
    ['create 10,000 files of 1 KiB',                    \&create_small],
    ['stat them',                                       \&stat_small],
    ['open, read, close them',                          \&read_small],
    ['unlink them',                                     \&unlink_small],
    ['`ls -lR` of /usr/include',                        shell('ls -lR >/dev/null')],
    ['`tar` of /usr/include',                           shell('tar cf - . | cat >/dev/null')],
);

# ---- cold: a mount that is new for each case, of an origin 20 ms away (--delay). Told in round trips, so that it is no bare time.
my $rtt     = 0.02;
my $workers = 8;
my $cold    = "$dir/mnt-cold";

sub make_cold {
    make_path("$data/cold", $cold);
    for my $i (1 .. 1000) {
        next if -e "$data/cold/$i";
        open my $f, '>', "$data/cold/$i" or die "mount-bench: $data/cold/$i: $!\n";
        print $f chr(65 + $i % 26) x 1024;
        close $f or die "mount-bench: $data/cold/$i: $!\n";
    }
}

# How long it takes, and how many bytes came from below.
sub in_the_cold {
    my ($what) = @_;
    run($cachefs, 'mount', "file://$data", $cold, '--ram', '1g', '--delay', '20ms', '--quiet');
    my $begun = time;
    my $done  = eval { $what->(); 1 };
    my $took  = time - $begun;
    my $why   = $@;
    my $stats = decode_json(scalar qx($cachefs stats --json $cold));
    run($cachefs, 'unmount', $cold);
    die $why if !$done;
    return ($took, $stats->{backend_read_bytes});
}

sub read_cold { my ($name) = @_; open my $f, '<', "$cold/cold/$name" or die "mount-bench: $cold/cold/$name: $!\n"; sysread($f, my $text, 4096) == 1024 or die "mount-bench: $name\n" }

sub by_workers {
    my ($job) = @_;
    my @pids = map { my $n = $_; my $pid = fork; if (!$pid) { $job->($n); POSIX::_exit(0) } $pid } 0 .. $workers - 1;
    for my $pid (@pids) { waitpid $pid, 0; die "mount-bench: a worker failed\n" if $? }
}

# Each: what it is, and what it measured, with its unit.
my @cold_cases = (
    ["small files, $workers readers: time for each, of round trip / readers (goal 1.3)", sub {
        my ($took) = in_the_cold(sub { by_workers(sub { my ($n) = @_; read_cold($_) for grep { $_ % $workers == $n } 1 .. 1000 }) });
        return $took / (1000 * $rtt / $workers);
    }],
    ['small files, one reader: round trips for each', sub {
        my ($took) = in_the_cold(sub { read_cold($_) for 1 .. 200 });
        return $took / (200 * $rtt);
    }],
    ['`tar` of 1,000 small files: round trips for each', sub {
        my ($took) = in_the_cold(sub { run("tar cf - -C $cold cold | cat >/dev/null") });
        return $took / (1000 * $rtt);
    }],
    ['random 4 KiB reads of a large file: round trips for each', sub {
        my ($took) = in_the_cold(sub { random_reads(100) });
        return $took / (100 * $rtt);
    }],
    ['the same: bytes from below for each byte read', sub {
        my (undef, $bytes) = in_the_cold(sub { random_reads(100) });
        return $bytes / (100 * 4096);
    }],
    ['256 MiB in order: MiB for each round trip', sub {
        my ($took) = in_the_cold(sub { run("cat $cold/big >/dev/null") });
        return 256 / ($took / $rtt);
    }],
);

# Of a file that is larger than the kernel reads ahead; the same places each time.
sub random_reads {
    my ($count) = @_;
    sysopen my $f, "$cold/big", POSIX::O_RDONLY or die "mount-bench: $cold/big: $!\n";
    my $at = 1;
    for (1 .. $count) {
        $at = ($at * 1_103_515_245 + 12_345) % (1 << 16);
        sysseek $f, $at * 4096, 0 or die "mount-bench: $cold/big: $!\n";
        sysread($f, my $text, 4096) == 4096 or die "mount-bench: $cold/big: $!\n";
    }
}

sub median { my @sorted = sort { $a <=> $b } @_; return $sorted[$#sorted / 2] }

unmount_all();
$SIG{INT} = $SIG{TERM} = sub { system($cachefs, 'unmount', $cold) if is_mounted($cold); unmount_all(); exit 130 };
make_data();
make_cold();
my (%rates, %colds, $died);
eval {
    mount_all();
    for my $system (@systems) { run("cat $where{$system}/big >/dev/null"); shell('tar cf - . | cat >/dev/null')->($system) }
    open my $rows, '>', "$dir/rows.jsonl" or die "mount-bench: rows.jsonl: $!\n";
    for $round (1 .. $rounds) {
        for my $case (@cases) {
            for my $k (0 .. $#systems) {
                my $system = $systems[($k + $round) % @systems];
                my $rate = $case->[1]->($system);
                push @{ $rates{ $case->[0] }{$system} }, $rate;
                print $rows encode_json({ case => $case->[0], system => $system, round => $round, rate => $rate }), "\n";
            }
        }
        for my $case (@cold_cases) {
            my $figure = $case->[1]->();
            push @{ $colds{ $case->[0] } }, $figure;
            print $rows encode_json({ case => $case->[0], system => 'cachefs', round => $round, figure => $figure }), "\n";
        }
        print STDERR "round $round of $rounds\n";
    }
    close $rows or die "mount-bench: rows.jsonl: $!\n";
    1;
} or $died = $@;
unmount_all();
remove_tree("$dir/rclone", glob("$data/small-*"));
die $died if $died;

open my $report, '>', "$dir/report.md" or die "mount-bench: report.md: $!\n";
for my $out (*STDOUT, $report) {
    print $out "| warm, $rounds rounds, medians | cachefs / pass-through | the same with rights | rclone / pass-through | ext4 / pass-through |\n|---|---|---|---|---|\n";
    for my $case (@cases) {
        my %median = map { $_ => median(@{ $rates{ $case->[0] }{$_} }) } @systems;
        my @ratios = map { sprintf '%.2f', $_ } $median{cachefs} / $median{passthrough}, $median{cachefs} / $median{careful},
            map { $median{$_} / $median{passthrough} } qw(rclone plain);
        print $out "| $case->[0] | ", join(' | ', @ratios), " |\n";
    }
    print $out "\n| cold, 20 ms away, $rounds rounds, medians | cachefs |\n|---|---|\n";
    printf $out "| %s | %.2f |\n", $_->[0], median(@{ $colds{ $_->[0] } }) for @cold_cases;
}
