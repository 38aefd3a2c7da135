#!/usr/bin/env python3
"""What evidence is left when the kernel has killed a program that climbs. Beside the JVM's own flag and a threshold script.

    bench/capture/kept.py [--seconds N] [--only WORD]     goes on where it was; default 230 s
    bench/capture/kept.py --table                         the table of all runs so far

A program runs in a control group of version 1, whose limit is set to what it uses and what it will climb in 40 s, 384 MiB at most.
Then it climbs at its rate until the kernel kills it. Whoever is to save the evidence runs outside of the group:

    agent      plimsoll watch with `mode: capture` and `brake: auto`, everything else as it comes
    no brake   the same without a brake
    script     once a second: from 90 % of the limit on jcmd GC.heap_dump, curl of the heap profile, or gcore
    flag       -XX:+HeapDumpOnOutOfMemoryError (a JVM)

What is kept when the program is gone: a heap dump (JVM), goroutines and the memory profile (Go), a core (native), whole by what
its format ends with. A limit that was raised holds for a while and then no more: the program climbs on and is killed there. One
that is not killed within 90 s is a failure of the run. Every run is a line of bench/capture/kept.jsonl. Needs what tight.py needs.
"""

import collections
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import threading
import time

from tight import MIB, ROOT, Cage, arguments, ask, command, go_on, read_runs, whole

PATIENCE = 90
RATES = (1, 5, 20, 50, 100, 200, 500)
Cell = collections.namedtuple("Cell", "program by rate turn")
# What is the evidence of each, and the files that it is made of.
WANTED = {"Jvm": ["heap"], "Go": ["stacks", "sites"], "Native": ["core"]}


def cells():
    all = []
    for program in ("burning Jvm Serial", "burning Jvm G1", "burning Go", "burning Native"):
        for by, turns in (("agent", 5), ("no brake", 2), ("script", 2), ("flag", 2)):
            if by != "flag" or "Jvm" in program:
                all.extend(Cell(program, by, rate, turn) for rate in RATES for turn in range(turns))
    return all


def runtime(cell):
    return cell.program.split()[1]


def start(cell, cage, folder, place):
    """The program under a name of its own, so that each agent watches one; the name."""
    words = command(cell.program, folder, 1)
    name = f"kept-{cage.path.name.rsplit('-', 1)[1]}"
    if words[0] == "java":
        jar(folder, place / f"{name}.jar")
        flag = ["-XX:+HeapDumpOnOutOfMemoryError", f"-XX:HeapDumpPath={place}"] if cell.by == "flag" else []
        words = ["java", "-Xmx4g", words[2], *flag, "-jar", str(place / f"{name}.jar"), *words[6:]]
    else:
        shutil.copy(words[0], place / name)
        words[0] = str(place / name)
    join = f"echo $$ > {cage.path}/cgroup.procs; exec \"$@\""
    child = subprocess.Popen(["sh", "-c", join, "sh", *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    child.stdout.readline()
    return child, name


making = threading.Lock()


def jar(folder, to):
    with making:
        if not (folder / "Burner.jar").exists():
            subprocess.run(["jar", "cfe", folder / "Burner.jar", "Burner", "-C", folder, "."], check=True)
    shutil.copy(folder / "Burner.jar", to)


class Agent:
    """plimsoll watch, up and with its first look behind it."""

    def __init__(self, name, place, brake, binary):
        rules = f"mode: capture\nonly: ['{name}*']\n" + ("brake: auto\n" if brake else "")
        (place / "rules.yaml").write_text(rules)
        args = [binary, "watch", "--config", place / "rules.yaml", "--store", place / "store", "-o", "jsonl"]
        self.child = subprocess.Popen(args, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=dict(os.environ, PLIMSOLL_STATE=str(place / "state")))
        self.store, self.events = place / "store", []
        self.child.stdout.readline()
        threading.Thread(target=lambda: self.events.extend(map(json.loads, self.child.stdout)), daemon=True).start()

    def kept(self, cell, binary):
        """Which artifacts its log calls whole, and are."""
        out = {}
        for event in (e for e in self.events if e["what"] == "stored"):
            folder = self.store / "captures" / event["folder"]
            files = [f for f in folder.iterdir() if f.is_file() and f.suffix != ".json"]
            largest = max(files, key=lambda f: f.stat().st_size, default=None)
            artifact = event["folder"].rsplit("-", 1)[1]
            out[artifact] = event.get("whole") is True and whole(artifact, largest, binary)
        return out

    def end(self):
        self.child.send_signal(signal.SIGTERM)
        self.child.wait()


def script(cell, cage, pid, place):
    """What many run: a look every second, one capture."""
    while True:
        time.sleep(1)
        try:
            if cage.number("memory.usage_in_bytes") < 0.9 * cage.number("memory.limit_in_bytes"):
                continue
        except OSError:
            return
        if runtime(cell) == "Jvm":
            args = [["jcmd", str(pid), "GC.heap_dump", place / "heap.hprof"]]
        elif runtime(cell) == "Go":
            ports = subprocess.run(["ss", "-ltnpH"], capture_output=True, text=True).stdout.splitlines()
            port = next((l.split()[3].rsplit(":", 1)[1] for l in ports if f"pid={pid}," in l), None)
            url = f"http://127.0.0.1:{port}/debug/pprof"
            args = [["curl", "-fsS", "-m", "30", "-o", place / "stacks.txt", f"{url}/goroutine?debug=1"], ["curl", "-fsS", "-m", "30", "-o", place / "sites.pb.gz", f"{url}/heap"]]
        else:
            args = [["gcore", "-o", place / "core", str(pid)]]
        for a in args:
            subprocess.run(a, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return


def left(cell, place, binary):
    """The same of what a script or the JVM itself has written."""
    found = {}
    for name, pattern in {"heap": "*.hprof", "stacks": "stacks.txt", "sites": "sites.pb.gz", "core": "core.*"}.items():
        for file in place.glob(pattern):
            found[name] = whole(name, file, binary)
    return found


def run(cell, folder, binary):
    cage, place = Cage(), pathlib.Path(tempfile.mkdtemp(dir=folder))
    child, agent = None, None
    try:
        child, name = start(cell, cage, folder, place)
        climb = min(384, max(40, cell.rate * 40))
        limit = cage.used() + climb * MIB
        cage.write("memory.limit_in_bytes", limit)
        if cell.by in ("agent", "no brake"):
            agent = Agent(name, place, cell.by == "agent", binary)
            # Its second look has come: whatever it prepares is prepared.
            time.sleep(1)
        elif cell.by == "script":
            threading.Thread(target=script, args=(cell, cage, child.pid, place), daemon=True).start()
        began = time.time()
        ask(child, f"burn {cell.rate} 1000000")
        try:
            child.wait(max(PATIENCE, 3 * climb / cell.rate))
        except subprocess.TimeoutExpired:
            pass
        died = time.time()
        row = dict(cell._asdict(), climbMib=climb, limitMib=round(limit / MIB), killed=child.returncode == -9, lived=round(died - began, 2))
        if agent:
            time.sleep(0.5)
            agent.end()
            row["kept"] = agent.kept(cell, binary)
            row["events"] = [[round(e["time"] - began, 3), e["what"], e["text"].replace(str(place), "")[:200]] for e in agent.events if e["what"] != "level"][:20]
        else:
            # A tool that runs still writes what it has.
            time.sleep(1.5)
            row["kept"] = left(cell, place, binary)
        row["whole"] = all(row["kept"].get(w) for w in WANTED[runtime(cell)])
        return row
    finally:
        if agent and agent.child.poll() is None:
            agent.child.kill()
        if child:
            child.kill()
            child.wait()
        cage.remove()
        shutil.rmtree(place, ignore_errors=True)


def table(rows):
    print("| program | by | " + " | ".join(f"{r} MiB/s" for r in RATES) + " | all |")
    print("|---|---|" + "---:|" * (len(RATES) + 1))
    groups = collections.defaultdict(list)
    for row in rows:
        groups[row["program"], row["by"]].append(row)
    share = lambda rows: f"{sum(r['whole'] for r in rows)} of {len(rows)}" if rows else "–"
    for (program, by), rows in sorted(groups.items()):
        print(f"| {program.removeprefix('burning ')} | {by} | " + " | ".join(share([r for r in rows if r["rate"] == rate]) for rate in RATES) + f" | {share(rows)} |")
    for by in ("agent", "no brake", "script", "flag"):
        mine = [r for r in sum(groups.values(), []) if r["by"] == by]
        if mine:
            print(f"{by}: {share(mine)}, {sum(r['whole'] for r in mine) / len(mine):.1%}; killed in the end {sum(r['killed'] for r in mine)}")


def main():
    args = arguments("kept.jsonl", 2).parse_args()
    if args.table:
        return table(read_runs(args.runs))
    done = {Cell(r["program"], r["by"], r["rate"], r["turn"]) for r in read_runs(args.runs)}
    left = [c for c in cells() if c not in done and args.only in f"{c.program}/{c.by}/{c.rate}/{c.turn}"]
    with tempfile.TemporaryDirectory(dir=ROOT / "target") as folder:
        go_on(args, left, len(cells()), lambda cell: run(cell, pathlib.Path(folder), args.plimsoll))


if __name__ == "__main__":
    main()
