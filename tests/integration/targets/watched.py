"""Grows, and on "write" writes 5000 times to the address that it has said."""
import ctypes
import os
import threading
import time

import talk

KEPT = []


def grow():
    while True:
        KEPT.append([bytes(99) for _ in range(500)])
        time.sleep(0.01)


def main():
    word = ctypes.c_uint64()
    threading.Thread(target=grow, daemon=True).start()
    talk.say("ready", pid=os.getpid(), address=ctypes.addressof(word))
    while True:
        talk.expect("write")
        for number in range(5000):
            word.value = number
        talk.say("write")


if __name__ == "__main__":
    main()
