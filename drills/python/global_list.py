"""Drill: retention. A module-level list that every request appends to and nothing ever clears.

Arguments are key=value: rate (KiB per second), seed.
"""

import random
import sys
import time

ARGS = dict(a.split("=", 1) for a in sys.argv[1:] if "=" in a)
SEEN = []


def main():
    rate = int(ARGS.get("rate", "1024")) * 1024
    rng = random.Random(int(ARGS.get("seed", "1")))
    began = time.monotonic()
    stored = 0
    n = 0
    while True:
        due = rate * (time.monotonic() - began)
        while stored < due:
            entry = {"id": n, "path": "/users/%d" % rng.randrange(10**9), "body": "x" * rng.randrange(200, 600)}
            SEEN.append(entry)
            stored += 850
            n += 1
        time.sleep(0.005)


main()
