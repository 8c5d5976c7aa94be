"""Arrays of numpy of every kind that has a rule: whole ones, views, of objects, of foreign memory.

    arrays.py
    <- {"event": "ready", "arrays": {name: id}, "referents": {name: [id…]}, "bytes": {name: of those that own their data}}
"""
import gc

import numpy
import talk


class Held:
    pass


OBJECTS = [Held() for _ in range(7)]
BACKING = bytearray(50000)
WHOLE = numpy.arange(100000, dtype=numpy.float64)
ARRAYS = {
    "whole": WHOLE, "view": WHOLE[10:20], "reshaped": WHOLE.reshape(100, 1000).T,
    "objects": numpy.array(OBJECTS, dtype=object), "square of objects": numpy.array(OBJECTS[:6], dtype=object).reshape(2, 3).copy(),
    "foreign": numpy.frombuffer(BACKING, dtype=numpy.uint8), "empty": numpy.empty((0, 5)),
    "number": numpy.array(3.5), "text": numpy.array(["some", "words of text"]),
}


def referents(name):
    """What it refers to, by its own interface: numpy tells the collector of nothing."""
    array = ARRAYS[name]
    found = [array.dtype] + ([] if array.base is None else [array.base])
    return found + (list(array.flat) if array.dtype == object else [])


def main():
    gc.collect()
    talk.say("ready", arrays={name: id(array) for name, array in ARRAYS.items()},
             referents={name: sorted({id(thing) for thing in referents(name)}) for name in ARRAYS},
             bytes={name: array.nbytes for name, array in ARRAYS.items() if array.flags.owndata})
    while True:
        talk.say(talk.hear())


if __name__ == "__main__":
    main()
