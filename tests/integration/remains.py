"""What a memspy that was killed could leave behind in the kernel: breakpoints of a thread, its debug registers,
programs that nobody holds. For root."""
import contextlib
import ctypes
import os
import pathlib
import struct

SLOTS = 4  # debug registers of x86 that hold an address
PERF_EVENT_OPEN, BPF = 298, 321
TYPE_BREAKPOINT, WRITES = 5, 2
DISABLED, OF_USER_MODE = 1, 1 << 5 | 1 << 6
BPF_PROG_GET_NEXT_ID, BPF_PROG_GET_FD_BY_ID, BPF_OBJ_GET_INFO_BY_FD = 11, 13, 15
PTRACE_PEEKUSER, PTRACE_DETACH, PTRACE_SEIZE, PTRACE_INTERRUPT = 3, 17, 0x4206, 0x4207
WALL = 0x40000000
DR7 = 848 + 7 * 8  # offsetof(struct user, u_debugreg[7])

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.syscall.restype = LIBC.ptrace.restype = ctypes.c_long
LIBC.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


def open_breakpoint(tid, address=0x10000, armed=False):
    """The descriptor of a watchpoint on a thread, or -1 where no slot is free."""
    flags = OF_USER_MODE | (0 if armed else DISABLED)
    attributes = struct.pack("<IIQQQQQIIQQ", TYPE_BREAKPOINT, 72, 0, 0, 0, 0, flags, 0, WRITES, address, 8)
    fd = LIBC.syscall(PERF_EVENT_OPEN, attributes, tid, -1, ctypes.c_long(-1), 8)  # 8: closed on exec
    if fd < 0 and ctypes.get_errno() != 28:  # ENOSPC
        raise OSError(ctypes.get_errno(), "perf_event_open")
    return fd


def read_count(fd):
    """How often an armed one was hit."""
    return struct.unpack("<Q", os.read(fd, 8))[0]


def free_slots(tid):
    """How many hardware breakpoints a thread has room for."""
    with contextlib.ExitStack() as opened:
        for number in range(SLOTS):
            fd = open_breakpoint(tid)
            if fd < 0:
                return number
            opened.callback(os.close, fd)
        return SLOTS


def debug_control(tid):
    """DR7 as a debugger would have set it. Stops the thread for that."""
    def ask(request, *arguments):
        ctypes.set_errno(0)
        answer = LIBC.ptrace(request, tid, *arguments)
        if ctypes.get_errno():
            raise OSError(ctypes.get_errno(), f"ptrace {request:#x}")
        return answer
    ask(PTRACE_SEIZE, None, None)
    ask(PTRACE_INTERRUPT, None, None)
    os.waitpid(tid, WALL)
    try:
        return ask(PTRACE_PEEKUSER, DR7, None)
    finally:
        ask(PTRACE_DETACH, None, None)


def _bpf(command, *fields):
    attributes = ctypes.create_string_buffer(struct.pack(f"<{len(fields)}I", *fields).ljust(128, b"\0"))
    return LIBC.syscall(BPF, command, attributes, 128), struct.unpack_from("<2I", attributes)


def _program_name(fd):
    room = ctypes.create_string_buffer(256)
    attributes = struct.pack("<IIQ", fd, 256, ctypes.addressof(room)).ljust(128, b"\0")
    if LIBC.syscall(BPF, BPF_OBJ_GET_INFO_BY_FD, attributes, 128) != 0:
        raise OSError(ctypes.get_errno(), "bpf: information")
    return room.raw[64:80].split(b"\0")[0].decode()


def programs(names):
    """Identities of the kernel's programs that have one of these names."""
    found, last = set(), 0
    while True:
        answer, (_, following) = _bpf(BPF_PROG_GET_NEXT_ID, last)
        if answer != 0:
            return found
        last = following
        fd, _ = _bpf(BPF_PROG_GET_FD_BY_ID, last)
        if fd < 0:
            continue  # gone meanwhile
        try:
            if _program_name(fd) in names:
                found.add(last)
        finally:
            os.close(fd)


def held_programs():
    """Those that some process has a descriptor of."""
    found = set()
    for path in pathlib.Path("/proc").glob("[0-9]*/fdinfo/*"):
        with contextlib.suppress(OSError):
            found.update(int(line.split()[1]) for line in path.read_text().splitlines() if line.startswith("prog_id:"))
    return found
