// SPDX-License-Identifier: Apache-2.0
//
// pgx with its own wire code: what it can do, one line of outcome each.
package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgconn"
	"github.com/jackc/pgx/v4"
	"github.com/jackc/pgx/v4/pgxpool"
)

var all = context.Background()

type querier interface {
	Query(c context.Context, text string, values ...interface{}) (pgx.Rows, error)
}

func describe(err error) string {
	if e, ok := err.(*pgconn.PgError); ok {
		return fmt.Sprintf("error %s %s %s", e.Code, e.Message, e.Detail)
	}
	return "error " + err.Error()
}

func try(err error) string {
	if err != nil {
		return describe(err)
	}
	return "done"
}

func collect(r pgx.Rows, err error) string {
	if err != nil {
		return describe(err) + " "
	}
	defer r.Close()
	var out []string
	for r.Next() {
		values, err := r.Values()
		if err != nil {
			return describe(err)
		}
		out = append(out, fmt.Sprint(values...))
	}
	if r.Err() != nil {
		out = append(out, describe(r.Err()))
	}
	return strings.Join(out, ";") + " " + r.CommandTag().String()
}

func rows(c querier, text string, values ...interface{}) string {
	r, err := c.Query(all, text, values...)
	return collect(r, err)
}

func prepared(c *pgx.Conn, say func(...interface{})) {
	for i := 1; i < 5; i++ {
		say(rows(c, "select id, name, ssn, born, doc from people where id = $1", i))
	}
	s, err := c.Prepare(all, "mine", "select ssn from people where id = any($1::int[])")
	say(try(err))
	if s != nil {
		say(len(s.Fields), s.ParamOIDs)
	}
	say(rows(c, "mine", []int32{1, 2, 3}))
	for i := 0; i < 2; i++ {
		say(rows(c, "select value from hidden.secrets where id = $1", 1))
	}
	say(rows(c, "select ssn from people where id = $1", pgx.QueryResultFormats{pgx.TextFormatCode}, 4))
	say(rows(c, "select ssn from people where id = $1", pgx.QuerySimpleProtocol(true), 4))
}

func batches(c *pgx.Conn, say func(...interface{})) {
	for _, bad := range []string{"select 1", "select value from hidden.secrets", "select 1/0"} {
		b := &pgx.Batch{}
		b.Queue("insert into work (id) values ($1)", 1)
		b.Queue("select ssn from people where id = $1", 1)
		b.Queue(bad)
		b.Queue("insert into work (id) values ($1)", 2)
		b.Queue("select ssn from people where id = $1", 2)
		results := c.SendBatch(all, b)
		for i := 0; i < b.Len(); i++ {
			say(collect(results.Query()))
		}
		say(try(results.Close()))
		say(rows(c, "select id from work order by id"))
		rows(c, "delete from work")
	}
}

func transactions(c *pgx.Conn, say func(...interface{})) {
	say(try(c.BeginFunc(all, func(t pgx.Tx) error {
		rows(t, "insert into work (id) values (1)")
		for _, text := range []string{"select value from hidden.secrets", "insert into work (id) values (1)"} {
			say(try(t.BeginFunc(all, func(inner pgx.Tx) error {
				inner.Exec(all, "insert into work (id) values (2)")
				_, err := inner.Exec(all, text)
				return err
			})))
		}
		say(string(t.Conn().PgConn().TxStatus()), rows(t, "select value from hidden.secrets where id = $1", 1), string(t.Conn().PgConn().TxStatus()))
		return nil
	})))
	say(rows(c, "select count(*) from work"), string(c.PgConn().TxStatus()))
}

func copies(c *pgx.Conn, say func(...interface{})) {
	for _, table := range []pgx.Identifier{{"work"}, {"hidden", "secrets"}} {
		n, err := c.CopyFrom(all, table, []string{"id"}, pgx.CopyFromSlice(2000, func(i int) ([]interface{}, error) { return []interface{}{int32(i)}, nil }))
		say(n, try(err))
	}
	for _, text := range []string{"copy people (id, ssn) to stdout", "copy people (ssn) to stdout binary", "copy hidden.secrets to stdout"} {
		var out bytes.Buffer
		tag, err := c.PgConn().CopyTo(all, &out, text)
		head := out.Bytes()
		if len(head) > 100 {
			head = head[:100]
		}
		say(tag, try(err), fmt.Sprintf("%q", head))
	}
	_, err := c.PgConn().CopyFrom(all, strings.NewReader("x\n"), "copy work (id) from stdin")
	say(try(err), rows(c, "select count(*) from work"))
}

func objects(c *pgx.Conn, say func(...interface{})) {
	t, _ := c.Begin(all)
	l := t.LargeObjects()
	oid, err := l.Create(all, 0)
	if err == nil {
		o, _ := l.Open(all, oid, pgx.LargeObjectModeRead|pgx.LargeObjectModeWrite)
		o.Write(bytes.Repeat([]byte("12345678"), 40000))
		o.Seek(8000, 0)
		part := make([]byte, 80000)
		n, err := o.Read(part)
		say(n, try(err), bytes.Equal(part, bytes.Repeat([]byte("12345678"), 10000)), try(o.Close()), try(l.Unlink(all, oid)))
	}
	say(try(err), try(t.Rollback(all)))
}

func messages(c *pgx.Conn, say func(...interface{})) {
	rows(c, "listen here")
	rows(c, "notify here, 'x'")
	limited, stop := context.WithTimeout(all, 10*time.Second)
	defer stop()
	n, err := c.WaitForNotification(limited)
	say(try(err), n != nil && n.Payload == "x")
}

func severalStatements(c *pgx.Conn, say func(...interface{})) {
	for _, text := range []string{"select 1; select ssn from people where id = 1", "insert into work (id) values (1); select value from hidden.secrets"} {
		results, err := c.PgConn().Exec(all, text).ReadAll()
		for _, r := range results {
			for _, row := range r.Rows {
				say(string(bytes.Join(row, []byte("|"))))
			}
			if err == nil {
				say(r.CommandTag)
			}
		}
		say(try(err), rows(c, "select count(*) from work"))
	}
}

func pool(c *pgx.Conn, say func(...interface{})) {
	config, err := pgxpool.ParseConfig(c.Config().ConnString())
	if err != nil {
		panic(err)
	}
	config.MaxConns = 4
	p, err := pgxpool.ConnectConfig(all, config)
	if err != nil {
		panic(err)
	}
	defer p.Close()
	sums := make(chan int)
	for i := 0; i < 60; i++ {
		go func(i int) {
			if i%6 == 0 { // a deadline closes its connection, and cancels what it does
				limited, stop := context.WithTimeout(all, 50*time.Millisecond)
				p.Exec(limited, "select pg_sleep(5)")
				stop()
			}
			var n int
			p.QueryRow(all, "select $1::int + 1", i).Scan(&n)
			sums <- n
		}(i)
	}
	sum := 0
	for i := 0; i < 60; i++ {
		sum += <-sums
	}
	say(sum)
}

func main() {
	url := fmt.Sprintf("host=%s port=%s dbname=%s user=app sslmode=%s", os.Args[1], os.Args[2], os.Args[3], os.Args[4])
	if os.Args[5] != "" {
		url += " sslrootcert=" + os.Args[5]
	}
	scenarios := []struct {
		name string
		run  func(*pgx.Conn, func(...interface{}))
	}{{"prepared", prepared}, {"batches", batches}, {"transactions", transactions}, {"copies", copies}, {"objects", objects},
		{"messages", messages}, {"several", severalStatements}, {"pool", pool}}
	for _, more := range []string{"", " statement_cache_mode=describe", " statement_cache_capacity=0"} {
		for _, s := range scenarios {
			c, err := pgx.Connect(all, url+more)
			if err != nil {
				panic(err)
			}
			rows(c, "delete from work")
			s.run(c, func(parts ...interface{}) { fmt.Println(append([]interface{}{s.name + more + ":"}, parts...)...) })
			c.Close(all)
		}
	}
}
