"""Memory of every kind, on request, for the ledger and the verdicts.

    heap_kinds.py

    -> objects N     N more sessions in app.SESSIONS
    -> main MB       so much from malloc in small chunks, by the main thread
    -> thread MB     the same by another thread, which has an arena of its own
    -> mapped MB     in chunks of 1 MB, each with a mapping of its own
    -> freeze N      N cycles, dropped when gc.freeze() had frozen them, and N that are just dropped
    <- {"event": the first word}
"""
import ctypes
import gc
import threading

import app
import talk

LIBC = ctypes.CDLL(None)
LIBC.malloc.restype = ctypes.c_void_p
LIBC.malloc.argtypes = [ctypes.c_size_t]
LIBC.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
SMALL, LARGE = 8000, 1 << 20
STOP = threading.Event()


class Loop:
    def __init__(self):
        self.itself = self


def more_sessions(count):
    for _ in range(count):
        name = "more %d" % len(app.SESSIONS)
        app.SESSIONS[name] = app.Session(name)


def take(megabytes, size):
    """By C code, as memspy has to see it: no Python object knows of the blocks."""
    for _ in range((megabytes << 20) // size):
        LIBC.memset(LIBC.malloc(size), 1, size)


def take_and_wait(megabytes, done):
    take(megabytes, SMALL)
    done.set()
    STOP.wait()


def in_a_thread(megabytes):
    done = threading.Event()
    threading.Thread(target=take_and_wait, args=(megabytes, done), daemon=True).start()
    done.wait()


def freeze(count):
    gc.disable()
    gc.collect()
    kept = [Loop() for _ in range(count)]
    gc.freeze()
    del kept
    for _ in range(count):
        Loop()


def main():
    app.fill(100)
    actions = {"objects": more_sessions, "main": lambda megabytes: take(megabytes, SMALL), "thread": in_a_thread,
               "mapped": lambda megabytes: take(megabytes, LARGE), "freeze": freeze}
    talk.say("ready")
    while True:
        words = talk.hear().split()
        if words[0] in actions:
            actions[words[0]](int(words[1]))
        talk.say(words[0])


if __name__ == "__main__":
    main()
