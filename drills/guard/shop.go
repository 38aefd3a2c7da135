// A service for the growth test: a bounded cache and, by its mode, a leak. `shop MODE PORT`.
package main

import (
	"fmt"
	"net/http"
	_ "net/http/pprof"
	"os"
	"strconv"
	"sync"
)

var (
	lock    sync.Mutex
	ring    [500]string
	calls   int
	seen    = map[string]int{}
	kept    [][]byte
	forever = make(chan int)
)

func main() {
	mode, port := os.Args[1], os.Args[2]
	// A queue that grows by doubling would look like steps.
	kept = make([][]byte, 0, 1<<20)
	http.HandleFunc("/u/", func(w http.ResponseWriter, r *http.Request) {
		lock.Lock()
		defer lock.Unlock()
		calls++
		ring[calls%len(ring)] = strconv.Itoa(calls) + r.URL.Path
		switch mode {
		case "keys":
			seen[r.URL.Path]++
		case "heap":
			kept = append(kept, make([]byte, 16))
		case "goroutines":
			if calls%100 == 0 {
				go waitForever()
			}
		}
		fmt.Fprintln(w, len(ring))
	})
	fmt.Println(http.ListenAndServe("127.0.0.1:"+port, nil))
}

func waitForever() { <-forever }
