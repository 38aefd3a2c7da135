// What the artifacts of a Go program are taken from: 400 goroutines that wait for an answer that never comes, each with
// 64 KiB, and collections that say what is alive.
package main

import (
	"os"
	"runtime"
	"runtime/pprof"
	"time"
)

var held [][]byte

func wait(answers chan int, body []byte) {
	<-answers
	body[0] = 1
}

func main() {
	answers := make(chan int)
	for i := 0; i < 400; i++ {
		body := make([]byte, 64<<10)
		held = append(held, body)
		go wait(answers, body)
	}
	for i := 0; i < 12; i++ {
		time.Sleep(50 * time.Millisecond)
		runtime.GC()
	}
	for _, form := range []struct {
		profile, file string
		debug         int
	}{{"goroutine", "goroutines-2.txt", 2}, {"goroutine", "goroutines-1.txt", 1}, {"heap", "heap.pb.gz", 0}, {"heap", "heap.txt", 1}} {
		file, err := os.Create(os.Args[1] + "/" + form.file)
		if err != nil {
			panic(err)
		}
		if err := pprof.Lookup(form.profile).WriteTo(file, form.debug); err != nil {
			panic(err)
		}
		file.Close()
	}
}
