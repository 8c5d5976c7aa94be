"""Prints golden line tables of the interpreter that runs it: `python3.N make.py > 3.N.txt`.

One code object per line: name, first line, length of the bytecode, line table in hex, and runs
`offset:line` (0: no line) as PyCode_Addr2Line gives them. Works on 3.6 and later.
"""
import argparse
import asyncio.base_events
import ctypes
import json.decoder
import sys
import textwrap
import types

# Jumps over many lines and many bytes in both directions, lines without code, and code without lines.
CRAFTED = """
def far(a):
    x = (a +
%(gap)s
         a *
         2)
    return x
def backwards(f):
    return f(
        1,
%(gap)s
        f(
          2), k=f(
        3))
def long_line(a):
    return [%(many)s]
def loops(items):
    for i in items:
        try:
            while i:
                i -= 1
                if i == 3:
                    continue
            else:
                pass
        except ValueError as error:
            raise KeyError from error
        finally:
            with open(i) as f, open(i) as g:
                pass
    return [j for j in items
            if j
            for k in j]
async def waits(x):
    async with x as y:
        async for z in y:
            await z
        return [w async for w in y]
class Outer(object):
    @staticmethod
    def method(a, *, b=lambda: (yield)):
        def inner():
            nonlocal a
            a = b
            yield from inner
        return inner
"""


def crafted():
    return compile(CRAFTED % {"gap": "\n" * 300, "many": ", ".join("a.b%d(a)" % i for i in range(90))},
                   "crafted.py", "exec")


def nested(code):
    yield code
    for const in code.co_consts:
        if isinstance(const, types.CodeType):
            for inner in nested(const):
                yield inner


def codes():
    for code in nested(crafted()):
        yield code
    roots = [textwrap, json.decoder, argparse.ArgumentParser, asyncio.base_events.BaseEventLoop]
    for root in roots:
        for name in sorted(vars(root))[:40]:
            value = vars(root)[name]
            if isinstance(value, types.FunctionType):
                for code in nested(value.__code__):
                    yield code


def main():
    addr2line = ctypes.pythonapi.PyCode_Addr2Line
    addr2line.argtypes = [ctypes.py_object, ctypes.c_int]
    addr2line.restype = ctypes.c_int
    print("# Python %d.%d.%d, made by make.py" % sys.version_info[:3])
    for code in codes():
        table = code.co_lnotab if sys.version_info < (3, 10) else code.co_linetable
        runs, last = [], None
        for offset in range(0, len(code.co_code), 2):
            line = max(addr2line(code, offset), 0)
            if line != last:
                runs.append("%d:%d" % (offset, line))
                last = line
        print(code.co_name.replace(" ", "_"), code.co_firstlineno, len(code.co_code),
              table.hex() or "-", ",".join(runs))


main()
