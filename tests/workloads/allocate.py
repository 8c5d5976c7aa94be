"""Functions that allocate, each by a known part of the work, beside functions that never do.

By default five functions make and drop the same thing, in proportions that are known: the time that
they spend allocating is in the same. With --kinds each makes another thing, and only a second profiler
can tell what is right; when which function ran is said (time.monotonic()), so that its samples can be
told apart by time.

Same protocol as truth.py. Runs on every interpreter from 3.6 on.
"""
import argparse
import itertools
import os
import sys
import time

import truth

UNIT = 400  # rounds of a function's loop for each part that it has
BATCH = 50
SIZES = (400,) * BATCH
WORDS = ["word %d" % number for number in range(64)]
TABLE = {word: word for word in WORDS}
SELDOM = 16  # those who allocate nothing run in one pass of so many, so much longer
LONG = (WORDS * UNIT)[:4 * UNIT] * SELDOM  # as many as their four parts


class Slots(object):
    __slots__ = ("a", "b")


# --- the same thing, more or less often ---

def first(rounds):
    for _ in itertools.repeat(None, rounds // BATCH):
        list(map(bytes, SIZES))


def second(rounds):
    for _ in itertools.repeat(None, rounds // BATCH):
        list(map(bytes, SIZES))


def third(rounds):
    for _ in itertools.repeat(None, rounds // BATCH):
        list(map(bytes, SIZES))


def fourth(rounds):
    for _ in itertools.repeat(None, rounds // BATCH):
        list(map(bytes, SIZES))


def fifth(rounds):
    for _ in itertools.repeat(None, rounds // BATCH):
        list(map(bytes, SIZES))


# --- other things ---

def make_objects(rounds):
    keep = [None] * 64
    for i in itertools.islice(itertools.cycle(range(64)), rounds):
        keep[i] = Slots()


def make_lists(rounds):
    for _ in itertools.repeat(None, rounds):
        [None] * 20


def make_text(rounds):
    for word in itertools.islice(itertools.cycle(WORDS), rounds):
        word + word


def make_big(rounds):
    for _ in itertools.repeat(None, rounds // 8):
        bytearray(4000)


# --- nothing: an object to iterate with is all that each of these makes, once in tens of thousands of rounds ---

def look_up(rounds):
    for word in LONG:
        TABLE[word]


def compare(rounds):
    word = WORDS[5]
    for other in LONG:
        word == other


def turn(rounds):
    flag = False
    for _ in itertools.repeat(None, rounds):
        flag = not flag


def set_items(rounds):
    table, word = TABLE, WORDS[0]
    for _ in itertools.repeat(None, rounds):
        table["word 7"] = word


SAME = [(first, 16), (second, 9), (third, 5), (fourth, 2), (fifth, 1)]
KINDS = [(first, 10), (make_objects, 10), (make_lists, 5), (make_big, 5), (make_text, 2)]
IDLE = [(function, 4 * SELDOM) for function in (look_up, compare, turn, set_items)]


def run(options):
    makers = KINDS if options.kinds else SAME
    work = makers + IDLE
    for function, parts in work:
        function(parts * UNIT)  # what first runs leave behind
    truth.say("ready", pid=os.getpid())
    truth.expect("go")
    ends = time.monotonic() + options.duration
    cpu, spans = time.process_time(), []
    for passes in itertools.count():
        if time.monotonic() >= ends:
            break
        for function, parts in work if passes % SELDOM == 0 else makers:
            begin = time.monotonic()
            function(parts * UNIT)
            if options.kinds:
                spans.append((function.__name__, begin, time.monotonic()))
    cpu = time.process_time() - cpu
    truth.say("done")
    truth.expect("truth")
    truth.say("truth", parts={function.__name__: parts for function, parts in makers},
              idle=[function.__name__ for function, _ in IDLE], spans=spans, cpu_seconds=cpu,
              file=os.path.abspath(sys.argv[0]), version=list(sys.version_info[:3]))
    while True:
        truth.hear()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--duration", type=float, default=20, help="seconds")
    parser.add_argument("--kinds", action="store_true")
    run(parser.parse_args())
