// Holds so many goroutines and serves pprof, metrics or expvar; `burn RATE TOTAL` (MiB a second, MiB) then takes more at that
// rate, up to that much. A third word has each goroutine wait under so many calls.
package main

import (
	"bufio"
	_ "expvar"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"runtime"
	"strconv"
	"sync"
	"time"
)

var burnt [][]byte

func burn(rate, total float64) {
	began := time.Now()
	for n := 0.0; n < total; time.Sleep(2 * time.Millisecond) {
		for due := min(time.Since(began).Seconds()*rate, total); n < due; n += 0.25 {
			piece := make([]byte, 256<<10)
			for i := range piece {
				piece[i] = 1
			}
			burnt = append(burnt, piece)
		}
	}
}

// Waits under so many calls.
//
//go:noinline
func wait(depth int, there *sync.WaitGroup, never chan struct{}) {
	if depth > 0 {
		wait(depth-1, there, never)
	} else {
		there.Done()
	}
	<-never
}

func metrics(w http.ResponseWriter, _ *http.Request) {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	fmt.Fprintf(w, "# TYPE go_goroutines gauge\ngo_goroutines %d\n", runtime.NumGoroutine())
	fmt.Fprintf(w, "# TYPE go_memstats_heap_alloc_bytes gauge\ngo_memstats_heap_alloc_bytes %d\n", m.HeapAlloc)
}

func main() {
	count, err := strconv.Atoi(os.Args[1])
	if err != nil {
		panic(err)
	}
	doors := http.NewServeMux()
	switch os.Args[2] {
	case "pprof":
		doors.HandleFunc("/debug/pprof/", pprof.Index)
	case "metrics":
		doors.HandleFunc("/metrics", metrics)
	case "expvar":
		doors.Handle("/debug/vars", http.DefaultServeMux)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go func() { panic(http.Serve(listener, doors)) }()
	never, depth := make(chan struct{}), 0
	if len(os.Args) > 3 {
		if depth, err = strconv.Atoi(os.Args[3]); err != nil {
			panic(err)
		}
	}
	var there sync.WaitGroup
	there.Add(count)
	for range count {
		go wait(depth, &there, never)
	}
	// Their stacks have grown, and nothing is left of how they came.
	there.Wait()
	runtime.GC()
	fmt.Println("ready", runtime.NumGoroutine())
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		var rate, total float64
		if n, _ := fmt.Sscanf(in.Text(), "burn %g %g", &rate, &total); n == 2 {
			go burn(rate, total)
		}
		fmt.Println("lap 0")
	}
}
