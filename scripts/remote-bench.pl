#!/usr/bin/perl
# remote-bench.pl DIR CACHEFS [OPTIONS] - what scripts/remote-bench.sh runs once all is built: DIR holds delay and takes all files.
use strict;
use warnings;
use Cwd qw(abs_path);
use Fcntl qw(SEEK_SET O_RDONLY O_WRONLY O_CREAT O_TRUNC);
use File::Basename qw(dirname);
use File::Path qw(make_path remove_tree);
use Getopt::Long;
use IO::Socket::INET;
use JSON::PP;
use POSIX ();
use Time::HiRes qw(time sleep);

my ($dir, $cachefs) = splice @ARGV, 0, 2;
my $here = abs_path(dirname($0));
my %opt = (rounds => 3, heavy => 1, big => 256, reads => 1000, files => 10_000, names => 100_000, upload => 1024, limit => 600, only => 's3,dav,sftp',
    delays => '0,20', systems => '', cases => '');
if (grep { $_ eq '--small' } @ARGV) { %opt = (%opt, rounds => 1, big => 32, reads => 100, files => 200, names => 2000, upload => 64, limit => 5) }
GetOptions(\%opt, 'small', 'print', 'rounds=i', 'heavy=i', 'big=i', 'reads=i', 'files=i', 'names=i', 'upload=i', 'limit=i', 'only=s', 'delays=s', 'systems=s',
    'cases=s') or die "remote-bench: --help tells the options\n";
my $fresh = 300; # seconds that names and attributes are trusted, by all
my $origin = "$dir/origin";
my $data   = "$origin/data";
my $mnt    = "$dir/mnt";
my $run    = "$dir/run"; # keys, logs and caches of this run
my %systems = (s3 => [qw(cachefs back s3fs rclone)], dav => [qw(cachefs back davfs2 rclone)], sftp => [qw(cachefs back sshfs rclone)]);
my (%server, %daemon, @children);
my $mounted_pid;

sub fail { die 'remote-bench: ', @_, "\n" }
sub run { system(@_) == 0 or fail("@_ failed") }

sub spit {
    my ($name, $text) = @_;
    open my $out, '>', $name or fail("$name: $!");
    print $out $text;
    close $out or fail("$name: $!");
    return $name;
}

# ---- programs of ours

# Input may be a socket, output a pipe; each has a group of its own, so that it can be ended with what it started.
sub child {
    my ($in, $out, @command) = @_;
    my $pid = fork // fail("fork: $!");
    if (!$pid) {
        setpgrp;
        open STDIN, '<&', $in or POSIX::_exit(127) if $in;
        open STDOUT, '>&', $out // *STDERR or POSIX::_exit(127);
        open STDERR, '>>', "$run/errors" or POSIX::_exit(127);
        exec @command or POSIX::_exit(127);
    }
    return $pid;
}

sub is_mounted {
    open my $in, '<', '/proc/self/mounts' or fail("/proc/self/mounts: $!");
    return scalar grep { (split)[1] eq $mnt } <$in>;
}

# Whether it ended in time.
sub wait_for {
    my ($pid, $seconds) = @_;
    for (my $end = time + $seconds; time < $end; sleep 0.02) { return 1 if waitpid($pid, POSIX::WNOHANG()) != 0 }
    return 0;
}

sub unmount {
    my ($hard) = @_;
    for (1 .. ($hard ? 0 : 50)) {
        last if !is_mounted();
        wait_for(child(undef, undef, 'umount', $mnt), 60);
        sleep 0.1;
    }
    system('umount', '-l', $mnt) if is_mounted();
    if ($mounted_pid) { kill 'KILL', $mounted_pid if $hard || !wait_for($mounted_pid, 30); waitpid $mounted_pid, 0 }
    undef $mounted_pid;
}

sub finish { unmount(1); kill 'TERM', $_ for @children; waitpid $_, 0 for @children; @children = () }

# ---- servers

sub listener {
    return IO::Socket::INET->new(Listen => 256, LocalAddr => '127.0.0.1', ReuseAddr => 1) // fail("no port: $!");
}

sub free_port { my $socket = listener(); my $port = $socket->sockport; close $socket; return $port }

sub answers {
    my ($port) = @_;
    for (1 .. 600) { return $port if IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port"); sleep 0.05 }
    fail("nobody listens on port $port: see $run/errors");
}

sub start_s3 {
    my $socket = listener();
    my $port = $socket->sockport;
    push @children, child($socket, undef, 'python3', "$here/../bench/remote/s3_origin.py", $origin, "$run/s3.log");
    close $socket;
    manage($port, 'have?prefix=none');
    return $port;
}

# A question to the bucket that is none of its protocol.
sub manage {
    my ($port, $what) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port", Timeout => 60) or fail("the bucket has gone: see $run/errors");
    print $socket "GET /-/$what HTTP/1.0\r\n\r\n";
    my ($answer) = do { local $/; <$socket> } =~ /\r\n\r\n(\d+)$/ or fail("the bucket does not answer: see $run/errors");
    return $answer;
}

sub start_dav {
    my $port = free_port();
    make_path("$run/nginx");
    spit("$run/nginx/conf", <<"END");
load_module /usr/lib/nginx/modules/ngx_http_dav_ext_module.so;
daemon off; worker_processes 1; user root; pid $run/nginx/pid; error_log $run/nginx/errors;
events { worker_connections 1024; }
http { log_format short '\$request_method \$request_uri \$status'; access_log $run/dav.log short; client_body_temp_path $dir/bodies; proxy_temp_path $run/nginx/t2;
fastcgi_temp_path $run/nginx/t3; uwsgi_temp_path $run/nginx/t4; scgi_temp_path $run/nginx/t5; default_type application/octet-stream; sendfile on; tcp_nodelay on;
dav_ext_lock_zone zone=locks:8m;
server { listen 127.0.0.1:$port; root $origin; client_max_body_size 0; dav_methods PUT DELETE MKCOL COPY MOVE;
dav_ext_methods PROPFIND OPTIONS LOCK UNLOCK; dav_ext_lock zone=locks; } }
END
    push @children, child(undef, undef, '/usr/sbin/nginx', '-p', "$run/nginx", '-c', "$run/nginx/conf", '-e', "$run/nginx/errors");
    return answers($port);
}

sub start_sftp {
    my $port = free_port();
    make_path("$run/ssh");
    run('ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', "$run/ssh/$_") for qw(host user);
    spit("$run/ssh/config", "HostKey $run/ssh/host\nAuthorizedKeysFile $run/ssh/user.pub\nPidFile none\nUsePAM no\nStrictModes no\n"
        . "PermitRootLogin yes\nPort $port\nListenAddress 127.0.0.1\nSubsystem sftp internal-sftp\n");
    push @children, child(undef, undef, '/usr/sbin/sshd', '-D', '-f', "$run/ssh/config", '-E', "$run/ssh/log");
    return answers($port);
}

sub start_proxy {
    my ($port, $ms) = @_;
    pipe my $in, my $out or fail("pipe: $!");
    push @children, child(undef, $out, "$dir/delay", $port, $ms);
    close $out;
    chomp(my $own = <$in>);
    return $own;
}

# The lines of the log of an HTTP server.
sub requests {
    my ($protocol) = @_;
    return 0 if $protocol eq 'sftp';
    open my $in, '<', "$run/$protocol.log" or return 0;
    my $count = 0;
    while (sysread $in, my $piece, 1 << 20) { $count += $piece =~ tr/\n// }
    return $count;
}

# ---- who is measured

sub rclone_mount {
    my ($remote) = @_;
    return ['rclone', 'mount', $remote, $mnt, '--vfs-cache-mode', 'full', '--cache-dir', "$run/cache", '--dir-cache-time', "${fresh}s", '--attr-timeout', "${fresh}s",
        '--vfs-write-back', '0s', '--config', '/dev/null'];
}

sub cachefs_mount {
    my ($system, $uri) = @_;
    return [$cachefs, 'mount', $uri, $mnt, '--foreground', '--ram', '1g', '--attr-ttl', "${fresh}s", '--set', "listing_ttl=${fresh}s",
        $system eq 'back' ? ('--mode', 'back', '--store', "$run/cache/store", '--set', 'origin=bench', '--set', 'journal_bytes=4g') : ()];
}

my %how = (
    s3 => {
        cachefs => sub { cachefs_mount($_[1], "s3://test/data?endpoint=http://127.0.0.1:$_[0]&proxy=none") },
        s3fs    => sub { ['s3fs', 'test:/data', $mnt, '-f', '-o', "url=http://127.0.0.1:$_[0],use_path_request_style,endpoint=us-east-1,use_cache=$run/cache,stat_cache_expire=$fresh"] },
        rclone  => sub { rclone_mount(":s3,provider=Other,env_auth=true,region=us-east-1,endpoint='http://127.0.0.1:$_[0]':test/data") },
    },
    dav => {
        cachefs => sub { cachefs_mount($_[1], "dav://127.0.0.1:$_[0]/data?proxy=none") },
        davfs2  => sub {
            spit("$run/davfs2.conf", "ask_auth 0\nignore_dav_header 1\ncache_dir $run/cache\ncache_size 8192\ndir_refresh $fresh\nfile_refresh $fresh\ndelay_upload 0\n");
            ['mount.davfs', "http://127.0.0.1:$_[0]/data", $mnt, '-o', "conf=$run/davfs2.conf"];
        },
        rclone => sub { rclone_mount(":webdav,vendor=other,url='http://127.0.0.1:$_[0]/data':") },
    },
    sftp => {
        cachefs => sub { cachefs_mount($_[1], "sftp://root\@127.0.0.1:$_[0]$data?identity=$run/ssh/user&known_hosts=$run/ssh/known") },
        sshfs   => sub { ['sshfs', "root\@127.0.0.1:$data", $mnt, '-f', '-p', $_[0], '-o', "IdentityFile=$run/ssh/user,UserKnownHostsFile=$run/ssh/known,dcache_timeout=$fresh,dcache_max_size=1000000"] },
        rclone  => sub { rclone_mount(":sftp,host=127.0.0.1,port=$_[0],user=root,key_file=$run/ssh/user,known_hosts_file=$run/ssh/known:$data") },
    },
);

# All but davfs2 stay children of ours.
sub mount_it {
    my ($protocol, $system, $port) = @_;
    remove_tree("$run/cache");
    make_path($mnt, "$run/cache");
    if ($system eq 'davfs2') { run('chown', 'root:davfs2', "$run/cache"); chmod 0775, "$run/cache" }
    my $pid = child(undef, undef, @{ $how{$protocol}{ $system eq 'back' ? 'cachefs' : $system }->($port, $system) });
    my $ended = 0;
    for (1 .. 300) {
        last if is_mounted();
        fail("$system does not mount") if $ended++ > 50;
        $ended = 0 if waitpid($pid, POSIX::WNOHANG()) == 0;
        sleep 0.05;
    }
    if (!is_mounted()) { kill 'KILL', $pid; waitpid $pid, 0; fail("$system does not mount within 15 s") }
    $mounted_pid = $pid if $system ne 'davfs2';
    opendir my $top, $mnt or fail("$system: $!");
}

# ---- what is measured: each says how many units it did

sub make_data {
    make_path("$data/small", "$data/many", "$data/up", "$dir/bodies");
    spit("$data/up/keep", '');
    for my $name ('big', 'random') {
        run("head -c $opt{big}M /dev/urandom >$data/$name") if (-s "$data/$name" // 0) != $opt{big} << 20;
    }
    for my $what (['small', $opt{files}, 'x' x 1024], ['many', $opt{names}, '']) {
        my ($name, $count, $text) = @$what;
        next if -e "$data/$name/" . ($count - 1) && !-e "$data/$name/$count";
        remove_tree("$data/$name", { keep_root => 1 });
        spit("$data/$name/$_", $text) for 0 .. $count - 1;
    }
}

my ($over, $most); # when to stop: at a time, after so many units

sub read_big {
    my $done = 0;
    sysopen my $f, "$mnt/big", O_RDONLY or fail("big: $!");
    while (time < $over && $done < $most) {
        my $n = sysread($f, my $piece, 1 << 20) // fail("big: $!");
        last if !$n;
        $done += $n / (1 << 20);
    }
    return $done;
}

sub read_random {
    srand 7;
    sysopen my $f, "$mnt/random", O_RDONLY or fail("random: $!");
    for my $i (0 .. $most - 1) {
        return $i if time >= $over;
        sysseek $f, 4096 * int(rand($opt{big} * 256)), SEEK_SET;
        (sysread($f, my $piece, 4096) // 0) == 4096 or fail("random: a short read, $!");
    }
    return $most;
}

sub read_small {
    for my $i (0 .. $most - 1) {
        return $i if time >= $over;
        open my $f, '<', "$mnt/small/$i" or fail("small/$i: $!");
        (sysread($f, my $text, 4096) // 0) == 1024 or fail("small/$i: a short read, $!");
    }
    return $most;
}

sub list_many {
    my @said = qx(ls -l $mnt/many 2>&1 >$run/listing; wc -l <$run/listing);
    my ($lines, $said) = @said[-1, 0];
    $lines > $opt{names} or fail("a listing of $lines lines: $said");
    return $opt{names};
}

sub write_big {
    my $piece = pack('N*', map { $_ * 2_654_435_761 % 4_294_967_296 } 1 .. 1 << 18);
    my $done = 0;
    sysopen my $f, "$mnt/up/big", O_WRONLY | O_CREAT | O_TRUNC, 0644 or fail("up/big: $!");
    while ($done < $most && time < $over) {
        (syswrite($f, $piece) // 0) == 1 << 20 or fail("up/big: $!");
        $done++;
    }
    close $f or fail("up/big: $!");
    return $done;
}

sub write_small {
    for my $i (0 .. $most - 1) {
        return $i if time >= $over;
        open my $f, '>', "$mnt/up/$i" or fail("up/$i: $!");
        print $f 'y' x 1024;
        close $f or fail("up/$i: $!");
    }
    return $most;
}

# Waits until the server has them; how many it has at the end.
sub arrived {
    my ($protocol, $end, %want) = @_;
    my $all = keys %want;
    for (;; sleep 0.05) {
        my $there;
        if ($protocol eq 's3') {
            my %sizes = map { $_ => 1 } values %want;
            $there = 0;
            $there += manage($server{s3}, "have?prefix=data/up/&size=$_") for keys %sizes;
        } else {
            for my $name (keys %want) { delete $want{$name} if (-s "$data/up/$name" // -1) == $want{$name} }
            $there = $all - keys %want;
        }
        return $there if $there >= $all || time > $end;
    }
}

my @cases = (
    { name => 'sequential', units => $opt{big}, do => \&read_big, passes => [qw(cold warm)] },
    { name => 'random', units => $opt{reads}, do => \&read_random, passes => [qw(cold warm)] },
    { name => 'small', units => $opt{files}, do => \&read_small, passes => [qw(cold warm)] },
    { name => 'list', units => $opt{names}, do => \&list_many, passes => [qw(cold warm)], heavy => 1 },
    { name => 'upload', units => $opt{upload}, do => \&write_big, passes => ['once'], heavy => 1,
        want => sub { (big => $_[0] << 20) } },
    { name => 'create', units => $opt{files}, do => \&write_small, passes => ['once'], heavy => 1,
        want => sub { map { $_ => 1024 } 0 .. $_[0] - 1 } },
);

# In a process of its own, since who reads a mount may hang.
sub measured {
    my ($protocol, $case, $units) = @_;
    pipe my $in, my $out or fail("pipe: $!");
    my $begun = time;
    my $hard = $begun + ($case->{name} eq 'upload' ? 5 : 2) * $opt{limit} + 5;
    my $pid = fork // fail("fork: $!");
    if (!$pid) {
        setpgrp;
        ($over, $most) = ($begun + $opt{limit}, $units);
        my $done = eval { $case->{do}->() } // 0;
        my ($why) = ($done ? '' : $@ // '') =~ /([^:]*)$/;
        syswrite $out, "$done " . (time - $begun) . " $why\n";
        POSIX::_exit(0);
    }
    close $out;
    if (!wait_for($pid, $hard - time)) { kill 'KILL', -$pid; return { seconds => time - $begun, note => 'too long' } }
    my ($done, $seconds, $why) = split ' ', <$in> // '0 0', 3;
    my $row = { units => $done + 0, seconds => $seconds + 0 };
    return { note => 'fails (' . ($why =~ s/\s+\z//r) . ')' } if $done <= 0;
    if ($case->{want}) {
        my %want = $case->{want}->($done);
        my $there = arrived($protocol, $hard, %want);
        $row = { %$row, written => $row->{seconds}, seconds => time - $begun };
        if ($there < keys %want) { if ($there > 1) { $row = { %$row, units => $there, late => 1 } } else { $row->{note} = 'too long' } }
    }
    return $row;
}

# Behind the back of all who have mounted: only when nobody has.
sub drop_uploads {
    my ($protocol) = @_;
    if ($protocol eq 's3') { manage($server{s3}, "drop?prefix=data/up/$_") for 'big', 0 .. 9 }
    else { opendir my $d, "$data/up" or fail("up: $!"); unlink map { "$data/up/$_" } grep { !/^\.|^keep$/ } readdir $d }
}

sub measure_all {
    my ($rows, $round, $protocol, $ms, $port, $system) = @_;
    my $write = sub {
        my ($row) = @_;
        print $rows encode_json({ protocol => $protocol, delay_ms => $ms, system => $system, round => $round, %$row }), "\n";
        $rows->flush;
    };
    for my $case (@cases) {
        next if $case->{heavy} && $round > $opt{heavy} || index($case->{name}, $opt{cases}) < 0 || $system eq 'back' && !$case->{want};
        my $units = $case->{units};
        for my $pass (@{ $case->{passes} }) {
            my %id = (case => $case->{name}, pass => $pass);
            if (!is_mounted() && !eval { mount_it($protocol, $system, $port); 1 }) { $write->({ %id, note => 'does not mount' }); print STDERR $@; return }
            my $before = requests($protocol);
            my $row = measured($protocol, $case, $units);
            sleep 0.1;
            $row->{requests} = requests($protocol) - $before if $protocol ne 'sftp';
            $write->({ %id, %$row });
            printf STDERR "%-4s %2d ms %-8s %-10s %-4s %9.3f s of %s, %s requests %s\n", $protocol, $ms, $system, $case->{name}, $pass, $row->{seconds} // 0,
                $row->{units} // '-', $row->{requests} // '-', $row->{note} // '';
            if ($row->{note} || $row->{late}) { unmount(1); last }
            $units = $row->{units};
        }
    }
    unmount();
    drop_uploads($protocol);
}

sub version {
    my ($what) = @_;
    my $version = qx(dpkg-query -W -f='\${Version}' $what 2>/dev/null);
    return $version || 'not installed';
}

my $died;
unmount(1);
$SIG{INT} = $SIG{TERM} = sub { finish(); exit 130 };
delete @ENV{ grep { /^AWS_|_proxy$/i } keys %ENV };
$ENV{AWS_ACCESS_KEY_ID} = 'KEY';
$ENV{AWS_SECRET_ACCESS_KEY} = 'SECRET';
$ENV{no_proxy} = '127.0.0.1';
eval {
    remove_tree($run);
    make_path($run);
    make_data();
    my @protocols = split /,/, $opt{only};
    my %start = (s3 => \&start_s3, dav => \&start_dav, sftp => \&start_sftp);
    my @places;
    for my $protocol (@protocols) {
        $server{$protocol} = $start{$protocol}->();
        push @places, map { [$protocol, $_, start_proxy($server{$protocol}, $_)] } split /,/, $opt{delays};
    }
    if ($server{sftp}) {
        open my $key, '<', "$run/ssh/host.pub" or fail("host.pub: $!");
        my $line = <$key>;
        spit("$run/ssh/known", join '', map { "[127.0.0.1]:$_->[2] $line" } grep { $_->[0] eq 'sftp' } @places);
    }
    open my $rows, '>', "$dir/rows.jsonl" or fail("rows.jsonl: $!");
    chomp(my $commit = qx(git -C $here describe --always --dirty --abbrev=10));
    print $rows encode_json({ about => { %opt, fresh => $fresh, commit => $commit, date => POSIX::strftime('%F %R', gmtime) . ' UTC',
        versions => { map { $_ => version($_) } qw(s3fs davfs2 sshfs rclone nginx openssh-server python3) } } }), "\n";
    for my $round (1 .. $opt{rounds}) {
        for my $place (@places) {
            my ($protocol, $ms, $port) = @$place;
            my @names = grep { !$opt{systems} || ",$opt{systems}," =~ /,$_,/ } @{ $systems{$protocol} };
            measure_all($rows, $round, $protocol, $ms, $port, $names[($_ + $round) % @names]) for 0 .. $#names;
        }
        print STDERR "round $round of $opt{rounds}\n";
    }
    close $rows or fail("rows.jsonl: $!");
    1;
} or $died = $@;
finish();
die $died if $died;
