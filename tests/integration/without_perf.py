"""Becomes another program, for which perf_event_open(2) fails as on kernels that refuse it: with EACCES."""
import ctypes
import errno
import os
import struct
import sys

PERF_EVENT_OPEN = 298  # x86-64
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
LOAD_WORD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
RETURN_ERRNO, ALLOW = 0x00050000, 0x7FFF0000


def refuse_perf_events():
    steps = [(LOAD_WORD, 0, 0, 0),  # the number of the call
             (JUMP_IF_EQUAL, 0, 1, PERF_EVENT_OPEN),
             (RETURN, 0, 0, RETURN_ERRNO | errno.EACCES),
             (RETURN, 0, 0, ALLOW)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    program = struct.pack("HxxxxxxQ", len(steps), ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program, 0, 0):
        raise SystemExit(os.strerror(ctypes.get_errno()))


if __name__ == "__main__":
    refuse_perf_events()
    os.execv(sys.argv[1], sys.argv[1:])
