// The growth test: go test -run TestGrowth. It fails when an iteration leaves something behind.
// Verdict and statistics are plimsoll's (plimsoll guard run); it must be on the PATH.
package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"testing"
)

// Iterations of one round.
const growthRound = 1000

// growthIteration does what must leave nothing behind: a request, a job, a message. n never comes again.
func growthIteration(n int) {
	_ = n // your work here
}

func TestGrowth(t *testing.T) {
	if os.Getenv("PLIMSOLL_GUARD") != "" {
		growthRounds()
		return
	}
	command := exec.Command("plimsoll", "guard", "run", "--", os.Args[0], "-test.run=^TestGrowth$")
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}

// growthRounds works, collects and tells, as long as it is asked to.
func growthRounds() {
	input := bufio.NewScanner(os.Stdin)
	for n := 0; ; {
		for end := n + growthRound; n < end; n++ {
			growthIteration(n)
		}
		runtime.GC()
		debug.FreeOSMemory()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		fmt.Printf("PLIMSOLL ROUND iterations=%d heap=%d held=%d goroutines=%d\n",
			growthRound, m.HeapAlloc, m.HeapSys-m.HeapReleased, runtime.NumGoroutine())
		if !input.Scan() || input.Text() != "next" {
			return
		}
	}
}
