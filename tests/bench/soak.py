#!/usr/bin/env python3
"""The daemon under everything that happens to it: targets start, grow, fork, end and are killed; tracers are killed, the disk
fills, clients come and go, the wall clock jumps, and the daemon itself is killed. Does it lose memory, descriptors or threads, or harm anybody?

    MEMSPY=build/release/src/cli/memspy tests/bench/soak.py [--minutes N] [--seed N] [--json FILE]

Rounds of half a minute. After each, all targets end, and once the daemon is at rest it is measured: what is at rest more
from round to round is a leak. In a fourth of the rounds, the first ones, the daemon is killed; the others are one life of it. As root the state is
on a file system of its own, which fills. The clock that jumps is that of the daemon and its tracers alone (Debian's libfaketime; without it
none does). Needs nothing else to be quiet.
"""
import argparse
import json
import os
import pathlib
import random
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

# Grows, forks, starts threads or rests as it is told; says what it has done, so that harm shows.
TARGET = """
import os, sys, threading, time
kept, children = [], []
print("ready", flush=True)
for line in sys.stdin:
    word = line.strip()
    if word == "grow":
        kept.extend(bytearray(50000) for _ in range(100))
    elif word == "shrink":
        del kept[:]
    elif word == "fork":
        child = os.fork()
        if child == 0:
            more = [bytearray(50000) for _ in range(200)]
            time.sleep(5)
            os._exit(0)
        children.append(child)
    elif word == "threads":
        threads = [threading.Thread(target=time.sleep, args=(0.05,)) for _ in range(20)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
    for child in list(children):
        if os.waitpid(child, os.WNOHANG)[0]:
            children.remove(child)
    print(word, flush=True)
for child in children:
    os.waitpid(child, 0)
"""
CONFIG = """
state_dir = "{folder}/state"
socket = "{folder}/socket"
[recorder]
keep = "1m"
segment = "10s"
per_target = "4MiB"
total = "32MiB"
reserve = "8MiB"
[tracing]
settle = "1s"
calm = "5s"
[http]
listen = "127.0.0.1:0"
[push]
url = "http://127.0.0.1:{port}"
interval = "5s"
[[target]]
name = "soak"
command = "*{mark}*"
[[alert]]
name = "big"
when = "rss > 40MiB"
cool_down = "10s"
hook = ["/bin/true"]
[[alert]]
name = "objects"
when = "heap.objects growth > 1000/min"
evidence = false
"""
PATHS = ["/", "/metrics", "/targets", "/healthz", "/nothing", "/targets/{pid}/page?seconds=60", "/targets/{pid}/html", "/targets/{pid}/pprof",
         "/targets/{pid}/series", "/targets/{pid}/flamegraph", "/targets/1/page", "/%2e%2e/etc/passwd"]
ROUND, PATIENCE = 30, 90  # seconds
DISK = 96 << 20
FAKE_CLOCK = sorted(pathlib.Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
STEPS = ["+0", "+1", "-1", "+45", "-45", "+2h", "-2h", "+3d", "-3d", "+1y", "-1y"]


def until(condition, what, patience=PATIENCE):
    end = time.monotonic() + patience
    while not condition():
        if time.monotonic() > end:
            raise SystemExit(f"it did not happen in {patience} s: {what}")
        time.sleep(0.05)


class Target:
    def __init__(self, mark):
        self.child = subprocess.Popen(["/usr/bin/python3", "-c", TARGET, mark], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self.pid = self.child.pid
        self.child.stdout.readline()

    def ask(self, word):
        """False: it has come to harm."""
        try:
            self.child.stdin.write(word + "\n")
            self.child.stdin.flush()
            return self.child.stdout.readline().strip() == word
        except OSError:
            return False

    def end(self):
        self.child.stdin.close()
        ended = self.child.wait(PATIENCE) == 0
        self.child.stdout.close()
        return ended

    def kill(self):
        self.child.kill()
        self.child.wait()
        for end in (self.child.stdin, self.child.stdout):
            end.close()


class Soak:
    def __init__(self, folder, options):
        self.folder, self.random = folder, random.Random(options.seed)
        self.mark = f"soak-{os.getpid()}"
        self.log = open(folder / "log", "w+b")
        self.targets, self.idle_clients, self.counts, self.harmed = [], [], {}, 0
        self.endpoint = socket.create_server(("127.0.0.1", 0))  # which takes connections and never answers
        self.clock = folder / "clock"
        self.clock.write_text("+0\n")
        self.environment = dict(os.environ, LD_PRELOAD=str(FAKE_CLOCK[0]), FAKETIME_TIMESTAMP_FILE=str(self.clock), FAKETIME_NO_CACHE="1",
                                FAKETIME_DONT_FAKE_MONOTONIC="1") if FAKE_CLOCK else None
        (folder / "memspy.toml").write_text(CONFIG.format(folder=folder, mark=self.mark, port=self.endpoint.getsockname()[1]))
        self.start_daemon()

    def said(self):
        return os.pread(self.log.fileno(), 1 << 26, self.begin).decode(errors="replace")

    def start_daemon(self):
        self.begin = os.fstat(self.log.fileno()).st_size
        self.daemon = subprocess.Popen([os.environ["MEMSPY"], "daemon", "--config", self.folder / "memspy.toml"], stdout=subprocess.DEVNULL, stderr=self.log,
                                       env=self.environment)
        until(lambda: "the daemon runs" in self.said(), "the daemon runs")
        self.port = int(re.search(r"HTTP at \S+ port (\d+)", self.said())[1])

    def memspy(self, *arguments):
        return subprocess.run([os.environ["MEMSPY"], *map(str, arguments)], capture_output=True, timeout=PATIENCE)

    def status(self):
        return json.loads(self.memspy("daemon", "status", "--json", "--socket", self.folder / "socket").stdout)

    # What happens. Each returns nothing; what should not be is counted as harm.
    def start(self):
        if len(self.targets) < 12:
            self.targets.append(Target(self.mark))

    def tell(self, word):
        if self.targets:
            self.harmed += not self.random.choice(self.targets).ask(word)

    def grow(self): self.tell("grow")
    def shrink(self): self.tell("shrink")
    def fork(self): self.tell("fork")
    def threads(self): self.tell("threads")

    def end(self):
        if self.targets:
            self.harmed += not self.targets.pop(self.random.randrange(len(self.targets))).end()

    def kill(self):
        if self.targets:
            self.targets.pop(self.random.randrange(len(self.targets))).kill()

    def kill_tracer(self):
        children = pathlib.Path(f"/proc/{self.daemon.pid}/task/{self.daemon.pid}/children").read_text().split()
        if children:
            try:
                os.kill(int(self.random.choice(children)), self.random.choice([signal.SIGKILL, signal.SIGSEGV]))
            except ProcessLookupError:
                pass

    def ask_http(self):
        pid = self.random.choice(self.targets).pid if self.targets else 1
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{self.port}{self.random.choice(PATHS).format(pid=pid)}", timeout=20).read()
        except (urllib.error.HTTPError, OSError):
            pass

    def come_and_stay(self):
        """A client that never asks, one that goes in the middle."""
        client = socket.create_connection(("127.0.0.1", self.port))
        client.sendall(b"GET /metrics HTTP/1.1\r\nHo")
        self.idle_clients = self.idle_clients[-3:] + [client]

    def fill_disk(self):
        filler = self.folder / "state" / "filler"
        if not os.path.ismount(self.folder / "state"):
            return
        try:
            with open(filler, "wb", buffering=0) as out:
                while True:
                    out.write(bytes(1 << 16))
        except OSError:
            time.sleep(2)
        filler.unlink()

    def step_clock(self):
        """To one of a few offsets from the true time, at once, back or on."""
        fresh = self.clock.with_suffix(".new")
        fresh.write_text(self.random.choice(STEPS) + "\n")
        fresh.rename(self.clock)

    def reload(self): self.daemon.send_signal(signal.SIGHUP)

    def kill_daemon(self):
        self.daemon.kill()
        self.daemon.wait()
        files = sorted((self.folder / "state").glob("targets/*/*.memspy"))
        for path in self.random.sample(files, min(4, len(files))):
            # A segment that was cut off before its first tick has nothing; that is no damage.
            if self.memspy("report", path, "--json").returncode not in (0, 2):
                self.counts["unreadable files"] = self.counts.get("unreadable files", 0) + 1
        self.start_daemon()

    def round(self, kill):
        weights = {self.start: 12, self.grow: 40, self.shrink: 3, self.fork: 4, self.threads: 4, self.end: 4, self.kill: 3, self.kill_tracer: 2,
                   self.ask_http: 20, self.come_and_stay: 3, self.reload: 1}
        if FAKE_CLOCK:
            weights[self.step_clock] = 1
        end = time.monotonic() + ROUND
        once = [self.fill_disk] + ([self.kill_daemon] if kill else [])
        while time.monotonic() < end:
            if once and time.monotonic() > end - ROUND / 2 * len(once) / 2:
                what = once.pop()
            else:
                what = self.random.choices(list(weights), weights.values())[0]
            what()
            self.counts[what.__name__] = self.counts.get(what.__name__, 0) + 1
            if self.daemon.poll() is not None:
                raise SystemExit(f"the daemon has ended: {self.daemon.returncode}\n{self.said()[-2000:]}")
            time.sleep(0.02)

    def rest(self):
        """All have ended, and the daemon has nothing to do; what it has then."""
        while self.targets:
            self.harmed += not self.targets.pop().end()
        for client in self.idle_clients:
            client.close()
        self.idle_clients = []
        proc = pathlib.Path(f"/proc/{self.daemon.pid}")

        def busy():
            status = self.status()
            parts = [path.name for path in (self.folder / "state" / "evidence").glob("*.part")]
            children = (proc / f"task/{self.daemon.pid}/children").read_text().split()
            return status["targets"] or status["tracers"] or parts or children
        try:
            until(lambda: not busy(), "the daemon rests", 5 * PATIENCE)
        except SystemExit as error:
            raise SystemExit(f"{error}: {busy()}\n{self.said()[-3000:]}") from None
        time.sleep(6)  # its connections time out
        status = (proc / "status").read_text()
        return {"memory": int(re.search(r"RssAnon:\s+(\d+)", status)[1]) << 10, "threads": int(re.search(r"Threads:\s+(\d+)", status)[1]),
                "descriptors": len(os.listdir(proc / "fd")), "cpu": self.status()["own_cpu_seconds"]}

    def close(self):
        for target in self.targets:
            target.kill()
        if self.daemon.poll() is None:
            self.daemon.send_signal(signal.SIGTERM)
            self.daemon.wait(PATIENCE)


def run(options, folder):
    soak, measured = None, []
    state = folder / "state"
    state.mkdir(mode=0o700)
    if os.geteuid() == 0:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK},mode=700", "none", state], check=True)
    try:
        soak = Soak(folder, options)
        end = time.monotonic() + 60 * options.minutes
        rounds = 0
        while time.monotonic() < end:
            left = (end - time.monotonic()) / (60 * options.minutes)
            soak.round(kill=left > 0.75)
            figures = soak.rest()
            rounds += 1
            print(f"round {rounds}: {figures['memory'] / 2**20:.1f} MiB, {figures['descriptors']} descriptors, {figures['threads']} threads", file=sys.stderr, flush=True)
            if left <= 0.75:
                measured.append(figures)
        status = soak.status()
    finally:
        if soak:
            soak.close()
        if os.path.ismount(state):
            subprocess.run(["umount", "-l", state], check=True)
    return soak, measured, status


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--json", type=pathlib.Path)
    options = parser.parse_args()
    print(f"seed {options.seed}", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="memspy-soak-") as folder:
        soak, measured, status = run(options, pathlib.Path(folder))
    if len(measured) < 3:
        raise SystemExit("too short to say anything: at least 4 minutes")
    third = max(1, len(measured) // 3)
    first, last = measured[:third + 1][-third:], measured[-third:]  # the first round is warming up
    # Of what is counted the median: something may be under way, or closed, at any moment; a leak is there at every one.
    change = {key: how(row[key] for row in last) - how(row[key] for row in first)
              for key, how in (("memory", statistics.mean), ("descriptors", statistics.median), ("threads", statistics.median))}
    rows = [("memory at rest (RssAnon), MiB, at the end", last[-1]["memory"] / 2**20, None), ("memory, change, MiB", change["memory"] / 2**20, 2),
            ("descriptors at rest, at the end", last[-1]["descriptors"], None), ("descriptors, change", change["descriptors"], 1),
            ("threads at rest, at the end", last[-1]["threads"], None), ("threads, change", change["threads"], 0),
            ("targets that came to harm", soak.harmed, 0), ("files that could not be read after a kill", soak.counts.pop("unreadable files", 0), 0),
            ("rounds of one life of the daemon", len(measured), None), ("CPU of the daemon in it, s", last[-1]["cpu"], None),
            ("tracers that were killed", status["tracer_crashes"], None)]
    bad = False
    for name, value, limit in rows:
        over = limit is not None and value > limit
        bad = bad or over
        print(f"{name:44} {value:9.2f}   {'' if limit is None else f'limit {limit:g}'}{'  OVER' if over else ''}")
    print("what happened: " + ", ".join(f"{name} {count}" for name, count in sorted(soak.counts.items())))
    if options.json:
        options.json.write_text(json.dumps({"rows": [(name, value) for name, value, _ in rows], "measured": measured, "counts": soak.counts, "seed": options.seed}))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
