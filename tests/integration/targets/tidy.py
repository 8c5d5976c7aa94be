"""Keeps 60 buffers that the C library maps one by one, for more than a tick, and ends: they are unmapped
before it exits."""
import time

KEPT = []


def keep():
    KEPT.append(bytearray(300000))


for _ in range(60):
    keep()
    time.sleep(0.02)
