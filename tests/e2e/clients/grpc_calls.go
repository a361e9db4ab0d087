// SPDX-License-Identifier: Apache-2.0

// Calls of gRPC by Go's library: as grpc_calls.py. Of pings it says nothing: it sends none more often than each ten seconds.
package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"os"
	"time"

	"github.com/golang/protobuf/proto"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// Messages are bytes.
type raw struct{}

func (raw) Marshal(v interface{}) ([]byte, error) { return v.([]byte), nil }
func (raw) Name() string                          { return "proto" }
func (raw) Unmarshal(data []byte, v interface{}) error {
	*v.(*[]byte) = append([]byte{}, data...)
	return nil
}

var (
	connection *grpc.ClientConn
	large      = bytes.Repeat([]byte("x"), 5<<20)
)

func path(name string) string { return "/shop.Orders/" + name }

func within(seconds float64) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), time.Duration(seconds*float64(time.Second)))
}

func said(err error, more ...interface{}) []interface{} {
	s := status.Convert(err)
	return append([]interface{}{uint32(s.Code()), s.Message()}, more...)
}

func first(md metadata.MD, name string) interface{} {
	if values := md.Get(name); len(values) > 0 {
		return values[0]
	}
	return nil
}

func one(name, message string) []interface{} {
	var head, trailer metadata.MD
	var answer []byte
	c, done := within(60)
	defer done()
	err := connection.Invoke(c, path(name), []byte(message), &answer, grpc.Header(&head), grpc.Trailer(&trailer))
	if err != nil {
		return said(err)
	}
	last := first(trailer, "x-last-bin").(string)
	return said(nil, string(answer), first(head, "x-first"), first(trailer, "x-last"), hex.EncodeToString([]byte(last)))
}

func sendLarge(name string) []interface{} {
	var answer []byte
	c, done := within(60)
	defer done()
	if err := connection.Invoke(c, path(name), large, &answer); err != nil {
		return said(err)
	}
	return said(nil, bytes.Equal(answer, bytes.ToUpper(large)))
}

// The code alone, of a call that is to be over soon.
func code(name, message string, seconds float64) []interface{} {
	var answer []byte
	c, done := within(seconds)
	defer done()
	return said(connection.Invoke(c, path(name), []byte(message), &answer))[:1]
}

func fail() []interface{} {
	var answer []byte
	c, done := within(60)
	defer done()
	err := connection.Invoke(c, path("Fail"), []byte{}, &answer)
	details, _ := proto.Marshal(status.Convert(err).Proto())
	return said(err, hex.EncodeToString(details))
}

func open(c context.Context, name string) grpc.ClientStream {
	s, err := connection.NewStream(c, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, path(name))
	if err != nil {
		log.Fatal(err)
	}
	return s
}

// Answers up to the end, and why it came.
func rest(s grpc.ClientStream) (answers []string, err error) {
	for {
		var answer []byte
		if err = s.RecvMsg(&answer); err != nil {
			break
		}
		answers = append(answers, string(answer))
	}
	if err == io.EOF {
		err = nil
	}
	return answers, err
}

func down(name, message string) []interface{} {
	c, done := within(60)
	defer done()
	s := open(c, name)
	s.SendMsg([]byte(message))
	s.CloseSend()
	answers, err := rest(s)
	return said(err, answers)
}

func up(name string, messages [][]byte) []interface{} {
	c, done := within(60)
	defer done()
	s := open(c, name)
	for _, m := range messages {
		// It fails where the call is over; why is told by what is received.
		if s.SendMsg(m) != nil {
			break
		}
	}
	s.CloseSend()
	answers, err := rest(s)
	if err != nil {
		return said(err)
	}
	return said(nil, len(answers[0]))
}

func both() []interface{} {
	c, done := within(60)
	defer done()
	s := open(c, "Both")
	answers := []string{}
	for _, word := range []string{"one", "two", "three"} {
		var answer []byte
		s.SendMsg([]byte(word))
		if err := s.RecvMsg(&answer); err != nil {
			return said(err)
		}
		answers = append(answers, string(answer))
	}
	s.CloseSend()
	more, err := rest(s)
	return said(err, answers, len(more))
}

// A call that is over before its client has ended it.
func staysOpen(name string, seconds float64) []interface{} {
	c, done := within(seconds)
	defer done()
	s := open(c, name)
	s.SendMsg([]byte("x"))
	_, err := rest(s)
	return said(err)
}

func watch() []interface{} {
	var answer []byte
	c, cancel := context.WithCancel(context.Background())
	s := open(c, "Watch")
	s.SendMsg([]byte("first"))
	s.CloseSend()
	if err := s.RecvMsg(&answer); err != nil {
		return said(err)
	}
	cancel()
	_, err := rest(s)
	return append(said(err)[:1], string(answer))
}

func do(name string) []interface{} {
	many := make([][]byte, 40)
	for i := range many {
		many[i] = bytes.Repeat([]byte("y"), 100000)
	}
	switch name {
	case "Down":
		return down(name, "a b c")
	case "Break":
		return down(name, "first")
	case "Both":
		return both()
	case "Fail":
		return fail()
	case "Watch":
		return watch()
	case "DeleteBoth":
		return staysOpen(name, 60)
	case "AskedBoth":
		return staysOpen(name, 0.5)[:1]
	case "Large":
		return sendLarge("One")
	case "AskedLarge":
		return sendLarge("Asked")
	case "Up":
		return up("Up", [][]byte{[]byte("x"), bytes.Repeat([]byte("y"), 200000), []byte("z")})
	case "DeleteUp":
		return up("DeleteUp", many)
	case "Slow":
		return code("Slow", "", 0.5)
	case "Soon":
		return code("Asked", "again", 0.5)
	case "Again":
		return one("Asked", "again")
	}
	return one(name, "hello")
}

func main() {
	var err error
	security := grpc.WithInsecure()
	if ca := os.Args[2]; ca != "" {
		c, err := credentials.NewClientTLSFromFile(ca, "")
		if err != nil {
			log.Fatal(err)
		}
		security = grpc.WithTransportCredentials(c)
	}
	options := []grpc.CallOption{grpc.ForceCodec(raw{}), grpc.MaxCallRecvMsgSize(8 << 20)}
	connection, err = grpc.Dial(os.Args[1], security, grpc.WithDefaultCallOptions(options...))
	if err != nil {
		log.Fatal(err)
	}
	for _, name := range os.Args[3:] {
		line, _ := json.Marshal(do(name))
		fmt.Println(string(line))
	}
}
