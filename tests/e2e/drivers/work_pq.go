// SPDX-License-Identifier: Apache-2.0
//
// lib/pq by way of database/sql: what it can do, one line of outcome each.
package main

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/lib/pq"
)

type querier interface {
	Query(text string, values ...interface{}) (*sql.Rows, error)
}

func describe(err error) string {
	if e, ok := err.(*pq.Error); ok {
		return fmt.Sprintf("error %s %s %s", e.Code, e.Message, e.Detail)
	}
	return "error " + err.Error()
}

func rows(c querier, text string, values ...interface{}) string {
	r, err := c.Query(text, values...)
	if err != nil {
		return describe(err)
	}
	defer r.Close()
	columns, _ := r.Columns()
	var out []string
	for {
		for r.Next() {
			cells := make([]interface{}, len(columns))
			for i := range cells {
				cells[i] = new(sql.NullString)
			}
			if err := r.Scan(cells...); err != nil {
				return describe(err)
			}
			var texts []string
			for _, cell := range cells {
				texts = append(texts, cell.(*sql.NullString).String)
			}
			out = append(out, strings.Join(texts, "|"))
		}
		if !r.NextResultSet() {
			break
		}
		columns, _ = r.Columns()
	}
	if r.Err() != nil {
		out = append(out, describe(r.Err()))
	}
	return strings.Join(out, ";")
}

func try(err error) string {
	if err != nil {
		return describe(err)
	}
	return "done"
}

func prepared(db *sql.DB, say func(...interface{})) {
	s, err := db.Prepare("select id, name, ssn, born::text from people where id = $1")
	say(try(err))
	for i := 1; i < 5; i++ {
		var id int
		var name, ssn, born string
		say(try(s.QueryRow(i).Scan(&id, &name, &ssn, &born)), id, name, ssn, born)
	}
	s.Close()
	say(rows(db, "select ssn from people where id = any($1)", pq.Array([]int{1, 2})))
	say(rows(db, "select value from hidden.secrets where id = $1", 1))
	say(rows(db, "select 1; select ssn from people where id = 1; select 2"))
	say(rows(db, "select ssn from people where id = 1"))
}

func transactions(db *sql.DB, say func(...interface{})) {
	t, _ := db.Begin()
	t.Exec("insert into work (id) values (1)")
	t.Exec("savepoint a")
	say(rows(t, "select value from hidden.secrets"))
	t.Exec("rollback to a")
	say(rows(t, "select ssn from people where id = 1"))
	say(rows(t, "select value from hidden.secrets where id = $1", 1))
	say(rows(t, "select count(*) from work"))
	say(try(t.Commit()))
	say(rows(db, "select count(*) from work"))
}

func copies(db *sql.DB, say func(...interface{})) {
	for _, text := range []string{pq.CopyIn("work", "id"), pq.CopyInSchema("hidden", "secrets", "id")} {
		t, _ := db.Begin()
		s, err := t.Prepare(text)
		say(try(err))
		if err == nil {
			for i := 0; i < 3000 && err == nil; i++ {
				_, err = s.Exec(i)
			}
			_, err = s.Exec()
			say(try(err), try(s.Close()))
		}
		say(rows(t, "select count(*) from work"))
		t.Rollback()
	}
	t, _ := db.Begin()
	s, _ := t.Prepare(pq.CopyIn("work", "id", "name"))
	s.Exec("x", "not a number")
	_, err := s.Exec()
	say(try(err), try(t.Rollback()))
}

func cancelled(db *sql.DB, say func(...interface{})) {
	c, stop := context.WithTimeout(context.Background(), 500*time.Millisecond)
	defer stop()
	_, err := db.ExecContext(c, "select pg_sleep(20)")
	say(try(err))
	for i := 0; i < 5; i++ {
		say(rows(db, "select ssn from people where id = $1", i))
	}
}

func messages(db *sql.DB, say func(...interface{}), url string) {
	l := pq.NewListener(url, time.Second, time.Minute, nil)
	defer l.Close()
	say(try(l.Listen("here")))
	rows(db, "notify here, 'x'")
	select {
	case n := <-l.Notify:
		say(n.Channel, n.Extra)
	case <-time.After(10 * time.Second):
		say("nothing came")
	}
	say(try(l.Ping()), try(l.UnlistenAll()))
}

func together(db *sql.DB, say func(...interface{})) {
	db.SetMaxOpenConns(4)
	var group sync.WaitGroup
	var lock sync.Mutex
	sum := 0
	for i := 0; i < 80; i++ {
		group.Add(1)
		go func(i int) {
			defer group.Done()
			if i%5 == 0 {
				rows(db, "select value from hidden.secrets")
			}
			var n int
			db.QueryRow("select $1::int + 1", i).Scan(&n)
			lock.Lock()
			sum += n
			lock.Unlock()
		}(i)
	}
	group.Wait()
	say(sum)
}

func main() {
	base := fmt.Sprintf("host=%s port=%s dbname=%s user=app sslmode=%s", os.Args[1], os.Args[2], os.Args[3], os.Args[4])
	if os.Args[5] != "" {
		base += " sslrootcert=" + os.Args[5]
	}
	for _, more := range []string{"", " binary_parameters=yes"} {
		url := base + more
		scenarios := map[string]func(*sql.DB, func(...interface{})){
			"prepared": prepared, "transactions": transactions, "copies": copies, "cancelled": cancelled, "together": together,
			"messages": func(db *sql.DB, say func(...interface{})) { messages(db, say, url) },
		}
		for _, name := range []string{"prepared", "transactions", "copies", "cancelled", "messages", "together"} {
			db, err := sql.Open("postgres", url)
			if err != nil {
				panic(err)
			}
			rows(db, "delete from work")
			scenarios[name](db, func(parts ...interface{}) { fmt.Println(append([]interface{}{name + more + ":"}, parts...)...) })
			db.Close()
		}
	}
}
