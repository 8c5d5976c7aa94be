"""Data received from a child and read from a file: the kernel touches the new pages, inside system
calls that the target made."""
import mmap
import os
import socket
import tempfile
import truth

FILE_SIZE = 8 << 20
KEPT = []


def recv_into_buffer(link):
    """bytearray() touches its own pages: all of this is one line's in the end, by two ways."""
    buffer = bytearray(256 << 10)
    view = memoryview(buffer)
    while view:
        view = view[link.recv_into(view):]
    KEPT.append(buffer)


def recv_into_map(link, size):
    """Fresh pages that nobody but the kernel touches."""
    fresh = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    view = memoryview(fresh)
    while view:
        view = view[link.recv_into(view):]
    KEPT.append(fresh)


def recv_pieces(link):
    for _ in range(8):
        KEPT.append(link.recv(65536))


def read_whole(file, size):
    KEPT.append(os.pread(file, size, 0))


def read_into_map(path, size):
    fresh = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with open(path, "rb", buffering=0) as file:
        file.readinto(memoryview(fresh))
    KEPT.append(fresh)


def map_file(path, size):
    """File-backed pages, touched one by one."""
    with open(path, "rb") as file:
        fresh = mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ)
    sum(fresh[::mmap.PAGESIZE])
    KEPT.append(fresh)


def start_sender():
    """A child that sends for as long as somebody reads."""
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    if os.fork() == 0:
        here.close()
        block = bytes(range(256)) * 1024
        try:
            while True:
                there.sendall(block)
        except OSError:
            os._exit(0)
    there.close()
    return here


def prepare(rng):
    handle, path = tempfile.mkstemp(prefix="memspy-workload-")
    block = bytes(rng.randrange(256) for _ in range(4096))
    for _ in range(FILE_SIZE // len(block)):
        os.write(handle, block)
    # Unlinked at once, and reached through its descriptor: nothing is left behind.
    os.unlink(path)
    return start_sender(), handle, "/proc/self/fd/%d" % handle


def serve(meter, pace, rng, prepared):
    link, file, path = prepared
    while pace.on():
        way = rng.randrange(6)
        size = mmap.PAGESIZE * rng.randrange(64, 1024)
        if way == 0:
            pace.add(meter.step(recv_into_buffer, link))
        elif way == 1:
            pace.add(meter.step(recv_into_map, link, size))
        elif way == 2:
            pace.add(meter.step(recv_pieces, link))
        elif way == 3:
            pace.add(meter.step(read_whole, file, size))
        elif way == 4:
            pace.add(meter.step(read_into_map, path, size))
        else:
            pace.add(meter.step(map_file, path, size // 4))


if __name__ == "__main__":
    truth.run(truth.parser().parse_args(), serve, prepare)
