"""Drill: healthy. Memory follows the load, and the load follows a day, here of 40 seconds.

Arguments are key=value: rate (KiB of sessions at the peak, times 40), seed, day (seconds).
"""

import math
import random
import sys
import time

ARGS = dict(a.split("=", 1) for a in sys.argv[1:] if "=" in a)


def main():
    peak = int(ARGS.get("rate", "1024")) * 1024 * 40
    day = float(ARGS.get("day", "40"))
    rng = random.Random(int(ARGS.get("seed", "1")))
    phase = rng.random() * day
    began = time.monotonic()
    sessions = []
    size = 256 * 1024
    while True:
        at = (time.monotonic() - began + phase) / day
        load = 0.55 - 0.45 * math.cos(2 * math.pi * at) + rng.gauss(0, 0.02)
        want = max(0, int(peak * load / size))
        while len(sessions) < want:
            sessions.append(bytearray(size))
        while len(sessions) > want:
            sessions.pop(0)
        time.sleep(0.05)


main()
