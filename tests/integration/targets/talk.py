"""How a target talks with the test that started it (see truth.py), and a few things that every
target needs. Runs on every interpreter from 3.6 on."""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(HERE)), "workloads"))

from truth import Meter, PAGE, expect, hear, say  # noqa: E402,F401


def marked(filename, mark):
    """The number of the line of a source file that ends in `# mark`."""
    with open(filename) as file:
        found = [number for number, line in enumerate(file, 1) if line.rstrip().endswith("# " + mark)]
    if len(found) != 1:
        raise SystemExit("%r marks %d lines of %s" % (mark, len(found), filename))
    return found[0]


def tid():
    """The kernel's id of this thread."""
    import threading
    if hasattr(threading, "get_native_id"):
        return threading.get_native_id()
    import ctypes
    return ctypes.CDLL(None).syscall(186)  # gettid, x86-64
