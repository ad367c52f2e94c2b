"""Runs a command without a pause, its last word the number of the run, until the process in REPORT.pid is told to stop: load.py REPORT COMMAND...

While somebody holds the lock REPORT.lock, as who exchanges a certificate and its key does, it waits.
Reports how many succeeded and failed, the longest time between two successes and when that was, and what the first failures said."""

import fcntl
import os
import signal
import subprocess
import sys
import time

report, command = sys.argv[1], sys.argv[2:]
stopped = False


def stop(*_):
    global stopped
    stopped = True


signal.signal(signal.SIGTERM, stop)
with open(report + ".pid", "w", encoding="ascii") as file:
    file.write(str(os.getpid()))
written, failures, gaps = 0, [], []
last = time.monotonic()
while not stopped:
    with open(report + ".lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        done = subprocess.run([*command[:3], str(written), *command[3:]], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    now = time.monotonic()
    if done.returncode == 0:
        gaps.append((now - last, time.strftime("%H:%M:%S")))
        last, written = now, written + 1
    elif not stopped:
        failures.append(f"{time.strftime('%H:%M:%S')} {done.stderr.strip()}")
os.remove(report + ".pid")
gaps.sort(reverse=True)
with open(report, "w", encoding="utf-8") as file:
    told = ", ".join(f"{gap:.2f} s until {at}" for gap, at in gaps[:5])
    file.write(f"{written} writes, {len(failures)} failed; longest gaps {told}\n")
    file.writelines(line + "\n" for line in failures[:5])
