"""`--mode alloc`: who spends time allocating, in the proportions that the program was made with."""
import re
import sqlite3
import unittest

import harness
import profiles

SECONDS = 4
BUDGET = ["--budget", "12"]  # at the default there are some twenty samples in so short a run
IDLE, UNCLASSIFIED = 0.01, 0.02  # of the profile, and of the ticks
ENOUGH = 500  # ticks, for a difference to be clear; a quiet machine has some 700
# What stripped builds export too: on the way from a line to its allocator.
ON_THE_WAY = re.compile(r"\b_?Py(Object|Bytes|Type|List|Mem|Unicode)_|\b[mc]alloc\b")


def chance(samples):
    """How far from the truth so many samples may lead: twice what is usual, and a little."""
    return 0.05 + 1.5 / max(1, samples) ** 0.5


def below_line(frames):
    """What an innermost Python frame has called."""
    at = max((i for i, frame in enumerate(frames) if "allocate.py" in frame), default=len(frames))
    return frames[at + 1:]


@harness.sampled
class Alloc(harness.PythonCase):
    def record(self, out, *options, workload=(), seconds=SECONDS):
        target = harness.Target(self.python.command(harness.WORKLOADS / "allocate.py", "--duration", seconds, *workload))
        self.addCleanup(target.end)
        target.hear("ready")
        memspy = self.memspy("record", "-p", target.pid, "-o", out, "--json", "--mode", "alloc", *BUDGET, *options)
        memspy.until_attached(target.pid)
        target.ask("go", "done", deadline=seconds + 60)
        run = memspy.stop()
        self.assertEqual(run.code, 0, str(run))
        truth = target.ask("truth")
        self.assert_untouched(target.pid)
        return truth, run

    def derive(self, recording, name):
        report = self.run_memspy("report", recording, "-o", self.folder / name, "--force")
        return self.folder / name if report.code == 0 else None

    def test_functions_get_their_parts_and_those_that_never_allocate_nothing(self):
        out = self.folder / "run.memspy"
        truth, run = self.record(out)
        folded = self.check_parts(out, truth, run)
        self.check_summary(run.json(), folded, truth)
        self.check_outputs(out, folded)

    def test_native_frames_lead_from_the_line_to_the_allocator(self):
        out = self.folder / "run.memspy"
        truth, run = self.record(out, "-n")
        folded = self.check_parts(out, truth, run)
        lines = [frames for frames, _ in folded.stacks if frames[-1] not in ("[unattributed]", "[outside Python]")]
        with harness.figures():
            self.assertTrue(lines, str(run))
        for frames in lines:
            self.assertNotIn("allocate.py", frames[-1], "an allocator is native code")
            self.assertNotIn("allocate.py", frames[0], "and so is what calls the interpreter")
        named = sum(count for frames, count in folded.stacks if ON_THE_WAY.search(" ".join(below_line(frames))))
        with harness.figures():
            self.assertGreater(named, 0.1 * folded.total(), lines[:3])  # of a stripped 3.14 a third
        page = profiles.page_data(self.derive(out, "run.html"))["run"]
        self.assertIn(1, page["frames"]["kind"], "native frames are in the page too")
        counters = run.json()["counters"]
        self.assertGreaterEqual(counters["native_stacks"], run.json()["samples"], str(run))
        self.assertLess(counters["native_stacks_lost"] + counters["native_stacks_broken"] +
                        counters["native_stacks_cut"], 0.05 * counters["native_stacks"] + 2, str(run))

    def test_a_page_is_recorded_as_it_is_reported(self):
        out = self.folder / "run.html"
        _, run = self.record(out)
        data = profiles.page_data(out)["run"]
        self.assertEqual(data["head"]["mode"], "alloc")
        self.assertEqual(sum(data["allocation"]["samples"]), run.json()["samples"], str(run))

    def test_a_diff_says_what_spends_more(self):
        """The second run does other things: what the first one did is gone, and what came is named."""
        before, after = self.folder / "before.memspy", self.folder / "after.memspy"
        self.record_enough(before)
        truth = self.record_enough(after, workload=["--kinds"])
        diff = self.run_memspy("diff", before, after, "--json").json()
        rows = {row["function"]: row for row in diff["rows"]}
        came = set(truth["parts"]) - {"first"}
        with harness.figures():
            self.assertIn(next(row["function"] for row in diff["rows"] if row["delta_microseconds_per_cpu_second"] > 0), came)
            self.assertRegex(diff["verdict"], rf"^({'|'.join(came)}) \(allocate.py\) spends more time allocating in B: \+")
        second = rows["second"]
        self.assertGreater(second["recordings"][0]["own_microseconds"], 0)
        self.assertEqual(second["recordings"][1]["own_microseconds"], 0)
        for run, row in zip(diff["recordings"], second["recordings"]):
            self.assertAlmostEqual(row["own_microseconds"] / (run["user_cpu_microseconds"] / 1e6),
                                   row["microseconds_per_cpu_second"], delta=1)
        text = self.run_memspy("diff", before, after).out
        self.assertIn(diff["verdict"], text)
        self.assertEqual(text.splitlines()[-1], diff["advice"])
        self.assertRegex(diff["advice"], r"^to do: look at \w+ \(allocate.py\) first")
        self.assertNotIn("iB", text.split("function")[1], "a table of time has no bytes")
        self.check_conditions(before, after, diff)
        same = self.run_memspy("diff", after, after)
        self.assertIn("nothing clearly spends more time allocating in B", same.out)

    def record_enough(self, out, **options):
        """A machine that is busy leaves fewer ticks, and what is clear takes some."""
        for seconds in (SECONDS, 2 * SECONDS, 4 * SECONDS, 8 * SECONDS):
            out.unlink(missing_ok=True)
            truth, run = self.record(out, seconds=seconds, **options)
            if run.json()["counters"]["clock_ticks"] >= ENOUGH:
                return truth
        raise AssertionError(f"not {ENOUGH} ticks in {seconds} s: {run}")

    def check_conditions(self, before, after, diff):
        share = diff["recordings"][1]["allocating_share"]
        self.run_memspy("diff", before, after, "--fail-on", f"allocating>{100 * share - 1:.1f}%", code=8)
        self.run_memspy("diff", before, after, "--fail-on", f"allocating>{100 * share + 1:.1f}%")
        self.run_memspy("diff", after, after, "--fail-on", "allocating.change>0.1%")
        refused = self.run_memspy("diff", before, after, "--fail-on", "growth>1MiB", code=2)
        self.assertIn("tell time, and nothing of growth", refused.err)

    def check_parts(self, out, truth, run):
        folded = profiles.Folded(self.derive(out, "run.folded"))
        ours = folded.by_function("allocate.py", list(truth["parts"]) + truth["idle"])
        said = f"{ours}\n{truth}\n{run}"
        idle = sum(ours.get(name, 0) for name in truth["idle"])
        makers = {name: ours.get(name, 0) for name in truth["parts"]}
        samples = run.json()["samples"]
        with harness.figures():
            # Two samples may be chance: the object to iterate with, met by ticks that stand for more than others.
            self.assertLessEqual(idle, (IDLE + 2 / max(1, samples)) * folded.total(), said)
            self.assertGreater(samples, 30, said)
            self.assertLess(profiles.distance(makers, truth["parts"]), chance(samples), said)
            # 16 parts and 9 may change places by chance in 70 samples, which a busy machine has; 16 and 5 do not.
            self.assertGreater(makers["first"], makers["third"], said)
        return folded

    def check_summary(self, summary, folded, truth):
        counters = summary["counters"]
        self.assertEqual(summary["engine"], "clock")
        self.assertNotIn("growth_bytes", summary)
        self.assertLessEqual(abs(counters["allocating_microseconds"] - folded.total()), 100, summary)
        cpu = truth["cpu_seconds"] * 1e6
        with harness.figures():
            self.assertLessEqual(counters["unclassified_ticks"], UNCLASSIFIED * counters["clock_ticks"], summary)
            # What the ticks stand for is what the process has computed, but for what the kernel did for it.
            self.assertLess(abs(counters["user_cpu_microseconds"] - cpu), 0.15 * cpu, f"{summary}\n{truth}")
            self.assertLess(abs(counters["cpu_microseconds"] - cpu), 0.15 * cpu, f"{summary}\n{truth}")

    def check_outputs(self, out, folded):
        text = self.run_memspy("report", out).out
        self.assertIn("mode alloc (time spent allocating)", text)
        self.assertIn("of the time that went into allocating", text)
        self.assertNotIn("iB", text.split("samples")[1], "a table of time has no bytes")
        whole = self.run_memspy("report", out, "--json").json()
        self.assertEqual(whole["total_microseconds"], folded.total())
        self.assertIsNotNone(self.derive(out, "run.pb.gz"))
        self.check_page(out, folded)
        self.check_older_format(out)

    def check_page(self, out, folded):
        page = self.derive(out, "run.html")
        run = profiles.page_data(page)["run"]
        self.assertEqual(run["head"]["mode"], "alloc")
        # Stacks lose their parts of a microsecond one by one.
        spent = sum(run["allocation"]["nanoseconds"]) / 1000
        self.assertLessEqual(folded.total(), spent)
        self.assertLess(spent, folded.total() + len(folded.stacks) + 1)
        told = self.run_memspy("report", out, "--json").json()
        self.assertAlmostEqual(sum(run["user_cpu"]["nanoseconds"]) / 1000, told["user_cpu_microseconds"], delta=2)
        self.assertIn("of the time that went into allocating", run["head"]["words"]["verdict"])
        self.assertEqual(page.read_bytes(), self.derive(out, "again.html").read_bytes())

    def check_older_format(self, out):
        with sqlite3.connect(out) as recording:
            self.assertEqual(recording.execute("PRAGMA user_version").fetchone(), (3,))
            top = recording.execute("SELECT function FROM allocation_lines LIMIT 1").fetchone()
            self.assertIn(top[0], ("first", "second"))
            recording.executescript("DROP VIEW allocation_lines; DROP TABLE allocation; PRAGMA user_version=2;"
                                    "UPDATE header SET value='growth' WHERE key='mode'")
        self.assertIn("steady", self.run_memspy("report", out).out)


if __name__ == "__main__":
    unittest.main()
