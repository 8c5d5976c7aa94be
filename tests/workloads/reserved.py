"""Memory reserved in one function and touched in another: the growth belongs to the second.

With numpy: np.empty here, a[:] = 1 there, and results that native code both reserves and touches.
Without it: anonymous mappings, private and shared, reserved here and filled there.
"""
import mmap
import truth

try:
    import numpy
except ImportError:
    numpy = None

ARRAYS, MAPS = [], []


def reserve_array(size):
    ARRAYS.append(numpy.empty(size, dtype=numpy.uint8))


def fill_array():
    ARRAYS[-1][:] = 1


def fill_half():
    """Touches the first half alone; the rest stays reserved."""
    array = ARRAYS[-1]
    array[:len(array) // 2].fill(2)


def sum_arrays(size):
    """The result is reserved and touched inside native code, on this line."""
    ARRAYS.append(numpy.arange(size // 8, dtype=numpy.uint64) + 1)


def reserve_private(size):
    MAPS.append(mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))


def reserve_shared(size):
    MAPS.append(mmap.mmap(-1, size, flags=mmap.MAP_SHARED | mmap.MAP_ANONYMOUS))


BLOCK = bytes(range(256)) * 256


def fill_private():
    chunk = MAPS[-1]
    for start in range(0, len(chunk), len(BLOCK)):
        end = min(start + len(BLOCK), len(chunk))
        chunk[start:end] = BLOCK[:end - start]


def fill_shared():
    chunk = MAPS[-1]
    for start in range(0, len(chunk), mmap.PAGESIZE):
        chunk[start] = 1


def fill_every_other():
    """Half of the pages, the other half stays reserved."""
    chunk = MAPS[-1]
    for start in range(0, len(chunk), 2 * mmap.PAGESIZE):
        chunk[start] = 1


def serve(meter, pace, rng):
    # Sizes from 256 KiB to 8 MiB: below and above the 4 MiB from which numpy asks for huge pages.
    ways = [(reserve_private, fill_private), (reserve_shared, fill_shared),
            (reserve_private, fill_every_other)]
    if numpy is not None:
        ways += [(reserve_array, fill_array)] * 3 + [(reserve_array, fill_half), (sum_arrays, None)]
    while pace.on():
        reserve, fill = rng.choice(ways)
        size = mmap.PAGESIZE * rng.randrange(64, 2048)
        grown = meter.step(reserve, size)
        if fill:
            grown += meter.step(fill)
        pace.add(grown)


if __name__ == "__main__":
    truth.run(truth.parser().parse_args(), serve)
