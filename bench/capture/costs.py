#!/usr/bin/env python3
"""What captures take inside a program, over sizes, collectors, shapes of heap and headrooms: what the shipped constants rest on.

    bench/capture/costs.py jvm|node|small [--plimsoll PATH]      one line per capture

No limit binds unless one is named: the peak of what the group uses beyond what it used before (version 1, without the page cache that
can be given back: the anonymous part of `memory.stat`, looked at every 2 ms) while `plimsoll capture --force` takes the artifact. Needs
what bench/capture/tight.py needs.
"""

import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from tight import HELD, MIB, OURS, ROOT, Cage, ask, rooted, warm

JVMS = [(gc, size, headroom) for gc in ("G1", "Parallel", "Serial", "Z") for size in (32, 128, 512) for headroom in (None, 24)]
# Artifact, program, and what is counted of it: threads, classes, goroutines, MiB of heap.
SMALL = [
    ("threads", "jvm", (0, 400, 2000)),
    ("nmt", "jvm", (0,)),
    ("gclog", "jvm", (0,)),
    ("jfr", "jvm", (0,)),
    ("nothing", "classes", (4000,)),
    ("histogram", "classes", (0, 4000)),
    ("heap", "classes", (0, 4000)),
    ("goroutines", "go", (100, 5000, 20000, 60000)),
    ("goroutines", "deep go", (5000, 20000)),
    ("heap", "go", (100, 20000)),
    ("census", "python", (64, 512)),
    ("census", "python objects", (64, 512)),
    ("statistics", "node", (8, 64)),
    ("sampling", "node", (8, 64)),
    ("nothing", "busy node", (8, 64)),
    ("statistics", "busy node", (8, 64)),
    ("sampling", "busy node", (8, 64)),
]
SHAPES = ("objects", "numbers", "strings", "closures", "maps", "wide", "large", "doubles", "buffers")


def anonymous(cage):
    stat = dict(l.split() for l in (cage.path / "memory.stat").read_text().splitlines())
    return int(stat["rss"]) + int(stat["shmem"])


class Peak(threading.Thread):
    def __init__(self, cage):
        super().__init__(daemon=True)
        self.cage, self.most, self.on = cage, 0, True

    def run(self):
        while self.on:
            self.most = max(self.most, anonymous(self.cage))
            time.sleep(0.002)


def measure(words, artifact, headroom, folder, binary, warmed=False, settle=0):
    cage, child = Cage(), None
    try:
        join = f'echo $$ > {cage.path}/cgroup.procs; exec "$@"'
        child = subprocess.Popen(["sh", "-c", join, "sh", *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        held = float(child.stdout.readline().split()[1])
        if warmed:
            warm(child.pid)
        if headroom:
            cage.write("memory.limit_in_bytes", cage.used() + headroom * MIB)
        time.sleep(settle)
        before, peak = anonymous(cage), Peak(cage)
        ask(child, "lap")
        peak.start()
        with tempfile.TemporaryDirectory(dir=folder) as out:
            window = "10s" if artifact == "sampling" else "100ms"
            args = [binary, "capture", str(child.pid), "--artifact", artifact, "--for", "1s", "--window", window, "--go", "--force", "--to", out, "-o", "json"]
            args = ["sleep", "2"] if artifact == "nothing" else args
            done = subprocess.run(args, capture_output=True, text=True, env={"PLIMSOLL_STATE": out, "PATH": "/usr/bin:/bin"})
            size = max((f.stat().st_size for f in pathlib.Path(out).rglob("*") if f.is_file()), default=0)
        peak.on = False
        peak.join()
        lived = ask(child, "lap").startswith("lap") and cage.kills() == 0
        return held, max(0, peak.most - before), size, done.returncode, lived
    finally:
        if child:
            child.kill()
            child.wait()
        cage.remove()


# Seconds until a program takes no more by itself.
SETTLE = {"busy node": 15, "classes": 8}


def small(program, count, folder):
    """The command line of a program of SMALL."""
    java = ["java", "-Xmx192m", "-XX:+UseG1GC", "-XX:NativeMemoryTracking=summary", "-cp", folder]
    if program.startswith("python"):
        shutil.copy(OURS / "burner.py", folder)
        return rooted(folder, ["/usr/bin/python3.14", "/tmp/burner.py", str(count), *program.split()[1:]])
    return {
        "jvm": [*java, "Burner", "32", str(count)],
        "classes": [*java, f"-Dclasses={count}", "Burner", "32"],
        "go": [f"{folder}/burner", str(count), "pprof"],
        "deep go": [f"{folder}/burner", str(count), "pprof", "30"],
        "node": ["node", "--inspect-port=0", "--expose-gc", str(OURS / "burner.js"), str(count), "objects"],
        "busy node": ["node", "--inspect-port=0", "--expose-gc", str(OURS / "burner.js"), str(count), "objects", "busy"],
    }[program]


def all_small(folder, binary, only):
    subprocess.run(["javac", "-d", folder, OURS / "Burner.java"], check=True)
    subprocess.run(["go", "build", "-o", f"{folder}/burner", OURS / "burner.go"], check=True, env=dict(os.environ, GO111MODULE="off"))
    for artifact, program, counts in (s for s in SMALL if only in f"{s[0]}/{s[1]}"):
        for count in counts:
            took = []
            for _ in range(5):
                _, bytes, _, code, lived = measure(small(program, count, folder), artifact, None, folder, binary, warmed=program in ("jvm", "classes"), settle=SETTLE.get(program, 0))
                took += [round(bytes / MIB, 2)] if code == 0 and lived else []
            print(json.dumps(dict(artifact=artifact, program=program, count=count, tookMib=sorted(took))), flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("jvm", "node", "small"))
    parser.add_argument("--plimsoll", default=ROOT / "target/release/plimsoll")
    parser.add_argument("--only", default="", help="of small: artifact/program that contain this")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=ROOT / "target") as folder:
        if args.what == "small":
            all_small(folder, args.plimsoll, args.only)
        elif args.what == "jvm":
            subprocess.run(["javac", "-d", folder, HELD / "Held.java"], check=True)
            for artifact in ("heap", "histogram"):
                for gc, size, headroom in JVMS:
                    words = ["java", f"-Xmx{max(128, size * 2)}m", f"-XX:+Use{gc}GC", "-cp", folder, "Held", str(size)]
                    held, took, file, code, lived = measure(words, artifact, headroom, folder, args.plimsoll, warmed=True)
                    print(json.dumps(dict(artifact=artifact, gc=gc, heldMib=round(held / MIB), headroomMib=headroom, tookMib=round(took / MIB, 1), fileMib=round(file / MIB), code=code, lived=lived)), flush=True)
        else:
            for shape in SHAPES:
                for size in (24, 64):
                    words = ["node", "--expose-gc", str(OURS / "burner.js"), str(size), shape]
                    held, took, file, code, lived = measure(words, "snapshot", None, folder, args.plimsoll)
                    print(json.dumps(dict(shape=shape, heldMib=round(held / MIB, 1), tookMib=round(took / MIB, 1), times=round(took / held, 1), fileMib=round(file / MIB, 1), code=code, lived=lived)), flush=True)


if __name__ == "__main__":
    main()
