"""What a collector's log was read as, beside the truth: one line of JSON."""

import json
import sys

name, seed, truth = sys.argv[1:]
life = json.load(sys.stdin)["lives"][-1]
MIB = 1048576
slope = life.get("floorSlopeBytesPerSecond")
print(
    json.dumps(
        {
            "name": name,
            "seed": seed,
            "truth": float(truth),
            "slope": slope and {end: value / MIB for end, value in slope.items()},
            "bound": life["slopeIsUpperBound"],
            "points": life["floorPoints"],
            "basis": life["floorBasis"],
        }
    )
)
