"""One row of the table: what a collector's log was read as, beside the truth."""

import json
import sys

name, seed, truth = sys.argv[1:]
life = json.load(sys.stdin)["lives"][-1]
slope = life.get("floorSlopeBytesPerSecond")
MIB = 1048576
if slope is None:
    read, interval = "unknown", ""
else:
    read = ("<= " if life["slopeIsUpperBound"] else "") + f"{slope['mid'] / MIB:.2f}"
    interval = f"{slope['low'] / MIB:.2f} to {slope['high'] / MIB:.2f}"
print(f"{name:14} {seed:>4} {truth:>8} {read:>8} {interval:>18} {life['floorPoints']:>7}  {life['floorBasis']}")
