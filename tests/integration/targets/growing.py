"""Grows on one line, for some seconds, with a thread that computes and one that waits beside it.

    growing.py [--mb N] [--mbps N] [--idle N] [--alone] [--exit CODE] [--thread-each]
"""
import argparse
import os
import threading
import time

import talk

CACHE = []


def handle_request(number):
    text = str(number) * 10
    remember(text)
    return text


def remember(text):
    CACHE.append(bytearray(50000))  # grows


def compute():
    while not STOP.is_set():
        sum(number * number for number in range(200))
        STOP.wait(0.001)


def in_a_thread(number):
    """As a server does that starts one for each request."""
    thread = threading.Thread(target=handle_request, args=(number,))
    thread.start()
    thread.join()


def grow(megabytes, rate, handle=handle_request):
    start = time.monotonic()
    for number in range(int(megabytes * 20)):  # 50 kB each
        handle(number)
        ahead = number / 20.0 / rate - (time.monotonic() - start)
        if ahead > 0:
            time.sleep(ahead)


STOP = threading.Event()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--mb", type=float, default=60)
    parser.add_argument("--mbps", type=float, default=30)
    parser.add_argument("--idle", type=int, default=1, help="threads that wait")
    parser.add_argument("--alone", action="store_true")
    parser.add_argument("--exit", type=int, default=0)
    parser.add_argument("--thread-each", action="store_true", help="a thread for each 50 kB")
    options = parser.parse_args()
    threading.Thread(target=compute, name="compute", daemon=True).start()
    for _ in range(options.idle):
        threading.Thread(target=STOP.wait, name="waits", daemon=True).start()
    meter = talk.Meter()
    if options.alone:
        grow(options.mb, options.mbps)
        STOP.set()
        raise SystemExit(options.exit)
    talk.say("ready", pid=os.getpid(), line=talk.marked(__file__, "grows"), function="remember",
             file=os.path.basename(__file__))
    while True:
        command = talk.hear()
        if command == "grow":
            before = meter.rss()
            grow(options.mb, options.mbps, in_a_thread if options.thread_each else handle_request)
            talk.say("grow", grown=meter.rss() - before)
        elif command == "forget":
            before = meter.rss()
            del CACHE[:]
            talk.say("forget", shrunk=before - meter.rss())
        elif command == "ping":
            talk.say("ping", pid=os.getpid(), rss=meter.rss())
        elif command == "exit":
            raise SystemExit(options.exit)
        else:
            raise SystemExit("what is %r?" % command)


if __name__ == "__main__":
    main()
