"""Calls `keep` of a library for each line of input: what it keeps is touched in C."""
import ctypes
import sys

import talk

library = ctypes.CDLL(sys.argv[1])
talk.say("ready")
for line in sys.stdin:
    library.keep(20 << 20)
    talk.say("kept")
