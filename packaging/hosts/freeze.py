"""Stops one thread of a process, and that alone, until the process is killed: freeze.py PID THREAD_NAME."""

import ctypes
import os
import sys

PTRACE_SEIZE, PTRACE_INTERRUPT = 0x4206, 0x4207
WALL = 0x40000000

process, name = int(sys.argv[1]), sys.argv[2]
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


def named(thread):
    with open(f"/proc/{process}/task/{thread}/comm", encoding="ascii") as comm:
        return comm.read().strip() == name


threads = [int(thread) for thread in os.listdir(f"/proc/{process}/task") if named(thread)]
if len(threads) != 1:
    sys.exit(f"freeze: {len(threads)} threads of {process} are named {name}")
for request in (PTRACE_SEIZE, PTRACE_INTERRUPT):
    if libc.ptrace(request, threads[0], None, None) != 0:
        sys.exit(f"freeze: ptrace: {os.strerror(ctypes.get_errno())}")
os.waitpid(threads[0], WALL)
print("frozen", flush=True)
# Nothing resumes it. When the process is killed, its end has to be taken here, or the process never goes.
while True:
    _, status = os.waitpid(threads[0], WALL)
    if os.WIFEXITED(status) or os.WIFSIGNALED(status):
        break
