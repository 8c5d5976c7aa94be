"""The heap of processes that do not stand still, of core files and of snapshots: what is right at any
moment, what harms nobody, and what is refused and how."""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import unittest

import harness
import heap_formats
import heap_views

USAGE, NO_PROCESS, PERMISSION, NOT_PYTHON, OUTPUT = 2, 3, 4, 5, 7
STEADY = 20000


def types_of(seen):
    return {row["type"]: row for row in seen["types"]}


class Busy(harness.PythonCase):
    """A target whose threads allocate all the time, with a collector that hardly ever rests."""

    def busy(self):
        return self.script(self.python, "heap_busy.py", "--steady", STEADY)

    def heap(self, pid, *arguments):
        return self.run_memspy("heap", "-p", pid, "--json", *arguments).json()

    def assert_well(self, target, what):
        self.assert_at_work(target, what)
        self.assert_untouched(target.pid)

    def test_looks_at_random_moments(self):
        target = self.busy()
        self.assert_well(target, "before")
        collecting = 0
        for number in range(8):
            probe = heap_views.Probe(target.pid)
            steady = sum(1 for node in probe.nodes.values() if node.type == "__main__.Steady")
            self.assertEqual(steady, STEADY, f"look {number}: {probe.stats}")
            self.assertLess(probe.stats["rejected"], 0.001 * len(probe.nodes), probe.stats)
            collecting += bool(probe.stats["collecting"])
            # A ring of each thread, and what was dropped and waits for the collector.
            churn = sum(1 for node in probe.nodes.values() if node.type == "__main__.Churn")
            self.assertGreater(churn, 0)
        print(f"{self.python.name}: {collecting} of 8 looks fell into a collection")
        seen = self.heap(target.pid)
        rows = types_of(seen)
        self.assertEqual(rows["__main__.Steady"]["count"], STEADY)
        self.assertLess(seen["objects"]["rejected"], 0.001 * seen["objects"]["count"])
        self.assertEqual(sum(row["bytes"] for row in seen["ledger"]), seen["rss_bytes"])
        self.assertLessEqual(seen["unexplained_bytes"], 0.05 * seen["rss_bytes"], seen["ledger"])
        # The threads in system calls that an interrupt would end were not interrupted.
        self.assert_well(target, "after nine looks")

    def test_snapshot_diff_and_reports(self):
        """Three snapshots of a growing service: what grew, where, and every format with the same sums."""
        target = self.busy()
        files = [self.folder / f"{number}.memsnap" for number in range(3)]
        for number, file in enumerate(files):
            if number:
                target.ask("grow 500", "grow")
            self.run_memspy("snapshot", "-p", target.pid, "-o", file)
        self.assert_well(target, "after three snapshots")
        seen = self.run_memspy("diff", *files, "--json").json()
        session = next(row for row in seen["types"] if row["type"] == "app.Session")
        self.assertEqual(session["grown_count"], 1000)
        self.assertTrue(session["grew_every_time"])
        # What a thread has under way comes and goes, and may be larger at any one moment.
        owners = [row["owner"] for row in seen["owners"]
                  if row["grew_every_time"] and not row["owner"].startswith("thread ")]
        self.assertIn("app.SESSIONS", owners[:2], seen["owners"][:10])
        text = self.run_memspy("diff", files[0], files[2]).out
        self.assertIn("app.SESSIONS", text)
        self.assertIn("app.Session", text)
        self.check_reports(files[2])
        # The same answers from a file as from the process.
        from_file = self.run_memspy("why", files[2], "--type", "app.Session", "--json").json()
        self.assertIn("SESSIONS", json.dumps(from_file["tree"]))

    def check_reports(self, snapshot):
        out = {}
        for name in ("json", "heapsnapshot", "folded", "speedscope", "pprof"):
            out[name] = self.folder / f"report.{name}"
            self.run_memspy("report", snapshot, "-f", name, "-o", out[name])
        total = json.loads(out["json"].read_text())["objects"]["bytes"]
        self.assertEqual(heap_formats.folded_total(out["folded"]), total)
        self.assertEqual(heap_formats.speedscope_total(out["speedscope"]), total)
        self.assertEqual(heap_formats.pprof_total(out["pprof"]), total)
        heap = heap_formats.HeapSnapshot(out["heapsnapshot"])
        self.assertEqual(heap.total(), total)
        self.assertEqual(heap.count("app.Session"), 1150)  # 100 filled, 50 more, 1000 grown
        self.assertFalse(heap.unreachable_by_name("app.Session"))
        # Retained sizes by definition, on a graph that went through another program's format.
        rows = types_of(json.loads(out["json"].read_text()))
        singles = sorted((name for name in heap.single() if name in rows),
                         key=lambda name: -rows[name]["retained_bytes"])[:12]
        self.assertIn("app.Worker", singles)
        self.assertEqual({name: heap.retained(heap.single()[name]) for name in singles},
                         {name: rows[name]["retained_bytes"] for name in singles})

    def test_a_core_file(self):
        if not shutil.which("gcore"):
            self.skipTest("no gcore (package gdb)")
        zoo = heap_views.Zoo(self.python)
        self.addCleanup(zoo.end)
        live = self.heap(zoo.pid)
        done = subprocess.run(["gcore", "-o", str(self.folder / "core"), str(zoo.pid)], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120, check=False)
        core = self.folder / f"core.{zoo.pid}"
        self.assertTrue(core.exists(), done.stdout.decode())
        exe = ["--exe", str(self.python.root) + self.python.program] if self.python.root else []
        snapshot = self.folder / "core.memsnap"
        self.run_memspy("snapshot", "--core", core, *exe, "-o", snapshot)
        seen = json.loads(self.run_memspy("report", snapshot, "-f", "json", "-o", "-").out)
        ours, theirs = types_of(seen), types_of(live)
        self.assertEqual({name: (row["count"], row["bytes"]) for name, row in ours.items()},
                         {name: (row["count"], row["bytes"]) for name, row in theirs.items()})
        self.assertEqual(seen["objects"]["count"], live["objects"]["count"])

    def test_max_pause_gives_up_cleanly(self):
        target = self.busy()
        run = self.run_memspy("heap", "-p", target.pid, "--json", "--max-pause", "1us", code=1)
        self.assertIn("max-pause", run.err)
        self.assert_well(target, "after a look that was given up")

    def test_a_spool_instead_of_memory(self):
        target = self.busy()
        seen = self.heap(target.pid, "--spool", self.folder)
        self.assertEqual(types_of(seen)["__main__.Steady"]["count"], STEADY)
        self.assertFalse(list(self.folder.iterdir()), "the copy is gone with memspy")


class HeapRefusals(harness.Case):
    """Bad input: exit code and text."""

    def refused(self, code, says, *arguments):
        run = self.run_memspy(*arguments, code=code)
        self.assertTrue(run.err.startswith("memspy: "), str(run))
        for word in says:
            self.assertRegex(run.err, f"(?is){word}", str(run))
        for bad in ("terminate called", "Traceback", "Aborted", "std::"):
            self.assertNotIn(bad, run.err)
        return run

    def test_usage(self):
        target = self.script(harness.need("system"), "growing.py")
        pid, out = str(target.pid), str(self.folder / "x.memsnap")
        for words, says in [
                (["heap", "--pid=abc"], ["pid"]),
                (["heap", "-p", pid, "--by", "colour"], ["colour", "type"]),
                (["heap", "-p", pid, "--largest", "many"], ["many|largest"]),
                (["heap", "-p", pid, "--watch", "soon"], ["soon"]),
                (["heap", "-p", pid, "--max-pause", "5"], ["max-pause|unit"]),
                (["why", "-p", pid], ["--type", "--addr", "--largest"]),
                (["why", "-p", pid, "--addr", "banana"], ["banana"]),
                (["why", "-p", pid, "--type", "dict", "--addr", "0x10"], ["type", "addr"]),
                (["why", "-p", pid, "--type", "dict", "-f", "poem"], ["poem"]),
                (["snapshot", "-p", pid, "--core", "/x", "-o", out], ["core", "pid"]),
                (["snapshot", "-p", pid, "-o", out, "--no-such"], ["no-such"])]:
            with self.subTest(words=words):
                self.refused(USAGE, says, *words)
        self.assertFalse(list(self.folder.iterdir()))
        target.ask("ping")
        self.assert_untouched(target.pid)

    def test_what_is_not_there(self):
        gone = subprocess.Popen(["true"])
        gone.wait()
        sleep = subprocess.Popen(["sleep", "1000"])
        self.addCleanup(sleep.wait)
        self.addCleanup(sleep.kill)
        harness.eventually(lambda: pathlib.Path(f"/proc/{sleep.pid}/comm").read_text() == "sleep\n", "sleep runs")
        for verb in (["heap"], ["gc"], ["why", "--type", "dict"], ["snapshot", "-o", str(self.folder / "x.memsnap")]):
            with self.subTest(verb=verb[0]):
                self.refused(NO_PROCESS, ["no process"], verb[0], "-p", gone.pid, *verb[1:])
                self.refused(NOT_PYTHON, ["python"], verb[0], "-p", sleep.pid, *verb[1:])
        self.assert_untouched(sleep.pid)
        self.assertFalse(list(self.folder.iterdir()))

    def test_an_object_or_a_type_that_is_not_there(self):
        target = self.script(harness.need("system"), "growing.py")
        self.refused(1, ["NoSuchType"], "why", "-p", target.pid, "--type", "app.NoSuchType")
        self.refused(1, ["0x10"], "why", "-p", target.pid, "--addr", "0x10")
        target.ask("ping")

    def test_output_that_cannot_be_written(self):
        target = self.script(harness.need("system"), "growing.py")
        self.refused(OUTPUT, ["no-such-folder"], "snapshot", "-p", target.pid, "-o", "/no-such-folder/x.memsnap")
        there = self.folder / "there.memsnap"
        there.write_text("precious")
        self.refused(OUTPUT, ["exists", "--force"], "snapshot", "-p", target.pid, "-o", there)
        self.assertEqual(there.read_text(), "precious")
        self.refused(OUTPUT, [], "heap", "-p", target.pid, "--spool", "/no-such-folder")
        target.ask("ping")
        self.assert_untouched(target.pid)

    def test_files_that_are_damaged(self):
        target = self.script(harness.need("system"), "growing.py")
        good = self.folder / "good.memsnap"
        self.run_memspy("snapshot", "-p", target.pid, "-o", good)
        data = good.read_bytes()
        for name, content in [("empty", b""), ("text", b"not a snapshot at all" * 100),
                              ("cut", data[:len(data) // 2]), ("head", data[:64])]:
            # What is cut is read as far as it goes; the others are no snapshots.
            codes = (0, 1) if name == "cut" else (2,)
            bad = self.folder / f"{name}.memsnap"
            bad.write_bytes(content)
            with self.subTest(name=name):
                for words in (["why", bad, "--type", "builtins.dict"], ["diff", good, bad], ["report", bad, "-f", "json"]):
                    run = harness.run_memspy(*words)
                    self.assertIn(run.code, codes, str(run))
                    self.assertTrue(run.err, f"{words}: silent about the damage")
                    self.assertNotIn("terminate called", run.err)
        self.refused(USAGE, ["no-such"], "why", self.folder / "no-such.memsnap", "--type", "builtins.dict")

    def test_cores_that_are_none(self):
        bad = self.folder / "core"
        for content in (b"", b"\x7fELF", b"\x7fELF" + bytes(5000), pathlib.Path("/bin/true").read_bytes()):
            bad.write_bytes(content)
            self.refused(USAGE, ["core"], "snapshot", "--core", bad, "-o", self.folder / "x.memsnap")
        self.assertEqual(list(self.folder.iterdir()), [bad])

    def test_a_stopped_target_stays_stopped(self):
        target = self.script(harness.need("system"), "growing.py")
        os.kill(target.pid, signal.SIGSTOP)
        harness.eventually(lambda: harness.state(target.pid) == "T", "it is stopped")
        seen = self.run_memspy("heap", "-p", target.pid, "--json").json()
        self.assertGreater(seen["objects"]["count"], 1000)
        self.assertEqual(harness.state(target.pid), "T")
        os.kill(target.pid, signal.SIGCONT)
        target.ask("ping")
        self.assert_untouched(target.pid)


if __name__ == "__main__":
    unittest.main()
