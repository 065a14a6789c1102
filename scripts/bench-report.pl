#!/usr/bin/perl
# bench-report.pl [--check 1] [--json FILE] [--built TEXT] [--also FILE] RUN.jsonl... - the median over runs of cachefs-bench, case by case:
# a table on standard output, and one JSON document with machine, build and rows. With --check 1 the exit status is 1 if a
# goal is missed. --also: rows that are no run, such as counts of instructions.
use strict;
use warnings;
use JSON::PP;

my %opt = (check => 0, json => '', built => '', also => '');
while (@ARGV && $ARGV[0] =~ /^--(check|json|built|also)$/) {
    shift;
    $opt{$1} = shift;
}

sub slurp {
    my ($file) = @_;
    open my $in, '<', $file or return '';
    local $/;
    my $text = <$in>;
    return defined $text ? $text : '';
}

sub median {
    my @sorted = sort { $a <=> $b } @_;
    return $sorted[$#sorted / 2];
}

my (%rows, @order);
for my $file (@ARGV, $opt{also} ? $opt{also} : ()) {
    for my $line (split /\n/, slurp($file)) {
        my $row = decode_json($line);
        my $key = "$row->{id} $row->{unit} " . ($row->{peer} // '');
        push @order, $key unless $rows{$key};
        push @{ $rows{$key} }, $row;
    }
}
die "bench-report.pl: no rows\n" unless @order;

my ($cpu) = slurp('/proc/cpuinfo') =~ /^model name\s*:\s*(.*)$/m;
my ($kernel) = slurp('/proc/version') =~ /^(\S+ \S+ \S+)/;
my ($memory) = slurp('/proc/meminfo') =~ /^MemTotal:\s*(\d+)/;
my $cpus = () = slurp('/proc/cpuinfo') =~ /^processor/mg;
my ($load) = slurp('/proc/loadavg') =~ /^(\S+)/;
my $machine = sprintf '%d x %s, %d GiB, %s, load %s', $cpus, $cpu // 'unknown', ($memory // 0) / 1048576, $kernel // '', $load // '?';

print "machine: $machine\nbuilt:   $opt{built}\nruns:    ", scalar @ARGV, ", the median of each row\n\n";
printf "%-34s %12s %-4s %-30s %12s %8s %8s  %-4s %s\n", 'case', 'ours', '', 'peer', 'theirs', 'ratio', 'goal', 'met', 'spread';
my ($missed, @out) = (0);
for my $key (@order) {
    my @runs = @{ $rows{$key} };
    my %row = %{ $runs[0] };
    for my $number (qw(ns peer_ns ratio spread)) {
        $row{$number} = 0 + median(map { $_->{$number} } @runs) if defined $row{$number};
    }
    my @ratios = map { $_->{ratio} // $_->{ns} } @runs;
    $row{runs} = \@ratios;
    if (defined $row{goal}) {
        my ($how, $limit, $times) = $row{goal} =~ /^(<=|>=) ([0-9.e+]+)(x?)$/ or die "bench-report.pl: $row{goal}?\n";
        my $judged = $times ? $row{ratio} : $row{ns};
        my $holds = $how eq '<=' ? $judged <= $limit : $judged >= $limit;
        $row{holds} = $holds ? JSON::PP::true : JSON::PP::false;
        $missed++ unless $holds;
    }
    printf "%-34s %12.2f %-4s %-30s %12s %8s %8s  %-4s +-%.0f%%\n", $row{id}, $row{ns}, $row{unit}, $row{peer} // '-',
        defined $row{peer_ns} ? sprintf('%.2f', $row{peer_ns}) : '-', $row{ratio} ? sprintf('%.2f', $row{ratio}) : '-',
        $row{goal} // '-', !defined $row{goal} ? '' : $row{holds} ? 'yes' : 'NO', $row{spread} * 50;
    push @out, \%row;
}
my $goals = grep { defined $_->{goal} } @out;
printf "\n%d of %d goals are met\n", $goals - $missed, $goals;

if ($opt{json}) {
    open my $file, '>', $opt{json} or die "bench-report.pl: $opt{json}: $!\n";
    print {$file} JSON::PP->new->canonical->pretty->encode({ machine => $machine, built => $opt{built}, rows => \@out });
    close $file or die "bench-report.pl: $opt{json}: $!\n";
}
exit($opt{check} && $missed ? 1 : 0);
