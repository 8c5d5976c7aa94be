"""Many threads: four keep memory at different rates, some make and drop objects, fifty wait.

Steps of all threads exclude each other: statm speaks for the whole process, and the truth of a step
would hold its neighbours' growth too.
"""
import threading
import truth

IDLE, CHURNERS = 50, 4
KEPT = {}
TURN = threading.Lock()


def keep_dicts():
    KEPT.setdefault("dicts", []).extend({"number": number, "text": "%020d" % number}
                                        for number in range(1200))


def keep_bytes():
    kept = KEPT.setdefault("bytes", [])
    for _ in range(16):
        kept.append(bytes(20000))
        kept.append(bytearray(4000))


def keep_lists():
    kept = KEPT.setdefault("lists", [])
    for number in range(40):
        kept.append([number] * 500)


def keep_tuples():
    kept = KEPT.setdefault("tuples", [])
    for number in range(1000):
        kept.append((number, str(number), number + 0.5))


def churn():
    for number in range(200):
        text = "%d" % number * 10
        text.split("1")


# A function, and its share of the rate.
KEEPERS = [(keep_dicts, 0.5), (keep_bytes, 0.3), (keep_lists, 0.15), (keep_tuples, 0.05)]


def serve(meter, pace, rng, started):
    started["go"].set()
    for thread in started["keepers"]:
        thread.join()
    started["end"].set()
    for thread in started["churners"]:
        thread.join()


def prepare_with(options):
    def prepare(rng):
        # Every thread exists before the window begins: stacks are not part of it.
        started = {"go": threading.Event(), "end": threading.Event(), "keepers": [], "churners": []}

        def keeper(function, share):
            started["go"].wait()
            meter, all_keepers = started["meter"], started["pace"]
            own = truth.Pace(options, share * (0.8 + 0.4 * rng.random()))
            while all_keepers.on():
                with TURN:
                    grown = meter.step(function)
                    all_keepers.grown += grown
                own.add(grown)

        def churner():
            started["go"].wait()
            while not started["end"].wait(0.002):
                with TURN:
                    started["meter"].step(churn)

        def start(function, *arguments):
            thread = threading.Thread(target=function, args=arguments, daemon=True)
            thread.start()
            return thread

        for function, share in KEEPERS:
            started["keepers"].append(start(keeper, function, share))
        for _ in range(CHURNERS):
            started["churners"].append(start(churner))
        for _ in range(IDLE):
            start(threading.Event().wait)
        return started
    return prepare


def main():
    options = truth.parser().parse_args()

    def body(meter, pace, rng, started):
        started["meter"], started["pace"] = meter, pace
        serve(meter, pace, rng, started)

    truth.run(options, body, prepare_with(options))


if __name__ == "__main__":
    main()
