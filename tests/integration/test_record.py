"""The main job, once for each interpreter: which line makes this process grow, and by how much."""
import os
import sys
import unittest

import harness
import profiles

TOLERANCE = 0.02  # of the target's own figure

SERIES_COLUMNS = ["time_seconds", "rss_bytes", "pss_bytes", "uss_bytes", "swap_bytes", "vms_bytes",
                  "threads", "open_files", "cpu_percent", "minor_faults", "major_faults"]
SUMMARY_KEYS = {"schema", "engine", "duration_seconds", "samples", "rejected", "growth_bytes",
                "attributed_bytes", "unattributed_bytes", "shrink_bytes", "stopped_seconds",
                "pause_us", "rss_bytes", "ended_by"}


class GrowthTests:
    """What every exact engine must get right."""
    engine = None

    def record(self, *arguments, megabytes=60):
        out = self.folder / "out.folded"
        ready, grown, run = self.record_growth(out, "--engine", self.engine, *arguments, megabytes=megabytes)
        return ready, grown, profiles.Folded(out), run

    def assert_top_line(self, ready, folded, run):
        with harness.figures():
            self.assertEqual(folded.top(), (ready["function"], ready["file"], ready["line"]),
                             f"{folded.by_leaf()}\n{run}")

    def assert_close(self, ours, theirs, what, run):
        with harness.figures():
            self.assertLessEqual(abs(ours - theirs), TOLERANCE * theirs,
                                 f"{what}: {ours} against {theirs}\n{run}")

    def test_the_growing_line_is_on_top_and_the_sum_is_right(self):
        series = self.folder / "series.csv"
        ready, grown, folded, run = self.record("--timeseries", series, "-i", "100ms")
        self.assert_top_line(ready, folded, run)
        self.assert_close(folded.total(), grown, "sum of the profile", run)
        on_the_line = folded.by_leaf()[folded.top()]
        with harness.figures():
            self.assertGreater(on_the_line, 0.97 * grown, str(run))
        self.check_summary(run.json(), grown, run)
        self.check_series(series, grown, run)

    def check_summary(self, summary, grown, run):
        self.assertLessEqual(SUMMARY_KEYS, set(summary))
        self.assertEqual((summary["schema"], summary["engine"]), ("memspy.record/1", self.engine))
        self.assertEqual(set(summary["pause_us"]), {"p50", "p99", "max"})
        rss = summary["rss_bytes"]
        self.assertEqual(summary["growth_bytes"] - summary["shrink_bytes"], rss["end"] - rss["start"])
        self.assertEqual(summary["attributed_bytes"] + summary["unattributed_bytes"],
                         summary["growth_bytes"])
        self.assert_close(rss["end"] - rss["start"], grown, "change of RSS", run)
        self.assertGreaterEqual(rss["peak"], rss["end"])
        self.assertGreater(summary["samples"], 0)
        self.assertIn("SIGINT", summary["ended_by"])

    def check_series(self, path, grown, run):
        with open(path, encoding="utf-8") as file:
            lines = file.readlines()
        self.assertTrue(lines[0].startswith("#"), lines[0])
        header = next(line for line in lines if not line.startswith("#"))
        self.assertEqual(header.strip().split(",")[:len(SERIES_COLUMNS)], SERIES_COLUMNS)
        points = profiles.read_series(path)
        self.assertGreater(len(points), 10, str(run))
        times = [point["time_seconds"] for point in points]
        self.assertEqual(times, sorted(times))
        self.assert_close(points[-1]["rss_bytes"] - points[0]["rss_bytes"], grown, "series", run)

    def test_a_thread_for_each_request_is_no_hiding_place(self):
        target = self.script(self.python, "growing.py", "--mb", 20, "--mbps", 8, "--thread-each")
        out = self.folder / "out.folded"
        memspy = self.memspy("record", "-p", target.pid, "--engine", self.engine, "-o", out, "--json")
        memspy.until_attached(target.pid)
        grown = target.ask("grow")["grown"]
        run = memspy.stop()
        self.assertEqual(run.code, 0, str(run))
        folded = profiles.Folded(out)
        self.assert_top_line(target.ready, folded, run)
        with harness.figures():
            self.assertGreater(folded.by_leaf()[folded.top()], 0.9 * grown, f"{folded.by_leaf()}\n{run}")

    def test_memory_given_back_is_subtracted(self):
        target = self.script(self.python, "growing.py", "--mb", 30, "--mbps", 60)
        out = self.folder / "out.folded"
        memspy = self.memspy("record", "-p", target.pid, "--engine", self.engine, "-o", out, "--json")
        memspy.until_attached(target.pid)
        grown = target.ask("grow")["grown"]
        shrunk = target.ask("forget")["shrunk"]
        run = memspy.stop()
        self.assertEqual(run.code, 0, str(run))
        self.assertGreater(shrunk, grown / 2, "the target kept its memory: this test shows nothing")
        left = profiles.Folded(out).total()
        with harness.figures():
            self.assertLessEqual(abs(left - (grown - shrunk)), 0.02 * grown + (256 << 10), str(run))


@harness.sampled
class Record(GrowthTests, harness.PythonCase):
    engine = "faults"

    def test_what_an_interpreter_gives_back_at_its_end_was_kept(self):
        out = self.folder / "out.folded"
        run = self.run_memspy("record", "-o", out, "--json", "--",
                              *self.python.command(harness.TARGETS / "tidy.py"))
        kept = profiles.Folded(out).by(lambda frames: "keep" if frames[-1].startswith("keep (tidy.py") else None)
        self.assertGreater(kept.get("keep", 0), 0.9 * 60 * 300000, str(run))
        said = run.json()
        self.assertEqual(said["growth_bytes"] - said["shrink_bytes"],
                         said["rss_bytes"]["end"] - said["rss_bytes"]["start"])

    def test_a_launched_command_that_is_polled_is_known_for_python(self):
        out = self.folder / "out.folded"
        self.run_memspy("record", "--engine", "poll", "-i", "1ms", "-o", out, "--",
                        *self.python.command(harness.TARGETS / "tidy.py"))
        self.assertIn("(tidy.py:", out.read_text())

    def test_polling_charges_the_common_path(self):
        """Between two looks only the common prefix of both stacks is known: the growing function, or
        one of its callers."""
        self.engine = "poll"
        ready, grown, folded, run = self.record(megabytes=45)
        path = ("main", "grow", "handle_request", "remember")
        self.assert_close(folded.total(), grown, "sum of the profile", run)
        by_function = folded.by_function(ready["file"], path)
        on_the_path = sum(by_function.get(name, 0) for name in path)
        with harness.figures():
            self.assertGreater(on_the_path, 0.9 * grown, f"{by_function}\n{run}")
        self.assertEqual(run.json()["engine"], "poll")

    def test_a_launched_command_is_recorded_from_birth(self):
        out = self.folder / "out.folded"
        command = self.python.command(harness.TARGETS / "growing.py", "--alone", "--mb", 30)
        run = self.run_memspy("record", "-o", out, "--json", "--", *command)
        folded = profiles.Folded(out)
        line = harness_line("growing.py", "grows")
        self.assertEqual(folded.top(), ("remember", "growing.py", line), f"{folded.by_leaf()}\n{run}")
        self.assertGreater(folded.by_leaf()[folded.top()], 27e6, f"{folded.by_leaf()}\n{run}")
        summary = run.json()
        self.assertIn("exit", summary["ended_by"])
        # From birth: the interpreter's own start is in the sum.
        self.assertGreater(folded.total(), 32e6, str(run))

    def test_being_looked_at_is_no_growth(self):
        """Reading a page that was never touched would map one; most of a thread's stack is such."""
        target = self.script(self.python, "growing.py", "--idle", 20)
        before = harness.resident(target.pid)
        for engine in ("faults", "poll", *harness.bpf_engine()):
            self.run_memspy("record", "-p", target.pid, "-d", "1", "--engine", engine, "--force",
                            "-o", self.folder / "out.memspy", "--timeseries", self.folder / "out.csv")
        grown = harness.resident(target.pid) - before
        self.assertLess(grown, 300000, f"{grown} bytes more; one thread computes, all others wait")

    def test_a_duration_ends_it(self):
        target = self.script(self.python, "growing.py", "--mb", 20, "--mbps", 20)
        out = self.folder / "out.folded"
        memspy = self.memspy("record", str(target.pid), "-d", 2, "-o", out, "--json")
        memspy.until_attached(target.pid)
        target.tell("grow")
        run = memspy.finish()
        self.assertEqual(run.code, 0, str(run))
        summary = run.json()
        self.assertEqual(summary["ended_by"], "duration")
        self.assertGreaterEqual(summary["duration_seconds"], 1.95)
        self.assertLess(summary["duration_seconds"], 4)
        self.assertIn("samples", run.err)  # the line of evidence
        target.hear("grow")
        self.assert_untouched(target.pid)


@harness.sampled
class RecordBpf(GrowthTests, harness.PythonCase):
    engine = "bpf"

    def setUp(self):
        super().setUp()
        harness.need_bpf()

    def test_nothing_is_stopped_and_threads_that_come_and_go_are_seen(self):
        target = self.script(self.python, "busy.py")
        out = self.folder / "out.memspy"
        memspy = self.memspy("record", "-p", target.pid, "--engine", "bpf", "-o", out, "--json")
        memspy.until_attached(target.pid)
        self.assert_at_work(target, "while it is recorded")
        self.assertEqual(harness.status(target.pid)["TracerPid"], "0")
        summary = memspy.stop().json()
        self.assertEqual((summary["stopped_seconds"], summary["counters"]["blind_threads"]), (0, 0), str(summary))
        self.assertLess(summary["rejected"], 0.02 * summary["samples"] + 5, str(summary))
        self.assert_at_work(target, "afterwards")

    def test_where_its_programs_load_and_their_events_are_refused_it_is_not_taken(self):
        """Kernels of distributions refuse perf events to some who may load programs."""
        target = self.script(self.python, "growing.py")
        refused = [sys.executable, harness.HERE / "without_perf.py"]
        memspy = self.memspy("record", "-p", target.pid, "-o", self.folder / "out.memspy", "--json", prefix=refused)
        memspy.until_attached(target.pid)
        target.ask("grow")
        run = memspy.stop()
        self.assertEqual(run.code, 0, str(run))
        self.assertIn("engine poll", run.err)
        self.assertGreater(run.json()["growth_bytes"], 0, str(run))
        run = harness.run_memspy("record", "-p", target.pid, "--engine", "bpf", "-o", self.folder / "no.memspy",
                                 prefix=refused)
        self.assertNotEqual(run.code, 0, str(run))
        self.assertIn("engine bpf does not work here", run.err)

    def test_a_target_that_execs_is_followed(self):
        target = self.script(self.python, "execs.py")
        out = self.folder / "out.memspy"

        def recorded():
            """While it attaches the target may execute: then there is no interpreter where one was."""
            # On a busy machine what a record points to may be gone with the program that made it.
            run = harness.run_memspy("record", "-p", target.pid, "--engine", "bpf", "-d", 2, "--force", "-o", out,
                                     "--json", "--max-error", 100)
            self.assertIn(run.code, (0, 1, 5, 6), str(run))
            return run if run.code == 0 else None
        run = harness.eventually(recorded, "it attaches between two execs")
        self.assertEqual(run.json()["ended_by"], "duration", str(run))
        self.assert_at_work(target, "afterwards")
        self.assertIn("more process", self.run_memspy("report", out).out)  # each program is one


def harness_line(name, mark):
    sys.path.insert(0, str(harness.TARGETS))
    try:
        import talk
        return talk.marked(os.path.join(harness.TARGETS, name), mark)
    finally:
        sys.path.pop(0)


class Refilled(harness.PythonCase):
    """What is there at the start, given back and touched anew again and again, is given back once."""

    def test_no_more_is_given_back_than_there_was(self):
        for engine in ["faults", *harness.bpf_engine()]:
            with self.subTest(engine=engine):
                target = self.script(self.python, "refill.py")
                out = self.folder / f"{engine}.folded"
                memspy = self.memspy("record", "-p", target.pid, "-o", out, "--engine", engine, "--json")
                memspy.until_attached(target.pid)
                target.ask("refill")
                run = memspy.stop()
                self.assertEqual(run.code, 0, str(run))
                told = run.json()
                self.assertLessEqual(told["shrink_bytes"], told["rss_bytes"]["start"], str(run))
                self.assertLessEqual(told["growth_bytes"], told["rss_bytes"]["peak"], str(run))
                self.assertLessEqual(told["unattributed_bytes"], 0.1 * told["growth_bytes"], str(run))


if __name__ == "__main__":
    unittest.main()
