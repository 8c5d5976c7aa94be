"""Two views of one heap: what a zoo says about itself (targets/heap_truth.py), and what memspy's walk
finds in it (heap_account, one JSON line per node)."""
import collections
import json
import os
import pathlib
import subprocess
import tempfile

import harness

# Flags of a node (include/memspy/object_visitor.h).
TRACKED, IMMORTAL, STATIC, IN_POOL, CONSERVATIVE, NATIVE = 1, 8, 16, 32, 64, 128

Thing = collections.namedtuple("Thing", "address type size listed referents")
Node = collections.namedtuple("Node", "address type bytes size flags edges")
Edge = collections.namedtuple("Edge", "to kind weak name")
CLOSURE, DICT, WORD = 5, 8, 10  # of EdgeKind
PAUSE = "34 "  # pause(2) in /proc/PID/syscall


class Zoo:
    """heap_zoo.py under one interpreter: a process that stands still, and the truth about it."""

    def __init__(self, python, **popen):
        parent = None if python.root is None else python.root / "tmp"
        self._folder = tempfile.TemporaryDirectory(prefix="memspy-zoo-", dir=parent)
        outside = pathlib.Path(self._folder.name)
        self._inside = outside if parent is None else pathlib.Path("/tmp") / outside.name
        self._outside = outside
        self.target = harness.Target(python.command(
            harness.TARGETS / "heap_zoo.py", self._inside / "truth", self._inside / "blocks"), **popen)
        try:
            self.pid = self.target.hear("ready", 3 * harness.DEADLINE)["pid"]
            syscall = pathlib.Path(f"/proc/{self.pid}/syscall")
            harness.eventually(lambda: syscall.read_text().startswith(PAUSE), f"{self.pid} stands still")
            self._read(json.loads((outside / "truth").read_text()))
            self.blocks = malloc_stats((outside / "blocks").read_text())
        except BaseException:
            self.end()
            raise

    def _read(self, said):
        names = said["types"]
        self.gc = said["gc"]
        self.own = set(said["own"])
        self.kinds = said["kinds"]
        self.things = {address: Thing(address, names[kind], size, listed, set(referents))
                       for address, kind, size, listed, referents in said["objects"]}
        self.metaclasses = set(said["metaclasses"])
        self.kind_of = {address: name for name, addresses in self.kinds.items() for address in addresses}

    def inspect(self, addresses):
        """What the zoo finds at these addresses: {address: (type, getsizeof, refcount)}."""
        (self._outside / "ask").write_text(json.dumps(sorted(addresses)))
        self.target.ask(f"inspect {self._inside / 'ask'} {self._inside / 'answer'}", "inspect")
        return {address: (kind, size, count) for address, kind, size, count
                in json.loads((self._outside / "answer").read_text())}

    def is_type(self, address):
        """An object that is a class: one whose type has a name of a metaclass."""
        return self.things[address].type in self.metaclasses

    def name(self, address):
        """For a person: what is there, and under which name the zoo keeps it."""
        thing = self.things.get(address)
        kind = self.kind_of.get(address)
        return f"{address:#x} {thing.type if thing else '?'}" + (f" ({kind})" if kind else "")

    def end(self):
        self.target.end()
        self._folder.cleanup()


def malloc_stats(text):
    """sys._debugmallocstats(): {size class in bytes: blocks in use}."""
    found = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) == 5 and all(word.isdigit() for word in words):
            found[int(words[1])] = int(words[3])
    return found


class Probe:
    """The walk of a live process by heap_account: nodes by address, and its closing statistics."""

    def __init__(self, pid):
        program = os.environ.get("MEMSPY_HEAP_ACCOUNT")
        if not program:
            raise SystemExit("MEMSPY_HEAP_ACCOUNT must be the path of heap_account")
        done = subprocess.run([program, str(pid)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=2 * harness.DEADLINE, check=False)
        if done.returncode:
            raise AssertionError(f"heap_account: exit {done.returncode}\n{done.stderr.decode()}")
        self.nodes, self.stats, self.roots = {}, None, []
        for line in done.stdout.splitlines():
            said = json.loads(line)
            if "address" in said:
                edges = [Edge(*edge) for edge in said["edges"]]
                self.nodes[said["address"]] = Node(said["address"], said["type"], said["bytes"],
                                                   said["getsizeof"], said["flags"], edges)
            elif "root" in said:
                self.roots.append((said["to"], said["root"], said["name"]))
            else:
                self.stats = said
