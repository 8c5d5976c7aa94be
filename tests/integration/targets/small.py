"""A process with a heap as small as an interpreter's is: what a check that walks over all of it once for
each object can be made with. Cycles, shared parts, closures, a generator and garbage among it.

    small.py
    <- {"event": "ready"}, then it waits for a line
"""
import gc
import os
import sys


class Node:
    def __init__(self, number):
        self.number, self.next, self.other = number, None, [number]


def ring(length, shared):
    nodes = [Node(number) for number in range(length)]
    for number, node in enumerate(nodes):
        node.next = nodes[number - 1]
        node.other.append(shared)
    return nodes[0]


def tree(depth):
    return {"left": tree(depth - 1), "right": tree(depth - 1), "depth": [depth]} if depth else (object(),)


def closures(count):
    kept = [bytes(50 + number) for number in range(count)]
    return [lambda number=number: kept[number] for number in range(count)]


def counting(rows):
    for row in rows:
        yield row


SHARED = {"shared": [str(number) for number in range(50)]}
RINGS = [ring(length, SHARED) for length in (1, 2, 3, 10, 50)]
TREE = tree(6)
CALLS = closures(40)
SUSPENDED = counting([[number] for number in range(20)])
next(SUSPENDED)
gc.collect()
gc.disable()
for length in (1, 2, 7):
    ring(length, SHARED)
os.write(1, b'{"event": "ready"}\n')
sys.stdin.readline()
