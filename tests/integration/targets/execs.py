"""Replaces itself with itself, again and again; one PID all the way.

On "ping" it says how often it has done so.
"""
import os
import select
import sys

import talk


def main():
    generation = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    if generation == 0:
        talk.say("ready", pid=os.getpid())
    kept = [bytearray(30000) for _ in range(100)]
    # Between 0 and 30 ms of life as a running interpreter.
    readable, _, _ = select.select([0], [], [], generation % 4 * 0.01)
    if readable:
        talk.expect("ping")
        talk.say("ping", progress={"exec": generation}, harm={"lost": len(kept) - 100}, strange=[])
    flags = ["-S", "-u"]
    os.execv(sys.executable, [sys.executable] + flags + [os.path.abspath(__file__), str(generation + 1)])


if __name__ == "__main__":
    main()
