"""Containers and plain data in every state that has a layout of its own. Each function returns a
dict of named specimens; the zoo keeps them, so names of dicts become edges that a test can name."""
import array
import collections
import ctypes
import itertools
import operator
import sys
import types


def dicts():
    deleted = {"key %d" % number: number for number in range(100)}
    for number in range(0, 100, 3):
        del deleted["key %d" % number]
    turned = {"only": 1, "strings": 2}
    turned[3] = "not any more"
    cleared = {"a": 1}
    cleared.clear()
    hollow = {number: None for number in range(5000)}
    for number in range(4990):
        del hollow[number]
    made = {
        "empty": {}, "unicode": {"a": [1], "b": [2]}, "general": {1: [1], (2, 3): [2], None: 3},
        "mixed": {"a": 1, 2: [2]}, "deleted": deleted, "turned": turned, "cleared": cleared,
        "hollow": hollow, "byte indices": {"n%d" % n: n for n in range(120)},
        "short indices": {"n%d" % n: str(n) for n in range(3000)},
        "long indices": {n: None for n in range(45000)},
        "copied": deleted.copy(), "from keys": dict.fromkeys("abcdef", ["shared"]),
        "nested": {"in": {"in": {"in": []}}}, "non-ascii": {"\xe4": 1, "\u20ac": 2, "\U0001f40d": 3},
        "str subclass key": {type("Str", (str,), {})("key"): 1}, "itself": {},
    }
    made["itself"]["me"] = made["itself"]
    made["proxy"] = types.MappingProxyType({"seen": "through a proxy"})
    made["views"] = [deleted.keys(), deleted.values(), deleted.items(), iter(deleted),
                     iter(deleted.values()), iter(deleted.items())]
    if hasattr(dict, "__reversed__"):
        made["reversed"] = [reversed(deleted), reversed(deleted.values()), reversed(deleted.items())]
    if "frozendict" in dir(__builtins__) or hasattr(__import__("builtins"), "frozendict"):
        made["frozendict"] = __import__("builtins").frozendict(a=[1], b=2)
    return made


def collections_of_dicts():
    ordered = collections.OrderedDict((str(n), [n]) for n in range(50))
    for number in range(0, 50, 4):
        del ordered[str(number)]
    ordered.move_to_end("1")
    with_attributes = collections.OrderedDict(a=1)
    with_attributes.note = ["an attribute"]
    default = collections.defaultdict(list)
    default["a"].append(1)
    chain = collections.ChainMap({"a": 1}, default)
    return {"ordered": ordered, "ordered empty": collections.OrderedDict(),
            "ordered with attributes": with_attributes, "ordered iterator": iter(ordered),
            "ordered views": [ordered.keys(), ordered.items()],
            "counter": collections.Counter("a counter of characters"), "default": default,
            "default without factory": collections.defaultdict(None, {"x": [1]}),
            "default of a lambda": collections.defaultdict(lambda: default, {1: [2]}), "chain": chain,
            "user": collections.UserDict(a=[1])}


def sequences():
    appended = []
    for number in range(1000):
        appended.append(number * 1.5)
    popped = list(range(100, 200))
    del popped[5:]
    emptied = [1, 2, 3]
    emptied.clear()
    recursive = [1]
    recursive.append(recursive)
    named = collections.namedtuple("Named", "left right")
    return {"list": [1, "two", [3]], "empty": [], "appended": appended, "popped": popped,
            "emptied": emptied, "of zeros": [0] * 3000, "recursive": recursive,
            "tuple": (1, "two", [3]), "tuple of atoms": tuple([1000001, "atom", 2.5]),
            "long tuple": tuple(str(n) for n in range(500)), "tuple of one": ([],),
            "nested tuple": ((((),),),), "named": [named(n, [n]) for n in range(10)],
            "struct sequence": sys.flags, "range": range(10 ** 6, 10 ** 7, 3),
            "slice": slice([1], None, "step"), "user": collections.UserList([1, [2]])}


def sets():
    dummies = set(range(1000, 1200))
    for number in range(1000, 1150):
        dummies.discard(number)
    emptied = set(range(5000))
    emptied.clear()
    return {"empty": set(), "small": {1, "two", (3,)}, "large": {str(n) for n in range(5000)},
            "dummies": dummies, "emptied": emptied, "frozen": frozenset(["a", (1, 2)]),
            "frozen large": frozenset(range(10 ** 6, 10 ** 6 + 500)), "iterator": iter(dummies)}


def deques():
    moved = collections.deque(range(500, 900))
    for _ in range(150):
        moved.popleft()
    bounded = collections.deque(([n] for n in range(100)), maxlen=70)
    rotated = collections.deque("rotated round and round")
    rotated.rotate(7)
    return {"empty": collections.deque(), "one": collections.deque([[1]]), "moved": moved,
            "bounded": bounded, "rotated": rotated,
            "iterators": [iter(moved), reversed(moved)]}


def buffers():
    over = bytearray()
    for number in range(3000):
        over.append(number % 256)
    trimmed = bytearray(10000)
    del trimmed[:4000]
    numbers = array.array("d", range(1000))
    grown = array.array("i")
    for number in range(77):
        grown.append(number)
    source = b"the bytes below a memoryview" * 20
    view = memoryview(source)
    made = {"empty": bytearray(), "over-allocated": over, "trimmed": trimmed,
            "exact": bytearray(b"exact"), "array": numbers, "array grown": grown,
            "array empty": array.array("b"), "bytes": [b"", b"x", b"some bytes", bytes(100000)],
            "views": [view, view[5:50], view.cast("B", shape=[len(source)]), memoryview(trimmed),
                      memoryview(numbers), memoryview(numbers)[::2]],
            "large": bytes(3 << 20)}
    released = memoryview(b"released")
    released.release()
    made["released"] = released
    return made


def texts():
    api = ctypes.pythonapi
    api.PyUnicode_AsUTF8.restype = ctypes.c_char_p
    api.PyUnicode_AsUTF8.argtypes = [ctypes.py_object]
    made = {"ascii": "plain text %d" % 1, "latin": "caf\xe9 %d" % 2, "two bytes": "10 \u20ac %d" % 3,
            "four bytes": "\U0001f40d %d" % 4, "long": "x" * 100000, "empty": "",
            "interned": sys.intern("interned at run time %d" % 5),
            "interned long": sys.intern("an interned string " * 100)}
    for name in ("latin", "two bytes", "four bytes"):
        cached = made[name] + " with its utf-8"
        api.PyUnicode_AsUTF8(cached)
        made[name + " with utf-8"] = cached
    if sys.version_info < (3, 12):
        api.PyUnicode_AsUnicode.restype = ctypes.c_void_p
        api.PyUnicode_AsUnicode.argtypes = [ctypes.py_object]
        for name in ("ascii", "latin", "two bytes"):
            wide = made[name] + " with its wide characters"
            api.PyUnicode_AsUnicode(wide)
            made[name + " with wchar_t"] = wide
    return made


def numbers():
    import datetime
    import decimal
    import fractions
    import uuid
    return {"ints": [0, -1, 257, -257, 2 ** 30, 2 ** 60 - 1, -2 ** 63, 10 ** 100, -10 ** 1000],
            "bools": [True, False, None, Ellipsis, NotImplemented], "floats": [0.5, float("nan"), 1e300],
            "complex": [1 + 2j], "fraction": fractions.Fraction(10 ** 6 + 3, 7 ** 9),
            "decimal": [decimal.Decimal("1.5"), decimal.Decimal(10) ** 400],
            "time": [datetime.datetime(2024, 1, 2, tzinfo=datetime.timezone.utc), datetime.date(2024, 1, 2),
                     datetime.timedelta(days=3), datetime.timezone(datetime.timedelta(hours=2), "here")],
            "uuid": uuid.UUID(int=10 ** 30)}


def iterators():
    some = [[n] for n in range(30)]
    groups = itertools.groupby(some, key=len)
    _, grouper = next(groups)
    first, second = itertools.tee(iter(some))
    next(first)
    made = {"chain": itertools.chain(some, [[1]]), "chain of": itertools.chain.from_iterable([some]),
            "count": itertools.count(10 ** 6, 3), "count of float": itertools.count(0.5),
            "cycle": itertools.cycle(iter(some)), "repeat": itertools.repeat([1]),
            "accumulate": itertools.accumulate(some, operator.add), "groupby": groups,
            "grouper": grouper, "tee": [first, second], "islice": itertools.islice(some, 1, 9),
            "starmap": itertools.starmap(operator.add, some),
            "takewhile": itertools.takewhile(len, some), "dropwhile": itertools.dropwhile(len, some),
            "filterfalse": itertools.filterfalse(len, some), "compress": itertools.compress(some, some),
            "zip_longest": itertools.zip_longest(some, some, fillvalue=[0]),
            "product": itertools.product(some, repeat=2), "permutations": itertools.permutations(some, 2),
            "combinations": itertools.combinations(some, 2),
            "with replacement": itertools.combinations_with_replacement(some, 2),
            "enumerate": enumerate(some, 10 ** 9), "zip": zip(some, iter(some)), "map": map(len, some),
            "filter": filter(None, some), "reversed": reversed(some), "list": iter(some),
            "tuple": iter((1, [2])), "str": iter("text"), "bytes": iter(b"text"),
            "bytearray": iter(bytearray(b"text")), "range": iter(range(5)),
            "long range": iter(range(10 ** 30)), "callable": iter(lambda: 0, 1),
            "sequence": iter(collections.UserList(some)), "array": iter(array.array("i", [1]))}
    for name in ("cycle", "accumulate", "product", "permutations", "combinations", "with replacement",
                 "takewhile", "chain", "zip", "zip_longest", "enumerate"):
        next(made[name])
    if hasattr(itertools, "pairwise"):
        made["pairwise"] = itertools.pairwise(some)
        next(made["pairwise"])
    if hasattr(itertools, "batched"):
        made["batched"] = itertools.batched(some, 4)
    return made
