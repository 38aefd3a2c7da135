"""One row of the table of real runs: reads the document of `plimsoll guard run`, gets language, mode and metric."""
import json
import sys

language, mode, name = sys.argv[1:]
run = json.load(sys.stdin)
phase = run["phases"][0]
metrics = {m["name"]: m for m in run["metrics"]}
metric = metrics.get(name, {})
slope = metric.get("slopePerIteration") or {}
growing = " ".join(n for n, m in metrics.items() if m["verdict"] == "growing") or "none"


# What usual tests would have said of the same run: more than 8 MiB from the first round to the last.
def grew(name):
    levels = metrics.get(name, {}).get("levels") or []
    if len(levels) < 2:
        return "not read"
    return "fails" if levels[-1][1] - levels[0][1] > 8 * 1048576 else "passes"


def say(value):
    return "none" if value is None else f"{value:.3g}"


between = f"{say(slope.get('value'))} ({say(slope.get('low'))} to {say(slope.get('high'))})"
cells = [language, mode, name, metric.get("verdict"), between, say(metric.get("smallestSeen"))]
cells += [f"{phase['iterations']:,}", f"{phase['seconds']:.0f}", run["outcome"], growing, grew("heap"), grew("rss")]
print("| " + " | ".join(str(c) for c in cells) + " |", flush=True)
