"""heap, gc and diff as their users meet them: memory of every kind in its row, verdicts on what grows,
outputs in files."""
import collections
import json
import os

import harness
import heap_views

MB = 1 << 20


class Use(harness.Case):
    def setUp(self):
        super().setUp()
        self.service = self.start()

    def start(self, **popen):
        return self.script(harness.need("system"), "heap_kinds.py", **popen)

    def ask(self, words):
        self.service.ask(words, words.split()[0])

    def heap(self, *arguments):
        seen = self.run_memspy("heap", "-p", self.service.pid, "--json", *arguments).json()
        self.assertEqual(sum(row["bytes"] for row in seen["ledger"]), seen["rss_bytes"])
        return seen

    def rows(self):
        return {row["row"]: row["bytes"] for row in self.heap()["ledger"]}


class Ledger(Use):
    def test_mallocs_chunks_stand_in_the_row_of_their_arena(self):
        before = self.rows()
        self.ask("main 20")
        self.ask("thread 10")
        self.ask("mapped 30")
        after = self.rows()
        for name, megabytes in (("main arena", 20), ("thread arenas", 10), ("mapped chunks", 30)):
            with self.subTest(name=name):
                grown = after[f"malloc live, {name}"] - before.get(f"malloc live, {name}", 0)
                self.assertAlmostEqual(grown / MB, megabytes, delta=0.3)
        self.assertLess(after.get("unexplained", 0), 0.05 * sum(after.values()))

    def test_an_allocator_that_is_not_glibcs_is_named(self):
        preload = dict(os.environ, LD_PRELOAD=os.environ["MEMSPY_ALLOCATOR"])
        self.service = self.start(env=preload)
        self.ask("main 20")
        seen = self.heap()
        rows = {row["row"]: row["bytes"] for row in seen["ledger"]}
        self.assertGreater(rows["jemalloc, live and free"], 20 * MB)
        self.assertFalse([name for name in rows if name.startswith("malloc ") and rows[name] > MB], rows)
        self.assertLess(seen["unexplained_bytes"], 0.05 * seen["rss_bytes"], rows)
        self.assertRegex(seen["verdict"], "^native memory: .* an allocator other than glibc's")


class WithoutPymalloc(harness.Case):
    """Every object by malloc, of glibc and of an allocator that memspy does not walk: those that are on a
    list of the collector, or that anything refers to, which are all that the target knows of."""

    def look(self, **more):
        zoo = heap_views.Zoo(harness.need("system"), env=dict(os.environ, PYTHONMALLOC="malloc", **more))
        self.addCleanup(zoo.end)
        probe = heap_views.Probe(zoo.pid)
        missing = {address for address, thing in zoo.things.items()
                   if address not in probe.nodes or probe.nodes[address].type != thing.type}
        # A handful of locks and the like is made anew in each child of a fork, at an address of its own.
        self.assertLess(len(missing), 10, [zoo.name(address) for address in missing])
        unseen = collections.Counter(node.type for address, node in probe.nodes.items() if address not in zoo.things)
        self.assertFalse(collections.Counter(zoo.things[address].type for address in missing) - unseen)
        self.assertEqual((probe.stats["from_pools"], probe.stats["rejected"]), (0, 0))
        run = self.run_memspy("heap", "-p", zoo.pid)
        self.assertRegex(run.out, r"no pymalloc in this process .* [\d ]+ objects were found on")
        print(f"{len(zoo.things)} objects, {len(missing)} missing; {probe.stats}")

    def test_malloc_of_glibc(self):
        self.look()

    def test_another_malloc(self):
        self.look(LD_PRELOAD=os.environ["MEMSPY_ALLOCATOR"])


class Growth(Use):
    def verdict(self, *words):
        """Three snapshots, with these commands between each two."""
        files = [self.folder / f"{number}.memsnap" for number in range(3)]
        for number, file in enumerate(files):
            for each in words if number else ():
                self.ask(each)
            self.run_memspy("snapshot", "-p", self.service.pid, "-o", file, "--force")
        text = self.run_memspy("diff", *files).out
        seen = self.run_memspy("diff", *files, "--json").json()
        self.assertEqual(text.splitlines()[-1], seen["verdict"])
        return seen["verdict"]

    def test_objects(self):
        verdict = self.verdict("objects 500", "main 1")
        self.assertRegex(verdict, r"^objects are growing: \S+ grew by \+.*app\.SESSIONS holds \+")

    def test_native_memory(self):
        self.assertRegex(self.verdict("main 5"), r"^native memory is growing: \+10\.\d MiB.*memspy record -p")

    def test_nothing(self):
        self.assertRegex(self.verdict(), r"^steady: no kind of memory grew")

    def test_watch_says_it_after_every_look(self):
        watching = self.memspy("heap", self.service.pid, "--watch", "200ms")
        harness.eventually(lambda: "Partition of" in watching.out, "the first look")
        self.ask("objects 2000")
        harness.eventually(lambda: "objects are growing: " in watching.out, "what grew is said")
        harness.eventually(lambda: "C now: " in watching.out, "the look before is shown from the third on")
        done = watching.stop()
        self.assertEqual(done.code, 0, str(done))
        self.assertIn("app.SESSIONS holds +", done.out)
        self.service.ask("ping")
        self.assert_untouched(self.service.pid)


class Outputs(Use):
    def test_files(self):
        snapshot = self.folder / "one.memsnap"
        self.run_memspy("snapshot", "-p", self.service.pid, "-o", snapshot)
        for words in (["heap", self.service.pid], ["gc", self.service.pid], ["diff", snapshot, snapshot]):
            with self.subTest(verb=words[0]):
                file = self.folder / f"{words[0]}.json"
                run = self.run_memspy(*words, "-o", file)
                self.assertEqual(run.out, "")
                self.assertIn(str(file), run.err)
                self.assertTrue(json.loads(file.read_text())["schema"].startswith("memspy."))
                before = file.read_text()
                self.assertIn("--force", self.run_memspy(*words, "-o", file, code=7).err)
                self.assertEqual(file.read_text(), before)
                self.run_memspy(*words, "-o", "/no-such-folder/x", code=7)

    def test_frozen_garbage_is_not_what_a_collection_would_free(self):
        self.ask("freeze 1000")
        seen = self.run_memspy("gc", "-p", self.service.pid, "--json").json()
        loops = {row["type"]: row["count"] for row in seen["garbage"]["types"]}
        self.assertEqual(loops["__main__.Loop"], 1000)
        self.assertGreaterEqual(seen["garbage"]["frozen_count"], 1000)
        self.assertGreater(seen["interpreters"][0]["frozen"], 1000)
        text = self.run_memspy("gc", self.service.pid).out
        self.assertRegex(text.splitlines()[-1], r"of garbage are frozen: gc\.unfreeze\(\)")
        self.assertIn("gc.collect() would free", text)


class Arrays(harness.Case):
    def test_arrays_of_numpy(self):
        """What each refers to (dtype, base, items) and what its data costs, as numpy itself says."""
        target = self.script(harness.need("system"), "arrays.py")
        harness.until_listening(target.pid)
        probe, said = heap_views.Probe(target.pid), target.ready
        for name, address in said["arrays"].items():
            with self.subTest(array=name):
                node = probe.nodes[address]
                self.assertEqual(node.type, "numpy.ndarray")
                # Besides, one that owns its data holds a capsule with what frees it; Python code sees no trace of that.
                ours = {edge.to for edge in node.edges if probe.nodes[edge.to].type != "builtins.PyCapsule"}
                self.assertEqual(ours, set(said["referents"][name]))
                self.assertFalse([edge for edge in node.edges if edge.weak])
                if name in said["bytes"]:
                    self.assertGreaterEqual(node.bytes, said["bytes"][name] + 80)
                self.assertLess(node.bytes, said["bytes"].get(name, 0) + 4096 + 300)


del Use  # its tests are those of its children
