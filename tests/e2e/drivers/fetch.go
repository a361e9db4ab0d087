// SPDX-License-Identifier: Apache-2.0

// Go's own client: a read, an upload and a refusal.
package main

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strings"
)

func main() {
	place := os.Args[1]
	for _, what := range []struct {
		method, path string
		body         int
	}{{"GET", "/v1/hello", 0}, {"POST", "/v1/take", 300000}, {"DELETE", "/v1/hello", 0}, {"GET", "/v1/hello", 0}} {
		request, err := http.NewRequest(what.method, place+what.path, bytes.NewReader(make([]byte, what.body)))
		if err != nil {
			log.Fatal(err)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			log.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		if err != nil {
			log.Fatal(err)
		}
		response.Body.Close()
		fmt.Println(response.Proto, response.StatusCode, strings.TrimSpace(string(body)))
	}
}
