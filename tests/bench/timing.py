"""An allocation-heavy program with a fixed amount of work, which says how long it took: JSON parsing,
object building and sorting in rounds, over a heap that grows by a fixed amount per round.

    timing.py [--rounds N] [--idle-threads N] [--deep N]

On "work" it does all rounds and answers with its own wall and CPU time. With --deep every round runs
below a stack of so many frames.
"""
import argparse
import json
import os
import resource
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "workloads"))

import truth  # noqa: E402

DOCUMENT = json.dumps([{"id": number, "name": "item %d" % number, "tags": ["a", "b", str(number)],
                        "price": number * 1.25} for number in range(400)])
KEPT = []


class Item:
    def __init__(self, source):
        self.id, self.name, self.tags = source["id"], source["name"], source["tags"]


def parse_round(number):
    for _ in range(4):
        items = [Item(source) for source in json.loads(DOCUMENT)]
        items.sort(key=lambda item: (item.name, -item.id))
        by_tag = {}
        for item in items:
            for tag in item.tags:
                by_tag.setdefault(tag, []).append(item.id)
    KEPT.append((items, by_tag, bytearray(100000)))  # some of it stays: about 300 kB a round


def below(depth, function, *arguments):
    return below(depth - 1, function, *arguments) if depth else function(*arguments)


def work(rounds, deep):
    wall, cpu = time.perf_counter(), time.process_time()
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for number in range(rounds):
        below(deep, parse_round, number)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    del KEPT[:]
    truth.say("work", wall=wall, cpu=cpu,
              faults=resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--idle-threads", type=int, default=0)
    parser.add_argument("--deep", type=int, default=0)
    options = parser.parse_args()
    for _ in range(options.idle_threads):
        threading.Thread(target=threading.Event().wait, daemon=True).start()
    truth.say("ready", pid=os.getpid())
    while True:
        truth.expect("work")
        work(options.rounds, options.deep)


if __name__ == "__main__":
    main()
