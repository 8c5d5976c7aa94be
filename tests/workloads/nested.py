"""Computes for ever, under three sorts in each other whose keys are Python functions: a native stack of some 40 frames."""


def compute(_):
    while True:
        for _ in range(1000):
            pass


print('{"event": "ready"}', flush=True)
sorted([1], key=lambda _: sorted([1], key=lambda _: sorted([1], key=compute)))
