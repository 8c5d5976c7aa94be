"""A heap that changes all the time: threads that make and drop objects of every layout, a collector
that never rests, and threads in system calls that must not be interrupted.

    heap_busy.py [--steady N]

Meanwhile N objects of one class stay as they are. On "ping" it answers with counters: each in
"progress" must go on rising, each in "harm" must be 0. "grow N" adds N sessions to app.SESSIONS.
"""
import argparse
import gc
import os
import threading

import app
import raw_waits
import talk

PROGRESS = {}
STOP = threading.Event()
WAITERS = [raw_waits.Waiter(name) for name in raw_waits.MAKERS]
KEPT = []


class Steady:
    def __init__(self, number):
        self.number, self.text, self.items = number, "steady %d" % number, [number]


class Churn:
    def __init__(self, number):
        self.number, self.other = number, None


class SlottedChurn:
    __slots__ = ("number", "other")


def churn(name):
    ring, number = [], 0
    while not STOP.is_set():
        number += 1
        one, two = Churn(number), SlottedChurn()
        one.other, two.other = two, one  # garbage, once the ring lets go
        one.__dict__["extra %d" % (number % 40)] = {number: str(number), "n": (number, [number])}
        ring.append(one)
        if len(ring) > 400:
            del ring[:200]
        PROGRESS[name] = number


def tables(name):
    table, text, number = {}, [], 0
    kept = set()
    while not STOP.is_set():
        number += 1
        table[number] = "value %d" % number
        kept.add(number * 7)
        text.append(bytes(number % 3000))
        if len(table) > 3000:
            table, text, kept = {}, [], set()
        PROGRESS[name] = number


def suspend(name):
    def generator(number):
        held = [number, {number: number}]
        yield held
        yield number
    waiting, number = [], 0
    while not STOP.is_set():
        number += 1
        one = generator(number)
        next(one)
        waiting.append(one)
        if len(waiting) > 300:
            del waiting[:250]
        PROGRESS[name] = number


def collect(name):
    number = 0
    while not STOP.wait(0.002):
        gc.collect(number % 3)
        number += 1
        PROGRESS[name] = number


def answer():
    progress = dict(PROGRESS)
    progress.update((waiter.name, waiter.calls) for waiter in WAITERS if waiter.calls >= 0)
    harm = {"interrupted " + waiter.name: waiter.interrupted for waiter in WAITERS}
    harm.update({"early " + waiter.name: waiter.early for waiter in WAITERS})
    harm.update({"strange " + waiter.name: len(waiter.strange) for waiter in WAITERS})
    talk.say("ping", progress=progress, harm=harm, strange=[w.strange for w in WAITERS if w.strange])


def grow(count):
    for _ in range(count):
        name = "late %d" % len(app.SESSIONS)
        app.SESSIONS[name] = app.Session(name)
    talk.say("grow", sessions=len(app.SESSIONS))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--steady", type=int, default=20000)
    options = parser.parse_args()
    KEPT.extend(Steady(number) for number in range(options.steady))
    app.fill(100)
    for name, body in (("churn", churn), ("churn 2", churn), ("tables", tables), ("suspend", suspend),
                       ("collect", collect)):
        PROGRESS[name] = 0
        threading.Thread(target=body, args=(name,), name=name, daemon=True).start()
    for waiter in WAITERS:
        threading.Thread(target=waiter.run, args=(STOP,), daemon=True).start()
    talk.say("ready", pid=os.getpid())
    while True:
        words = talk.hear().split()
        if words[0] == "grow":
            grow(int(words[1]))
        else:
            answer()


if __name__ == "__main__":
    main()
