#!/usr/bin/perl
# remote-report.pl ROWS.jsonl [COMPARISON.md] - what scripts/remote-bench.pl measured as tables: into that file, between its two marks, or on standard output.
use strict;
use warnings;
use JSON::PP;

my ($rows, $file) = @ARGV;
my ($begin, $end) = ("<!-- remote-bench.sh: begin -->\n", "<!-- remote-bench.sh: end -->\n");
my %title = (s3 => 'S3', dav => 'WebDAV', sftp => 'SFTP');

sub slurp {
    my ($name) = @_;
    open my $in, '<', $name or die "remote-report: $name: $!\n";
    local $/;
    return <$in> // '';
}

sub median { my @sorted = sort { $a <=> $b } @_; return $sorted[$#sorted / 2] }

my (%got, %systems, @places, $about);
for my $row (map { decode_json($_) } split /\n/, slurp($rows)) {
    if ($row->{about}) { $about = $row->{about}; next }
    my ($place, $case, $system) = ("$row->{protocol} $row->{delay_ms}", "$row->{case} $row->{pass}", $row->{system});
    push @places, $place unless grep { $_ eq $place } @places;
    $systems{$place}{$system} = 1;
    push @{ $got{$place}{$case}{$system} }, $row;
}
die "remote-report: $rows has no rows\n" unless $about && @places;

my %units = (sequential => $about->{big}, random => $about->{reads}, small => $about->{files}, list => $about->{names}, upload => $about->{upload}, create => $about->{files});

sub count { my ($n) = @_; 1 while $n =~ s/^(\d+)(\d{3})/$1,$2/; return $n }
sub mib { my ($n) = @_; return $n >= 1024 && $n % 1024 == 0 ? $n / 1024 . ' GiB' : "$n MiB" }

my %what = (
    sequential => mib($about->{big}) . ' in order',
    random     => count($about->{reads}) . ' random reads of 4 KiB in ' . mib($about->{big}),
    small      => 'read ' . count($about->{files}) . ' files of 1 KiB',
    list       => '`ls -l` of ' . count($about->{names}) . ' names',
    upload     => 'upload of ' . mib($about->{upload}),
    create     => 'upload of ' . count($about->{files}) . ' files of 1 KiB',
);
my @cases = map { my $case = $_; map { ["$case $_", $what{$case} . ($_ eq 'once' ? '' : ", $_"), $case] } $case =~ /upload|create/ ? 'once' : qw(cold warm) }
    qw(sequential random small list upload create);

# Of the rounds of one cell: seconds and requests for all units, whether a limit cut it, or why there is nothing.
sub cell {
    my ($place, $case, $system) = @_;
    my $list = $got{$place}{ $case->[0] }{$system} // [];
    my @good = grep { !$_->{note} } @$list;
    if (!@good) {
        my ($bad) = @$list or return { text => '-' };
        return { text => $bad->{note} eq 'too long' ? sprintf('> %.0f s', $bad->{seconds}) : $bad->{note}, worse => $bad->{seconds} };
    }
    my $all = $units{ $case->[2] };
    my $seconds = median(map { $_->{seconds} / $_->{units} * $all } @good);
    my $cut = grep { $_->{units} < $all } @good;
    my %cell = (seconds => $seconds, text => ($cut ? '~' : '') . ($seconds < 0.1 ? sprintf('%.3f s', $seconds) : $seconds < 10 ? sprintf('%.2f s', $seconds) : sprintf('%.0f s', $seconds)));
    $cell{requests} = median(map { $_->{requests} / $_->{units} * $all } @good) if defined $good[0]{requests};
    return \%cell;
}

sub figure { my ($x) = @_; return $x < 10 ? sprintf('%.2f', $x) : sprintf('%.0f', $x) }

sub table {
    my ($place) = @_;
    my ($protocol, $ms) = split ' ', $place;
    my @systems = ('cachefs', grep { $systems{$place}{$_} } qw(s3fs davfs2 sshfs rclone));
    my $http = $protocol ne 'sftp';
    my (@behind, @more);
    my $text = "### $title{$protocol}, $ms ms\n\n| | " . join(' | ', map { my $own = $_ eq 'cachefs'; ($_, $own ? () : '×', $http ? 'requests' : ()) } @systems) . " |\n"
        . '|---|' . '---:|' x (@systems * (2 + $http) - 1) . "\n";
    for my $row (map { my $case = $_; map { [$case, $_] } 'cachefs', $case->[2] =~ /upload|create/ && $systems{$place}{back} ? 'back' : () } @cases) {
        my ($case, $who) = @$row;
        my $name = $case->[1] . ($who eq 'back' ? ', `mode=back`' : '');
        my %cell = map { $_ => cell($place, $case, $_) } @systems;
        $cell{cachefs} = cell($place, $case, $who);
        next if !grep { $_->{text} ne '-' } values %cell;
        my @cells;
        for my $system (@systems) {
            my ($own, $its) = ($cell{cachefs}, $cell{$system});
            push @cells, $its->{text};
            my $ratio = $own->{seconds} && ($its->{seconds} // $its->{worse}) ? ($its->{seconds} // $its->{worse}) / $own->{seconds} : undef;
            push @cells, !$ratio ? '-' : ($its->{seconds} ? '' : '> ') . figure($ratio) if $system ne 'cachefs';
            push @cells, defined $its->{requests} ? count(sprintf '%.0f', $its->{requests}) : '-' if $http;
            next if $system eq 'cachefs';
            push @behind, "$name ($system)" if $its->{seconds} && (!$own->{seconds} || $ratio < 1);
            push @more, "$name ($system)" if defined $its->{requests} && ($own->{requests} // 1e9) > $its->{requests} * 1.01 + 1;
        }
        $text .= "| $name | " . join(' | ', @cells) . " |\n";
    }
    $text .= "\ncachefs is behind: " . (join('; ', @behind) || 'nowhere') . ".\n";
    $text .= "It asks more often: " . (join('; ', @more) || 'nowhere') . ".\n" if $http;
    return "$text\n";
}

my $cpus = () = slurp('/proc/cpuinfo') =~ /^processor/mg;
my ($cpu) = slurp('/proc/cpuinfo') =~ /^model name\s*:\s*(.*)$/m;
my ($kernel) = slurp('/proc/version') =~ /^\S+ \S+ (\S+)/;
my $versions = join ', ', map { "$_ $about->{versions}{$_}" } qw(s3fs davfs2 sshfs rclone nginx openssh-server);
my $text = <<"END";
## Over the network: beside s3fs, davfs2, sshfs and rclone

Made by `scripts/remote-bench.sh`; what stands between the marks is its own. The same programs in mounts of the same servers on loopback, through the same proxy,
which is 0 or 20 ms away (there and back; as many bytes as come).

| | |
|---|---|
| measured | commit $about->{commit}, $about->{date}, $cpus × ${\($cpu // 'unknown')}, Linux ${\($kernel // '')} |
| beside | $versions |
| rounds | $about->{rounds}, in which they take turns; medians. Uploads and listings: $about->{heavy}. The machine had other work, too |
| limit | $about->{limit} s for a case; "~" is what was cut by it, reckoned from what was done for all of it; "> n s" did not end |

**Servers.** S3: `bench/remote/s3_origin.py`, the tests' own server in memory, which checks signatures and checksums; s3rver reads all of a bucket again for each
1,000 names of a listing, so 100,000 would be a measure of itself. WebDAV: nginx with its dav-ext module. SFTP: OpenSSH's internal one.

**Method.** Each mounts anew, with an empty cache, for each round; "cold" is the first pass of a case and "warm" the same again. "×" is how many times faster
than this one cachefs is; requests are the lines of the server's log. An upload has ended when the server has all of it, whatever `close` said before. Files are
read and made by one program, one after the other. A connection takes a round trip to be made.

**Settings.** All trust names and attributes for $about->{fresh} s. cachefs: the defaults (write-through), `ram=1g`; with `mode=back` it has a store, whose journal is 4 GiB; s3fs: `use_cache`; davfs2: `cache_size 8192`, `delay_upload 0`, and
`ignore_dav_header 1`, without which it refuses nginx; sshfs: the defaults; rclone: `--vfs-cache-mode full --vfs-write-back 0s`.

END
$text .= table($_) for @places;
if (!$file) { print $text; exit }
my $page = slurp($file);
my $at = index $page, $begin;
my $to = index $page, $end;
if ($at < 0 || $to < $at) { $page =~ s/\n*\z/\n\n/; $at = length $page; $page .= "$begin$end"; $to = $at + length $begin }
substr($page, $at, $to - $at) = "$begin\n$text";
open my $out, '>', $file or die "remote-report: $file: $!\n";
print $out $page;
close $out or die "remote-report: $file: $!\n";
print STDERR "$file has the tables\n";
