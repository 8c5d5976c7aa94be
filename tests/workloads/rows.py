"""Row-by-row dicts, 64 KiB buffers and 400-byte strings in the ratio 6:3:1, with a function that
makes and drops objects, and one that only computes, in between."""
import truth

STEP = 128 << 10  # bytes that a step keeps, roughly
ROWS, BUFFERS, STRINGS = [], [], []


def keep_rows():
    for number in range(STEP // 330):  # a dict of five with two objects of its own: about 330 bytes
        ROWS.append({"id": len(ROWS), "name": "row", "value": number * 1.5, "kind": None, "ok": True})


def keep_buffers():
    for _ in range(STEP >> 16):
        BUFFERS.append(bytearray(1 << 16))


def keep_strings():
    for number in range(STEP // 512):
        STRINGS.append("%0400d" % number)


def churn(count):
    """Everything made here is gone when it returns."""
    kept = []
    for number in range(count):
        kept.append([number, str(number)])
        if len(kept) > 300:
            del kept[:200]


def spin(count):
    total = 0
    for number in range(count):
        total += number * number
    return total


def serve(meter, pace, rng):
    kinds = [keep_rows] * 6 + [keep_buffers] * 3 + [keep_strings]
    while pace.on():
        pace.add(meter.step(rng.choice(kinds)))
        meter.step(churn, rng.randrange(500, 1500))
        spin(rng.randrange(500, 1500))


if __name__ == "__main__":
    truth.run(truth.parser().parse_args(), serve)
