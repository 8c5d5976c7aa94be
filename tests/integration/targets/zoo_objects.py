"""Instances, functions, generators and what the standard library builds of them. See zoo_containers."""
import abc
import asyncio
import collections
import contextlib
import ctypes
import enum
import functools
import sys
import types
import weakref


class Plain:
    shared = ["of the class"]

    def __init__(self, number):
        self.a, self.b, self.c, self.d = number, [number], None, str(number)

    def method(self):
        return self.a


class Slots:
    __slots__ = ("left", "right", "unset")

    def __init__(self, left, right):
        self.left, self.right = left, right


class MoreSlots(Slots):
    __slots__ = ("third", "__weakref__")


class SlotsAndDict(Slots):
    pass


class SlotsWithDict:
    __slots__ = ("slot", "__dict__")


class Meta(type):
    def __new__(mcs, name, bases, body):
        made = super().__new__(mcs, name, bases, body)
        made.registry = [name]
        return made


class WithMeta(metaclass=Meta):
    pass


class Abstract(abc.ABC):
    @abc.abstractmethod
    def do(self):
        pass


class Concrete(Abstract):
    def do(self):
        return self


class Finalized:
    def __init__(self):
        self.me = self

    def __del__(self):
        self.me = None


class Loop:
    """Becomes cyclic garbage."""

    def __init__(self, number):
        self.number, self.payload = number, bytes(200 + number % 3)
        self.other = None


class Colour(enum.Enum):
    RED, GREEN = 1, "green"


class Flags(enum.IntFlag):
    A, B = 1, 2


Point = collections.namedtuple("Point", "x y")


def instances():
    many = [Plain(number) for number in range(200)]
    touched = [Plain(number) for number in range(10)]
    dicts = [each.__dict__ for each in touched]
    extra = Plain(1)
    extra.e, extra.f = [1], 2
    lacking = Plain(2)
    del lacking.b
    wide = Plain(3)
    for number in range(60):
        setattr(wide, "attribute_%d" % number, [number])
    replaced = Plain(4)
    replaced.__dict__ = {"another": ["dict"]}
    odd = Plain(5)
    odd.__dict__[7] = "a key that is no string"
    more = MoreSlots([1], 2)
    more.third = weakref.ref(more)
    both, with_dict = SlotsAndDict([1], [2]), SlotsWithDict()
    both.attribute = ["in the dict"]
    with_dict.slot, with_dict.other = ["in the slot"], ["in the dict"]
    return {"many": many, "materialised": touched, "their dicts": dicts, "extra": extra,
            "lacking": lacking, "wide": wide, "replaced": replaced, "odd": odd,
            "slots": [Slots(n, [n]) for n in range(100)], "more slots": more, "both": both,
            "slots with dict": with_dict, "meta": WithMeta(), "concrete": Concrete(),
            "empty": type("Empty", (), {})(), "namespace": types.SimpleNamespace(a=[1], b=2),
            "enum": list(Colour) + [Flags.A | Flags.B], "points": [Point([n], n) for n in range(10)],
            "finalized": Finalized(), "large": type("Large", (), {"__slots__": ["s%d" % n for n in range(90)]})()}


def subclasses():
    made = {}
    for base, value in ((int, 10 ** 20), (float, 2.5), (complex, 1j), (str, "text"), (bytes, b"bytes"),
                        (bytearray, b"bytes"), (list, [[1], 2]), (tuple, ([1], 2)), (dict, {"a": [1]}),
                        (set, {1, "a"}), (frozenset, {1, "b"}), (collections.deque, [[1], 2]),
                        (collections.OrderedDict, {"a": [1]}), (ValueError, "an error")):
        name = "Of" + base.__name__.capitalize()
        one = type(name, (base,), {})(value)
        one.attribute = ["of", name]
        made[name] = one
        if base not in (int, bytes, tuple):  # no non-empty __slots__ with variable-sized bases
            slotted = type(name + "Slots", (base,), {"__slots__": ("slot",)})(value)
            slotted.slot = [name]
            made[name + "Slots"] = slotted
    made["default"] = type("OfDefault", (collections.defaultdict,), {})(list, a=[1])
    made["default"].attribute = ["x"]
    return made


def functions():
    value, other = [1], {"two": 2}

    def closed(argument=("default", [1]), *, keyword=["kw"]):  # noqa: B006
        return value, other, argument, keyword

    def annotated(a: int, b: "text" = 1) -> list:  # noqa: F821
        return [a, b]

    def nested():
        def inner():
            def innermost():
                return value, inner
            return innermost
        return inner()

    def unbound():
        if value is None:
            late = 1
        return lambda: late
    closed.attribute = ["of a function"]
    instance = Plain(1)
    dispatch = functools.singledispatch(lambda thing: thing)
    dispatch.register(int, closed)
    return {"closed": closed, "annotated": annotated, "nested": nested(), "empty cell": unbound(),
            "lambda": lambda: instance, "method": instance.method, "builtin": [len, [].append, "x".join],
            "slot wrapper": [list.__len__, [].__len__, list.append], "static": staticmethod(closed),
            "class": classmethod(closed), "property": property(closed, None, None, "doc"),
            "partial": functools.partial(functools.partial(closed, [1]), [2], keyword=[3]),
            "partial method": functools.partialmethod(closed, 1), "dispatch": dispatch,
            "wrapped": functools.wraps(closed)(annotated), "super": super(MoreSlots, MoreSlots(1, 2)),
            "code": closed.__code__, "cells": closed.__closure__,
            "getters": [operator_of(name) for name in ("itemgetter", "attrgetter", "methodcaller")]}


def operator_of(name):
    import operator
    return getattr(operator, name)("a", *([] if name == "methodcaller" else ["b"]))


def caches():
    @functools.lru_cache(maxsize=50)
    def bounded(number):
        return [number]

    @functools.lru_cache(maxsize=None)
    def unbounded(number, text="x"):
        return (number, [text])

    @functools.lru_cache(maxsize=0)
    def none_kept(number):
        return number

    class Holder:
        @functools.lru_cache(maxsize=10, typed=True)
        def method(self, number):
            return [self, number]
    holder = Holder()
    for number in range(1000, 1100):
        bounded(number), unbounded(number), none_kept(number), holder.method(number)
    unbounded(1, text=("a", "tuple"))
    unbounded(text="named", number=2)
    return {"bounded": bounded, "unbounded": unbounded, "none": none_kept, "method": Holder}


def weak():
    alive = [Plain(n) for n in range(5)]
    gone = Plain(0)
    dead = weakref.ref(gone)
    del gone
    values = weakref.WeakValueDictionary((n, each) for n, each in enumerate(alive))
    keys = weakref.WeakKeyDictionary((each, [n]) for n, each in enumerate(alive))
    return {"alive": alive, "ref": weakref.ref(alive[0]), "dead": dead,
            "callback": weakref.ref(alive[1], lambda ref: alive), "proxy": weakref.proxy(alive[2]),
            "values": values, "keys": keys, "set": weakref.WeakSet(alive),
            "method": weakref.WeakMethod(alive[0].method),
            "finalize": weakref.finalize(alive[3], print, ["argument"], keyword=[1])}


def generators():
    def counting(rows, limit=10):
        total = {"sum": 0}
        for row in rows:
            total["sum"] += len(row)
            received = yield total
            del received

    def delegating(rows):
        label = "delegates %d" % len(rows)
        yield from counting(rows)
        return label

    def deep(depth):
        kept = [depth]
        try:
            yield kept
        finally:
            kept.append("finally")

    async def waiting(thing):
        local = ["a local of a coroutine", thing]
        await asyncio.sleep(0)
        return local

    async def producing():
        for number in range(3):
            held = [number]
            yield held
    @types.coroutine
    def old_style():
        yield ["old"]
    rows = [[1], [2, 3], [4]]
    suspended, delegate, many = counting(rows), delegating(rows), [deep(n) for n in range(30)]
    for each in (suspended, delegate, *many):
        next(each)
    finished = deep(7)
    list(finished)
    coroutine = waiting(rows)
    coroutine.send(None)
    old = old_style()
    old.send(None)
    produced, closed = producing(), producing()
    step = produced.__anext__()
    with contextlib.suppress(StopIteration):
        step.send(None)
    return {"fresh": counting(rows), "suspended": suspended, "delegating": delegate, "many": many,
            "finished": finished, "expression": (row for row in rows), "coroutine": coroutine,
            "fresh coroutine": waiting([0]), "awaiting": coroutine.cr_await,
            "wrapper": waiting([1]).__await__(), "old style": old, "async": produced, "async fresh": closed,
            "step": closed.asend(None), "context": contextlib.contextmanager(deep)(3)}


def tasks():
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    pending, done, failed = loop.create_future(), loop.create_future(), loop.create_future()
    done.set_result(["a result"])
    failed.set_exception(ValueError(["an error"]))
    failed.exception()

    async def waits(number, future):
        state = {"number": number}
        await future
        return state

    async def returns():
        return ["returned"]

    async def driver():
        made = [asyncio.ensure_future(waits(n, pending)) for n in range(10)]
        finished = asyncio.ensure_future(returns())
        gathered = asyncio.gather(*[asyncio.ensure_future(waits(n, pending)) for n in range(3)])
        await finished
        await asyncio.sleep(0)
        return made, finished, gathered
    made, finished, gathered = loop.run_until_complete(driver())
    pending.add_done_callback(print)
    return {"loop": loop, "pending": pending, "done": done, "failed": failed, "waiting": made,
            "finished": finished, "gathered": gathered, "handle": loop.call_later(10 ** 6, print, [1]),
            "queue": asyncio.Queue(3), "lock": asyncio.Lock(), "event": asyncio.Event()}


def exceptions():
    def raises(depth):
        local = ["kept by a frame", depth]
        if depth:
            raises(depth - 1)
        raise KeyError(local)

    def caught(function, *arguments):
        try:
            function(*arguments)
        except BaseException as error:  # noqa: B902
            return error

    def chained():
        try:
            raises(2)
        except KeyError as error:
            raise RuntimeError("chained", [1]) from error

    def while_handling():
        try:
            raises(1)
        except KeyError:
            raise ValueError("while handling")
    keyed = caught(raises, 3)
    made = {"caught": keyed, "traceback": keyed.__traceback__, "frame": keyed.__traceback__.tb_frame,
            "chained": caught(chained), "context": caught(while_handling),
            "os": caught(open, "/no/such/file"), "decode": caught(b"\xff".decode),
            "encode": caught("\u20ac".encode, "ascii"), "syntax": caught(compile, "1 +", "zoo", "eval"),
            "stop": StopIteration([1]), "exit": SystemExit([2]), "import": caught(__import__, "no_such_module"),
            "attribute": caught(getattr, [], "no_such"), "fresh": ValueError([1], 2),
            "attributes": ValueError()}
    made["attributes"].note = ["attached"]
    if sys.version_info >= (3, 11):
        keyed.add_note("a note")
        made["group"] = ExceptionGroup("group", [ValueError([1]), keyed])  # noqa: F821
    return made


def library():
    import io
    import json
    import queue
    import random
    import re
    import struct
    import threading
    import typing
    import xml.etree.ElementTree as tree
    match = re.compile(r"(?P<name>\w+) of (?P<zoo>\w+)").match("animals of zoo")

    class Structure(ctypes.Structure):
        _fields_ = [("number", ctypes.c_int), ("text", ctypes.c_char_p), ("object", ctypes.py_object)]
    structure = Structure(1, b"some bytes", ["an object"])
    made = {"pattern": match.re, "match": match, "struct": struct.Struct("<IQ"), "bytes io": io.BytesIO(b"x" * 5000),
            "string io": io.StringIO("text" * 50), "file": open(__file__, "rb"), "text file": open(__file__),
            "lock": threading.Lock(), "rlock": threading.RLock(), "condition": threading.Condition(),
            "event": threading.Event(), "local": threading.local(), "queue": queue.Queue(),
            "random": random.Random(1), "decoder": json.JSONDecoder(), "encoder": json.JSONEncoder(),
            "element": tree.fromstring("<zoo a='1'><animal b='2'>text</animal><animal/></zoo>"),
            "typing": [typing.List[int], typing.Optional[str], typing.TypeVar("T")],
            "structure": structure, "pointer": ctypes.pointer(structure), "c array": (ctypes.c_int * 50)(),
            "c string": ctypes.create_string_buffer(100), "callback": ctypes.CFUNCTYPE(None)(lambda: None),
            "module": types.ModuleType("made_at_run_time", "its doc"), "exit stack": contextlib.ExitStack()}
    made["local"].value = ["of a thread"]
    made["queue"].put([1])
    made["module"].content = ["of a module"]
    made["exit stack"].callback(print, [1])
    if sys.version_info >= (3, 7):
        import contextvars
        import dataclasses
        data = dataclasses.make_dataclass("Data", [("x", int), ("y", list, dataclasses.field(default_factory=list))])
        variables = [contextvars.ContextVar("variable %d" % n, default=[n]) for n in range(40)]
        tokens = [variable.set([n]) for n, variable in enumerate(variables)]
        simple = queue.SimpleQueue()
        simple.put([1])
        made.update({"data": [data(n) for n in range(5)], "variables": variables, "tokens": tokens,
                     "context": contextvars.copy_context(), "simple queue": simple})
    if sys.version_info >= (3, 9):
        made["alias"] = [list[int], dict[str, list[int]]]
    if sys.version_info >= (3, 10):
        made["union"] = int | str
    return made


def garbage(loops):
    """Cycles that nothing refers to: pairs, one long ring, and one that has a finalizer."""
    for number in range(loops // 2):
        one, two = Loop(number), Loop(number)
        one.other, two.other = two, one
    ring = [Loop(number) for number in range(10)]
    for number, each in enumerate(ring):
        each.other = ring[number - 1]
    Finalized()
