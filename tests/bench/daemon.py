#!/usr/bin/env python3
"""What the daemon costs: 100 idle and 10 busy Python processes, with and without it.

    MEMSPY=build/release/src/cli/memspy tests/bench/daemon.py [--idle N] [--busy N] [--seconds N]

Prints a table: CPU and memory of the daemon and its tracers, the slowdown of the busy processes (rounds of work in
a window with the daemon against the windows without it before and after), how long until a new process is found, and until an alert
is told once its condition holds. Processes of its own only; nothing else should run.
"""
import argparse
import json
import os
import pathlib
import signal
import statistics
import subprocess
import sys
import tempfile
import time

IDLE = """
import json, sys, time
kept = [json.loads('{"a": [1, 2, 3], "b": "text"}') for _ in range(5000)]
print("ready", flush=True)
sys.stdin.read()
"""
# A server's work at some 15 % of a core: parses, builds, drops; says how many rounds it has done.
BUSY = """
import json, os, select, sys, time
text = json.dumps([{"number": n, "name": "name %d" % n} for n in range(500)])
rounds = 0
print("ready", flush=True)
while True:
    for record in json.loads(text):
        record["size"] = len(record["name"]) * record["number"]
    rounds += 1
    if rounds % 20 == 0 and select.select([sys.stdin], [], [], 0)[0]:
        if not sys.stdin.readline():
            break
        print(rounds, time.process_time(), flush=True)
"""
LEAK = """
import sys
print("ready", flush=True)
sys.stdin.readline()
kept = bytearray(200 << 20)
print("grown", flush=True)
sys.stdin.read()
"""
CONFIG = """
state_dir = "{folder}/state"
socket = "{folder}/socket"
[[target]]
name = "bench"
command = "*{mark}*"
[[alert]]
name = "big"
when = "rss > 150MiB"
evidence = false
"""


class Process:
    def __init__(self, program, mark):
        self.child = subprocess.Popen(["/usr/bin/python3", "-c", program, mark], stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, text=True, bufsize=1)

    def hear(self):
        return self.child.stdout.readline()

    def ask(self):
        self.child.stdin.write("\n")
        self.child.stdin.flush()
        return self.hear()

    def end(self):
        self.child.kill()
        self.child.wait()


class Daemon:
    def __init__(self, folder, mark):
        self.config = folder / "memspy.toml"
        self.config.write_text(CONFIG.format(folder=folder, mark=mark))
        self.errors = open(folder / "errors", "w+")
        self.socket = folder / "socket"
        self.child = subprocess.Popen([os.environ["MEMSPY"], "daemon", "--config", self.config],
                                      stdout=subprocess.DEVNULL, stderr=self.errors)
        until(lambda: "the daemon runs" in self.said(), 10)

    def said(self):
        return os.pread(self.errors.fileno(), 1 << 24, 0).decode()

    def status(self):
        return json.loads(subprocess.run([os.environ["MEMSPY"], "daemon", "status", "--json", "--socket", self.socket],
                                         check=True, capture_output=True).stdout)

    def rss(self):
        status = pathlib.Path(f"/proc/{self.child.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) * 1024

    def end(self):
        self.child.send_signal(signal.SIGTERM)
        self.child.wait(30)


def until(condition, patience):
    end = time.monotonic() + patience
    while not condition():
        if time.monotonic() > end:
            raise SystemExit("it did not happen in time")
        time.sleep(0.001)


def window(busy, seconds):
    """Rounds per second of CPU of all busy processes: what else runs on the machine does not count."""
    def said():
        return [tuple(float(word) for word in process.ask().split()) for process in busy]
    before = said()
    time.sleep(seconds)
    after = said()
    rounds = sum(b[0] - a[0] for a, b in zip(before, after))
    return rounds / sum(b[1] - a[1] for a, b in zip(before, after))


def measure(options, folder):
    mark = f"bench-{os.getpid()}"
    idle = [Process(IDLE, mark) for _ in range(options.idle)]
    busy = [Process(BUSY, mark) for _ in range(options.busy)]
    leak = None
    try:
        for process in idle + busy:
            process.hear()
        ratios = []
        without = window(busy, options.seconds)
        daemon = Daemon(folder, mark)
        until(lambda: daemon.status()["targets"] == options.idle + options.busy, 60)
        time.sleep(20)  # what it learns at its start is paid once
        first, begin = daemon.status(), time.monotonic()
        beside = window(busy, options.seconds)
        last, elapsed = daemon.status(), time.monotonic() - begin
        rss, began = daemon.rss(), time.monotonic()
        leak = Process(LEAK, mark)
        until(lambda: f"found {leak.child.pid} " in daemon.said(), 10)
        found = time.monotonic() - began
        leak.hear()
        grown = time.monotonic()  # before it has: what is told of is later still
        leak.ask()
        until(lambda: "alert big firing" in daemon.said(), 30)
        told = time.monotonic() - grown
        daemon.end()
        ratios.append((without + window(busy, options.seconds)) / 2 / beside)
        cpu = sum(last[part] - first[part] for part in ("own_cpu_seconds", "tracers_cpu_seconds")) / elapsed
        return [("CPU, % of a core", 100 * cpu, 3),
                ("memory of the daemon (RSS), MiB", rss / (1 << 20), 80),
                ("with its tracers (PSS), MiB", (last["own_memory_bytes"] + last["tracers_memory_bytes"]) / (1 << 20), 80),
                ("tracers", last["tracers"], None),
                ("slowdown of the busy ones", statistics.mean(ratios), 1.01),
                ("a new process is found after, s", found, 1),
                ("an alert is told after, s", told, 2)]
    finally:
        for process in idle + busy + ([leak] if leak else []):
            process.end()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--idle", type=int, default=100)
    parser.add_argument("--busy", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=30)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="memspy-bench-") as folder:
        rows = measure(options, pathlib.Path(folder))
    bad = False
    for name, value, limit in rows:
        over = limit is not None and value > limit
        bad = bad or over
        print(f"{name:36} {value:8.3f}   {'' if limit is None else f'limit {limit:g}'}{'  OVER' if over else ''}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
