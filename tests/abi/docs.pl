#!/usr/bin/perl
# docs.pl house|metrics|tests ROOT - what docs/ says is true of the sources. Prints each offence; exit status 1 if there is
# one.
#
#   house    docs/architecture.md has a table row for each .c, .h, .def and .in file of the library and the program, or for
#            its folder; every path between backticks in docs/*.md exists
#   metrics  the names, types and label values that cachefs/counters.c, tier.c, durable.c and backends/figures.c export are those of the table in docs/metrics.md
#   tests    each test that docs/*.md names exists: `suite.name` of Criterion, `behaviour` on a line "Behaviours:"; and for
#            each of those that a section of docs/contract.md names, the row of that section in docs/testing.md has the
#            conformance table or the suite
#
# docs.pl self-test  makes small trees with one offence each, and checks that each is found.
use strict;
use warnings;
use File::Basename qw(dirname);
use File::Find;
use File::Path qw(make_path);
use File::Temp qw(tempdir);

my @floors = qw(vfs cachefs backends warming metrics mount tools bench);
my $offences = 0;

sub offence {
    print "$_[0]\n";
    $offences++;
}

sub slurp {
    my ($file) = @_;
    open my $in, '<', $file or return '';
    local $/;
    my $text = <$in>;
    return $text;
}

# Files below a directory of the root, as paths from the root, sorted.
sub files_below {
    my ($root, $dir, $pattern) = @_;
    my @found;
    return () unless -d "$root/$dir";
    find({no_chdir => 1, wanted => sub {
        push @found, substr($_, length($root) + 1) if -f $_ && $_ =~ $pattern;
    }}, "$root/$dir");
    return sort @found;
}

sub house {
    my ($root) = @_;
    my %row;
    for my $line (split /\n/, slurp("$root/docs/architecture.md")) {
        $row{$1} = 1 while $line =~ /^\|/ && $line =~ /`([^`]+)`/g;
    }
    for my $floor (@floors) {
        for my $file (files_below($root, $floor, qr/\.(c|h|def|in)$/)) {
            my $named = $row{$file};
            for (my $dir = dirname($file); !$named && $dir ne '.'; $dir = dirname($dir)) {
                $named = $row{"$dir/"};
            }
            offence("$file: docs/architecture.md has no row for it") unless $named;
        }
    }
    for my $doc (files_below($root, 'docs', qr/\.md$/)) {
        my $text = slurp("$root/$doc");
        $text =~ s/^```.*?^```//msg;
        while ($text =~ /`([\w.+-]+(?:\/[\w.+-]+)*\/[\w.+-]*)`/g) {
            my $path = $1;
            next unless $path =~ m{^(vfs|cachefs|backends|warming|metrics|tools|tests|scripts|docs|cmake|examples|bench)/};
            offence("$doc: there is no $path") unless -e "$root/$path";
        }
    }
}

# Names of metrics, each with its type and the sorted labels that it is exported with.
sub exported {
    my ($root) = @_;
    my $text = slurp("$root/cachefs/counters.c");
    my %metrics;
    my $in = '';
    $text =~ s/"\s*\n\s*"//g;
    $in = $1 if $text =~ /counter_metrics\[\] = \{(.*?)\n\};/s;
    while ($in =~ /"(cachefs_\w+)",\s*(?:NULL|"((?:[^"\\]|\\.)*)"),/g) {
        my ($name, $labels) = ($1, $2 // '');
        $labels =~ s/\\"/"/g;
        $metrics{$name}{type} = 'counter';
        $metrics{$name}{labels}{$labels} = 1 if $labels ne '';
    }
    $in = $text =~ /gauge_metrics\[\] = \{(.*?)\n\};/s ? $1 : '';
    $metrics{$1}{type} = 'gauge' while $in =~ /"(cachefs_\w+)",/g;
    $metrics{$1}{type} = 'counter' while $text =~ /metrics_callback\([^;]*?"(cachefs_\w+_total)"/g;
    while ($text =~ /metrics_histogram\([^;]*?"(cachefs_\w+)"/g) {
        my $name = $1;
        $metrics{$name}{type} = 'histogram';
        $in = $text =~ /latency_labels\[LAT_COUNT\] = \{(.*?)\n\};/s ? $1 : '';
        while ($in =~ /=\s*"((?:[^"\\]|\\.)*)"/g) {
            (my $labels = $1) =~ s/\\"/"/g;
            $metrics{$name}{labels}{$labels} = 1;
        }
    }
    my $store = join '', map { -e "$root/cachefs/$_.c" ? slurp("$root/cachefs/$_.c") : '' } qw(tier durable);
    my $remote = "$root/backends/figures.c";
    if (-e $remote) {
        my $more = slurp($remote);
        $store .= $more;
        $metrics{$1 . ($2 // '')}{type} = $2 ? 'counter' : 'gauge' while $more =~ /metrics_callback\([^;]*?"(cachefs_\w+?)(_total)?"/g;
    }
    while ($store =~ /ROW\(\w+, ([01]), "(cachefs_\w+)",/g) {
        $metrics{$2}{type} = $1 ? 'counter' : 'gauge';
    }
    return \%metrics;
}

sub metrics {
    my ($root) = @_;
    my ($code, %doc) = (exported($root));
    my $text = slurp("$root/docs/metrics.md");
    while ($text =~ /^\| `(cachefs_\w+)` \| (\w+) \|([^\n]*)/mg) {
        my ($name, $type, $rest) = ($1, $2, $3);
        offence("docs/metrics.md: $name stands there twice") if $doc{$name};
        $doc{$name} = 1;
        if (!$code->{$name}) {
            offence("docs/metrics.md: $name is not exported");
            next;
        }
        offence("docs/metrics.md: $name is a $code->{$name}{type}, not a $type") if $type ne $code->{$name}{type};
        for my $labels (sort keys %{$code->{$name}{labels} // {}}) {
            while ($labels =~ /(\w+)="([^"]*)"/g) {
                my ($label, $value) = ($1, $2);
                offence("docs/metrics.md: $name lacks the label $label=\"$value\"")
                    unless $rest =~ /\b\Q$label\E\b/ && $rest =~ /`\Q$value\E`/;
            }
        }
    }
    for my $name (sort keys %$code) {
        offence("cachefs: $name is not in docs/metrics.md") unless $doc{$name};
    }
    offence('cachefs/counters.c: no metric found there') unless %$code;
}

# Of each section by number: what its row in docs/testing.md names.
sub rows_of_sections {
    my ($root) = @_;
    my %row;
    for my $line (split /\n/, slurp("$root/docs/testing.md")) {
        next unless $line =~ /^\| (\d+) /;
        my $section = $1;
        $row{$section}{$1} = 1 while $line =~ /`([^`]+)`/g;
    }
    return \%row;
}

# Where a name of the contract stands: conformance tables of a behaviour, the suite of a test.
sub sections {
    my ($root, $criterion, $tables) = @_;
    my $row = rows_of_sections($root);
    for my $section (split /^(?=## )/m, slurp("$root/docs/contract.md")) {
        next unless $section =~ /^## (\d+)\./;
        my $number = $1;
        while ($section =~ /`([a-z]\w*(?:\.[a-z]\w*)?)`/g) {
            my $name = $1;
            my @homes = $criterion->{$name} ? ($name =~ /^(\w+)/) : @{$tables->{$name} // []};
            next if !@homes || grep { $row->{$number}{$_} } @homes;
            offence("docs/testing.md: the row of section $number lacks @homes, where $name stands");
        }
    }
    for my $number (sort keys %$row) {
        for my $name (grep { /^\w+$/ && !/^(fuzz|cli)_/ } sort keys %{$row->{$number}}) {
            next if grep { /^\Q$name\E\./ } keys %$criterion;
            offence("docs/testing.md: there is no suite $name, which the row of section $number names");
        }
    }
}

sub tests {
    my ($root) = @_;
    my (%criterion, %behaviour, %tables, $named);
    for my $file (files_below($root, 'tests', qr/\.c$/)) {
        my $text = slurp("$root/$file");
        $criterion{"$1.$2"} = 1 while $text =~ /^(?:Parameterized)?Test\(\s*(\w+),\s*(\w+)/mg;
        next unless $file =~ m{^tests/conformance/table_};
        $behaviour{$1} = 1 while $text =~ /^static void (\w+)\(conf_t \*t\)/mg;
        $behaviour{$1} = 1 while $text =~ /\{"(\w+)",/g;
        push @{$tables{$1}}, $file while $text =~ /^static void (\w+)\(conf_t \*t\)/mg;
        push @{$tables{$1}}, $file while $text =~ /\{"(\w+)",/g;
    }
    for my $doc (files_below($root, 'docs', qr/\.md$/)) {
        # a list of behaviours may go on over several lines, up to an empty one
        for my $part (split /\n\s*\n/, slurp("$root/$doc")) {
            while ($part =~ /`([a-z]\w*\.[a-z]\w*)`/g) {
                my $name = $1;
                next if $name =~ /\.(c|h|md|pl|sh|def|txt|in|cmake|pc|json|so)$/;
                $named++;
                offence("$doc: there is no test $name") unless $criterion{$name};
            }
            next unless $part =~ /Behaviours: (.*?)(?=Tests:|Programs:|\z)/s;
            my $list = $1;
            while ($list =~ /`([a-z]\w+)`/g) {
                $named++;
                offence("$doc: there is no behaviour $1") unless $behaviour{$1};
            }
        }
    }
    offence('docs: no test is named there') unless $named;
    sections($root, \%criterion, \%tables);
}

my %checks = (house => \&house, metrics => \&metrics, tests => \&tests);

# ---- self-test: each of these trees has one offence, the first has none

sub tree {
    my (%files) = @_;
    my $dir = tempdir(CLEANUP => 1);
    for my $name (keys %files) {
        make_path(dirname("$dir/$name"));
        open my $out, '>', "$dir/$name" or die "$name: $!\n";
        print $out $files{$name};
        close $out or die "$name: $!\n";
    }
    return $dir;
}

my $counters = 'counter_metrics[] = {' . "\n" . '{A, "cachefs_a_total", "result=\"hit\"", "x"},' . "\n};\n" .
    "gauge_metrics[] = {\n" . '{B, "cachefs_b", "x"},' . "\n};\n";
my $a_row = "| `cachefs_a_total` | counter | - | `result`: `hit` | x |\n";
my $b_row = "| `cachefs_b` | gauge | - | | x |\n";
my @cases = (
    ['house', 0, {'vfs/a.c' => '', 'docs/architecture.md' => "| `vfs/a.c` | x |\n"}],
    ['house', 0, {'vfs/x/a.c' => '', 'docs/architecture.md' => "| `vfs/x/` | x |\n"}],
    ['house', 1, {'vfs/a.c' => '', 'vfs/b.c' => '', 'docs/architecture.md' => "| `vfs/a.c` | x |\n"}],
    ['house', 1, {'vfs/a.c' => '', 'docs/architecture.md' => "| `vfs/a.c` `vfs/b.c` | x |\n"}],
    ['house', 1, {'vfs/a.c' => '', 'docs/architecture.md' => "The file `vfs/a.c` is in no table.\n"}],
    ['metrics', 0, {'cachefs/counters.c' => $counters, 'docs/metrics.md' => $a_row . $b_row}],
    ['metrics', 1, {'cachefs/counters.c' => $counters, 'docs/metrics.md' => $a_row}],
    ['metrics', 1, {'cachefs/counters.c' => $counters, 'docs/metrics.md' => $a_row . $b_row . "| `cachefs_c` | gauge | x |\n"}],
    ['metrics', 1, {'cachefs/counters.c' => $counters, 'docs/metrics.md' => $b_row . "| `cachefs_a_total` | gauge | `result`: `hit` |\n"}],
    ['metrics', 1, {'cachefs/counters.c' => $counters, 'docs/metrics.md' => $b_row . "| `cachefs_a_total` | counter | x |\n"}],
    ['metrics', 1, {'cachefs/counters.c' => $counters, 'docs/metrics.md' => $a_row . $b_row . $b_row}],
    ['tests', 0, {'tests/a/test_a.c' => "Test(a, b_is_c)\n", 'docs/x.md' => "`a.b_is_c`\n"}],
    ['tests', 1, {'tests/a/test_a.c' => "Test(a, b_is_c)\n", 'docs/x.md' => "`a.b_is_c` `a.b_is_d`\n"}],
    ['tests', 0, {'tests/conformance/table_a.c' => "static void a_holds(conf_t *t)\n", 'docs/x.md' => "Behaviours: `a_holds`\n"}],
    ['tests', 1, {'tests/conformance/table_a.c' => "static void a_holds(conf_t *t)\n",
        'docs/x.md' => "Behaviours: `a_holds`,\n`b_holds`\n"}],
    ['tests', 0, {'tests/conformance/table_a.c' => "static void a_holds(conf_t *t)\n", 'tests/a/test_a.c' => "Test(a, b_is_c)\n",
        'docs/contract.md' => "## 1. A\n\nBehaviours: `a_holds`\nTests: `a.b_is_c`\n",
        'docs/testing.md' => "| 1 paths | `tests/conformance/table_a.c` | `a` |\n"}],
    ['tests', 2, {'tests/conformance/table_a.c' => "static void a_holds(conf_t *t)\n", 'tests/a/test_a.c' => "Test(a, b_is_c)\n",
        'docs/contract.md' => "## 1. A\n\nBehaviours: `a_holds`\nTests: `a.b_is_c`\n",
        'docs/testing.md' => "| 2 paths | `tests/conformance/table_a.c` | `a` |\n"}],
    ['tests', 1, {'tests/a/test_a.c' => "Test(a, b_is_c)\n", 'docs/contract.md' => "## 1. A\n\nTests: `a.b_is_c`\n",
        'docs/testing.md' => "| 1 paths | | `a`, `gone` |\n"}],
);

sub self_test {
    my $failed = 0;
    for my $i (0 .. $#cases) {
        my ($check, $want, $files) = @{$cases[$i]};
        $offences = 0;
        $checks{$check}->(tree(%$files));
        next if $offences == $want;
        print "case $i of $check: $offences offences, expected $want\n";
        $failed = 1;
    }
    exit $failed;
}

my ($what, $root) = @ARGV;
self_test() if defined $what && $what eq 'self-test';
die "usage: docs.pl house|metrics|tests ROOT | self-test\n" unless defined $root && $checks{$what};
$checks{$what}->($root);
exit($offences ? 1 : 0);
