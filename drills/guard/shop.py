"""A program for the growth test that tells of its rounds itself: a bounded cache and, by its mode, a leak."""
import gc
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
    if mode == "fds" and calls % 100 == 0:
        kept.append(os.open(os.devnull, os.O_RDONLY))
    if mode == "threads" and calls % 200 == 0:
        threading.Thread(target=threading.Event().wait, daemon=True).start()


while True:
    for _ in range(1000):
        iteration()
    gc.collect()
    print(f"PLIMSOLL ROUND iterations=1000 blocks={sys.getallocatedblocks()}", flush=True)
    if sys.stdin.readline().strip() != "next":
        break
