#!/usr/bin/perl
# remote-bench.pl DIR CACHEFS ROUNDS - what scripts/remote-bench.sh runs once all is built: DIR holds delay and takes all files.
use strict;
use warnings;
use Fcntl qw(SEEK_SET O_RDONLY);
use File::Path qw(make_path remove_tree);
use IO::Socket::INET;
use JSON::PP;
use POSIX ();
use Time::HiRes qw(time sleep);

my ($dir, $cachefs, $rounds) = @ARGV;
my $files = $ENV{REMOTE_BENCH_FILES} // 200;
my $reads = 500;
my $data  = "$dir/data";
my $mnt   = "$dir/mnt";
my @systems = qw(sshfs cachefs rclone);
my @children;

sub run { system(@_) == 0 or die "remote-bench: @_ failed\n" }

sub is_mounted {
    open my $in, '<', '/proc/self/mounts' or die "remote-bench: /proc/self/mounts: $!\n";
    return scalar grep { (split)[1] eq $mnt } <$in>;
}

sub unmount {
    for (1 .. 50) {
        return if !is_mounted();
        system("fusermount3 -u $mnt 2>/dev/null || umount $mnt 2>/dev/null");
        sleep 0.1;
    }
    system('umount', '-l', $mnt);
}

sub finish { unmount(); kill 'TERM', $_ for @children; waitpid $_, 0 for @children; @children = () }

sub child {
    my (@command) = @_;
    my $pid = fork // die "remote-bench: fork: $!\n";
    if (!$pid) { exec @command or POSIX::_exit(127) }
    push @children, $pid;
    return $pid;
}

sub start_server {
    my $socket = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1', ReuseAddr => 1) or die "remote-bench: no port: $!\n";
    my $port = $socket->sockport;
    close $socket;
    remove_tree("$dir/ssh");
    make_path("$dir/ssh");
    run('ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', "$dir/ssh/$_") for qw(host user);
    open my $conf, '>', "$dir/ssh/config" or die "remote-bench: $!\n";
    print $conf "HostKey $dir/ssh/host\nAuthorizedKeysFile $dir/ssh/user.pub\nPidFile none\nUsePAM no\nStrictModes no\n",
        "PermitRootLogin yes\nPort $port\nListenAddress 127.0.0.1\nSubsystem sftp internal-sftp\n";
    close $conf or die "remote-bench: $!\n";
    child('/usr/sbin/sshd', '-D', '-f', "$dir/ssh/config", '-E', "$dir/ssh/log");
    for (1 .. 100) { last if IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port"); sleep 0.05 }
    return $port;
}

sub start_delay {
    my ($port, $ms) = @_;
    pipe my $in, my $out or die "remote-bench: pipe: $!\n";
    my $pid = fork // die "remote-bench: fork: $!\n";
    if (!$pid) { open STDOUT, '>&', $out; exec "$dir/delay", $port, $ms or POSIX::_exit(127) }
    push @children, $pid;
    close $out;
    chomp(my $own = <$in>);
    return $own;
}

sub know {
    my (@ports) = @_;
    open my $key, '<', "$dir/ssh/host.pub" or die "remote-bench: $!\n";
    my $line = <$key>;
    open my $known, '>', "$dir/ssh/known" or die "remote-bench: $!\n";
    print $known "[127.0.0.1]:$_ $line" for @ports;
    close $known or die "remote-bench: $!\n";
}

# What each remembers of names and attributes lives for 20 seconds, as sshfs has it.
sub mount_it {
    my ($system, $port) = @_;
    my $key = "$dir/ssh/user";
    make_path($mnt);
    remove_tree("$dir/rclone");
    my %how = (
        cachefs => [$cachefs, 'mount', "sftp://root\@127.0.0.1:$port$data?identity=$key&known_hosts=$dir/ssh/known", $mnt, '--ram', '1g', '-o', 'attr_ttl=20s,listing_ttl=20s'],
        sshfs   => ['sshfs', "root\@127.0.0.1:$data", $mnt, '-p', $port, '-o', "IdentityFile=$key,UserKnownHostsFile=$dir/ssh/known"],
        rclone  => ['rclone', 'mount', ":sftp,host=127.0.0.1,port=$port,user=root,key_file=$key,known_hosts_file=$dir/ssh/known:$data", $mnt,
                    '--vfs-cache-mode', 'full', '--cache-dir', "$dir/rclone", '--dir-cache-time', '20s', '--daemon', '--config', '/dev/null'],
    );
    run(@{ $how{$system} });
    for (1 .. 100) { last if is_mounted(); sleep 0.1 }
    is_mounted() or die "remote-bench: $system did not mount\n";
}

sub make_data {
    make_path($data);
    if (!-e "$data/big" || -s "$data/big" != 64 << 20) { run("head -c 64M /dev/urandom >$data/big && cp $data/big $data/random") }
    return if -e "$data/small/" . ($files - 1);
    make_path("$data/small");
    for my $i (0 .. $files - 1) {
        open my $f, '>', "$data/small/$i" or die "remote-bench: $!\n";
        print $f 'x' x 1024;
        close $f or die "remote-bench: $!\n";
    }
    make_path("$data/many");
    for my $i (0 .. 9_999) { open my $f, '>', "$data/many/$i" or die "remote-bench: $!\n" }
}

sub timed {
    my ($what) = @_;
    my $begun = time;
    $what->();
    return time - $begun;
}

sub read_random {
    srand 7;
    sysopen my $f, "$mnt/random", O_RDONLY or die "remote-bench: $!\n";
    for (1 .. $reads) {
        sysseek $f, 4096 * int rand 16384, SEEK_SET;
        sysread($f, my $buf, 4096) == 4096 or die "remote-bench: a short read\n";
    }
}

sub read_small {
    for my $i (0 .. $files - 1) {
        open my $f, '<', "$mnt/small/$i" or die "remote-bench: $!\n";
        sysread($f, my $buf, 4096) == 1024 or die "remote-bench: a short read\n";
    }
}

my @cases = (
    ['64 MiB, from its beginning to its end', sub { run("cat $mnt/big >/dev/null") }],
    ["$reads random reads of 4 KiB", \&read_random],
    ["open, read, close $files files of 1 KiB", \&read_small, 'rclone'], # but not on rclone: it takes 50 ms for each, near too
    ['`ls -l` of 10,000 names', sub { run("ls -l $mnt/many >/dev/null") }],
);

sub median { my @sorted = sort { $a <=> $b } @_; return $sorted[$#sorted / 2] }

my (%took, $died);
unmount();
$SIG{INT} = $SIG{TERM} = sub { finish(); exit 130 };
eval {
    make_data();
    my $near = start_server();
    my $far = start_delay($near, 20);
    know($near, $far);
    open my $rows, '>', "$dir/rows.jsonl" or die "remote-bench: rows.jsonl: $!\n";
    for my $round (1 .. $rounds) {
        for my $where ([0, $near], [20, $far]) {
            for my $k (0 .. $#systems) {
                my $system = $systems[($k + $round) % @systems];
                mount_it($system, $where->[1]);
                for my $pass ('cold', 'warm') {
                    for my $case (grep { ($_->[2] // '') ne $system } @cases) {
                        my $seconds = timed($case->[1]);
                        push @{ $took{ $where->[0] }{$pass}{ $case->[0] }{$system} }, $seconds;
                        print $rows encode_json({ delay_ms => $where->[0], pass => $pass, case => $case->[0], system => $system, round => $round, seconds => $seconds }), "\n";
                    }
                }
                unmount();
            }
        }
        print STDERR "round $round of $rounds\n";
    }
    close $rows or die "remote-bench: rows.jsonl: $!\n";
    1;
} or $died = $@;
finish();
die $died if $died;

open my $report, '>', "$dir/report.md" or die "remote-bench: report.md: $!\n";
for my $out (*STDOUT, $report) {
    print $out "| $rounds rounds, medians | delay | sshfs takes | cachefs / sshfs | rclone / sshfs |\n|---|---|---|---|---|\n";
    for my $ms (0, 20) {
        for my $pass ('cold', 'warm') {
            for my $case (@cases) {
                my %m = map { $_ => median(@{ $took{$ms}{$pass}{ $case->[0] }{$_} }) } grep { ($case->[2] // '') ne $_ } @systems;
                printf $out "| %s, %s | %d ms | %.3f s | %.2f | %s |\n", $case->[0], $pass, $ms, $m{sshfs}, $m{sshfs} / $m{cachefs},
                    $m{rclone} ? sprintf('%.2f', $m{sshfs} / $m{rclone}) : '-';
            }
        }
    }
}
