#!/usr/bin/perl
# source_rules.pl floors|banned ROOT - the rules of the house that a compiler does not know. Prints each offence as
# FILE:LINE: what; exit status 1 if there is one.
#
#   floors  an include must not climb: a room includes its own headers, and the public and shared ones of the rooms that
#           %may names for it; a header says in its opening comment which floor it is of, and who may include it
#   banned  calls that have no place in a library, and operating systems outside the ports
#
# source_rules.pl self-test  makes small trees with one offence each, and checks that each is found.
use strict;
use warnings;
use File::Basename qw(dirname);
use File::Find;
use File::Path qw(make_path);
use File::Temp qw(tempdir);

my @rooms = qw(vfs/shims vfs metrics backends cachefs warming mount tools examples bench);

# Who may include what of others. A backend is a room of its own: backends/NAME; backends/remote is what several have in
# common.
my %may = (
    'vfs'       => [],
    'metrics'   => [],
    'vfs/shims' => ['vfs'],
    'remote'    => ['vfs', 'metrics', 'backends'],
    'backend'   => ['vfs', 'metrics', 'backends', 'remote'],
    'backends'  => ['vfs', 'metrics', 'backend'],
    'cachefs'   => ['vfs', 'metrics'],
    'warming'   => ['vfs', 'metrics', 'cachefs'],
    'mount'     => ['vfs'],
    'tools'     => ['vfs', 'metrics', 'vfs/shims', 'backends', 'cachefs', 'warming', 'mount'],
    'examples'  => ['vfs', 'metrics', 'vfs/shims', 'backends', 'cachefs', 'warming'],
    'bench'     => ['vfs', 'metrics', 'vfs/shims', 'backends', 'cachefs', 'warming'],
);
my %floor = ('vfs' => 1, 'metrics' => 1, 'vfs/shims' => 1, 'backend' => 2, 'remote' => 2, 'backends' => 2, 'cachefs' => 2,
    'warming' => 3, 'mount' => 4, 'tools' => 4, 'examples' => 4, 'bench' => 4);
# Tests that see what a user sees. Others may look into private headers.
my @outside = qw(tests/conformance tests/cli tests/mount tests/stacks);
my @library = qw(vfs metrics backends cachefs warming);

my @banned = qw(strcpy strcat stpcpy sprintf vsprintf gets scanf sscanf fscanf alloca system popen rand srand random
    srandom drand48 strtok atoi atol atoll tmpnam tempnam mktemp setjmp longjmp signal exit _exit quick_exit
    gmtime localtime asctime ctime usleep);

my $offences = 0;

sub offence {
    my ($file, $line, $what) = @_;
    print "$file:$line: $what\n";
    $offences++;
}

# The room of a path, and the kind of room: "backends/mem" is of the kind "backend".
sub room_of {
    my ($path) = @_;
    return ('backends/remote', 'remote') if $path =~ m{^backends/remote/};
    return ("backends/$1", 'backend') if $path =~ m{^backends/([^/]+)/};
    for my $room (@rooms) {
        return ($room, $room) if $path =~ m{^\Q$room\E/};
    }
    return ('', '');
}

sub slurp {
    my ($path) = @_;
    open my $in, '<', $path or die "$path: $!";
    local $/;
    my $text = <$in>;
    return defined $text ? $text : '';
}

# Comments and literals become blanks; lines stay where they are.
sub code_of {
    my ($text) = @_;
    my $blank = sub { my $t = shift; $t =~ s/[^\n]/ /g; return $t };
    $text =~ s{(/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')}{$blank->($1)}gse;
    return $text;
}

sub comments_to_blanks {
    my ($text) = @_;
    $text =~ s{(/\*.*?\*/)}{my $t = $1; $t =~ s/[^\n]/ /g; $t}gse;
    return $text;
}

sub files_under {
    my (@dirs) = @_;
    my @found;
    for my $dir (grep { -d $_ } @dirs) {
        find({ no_chdir => 1, wanted => sub { push @found, $_ if /\.(c|h|def)$/ } }, $dir);
    }
    my %once = map { $_ => 1 } @found;
    my @sorted = sort keys %once;
    return @sorted;
}

# public, shared or private, as the header itself says: "Floor 1, shared".
sub class_of {
    my ($header) = @_;
    my ($head) = slurp($header) =~ m{^\s*(/\*.*?\*/)}s;
    return ('', '') unless defined $head;
    return ($1, $2) if $head =~ /Floor ([0-9]),\s*(?:\*\s*)?(public|shared|private)\b/;
    return ('', '');
}

sub check_include {
    my ($file, $line, $what, $quoted) = @_;
    my ($room, $kind) = room_of($file);
    my ($to, $to_kind) = room_of($what);
    if ($to eq '') {
        return unless $quoted;
        # what the build makes has no room
        return if $what !~ m{/} && $kind eq 'tools' && !-e dirname($file) . "/$what";
        return offence($file, $line, qq{"$what" is not spelled from the root, or no header of ours});
    }
    return offence($file, $line, qq{<$what> is ours: "$what"}) unless $quoted;
    return offence($file, $line, qq{there is no "$what"}) unless -e $what;
    return if $to eq $room;
    if (!grep { $_ eq $to_kind } @{ $may{$kind} }) {
        my $why = $floor{$to_kind} > $floor{$kind} ? 'climbs' : 'is a neighbour';
        return offence($file, $line, qq{$room includes "$what", which $why});
    }
    return if $what =~ /\.def$/;
    my (undef, $class) = class_of($what);
    if ($class eq 'private' && !($kind eq 'backends' && $to_kind eq 'backend')) {
        offence($file, $line, qq{"$what" is private to $to});
    } elsif ($class eq 'shared' && $kind eq 'examples') {
        offence($file, $line, qq{"$what" is not installed: an example cannot include it});
    }
}

sub check_floors {
    for my $file (files_under(@rooms)) {
        my ($room, $kind) = room_of($file);
        if ($file =~ /\.h$/) {
            my ($floor, $class) = class_of($file);
            if ($class eq '') {
                offence($file, 1, 'does not say "Floor N, public", "shared" or "private" in its opening comment');
            } elsif ($floor != $floor{$kind}) {
                offence($file, 1, "says floor $floor, and lies on floor $floor{$kind}");
            }
        }
        my $line = 0;
        for my $text (split /\n/, comments_to_blanks(slurp($file))) {
            $line++;
            next unless $text =~ /^\s*#\s*include\s*(["<])([^">]+)[">]/;
            check_include($file, $line, $2, $1 eq '"');
        }
    }
    for my $file (files_under(@outside)) {
        my $line = 0;
        for my $text (split /\n/, comments_to_blanks(slurp($file))) {
            $line++;
            next unless $text =~ /^\s*#\s*include\s*"([^"]+)"/;
            my ($to) = room_of($1);
            next if $to eq '' || $to eq 'tools' || !-e $1 || $1 =~ /\.def$/;
            my (undef, $class) = class_of($1);
            offence($file, $line, qq{"$1" is private, and this test sees what a user sees}) if $class eq 'private';
        }
    }
}

sub check_banned {
    my $names = join '|', @banned;
    for my $file (files_under(@library)) {
        my $line = 0;
        for my $text (split /\n/, code_of(slurp($file))) {
            $line++;
            while ($text =~ /(?<![\w.>])($names)\s*\(/g) {
                offence($file, $line, "$1 is banned");
            }
            if ($text =~ /^\s*#\s*(?:el)?if.*\b(__linux__|__APPLE__|__FreeBSD__|__unix__|_WIN32)\b/
                && $file !~ m{^backends/local/port})
            {
                offence($file, $line, "$1 outside backends/local/port_*.c");
            }
        }
    }
}

# ---- self-test ---------------------------------------------------------------------------------------

my %head = (
    'vfs/vfs.h'             => 'Floor 1, public.',
    'vfs/internal.h'        => 'Floor 1, private to vfs/.',
    'vfs/wait.h'            => 'Floor 1, shared.',
    'vfs/shims/shims.h'     => 'Floor 1, public.',
    'metrics/metrics.h'     => 'Floor 1, public.',
    'backends/backends.h'   => 'Floor 2, public.',
    'backends/mem/mem.h'    => 'Floor 2, private.',
    'backends/http/http.h'  => 'Floor 2, private.',
    'backends/remote/remote.h' => 'Floor 2, shared.',
    'backends/remote/private.h' => 'Floor 2, private.',
    'backends/local/port.h' => 'Floor 2, private.',
    'cachefs/cachefs.h'     => 'Floor 2, public.',
    'cachefs/engine.h'      => 'Floor 2, private.',
    'warming/warming.h'     => 'Floor 3, public.',
);

# A tree with all headers of %head and one more file; returns the number of offences.
sub offences_of {
    my ($check, $file, $text) = @_;
    my $root = tempdir(CLEANUP => 1);
    my %files = map { $_ => "/* $head{$_} */\n" } keys %head;
    $files{$file} = $text;
    for my $path (keys %files) {
        make_path(dirname("$root/$path"));
        open my $out, '>', "$root/$path" or die "$path: $!";
        print {$out} $files{$path};
        close $out or die "$path: $!";
    }
    chdir $root or die "$root: $!";
    open my $stdout, '>&', \*STDOUT or die $!;
    open STDOUT, '>', '/dev/null' or die $!;
    $offences = 0;
    $check->();
    open STDOUT, '>&', $stdout or die $!;
    chdir '/' or die $!;
    return $offences;
}

sub self_test {
    my @floors = (
        # [file, include, offences]
        ['vfs/a.c',             '"vfs/internal.h"',      0],
        ['vfs/a.c',             '"metrics/metrics.h"',   1],
        ['vfs/a.c',             '"vfs/shims/shims.h"',   1],
        ['vfs/a.c',             '"internal.h"',          1],
        ['vfs/a.c',             '<vfs/vfs.h>',           1],
        ['vfs/a.c',             '<stdio.h>',             0],
        ['vfs/a.c',             '"vfs/none.h"',          1],
        ['vfs/a.c',             '"../metrics/metrics.h"', 1],
        ['metrics/a.c',         '"vfs/vfs.h"',           1],
        ['vfs/shims/a.c',       '"vfs/wait.h"',          0],
        ['vfs/shims/a.c',       '"vfs/internal.h"',      1],
        ['vfs/shims/a.c',       '"cachefs/cachefs.h"',   1],
        ['backends/mem/a.c',    '"backends/mem/mem.h"',  0],
        ['backends/mem/a.c',    '"backends/local/port.h"', 1],
        ['backends/mem/a.c',    '"cachefs/cachefs.h"',   1],
        ['backends/http/a.c',   '"backends/remote/remote.h"', 0],
        ['backends/http/a.c',   '"backends/remote/private.h"', 1],
        ['backends/remote/a.c', '"backends/http/http.h"', 1],
        ['backends/a.c',        '"backends/mem/mem.h"',  0],
        ['cachefs/a.c',         '"backends/backends.h"', 1],
        ['cachefs/a.c',         '"vfs/shims/shims.h"',   1],
        ['cachefs/a.c',         '"warming/warming.h"',   1],
        ['cachefs/policy/a.c',  '"cachefs/engine.h"',    0],
        ['cachefs/a.c',         '"metrics/metrics.h"',   0],
        ['warming/a.c',         '"cachefs/cachefs.h"',   0],
        ['warming/a.c',         '"cachefs/engine.h"',    1],
        ['warming/a.c',         '"backends/backends.h"', 1],
        ['tools/a.c',           '"warming/warming.h"',   0],
        ['tools/a.c',           '"build_info.h"',        0],
        ['tools/a.c',           '"cachefs/engine.h"',    1],
        ['examples/a.c',        '"vfs/wait.h"',          1],
        ['tests/cli/a.c',       '"cachefs/engine.h"',    1],
        ['tests/cli/a.c',       '"cachefs/cachefs.h"',   0],
        ['tests/engine/a.c',    '"cachefs/engine.h"',    0],
    );
    my @heads = (
        ['vfs/new.h', "/*\n * new.h - it.\n * Floor 1,\n * shared.\n */\n", 0],
        ['vfs/new.h', "/* new.h - it. */\n",          1],
        ['vfs/new.h', "int x;\n",                     1],
        ['vfs/new.h', "/* Floor 2, public. */\n",     1],
    );
    my @calls = (
        ['strcpy(a, b);', 1], ['x = sprintf (a, "b");', 1], ['/* strcpy(a, b) */', 0], ['p("strcpy(a)");', 0],
        ['my_strcpy(a);', 0], ['ops->system(x);', 0], ['snprintf(a, 1, "b");', 0], ['rand();', 1],
        ["#if defined(__linux__)\n#endif", 1], ['return alloca(9);', 1], ['ops.signal(x);', 0],
    );
    my $wrong = 0;
    my $expect = sub {
        my ($name, $got, $want) = @_;
        return if $got == $want;
        print "self-test: $name: $got offences, expected $want\n";
        $wrong++;
    };
    $expect->("$_->[0] with $_->[1]", offences_of(\&check_floors, $_->[0], "#include $_->[1]\n"), $_->[2]) for @floors;
    $expect->("head: $_->[1]", offences_of(\&check_floors, $_->[0], $_->[1]), $_->[2]) for @heads;
    $expect->("call: $_->[0]", offences_of(\&check_banned, 'cachefs/a.c', "$_->[0]\n"), $_->[1]) for @calls;
    $expect->('a port', offences_of(\&check_banned, 'backends/local/port_x.c', "#ifdef __linux__\n#endif\n"), 0);
    return $wrong;
}

my ($mode, $root) = @ARGV;
$mode = '' unless defined $mode;
if ($mode eq 'self-test') {
    exit(self_test() ? 1 : 0);
}
die "usage: source_rules.pl floors|banned ROOT, or self-test\n" unless defined $root && $mode =~ /^(floors|banned)$/;
chdir $root or die "$root: $!";
my @all = files_under(@library);
die "$root has no sources\n" unless @all;
$mode eq 'floors' ? check_floors() : check_banned();
exit($offences ? 1 : 0);
