"""A process that traces its allocations: one copy of it stands still to be looked at, one says what its
own tracemalloc says, and the first goes on to grow.

    trace_zoo.py TRUTH [--frames N] [--domain] [--off]

Fills its heap from lines that are known, then forks twice from the same state: the first child waits in
pause(2) and is what memspy looks at; the second writes tracemalloc's statistics to the file TRUTH.

    <- {"event": "ready", "still": PID of the child that stands still, "lines": those of the marks}
    -> grow N     keeps N more blobs
    <- {"event": "grow", "bytes": …}
    -> churn      two threads allocate and free from now on, and have the table grow and shrink
    <- {"event": "churn"}
    -> stop       ends tracing
    <- {"event": "stop"}
"""
import argparse
import ctypes
import json
import os
import signal
import sys
import threading
import tracemalloc

import talk

LIBC = ctypes.CDLL(None)
DOMAIN, DOMAIN_BYTES = 7, 123456
MARKS = ["nodes", "blobs", "lists", "through", "domain", "grown"]
KEPT = []
NODES, BLOBS, BLOB_BYTES, LISTS, LIST_ITEMS = 3000, 500, 3000, 200, 1000


class Node(object):
    __slots__ = ("a", "b")


def nodes():
    return [Node() for _ in range(NODES)]  # nodes


def blobs(count):
    return [bytearray(BLOB_BYTES) for _ in range(count)]  # blobs


def lists():
    return [[None] * LIST_ITEMS for _ in range(LISTS)]  # lists


def through(depth, make):
    """The same line, by another way for each depth."""
    return make() if depth == 0 else through(depth - 1, make)


def compiled():
    """A module whose name is that of a file in another folder."""
    code = compile("def make():\n    return [bytearray(700) for _ in range(100)]\n", "/srv/other/dépôt;x.py", "exec")
    names = {}
    exec(code, names)  # noqa: S102
    return names["make"]()


def track_domain():
    api = ctypes.pythonapi
    track = getattr(api, "PyTraceMalloc_Track", None) or getattr(api, "_PyTraceMalloc_Track")
    track.argtypes = [ctypes.c_uint, ctypes.c_size_t, ctypes.c_size_t]
    for number in range(3):
        track(DOMAIN, 0x10000 + number * 0x1000, DOMAIN_BYTES)  # domain


def fill(options):
    KEPT.append(nodes())
    KEPT.append(blobs(BLOBS))
    KEPT.append(lists())
    KEPT.append(compiled())
    for depth in range(5):
        KEPT.append(through(depth, lambda: [bytearray(2000) for _ in range(50)]))  # through
    passing = bytearray(5 << 20)  # for the peak
    del passing
    if options.domain:
        track_domain()


def rows(snapshot, key):
    told = []
    for row in snapshot.statistics(key):
        frames = [[frame.filename, frame.lineno] for frame in row.traceback]
        if sys.version_info >= (3, 7):
            frames.reverse()  # most recent first, as 3.6 has it
        told.append({"frames": frames, "bytes": row.size, "count": row.count})
    return told


def tell_truth(path, still, live):
    current, peak = tracemalloc.get_traced_memory()
    snapshot = tracemalloc.take_snapshot()
    limit = tracemalloc.get_traceback_limit()
    truth = {"current": current, "peak": peak, "limit": limit, "own": tracemalloc.get_tracemalloc_memory()}
    for key in ("lineno", "filename", "traceback"):
        truth[key] = rows(snapshot, key)
    with open(path, "w", encoding="utf-8") as file:
        json.dump(truth, file)
    talk.say("ready", still=still, live=live, file=__file__, version=list(sys.version_info[:3]),
             lines={name: talk.marked(__file__, name) for name in MARKS})


def split(truth):
    """Both children are made by the same line, so that both allocate the same from there."""
    live, pids = os.getpid(), []
    for run in signal.pause, lambda: tell_truth(truth, pids[0], live):
        pid = os.fork()
        if pid == 0:
            LIBC.prctl(1, 9)  # PR_SET_PDEATHSIG, SIGKILL: ends with its parent
            run()
            os._exit(0)
        pids.append(pid)
    os.waitpid(pids[1], 0)


def grow(count):
    KEPT.append([bytearray(BLOB_BYTES) for _ in range(count)])  # grown
    return count * BLOB_BYTES


def churn():
    while True:
        passing = {number: str(number) for number in range(20000)}
        small = [bytearray(10) for _ in range(3000)]
        del passing, small


def serve():
    while True:
        words = talk.hear().split()
        if words[0] == "grow":
            talk.say("grow", bytes=grow(int(words[1])))
        if words[0] == "churn":
            for _ in range(2):
                threading.Thread(target=churn, daemon=True).start()
            talk.say("churn")
        if words[0] == "stop":
            tracemalloc.stop()
            talk.say("stop")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("truth")
    parser.add_argument("--frames", type=int, default=1)
    parser.add_argument("--domain", action="store_true")
    parser.add_argument("--off", action="store_true")
    options = parser.parse_args()
    if not options.off:
        tracemalloc.start(options.frames)
    fill(options)
    if options.off:
        talk.say("ready", still=os.getpid(), live=os.getpid())
    else:
        split(options.truth)
    serve()


if __name__ == "__main__":
    main()
