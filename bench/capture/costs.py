#!/usr/bin/env python3
"""What captures take inside a program, over sizes, collectors, shapes of heap and headrooms: what the shipped constants rest on.

    bench/capture/costs.py jvm|node [--plimsoll PATH]      one line per capture, and the worst of each kind

No limit binds unless one is named: the peak of what the group uses beyond what it used before (version 1, without the page cache that
can be given back: the anonymous part of `memory.stat`, looked at every 2 ms) while `plimsoll capture --force` takes the artifact. Needs
what bench/capture/tight.py needs.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from tight import HELD, MIB, OURS, ROOT, Cage, ask, warm

JVMS = [(gc, size, headroom) for gc in ("G1", "Parallel", "Serial", "Z") for size in (32, 128, 512) for headroom in (None, 24)]
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


def measure(words, artifact, headroom, folder, binary, warmed=False):
    cage, child = Cage(), None
    try:
        join = f'echo $$ > {cage.path}/cgroup.procs; exec "$@"'
        child = subprocess.Popen(["sh", "-c", join, "sh", *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        held = float(child.stdout.readline().split()[1])
        if warmed:
            warm(child.pid)
        if headroom:
            cage.write("memory.limit_in_bytes", cage.used() + headroom * MIB)
        before, peak = anonymous(cage), Peak(cage)
        ask(child, "lap")
        peak.start()
        with tempfile.TemporaryDirectory(dir=folder) as out:
            args = [binary, "capture", str(child.pid), "--artifact", artifact, "--for", "1s", "--window", "100ms", "--go", "--force", "--to", out, "-o", "json"]
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


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("jvm", "node"))
    parser.add_argument("--plimsoll", default=ROOT / "target/release/plimsoll")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=ROOT / "target") as folder:
        if args.what == "jvm":
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
