"""A parent that, on command, starts children in each of the ways there are; every child grows in a
function of its own and reports its growth.

    fork      os.fork()                      grow_forked
    spawn     multiprocessing, spawn         grow_spawned
    command   subprocess, this interpreter   grow_in_command
"""
import json
import multiprocessing
import os
import subprocess
import sys
import time

import talk

KEPT = []
MEGABYTES = 16


def grow():
    """Takes a third of a second: a process that is over in 20 ms has no time to be learnt."""
    for number in range(MEGABYTES * 20):
        KEPT.append(bytearray(50000))
        if number % 10 == 0:
            time.sleep(0.01)


def grow_forked():
    grow()


def grow_spawned():
    grow()


def grow_in_command():
    grow()


def grow_parent():
    grow()


def measured(function):
    meter = talk.Meter()
    before = meter.rss()
    function()
    return {"pid": os.getpid(), "grown": meter.rss() - before, "function": function.__name__}


def spawned(link):
    link.send(measured(grow_spawned))
    link.recv()  # until the parent says so
    os._exit(0)  # the interpreter's own end would free what has grown


def fork():
    reader, writer = os.pipe()
    again, hold = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(hold)
        os.write(writer, json.dumps(measured(grow_forked)).encode())
        os.read(again, 1)
        os._exit(0)
    os.close(again)
    said = json.loads(os.read(reader, 4096).decode())
    return said, lambda: (os.write(hold, b"."), os.waitpid(child, 0))


def spawn():
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    child = context.Process(target=spawned, args=(there,))
    child.start()
    said = here.recv()
    return said, lambda: (here.send("end"), child.join())


def command():
    child = subprocess.Popen([sys.executable, os.path.abspath(__file__), "--child"],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    said = json.loads(child.stdout.readline().decode())
    return said, lambda: (child.stdin.close(), child.wait())


def main():
    if "--child" in sys.argv:
        print(json.dumps(measured(grow_in_command)), flush=True)
        os.read(0, 1)
        os._exit(0)
    talk.say("ready", pid=os.getpid())
    alive = []
    ways = {"fork": fork, "spawn": spawn, "command": command}
    while True:
        heard = talk.hear()
        if heard == "grow":
            talk.say("grow", **measured(grow_parent))
        elif heard in ways:
            said, end = ways[heard]()
            alive.append(end)
            talk.say(heard, **said)
        elif heard == "end":
            for end in alive:
                end()
            talk.say("end")


if __name__ == "__main__":
    main()
