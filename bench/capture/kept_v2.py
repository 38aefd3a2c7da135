#!/usr/bin/env python3
"""The suite of kept.py in an emulated machine with control groups of version 2.

    bench/capture/kept_v2.py [--seconds N] [--only WORD]     goes on where it was; default 500 s
    bench/capture/kept_v2.py --table

One machine (scripts/guest: no KVM, one processor, some ten times slower than this one, 1,536 MiB) runs the cells of one program: `agent`,
`no brake`, and the JVM's `flag`. It has a disk for the store, as memory is none. A rate that the slow machine cannot reach is told
by the rate that was reached. A cell that is not over when its machine must end is run again.
"""

import argparse
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import time

from kept import RATES, WANTED, Cell, runtime, table
from tight import OURS, ROOT, read_runs

HERE = pathlib.Path(__file__).resolve().parent
MEMORY = 1536
PROGRAMS = {"Jvm": "burning Jvm Serial", "Go": "burning Go", "Native": "burning Native"}

INIT = r"""#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin HOME=/ TMPDIR=/tmp NO_COLOR=1 PLIMSOLL_STATE=/tmp/state
mount -t proc proc /proc
mount -t devtmpfs dev /dev
mount -t tmpfs tmp /tmp
mount -t sysfs sysfs /sys
mount -t cgroup2 none /sys/fs/cgroup
mkdir -p /disk
mount -t ext4 /dev/nvme0n1 /disk
dmesg -n 1
ip link set lo up
echo +memory >/sys/fs/cgroup/cgroup.subtree_control

run() { # number, runtime, by, rate, climb in MiB, seconds to wait
    group=/sys/fs/cgroup/c$1
    place=/disk/c$1
    mkdir "$group" "$place"
    mkfifo "/tmp/in$1"
    flag=
    [ "$3" != flag ] || flag="-XX:+HeapDumpOnOutOfMemoryError -XX:HeapDumpPath=$place"
    case $2 in
    Jvm) cp /disk/Burner.jar "/tmp/kept-$1.jar"; set -- "$@" /disk/jre/bin/java -Xmx4g -XX:+UseSerialGC $flag -jar "/tmp/kept-$1.jar" 64 ;;
    Go) cp /disk/burner "/tmp/kept-$1"; set -- "$@" "/tmp/kept-$1" 20000 pprof ;;
    Native) cp /disk/burner-c "/tmp/kept-$1"; set -- "$@" "/tmp/kept-$1" 128 ;;
    esac
    number=$1 by=$3 rate=$4 climb=$5 wait=$6
    shift 6
    sh -c 'echo $$ >"$0/cgroup.procs"; exec "$@"' "$group" "$@" <"/tmp/in$number" >"/tmp/out$number" 2>/dev/null &
    child=$!
    exec 3>"/tmp/in$number"
    until grep -q ready "/tmp/out$number"; do usleep 50000; done
    used=$(awk '/^(anon|kernel|shmem) / { n += $2 } END { printf "%d", n }' "$group/memory.stat")
    limit=$((used + climb * 1048576))
    echo "$limit" >"$group/memory.max"
    agent=
    case $by in
    agent | 'no brake')
        echo "{mode: capture, only: ['kept-$number*']$([ "$by" != agent ] || echo ', brake: auto')}" >"/tmp/rules$number.yaml"
        plimsoll watch --config "/tmp/rules$number.yaml" --store "$place/store" -o jsonl >"/tmp/events$number" 2>/dev/null &
        agent=$!
        until grep -q '"agent"' "/tmp/events$number"; do usleep 50000; done
        sleep 3
        ;;
    esac
    from=$(cut -d ' ' -f 1 /proc/uptime)
    echo "burn $rate 1000000" >&3
    tries=0
    highest=0 reached=
    while kill -0 "$child" 2>/dev/null && [ "$tries" -lt "$wait" ]; do
        tries=$((tries + 1))
        [ -n "$reached" ] || [ "$(cat "$group/memory.current" 2>/dev/null || echo 0)" -lt $((used + climb * 1048576 * 7 / 10)) ] || reached=$(cut -d ' ' -f 1 /proc/uptime)
        usleep 100000
    done
    to=$(cut -d ' ' -f 1 /proc/uptime)
    kills=$(awk '$1 == "oom_kill" { print $2 }' "$group/memory.events")
    exec 3>&-
    sleep 1
    kept=
    if [ -n "$agent" ]; then
        kill "$agent"
        wait "$agent"
        for folder in "$place"/store/captures/*/; do
            file=$(ls -S "$folder" | grep -v json$ | head -n 1)
            [ -n "$file" ] || continue
            case $file in
            *.hprof) [ "$(tail -c 9 "$folder$file" | hexdump -v -e '1/1 "%02x"')" = 2c0000000000000000 ] ;;
            *) plimsoll read "$folder$file" >/dev/null 2>&1 ;;
            esac
            code=$?
            kept="$kept{\"folder\":\"$(basename "$folder")\",\"file\":\"$file\",\"code\":$code,\"bytes\":$(stat -c %s "$folder$file")},"
        done
    else
        for file in "$place"/*.hprof; do
            [ ! -s "$file" ] || kept="$kept{\"folder\":\"x-heap\",\"file\":\"$(basename "$file")\",\"code\":0,\"bytes\":$(stat -c %s "$file")},"
        done
    fi
    kill -9 "$child" 2>/dev/null
    echo "@@{\"number\":$number,\"killed\":$kills,\"lived\":$(awk "BEGIN { print $to - $from }"),\"reached\":$(awk "BEGIN { print ${reached:-0} - $from }"),\"limit\":$limit,\"files\":[${kept%,}]}"
    [ -z "$agent" ] || sed 's/^/@%/' "/tmp/events$number"
    echo "@."
    rm -rf "$place" "/tmp/events$number" "/tmp/kept-$number" "/tmp/kept-$number.jar"
    sync
    until rmdir "$group" 2>/dev/null; do usleep 100000; done
}
"""


def cells():
    all = []
    for program in PROGRAMS.values():
        for by, turns in (("agent", 3), ("no brake", 1), ("flag", 1)):
            if by != "flag" or "Jvm" in program:
                all.extend(Cell(program, by, rate, turn) for rate in RATES for turn in range(turns))
    return all


def libraries(program):
    out = subprocess.run(["ldd", program], capture_output=True, text=True).stdout
    return [w for w in out.split() if w.startswith("/")]


def prepare(folder, binary):
    """The root of the machine, and its disk."""
    root, disk = folder / "root", folder / "disk"
    for sub in ("bin", "proc", "sys", "dev", "tmp", "disk"):
        (root / sub).mkdir(parents=True)
    disk.mkdir()
    subprocess.run(["strip", "-o", root / "bin/plimsoll", binary], check=True)
    subprocess.run(["cc", "-O1", "-static", "-o", disk / "burner-c", OURS / "burner.c"], check=True)
    env = dict(os.environ, GO111MODULE="off", CGO_ENABLED="0")
    subprocess.run(["go", "build", "-o", disk / "burner", OURS / "burner.go"], check=True, env=env)
    home = pathlib.Path(shutil.which("javac")).resolve().parents[1]
    subprocess.run([home / "bin/jlink", "--add-modules", "java.base,java.management,jdk.management,jdk.attach", "--strip-debug", "--output", disk / "jre"], check=True)
    subprocess.run(["javac", "-d", folder / "classes", OURS / "Burner.java"], check=True)
    subprocess.run(["jar", "cfe", disk / "Burner.jar", "Burner", "-C", folder / "classes", "."], check=True)
    needed = set(libraries(binary)) | set(libraries(disk / "jre/bin/java")) | set(libraries(disk / "jre/lib/server/libjvm.so"))
    for library in (l for l in needed if not l.startswith(str(disk))):
        to = root / library.lstrip("/")
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, to)
    return root, disk


def machine(root, disk, folder, some, seconds):
    """Runs cells of one program in one machine; what came of each that was over."""
    lines = [INIT]
    for number, cell in enumerate(some):
        climb = min(384, max(40, cell.rate * 40))
        wait = int((climb / cell.rate + 60) * 10)
        lines.append(f"run {number} {runtime(cell)} '{cell.by}' {cell.rate} {climb} {wait}")
    (root / "init").write_text("\n".join([*lines, "echo @end", "poweroff -f", ""]))
    (root / "init").chmod(0o755)
    image = folder / "disk.img"
    image.unlink(missing_ok=True)
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", disk, image, "3g"], check=True)
    env = dict(os.environ, PLIMSOLL_GUEST_SECONDS=str(int(seconds)))
    console = subprocess.run([ROOT / "scripts/guest", root, image, str(MEMORY)], capture_output=True, text=True, errors="replace", env=env).stdout
    rows, now = [], None
    for line in console.replace("\r", "").splitlines():
        if line.startswith("@@"):
            now = dict(json.loads(line[2:]), events=[])
        elif line.startswith("@%") and now:
            now["events"].append(json.loads(line[2:]))
        elif line == "@." and now:
            rows.append(row(some[now["number"]], now))
            now = None
    if "@end" not in console and not rows:
        print(console[-2000:])
    return rows


def row(cell, said):
    climb = min(384, max(40, cell.rate * 40))
    reached = round(climb * 0.7 / said["reached"]) if said["reached"] > 0 else None
    stored = {e["folder"]: e.get("whole") for e in said["events"] if e["what"] == "stored"}
    kept = {}
    for file in said["files"]:
        kept[file["folder"].rsplit("-", 1)[1]] = file["code"] in (0, 1) and stored.get(file["folder"]) is True
    out = dict(cell._asdict(), climbMib=climb, limitMib=said["limit"] >> 20, killed=said["killed"] > 0, lived=round(said["lived"], 2), rateReached=reached, kept=kept, whole=all(kept.get(w) for w in WANTED[runtime(cell)]))
    began = next((e["time"] for e in said["events"]), 0)
    out["events"] = [[round(e["time"] - began, 2), e["what"], e["text"][:200]] for e in said["events"] if e["what"] != "level"][:20]
    return out


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=500)
    parser.add_argument("--only", default="")
    parser.add_argument("--plimsoll", default=ROOT / "target/release/plimsoll")
    parser.add_argument("--runs", type=pathlib.Path, default=HERE / "kept-v2.jsonl")
    parser.add_argument("--table", action="store_true")
    args = parser.parse_args()
    if args.table:
        return table(read_runs(args.runs))
    end = time.monotonic() + args.seconds
    with tempfile.TemporaryDirectory(dir=ROOT / "target") as folder:
        folder = pathlib.Path(folder)
        root, disk = prepare(folder, args.plimsoll)
        while time.monotonic() < end - 60:
            done = {Cell(r["program"], r["by"], r["rate"], r["turn"]) for r in read_runs(args.runs)}
            left = [c for c in cells() if c not in done and args.only in f"{c.program}/{c.by}/{c.rate}/{c.turn}"]
            if not left:
                break
            some = [c for c in left if c.program == left[0].program][:8]
            rows = machine(root, disk, folder, some, min(end - time.monotonic(), 900))
            with open(args.runs, "a") as out:
                out.writelines(json.dumps(r) + "\n" for r in rows)
            if not rows:
                break
    print(f"{args.runs.name} has {len(read_runs(args.runs))} of {len(cells())}")


if __name__ == "__main__":
    main()
