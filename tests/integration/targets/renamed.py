"""A master that forks a worker; each names itself, as setproctitle does."""
import ctypes
import os
import signal
import sys
import time

import talk

PR_SET_PDEATHSIG, PR_SET_NAME = 1, 15
LIBC = ctypes.CDLL(None)


def call_myself(name):
    LIBC.prctl(PR_SET_NAME, name.encode(), 0, 0, 0)


call_myself("master-one")
talk.say("ready", pid=os.getpid())
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        call_myself("worker-two")
        time.sleep(1000)
        os._exit(0)
    talk.say("forked", pid=child)
