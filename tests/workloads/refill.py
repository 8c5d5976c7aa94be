"""A heap that grows while RSS stays flat: blocks that were given back at random are taken again, and
kept, by several functions. Several of them share a size class with each other and with a function
that makes temporaries; one keeps in bursts; --fifo adds objects that live for a while, --threads
spreads the work over threads, --leak makes one function the only one that keeps, with so many
temporaries of the same size for each object that it keeps.

The truth is counted: each object that a function keeps is charged to it with the size of its block,
which is what sys.getsizeof() says, rounded up to 16 bytes. Nothing else of the window is kept, but
what the first runs of these functions leave in the interpreter.

Same protocol as truth.py. Runs on every interpreter from 3.6 on.
"""
import argparse
import collections
import os
import random
import sys
import threading
import time

import truth

CHUNK = 100  # objects between two looks at the clock


class Node(object):
    __slots__ = ("a", "b", "c", "d", "e", "f")


def block_bytes(thing):
    return (sys.getsizeof(thing) + 15) // 16 * 16


KEPT = {}


def shelf(name, room):
    KEPT[name] = [[None] * room, 0, 0]  # places, how many, bytes


def keep_rows(count):
    """336 bytes."""
    places, at, size = KEPT["keep_rows"]
    for i in range(at, at + count):
        places[i] = b"%0300d" % i
    KEPT["keep_rows"][1:] = [at + count, size + count * block_bytes(places[at])]


def keep_pages(count):
    """336 bytes, and temporaries of the same size in between."""
    places, at, size = KEPT["keep_pages"]
    for i in range(at, at + count):
        len(b"%0290d" % i), len(b"%0299d" % i), len(b"%0297d" % i)
        places[i] = b"%0296d" % i
    KEPT["keep_pages"][1:] = [at + count, size + count * block_bytes(places[at])]


def keep_burst(count):
    """336 bytes, all of a sudden."""
    places, at, size = KEPT["keep_burst"]
    for i in range(at, at + count):
        places[i] = b"%0301d" % i
    KEPT["keep_burst"][1:] = [at + count, size + count * block_bytes(places[at])]


def keep_nodes(count):
    """80 bytes, seen by the collector."""
    places, at, size = KEPT["keep_nodes"]
    for i in range(at, at + count):
        node = Node()
        node.a = node.b = None
        places[i] = node
    KEPT["keep_nodes"][1:] = [at + count, size + count * block_bytes(places[at])]


def keep_text(count):
    """80 bytes, not seen by the collector."""
    places, at, size = KEPT["keep_text"]
    for i in range(at, at + count):
        places[i] = "%031d" % i
    KEPT["keep_text"][1:] = [at + count, size + count * block_bytes(places[at])]


def churn(count):
    """Everything made here is gone when it returns; up to twenty live at a time."""
    for i in range(count // 20):
        rows = [b"%0300d" % k for k in range(10)]
        nodes = [Node() for _ in range(10)]
        del rows, nodes


FIFO = collections.deque()


def fifo_step(count):
    for i in range(count):
        FIFO.append(b"%0298d" % i)
        FIFO.popleft()


def leak_one(number, temporaries):
    """One that stays, among so many that do not."""
    for i in range(temporaries):
        handle(i)
    remember(number)


def handle(i):
    return len(b"%0300d" % i)


def remember(number):
    places, at, size = KEPT["remember"]
    places[at] = b"%0299d" % number
    KEPT["remember"][1:] = [at + 1, size + block_bytes(places[at])]


MIX = [(keep_rows, 35), (keep_pages, 25), (keep_nodes, 25), (keep_text, 15)]
BURSTS = 0.12  # of what is kept


def punch(options, rng):
    """Blocks of every size used here, and of each many given back, one here and one there."""
    room = int(options.rate * options.duration * 1.6) + 40000
    mixes = [lambda i: b"%0300d" % i, lambda i: Node(), lambda i: "%031d" % i]
    for make, share in zip(mixes, (0.8, 0.35, 0.3)):
        filled = [make(i) for i in range(int(room * share * 1.7))]
        order = list(range(len(filled)))
        rng.shuffle(order)
        for index in order[:int(room * share)]:
            filled[index] = None
        KEPT["old %d" % len(KEPT)] = filled
    for name in ["keep_rows", "keep_pages", "keep_burst", "keep_nodes", "keep_text", "remember"]:
        shelf(name, room)
    for _ in range(options.fifo):
        FIFO.append(b"%0298d" % 1)


def pick(rng):
    at = rng.random() * sum(weight for _, weight in MIX)
    for function, weight in MIX:
        at -= weight
        if at < 0:
            break
    return function


def serve(options, rng, lock, ends):
    """One thread's part, at its share of the rate."""
    start, kept, burst = time.monotonic(), 0, 0
    rate = options.rate / float(options.threads)
    while time.monotonic() < ends:
        with lock:
            if options.leak:
                leak_one(kept, options.leak)
                kept += 1
            else:
                count = rng.randrange(2, 30)
                pick(rng)(count)
                kept += count
                churn(rng.randrange(20, 200))
                if rng.random() < 0.02:
                    burst = max(20, int(BURSTS * count * 50 * rng.uniform(0.5, 1.5)))
                    keep_burst(burst)
                    kept += burst
                if options.fifo:
                    fifo_step(int(options.fifo * count / max(1.0, 1.3 * rate)) + 1)
        ahead = kept / rate - (time.monotonic() - start)
        if ahead > 0:
            time.sleep(min(ahead, 0.05))


def run(options):
    rng = random.Random(options.seed)
    punch(options, rng)
    lock = threading.Lock()
    leak, options.leak = options.leak, 0
    serve(options, rng, lock, time.monotonic() + 0.3)  # what first runs leave behind
    options.leak = leak
    if leak:
        leak_one(0, 3)
    truth.say("ready", pid=os.getpid())
    truth.expect("go")
    before = {name: entry[2] for name, entry in KEPT.items() if len(entry) == 3}
    meter = truth.Meter()
    rss = meter.rss()
    ends = time.monotonic() + options.duration
    cpu = time.process_time()
    workers = [threading.Thread(target=serve, args=(options, random.Random(options.seed + n), lock, ends))
               for n in range(1, options.threads)]
    for worker in workers:
        worker.start()
    serve(options, rng, lock, ends)
    for worker in workers:
        worker.join()
    cpu = time.process_time() - cpu
    after = {name: KEPT[name][2] - size for name, size in before.items()}
    rss_end = meter.rss()
    truth.say("done")
    truth.expect("truth")
    truth.say("truth", functions={name: size for name, size in after.items() if size},
              rss_start=rss, rss_end=rss_end, cpu_seconds=cpu, file=os.path.abspath(sys.argv[0]),
              churners=["churn", "fifo_step", "handle", "punch"], version=list(sys.version_info[:3]))
    while True:
        truth.hear()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--duration", type=float, default=20, help="seconds")
    parser.add_argument("--rate", type=float, default=4000, help="objects kept, a second")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--fifo", type=int, default=0, help="objects that live for about 1.3 s each")
    parser.add_argument("--leak", type=int, default=0, help="temporaries for each object that is kept")
    run(parser.parse_args())
