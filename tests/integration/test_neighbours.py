"""Beside others: who has hardware watchpoints on the target already, and another allocator than the C library's."""
import contextlib
import os
import signal
import pathlib
import unittest

import harness
import profiles
import remains

JEMALLOC = pathlib.Path("/usr/lib/x86_64-linux-gnu/libjemalloc.so.2")


class Watchpoints(harness.PythonCase):
    """A debugger's: mode live takes those that are left, and disturbs none."""

    def setUp(self):
        super().setUp()
        harness.need_root()
        self.opened = contextlib.ExitStack()
        self.addCleanup(self.opened.close)

    def occupy(self, tid, count, **options):
        held = [remains.open_breakpoint(tid, **options) for _ in range(count)]
        for fd in held:
            self.assertGreaterEqual(fd, 0)
            self.opened.callback(os.close, fd)
        return held

    def engines(self):
        return ["faults", *harness.bpf_engine()]

    def record(self, target, engine, **options):
        return self.run_memspy("record", "-p", target.pid, "-o", self.folder / f"{engine}.folded", "--mode", "live",
                               "--engine", engine, "-d", "2s", "--json", **options)

    def test_a_debug_exception_without_a_reason_does_not_end_the_target(self):
        """Of a thread whose memory is watched, where it is traced: it is taken for a hit whose reason was lost."""
        for engine in ["faults", *(harness.bpf_engine() if harness.virtual_machine() else [])]:
            with self.subTest(engine=engine):
                target = self.script(self.python, "traps.py")
                memspy = self.memspy("record", "-p", target.pid, "-o", self.folder / f"{engine}.memspy", "--mode",
                                     "live", "--engine", engine)
                memspy.until_attached(target.pid)

                def watched():
                    target.ask("keep")
                    return remains.free_slots(target.pid) < remains.SLOTS
                harness.eventually(watched, "its memory is watched")
                for _ in range(3):
                    target.ask("trap")
                    target.ask("trap in a thread")
                target.ask("keep")
                run = memspy.stop()
                self.assertEqual(run.code, 0, str(run))
                target.ask("keep")
                target.tell("trap")
                self.assertEqual(target.process.wait(harness.DEADLINE), -signal.SIGTRAP, "alone it ends")

    def test_those_that_are_left_are_used(self):
        for engine in self.engines():
            with self.subTest(engine=engine):
                target = self.script(self.python, "watched.py")
                theirs, = self.occupy(target.pid, 1, address=target.ready["address"], armed=True)
                self.occupy(target.pid, remains.SLOTS - 2)
                memspy = self.memspy("record", "-p", target.pid, "-o", self.folder / f"{engine}.folded", "--mode",
                                     "live", "--engine", engine, "--json").until_attached(target.pid)
                before = remains.read_count(theirs)
                target.ask("write")
                self.assertEqual(remains.read_count(theirs) - before, 5000, "writes that the other one was told of")
                run = memspy.stop()
                self.assertEqual(run.code, 0, str(run))
                self.assertEqual(remains.free_slots(target.pid), 1)
                self.assert_untouched(target.pid)

    def test_where_none_is_left_the_mode_is_refused(self):
        for engine in self.engines():
            with self.subTest(engine=engine):
                target = self.script(self.python, "watched.py")
                self.occupy(target.pid, remains.SLOTS)
                run = self.record(target, engine, code=1)
                self.assertIn("cannot open a watchpoint event", run.err)
                self.assertIn("--mode growth does not need them", run.err)
                self.assertEqual(list(self.folder.glob(f"*{engine}*")), [])
                target.ask("write")
                self.assert_untouched(target.pid)


@harness.sampled
class Jemalloc(harness.PythonCase):
    @unittest.skipUnless(JEMALLOC.exists(), "no libjemalloc2")
    def test_time_in_jemalloc_is_time_spent_allocating(self):
        """Preloaded, and with all of Python's memory from it."""
        target = self.target(self.python.command(harness.WORKLOADS / "allocate.py", "--duration", 3),
                             env=dict(os.environ, LD_PRELOAD=str(JEMALLOC), PYTHONMALLOC="malloc"))
        target.hear("ready")
        out = self.folder / "run.memspy"
        memspy = self.memspy("record", "-p", target.pid, "-o", out, "--json", "--mode", "alloc", "-n", "--budget", "12")
        memspy.until_attached(target.pid)
        target.ask("go", "done")
        run = memspy.stop()
        self.assertEqual(run.code, 0, str(run))
        truth = target.ask("truth")
        self.assert_untouched(target.pid)
        self.run_memspy("report", out, "-o", self.folder / "run.folded")
        folded = profiles.Folded(self.folder / "run.folded")
        ours = folded.by_function("allocate.py", list(truth["parts"]) + truth["idle"])
        counters = run.json()["counters"]
        makers = {name: ours.get(name, 0) for name in truth["parts"]}
        idle = sum(ours.get(name, 0) for name in truth["idle"])
        in_jemalloc = sum(count for frames, count in folded.stacks if "libjemalloc.so.2)" in ";".join(frames))
        with harness.figures():
            self.assertGreater(run.json()["samples"], 30, str(run))
            self.assertGreater(in_jemalloc, 0.7 * folded.total(), f"{folded.stacks[:5]}\n{run}")
            self.assertGreater(counters["library_samples"], counters["inlined_samples"], "pymalloc is not in use")
            self.assertLess(profiles.distance(makers, truth["parts"]), 0.05 + 1.5 / run.json()["samples"] ** 0.5, str(ours))
            self.assertLess(idle, 0.05 * folded.total(), str(ours))


if __name__ == "__main__":
    unittest.main()
