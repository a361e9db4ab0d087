# SPDX-License-Identifier: Apache-2.0
#
# held_dbd.pl PORT ITEM LIMIT: statements that people decide, by DBD::Pg: with its defaults, with all time limits that libpq and the
# server know, with an alarm, and by several connections at once. Prints a line for each outcome.
use strict;
use warnings;
use DBI;
use DBD::Pg qw(:async);
use POSIX ();

my ($port, $item, $limit) = @ARGV;
my $milliseconds = int(1000 * $limit);
$| = 1;

sub place {
    return DBI->connect("dbi:Pg:host=127.0.0.1;port=$port;dbname=shop$_[0]", 'app', '', { RaiseError => 1, PrintError => 0, PrintWarn => 0 });
}

my @delete = ('delete from orders where item = ?');
my %scenarios = (
    'dbd' => sub { return place('')->do(@delete, undef, "$item dbd") },
    'dbd-limits' => sub {
        my $limits = ";connect_timeout=2;tcp_user_timeout=$milliseconds;keepalives_idle=1;options=-cstatement_timeout=$milliseconds";
        return place($limits)->do(@delete, undef, "$item dbd-limits");
    },
    'dbd-alarm' => sub {
        my $c = place('');
        # Perl's own handlers run when libpq returns, which it does not.
        POSIX::sigaction(POSIX::SIGALRM(), POSIX::SigAction->new(sub { print "dbd-alarm gave up\n"; POSIX::_exit(0) }, POSIX::SigSet->new(), 0));
        alarm(int($limit) + 1);
        return $c->do(@delete, undef, "$item dbd-alarm");
    },
    'dbd-pool' => sub {
        my @pool = map { place('') } 1 .. 4;
        my @statements = map { $_->prepare(@delete, { pg_async => PG_ASYNC }) } @pool;
        $_->execute("$item dbd-pool") for @statements;
        my $sum = 0;
        $sum += $_->pg_result for @pool;
        return $sum;
    },
);
for my $name (sort keys %scenarios) {
    next if fork;
    my $outcome = eval { $scenarios{$name}->() };
    print "$name ", $@ ? "error $@" : $outcome + 0, "\n";
    POSIX::_exit(0);
}
1 while wait != -1;
