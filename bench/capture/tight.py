#!/usr/bin/env python3
"""Captures in cages that are tight: who survives, and whose artifact is whole. Beside jmap, jcmd and gcore.

    bench/capture/tight.py [--seconds N] [--state FOLDER]     goes on where it was; default 240 s
    bench/capture/tight.py --table                            the table of all runs so far

A program that holds a known size (those of `plimsoll calibrate`) runs in a control group of version 1, whose limit is then set to
what it uses and so many MiB of headroom. One tool takes one artifact of it. It survived when it still answers and the group
counts no kill. Every run is a line of bench/capture/tight.jsonl. `forced` is Plimsoll with --force, to see whether what it refuses
would have killed; `calibrated` is Plimsoll after `plimsoll calibrate`. Needs root, cargo build --release, a JDK, Go, Node.js, a C compiler, gdb.
"""

import argparse
import collections
import json
import os
import pathlib
import random
import shutil
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAMS = ROOT / "crates/plimsoll-host/src/calibrate/programs"
PLIMSOLL = ROOT / "target/release/plimsoll"
RUNS = pathlib.Path(__file__).with_suffix(".jsonl")
CAGES = pathlib.Path("/sys/fs/cgroup/memory")
MIB = 1 << 20
PATIENCE = 60

JAVA = ["plimsoll", "calibrated", "forced", "jmap", "jmap live", "jcmd"]
CELLS = [
    (f"Jvm {gc}", "heap", tool, room, turn)
    for gc in ("G1", "Parallel", "Serial")
    for tool in JAVA
    for room in (2, 4, 8, 16, 24, 32, 40, 48, 64)
    for turn in range(2)
]
CELLS += [("Go", "goroutines", tool, room, t) for tool in ("plimsoll", "calibrated", "forced", "debug=2") for room in (1, 2, 4, 8, 16, 24, 32, 64) for t in range(2)]
CELLS += [("Native", "core", tool, room, t) for tool in ("plimsoll", "gcore") for room in (1, 4, 18, 64) for t in range(2)]
CELLS += [("Node", "snapshot", tool, room, t) for tool in ("plimsoll", "forced") for room in (64, 256, 700) for t in range(2)]


def command(program, folder):
    """Builds it once; the command line with its size."""
    tools = os.environ["PATH"]
    if program.startswith("Jvm"):
        if not (folder / "Held.class").exists():
            subprocess.run(["javac", "-d", folder, PROGRAMS / "Held.java"], check=True)
        gc = program.split()[1]
        return ["java", "-Xmx192m", f"-XX:+Use{gc}GC", "-cp", str(folder), "Held", "64"]
    if program == "Go":
        if not (folder / "held").exists():
            env = dict(os.environ, GO111MODULE="off", PATH=tools)
            subprocess.run(["go", "build", "-o", folder / "held", PROGRAMS / "held.go"], check=True, env=env)
        return [str(folder / "held"), "20000"]
    if program == "Node":
        return ["node", "--expose-gc", str(PROGRAMS / "held.js"), "24"]
    if not (folder / "native").exists():
        subprocess.run(["cc", "-O1", "-o", folder / "native", PROGRAMS / "held.c"], check=True)
    return [str(folder / "native"), "128"]


class Cage:
    def __init__(self):
        self.path = CAGES / f"plimsoll-tight-{os.getpid()}"
        self.path.mkdir()

    def write(self, name, value):
        (self.path / name).write_text(str(value))

    def number(self, name):
        return int((self.path / name).read_text())

    def kills(self):
        text = (self.path / "memory.oom_control").read_text()
        return int(text.split("oom_kill ")[1].split()[0])

    def used(self):
        stat = dict(l.split() for l in (self.path / "memory.stat").read_text().splitlines())
        return self.number("memory.usage_in_bytes") - int(stat["inactive_file"]) - int(stat["active_file"])

    def remove(self):
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            try:
                return self.path.rmdir()
            except OSError:
                time.sleep(0.05)


def take(tool, artifact, pid, folder, state):
    """Runs the tool; its exit code, and the artifact's file."""
    out = folder / "out"
    out.mkdir()
    if tool in ("plimsoll", "calibrated", "forced"):
        args = [PLIMSOLL, "capture", str(pid), "--artifact", artifact, "--for", "1s", "--window", "100ms", "--go", "--to", out]
        args += ["--force"] if tool == "forced" else []
    elif tool == "gcore":
        args = ["gcore", "-o", out / "core", str(pid)]
    elif tool == "debug=2":
        ports = subprocess.run(["ss", "-ltnpH"], capture_output=True, text=True).stdout.splitlines()
        port = next(l.split()[3].rsplit(":", 1)[1] for l in ports if f"pid={pid}," in l)
        args = ["curl", "-sS", "-m", "60", "-o", out / "goroutines.txt", f"http://127.0.0.1:{port}/debug/pprof/goroutine?debug=2"]
    elif tool == "jcmd":
        args = ["jcmd", str(pid), "GC.heap_dump", out / "heap.hprof"]
    else:
        live = "live," if "live" in tool else ""
        args = ["jmap", f"-dump:{live}format=b,file={out / 'heap.hprof'}", str(pid)]
    env = dict(os.environ, PLIMSOLL_STATE=str(state), NO_COLOR="1")
    began = time.monotonic()
    done = subprocess.run(args, capture_output=True, text=True, env=env, timeout=180)
    took = time.monotonic() - began
    files = [f for f in out.rglob("*") if f.is_file() and f.suffix != ".json"]
    return done, took, max(files, key=lambda f: f.stat().st_size, default=None)


def whole(artifact, file):
    """Whether the artifact is whole, by what its format ends with."""
    if file is None or file.stat().st_size == 0 or file.suffix == ".partial":
        return False
    size = file.stat().st_size
    with open(file, "rb") as f:
        f.seek(max(0, size - 64))
        tail = f.read()
        if artifact == "heap":
            return tail.endswith(b"\x2c" + bytes(8))
        if artifact == "snapshot":
            return tail.rstrip().endswith(b"}")
    if artifact == "core":
        read = subprocess.run([PLIMSOLL, "read", file, "-o", "json"], capture_output=True, text=True)
        return read.returncode in (0, 1)
    return True


def predicted(pid, artifact, state):
    env = dict(os.environ, PLIMSOLL_STATE=str(state))
    args = [PLIMSOLL, "capture", str(pid), "--artifact", artifact, "--for", "1s", "-o", "json"]
    plan = json.loads(subprocess.run(args, capture_output=True, text=True, env=env).stdout)
    return plan.get("cost") or {}


def run(cell, folder, state):
    program, artifact, tool, room, turn = cell
    cage, place = Cage(), pathlib.Path(tempfile.mkdtemp(dir=folder))
    child = None
    try:
        words = command(program, folder)
        join = f"echo $$ > {cage.path}/cgroup.procs; exec \"$@\""
        child = subprocess.Popen(["sh", "-c", join, "sh", *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        held = child.stdout.readline().split()[1]
        # Only the calibrated one knows what was measured here.
        state = folder / tool if tool != "calibrated" else state
        cost = predicted(child.pid, artifact, state) if tool in ("plimsoll", "calibrated") else {}
        if program.startswith("Jvm"):
            # As ahead of need: a first attach takes memory of its own.
            subprocess.run(["jcmd", str(child.pid), "VM.version"], capture_output=True)
        cage.write("memory.limit_in_bytes", cage.used() + room * MIB)
        child.stdin.write("lap\n"); child.stdin.flush(); child.stdout.readline()
        done, took, file = take(tool, artifact, child.pid, place, state)
        try:
            child.stdin.write("lap\n"); child.stdin.flush()
            answer = child.stdout.readline()
        except BrokenPipeError:
            answer = ""
        lived = answer.startswith("lap") and cage.kills() == 0
        row = dict(program=program, artifact=artifact, tool=tool, headroomMib=room, turn=turn, held=float(held))
        row.update(code=done.returncode, refused=tool in ("plimsoll", "calibrated") and done.returncode == 4, lived=lived, whole=whole(artifact, file))
        row.update(bytes=file.stat().st_size if file else 0, seconds=round(took, 2))
        row["pauseSeconds"] = int(answer.split()[1]) / 1e6 if lived else None
        row["predicted"] = {k: cost.get(k) for k in ("memoryBytes", "diskBytes", "pauseSeconds")} if cost else None
        if done.returncode not in (0, 4):
            row["said"] = (done.stderr or done.stdout)[-300:]
        return row
    finally:
        if child:
            child.kill()
            child.wait()
        cage.remove()
        shutil.rmtree(place, ignore_errors=True)


def table():
    groups = collections.defaultdict(list)
    for line in RUNS.read_text().splitlines():
        row = json.loads(line)
        groups[row["program"].split()[0], row["artifact"], row["tool"]].append(row)
    print("| program | artifact | by | runs | refused | dead though refused | taken | killed | whole, of those taken | least headroom that survived, most that killed, MiB |")
    print("|---|---|---|---:|---:|---:|---:|---:|---:|---|")
    for (program, artifact, tool), rows in sorted(groups.items()):
        taken = [r for r in rows if not r["refused"]]
        killed = [r["headroomMib"] for r in taken if not r["lived"]]
        lived = [r["headroomMib"] for r in taken if r["lived"]]
        dead = sum(r["refused"] and not r["lived"] for r in rows)
        good = sum(r["whole"] for r in taken)
        ends = f"{min(lived, default='–')}, {max(killed, default='–')}"
        print(f"| {program} | {artifact} | {tool} | {len(rows)} | {len(rows) - len(taken)} | {dead} | {len(taken)} | {len(killed)} | {good} | {ends} |")
    for (program, artifact, tool), rows in sorted(groups.items()):
        told = [r for r in rows if r["whole"] and r.get("predicted") and artifact != "goroutines"]
        if not told:
            continue
        sizes = sorted(r["predicted"]["diskBytes"] / r["bytes"] for r in told)
        pauses = sorted(r["predicted"]["pauseSeconds"] / r["pauseSeconds"] for r in told)
        near = sum(0.85 <= q <= 1.15 for q in sizes)
        close = sum(1 / 1.5 <= q <= 1.5 for q in pauses)
        print(f"\n{program} {artifact}, {tool}: predicted / real size {sizes[0]:.2f} to {sizes[-1]:.2f}, {near} of {len(told)} within 15 %;", end=" ")
        print(f"pause {pauses[0]:.2f} to {pauses[-1]:.2f}, {close} of {len(told)} within a factor of 1.5")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=240)
    parser.add_argument("--state", default=None)
    parser.add_argument("--table", action="store_true")
    args = parser.parse_args()
    if args.table:
        return table()
    done = set()
    if RUNS.exists():
        done = {(r["program"], r["artifact"], r["tool"], r["headroomMib"], r["turn"]) for r in map(json.loads, RUNS.read_text().splitlines())}
    cells = [c for c in CELLS if c not in done]
    random.Random(7).shuffle(cells)
    end = time.monotonic() + args.seconds
    with tempfile.TemporaryDirectory(dir=ROOT / "target") as folder:
        folder = pathlib.Path(folder)
        state = pathlib.Path(args.state or folder / "state").resolve()
        state.mkdir(exist_ok=True)
        if not (state / "calibration.json").exists():
            env = dict(os.environ, PLIMSOLL_STATE=str(state))
            subprocess.run([PLIMSOLL, "calibrate", "--only", "jvm,go", "--go", "--force"], env=env, stdout=subprocess.DEVNULL)
        for cell in cells:
            if time.monotonic() > end:
                break
            row = run(cell, folder, state)
            with open(RUNS, "a") as out:
                out.write(json.dumps(row) + "\n")
    print(f"{len(cells)} were to be done; {RUNS.name} has {len(RUNS.read_text().splitlines())} of {len(CELLS)}")


main()
