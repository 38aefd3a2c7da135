"""All rows of `row.py`, then per collector how many are near the truth and how many intervals hold it (MiB/s)."""

import json
import sys

rows = [json.loads(line) for line in sys.stdin]
counts = {}
for row in rows:
    slope, truth = row["slope"], row["truth"]
    count = counts.setdefault((row["name"], truth > 0), {"logs": 0, "near": 0, "held": 0, "bound": 0, "unknown": 0})
    count["logs"] += 1
    if slope is None:
        count["unknown"] += 1
        read = "unknown"
    else:
        held = slope["low"] <= truth <= slope["high"]
        near = abs(slope["mid"] - truth) <= (0.15 * truth if truth > 0 else 0.2)
        if row["bound"]:
            held, near = truth <= slope["high"], False
            count["bound"] += 1
        count["held"] += held
        count["near"] += near
        read = f"{'<= ' if row['bound'] else ''}{slope['mid']:.2f} ({slope['low']:.2f} to {slope['high']:.2f})"
    print(f"{row['name']:14} {row['seed']:>4} {truth:6.2f}  {read:26} {row['points']:4} points: {row['basis']}")
print()
print(f"{'collector':14} {'keeps':>6} {'logs':>5} {'near':>5} {'held':>5} {'bound':>6} {'unknown':>8}")
for (name, keeps), count in counts.items():
    kept = "3.0" if keeps else "0"
    print(f"{name:14} {kept:>6}", *(f"{count[key]:>{w}}" for key, w in zip(count, (5, 5, 5, 6, 8))))
