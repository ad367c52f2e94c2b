"""Runs a command in a loop, with the number of the run inserted: load.py REPORT COMMAND...

Stops on SIGTERM; the process id is in REPORT.pid. Waits while another process holds the lock
REPORT.lock, such as during the replacement of a certificate and its key. Writes to REPORT the
numbers of successes and failures, the longest gaps between successes, and the first errors.
"""

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
    longest = ", ".join(f"{gap:.2f} s until {at}" for gap, at in gaps[:5])
    file.write(f"{written} writes, {len(failures)} failed; longest gaps {longest}\n")
    file.writelines(line + "\n" for line in failures[:5])
