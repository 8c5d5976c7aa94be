"""Gives 64 MiB back and touches them anew, over and over: resident memory stays what it was.

On "refill" it does so for two seconds, and says how much was resident at most.
"""
import mmap
import os
import time

import talk

SIZE = 64 << 20
ONES = b"x" * (SIZE // mmap.PAGESIZE)


def fill(memory):
    memory[::mmap.PAGESIZE] = ONES  # touches


def main():
    memory = mmap.mmap(-1, SIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    fill(memory)
    talk.say("ready", pid=os.getpid())
    while True:
        command = talk.hear()
        end = time.monotonic() + 2
        while command == "refill" and time.monotonic() < end:
            memory.madvise(mmap.MADV_DONTNEED)
            fill(memory)
            time.sleep(0.03)
        talk.say(command)


if __name__ == "__main__":
    main()
