#!/usr/bin/perl
# man-page.pl PROGRAM [--check] - makes docs/cachefs.1, the manual page, of what PROGRAM's own help says; with --check it only
# compares, and ends with 1 if the page is another one. Runs in the source directory.
use strict;
use warnings;

my ($program, $check) = @ARGV;
die "usage: man-page.pl PROGRAM [--check]\n" unless defined $program && (!defined $check || $check eq '--check');
my $page = 'docs/cachefs.1';

sub said {
    my (@args) = @_;
    open my $in, '-|', $program, @args or die "$program: $!\n";
    my @lines = <$in>;
    close $in or die "$program @args ended with $?\n";
    chomp @lines;
    return @lines;
}

# As roff takes it: a minus that can be copied, no command at the beginning.
sub plain {
    my ($text) = @_;
    $text =~ s/\\/\\e/g;
    $text =~ s/-/\\-/g;
    $text =~ s/^([.'])/\\&$1/;
    return $text;
}

# Lines of text, with empty lines between paragraphs; what is indented stands as it is.
sub text {
    my (@lines) = @_;
    my ($out, $example, $gap) = ('', 0, 1);
    for my $line (@lines) {
        if ($line eq '') {
            $gap = 1;
            next;
        }
        my $indented = $line =~ /^  \S/;
        $out .= ".EE\n.RE\n" if $example && !$indented;
        $out .= ".PP\n" if ($gap || $example) && $out ne '' && !$indented;
        $out .= ".PP\n.RS\n.EX\n" if $indented && !$example;
        $example = $indented;
        $gap = 0;
        $line =~ s/^  //;
        $out .= plain($line) . "\n";
    }
    $out .= ".EE\n.RE\n" if $example;
    return $out;
}

# "  -l, --long FORM      what it does"
sub option {
    my ($line) = @_;
    $line =~ /^\s+(\S.*?)\s{2,}(\S.*)$/ or die "no option, or one without room behind it: $line\n";
    my ($names, $help) = ($1, $2);
    return ".TP\n.B " . plain($names) . "\n" . plain($help) . "\n";
}

# The help on a verb: the usage, the text, its own options, those of all verbs.
sub parts {
    my (@lines) = @_;
    my %part = (text => [], own => [], all => []);
    ($part{usage} = shift @lines) =~ s/^usage: //;
    my $in = 'text';
    for my $line (@lines) {
        if ($line eq 'options:') { $in = 'own' }
        elsif ($line eq 'options of all verbs:') { $in = 'all' }
        elsif ($in eq 'text' || $line ne '') { push @{$part{$in}}, $line }
    }
    return \%part;
}

my @help = said('help');
my ($name, $what) = $help[0] =~ /^(\S+) - (.*)$/ or die "what is it? $help[0]\n";
my ($version) = (said('version'))[0] =~ /(\S+)$/;
my (@verbs, @general);
for my $line (@help[3 .. $#help]) {
    if (!@general && $line =~ /^  (\w+) +\S/) { push @verbs, $1 }
    elsif (@verbs && (@general || $line ne '')) { push @general, $line }
}
my ($exit) = grep { $general[$_] =~ /^Exit codes: / } 0 .. $#general;
die "the help names no exit codes\n" unless defined $exit && @verbs;
my @codes = splice @general, $exit;
$codes[0] =~ s/^Exit codes: //;

my $out = ".\\\" Made by scripts/man-page.pl of what the program says itself. Do not edit.\n";
$out .= ".TH CACHEFS 1 \"\" \"$name $version\" \"User Commands\"\n.SH NAME\n$name \\- " . plain($what) . "\n";
$out .= ".SH SYNOPSIS\n.B $name\n.I VERB ORIGIN\n[\\fIPATH\\fR...] [\\fIoptions\\fR]\n";
$out .= ".SH DESCRIPTION\n" . text(@general) . ".SH VERBS\n";
my %common;
my @common;
for my $verb (@verbs) {
    my $part = parts(said('help', $verb));
    $out .= ".SS " . plain($part->{usage}) . "\n" . text(@{$part->{text}});
    # a verb without a stack of layers has few options, and names them all as its own
    $out .= option($_) for @{$part->{own}};
    for my $line (@{$part->{all}}) {
        push @common, $line unless $common{$line}++;
    }
}
$out .= ".SH OPTIONS OF ALL VERBS\nThose of the cache are taken by the verbs that put one on an origin.\n";
$out .= option($_) for @common;
my @keys = said('help', 'keys');
$out .= ".SH KEYS\n" . text(shift @keys) . "Their columns: kind, default, meaning.\n";
for my $line (grep { $_ ne '' } @keys) {
    # a value may be missing: the columns stand at fixed places
    my ($key, $online, $kind, $initial, $meaning) = unpack('x2 A22 A2 A10 A11 A*', $line);
    $out .= ".TP\n.B " . plain($key . ($online =~ /\*/ ? ' *' : '')) . "\n" .
        plain($kind . ($initial ne '' ? ", $initial" : '') . ": $meaning") . "\n";
}
$out .= ".SH EXIT STATUS\n" . text(@codes);
$out .= ".SH SEE ALSO\nThe headers\n.I cachefs/cachefs.h\nand\n.I vfs/vfs.h\ndescribe the library.\n";

if (defined $check) {
    open my $in, '<', $page or die "$page: $!\n";
    local $/;
    my $is = <$in> // '';
    exit 0 if $is eq $out;
    print "$page is not what the program says: scripts/man-page.pl $program makes it anew\n";
    exit 1;
}
open my $to, '>', $page or die "$page: $!\n";
print $to $out;
close $to or die "$page: $!\n";
