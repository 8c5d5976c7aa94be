"""Threads parked in stacks of every shape, and what the interpreter itself says about them.

    stacks.py [--spin]   with a thread that computes without end, and so holds the GIL
"""
import argparse
import asyncio
import os
import sys
import threading

import talk

PARKED = []      # (thread, its tid)
RELEASE = threading.Event()
ARRIVED = threading.Semaphore(0)
TIDS = {}


def park():
    """Where every thread ends up. The lock is the kernel's: nothing runs after ARRIVED."""
    lock = threading.Lock()
    lock.acquire()
    TIDS[threading.get_ident()] = talk.tid()
    ARRIVED.release()
    lock.acquire()


def recurse(depth):
    if depth == 0:
        park()
    else:
        recurse(depth - 1)


class Account:
    def settle(self):
        self.close(
            reason="over several",
            lines=3)

    def close(self, reason, lines):
        def inner():
            return park()
        return inner()

    @classmethod
    def of_class(cls):
        park()

    @property
    def balance(self):
        return park()


def generate():
    yield 1
    park()
    yield 2


def delegate():
    yield from generate()


async def leaf():
    park()


async def middle():
    await asyncio.sleep(0)
    await leaf()


def run_loop():
    loop = asyncio.new_event_loop()
    loop.run_until_complete(middle())


def through_c():
    """Python, C, Python again: sorted() calls back."""
    sorted([2, 1], key=lambda value: park())


def comprehend():
    return [park() for _ in range(1)]


def from_string():
    exec(compile("def made():\n\n    park()\nmade()\n", "<made up>", "exec"), {"park": park})


def in_class_body():
    class Body:
        value = park()
    return Body


def far_down():
    """A line number that does not fit one byte's step, in a function of many lines."""
    namespace = {"park": park}
    exec(compile("def far():\n" + "    x = 1\n" * 700 + "    park()\n", "far.py", "exec"), namespace)
    namespace["far"]()


def handling():
    try:
        raise ValueError("on purpose")
    except ValueError:
        try:
            raise KeyError("again")
        finally:
            park()


def spin():
    number = 0
    while True:
        number += 1


SHAPES = [
    ("recursion", lambda: recurse(40)), ("method", Account().settle), ("class", Account.of_class),
    ("property", lambda: Account().balance), ("generator", lambda: list(delegate())),
    ("coroutine", run_loop), ("callback", through_c), ("comprehension", comprehend),
    ("string", from_string), ("class body", in_class_body), ("far", far_down),
    ("exception", handling), ("na\u00efve \u2603 \U0001f40d", park),
]


def frames_of(frame):
    """Innermost first, as memspy prints them."""
    found = []
    while frame is not None:
        code = frame.f_code
        found.append({"function": getattr(code, "co_qualname", code.co_name),
                      "file": code.co_filename, "line": frame.f_lineno})
        frame = frame.f_back
    return found


def look():
    """All threads as sys._current_frames() shows them; this one as it will be in wait()."""
    frames = sys._current_frames()
    threads = []
    for thread in threading.enumerate():
        if thread is threading.current_thread():
            continue
        threads.append({"name": thread.name, "tid": TIDS[thread.ident],
                        "frames": frames_of(frames[thread.ident])})
    return threads


def wait(with_spinner):
    """The main thread's stack while memspy looks: this function, at the marked line."""
    threads = look()
    own = frames_of(sys._getframe())
    own[0]["line"] = talk.marked(__file__, "waits here")
    threads.append({"name": threading.current_thread().name, "tid": talk.tid(), "frames": own})
    if with_spinner:  # last: from now on this thread has to fight for the GIL
        threading.Thread(target=start_spinning, name="spin", daemon=True).start()
        ARRIVED.acquire()
    first = spin.__code__.co_firstlineno
    talk.say("ready", pid=os.getpid(), threads=threads, spinner=TIDS.get("spin"),
             spin_lines=[first, first + 3], version=list(sys.version_info[:3]))
    os.read(0, 1)  # waits here


def start_spinning():
    TIDS["spin"] = talk.tid()
    ARRIVED.release()
    spin()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--spin", action="store_true")
    options = parser.parse_args()
    for name, function in SHAPES:
        threading.Thread(target=function, name=name, daemon=True).start()
    for _ in SHAPES:
        ARRIVED.acquire()
    # A thread that has announced itself still has one call to go; it holds still when its state does.
    for thread_id in list(TIDS.values()):
        until_asleep(thread_id)
    wait(options.spin)


def until_asleep(thread_id):
    """Until the thread has slept without being scheduled between two looks."""
    seen = None
    while True:
        with open("/proc/self/task/%d/status" % thread_id) as file:
            said = dict(line.split(":", 1) for line in file if ":" in line)
        now = said["State"].split()[0], said["voluntary_ctxt_switches"].strip()
        if now[0] == "S" and now == seen:
            return
        seen = now
        os.sched_yield()


if __name__ == "__main__":
    main()
