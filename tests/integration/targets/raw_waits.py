"""Waits in the kernel without the interpreter's help: libc through ctypes, where PEP 475 does not
hide an interrupted call. Each call counts what a C extension with its own loop would suffer from:
EINTR, and a return before the time is over."""
import ctypes
import errno
import os
import signal
import socket
import struct
import threading
import time

LIBC = ctypes.CDLL(None, use_errno=True)
WAIT = 0.03  # seconds


class Timespec(ctypes.Structure):
    _fields_ = [("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long)]


class Sembuf(ctypes.Structure):
    _fields_ = [("number", ctypes.c_ushort), ("op", ctypes.c_short), ("flags", ctypes.c_short)]


SPAN = Timespec(0, int(WAIT * 1e9))


def make_nanosleep():
    return lambda: LIBC.nanosleep(ctypes.byref(SPAN), None), {0: 0}


def make_clock_nanosleep():
    # Returns the error instead of setting errno.
    return lambda: -LIBC.clock_nanosleep(1, 0, ctypes.byref(SPAN), None), {0: 0}


def make_epoll_wait():
    handle = LIBC.epoll_create1(0)
    events = ctypes.create_string_buffer(12 * 4)
    return lambda: LIBC.epoll_wait(handle, events, 4, int(WAIT * 1000)), {0: 0}


def make_poll():
    reader, writer = os.pipe()
    handles = struct.pack("ihh", reader, 1, 0)
    return lambda: (LIBC.poll(ctypes.create_string_buffer(handles), 1, int(WAIT * 1000)), writer)[0], {0: 0}


def make_recv():
    here, there = socket.socketpair()
    here.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, int(WAIT * 1e6)))
    buffer = ctypes.create_string_buffer(64)
    keep = there
    return lambda: (LIBC.recv(here.fileno(), buffer, 64, 0), keep)[0], {-1: errno.EAGAIN}


def make_semtimedop():
    handle = LIBC.semget(0, 1, 0o1600)  # IPC_PRIVATE, IPC_CREAT
    if handle < 0:
        return None
    threading.current_thread().semaphore = handle
    operation = Sembuf(0, -1, 0)
    return (lambda: LIBC.semtimedop(handle, ctypes.byref(operation), 1, ctypes.byref(SPAN)),
            {-1: errno.EAGAIN})


MAKERS = {"nanosleep": make_nanosleep, "clock_nanosleep": make_clock_nanosleep,
          "epoll_wait": make_epoll_wait, "poll": make_poll, "recv": make_recv,
          "semtimedop": make_semtimedop}


class Waiter:
    """Repeats one call until told to stop, and counts how it ended."""

    def __init__(self, name):
        self.name = name
        self.calls = self.interrupted = self.early = 0
        self.strange = []

    def run(self, stop):
        # The end of a child while another thread forks is told to whichever thread had the last signal
        # of the process (the kernel's curr_target); a stop of all the others makes it this one for good.
        # That EINTR is the process' own.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
        made = MAKERS[self.name]()
        if made is None:
            self.calls = -1  # not available here
            return
        call, normal = made
        try:
            while not stop.is_set():
                self.once(call, normal)
        finally:
            handle = getattr(threading.current_thread(), "semaphore", None)
            if handle is not None:
                LIBC.semctl(handle, 0, 0)  # IPC_RMID

    def once(self, call, normal):
        begin = time.monotonic()
        result = call()
        error = ctypes.get_errno()
        taken = time.monotonic() - begin
        if self.name == "clock_nanosleep" and result < 0:
            result, error = -1, -result
        self.calls += 1
        if result == -1 and error == errno.EINTR:
            self.interrupted += 1
        elif result not in normal or (result == -1 and error != normal[result]):
            self.strange.append([result, error])
        # The kernel's clocks for SO_RCVTIMEO and semtimedop tick in jiffies.
        elif taken < WAIT - (0.011 if self.name in ("recv", "semtimedop") else 0.0005):
            self.early += 1
