#!/usr/bin/perl
# compare-report.pl --charts DIR --built TEXT ROWS.jsonl - COMPARISON.md on standard output, and in DIR what gnuplot makes
# docs/comparison-*.svg of.
use strict;
use warnings;
use JSON::PP;

my %opt;
while (@ARGV > 1 && $ARGV[0] =~ /^--(charts|built)$/) { shift; $opt{$1} = shift }
my @layers = ('bare', 'cachefs', 'corfs', 'corfs that serves');

sub slurp {
    my ($file) = @_;
    open my $in, '<', $file or return '';
    local $/;
    my $text = <$in>;
    return defined $text ? $text : '';
}

sub machine {
    my ($cpu) = slurp('/proc/cpuinfo') =~ /^model name\s*:\s*(.*)$/m;
    my ($kernel) = slurp('/proc/version') =~ /^(\S+ \S+ \S+)/;
    my ($memory) = slurp('/proc/meminfo') =~ /^MemTotal:\s*(\d+)/;
    my $cpus = () = slurp('/proc/cpuinfo') =~ /^processor/mg;
    return sprintf '%d × %s, %.0f GiB, %s', $cpus, $cpu // 'unknown', ($memory // 0) / 1048576, $kernel // '';
}

sub duration {
    my ($ns) = @_;
    return $ns < 1000 ? sprintf('%.0f ns', $ns) : $ns < 1e6 ? sprintf('%.1f µs', $ns / 1e3) : sprintf('%.1f ms', $ns / 1e6);
}

sub ratio {
    my ($row) = @_;
    return sprintf('%s ± %.0f %%', $row->{faster} < 10 ? sprintf('%.2f', $row->{faster}) : sprintf('%.0f', $row->{faster}),
        $row->{faster_spread} * 50);
}

my (%row, @backends, @works, $rounds);
for my $line (split /\n/, slurp($ARGV[0])) {
    my $r = decode_json($line);
    push @backends, $r->{backend} unless grep { $_ eq $r->{backend} } @backends;
    push @works, $r->{work} unless grep { $_ eq $r->{work} } @works;
    $row{ $r->{backend} }{ $r->{work} }{ $r->{layer} } = $r;
    $rounds = $r->{rounds};
}
die "compare-report.pl: no rows\n" unless @backends;

binmode STDOUT, ':raw';
print <<"END";
# Comparison

Made by `scripts/compare.sh`; do not edit. It shows what a layer over a backend costs and saves: **cachefs**; **corfs**, the
copy-on-read layer of this tree that does what Go's absfs/corfs does; **corfs that serves**, the variant that a user would
expect, which answers from the copy once it is whole and still has the size and time of the original; and the **bare** backend.

| | |
|---|---|
| machine | @{[machine()]} |
| built | $opt{built} |
| rounds | $rounds, after one that warms up; in each the layers take turns |
| settings | the defaults, but `ram=64m` (`1m` where something must be evicted) and `attr_ttl=60s` |

**Method.** Each layer has a backend and files of its own: 400 files of 1 KiB and one of 8 MiB (100 behind 1 ms, 6 behind 20 ms,
where each takes its round trips). An operation is open + read + close of a small file, open + write + close, or 64 KiB of
the large one. Times are medians of the rounds: of processor time over memory and disk, of wall time behind round trips and with two
threads (there, over memory and disk, the best of 15 runs in each round: the machine is shared). "×" is how many times faster than the bare backend of the same round a layer was: the median, and half of the range
of the middle half. Above 1 the layer saves, below 1 it costs.

END

for my $backend (@backends) {
    (my $file = "comparison-$backend") =~ s/ /-/g;
    print "## Over $backend\n\n![how many times faster than the bare backend](docs/$file.svg)\n\n";
    print '| work | ', join(' | ', map { $_ eq 'bare' ? 'bare' : ("$_", '×') } @layers), " |\n";
    print '|---|', '---:|' x (2 * @layers - 1), "\n";
    open my $data, '>', "$opt{charts}/$file.dat" or die "$file: $!\n";
    for my $work (@works) {
        my $cells = $row{$backend}{$work} or next;
        print "| $work | ", join(' | ', map { my $r = $cells->{$_}; $_ eq 'bare' ? duration($r->{ns}) : (duration($r->{ns}), ratio($r)) } @layers), " |\n";
        (my $label = $work) =~ s/,? (over|cold|two|one|a set).*//;
        $label =~ s/:.*//;
        print {$data} join("\t", qq{"$label"}, map { $cells->{$_}{faster} } @layers[1 .. 3]), "\n";
    }
    close $data or die "$file: $!\n";
    print "\n";
    my @lost = grep { $row{$backend}{$_}{cachefs}{faster} < 1 } @works;
    my @beaten = grep { my $w = $_; grep { $row{$backend}{$w}{$_}{faster} > $row{$backend}{$w}{cachefs}{faster} * 1.05 } @layers[2, 3] } @works;
    print 'Slower than the bare backend through cachefs: ', join('; ', @lost) || 'nothing', ".\n";
    print 'A corfs is faster than cachefs by more than 5 %: ', join('; ', @beaten) || 'nowhere', ".\n\n";
    open my $plot, '>', "$opt{charts}/$file.gnuplot" or die "$file: $!\n";
    print {$plot} <<"END";
set terminal svg size 900,380 font "sans-serif,11" background "white"
set output "docs/$file.svg"
set title "Over $backend: times faster than the bare backend (logarithmic)"
set style data histograms
set style histogram clustered gap 1
set style fill solid 0.8 border -1
set logscale y
set grid ytics
set xtics rotate by -25
set key outside right top
plot "$opt{charts}/$file.dat" using 2:xtic(1) title "cachefs" lc rgb "#1b6ca8", "" using 3 title "corfs" lc rgb "#c96f3b", "" using 4 title "corfs that serves" lc rgb "#7a9e5b", 1 with lines lc rgb "black" notitle
END
    close $plot or die "$file: $!\n";
}

my ($network) = slurp('COMPARISON.md') =~ /^(<!-- remote-bench\.sh: begin -->\n.*<!-- remote-bench\.sh: end -->\n)/ms;
print <<'END';
## Why a layer loses

- Over memory there is nothing to save: the backend answers from memory itself, and a cache above it does the same work once more. Those rows
  show what a layer costs.
- A miss and a scan copy bytes twice, into the cache and to the caller, and what is full makes room first.
- Write-through writes below and then into the cached block.

## The Go libraries

Their own report (absfs/cachefs, COMPARISON.md; hardware not ours, nanoseconds an operation, files of 1 KiB in memory):

| work | absfs/cachefs | absfs/corfs |
|---|---:|---:|
| read hit | 255 | 215 |
| read miss | 883 | 957 |
| write-through | 167 | 236 |
| sequential, 100 files | 285,743 | 277,310 |
| random | 1,387 | 1,419 |
| LRU eviction | 1,738 | 800 |
| metadata hit | 19.6 | - |

These stand here for orientation; they are not comparable line by line, since the Go backends do no path resolution and check no permissions.

## Absent

Not measured beside, because they were not run: the Go libraries themselves, JuiceFS, mountpoint-s3, gcsfuse, blobfuse2 (none of them is among Debian's packages).
END
print "\n$network" if $network;
