"""A service whose heap is large and does not move: records of several objects each in a dict.

    many.py --objects N [--grow N]

N is in millions. On "grow" it adds --grow records.
"""
import argparse
import gc
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))),
                                "workloads"))

import truth  # noqa: E402

RECORDS = {}
PER_RECORD = 6


class Rec:
    """With what it alone holds: an int, a str, a list of a float, a tuple."""

    def __init__(self, number):
        self.id = number + (1 << 20)
        self.name = "record %d of a service that keeps a lot" % number
        self.values = [number * 0.5]
        self.tags = (self.id, "shared")


def add(count):
    for number in range(len(RECORDS), len(RECORDS) + count):
        RECORDS[number] = Rec(number)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--objects", type=float, default=5)
    parser.add_argument("--grow", type=int, default=50000)
    options = parser.parse_args()
    gc.disable()  # for building it; as any large loader does
    add(int(options.objects * 1e6 / PER_RECORD))
    gc.enable()
    truth.say("ready", pid=os.getpid(), records=len(RECORDS))
    while True:
        if truth.hear() == "grow":
            add(options.grow)
            truth.say("grow", records=len(RECORDS))


if __name__ == "__main__":
    main()
