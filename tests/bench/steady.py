"""A steady service: 100 threads, most of which wait, a few that answer requests and let a cache grow
slowly.

    steady.py [--threads N] [--mbps N]
"""
import argparse
import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "workloads"))

import truth  # noqa: E402

CACHE = {}


def render(number):
    return "".join("<p>%d</p>" % each for each in range(number % 50 + 50))


def remember(key, page):
    CACHE[key] = page * 4


def handle(number, name):
    page = render(number)
    remember((name, number), page)
    return page


def serve(name, pause):
    number = 0
    while True:
        handle(number, name)
        number += 1
        time.sleep(pause)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=100)
    parser.add_argument("--mbps", type=float, default=1)
    options = parser.parse_args()
    workers = 8
    pause = workers * 0.0032 / options.mbps  # a page kept is about 3.2 kB
    for number in range(options.threads - 1):
        if number < workers:
            body = lambda name=number: serve(name, pause)  # noqa: E731
        else:
            body = threading.Event().wait
        threading.Thread(target=body, daemon=True).start()
    truth.say("ready", pid=os.getpid())
    while True:
        truth.hear()


if __name__ == "__main__":
    main()
