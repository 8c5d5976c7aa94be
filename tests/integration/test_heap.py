"""The heap of a process that stands still against its own account of it, object by object, once for
each interpreter. The zoo is started once, and walked once by heap_account and once by `memspy heap`."""
import collections
import json
import os
import pathlib
import subprocess
import unittest

import harness
import heap_views
from heap_views import STATIC, TRACKED

# What the interpreter holds for itself, out of sight of gc.get_referents(): names of descriptors and
# modules, the interned strings, arguments under way, tables of its start-up, caches of C modules, and
# from 3.15 on the bytes behind a bytearray. Of these memspy may find more than the target knows of; of
# everything else exactly as many.
UNSEEN = {"builtins.str", "builtins.int", "builtins.bytes", "builtins.tuple", "builtins.dict", "builtins.float",
          "builtins.list", "builtins.code", "builtins.type", "builtins.moduledef", "datetime.timedelta",
          "datetime.datetime", "_thread._localdummy", "builtins._RunningLoopHolder", "builtins.Struct",
          "_struct.Struct"}
UNSEEN_SHARE = 0.02
# Dead ones in a free list, which 3.12's _asyncio tells the collector of all the same.
DEAD = {"_asyncio.FutureIter"}
# Types whose sys.getsizeof() has a rule of its own, of memory beside the object, which memspy does not
# follow. docs/accuracy-and-overhead.md says why of each.
OWN_SIZES = {"builtins.StgDict", "builtins.code", "_ctypes.PyCSimpleType", "_ctypes.PyCFuncPtrType",
             "_ctypes.PyCPointerType", "_ctypes.PyCArrayType", "_ctypes.PyCStructType", "_ctypes.UnionType",
             "ctypes._endian._swapped_union_meta", "ctypes._endian._swapped_struct_meta",
             "xml.etree.ElementTree.Element", "itertools.combinations", "itertools.permutations",
             "itertools.combinations_with_replacement", "itertools.product", "_io.BytesIO", "_queue.SimpleQueue"}
SIZE_SHARE = 0.999
# What tp_traverse tells of as its own although another object has it: entries of a cache (from 3.10
# on), and what a class of ctypes keeps in its dict (up to 3.12).
LINKS = {"functools._lru_list_elem", "builtins.StgDict"}
# References that are owned, given back by tp_clear or tp_dealloc, and left out of tp_traverse: of
# thread-locals, of ctypes' dicts, and int.__abs__ of the module _random.
UNTOLD = {"wr_callback", "converters"}
UNTOLD_OF_MODULES = {"builtins.wrapper_descriptor"}


class HeapCase(harness.PythonCase):
    maxDiff = 2000
    zoo = None

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        if HeapCase.zoo is None:
            HeapCase.zoo = heap_views.Zoo(cls.python)
            unittest.addModuleCleanup(HeapCase.zoo.end)

    def assertNone(self, addresses, what):
        self.assertFalse(addresses, f"{what}: {self.names(addresses)}")

    def assert_counts(self, ours):
        """As many of every type as the target says itself."""
        truth = collections.Counter(thing.type for thing in self.zoo.things.values())
        other = {name: (ours[name], truth[name]) for name in truth
                 if name not in UNSEEN | DEAD and ours[name] != truth[name]}
        self.assertEqual(other, {})
        fewer = {name: (ours[name], truth[name]) for name in UNSEEN if ours[name] < truth[name]}
        self.assertEqual(fewer, {})
        self.assertFalse([name for name in DEAD if ours[name] > truth[name]])

    def assert_not_grown(self, before, after):
        """No page of its own; of files, what the first look reads of read-only data."""
        for name in ("Anonymous", "Swap"):
            self.assertEqual(before[name], after[name], name)
        self.assertLess(kib(after["Rss"]) - kib(before["Rss"]), 256)

    def names(self, addresses, limit=12):
        addresses = sorted(addresses)
        shown = "\n  ".join(self.zoo.name(address) for address in addresses[:limit])
        return f"{len(addresses)}:\n  {shown}"


class Walk(HeapCase):
    """heap_account: every node with its type, sizes, flags and edges."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.before = memory_of(cls.zoo.pid)
        cls.probe = heap_views.Probe(cls.zoo.pid)
        cls.after = memory_of(cls.zoo.pid)
        cls.nodes = {address: node for address, node in cls.probe.nodes.items()
                     if address not in cls.zoo.own}

    def test_every_object_is_found_with_its_type(self):
        missing = {address for address, thing in self.zoo.things.items()
                   if address not in self.nodes and thing.type not in DEAD}
        self.assertNone(missing, "not found")
        wrong = {address for address, thing in self.zoo.things.items()
                 if address in self.nodes and self.nodes[address].type != thing.type}
        self.assertNone(wrong, "other types")

    def test_nothing_else_is_found_but_what_the_interpreter_keeps_to_itself(self):
        unseen = {address for address, node in self.nodes.items()
                  if address not in self.zoo.things and not node.flags & STATIC and node.size}
        kinds = collections.Counter(self.nodes[address].type for address in unseen)
        print(f"{self.python.name}: {len(self.zoo.things)} objects, {len(unseen)} unseen by the target: {kinds}")
        self.assertLessEqual(set(kinds), UNSEEN, kinds)
        self.assertLess(len(unseen), UNSEEN_SHARE * len(self.nodes), kinds)

    def test_counts_per_type(self):
        self.assert_counts(collections.Counter(node.type for node in self.nodes.values() if node.size))

    def test_sizes(self):
        wrong = {address for address, thing in self.zoo.things.items()
                 if address in self.nodes and self.nodes[address].size != thing.size}
        kinds = collections.Counter(self.zoo.things[address].type for address in wrong)
        print(f"{self.python.name}: other sizes: {dict(kinds)}")
        self.assertLessEqual(set(kinds), OWN_SIZES, self.names(wrong))
        self.assertLess(len(wrong), (1 - SIZE_SHARE) * len(self.zoo.things), self.names(wrong))

    def test_what_the_collector_tracks(self):
        ours = {address for address, node in self.nodes.items() if node.flags & TRACKED}
        truth = {address for address, thing in self.zoo.things.items() if thing.listed}
        self.assertNone(truth - ours, "not on a list")
        self.assertNone(ours - truth, "on a list")
        frozen = {address for address, node in self.nodes.items()
                  if node.flags & TRACKED and node.flags >> 1 & 3 == 3}
        truth = {address for address, thing in self.zoo.things.items() if thing.listed == 2}
        self.assertNone(frozen ^ truth, "frozen")

    def test_blocks_of_pymalloc(self):
        """The pools' blocks in use are those that the allocator itself counts; the one int that the
        target had more at that moment aside."""
        stats = self.probe.stats["pymalloc"]
        self.assertLessEqual(abs(stats["used_blocks"] - (sum(self.zoo.blocks.values()) - 1)), 2, self.zoo.blocks)
        used = stats["live_objects"] + stats["owned_blocks"] + stats["other_blocks"]
        self.assertEqual(stats["arenas"], used + stats["free_blocks"] + stats["free_pools"] + stats["headers"])
        # What is in use and belongs to nobody that was found: tables of C modules, not objects.
        self.assertLess(stats["other_blocks"], 0.03 * used, stats)

    def test_edges(self):
        """Every reference that the collector would follow, of every type, and no other but what is owned and
        untold."""
        recall, precision = collections.Counter(), collections.Counter()
        total = collections.Counter()
        examples = {}
        for address, thing in self.zoo.things.items():
            node = self.nodes.get(address)
            if node is None:
                continue
            ours = {edge.to for edge in node.edges}
            for link in [to for to in ours if to in self.nodes and self.nodes[to].type in LINKS]:
                ours.update(edge.to for edge in self.nodes[link].edges)
            total[thing.type] += len(thing.referents)
            missing = {to for to in thing.referents - ours - self.zoo.own
                       if to not in self.zoo.things or self.zoo.things[to].type not in DEAD}
            recall[thing.type] += len(missing)
            beyond = {edge.to for edge in node.edges if not edge.weak and not self.is_silent(node, edge)}
            extra = beyond - thing.referents if thing.referents or thing.listed else set()
            precision[thing.type] += len(extra)
            if missing or extra:
                examples.setdefault(thing.type, f"{self.zoo.name(address)}: not found "
                                    f"{[self.zoo.name(each) for each in sorted(missing)[:3]]}, found besides "
                                    f"{[self.zoo.name(each) for each in sorted(extra)[:3]]}")
        bad = {name: (recall[name], precision[name], total[name]) for name in total
               if recall[name] or precision[name]}
        report = "\n".join(f"{name}: {bad[name][0]} of {bad[name][2]} not found, {bad[name][1]} besides; "
                           f"{examples[name]}" for name in sorted(bad, key=lambda name: -sum(bad[name][:2]))[:25])
        print(f"{self.python.name}: edges\n{report}")
        self.assertFalse(bad, report)

    def is_silent(self, node, edge):
        """A reference that is owned and that no tp_traverse tells of, because no cycle can run
        through it: names, the keys of a dict that are all str, the type of a C object."""
        # A closure's variable is a shortcut past its tuple; an instance's dict is not told of while its
        # values lie in the instance.
        if edge.kind in (heap_views.CLOSURE, heap_views.DICT) or edge.name in UNTOLD:
            return True
        target = self.nodes.get(edge.to)
        if target is None or self.zoo.things.get(edge.to) is None:
            return True
        if target.type in LINKS | {"builtins.str", "builtins.bytes", "builtins.int", "builtins.type", "builtins.code"}:
            return True
        if node.type == "builtins.module" and edge.kind == heap_views.WORD and target.type in UNTOLD_OF_MODULES:
            return True
        # A type's table of subclasses, which are weak, and its slots.
        return self.zoo.is_type(node.address) and target.type in ("builtins.dict", "builtins.tuple")

    def test_nothing_was_rejected(self):
        self.assertEqual(self.probe.stats["rejected"], 0, self.probe.stats)
        self.assertFalse(self.probe.stats["collecting"])

    def test_the_target_is_as_it_was(self):
        self.assert_not_grown(self.before, self.after)
        self.assert_untouched(self.zoo.pid)


def memory_of(pid):
    """Its resident memory, to the byte: what is its own alone and what it shares with the processes it
    was forked with, which a careless reader takes apart; and the page faults it has had."""
    folder = pathlib.Path(f"/proc/{pid}")
    found = dict(line.split(":") for line in (folder / "smaps_rollup").read_text().splitlines()[1:])
    faults = (folder / "stat").read_text().rpartition(")")[2].split()
    return {**{name: found[name].strip() for name in ("Rss", "Anonymous", "Pss_Anon", "Swap")},
            "minor": faults[7], "major": faults[9]}


class Heap(HeapCase):
    """The verbs on the same process, as a user runs them."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.before = memory_of(cls.zoo.pid)
        cls.look = harness.run_memspy("heap", "-p", cls.zoo.pid, "--json")
        cls.after = memory_of(cls.zoo.pid)
        if cls.look.code:
            raise AssertionError(str(cls.look))
        cls.seen = cls.look.json()

    def test_json_has_what_scripts_rely_on(self):
        seen = self.seen
        self.assertEqual(seen["schema"], "memspy.heap/1")
        self.assertEqual(seen["pid"], self.zoo.pid)
        self.assertIn(".".join(map(str, self.python.version)), str(seen["python"]))
        self.assertGreater(seen["pause_seconds"], 0)
        self.assertEqual(seen["rss_bytes"], rss_of(self.zoo.pid))
        self.assertEqual(set(seen["objects"]), {"count", "bytes", "gc_tracked", "rejected"})
        for row in seen["types"]:
            self.assertLessEqual({"type", "count", "bytes", "retained_bytes"}, set(row))
        for row in seen["owners"]:
            self.assertLessEqual({"owner", "bytes", "count"}, set(row))
        self.assertIsInstance(seen["verdict"], str)
        self.assertTrue(seen["verdict"])

    def test_counts_per_type_equal_the_targets_own(self):
        ours = collections.Counter()
        for row in self.seen["types"]:  # classes made anew may share a name
            ours[row["type"]] += row["count"]
        self.assert_counts(ours)
        self.assertEqual(self.seen["objects"]["rejected"], 0)
        listed = sum(1 for thing in self.zoo.things.values() if thing.listed)
        self.assertEqual(self.seen["objects"]["gc_tracked"], listed)

    def test_sums(self):
        self.assertEqual(sum(row["bytes"] for row in self.seen["types"]), self.seen["objects"]["bytes"])
        self.assertEqual(sum(row["count"] for row in self.seen["types"]), self.seen["objects"]["count"])
        self.assertEqual(sum(row["bytes"] for row in self.seen["owners"]), self.seen["objects"]["bytes"])
        for row in self.seen["types"]:
            self.assertGreaterEqual(row["retained_bytes"], row["bytes"] if row["type"] == "app.Session" else 0)

    def test_every_byte_of_rss_stands_in_one_row(self):
        ledger = {row["row"]: row["bytes"] for row in self.seen["ledger"]}
        self.assertEqual(len(ledger), len(self.seen["ledger"]), "a row stands twice")
        self.assertEqual(sum(ledger.values()), self.seen["rss_bytes"], ledger)
        self.assertLessEqual(self.seen["unexplained_bytes"], 0.05 * self.seen["rss_bytes"], ledger)

    def test_owners_are_named_as_in_source(self):
        owners = {row["owner"]: row for row in self.seen["owners"]}
        # 2000 sessions with a buffer of 2000 bytes each.
        self.assertIn("app.SESSIONS", owners, sorted(owners)[:50])
        self.assertGreaterEqual(owners["app.SESSIONS"]["bytes"], 2000 * 2000)
        self.assertIn("app.WORKER", owners)
        self.assertGreaterEqual(owners["app.WORKER"]["count"], 20 * 3)
        self.assertIn("function make_handler.<locals>.handler.<closure buffer>", owners, sorted(owners)[:50])

    def test_what_the_collector_would_free(self):
        """The pairs and the ring of zoo_objects.garbage(), and what hangs on them."""
        garbage = self.seen["garbage"]
        self.assertGreaterEqual(garbage["count"], self.zoo.gc["would_collect"])
        self.assertGreaterEqual(garbage["bytes"], 310 * 200)
        self.assertLess(garbage["count"], self.zoo.gc["would_collect"] + 4 * 310 + 100)

    def test_the_collectors_own_figures(self):
        seen = self.run_memspy("gc", "-p", self.zoo.pid, "--json").json()
        interpreter = seen["interpreters"][0]
        truth = self.zoo.gc
        self.assertEqual(interpreter["enabled"], truth["enabled"])
        self.assertEqual(interpreter["frozen"], truth["frozen"])
        rows = interpreter["generations"]
        # The zoo makes a few more objects to say so.
        for row, count in zip(rows, truth["count"]):
            self.assertLess(abs(row["count"] - count), 10)
        self.assertEqual([row["threshold"] for row in rows], truth["threshold"])
        for row, stats in zip(rows, truth["stats"]):
            self.assertEqual({name: row[name] for name in ("collections", "collected", "uncollectable")},
                             {name: stats[name] for name in ("collections", "collected", "uncollectable")})
        loops = {row["type"]: row["count"] for row in seen["garbage"]["types"]}
        self.assertEqual(loops["zoo_objects.Loop"], 310)
        text = self.run_memspy("gc", self.zoo.pid).out
        self.assertIn("zoo_objects.Loop", text)

    def test_why_is_it_alive(self):
        row = self.zoo.kinds["app: CACHE['k'].rows[3]"][0]
        seen = self.run_memspy("why", "-p", self.zoo.pid, "--addr", hex(row), "--json").json()
        self.assertEqual(seen["schema"], "memspy.why/1")
        self.assertEqual(int(str(seen["object"]["address"]), 0), row)
        self.assertEqual(seen["object"]["type"], "app.Row")
        paths = ["".join(step["edge"] for step in path) for path in seen["paths"]]
        self.assertIn("app.CACHE['k'].rows[3]", paths)
        # Its label and its number go with it: more than its own bytes.
        self.assertGreater(seen["object"]["retained_bytes"], seen["object"]["bytes"])
        text = self.run_memspy("why", self.zoo.pid, "--type", "app.Row").out
        self.assertIn("CACHE", text)
        dot = self.run_memspy("why", "-p", self.zoo.pid, "--type", "app.Row", "-f", "dot", "-o", "-").out
        self.assertIn("digraph", dot)

    def test_text(self):
        run = self.run_memspy("heap", self.zoo.pid)
        self.assertRegex(run.out, r"Partition of [\d ]+ objects")
        self.assertIn("% explained", run.out)
        self.assertNotIn("\x1b", run.out)
        # Content-free unless it is asked for.
        self.assertNotIn("row number 3 of this application", run.out)
        for by in ("type", "module", "owner", "size", "generation"):
            self.assertTrue(self.run_memspy("heap", self.zoo.pid, "--by", by).out, by)
        self.assertIn("bytes", self.run_memspy("heap", self.zoo.pid, "--largest", 3).out)

    def test_the_target_is_as_it_was(self):
        self.assert_not_grown(self.before, self.after)
        self.assert_untouched(self.zoo.pid)


class Retained(harness.PythonCase):
    def test_by_definition(self):
        """Of every object of a small heap: what cannot be reached any more without it."""
        target = self.script(self.python, "small.py")
        harness.until_listening(target.pid)
        snapshot = self.folder / "small.memsnap"
        self.run_memspy("snapshot", "-p", target.pid, "-o", snapshot)
        done = subprocess.run([os.environ["MEMSPY_CHECK_RETAINED"], str(snapshot)], stdout=subprocess.PIPE,
                              timeout=4 * harness.DEADLINE, check=True)
        said = json.loads(done.stdout)
        print(f"{self.python.name}: {said}")
        self.assertEqual(said["wrong"], [])
        self.assertGreater(said["floods"], 3000)
        self.assertGreaterEqual(said["garbage"], 10)


def kib(text):
    return int(text.split()[0])


def rss_of(pid):
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Rss:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"no Rss of {pid}")


if __name__ == "__main__":
    unittest.main()
