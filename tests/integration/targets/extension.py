"""Allocates through an extension module.

    extension.py FOLDER MODULE [SECONDS]     rows or cyrows, built in FOLDER

On "keep" it holds what it makes, on "drop" it does not; both take SECONDS.
"""
import os
import sys
import time

import talk

KEPT = []


def keep(module, until):
    while time.monotonic() < until:
        KEPT.append(module.make(500))  # keeps
        time.sleep(0.005)


def drop(module, until):
    while time.monotonic() < until:
        module.make(500)  # drops


def main():
    sys.path.insert(0, sys.argv[1])
    module = __import__(sys.argv[2])
    seconds = float(sys.argv[3]) if len(sys.argv) > 3 else 2
    talk.say("ready", pid=os.getpid())
    while True:
        command = talk.hear()
        if command != "ping":
            {"keep": keep, "drop": drop}[command](module, time.monotonic() + seconds)
        talk.say(command)


if __name__ == "__main__":
    main()
