#!/usr/bin/env python3
"""What reading a Go program's goroutines costs the program: from outside, and by its own pprof endpoint.

    bench/capture/go.py [GOROUTINES...]      default: 10000 100000 500000

A program with that many parked goroutines ticks every millisecond on a thread of its own and says the longest gap
between two ticks when it is asked: that is its pause. Its memory is the anonymous part, before and at most in between.
What is read from outside is a program without the endpoint. Needs cargo and Go (PLIMSOLL_GO, default: what
scripts/setup installs). One line per run.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

PROGRAM = r"""
package main

import (
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"runtime"
	"strconv"
	"sync/atomic"
	"time"
)

func await(c chan int) { <-c }

func choose(a, b chan int) {
	select {
	case <-a:
	case <-b:
	}
}

var longest atomic.Int64

func main() {
	n, _ := strconv.Atoi(os.Args[1])
	a, b := make(chan int), make(chan int)
	for i := 0; i < n/2; i++ {
		go await(a)
		go choose(a, b)
	}
	runtime.GC()
	go func() {
		runtime.LockOSThread()
		last := time.Now()
		for {
			time.Sleep(time.Millisecond)
			now := time.Now()
			if gap := int64(now.Sub(last)); gap > longest.Load() {
				longest.Store(gap)
			}
			last = now
		}
	}()
	mux := http.NewServeMux()
	if len(os.Args) > 2 {
		mux.HandleFunc("/debug/pprof/", pprof.Index)
	}
	mux.HandleFunc("/longest", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, longest.Swap(0))
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(listener.Addr())
	http.Serve(listener, mux)
}
"""


def resident(pid):
    """Anonymous memory of a process, KiB."""
    for line in open(f"/proc/{pid}/status"):
        if line.startswith("RssAnon:"):
            return int(line.split()[1])
    return 0


class Most(threading.Thread):
    """The most memory that is seen while something runs."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.most, self.stop = pid, resident(pid), False

    def run(self):
        while not self.stop:
            self.most = max(self.most, resident(self.pid))
            time.sleep(0.005)


def get(address, path):
    with urllib.request.urlopen(f"http://{address}{path}", timeout=120) as answer:
        return answer.read()


class Target:
    """The program while it runs."""

    def __init__(self, command):
        self.child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.address = self.child.stdout.readline().strip()

    def measure(self, name, n, act):
        time.sleep(1)
        get(self.address, "/longest")
        before, most = resident(self.child.pid), Most(self.child.pid)
        most.start()
        began = time.monotonic()
        size, note = act()
        took = time.monotonic() - began
        most.stop = True
        most.join()
        gap = int(get(self.address, "/longest")) / 1e6
        more = (most.most - before) / 1024
        print(f"{n:>8} {name:<8} {took:8.3f} s  longest gap {gap:7.1f} ms  +{more:6.1f} MiB  {size / 1e6:6.2f} MB out  {note}", flush=True)

    def end(self):
        self.child.kill()
        self.child.wait()


def outside(plimsoll, pid, folder):
    """One capture; how long the reading itself took."""
    to = tempfile.mkdtemp(dir=folder)
    command = [plimsoll, "capture", str(pid), "--artifact", "stacks", "--go", "--to", to, "--for", "1s", "-o", "json"]
    env = dict(os.environ, PLIMSOLL_STATE=str(folder))
    out = subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout
    piece = json.loads(out)["artifacts"][0]
    return piece["bytes"], f"itself {piece['seconds']:.3f} s, after watching for 1 s"


def main():
    root = pathlib.Path(__file__).resolve().parents[2]
    go = os.environ.get("PLIMSOLL_GO", os.path.expanduser("~/.cache/plimsoll-tools/bin/go"))
    plimsoll = os.environ.get("PLIMSOLL_BIN")
    if not plimsoll:
        subprocess.run(["cargo", "build", "--quiet", "--release", "-p", "plimsoll"], cwd=root, check=True)
        plimsoll = root / "target/release/plimsoll"
    folder = pathlib.Path(tempfile.mkdtemp(prefix="plimsoll-go-"))
    (folder / "main.go").write_text(PROGRAM)
    (folder / "go.mod").write_text("module parked\n\ngo 1.21\n")
    program = folder / "parked"
    subprocess.run([go, "build", "-ldflags", "-s -w", "-o", program, "."], cwd=folder, check=True)
    for n in [int(a) for a in sys.argv[1:]] or [10_000, 100_000, 500_000]:
        quiet = Target([program, str(n)])
        quiet.measure("nothing", n, lambda: (time.sleep(1), (0, ""))[1])
        quiet.measure("outside", n, lambda: outside(plimsoll, quiet.child.pid, folder))
        quiet.end()
        open_ = Target([program, str(n), "pprof"])
        for debug in (1, 2):
            get_it = lambda: (len(get(open_.address, f"/debug/pprof/goroutine?debug={debug}")), "")
            open_.measure(f"debug={debug}", n, get_it)
        open_.end()
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
