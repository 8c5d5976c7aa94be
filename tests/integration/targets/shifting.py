"""A heap whose holes are filled again while RSS stays flat, so that it is easy to take one for the other. On "free lists":
keep() keeps tuples that the interpreter hands out of its list of free ones, which churn() has filled. On "burst": trickle()
keeps a little all the time, and burst() far more at once, in the middle. On "ages": early() keeps, and then late() does.
Says how many bytes of blocks each has kept."""
import sys
import time

import talk

KEPT = []
SEEN = []  # the collector looks at what refers to a list
HOLES = 150000


def make_holes(make):
    made = [make(number) for number in range(2 * HOLES)]
    made[::2] = [None] * HOLES
    return made


def block(thing):
    return (sys.getsizeof(thing) + 15) // 16 * 16


def row(number):
    return (number, SEEN, "row")


def build(count):
    return [row(number) for number in range(count)]


def drop(rows):
    rows.clear()


def churn():
    drop(build(30))


def keep():
    for number in range(20):
        KEPT.append(row(number))


def take(count):
    KEPT.extend([bytes(300) for _ in range(count)])


def trickle():
    take(5)


def burst():
    take(30000)


def early():
    take(5)


def late():
    take(5)


def spend(seconds, *steps):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for step in steps:
            step()
        time.sleep(0.002)


def counted(*parts):
    """Each part for some time; what it has kept."""
    kept = {}
    for name, part in parts:
        before = len(KEPT)
        part()
        kept[name] = kept.get(name, 0) + (len(KEPT) - before) * block(KEPT[-1])
    return kept


holes = make_holes(row if "free" in sys.argv[1] else lambda number: bytes(300))
talk.say("ready")
sys.stdin.readline()
if "free" in sys.argv[1]:
    kept = counted(("keep", lambda: spend(6, churn, keep)))
elif "burst" in sys.argv[1]:
    kept = counted(("trickle", lambda: spend(4, trickle)), ("burst", burst), ("trickle", lambda: spend(4, trickle)))
else:
    kept = counted(("early", lambda: spend(4, early)), ("late", lambda: spend(4, late)))
talk.say("done", kept=kept)
sys.stdin.readline()
