"""One native stack of a thread that computes: how long it is held for it, and what unwinding takes; beside other unwinders."""
import os
import pathlib
import re
import subprocess

import harness

LIMITS = {"held": 150, "unwinding": 100}  # microseconds


def build():
    folder = pathlib.Path(os.environ["MEMSPY"]).parents[2]
    # Configured anew: the other unwinder may have been installed since.
    for step in ([str(folder)], ["--build", str(folder), "--target", "unwind_bench"]):
        subprocess.run(["cmake", *step], check=True, stdout=subprocess.DEVNULL)
    return folder / "tests/bench/unwind_bench"


def measure(pythons, options):
    """A row for each interpreter: what is measured, by unwinder."""
    program, rows = build(), []
    for python in pythons:
        target = harness.Target(python.command(harness.WORKLOADS / "nested.py"))
        try:
            target.hear("ready")
            text = subprocess.run([str(program), str(target.pid), str(options.rounds)], check=True, stdout=subprocess.PIPE,
                                  text=True).stdout
        finally:
            target.end()
        row = {"python": python.name}
        for line in text.splitlines():
            found = re.match(r"(\S+) +frames +(\d+) .*held p50 +([\d.]+) p99 +([\d.]+) +unwinding p50 +([\d.]+) p99 +([\d.]+)", line)
            row[found[1]] = dict(zip(("frames", "held", "held_p99", "unwinding", "unwinding_p99"), map(float, found.groups()[1:])))
        rows.append(row)
    return rows
