"""A service with a thread for each request: each has a buffer that it gives back, and leaves a little.
Runs on every interpreter from 3.6 on."""
import mmap
import os
import threading
import time

import talk

REQUESTS, BUFFER = 120, 2 << 20
KEPT = 256 << 10
ONES = b"1" * BUFFER
CACHE = []


def given_back():
    """To the kernel: what the C library keeps would be filled by others without a fault."""
    with mmap.mmap(-1, BUFFER) as buffer:
        buffer[:] = ONES


def kept():
    CACHE.append(bytearray(KEPT))


def request():
    given_back()
    kept()


def main():
    meter = talk.Meter()
    talk.say("ready", pid=os.getpid(), buffer=BUFFER, kept=REQUESTS * KEPT)
    while True:
        command = talk.hear()
        if command == "exit":
            raise SystemExit
        before = meter.rss()
        for _ in range(REQUESTS):
            thread = threading.Thread(target=request)
            thread.start()
            thread.join()
            time.sleep(0.02)
        talk.say(command, grown=meter.rss() - before)


if __name__ == "__main__":
    main()
