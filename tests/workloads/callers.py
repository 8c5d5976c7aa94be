"""Handlers that keep what the same helpers make for them, in any order: a line is right only with its callers.

Helpers are called directly, one through another, from a generator and from a coroutine that is awaited.
"""
import json
import truth

ROWS = 400
BODY = json.dumps([{"id": number, "name": "row %d" % number, "value": number * 1.5} for number in range(ROWS)])
KEPT = []


def parse(body):
    return json.loads(body)


def copy_rows(rows):
    return [dict(row) for row in rows]


def load():
    return copy_rows(parse(BODY))


def each_row():
    for row in parse(BODY):
        yield dict(row)


async def fetch():
    return load()


def index():
    KEPT.append(load())


def search():
    KEPT.append(copy_rows(parse(BODY)))


def export():
    KEPT.append(list(each_row()))


async def answer():
    KEPT.append(await fetch())


def subscribe():
    try:
        answer().send(None)
    except StopIteration:
        pass


def serve(meter, pace, rng):
    kinds = [index] * 8 + [search] * 4 + [export] * 2 + [subscribe] * 2
    while pace.on():
        pace.add(meter.step(rng.choice(kinds)))


if __name__ == "__main__":
    truth.run(truth.parser().parse_args(), serve)
