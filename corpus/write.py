#!/usr/bin/env python3
"""Writes the inputs of corpus/ that no program at hand makes: logs of JDK 8, traces of deaths, cores,
heap snapshots small enough to keep. Their grammar is that of HotSpot 8, Linux, Kubernetes, ELF and V8; the numbers are chosen. `corpus/write.py`, then bless as `corpus/make` says."""

import gzip
import json
import os
import struct

HERE = os.path.dirname(os.path.abspath(__file__))
TIMES = "[Times: user=0.01 sys=0.00, real=0.01 secs] "


def put(case, data, tool, truth):
    data = data if isinstance(data, bytes) else data.encode()
    folder = os.path.join(HERE, case)
    os.makedirs(folder, exist_ok=True)
    packed = len(data) > 20000
    with open(os.path.join(folder, "input.gz" if packed else "input"), "wb") as out:
        out.write(gzip.compress(data, 9, mtime=0) if packed else data)
    with open(os.path.join(folder, "about.toml"), "w") as out:
        out.write(f'origin = "corpus/write.py"\ntool = "{tool}"\ntruth = "{truth}"\n')


def head(flag):
    return (
        "OpenJDK 64-Bit Server VM (25.402-b06) for linux-amd64 JRE (1.8.0_402-b06), built on Jan 17 2024 by \"x\" with gcc 4.8.5\n"
        "Memory: 4k page, physical 8052844k(1024k free), swap 0k(0k free)\n"
        f"CommandLine flags: -XX:InitialHeapSize=268435456 -XX:MaxHeapSize=268435456 -XX:+PrintGCDetails {flag} \n"
    )


def stamp(t):
    return f"2026-05-01T10:{int(t) // 60:02}:{int(t) % 60:02}.{int(t * 1000) % 1000:03}+0000: {t:.3f}: "


def parallel():
    """The floor is 20 MiB and climbs by 1 MiB/s; a full collection every 12 s."""
    out, used = [head("-XX:+UseParallelGC")], 20 * 1024
    for i in range(1, 240):
        t = i / 2
        live = 20 * 1024 + int(1024 * t)
        if i % 24 == 0:
            out.append(
                f"{stamp(t)}[Full GC (Ergonomics) [PSYoungGen: 512K->0K(76288K)] [ParOldGen: {used}K->{live}K(175104K)] "
                f"{used + 512}K->{live}K(251392K), [Metaspace: 2900K->2900K(1056768K)], 0.0512340 secs] {TIMES}\n"
            )
            used = live
        else:
            used += 2600
            out.append(
                f"{stamp(t)}[GC (Allocation Failure) [PSYoungGen: 65536K->512K(76288K)] "
                f"{used + 65024}K->{used + 512}K(251392K), 0.0041230 secs] {TIMES}\n"
            )
    return "".join(out)


def cms():
    """The floor is 60 MiB and stays; the old generation is swept every 15 s."""
    out, used = [head("-XX:+UseConcMarkSweepGC -XX:+UseParNewGC")], 60 * 1024
    for i in range(1, 240):
        t = i / 2
        used += 1500
        out.append(
            f"{stamp(t)}[GC (Allocation Failure) {stamp(t)}[ParNew: 17472K->1024K(19648K), 0.0049960 secs] "
            f"{used + 16448}K->{used}K(260160K), 0.0050970 secs] {TIMES}\n"
        )
        if i % 30 == 0:
            t += 0.1
            out.append(f"{stamp(t)}[GC (CMS Initial Mark) [1 CMS-initial-mark: {used}K(240512K)] {used + 900}K(260160K), 0.0004120 secs] {TIMES}\n")
            for phase in ("mark", "preclean"):
                out.append(f"{stamp(t)}[CMS-concurrent-{phase}-start]\n{stamp(t + 0.02)}[CMS-concurrent-{phase}: 0.012/0.020 secs] {TIMES}\n")
            out.append(
                f"{stamp(t + 0.05)}[GC (CMS Final Remark) [YG occupancy: 900 K (19648 K)]{stamp(t + 0.05)}[Rescan (parallel) , 0.0002450 secs]"
                f"{stamp(t + 0.05)}[weak refs processing, 0.0000110 secs]{stamp(t + 0.05)}[class unloading, 0.0003210 secs]"
                f"[1 CMS-remark: {used}K(240512K)] {used + 900}K(260160K), 0.0012340 secs] {TIMES}\n"
            )
            out.append(f"{stamp(t + 0.06)}[CMS-concurrent-sweep-start]\n{stamp(t + 0.1)}[CMS-concurrent-sweep: 0.030/0.040 secs] {TIMES}\n")
            out.append(f"{stamp(t + 0.1)}[CMS-concurrent-reset-start]\n{stamp(t + 0.11)}[CMS-concurrent-reset: 0.001/0.001 secs] {TIMES}\n")
            used = 60 * 1024
    return "".join(out)


def g1():
    """The floor is 40 MiB and climbs by 0.5 MiB/s; mixed collections every 10 s."""
    out, used = [head("-XX:+UseG1GC")], 40.0
    for i in range(1, 240):
        t = i / 2
        kind, live = "young", 40 + t / 2
        if i % 20 in (0, 1):
            kind, used = "mixed", live + (4 if i % 20 == 0 else 1)
        else:
            used += 2.5
        out.append(
            f"{stamp(t)}[GC pause (G1 Evacuation Pause) ({kind}), 0.0052340 secs]\n"
            "   [Parallel Time: 4.0 ms, GC Workers: 2]\n"
            f"   [Eden: 24.0M(24.0M)->0.0B(24.0M) Survivors: 2048.0K->2048.0K Heap: {used + 24:.1f}M(256.0M)->{used:.1f}M(256.0M)]\n"
            f" {TIMES}\n"
        )
    return "".join(out)


def nmt():
    rows = [
        ("Java Heap", 65536, 65536, ["(mmap: reserved=65536KB, committed=65536KB) "]),
        ("Class", 1062036, 12948, ["(classes #1234)", "(malloc=5268KB #1220) ", "(mmap: reserved=1056768KB, committed=7680KB) "]),
        ("Thread", 18579, 18579, ["(thread #19)", "(stack: reserved=18432KB, committed=18432KB)", "(malloc=60KB #98) ", "(arena=87KB #32)"]),
        ("Code", 249713, 2649, ["(malloc=113KB #551) ", "(mmap: reserved=249600KB, committed=2536KB) "]),
        ("GC", 8163, 8163, ["(malloc=5771KB #118) ", "(mmap: reserved=2392KB, committed=2392KB) "]),
        ("Internal", 131216, 131216, ["(malloc=131184KB #2145) ", "(mmap: reserved=32KB, committed=32KB) "]),
        ("Symbol", 2263, 2263, ["(malloc=1391KB #1245) ", "(arena=872KB #1)"]),
        ("Native Memory Tracking", 87, 87, ["(malloc=3KB #42) ", "(tracking overhead=84KB)"]),
    ]
    total = [sum(row[i] for row in rows) for i in (1, 2)]
    out = f"4711:\n\nNative Memory Tracking:\n\nTotal: reserved={total[0]}KB, committed={total[1]}KB\n"
    for name, reserved, committed, lines in rows:
        out += f"-{name:>26} (reserved={reserved}KB, committed={committed}KB)\n"
        out += "".join(f"{'':28}{line}\n" for line in lines) + " \n"
    return out


def kernel():
    group = "/kubepods/burstable/pod0a1b2c3d-0000-1111-2222-333344445555"
    out = "[    0.000000] Linux version 6.1.0-18-amd64 (debian-kernel@lists.debian.org)\n"
    for at, pid in ((36000.1, 4711), (39600.2, 5822), (43200.3, 6933)):
        out += (
            f"[{at:.6f}] java invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=984\n"
            f"[{at:.6f}] memory: usage 524288kB, limit 524288kB, failcnt 97\n"
            f"[{at:.6f}] swap: usage 0kB, limit 0kB, failcnt 0\n"
            f"[{at:.6f}] Memory cgroup stats for {group}:\n"
            f"[{at:.6f}] anon 530579456\n"
            f"[{at:.6f}] file 1048576\n"
            f"[{at:.6f}] Tasks state (memory values in pages):\n"
            f"[{at:.6f}] [  pid  ]   uid  tgid total_vm      rss pgtables_bytes swapents oom_score_adj name\n"
            f"[{at:.6f}] [{pid:7}]  1000 {pid:5}  1048576   129536  1400832        0           984 java\n"
            f"[{at:.6f}] oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=app,mems_allowed=0,oom_memcg={group},"
            f"task_memcg={group}/app,task=java,pid={pid},uid=1000\n"
            f"[{at:.6f}] Memory cgroup out of memory: Killed process {pid} (java) total-vm:4194304kB, anon-rss:518144kB, "
            "file-rss:0kB, shmem-rss:0kB, UID:1000 pgtables:1368kB oom_score_adj:984\n"
        )
    return out


def described():
    return """Name:             web-7d4b9c6f5d-x2x7p
Namespace:        shop
Node:             node-1/10.0.0.7
Status:           Running
Containers:
  app:
    Container ID:   containerd://0123456789abcdef
    Image:          example/web:1.2
    State:          Running
      Started:      Fri, 01 May 2026 12:00:10 +0000
    Last State:     Terminated
      Reason:       OOMKilled
      Exit Code:    137
      Started:      Fri, 01 May 2026 11:00:10 +0000
      Finished:     Fri, 01 May 2026 12:00:05 +0000
    Ready:          True
    Restart Count:  7
    Limits:
      memory:  512Mi
    Requests:
      memory:  256Mi
QoS Class:        Burstable
Events:           <none>
"""


def pod():
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "web-7d4b9c6f5d-x2x7p", "namespace": "shop"},
            "spec": {"containers": [{"name": "app", "resources": {"limits": {"memory": "512Mi"}}}]},
            "status": {
                "containerStatuses": [
                    {
                        "name": "app",
                        "restartCount": 7,
                        "lastState": {"terminated": {"reason": "OOMKilled", "exitCode": 137, "finishedAt": "2026-05-01T12:00:05Z"}},
                    }
                ]
            },
        },
        indent=1,
    ) + "\n"


def kubelet():
    return (
        "I0501 11:59:58.000000    1234 eviction_manager.go:366] \"Eviction manager: must evict pod(s) to reclaim\" resourceName=\"memory\"\n"
        "I0501 11:59:59.000000    1234 eviction_manager.go:404] \"Eviction manager: evicting pod\" pod=\"shop/batch-1\" "
        "podUID=\"0a1b2c3d-0000-1111-2222-333344445555\" containerName=\"*\" reason=\"Evicted\" message=\"The node was low on resource: memory. "
        "Threshold quantity: 100Mi, available: 92544Ki. Container app was using 1200Mi, request is 512Mi, has larger consumption of memory. \"\n"
    )


def last_words():
    chatter = "".join(f"2026-05-01 10:00:{i % 60:02} INFO  request {i} served in {i % 9} ms\n" for i in range(40))
    return (
        chatter
        + "2026-05-01 10:01:00 ERROR java.lang.OutOfMemoryError: Java heap space\n\tat java.util.Arrays.copyOf(Arrays.java:3332)\n"
        "\tat com.example.Cache.put(Cache.java:42)\n"
        + chatter
    )


def note(kind, body):
    name = b"CORE\0\0\0\0"
    return struct.pack("<III", 5, len(body), kind) + name + body + b"\0" * (-len(body) % 4)


def core():
    """A program that was killed by SIGABRT, with two threads, two files and 8 KiB of memory of its own."""

    def status(pid):
        body = bytearray(336)
        struct.pack_into("<H", body, 12, 6)
        struct.pack_into("<I", body, 32, pid)
        return bytes(body)

    info = bytearray(136)
    struct.pack_into("<I", info, 24, 4711)
    info[40:45] = b"held\0"
    info[56:61] = b"held\0"
    signal = bytearray(128)
    struct.pack_into("<Iii", signal, 0, 6, 0, -6)
    struct.pack_into("<I", signal, 16, 4711)
    files = struct.pack("<8Q", 2, 4096, 0x1000, 0x2000, 0, 0x5000, 0x6000, 0) + b"/srv/held\0/usr/lib/libc.so.6\0"
    notes = note(1, status(4711)) + note(3, bytes(info)) + note(0x53494749, bytes(signal)) + note(0x46494C45, files) + note(1, status(4712))
    begin = 64 + 3 * 56
    after = begin + len(notes)
    out = bytearray(64)
    out[0:7] = b"\x7fELF\x02\x01\x01"
    struct.pack_into("<HH", out, 16, 4, 62)
    struct.pack_into("<Q", out, 32, 64)
    struct.pack_into("<H", out, 56, 3)
    for kind, flags, *rest in ((4, 0, begin, 0, 0, len(notes), 0, 4), (1, 5, after, 0x1000, 0, 0, 0x1000, 4096), (1, 6, after, 0x100000, 0, 8192, 8192, 4096)):
        out += struct.pack("<II6Q", kind, flags, *rest)
    return bytes(out) + notes + b"\7" * 8192


class Snapshot:
    """A heap snapshot as Node.js 20 writes it. Node 0 is the root; a reference is (kind, name or index, node)."""

    KINDS = "hidden array string object code closure regexp number native synthetic".split() + [
        "concatenated string", "sliced string", "symbol", "bigint", "object shape", "wasm object",
    ]
    EDGES = "context element property internal hidden shortcut weak".split()

    def __init__(self):
        self.strings, self.nodes = {"<dummy>": 0}, []
        self.root = self.node("synthetic", "", 0)
        self.global_object = self.node("object", "global", 64)
        self.refer(self.root, "shortcut", "global", self.global_object)
        roots = self.node("synthetic", "(GC roots)", 0)
        self.refer(self.root, "element", 1, roots)
        self.refer(roots, "element", 1, self.global_object)

    def name(self, text):
        return self.strings.setdefault(text, len(self.strings))

    def node(self, kind, name, size, detached=0):
        self.nodes.append((self.KINDS.index(kind), self.name(name), size, [], detached))
        return len(self.nodes) - 1

    def refer(self, above, kind, name, below):
        self.nodes[above][3].append((self.EDGES.index(kind), name if isinstance(name, int) else self.name(name), below))

    def function(self, name, script, context):
        """A function of a script, with the scope it was made in."""
        code, function = self.node("code", name, 56), self.node("closure", name, 64)
        self.refer(code, "internal", "script_or_debug_info", self.node("code", script, 96))
        self.refer(function, "internal", "shared", code)
        self.refer(function, "internal", "context", context)
        return function

    def module(self, variable, value, function, script):
        """A variable of a module, kept by a function that the program's globals have."""
        context = self.node("object", "system / Context", 40)
        self.refer(context, "context", variable, value)
        self.refer(self.global_object, "property", function, self.function(function, script, context))

    def map(self, entries, size):
        """A Map of URLs to sessions."""
        table, found = self.node("array", "", 16 * entries), self.node("object", "Map", 32)
        self.refer(found, "internal", "table", table)
        for n in range(entries):
            self.refer(table, "internal", 2 * n + 1, self.node("string", f"/cart/{n * 7919 % 10000}/item?session={n * 104729:x}", 56))
            self.refer(table, "internal", 2 * n + 2, self.node("object", "Session", size))
        return found

    def number(self, value):
        found = self.node("number", "smi number", 0)
        self.refer(found, "internal", "value", self.node("string", str(value), 0))
        return found

    def text(self):
        meta = {
            "node_fields": ["type", "name", "id", "self_size", "edge_count", "trace_node_id", "detachedness"],
            "node_types": [self.KINDS, "string", "number", "number", "number", "number", "number"],
            "edge_fields": ["type", "name_or_index", "to_node"],
            "edge_types": [self.EDGES, "string_or_number", "node"],
            "trace_function_info_fields": ["function_id", "name", "script_name", "script_id", "line", "column"],
            "trace_node_fields": ["id", "function_info_index", "count", "size", "children"],
            "sample_fields": ["timestamp_us", "last_assigned_id"],
            "location_fields": ["object_index", "script_id", "line", "column"],
        }
        edges = [edge for node in self.nodes for edge in node[3]]
        counts = {"meta": meta, "node_count": len(self.nodes), "edge_count": len(edges), "trace_function_count": 0}
        rows = [f"{k},{name},{2 * at + 1},{size},{len(to)},0,{gone}" for at, (k, name, size, to, gone) in enumerate(self.nodes)]
        return (
            f'{{"snapshot":{json.dumps(counts, separators=(",", ":"))},\n"nodes":[' + "\n,".join(rows) + '],\n"edges":['
            + "\n,".join(f"{kind},{name},{7 * to}" for kind, name, to in edges)
            + '],\n"trace_function_infos":[],\n"trace_tree":[],\n"samples":[],\n"locations":[],\n"strings":['
            + ",\n".join(json.dumps(text) for text in self.strings) + "]}"
        )


def map_snapshot():
    heap = Snapshot()
    heap.module("sessions", heap.map(137, 16384), "handle", "/srv/shop/cart.js")
    return heap.text()


def bounded_snapshot(most):
    heap = Snapshot()
    owner = heap.node("object", "Recent", 32)
    heap.refer(owner, "property", "max", heap.number(most))
    heap.refer(owner, "property", "map", heap.map(137, 16384))
    heap.module("recent", owner, "handle", "/srv/shop/cart.js")
    return heap.text()


def detached_snapshot():
    """A list that a page has thrown away, with its rows, kept by a variable."""
    heap = Snapshot()
    tree = heap.node("native", "Detached HTMLUListElement", 4096, 2)
    for n in range(64):
        heap.refer(tree, "element", n + 1, heap.node("native", "Detached HTMLLIElement", 32768, 2))
    heap.module("lastList", tree, "render", "https://shop.example/list.js")
    return heap.text()


def chain_snapshot():
    """Each object has a function whose scope keeps the object before it."""
    heap, before = Snapshot(), None
    for n in range(120):
        context = heap.node("object", "system / Context", 40)
        if before is not None:
            heap.refer(context, "context", "originalThing", before)
        before = heap.node("object", "Thing", 40)
        heap.refer(before, "property", "text", heap.node("string", f"a long text, number {n}", 16384))
        heap.refer(before, "property", "method", heap.function("someMethod", "/srv/shop/replace.js", context))
    heap.module("theThing", before, "replaceThing", "/srv/shop/replace.js")
    return heap.text()


JDK8 = "JDK 8u402, as HotSpot 8 words it"
put("gc-log/jdk8-parallel", parallel(), JDK8, "the floor climbs by 1 MiB/s")
put("gc-log/jdk8-cms", cms(), JDK8, "the floor stays at 60 MiB")
put("gc-log/jdk8-g1", g1(), JDK8, "the floor climbs by 0.5 MiB/s")
put("nmt/jdk8-summary", nmt(), JDK8, "128 MiB of direct buffers, which JDK 8 counts as Internal")
put("deaths/kernel", kernel(), "dmesg", "the limit of the pod, 512 MiB, above the container's group; three times, an hour apart")
put("deaths/describe", described(), "kubectl describe pod", "OOMKilled, limit 512Mi, seven restarts")
put("deaths/pod-json", pod(), "kubectl get pod -o json", "OOMKilled, limit 512Mi, seven restarts")
put("deaths/kubelet", kubelet(), "journalctl -u kubelet", "evicted because the node was low on memory")
put("deaths/last-words", last_words(), "a program's log", "Java heap space, once")
put("core/aborted", core(), "Linux, x86-64", "SIGABRT, two threads, 8 KiB of its own memory")
V8 = "Node.js 20, as V8 11.3 writes it"
put("heap-snapshot/map", map_snapshot(), V8, "a Map of a module, sessions, holds 137 sessions of 16 KiB under URLs")
put("heap-snapshot/bounded", bounded_snapshot(137), V8, "a full cache: 137 of 137 entries, as the number in its owner says")
put("heap-snapshot/no-bound", bounded_snapshot(-1), V8, "the same with a bound of -1, which is none: a leak")
put("heap-snapshot/detached", detached_snapshot(), V8, "65 detached elements, 2 MiB, kept by the variable lastList")
put("heap-snapshot/chain", chain_snapshot(), V8, "120 objects, each kept by the scope of the function of the next")
