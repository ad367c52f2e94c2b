"""Watches as careful clients do, until the process in OUT.pid is told to stop: watch.py OUT REVISION COMMAND..., which is etcdctl's watch.

A watcher that asks for a leader is ended where there is none; it is begun again after the last revision that it saw. Writes every value to OUT, a line each."""

import base64
import json
import os
import signal
import subprocess
import sys
import time

out, revision, command = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
watch, begun = None, 0


def stop(*_):
    if watch:
        watch.kill()
    os.remove(out + ".pid")
    sys.exit()


signal.signal(signal.SIGTERM, stop)
with open(out + ".pid", "w", encoding="ascii") as pid:
    pid.write(str(os.getpid()))
with open(out, "w", encoding="utf-8", buffering=1) as file:
    while True:
        begun += 1
        print(f"begun {begun} times, at revision {revision}", file=sys.stderr, flush=True)
        watch = subprocess.Popen([*command, f"--rev={revision}", "--write-out=json"], stdout=subprocess.PIPE, text=True)
        for line in watch.stdout:
            for event in json.loads(line).get("Events") or []:
                file.write(base64.b64decode(event["kv"]["value"]).decode() + "\n")
                revision = event["kv"]["mod_revision"] + 1
        watch.wait()
        time.sleep(0.5)
