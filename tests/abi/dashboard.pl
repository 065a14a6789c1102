#!/usr/bin/perl
# dashboard.pl METRICS.md DASHBOARD.json | self-test - every query of the dashboard must name metrics that exist, by the table of
# docs/metrics.md (which abi_docs_metrics holds against the sources), select by labels and values that they have, and be balanced;
# every panel needs a query.
use strict;
use warnings;
use JSON::PP;

my %always = map { $_ => 1 } qw(instance job le); # Prometheus adds these

# name -> {type, labels => {label => {value => 1}}}
sub table_of {
    my ($text) = @_;
    my %metrics;
    for my $line (split /\n/, $text) {
        my ($name, $type, $labels) = $line =~ /^\| `(cachefs_\w+)` \| (\w+) \| [^|]* \| ([^|]*)\|/ or next;
        my %labels;
        for my $part (split /;/, $labels) {
            my ($label, $values) = $part =~ /`(\w+)`:\s*(.*)$/ or next;
            $labels{$label} = { map { $_ => 1 } $values =~ /`(\w+)`/g };
        }
        $metrics{$name} = { type => $type, labels => \%labels };
    }
    return \%metrics;
}

sub metric_of {
    my ($metrics, $name) = @_;
    return $metrics->{$name} if $metrics->{$name} && $metrics->{$name}{type} ne 'histogram';
    (my $base = $name) =~ s/_(?:bucket|sum|count)$//;
    return $base ne $name && $metrics->{$base} && $metrics->{$base}{type} eq 'histogram' ? $metrics->{$base} : undef;
}

sub faults_of_query {
    my ($metrics, $expr) = @_;
    my @faults;
    for my $pair ([qw/( )/], [qw/{ }/], [qw/[ ]/]) {
        my ($open, $close) = map { my $c = $_; scalar(() = $expr =~ /\Q$c\E/g) } @$pair;
        push @faults, "$pair->[0] without $pair->[1]" if $open != $close;
    }
    my @names = $expr =~ /\b(cachefs_\w+)/g;
    push @faults, 'names no metric' unless @names;
    my @uses = $expr =~ /\b(cachefs_\w+(?:\{[^}]*\})?)/g;
    for my $use (@uses) {
        my ($name, $selectors) = $use =~ /^(\w+)(.*)$/s;
        my $metric = metric_of($metrics, $name);
        if (!$metric) {
            push @faults, "there is no $name";
            next;
        }
        push @faults, "$name is a counter: it wants a rate"
            if $metric->{type} ne 'gauge' && $expr !~ /rate\(\Q$name\E\b/;
        my @selected = $selectors =~ /(\w+)\s*(?:=~|!~|!=|=)\s*"([^"]*)"/g;
        while (my ($label, $values) = splice @selected, 0, 2) {
            next if $always{$label};
            my $known = $metric->{labels}{$label};
            push @faults, "$name has no label $label" unless $known;
            for my $value ($known && %$known ? split(/\|/, $values) : ()) {
                push @faults, "$label of $name is never $value" unless $known->{$value};
            }
        }
        for my $by ($expr =~ /\bby\s*\(([^)]*)\)/g) {
            for my $label (split /\s*,\s*/, $by) {
                push @faults, "$name has no label $label" unless $always{$label} || $metric->{labels}{$label};
            }
        }
    }
    return @faults;
}

sub faults_of {
    my ($metrics, $json) = @_;
    my $dashboard = eval { JSON::PP->new->utf8->decode($json) } or return ("it is no JSON: $@");
    my @panels = @{ $dashboard->{panels} // [] };
    my @faults = @panels ? () : ('it has no panels');
    my %ids;
    for my $panel (@panels) {
        my @queries = map { $_->{expr} // '' } @{ $panel->{targets} // [] };
        push @faults, "$panel->{title}: its id is another one's" if $ids{ $panel->{id} // '' }++;
        push @faults, "$panel->{title}: it has no query" unless @queries;
        for my $query (@queries) {
            push @faults, map {"$panel->{title}: $_: $query"} faults_of_query($metrics, $query);
        }
    }
    for my $variable (@{ $dashboard->{templating}{list} // [] }) {
        next unless $variable->{type} eq 'query';
        my ($name) = $variable->{query} =~ /(cachefs_\w+)/;
        push @faults, "the variable $variable->{name} names no metric that is there"
            unless defined $name && metric_of($metrics, $name);
    }
    return @faults;
}

sub self_test {
    my $metrics = table_of("| `cachefs_a_total` | counter | x | `result`: `hit`, `miss` | m |\n| `cachefs_g` | gauge | x | | m |\n" .
        "| `cachefs_h_seconds` | histogram | s | `op`: `read`; `result`: `hit` | m |\n");
    my @good = ('sum(cachefs_g{instance=~"x"})', 'rate(cachefs_a_total{result=~"hit|miss"}[1m])',
        'sum by (le, op) (rate(cachefs_h_seconds_bucket{op="read"}[1m]))');
    my @bad = ('cachefs_none', '1', 'sum(cachefs_g', 'rate(cachefs_a_total{color="red"}[1m])', 'rate(cachefs_a_total{result="gone"}[1m])',
        'cachefs_a_total', 'rate(cachefs_h_seconds[1m])', 'sum by (op) (rate(cachefs_a_total[1m]))');
    for (@good) { my @f = faults_of_query($metrics, $_); die "$_: @f\n" if @f }
    for (@bad) { die "$_ is let pass\n" unless faults_of_query($metrics, $_) }
    for ('{', '{}', '{"panels":[]}', '{"panels":[{"id":1,"title":"t"}]}') { die "$_ is let pass\n" unless faults_of($metrics, $_) }
}

sub slurp {
    my ($file) = @_;
    open my $in, '<', $file or die "$file: $!\n";
    local $/;
    return scalar <$in>;
}

die "usage: dashboard.pl METRICS.md DASHBOARD.json | self-test\n" unless @ARGV == 2 || "@ARGV" eq 'self-test';
if (@ARGV == 1) {
    self_test();
    exit 0;
}
my @faults = faults_of(table_of(slurp($ARGV[0])), slurp($ARGV[1]));
print "$ARGV[1]: $_\n" for @faults;
exit(@faults ? 1 : 0);
