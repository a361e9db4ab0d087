# SPDX-License-Identifier: Apache-2.0
# Perl's DBD::Pg: what it can do, one line of outcome each; its questions about tables and columns above all.
use strict;
use warnings;
use DBI qw(:sql_types);
use DBD::Pg qw(:pg_types :async);

my ($host, $port, $database, $mode, $ca) = @ARGV;
$mode = 'verify-ca' if $mode eq 'verify-full';
my $source = "dbi:Pg:host=$host;port=$port;dbname=$database;sslmode=$mode" . ($ca ? ";sslrootcert=$ca" : "");
$| = 1;

sub text {
    my ($value) = @_;
    return 'undef' unless defined $value;
    return '[' . join(', ', map { text($_) } @$value) . ']' if ref $value eq 'ARRAY';
    $value =~ s/\n/\\n/g;
    $value =~ s/([^ -~])/sprintf('\\x{%x}', ord $1)/ge;
    return "'$value'";
}

# The outcome of a piece of work, or its error.
sub try {
    my ($handle, $work) = @_;
    my $outcome = eval { $work->() };
    return $@ ? 'error ' . $handle->state . ' ' . text($handle->errstr) : text($outcome);
}

my %scenarios = (
    masked_rows => sub {
        my $c = shift;
        return text($c->selectall_arrayref('select id, name, ssn, born from people where id < ? order by id', undef, 4));
    },
    prepared => sub {
        my $c = shift;
        my $s = $c->prepare('select ssn, doc from people where id = $1');
        $s->bind_param(1, undef, SQL_INTEGER);
        my @seen;
        for my $id (1 .. 7) {
            $s->execute($id);
            push @seen, $s->fetchrow_arrayref->[0];
        }
        return text(\@seen), text($s->{NAME}), text($s->{pg_type}), text($s->{ParamTypes} ? 'typed' : undef);
    },
    refused_in_a_transaction => sub {
        my $c = shift;
        $c->begin_work;
        $c->do("insert into work values (1, 'a')");
        $c->pg_savepoint('here');
        my @seen = try($c, sub { $c->selectall_arrayref('select value from hidden.secrets') });
        push @seen, $c->ping, try($c, sub { $c->do('select 1') });
        $c->pg_rollback_to('here');
        push @seen, try($c, sub { $c->selectall_arrayref('select * from work') });
        $c->rollback;
        return @seen, text($c->selectall_arrayref('select count(*) from work'));
    },
    copies => sub {
        my $c = shift;
        $c->do('copy work from stdin');
        $c->pg_putcopydata("$_\tn$_\n") for 1 .. 500;
        $c->pg_putcopyend;
        my $copy = sub {
            my ($line, @lines) = ('');
            $c->do("copy ($_[0]) to stdout");
            push @lines, $line while $c->pg_getcopydata($line) >= 0;
            return \@lines;
        };
        return (map { my $text = $_; try($c, sub { $copy->($text) }) } 'select id, ssn from people where id < 4 order by id',
            'select value from hidden.secrets'), text($c->selectall_arrayref('select count(*) from work'));
    },
    asynchronous => sub {
        my $c = shift;
        $c->do('select pg_sleep(0.1), ssn from people where id = 1', { pg_async => PG_ASYNC });
        my $rows = $c->pg_result;
        return text($rows), text($c->selectall_arrayref('select ssn from people where id = 2'));
    },
    what_is_there => sub {
        my $c = shift;
        my @seen;
        push @seen, text($c->table_info(undef, 'public', '%', 'TABLE,VIEW')->fetchall_arrayref([ 1, 2, 3, 4 ]));
        push @seen, text($c->column_info(undef, 'public', 'people', '%')->fetchall_arrayref([ 2, 3, 5, 10, 16, 17 ]));
        push @seen, text([ $c->primary_key(undef, 'public', 'people') ]), text([ grep { /public/ } $c->tables ]);
        push @seen, text($c->statistics_info(undef, 'public', 'people', 0, 0)->fetchall_arrayref([ 3, 5, 7, 8 ]));
        return @seen;
    },
    messages => sub {
        my $c = shift;
        $c->do('listen news');
        $c->do("notify news, 'hello'");
        my $news = $c->pg_notifies;
        return text([ $news->[0], $news->[2] ]);
    },
    errors => sub {
        my $c = shift;
        return map { my $text = $_; try($c, sub { $c->selectall_arrayref($text) }) } 'selec 1', 'select 1/0', 'select nothing from people', 'select 7';
    },
    several => sub {
        my $c = shift;
        return try($c, sub { $c->do('insert into work values (1); select value from hidden.secrets') }),
            text($c->selectall_arrayref('select count(*) from work'));
    },
    values => sub {
        my $c = shift;
        my $s = $c->prepare('select ?::bytea, ?::int[], ?::text');
        $s->bind_param(1, "\0\1\xff", { pg_type => PG_BYTEA });
        $s->bind_param(2, [ 1, 2 ]);
        $s->bind_param(3, "gr\xfc\xdf");
        $s->execute;
        my @row = $s->fetchrow_array;
        return text(unpack('H*', $row[0])), text($row[1]), text($row[2]);
    },
);

for my $name (sort keys %scenarios) {
    my $c = DBI->connect($source, 'app', '', { RaiseError => 1, PrintError => 0, PrintWarn => 0, AutoCommit => 1 });
    $c->do('delete from work');
    print "$name: $_\n" for $scenarios{$name}->($c);
    $c->disconnect;
}
