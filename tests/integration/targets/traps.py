"""Keeps small objects, and runs an int1 on "trap", itself or "in a thread" that begins for it: a debug exception that says no reason, as one of which a
hypervisor has lost it. Alone it would end by SIGTRAP."""
import ctypes
import mmap
import sys
import threading

import talk

INT1_AND_RETURN = b"\xf1\xc3"
KEPT = []


def keep():
    for number in range(200000):
        KEPT.append((number, str(number)))


code = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
code.write(INT1_AND_RETURN)
trap = ctypes.CFUNCTYPE(None)(ctypes.addressof(ctypes.c_char.from_buffer(code)))
talk.say("ready")
for line in sys.stdin:
    if "keep" in line:
        keep()
    elif "thread" in line:
        thread = threading.Thread(target=trap)
        thread.start()
        thread.join()
    else:
        trap()
    talk.say(line.strip())
