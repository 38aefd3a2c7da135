"""A program for the growth test that tells of its rounds itself: a bounded cache and, by its mode, a leak."""
import gc
import math
import os
import sys
import threading

mode = sys.argv[1] if len(sys.argv) > 1 else "clean"
ring, seen, kept = [""] * 500, {}, []
calls = 0


def iteration():
    global calls
    calls += 1
    ring[calls % len(ring)] = f"{calls}/u"
    if mode == "heap":
        kept.append(f"key-{calls}")
    if mode == "heap16" and calls % 2 == 0:
        kept.append(1000 + calls)
    if mode == "rss":
        kept.append(bytes(31))
    if mode == "fds" and calls % 100 == 0:
        kept.append(os.open(os.devnull, os.O_RDONLY))
    if mode == "threads" and calls % 200 == 0:
        threading.Thread(target=threading.Event().wait, daemon=True).start()


# "warm" comes to rest at 1 MB, slowly: 31,250 objects of 32 B.
rounds = 0
while True:
    for _ in range(1000):
        iteration()
    if mode == "warm":
        objects = int(31250 * (math.exp(-rounds / 8) - math.exp(-(rounds + 1) / 8)))
        kept.extend(100_000 + rounds * 10_000 + k for k in range(objects))
    rounds += 1
    gc.collect()
    print(f"PLIMSOLL ROUND iterations=1000 blocks={sys.getallocatedblocks()}", flush=True)
    if sys.stdin.readline().strip() != "next":
        break
