"""A server with a thread for each request, on a heap full of holes: each keeps a few blocks in them, and
throws others of their size away. Runs on every interpreter from 3.6 on."""
import os
import random
import sys
import threading
import time

import talk

BLOCKS, REQUESTS, KEPT = 60000, 500, 25
CACHE = {}


def remember(number):
    CACHE[number] = b"%0299d" % number


def handle(request):
    for number in range(50):
        len(b"%0298d" % number)
    for number in range(KEPT):
        remember(request * KEPT + number)


def main():
    filled = [b"%0299d" % number for number in range(BLOCKS)]
    order = list(range(BLOCKS))
    random.Random(1).shuffle(order)
    for index in order[:BLOCKS // 2]:
        filled[index] = None
    CACHE.update((number, None) for number in range(REQUESTS * KEPT))  # it has every key
    talk.say("ready", pid=os.getpid())
    talk.expect("go")
    for request in range(REQUESTS):
        thread = threading.Thread(target=handle, args=(request,))
        thread.start()
        thread.join()
        time.sleep(0.008)
    size = (sys.getsizeof(b"%0299d" % 0) + 15) // 16 * 16
    talk.say("done", kept=REQUESTS * KEPT * size)
    talk.hear()


if __name__ == "__main__":
    main()
