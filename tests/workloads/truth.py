"""What every workload is made of: a handshake with whoever started it, a pace, and the truth.

The truth is the growth of the process's own resident memory, by function: /proc/self/statm is read
right before and right after each step, and the difference is added to the function of that step.
Nothing else may touch memory meanwhile; a workload with threads takes a lock around its steps.

How far the truth can be trusted:
- Its unit is the page. A page belongs to the step that touched it first; that is what memspy means
  by growth as well, so half-filled pages are no source of error.
- Kernels before 6.16 read the counter behind statm without adding up what each CPU still holds
  back: up to 32 pages per CPU and reading. Steps are therefore large (128 KiB and more), and the
  errors of neighbouring readings cancel in the sum. From 6.16 on the figure is exact.
- Pages that the C library gives back inside a step (malloc's trimming) are subtracted from that
  step, while memspy subtracts them from whoever had touched them. No workload here frees what
  another function made, so this is pages, not per cent.
- What happens between steps (the loop, the interpreter, this file) is "other": the growth of the
  whole window less the sum of the steps.

Runs on every interpreter from 3.6 on, with the standard library alone.

Protocol: one JSON object per line on stdout; commands on stdin, one per line.
    <- {"event": "ready", "pid": 123}
    -> go                               the window begins
    <- {"event": "done"}                nothing grows any more; the window ends
    -> truth
    <- {"event": "truth", …}
The end of stdin ends the process.
"""
import argparse
import json
import os
import random
import resource
import sys
import time

PAGE = os.sysconf("SC_PAGE_SIZE")
THREAD_USAGE = getattr(resource, "RUSAGE_THREAD", resource.RUSAGE_SELF)


def say(event, **fields):
    """Everything that a process says is one write: a reader never sees half a line."""
    os.write(1, (json.dumps(dict(fields, event=event)) + "\n").encode())


def hear():
    """The next command; ends the process when nobody is there any more."""
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            os._exit(0)
        line += byte
    return line.strip().decode()


def expect(command):
    heard = hear()
    if heard != command:
        raise SystemExit("expected %r, heard %r" % (command, heard))


class Meter:
    """The growth of this process's resident memory, by function."""

    def __init__(self):
        self._statm = os.open("/proc/self/statm", os.O_RDONLY)
        self.grown = {}
        self.steps = 0
        self.rss()  # whatever the first reading touches is not part of a window

    def rss(self):
        return int(os.pread(self._statm, 256, 0).split()[1]) * PAGE

    def step(self, function, *arguments):
        """Runs one step, which has to keep what it makes, and charges its growth to it."""
        before = self.rss()
        function(*arguments)
        grown = self.rss() - before
        name = function.__name__
        self.grown[name] = self.grown.get(name, 0) + grown
        self.steps += 1
        return grown


class Pace:
    """Holds a run to a rate of growth, for a duration, below a limit."""

    def __init__(self, options, share=1.0):
        self._rate = options.rate * 1e6 * share
        self._limit = options.limit * 1e6
        self._start = time.monotonic()
        self._end = self._start + options.duration
        self.grown = 0

    def on(self):
        return time.monotonic() < self._end and self.grown < self._limit

    def add(self, grown):
        """Counts growth, and sleeps while the run is ahead of its rate."""
        self.grown += grown
        if self._rate <= 0:
            return
        ahead = self.grown / self._rate - (time.monotonic() - self._start)
        if ahead > 0:
            time.sleep(min(ahead, max(0.0, self._end - time.monotonic())))


def parser():
    found = argparse.ArgumentParser()
    found.add_argument("--duration", type=float, default=5, help="seconds")
    found.add_argument("--rate", type=float, default=40, help="growth in MB/s; 0: as fast as it goes")
    found.add_argument("--limit", type=float, default=1000, help="growth in MB at which it ends")
    found.add_argument("--seed", type=int, default=1)
    found.add_argument("--alone", action="store_true", help="no handshake; print the truth and end")
    return found


def run(options, body, prepare=None):
    """body(meter, pace, rng) is the window. What it grows by function is the truth."""
    meter = Meter()
    rng = random.Random(options.seed)
    prepared = prepare(rng) if prepare else None
    if not options.alone:
        say("ready", pid=os.getpid())
        expect("go")
    start = meter.rss()
    wall = time.monotonic()
    usage = resource.getrusage(resource.RUSAGE_SELF)
    pace = Pace(options)
    body(meter, pace, rng, *([prepared] if prepare else []))
    end = meter.rss()
    after = resource.getrusage(resource.RUSAGE_SELF)
    seconds = time.monotonic() - wall
    if not options.alone:
        say("done")
        expect("truth")
    grown = {name: value for name, value in meter.grown.items()}
    say("truth", functions=grown, other=end - start - sum(grown.values()), rss_start=start,
        rss_end=end, seconds=round(seconds, 3), steps=meter.steps,
        cpu_seconds=round(after.ru_utime + after.ru_stime - usage.ru_utime - usage.ru_stime, 4),
        minor_faults=after.ru_minflt - usage.ru_minflt, file=os.path.abspath(sys.argv[0]),
        version=list(sys.version_info[:3]))
    if not options.alone:
        while True:
            hear()
