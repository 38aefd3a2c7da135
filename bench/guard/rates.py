"""Rates of the growth test on real programs of five runtimes: false alarms, leaks caught, beside what usual tests say.

    bench/guard/rates.py run FILE RUNTIME MODE RUNS      appends a line of JSON for each run; builds the program first
    bench/guard/rates.py table FILE...                   the tables of docs/benchmarks-guard.md, out of all runs

RUNTIME is go, java, node, python or c; MODE is clean, warm (1 MB that comes to rest slowly), heap16 (in 48,000 iterations
at most), long (clean, 96 rounds whatever is told before: the smallest leak seen), http-clean and http-heap (go, java, node: a service under HTTP), or rss and rssclean: 64 B and nothing, judged by resident memory, of which 32 B are borne (beside the heap where it is C: 64 B of pages). Needs Go, a JDK, Node.js, a C compiler; plimsoll built with --release (or PLIMSOLL=…).
"""
import collections
import gzip
import json
import os
import socket
import subprocess
import sys
import tempfile
import time

PLIMSOLL = os.environ.get("PLIMSOLL", "target/release/plimsoll")
RUNTIMES = ["go", "java", "node", "python", "c"]
MIB = 1048576


def build(runtime, folder):
    """The command of a program that tells of its rounds, or answers lines; and options."""
    source = "drills/guard/"
    if runtime == "go":
        env = dict(os.environ, GO111MODULE="off")
        subprocess.run(["go", "build", "-o", f"{folder}/go", source + "shop.go"], check=True, env=env)
        return [f"{folder}/go"], []
    if runtime == "java":
        subprocess.run(["javac", "-nowarn", "-d", folder, source + "Shop.java"], check=True, stderr=subprocess.DEVNULL)
        return ["java", "-XX:+UseSerialGC", "-Xmx128m", "-cp", folder, "Shop"], []
    if runtime == "node":
        return ["node", "--expose-gc", "--no-lazy-feedback-allocation", source + "shop.js"], []
    if runtime == "python":
        return ["python3", source + "shop.py"], []
    subprocess.run(["cc", "-O1", "-fno-builtin", "-o", f"{folder}/c", source + "shop.c", "-lm"], check=True)
    return [f"{folder}/c"], ["--stdin", "{hex}"]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return str(s.getsockname()[1])


def run(path, runtime, mode, runs):
    with tempfile.TemporaryDirectory() as folder, open(path, "a") as out:
        command, options = build(runtime, folder)
        # Go's leak of that name has 16 B anyway.
        name = {"heap16": "heap"}.get(mode, mode) if runtime == "go" else mode
        if mode == "heap16":
            options = options + ["--rounds", "48"]
        if mode == "long":
            name, options = "clean", options + ["--least", "96", "--rounds", "96"]
        if mode.startswith("rss"):
            options = options + ["--tolerance", "32B"]
        if mode.startswith("http"):
            name = mode.removeprefix("http-")
        for _ in range(runs):
            began = time.time()
            test = [PLIMSOLL, "guard", "run", "-o", "json", *options]
            if mode.startswith("http"):
                port = free_port()
                test += ["--http", f"http://127.0.0.1:{port}/u/{{i}}", "--", *command, name, port]
            else:
                test += ["--", *command, name]
            done = subprocess.run(test, capture_output=True, text=True)
            try:
                document = json.loads(done.stdout)
            except ValueError:
                sys.exit(f"no document: {done.stderr}")
            out.write(json.dumps(short(document, runtime, mode, time.time() - began)) + "\n")
            out.flush()


def short(document, runtime, mode, seconds):
    """What is kept of a run: verdicts, slopes with their intervals, and every level."""
    def metric(m):
        kept = {"verdict": m["verdict"], "levels": [round(v) for _, v in m["levels"]]}
        if m["verdict"] is not None:
            s = m["slopePerIteration"]
            kept["slope"] = [None if v is None else float(f"{v:.4g}") for v in (s["value"], s["low"], s["high"])]
            kept["sees"] = m["smallestSeen"] and float(f"{m['smallestSeen']:.4g}")
        return kept

    phase = document["phases"][0]
    return {
        "runtime": runtime, "mode": mode, "outcome": document["outcome"], "iterations": phase["iterations"],
        "rounds": phase["rounds"], "seconds": round(seconds, 2), "withdrawn": phase["withdrawn"],
        "metrics": {m["name"]: metric(m) for m in document["metrics"] or [] if m["levels"]},
    }


def load(paths):
    for path in paths:
        with (gzip.open if path.endswith(".gz") else open)(path, "rt") as lines:
            yield from map(json.loads, lines)


def rose(r, name):
    """The usual test: more than 8 MiB from the first round to the last; None where it is not read."""
    levels = r["metrics"].get(name, {}).get("levels")
    return levels and levels[-1] - levels[0] > 8 * MIB


def of(runs, name):
    known = [rose(r, name) for r in runs if rose(r, name) is not None]
    return f"{sum(known)} of {len(known)}" if known else "not read"


def table(paths):
    by = collections.defaultdict(list)
    for r in load(paths):
        by[r["mode"], r["runtime"]].append(r)
    for mode in ["clean", "warm", "http-clean"]:
        print(f"\n{mode}\n\n| runtime | runs | false alarms by metric | flat | other outcomes | rounds (most) | heap + 8 MiB fails | resident + 8 MiB fails |\n|---|---|---|---|---|---|---|---|")
        for runtime in RUNTIMES:
            runs = by[mode, runtime]
            if not runs:
                continue
            alarms, judged = collections.Counter(), collections.Counter()
            for r in runs:
                for name, m in r["metrics"].items():
                    judged[name] += m["verdict"] is not None
                    alarms[name] += m["verdict"] == "growing"
            outcomes = collections.Counter(r["outcome"] for r in runs)
            said = ", ".join(f"{name} {alarms[name]} of {n}" for name, n in judged.items() if n)
            other = ", ".join(f"{n} {o}" for o, n in outcomes.items() if o != "flat") or "none"
            rounds = [r["rounds"] for r in runs]
            print(f"| {runtime} | {len(runs)} | {said} | {outcomes['flat']} | {other} | {sum(rounds) / len(rounds):.0f} ({max(rounds)}) | {of(runs, 'heap')} | {of(runs, 'rss')} |")
    print("\nlong\n\n| runtime | runs | metric | called growing | would see: median (most) | iterations |\n|---|---|---|---|---|---|")
    for runtime in RUNTIMES:
        runs = by["long", runtime]
        for name in ["heap", "blocks", "rss", "native"]:
            known = [r["metrics"][name] for r in runs if r["metrics"].get(name, {}).get("verdict")]
            if known:
                sees = sorted(m["sees"] or float("inf") for m in known)
                grew = sum(m["verdict"] == "growing" for m in known)
                print(f"| {runtime} | {len(known)} | {name} | {grew} | {sees[len(sees) // 2]:.4g} ({sees[-1]:.4g}) | {runs[0]['iterations']:,} |")
    for mode, names in [("heap16", ["heap", "blocks"]), ("http-heap", ["heap"]), ("rss", ["rss", "native"]), ("rssclean", ["rss", "native"])]:
        print(f"\n{mode}\n\n| runtime | runs | called growing | per iteration (lowest to highest) | iterations to the verdict: mean (most) | heap + 8 MiB fails | resident + 8 MiB fails |\n|---|---|---|---|---|---|---|")
        for runtime in RUNTIMES:
            runs = by[mode, runtime]
            if not runs:
                continue
            seen = [next((r["metrics"][n] for n in names if r["metrics"].get(n, {}).get("verdict")), {}) for r in runs]
            caught = sum(m.get("verdict") == "growing" for m in seen)
            slopes = [m["slope"][0] for m in seen if m.get("slope")]
            n = [r["iterations"] for r in runs]
            between = f"{min(slopes):.3g} to {max(slopes):.3g}" if slopes else "not read"
            print(f"| {runtime} | {len(runs)} | {caught} | {between} | {sum(n) / len(n):,.0f} ({max(n):,}) | {of(runs, 'heap')} | {of(runs, 'rss')} |")


if __name__ == "__main__":
    if sys.argv[1:2] == ["run"] and len(sys.argv) == 6:
        run(sys.argv[2], sys.argv[3], sys.argv[4], int(sys.argv[5]))
    elif sys.argv[1:2] == ["table"]:
        table(sys.argv[2:])
    else:
        sys.exit(__doc__)
