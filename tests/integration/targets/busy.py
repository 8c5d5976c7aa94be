"""A process that does everything at once, and counts what went well and what did not: allocates,
computes, forks, runs commands, starts and ends threads, waits in system calls, handles signals.

    busy.py [--urg]     with a handler of its own for SIGURG
            [--trace]   with tracemalloc on

On "ping" it answers with its counters. Every one in "progress" must go on rising; every one in
"harm" must be 0 for ever.
"""
import argparse
import os
import signal
import subprocess
import threading
import time
import tracemalloc

import raw_waits
import talk

PROGRESS = {}
SENT = {"USR1": 0, "URG": 0}
HANDLED = {"USR1": 0, "URG": 0}
STRANGE = []
STOP = threading.Event()
WAITERS = [raw_waits.Waiter(name) for name in raw_waits.MAKERS]


def repeat(name, function, pause):
    """Does it until the end, and counts it."""
    def body():
        while not STOP.is_set():
            function()
            PROGRESS[name] = PROGRESS.get(name, 0) + 1
            if pause:
                time.sleep(pause)
    return body


def allocate():
    kept = [bytearray(20000) for _ in range(200)]
    kept.append({number: str(number) for number in range(5000)})


def compute():
    sum(number * number for number in range(20000))


def fork():
    child = os.fork()
    if child == 0:
        os._exit(7)
    _, how = os.waitpid(child, 0)
    if how != 7 << 8:
        STRANGE.append("fork: status %d" % how)


def run_command():
    begin = time.monotonic()
    code = subprocess.call(["/bin/sh", "-c", "exit 3"])
    if code != 3:
        STRANGE.append("command: exit %d" % code)
    if time.monotonic() - begin > 20:
        STRANGE.append("command: took %.1f s" % (time.monotonic() - begin))


def thread_churn():
    threads = [threading.Thread(target=compute) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def signal_main(name, number):
    """One at a time: the next is sent when the last was handled, so that none can coalesce."""
    def send():
        SENT[name] += 1
        signal.pthread_kill(threading.main_thread().ident, number)
        end = time.monotonic() + 20
        while HANDLED[name] < SENT[name]:
            if time.monotonic() > end:
                STRANGE.append("%s: sent %d, handled %d" % (name, SENT[name], HANDLED[name]))
                return
            time.sleep(0.001)
    return send


def handler(name):
    def handle(number, frame):
        HANDLED[name] += 1
    return handle


def in_thread(function, own_signals):
    def body():
        # What this process sends to itself is for the main thread alone.
        signal.pthread_sigmask(signal.SIG_BLOCK, own_signals)
        function()
    threading.Thread(target=body, daemon=True).start()


def answer():
    progress = dict(PROGRESS)
    for waiter in WAITERS:
        if waiter.calls >= 0:
            progress[waiter.name] = waiter.calls
    harm = {"interrupted " + waiter.name: waiter.interrupted for waiter in WAITERS}
    harm.update({"early " + waiter.name: waiter.early for waiter in WAITERS})
    harm.update({"strange " + waiter.name: len(waiter.strange) for waiter in WAITERS})
    # A signal may be on its way: sent and not yet handled is one at most, the other way is never.
    harm.update({"signals " + name: 0 if 0 <= SENT[name] - HANDLED[name] <= 1 else
                 SENT[name] - HANDLED[name] for name in SENT})
    talk.say("ping", progress=progress, harm=harm,
             strange=STRANGE + [waiter.strange for waiter in WAITERS if waiter.strange])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--urg", action="store_true")
    parser.add_argument("--trace", action="store_true")
    options = parser.parse_args()
    if options.trace:
        tracemalloc.start(5)
    own = {signal.SIGUSR1}
    signal.signal(signal.SIGUSR1, handler("USR1"))
    if options.urg:
        own.add(signal.SIGURG)
        signal.signal(signal.SIGURG, handler("URG"))
    work = [("allocate", allocate, 0.005), ("compute", compute, 0.002), ("fork", fork, 0.02),
            ("command", run_command, 0.02), ("threads", thread_churn, 0.01),
            ("USR1", signal_main("USR1", signal.SIGUSR1), 0.01)]
    if options.urg:
        work.append(("URG", signal_main("URG", signal.SIGURG), 0.01))
    for name, function, pause in work:
        PROGRESS[name] = 0
        in_thread(repeat(name, function, pause), own)
    for waiter in WAITERS:
        in_thread(lambda waiter=waiter: waiter.run(STOP), own)
    talk.say("ready", pid=os.getpid())
    while True:
        talk.expect("ping")
        answer()


if __name__ == "__main__":
    main()
