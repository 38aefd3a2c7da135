"""Makes the artifacts that the readers are measured on: python3 bench/readers/make.py FOLDER."""
import gzip
import os
import random
import sys

FOLDER = sys.argv[1]
SEED = 7


def path(name):
    return os.path.join(FOLDER, name)


def goroutines():
    """A dump of 64 MiB less a bit: five distinct stacks, one of which piles up, as a leaking service has them."""
    shapes = [
        ("chan receive, 31 minutes", ["main.await", "main.handle"], "main.serve"),
        ("select", ["net/http.(*persistConn).writeLoop"], "net/http.(*Transport).dialConn"),
        ("IO wait", ["internal/poll.runtime_pollWait", "internal/poll.(*pollDesc).wait", "net.(*conn).Read"], "net/http.(*Server).Serve"),
        ("sleep", ["time.Sleep", "main.tick"], "main.main"),
        ("sync.Mutex.Lock", ["sync.runtime_SemacquireMutex", "sync.(*Mutex).lockSlow", "main.(*Cache).Get"], "main.serve"),
    ]
    rng = random.Random(SEED)
    with open(path("goroutines.txt"), "w") as out:
        written, number = 0, 1
        while written < (64 << 20) - 4096:
            number += 1
            state, frames, creator = shapes[0 if rng.random() < 0.9 else rng.randrange(5)]
            lines = [f"goroutine {number} [{state}]:"]
            for line, frame in enumerate(frames):
                lines.append(f"{frame}(0xc{rng.getrandbits(36):09x}, 0x{rng.getrandbits(16):x})")
                lines.append(f"\t/src/service/internal/{line}.go:{40 + line} +0x{24 + line:x}")
            lines.append(f"created by {creator} in goroutine 1")
            lines.append("\t/src/service/main.go:120 +0x1a5\n\n")
            written += out.write("\n".join(lines))


def varint(n):
    out = bytearray()
    while n >= 0x80:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def number(field, n):
    return varint(field << 3) + varint(n)


def message(field, payload):
    return varint(field << 3 | 2) + varint(len(payload)) + payload


def packed(field, numbers):
    return message(field, b"".join(map(varint, numbers)))


def profile(name, growth):
    """A heap profile of 300,000 samples over 20,000 functions, stacks of 15 to 39 frames."""
    rng = random.Random(SEED)
    texts = ["", "alloc_objects", "count", "alloc_space", "bytes", "inuse_objects", "inuse_space", "space"]
    out = bytearray()
    for kind, unit in ((1, 2), (3, 4), (5, 2), (6, 4)):
        out += message(1, number(1, kind) + number(2, unit))
    functions = 20_000
    for i in range(functions):
        texts.append(f"github.com/example/service/internal/package{i % 300}.(*Type{i % 70}).Method{i}")
    for i in range(300_000):
        depth = rng.randrange(15, 40)
        # Callers are few, callees many, as in a real program.
        stack = [min(int(functions * rng.random() ** (1 + d / 8)), functions - 1) + 1 for d in range(depth)]
        size = 1 << rng.randrange(5, 16)
        kept = rng.randrange(0, 50)
        if stack[0] % 97 == 0:
            kept = int(kept * growth)
        made = kept + rng.randrange(0, 1000)
        values = [made, made * size, kept, kept * size]
        out += message(2, packed(1, stack) + packed(2, values) + message(3, number(1, 4) + number(3, size)))
    for i in range(1, functions + 1):
        out += message(4, number(1, i) + number(3, 0x400000 + 64 * i) + message(4, number(1, i) + number(2, i % 900 + 1)))
        out += message(5, number(1, i) + number(2, i + 7) + number(4, i + 7))
    for text in texts:
        out += message(6, text.encode())
    out += message(11, number(1, 7) + number(2, 4)) + number(12, 512 << 10)
    with gzip.open(path(name), "wb", 5) as file:
        file.write(bytes(out))


def g1_log():
    """A log of -Xlog:gc* under G1, 400 MB: pauses with their phases, a floor that climbs by 3 MB/s."""
    rng = random.Random(SEED)
    with open(path("gc-g1.log"), "w") as out:
        out.write("[0.010s][info][gc] Using G1\n[0.011s][info][gc,init] Heap Max Capacity: 8G\n")
        written, time, cycle = 0, 1.0, 0
        while written < 400_000_000:
            time += rng.uniform(0.05, 0.15)
            live = 200 + 0.003 * time + rng.uniform(0, 40)
            before, pause = live + 900, rng.uniform(2, 9)
            at = f"[{time:.3f}s][info][gc"
            lines = [
                f"{at},start    ] GC({cycle}) Pause Young (Normal) (G1 Evacuation Pause)",
                f"{at},task     ] GC({cycle}) Using 2 workers of 2 for evacuation",
                f"{at},phases   ] GC({cycle})   Pre Evacuate Collection Set: 0.1ms",
                f"{at},phases   ] GC({cycle})   Evacuate Collection Set: {pause:.1f}ms",
                f"{at},phases   ] GC({cycle})   Post Evacuate Collection Set: 0.4ms",
                f"{at},heap     ] GC({cycle}) Eden regions: 90->0(88)",
                f"{at},heap     ] GC({cycle}) Survivor regions: 4->6(12)",
                f"{at},heap     ] GC({cycle}) Old regions: 30->31",
                f"{at},heap     ] GC({cycle}) Humongous regions: 2->2",
                f"{at},metaspace] GC({cycle}) Metaspace: 8120K(8448K)->8120K(8448K) NonClass: 7200K(7360K)->7200K(7360K) Class: 920K(1088K)->920K(1088K)",
                f"{at}          ] GC({cycle}) Pause Young (Normal) (G1 Evacuation Pause) {before:.0f}M->{live:.0f}M(2048M) {pause:.3f}ms",
                f"{at},cpu      ] GC({cycle}) User=0.01s Sys=0.00s Real=0.01s",
            ]
            written += out.write("\n".join(lines) + "\n")
            cycle += 1


def smaps():
    """30,000 mappings, as a process with many libraries and arenas has them."""
    rng = random.Random(SEED)
    fields = "Size Rss Pss Pss_Dirty Shared_Clean Shared_Dirty Private_Clean Private_Dirty Referenced Anonymous KSM LazyFree AnonHugePages ShmemPmdMapped FilePmdMapped Shared_Hugetlb Private_Hugetlb Swap SwapPss Locked".split()
    with open(path("smaps.txt"), "w") as out:
        at = 0x7F0000000000
        for i in range(30_000):
            pages = rng.randrange(1, 400)
            name = rng.choice(["", "", "/usr/lib/libc.so.6", "/usr/lib/jvm/lib/server/libjvm.so", "[stack]" if i == 29_999 else ""])
            out.write(f"{at:x}-{at + pages * 4096:x} rw-p 00000000 00:00 0                    {name}\n")
            used = rng.randrange(0, pages + 1) * 4
            for field in fields:
                value = pages * 4 if field == "Size" else used if field in ("Rss", "Pss", "Private_Dirty", "Anonymous", "Referenced") else 0
                out.write(f"{field + ':':<16}{value:>8} kB\n")
            out.write("KernelPageSize:        4 kB\nMMUPageSize:           4 kB\nTHPeligible:           0\nVmFlags: rd wr mr mw me ac sd\n")
            at += pages * 4096 + rng.randrange(0, 3) * 4096


os.makedirs(FOLDER, exist_ok=True)
goroutines()
profile("heap-1.pb.gz", 1)
profile("heap-2.pb.gz", 4)
g1_log()
smaps()
