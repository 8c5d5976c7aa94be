"""-s: children that are there already, forked, spawned or run as commands later, each with its own
root frame and its own series; and processes that do not stay what they were."""
import json
import os
import re
import signal
import unittest

import harness
import profiles

ROOT = re.compile(r"pid (\d+) \((.*)\)$")


def process_of(frames):
    """The PID of a stack's root frame; None without one."""
    root = ROOT.match(frames[0])
    return int(root[1]) if root else None


class Subprocesses(harness.PythonCase):
    def assert_grown(self, folded, said, run):
        """What this process grew by, in its function, below its own root frame."""
        def key(frames):
            names = [profiles.FRAME.match(frame) for frame in frames]
            inside = any(name and name["function"] == said["function"] for name in names)
            return process_of(frames) if inside else None
        found = folded.by(key).get(said["pid"], 0)
        # Wide: a program that starts and grows for a third of a second is mostly over before its
        # places are known.
        self.assertGreater(found, 0.7 * said["grown"], f"{said}\n{folded.by(process_of)}\n{run}")
        self.assertLess(found, 1.3 * said["grown"], f"{said}\n{run}")

    def test_children_of_every_kind(self):
        target = self.script(self.python, "family.py")
        early = target.ask("fork")  # grown before memspy came: there, but not growing
        out, series = self.folder / "out.folded", self.folder / "series.csv"
        memspy = self.memspy("record", "-s", "-p", target.pid, "-o", out, "--timeseries", series, "-i", "100ms",
                             "--json")
        memspy.until_attached(target.pid)
        harness.eventually(lambda: harness.status(early["pid"])["TracerPid"] != "0",
                           "the child that was there is attached")
        grown = [target.ask(way) for way in ("grow", "fork", "command", "spawn")]
        target.ask("end")
        run = memspy.stop()
        self.assertEqual(run.code, 0, str(run))
        folded = profiles.Folded(out)
        for said in grown:
            with self.subTest(function=said["function"]):
                self.assert_grown(folded, said, run)
        self.assertLess(folded.by(process_of).get(early["pid"], 0), 4 << 20, "it has not grown since")
        points = profiles.read_series(series)
        self.assertLessEqual({said["pid"] for said in grown}, {int(point["pid"]) for point in points})
        target.ask("grow")
        self.assert_untouched(target.pid)

    def test_what_a_fork_shares_with_its_parent_has_a_row(self):
        target = self.script(self.python, "family.py")
        out = self.folder / "out.folded"
        memspy = self.memspy("record", "-s", "-p", target.pid, "-o", out, "--json")
        memspy.until_attached(target.pid)
        forked, other = target.ask("fork"), target.ask("command")
        run = memspy.stop()
        self.assertEqual(run.code, 0, str(run))
        inherited = profiles.Folded(out).by(
            lambda frames: process_of(frames) if frames[-1] == "[inherited by fork]" else None)
        self.assertGreater(inherited.get(forked["pid"], 0), 2 << 20, str(run))
        self.assertLess(inherited.get(other["pid"], 0), 2 << 20, "it runs another program")
        # What each child takes before its first stop; under the thread sanitizer, which is slow, up to 4.2 MiB were seen.
        self.assertLess(run.json()["unattributed_bytes"], 8 << 20, str(run))

    def test_children_that_come_and_go_are_not_where_the_run_started(self):
        """What each of them had at its fork was never the tree's at one time."""
        target = self.script(self.python, "family.py")
        memspy = self.memspy("record", "-s", "-p", target.pid, "-o", self.folder / "out.folded", "--json")
        memspy.until_attached(target.pid)
        start = harness.resident(target.pid)
        for _ in range(8):
            target.ask("command")
        target.ask("grow")
        target.ask("end")
        run = memspy.stop()
        self.assertEqual(run.code, 0, str(run))
        summary = run.json()
        rss = summary["rss_bytes"]
        self.assertLess(rss["start"], start + (24 << 20), f"one process and its files\n{run}")
        self.assertLessEqual(rss["start"], rss["peak"])
        self.assertEqual(summary["growth_bytes"] - summary["shrink_bytes"], rss["end"] - rss["start"])
        total = profiles.Folded(self.folder / "out.folded").total()
        self.assertLess(abs(total - summary["growth_bytes"]), 0.02 * total, str(run))

    def test_live_views_have_a_row_for_each_process(self):
        target = self.script(self.python, "family.py")
        memspy = self.memspy("attach", "-s", "-p", target.pid, "-i", "100ms", "--json")
        memspy.until_attached(target.pid)
        child = target.ask("fork")

        def seen():
            """The workers, once the child is among them with most of its growth."""
            complete = memspy.out.rpartition("\n")[0].splitlines()
            workers = {row["pid"]: row for row in json.loads(complete[-1])["workers"]} if complete else {}
            top = workers.get(child["pid"], {}).get("top")
            return workers if top and top["own_bytes"] > child["grown"] / 2 else None
        workers = harness.eventually(seen, f"the child has a row\n{memspy.out[-2000:]}")
        self.assertEqual(set(workers), {target.pid, child["pid"]})
        self.assertEqual(workers[child["pid"]]["top"]["function"], "grow")
        self.assertGreater(workers[child["pid"]]["rss_bytes"], child["grown"])
        self.assertEqual(memspy.stop().code, 0)
        text = self.run_memspy("top", "-s", "-p", target.pid, "--batch", "-n", "1", "-i", "100ms").out
        for pid in workers:
            self.assertRegex(text, rf"(?m)^ +{pid} +[0-9.]+ MiB ", text)

    def test_no_child_is_missed(self):
        """A child may execute its program before its parent's fork is told."""
        target = self.script(self.python, "family.py")
        memspy = self.memspy("record", "-s", "-p", target.pid, "-o", self.folder / "out.folded", "--json")
        memspy.until_attached(target.pid)
        children = [target.ask("command")["pid"] for _ in range(6)]
        for child in children:
            self.assertNotEqual(harness.status(child)["TracerPid"], "0", child)
        self.assertEqual(memspy.stop().code, 0)
        for child in children:
            self.assert_untouched(child)

    def test_a_shell_in_front_of_python(self):
        """What a container starts is often no Python itself; with -s its children are meant."""
        command = self.python.command(harness.TARGETS / "growing.py")
        target = self.target(["sh", "-c", '"$@"; :', "sh", *command])
        child = target.hear("ready")["pid"]
        out = self.folder / "out.folded"
        memspy = self.memspy("record", "-s", "-p", target.pid, "-o", out, "--json")
        memspy.until_attached(child)
        run = memspy.stop()
        self.assertEqual(run.code, 0, str(run))
        self.assertEqual(run.json()["pid"], target.pid)
        looked = self.run_memspy("dump", "-s", "-p", target.pid, "--json").json()
        self.assertIsNone(looked["python"])
        self.assertIn(child, [process["pid"] for process in looked["subprocesses"]])
        self.assert_untouched(target.pid)
        self.assert_untouched(child)

    def test_a_program_that_is_executed_away_is_not_resident_any_more(self):
        command = self.python.command(harness.TARGETS / "growing.py", "--mb", "5")
        # The interval is longer than the shell lives: no look at RSS falls between.
        run = self.run_memspy("record", "-i", "30s", "-o", self.folder / "out.folded", "--json", "--", "sh", "-c",
                              "kept=$(head -c 20000000 /dev/zero | tr '\\0' x); exec \"$@\"", "sh", *command)
        said = run.json()
        self.assertGreater(said["shrink_bytes"], 15_000_000, "the shell's variable went with it")
        self.assertLessEqual(said["rss_bytes"]["end"], said["rss_bytes"]["peak"])
        change = said["rss_bytes"]["end"] - said["rss_bytes"]["start"]
        self.assertEqual(said["growth_bytes"] - said["shrink_bytes"], change)

    def test_a_launched_shell_is_told_from_python(self):
        """What was sampled of it is written; that there is no Python in it is for a script to see."""
        out = self.folder / "out.folded"
        command = self.python.command(harness.TARGETS / "growing.py", "--alone", "--mb", "30")
        start = ["sh", "-c", '"$@"; :', "sh", *command]
        run = self.run_memspy("record", "-o", out, "--json", "--", *start, code=5)
        self.assertIn("no CPython that memspy knows", run.err)
        self.assertIn("-s, if it starts Python", run.err)
        self.assertGreater(profiles.Folded(out).total(), 0)
        self.assertEqual(run.json()["output"], str(out))
        self.run_memspy("record", "-s", "--force", "-o", out, "--", *start)
        self.assertIn("(growing.py:", out.read_text())
        self.run_memspy("record", "--force", "-o", out, "--", "sh", "-c", 'exec "$@"', "sh", *command)
        self.assertIn("(growing.py:", out.read_text())
        self.run_memspy("record", "--rss", "-o", self.folder / "out.csv", "--", "true")

    def test_without_the_flag_children_are_left_alone(self):
        target = self.script(self.python, "family.py")
        out = self.folder / "out.folded"
        memspy = self.memspy("record", "-p", target.pid, "-o", out, "--json")
        memspy.until_attached(target.pid)
        child = target.ask("fork")
        self.assert_untouched(child["pid"])
        parent = target.ask("grow")
        run = memspy.stop()
        self.assertEqual(run.code, 0, str(run))
        total = profiles.Folded(out).total()
        self.assertLess(total, 1.25 * parent["grown"], str(run))

    def test_the_parent_ends_first(self):
        """Its children are recorded on, until they end too or memspy is stopped."""
        target = self.script(self.python, "family.py")
        child = target.ask("fork")
        out = self.folder / "out.folded"
        memspy = self.memspy("record", "-s", "-p", target.pid, "-o", out, "--json")
        memspy.until_attached(target.pid)
        os.kill(target.pid, signal.SIGKILL)
        target.process.wait(harness.DEADLINE)
        memspy.process.poll()
        run = memspy.stop() if memspy.process.poll() is None else memspy.finish()
        self.assertIn(run.code, (0, 6), str(run))
        harness.eventually(lambda: harness.state(child["pid"]) in ("", "Z"), "the child sees the end")


if __name__ == "__main__":
    unittest.main()
