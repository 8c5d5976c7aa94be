"""Threads parked in stacks in which C and Python call each other, and what the interpreter says of them.

    nests.py [--spin]   with a thread that goes through such a stack without end

Besides, there is a thread of C's own, named "plain C".
"""
import argparse
import ctypes
import functools
import os
import re
import sys
import threading

import stacks
import talk

C = ctypes.CDLL(None)
COMPARE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))


def by_key(then):
    sorted([2, 1], key=lambda value: then() or 0)


def by_reduce(then):
    functools.reduce(lambda left, right: then(), [1, 2])


def by_map(then):
    list(map(lambda value: then(), [1]))


def by_library(then):
    """libc's own qsort(): frames of libffi and of libc in between."""
    numbers = (ctypes.c_int * 2)(2, 1)
    C.qsort(numbers, 2, 4, COMPARE(lambda left, right: then() or 0))


def by_pattern(then):
    re.compile("a").sub(lambda match: then() or "", "a")


def by_special_method(then):
    class Value:
        def __lt__(self, other):
            return then()
    sorted([Value(), Value()])


def by_generator(then):
    def generate():
        yield then()
    list(generate())


WAYS = [by_key, by_reduce, by_map, by_library, by_pattern, by_special_method, by_generator]


def nest(ways, last):
    """One way in the other, outermost first."""
    then = last
    for way in reversed(ways):
        then = functools.partial(way, then)
    return then


def compute():
    """Long enough to be found here, again and again."""
    total = 0
    for number in range(20000):
        total += number


def spin():
    stacks.TIDS["spin"] = talk.tid()
    stacks.ARRIVED.release()
    inner = nest(WAYS, compute)
    while True:
        inner()


def start_plain_thread():
    """A thread that no interpreter knows: pause(2), in C."""
    thread = ctypes.c_ulong()
    C.pthread_create(ctypes.byref(thread), None, C.pause, None)
    C.pthread_setname_np(thread, b"plain C")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--spin", action="store_true")
    options = parser.parse_args()
    shapes = [(way.__name__, nest([way], stacks.park)) for way in WAYS]
    shapes.append(("all", nest(WAYS, stacks.park)))
    shapes.append(("thrice", nest(WAYS * 3, stacks.park)))
    for name, function in shapes:
        threading.Thread(target=function, name=name, daemon=True).start()
    for _ in shapes:
        stacks.ARRIVED.acquire()
    for thread_id in list(stacks.TIDS.values()):
        stacks.until_asleep(thread_id)
    threads = stacks.look()
    start_plain_thread()
    if options.spin:
        threading.Thread(target=spin, name="spin", daemon=True).start()
        stacks.ARRIVED.acquire()
    talk.say("ready", pid=os.getpid(), threads=threads, spinner=stacks.TIDS.get("spin"),
             ways=[way.__name__ for way in WAYS], version=list(sys.version_info[:3]))
    os.read(0, 1)


if __name__ == "__main__":
    main()
