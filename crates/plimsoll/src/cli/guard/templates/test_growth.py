"""The growth test: pytest test_growth.py. It fails when an iteration leaves something behind.

Verdict and statistics are plimsoll's (plimsoll guard run); it must be on the PATH.
"""
import ctypes
import gc
import subprocess
import sys

ROUND = 1000


def iteration(n):
    """Do what must leave nothing behind: a request, a job, a message. n never comes again."""
    pass  # your work here


def test_growth():
    run = subprocess.run(
        ["plimsoll", "guard", "run", "--", sys.executable, __file__], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stdout + run.stderr


def rounds():
    """Work, collect and tell, as long as it is asked for."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", lambda pad: 0)
    n = 0
    while True:
        for n in range(n + 1, n + 1 + ROUND):
            iteration(n)
        gc.collect()
        trim(0)
        print(f"PLIMSOLL ROUND iterations={ROUND} blocks={sys.getallocatedblocks()}", flush=True)
        if sys.stdin.readline().strip() != "next":
            return


if __name__ == "__main__":
    rounds()
