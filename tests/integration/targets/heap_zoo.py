"""A process with every kind of object in its heap, that stands still to be looked at, beside one
that says the truth about it.

    heap_zoo.py TRUTH MALLOCSTATS [--sessions N] [--loops N]

Builds the heap, then forks twice from the same state: the first child waits in pause(2) and is what
memspy looks at; the second writes the truth about itself, object by object, to the file TRUTH, and
sys._debugmallocstats() to MALLOCSTATS. Both have the same objects at the same addresses; the one int
that only the second has is left out of its truth.

    <- {"event": "ready", "pid": PID of the child that stands still}
    -> inspect IN OUT     the second child says what is at the addresses in the file IN
    <- {"event": "inspect"}
"""
import argparse
import ctypes
import gc
import os
import signal
import sys
import traceback

import app
import heap_truth
import talk
import zoo_containers
import zoo_objects

ZOO = {}
LIBC = ctypes.CDLL(None)
MAKERS = [
    zoo_containers.dicts, zoo_containers.collections_of_dicts, zoo_containers.sequences,
    zoo_containers.sets, zoo_containers.deques, zoo_containers.buffers, zoo_containers.texts,
    zoo_containers.numbers, zoo_containers.iterators, zoo_objects.instances, zoo_objects.subclasses,
    zoo_objects.functions, zoo_objects.caches, zoo_objects.weak, zoo_objects.generators,
    zoo_objects.tasks, zoo_objects.exceptions, zoo_objects.library,
]


def fill_free_lists():
    """Dead objects that look alive: the interpreter keeps their memory for the next of their kind."""
    dead = [[float(n) for n in range(1000, 1200)], [(n, [n]) for n in range(200)],
            [{n: n} for n in range(200)], [zoo_objects.Plain(n) for n in range(200)],
            [slice(n, None) for n in range(10)], [app.make_handler(0) for _ in range(50)]]
    del dead[:]


def kinds_of():
    """"maker: name" -> the specimens under it, lists of specimens taken apart."""
    found = {"app: CACHE['k'].rows[3]": [app.CACHE["k"].rows[3]]}
    for maker, made in ZOO.items():
        for name, thing in made.items():
            found["%s: %s" % (maker, name)] = list(thing) if type(thing) is list and len(thing) < 40 else [thing]
    return found


def build(options):
    gc.collect()
    app.fill(options.sessions)
    for number, maker in enumerate(MAKERS):
        ZOO[maker.__name__] = maker()
        if number == 5:
            gc.collect(1)
    gc.collect()
    if hasattr(gc, "freeze"):
        gc.freeze()
    gc.disable()
    zoo_objects.garbage(options.loops)
    fill_free_lists()


def tell_truth(truth, still):
    """The second child, for the rest of its life. Whatever it makes belongs to `own` or comes after
    the walk; the walk keeps everything alive that was there when it began."""
    walk = heap_truth.take(truth, kinds_of, {id(still)})
    talk.say("ready", pid=still, version=list(sys.version_info[:3]), objects=len(walk.found))
    while True:
        words = talk.hear().split()
        if words[0] == "inspect":
            heap_truth.inspect(words[1], words[2])
        talk.say(words[0])


def split(truth, stats):
    stats = os.open(stats, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    error = os.dup(2)
    os.dup2(error, error)  # a function's first call makes the names of its arguments: in both, then
    still = os.fork()
    if still == 0:
        LIBC.prctl(1, 9)  # PR_SET_PDEATHSIG, SIGKILL: ends with its parent
        signal.pause()
    teller = os.fork()
    if teller == 0:
        LIBC.prctl(1, 9)
        os.dup2(stats, 2)
        sys._debugmallocstats()
        os.dup2(error, 2)
        try:
            tell_truth(truth, still)
        except BaseException:  # noqa: B902
            traceback.print_exc()
        os._exit(1)
    os.close(0)
    _, how = os.waitpid(teller, 0)
    os.kill(still, signal.SIGKILL)
    os._exit(0 if how == 0 else 1)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("truth")
    parser.add_argument("stats")
    parser.add_argument("--sessions", type=int, default=2000)
    parser.add_argument("--loops", type=int, default=300)
    options = parser.parse_args()
    build(options)
    split(options.truth, options.stats)


if __name__ == "__main__":
    main()
