// A service for the growth test: a bounded cache and, by its mode, a leak. `shop MODE PORT`; without a port it calls
// itself, and tells of its rounds.
package main

import (
	"bufio"
	"fmt"
	"math"
	"net/http"
	_ "net/http/pprof"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
)

const round = 1000

var (
	lock    sync.Mutex
	ring    [500]string
	calls   int
	seen    = map[string]int{}
	kept    [][]byte
	forever = make(chan int)
)

func main() {
	mode := os.Args[1]
	// A queue that grows by doubling would look like steps.
	kept = make([][]byte, 0, 1<<20)
	if len(os.Args) == 2 {
		rounds(mode)
		return
	}
	http.HandleFunc("/u/", func(w http.ResponseWriter, r *http.Request) {
		lock.Lock()
		defer lock.Unlock()
		call(mode, r.URL.Path)
		fmt.Fprintln(w, len(ring))
	})
	fmt.Println(http.ListenAndServe("127.0.0.1:"+os.Args[2], nil))
}

func call(mode, key string) {
	calls++
	ring[calls%len(ring)] = strconv.Itoa(calls) + key
	switch mode {
	case "keys":
		seen[key]++
	case "heap":
		kept = append(kept, make([]byte, 16))
	case "rss":
		kept = append(kept, make([]byte, 64))
	case "goroutines":
		if calls%100 == 0 {
			go waitForever()
		}
	}
}

// rounds calls, collects and tells, as long as it is asked to. "warm" comes to rest at 1 MB, slowly.
func rounds(mode string) {
	input := bufio.NewScanner(os.Stdin)
	for n := 0; ; n++ {
		for range round {
			call(mode, "/u/"+strconv.Itoa(calls))
		}
		if mode == "warm" {
			kept = append(kept, make([]byte, int(1e6*(math.Exp(-float64(n)/8)-math.Exp(-float64(n+1)/8)))))
		}
		runtime.GC()
		debug.FreeOSMemory()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		held := fmt.Sprintf(" held=%d", m.HeapSys-m.HeapReleased)
		if strings.HasPrefix(mode, "rss") {
			held = ""
		}
		fmt.Printf("PLIMSOLL ROUND iterations=%d heap=%d goroutines=%d%s\n", round, m.HeapAlloc, runtime.NumGoroutine(), held)
		if !input.Scan() || input.Text() != "next" {
			return
		}
	}
}

func waitForever() { <-forever }
