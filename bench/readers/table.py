"""Medians and ratios of the runs, as tables."""
import collections
import os
import statistics
import sys

runs = collections.defaultdict(list)
for line in open(sys.argv[1]):
    fields = line.split()
    if len(fields) == 6 and fields[2].replace(".", "").isdigit():
        wall, user, system, rss = map(float, fields[2:])
        runs[tuple(fields[:2])].append((wall, user + system, rss / 1024))


def size(name):
    path = os.path.join(sys.argv[2], name)
    return os.path.getsize(path) / 1e6 if os.path.exists(path) else None


print("\n| artifact | MB | tool | wall s | CPU s | MB per CPU second | peak MiB | runs |\n|---|---:|---|---:|---:|---:|---:|---:|")
medians = {}
for key, every in sorted(runs.items()):
    wall, cpu, peak = medians[key] = [statistics.median(column) for column in zip(*every)]
    megabytes = size(key[0])
    rate = f"{megabytes / max(cpu, 0.005):.0f}" if megabytes else ""
    shown = f"{megabytes:.0f}" if megabytes else ""
    print(f"| {key[0]} | {shown} | {key[1]} | {wall:.2f} | {cpu:.2f} | {rate} | {peak:.0f} | {len(every)} |")
print("\n| artifact | ratio | wall | CPU | peak |\n|---|---|---:|---:|---:|")
for artifact, tool in sorted(medians):
    ours = medians.get((artifact, "plimsoll"))
    if ours and tool not in ("plimsoll", "cat"):
        ratios = " | ".join(f"{x / max(y, 0.005):.1f}" for x, y in zip(medians[artifact, tool], ours))
        print(f"| {artifact} | {tool} / plimsoll | {ratios} |")
