"""What a process says about its own heap: every object that gc.get_objects() and, from there,
gc.get_referents() lead to, with type, sys.getsizeof() and referents.

The truth is taken in a child made by fork, so that taking it changes nothing that memspy looks at:
memspy looks at another child, forked from the same state, which does nothing but wait.

What gc.get_referents() does not tell of, and is followed here all the same, is listed in
`hidden_referents`: code objects (they have no tp_traverse), names and tables of types, keys of dicts.
"""
import builtins
import ctypes
import gc
import json
import os
import sys
import threading
import types

CODE_OBJECTS = ("co_consts", "co_names", "co_filename", "co_name", "co_lnotab" if sys.version_info < (3, 10)
                else "co_linetable")
if sys.version_info >= (3, 11):
    CODE_OBJECTS += ("co_qualname", "co_exceptiontable")
else:
    CODE_OBJECTS += ("co_code", "co_varnames", "co_freevars", "co_cellvars")
LOCALSPLUS_NAMES, LOCALSPLUS_KINDS = 0x60, 0x68  # in a code object from 3.11 on; not to be had otherwise
GETSETS = (types.GetSetDescriptorType, types.MemberDescriptorType, type(list.append), type(list.__len__))
DICTS = (dict, builtins.frozendict) if hasattr(builtins, "frozendict") else (dict,)
SMALL_INTS = range(-5, 257)
ALWAYS = [chr(code) for code in range(256)] + [bytes([code]) for code in range(256)]


def hidden_referents(thing):
    kind = type(thing)
    if kind is types.CodeType:
        found = [getattr(thing, name) for name in CODE_OBJECTS]
        if sys.version_info >= (3, 11):
            for offset in (LOCALSPLUS_NAMES, LOCALSPLUS_KINDS):
                found.append(ctypes.py_object.from_address(id(thing) + offset).value)
            names = set(thing.co_varnames + thing.co_cellvars + thing.co_freevars)
            if set(found[-2]) != names or type(found[-1]) is not bytes:
                raise SystemExit("co_localsplusnames are not where they should be")
        return found
    if issubclass(kind, type):  # isinstance() would believe a weak proxy
        # A static type is not followed by the collector; nor are the names of any type.
        found = [type.__dict__["__mro__"].__get__(thing), type.__dict__["__bases__"].__get__(thing)]
        found += gc.get_referents(type.__dict__["__dict__"].__get__(thing))
        if thing.__flags__ & 1 << 9:  # Py_TPFLAGS_HEAPTYPE: its names are objects
            found += [type.__dict__["__name__"].__get__(thing), type.__dict__["__qualname__"].__get__(thing)]
        return found
    if issubclass(kind, DICTS):  # keys that are all str are not told of: no cycle runs through them
        return list((kind if kind in DICTS else dict).keys(thing))
    if kind in GETSETS:
        return [thing.__name__]
    if kind is slice or kind is range:
        return [thing.start, thing.stop, thing.step]
    return ()


class Walk:
    """Everything that can be reached, less what the walk itself made."""

    def __init__(self, roots, own):
        self.found = {}   # id -> object, in the order of discovery
        self._own = own
        own.update((id(self), id(self.__dict__), id(self.found), id(own)))
        self._follow(roots)

    def _follow(self, roots):
        found, own = self.found, self._own
        waiting = list(roots)
        own.add(id(waiting))
        while waiting:
            thing = waiting.pop()
            number = id(thing)
            if number in found or number in own:
                continue
            found[number] = thing
            waiting.extend(gc.get_referents(thing))
            waiting.extend(hidden_referents(thing))


def full_name(kind):
    """module.QualName, as memspy spells a type."""
    module = kind.__dict__.get("__module__", "builtins") if kind.__flags__ & 1 << 9 else kind.__module__
    return "%s.%s" % (module if isinstance(module, str) else "?", kind.__qualname__)


def size_of(thing):
    try:
        return sys.getsizeof(thing)
    except Exception as error:  # noqa: B902
        return "%s: %s" % (type(error).__name__, error)


def write_all(path, text):
    with open(path + ".new", "w") as file:
        file.write(text)
    os.rename(path + ".new", path)


def collector_state():
    """Read first: what follows allocates."""
    count, enabled = gc.get_count(), gc.isenabled()
    frozen = gc.get_freeze_count() if hasattr(gc, "get_freeze_count") else 0
    return {"count": count, "enabled": enabled, "frozen": frozen, "threshold": gc.get_threshold(),
            "stats": gc.get_stats(), "garbage": len(gc.garbage)}


def how_many_would_be_collected(path):
    """In a child of its own, before anything else refers to it: what gc.collect() finds unreachable."""
    child = os.fork()
    if child == 0:
        write_all(path, json.dumps(gc.collect()))
        os._exit(0)
    os.waitpid(child, 0)
    with open(path) as file:
        return json.load(file)


def only_in(things, known, own):
    """Ids of what is in neither. A function of its own: a comprehension in take() would make cells of
    take()'s locals, which the other process does not have."""
    found = set()
    for thing in things:
        if id(thing) not in known and id(thing) not in own:
            found.add(id(thing))
    return found


def take(path, kinds_of, own):
    """Writes the truth. `kinds_of()`: name -> objects that are to be named in failures; `own`: ids of
    objects that are here and not in the process that memspy looks at."""
    state = collector_state()
    state["would_collect"] = how_many_would_be_collected(path + ".collect")
    tracked = gc.get_objects()
    own.add(id(tracked))
    permanent = ()
    if state["frozen"]:
        gc.unfreeze()
        permanent = gc.get_objects()
    # Frames from here to the fork; the interpreter tells a child of it anew which thread it is.
    thread = threading.current_thread()
    own.update((id(own), id(state), id(permanent), id(sys._getframe()), id(sys._getframe(1)), id(thread.ident)))
    if hasattr(thread, "native_id"):
        own.add(id(thread.native_id))
    known = only_in(tracked, (), ())
    own.add(id(known))
    frozen = only_in(permanent, known, own)
    own.add(id(frozen))
    for each in state.values():
        if isinstance(each, (list, tuple)):  # numbers and bools are everybody's
            own.add(id(each))
    for each in state["stats"]:
        own.add(id(each))
    roots = list(permanent or tracked)  # what is its own is not followed
    if (3, 7) <= sys.version_info < (3, 11):
        roots.append(sys._getframe(2))  # which runs in the other process too, and is on no list
    own.add(id(roots))
    walk = Walk(roots + [SMALL_INTS, sys.modules] + ALWAYS + [object, type, (), "", b""], own)
    records, types_seen = [], {}
    for number, thing in walk.found.items():
        kind = type(thing)
        index = types_seen.setdefault(id(kind), (len(types_seen), kind))[0]
        records.append([number, index, size_of(thing),
                        2 if number in frozen else 1 if number in known else 0,
                        sorted({id(each) for each in gc.get_referents(thing)})])
    # What came to be while this was written down: locals of the running frames.
    for record in records:
        own.update(set(record[4]).difference(walk.found))
    document = {"version": list(sys.version_info[:3]), "gc": state, "own": sorted(own),
                "types": [full_name(kind) for _, kind in types_seen.values()],
                "metaclasses": [full_name(kind) for _, kind in types_seen.values() if issubclass(kind, type)],
                "kinds": {name: [id(thing) for thing in things] for name, things in kinds_of().items()},
                "objects": records}
    write_all(path, json.dumps(document))
    return walk


def inspect(path_in, path_out):
    """For addresses that memspy found and the walk did not: what is really there. An address that is
    no object may well crash this process, which is an answer too."""
    with open(path_in) as file:
        addresses = json.load(file)
    answers = []
    for address in addresses:
        thing = ctypes.cast(address, ctypes.py_object).value
        answers.append([address, full_name(type(thing)), size_of(thing), sys.getrefcount(thing)])
    write_all(path_out, json.dumps(answers))
