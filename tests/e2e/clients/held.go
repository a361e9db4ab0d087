// SPDX-License-Identifier: Apache-2.0
//
// held PORT ITEM LIMIT: statements that people decide, by pgx and lib/pq: with their defaults, on a connection that gives up when it hears
// nothing for as long as that, with a deadline, and by a pool. Prints a line for each outcome.
package main

import (
	"context"
	"database/sql"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v4"
	"github.com/jackc/pgx/v4/pgxpool"
	"github.com/lib/pq"
)

const text = "delete from orders where item = $1"

var (
	all   = context.Background()
	url   string
	item  string
	limit time.Duration
)

// A connection of which nothing may be heard for no longer than the limit.
type watched struct{ net.Conn }

func (w watched) Read(b []byte) (int, error) {
	w.SetReadDeadline(time.Now().Add(limit))
	return w.Conn.Read(b)
}

type dialer struct{}

func (dialer) Dial(network, address string) (net.Conn, error) {
	c, err := net.Dial(network, address)
	if err != nil {
		return nil, err
	}
	return watched{c}, nil
}

func (d dialer) DialTimeout(network, address string, _ time.Duration) (net.Conn, error) {
	return d.Dial(network, address)
}

func say(name string, rows int64, err error) {
	if err != nil {
		fmt.Println(name, err)
	} else {
		fmt.Println(name, rows)
	}
}

func byPgx(name string, change func(*pgx.ConnConfig)) (int64, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return 0, err
	}
	change(config)
	c, err := pgx.ConnectConfig(all, config)
	if err != nil {
		return 0, err
	}
	defer c.Close(all)
	tag, err := c.Exec(all, text, item+" "+name)
	return tag.RowsAffected(), err
}

func byPgxDeadline(name string) (int64, error) {
	c, err := pgx.Connect(all, url)
	if err != nil {
		return 0, err
	}
	deadline, cancel := context.WithTimeout(all, limit)
	defer cancel()
	tag, err := c.Exec(deadline, text, item+" "+name)
	if deadline.Err() != nil {
		err = fmt.Errorf("gave up")
	}
	return tag.RowsAffected(), err
}

// What four of a pool do at once, all the same.
func fourTimes(run func() (int64, error)) (sum int64, failed error) {
	var group sync.WaitGroup
	var lock sync.Mutex
	for i := 0; i < 4; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			rows, err := run()
			lock.Lock()
			defer lock.Unlock()
			sum += rows
			if err != nil {
				failed = err
			}
		}()
	}
	group.Wait()
	return
}

func byPgxPool(name string) (int64, error) {
	pool, err := pgxpool.Connect(all, url+"&pool_max_conns=4")
	if err != nil {
		return 0, err
	}
	defer pool.Close()
	return fourTimes(func() (int64, error) {
		tag, err := pool.Exec(all, text, item+" "+name)
		return tag.RowsAffected(), err
	})
}

func byPq(name string) (int64, error) {
	connector, err := pq.NewConnector(url)
	if err != nil {
		return 0, err
	}
	if name == "pq-watched" {
		connector.Dialer(dialer{})
	}
	db := sql.OpenDB(connector)
	defer db.Close()
	db.SetMaxOpenConns(4)
	if err = db.Ping(); err != nil {
		return 0, err
	}
	c, cancel := all, func() {}
	if name == "pq-deadline" {
		c, cancel = context.WithTimeout(all, limit)
	}
	defer cancel()
	run := func() (int64, error) {
		result, err := db.ExecContext(c, text, item+" "+name)
		if err != nil {
			return 0, err
		}
		return result.RowsAffected()
	}
	if name == "pq-pool" {
		return fourTimes(run)
	}
	rows, err := run()
	if c.Err() != nil {
		err = fmt.Errorf("gave up")
	}
	return rows, err
}

func main() {
	url = fmt.Sprintf("postgres://app@127.0.0.1:%s/shop?sslmode=disable", os.Args[1])
	item = os.Args[2]
	seconds, _ := strconv.ParseFloat(os.Args[3], 64)
	limit = time.Duration(seconds * float64(time.Second))
	var group sync.WaitGroup
	for name, run := range map[string]func(string) (int64, error){
		"pgx": func(name string) (int64, error) { return byPgx(name, func(*pgx.ConnConfig) {}) },
		"pgx-watched": func(name string) (int64, error) {
			return byPgx(name, func(config *pgx.ConnConfig) {
				config.DialFunc = func(_ context.Context, network, address string) (net.Conn, error) {
					return dialer{}.Dial(network, address)
				}
			})
		},
		"pgx-deadline": byPgxDeadline,
		"pgx-pool":     byPgxPool,
		"pq":           byPq,
		"pq-watched":   byPq,
		"pq-deadline":  byPq,
		"pq-pool":      byPq,
	} {
		group.Add(1)
		go func(name string, run func(string) (int64, error)) {
			defer group.Done()
			rows, err := run(name)
			say(name, rows, err)
		}(name, run)
	}
	group.Wait()
}
