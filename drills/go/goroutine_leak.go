// Drill: accumulation. Each timed-out request leaves a goroutine behind that waits for an answer which
// never comes, and pins its request context. Arguments are key=value: rate (KiB per second), seed, port.
package main

import (
	"math/rand"
	"net"
	"net/http"
	_ "net/http/pprof"
	"os"
	"strconv"
	"strings"
	"time"
)

func arg(key string, otherwise int64) int64 {
	for _, a := range os.Args[1:] {
		if v, ok := strings.CutPrefix(a, key+"="); ok {
			if n, err := strconv.ParseInt(v, 10, 64); err == nil {
				return n
			}
		}
	}
	return otherwise
}

// request is what a stuck goroutine keeps alive.
type request struct {
	id   int
	body []byte
}

func await(r *request, answer chan int) {
	select {
	case n := <-answer:
		r.id += n
	}
}

func main() {
	// Port 0: the profile endpoint is found from outside, not configured.
	l, err := net.Listen("tcp", "127.0.0.1:"+strconv.FormatInt(arg("port", 0), 10))
	if err == nil {
		go http.Serve(l, nil)
	}
	rate := float64(arg("rate", 1024) * 1024)
	random := rand.New(rand.NewSource(arg("seed", 1)))
	began := time.Now()
	const each = 2048 + 1536 + 700 // stack, request and what the runtime adds
	stored := 0.0
	for n := 0; ; n++ {
		for stored < rate*time.Since(began).Seconds() {
			r := &request{id: n, body: make([]byte, 1024+random.Intn(1024))}
			go await(r, make(chan int))
			stored += each
		}
		time.Sleep(5 * time.Millisecond)
	}
}
