// Holds so many goroutines, serves its profiles, and tells for how long it stood still.
package main

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	_ "net/http/pprof"
	"os"
	"runtime"
	"strconv"
	"sync"
	"time"
)

var (
	lock    sync.Mutex
	longest time.Duration
	since   = time.Now()
	laps    int
)

func beat() {
	for {
		lock.Lock()
		since = time.Now()
		lap := laps
		lock.Unlock()
		time.Sleep(time.Millisecond)
		lock.Lock()
		// A beat that a lap has come between is in that lap already.
		if gap := time.Since(since); lap == laps && gap > longest {
			longest = gap
		}
		lock.Unlock()
	}
}

func lap() int64 {
	lock.Lock()
	defer lock.Unlock()
	answer := max(longest, time.Since(since))
	laps++
	longest = 0
	return answer.Microseconds()
}

func main() {
	count, err := strconv.Atoi(os.Args[1])
	if err != nil {
		panic(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go func() { panic(http.Serve(listener, nil)) }()
	never := make(chan struct{})
	for range count {
		go func() { <-never }()
	}
	go beat()
	fmt.Println("ready", runtime.NumGoroutine())
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		fmt.Println("lap", lap())
	}
}
