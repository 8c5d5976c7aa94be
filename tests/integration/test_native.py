"""Native frames among Python's, once for each interpreter: C that calls Python that calls C."""
import re
import shutil
import sqlite3
import subprocess
import unittest

import harness
import profiles

LOOP = "_PyEval_EvalFrameDefault"


def shape(frames):
    return [(frame["function"], frame["file"], frame["line"]) for frame in frames]


def is_native(frame):
    return "native" in frame


class Native(harness.PythonCase):
    maxDiff = None

    def dump(self, target):
        run = self.run_memspy("dump", "-p", target.pid, "--json", "-n")
        self.assert_untouched(target.pid)
        return {thread["tid"]: thread for thread in run.json()["threads"]}

    def parked(self, *arguments):
        target = self.script(self.python, "nests.py", *arguments)
        harness.until_listening(target.pid)
        return target

    def test_python_frames_stand_where_the_evaluation_loops_were(self):
        target = self.parked()
        ours = self.dump(target)
        for truth in target.ready["threads"]:
            with self.subTest(thread=truth["name"]):
                frames = ours[truth["tid"]]["frames"]
                self.assertEqual(shape(f for f in frames if not is_native(f)), shape(truth["frames"]))
                self.assertEqual(ours[truth["tid"]].get("native_note", ""), "")
                self.assertFalse([f for f in frames if LOOP in f["function"]])
                # A thread begins in C, and these wait in C.
                self.assertTrue(is_native(frames[0]) and is_native(frames[-1]))
                self.check_c_between(frames, target.ready["ways"])

    def check_c_between(self, frames, ways):
        """Each way leads through C: below a function of that name (and its inner ones) is none of
        Python's that C has not called."""
        for at, frame in enumerate(frames):
            if frame["function"] in ways:
                self.assertTrue(is_native(frames[at - 1]), (frame, frames[at - 1]))

    def test_functions_of_libraries_have_names(self):
        target = self.parked()
        thread = {t["name"]: t for t in self.dump(target).values()}["by_library"]
        native = [frame for frame in thread["frames"] if is_native(frame)]
        self.assertTrue([f for f in native if "qsort" in f["function"]], native)
        for frame in native:
            if frame["native"]["module"].startswith("/"):
                self.assertRegex(frame["native"]["build_id"] or "0", "^[0-9a-f]+$")

    def test_a_thread_of_c_is_shown_and_named(self):
        target = self.parked()
        plain = [t for t in self.dump(target).values() if not t["python"]]
        self.assertEqual([t["name"] for t in plain], ["plain C"])
        self.assertIn("pause", " ".join(f["function"] for f in plain[0]["frames"]))

    def test_a_thread_that_runs(self):
        """Most looks find it in `compute`, below all of the ways. On the way there are calls from Python
        to Python as well (re.compile(), a generator's begin); and at some moments nothing is readable."""
        target = self.parked("--spin")
        whole = 0
        for _ in range(20):
            thread = self.dump(target)[target.ready["spinner"]]
            self.assertFalse([f for f in thread["frames"] if LOOP in f["function"]])
            python = [f["function"] for f in thread["frames"] if not is_native(f)]
            if python:
                self.assertEqual(python[-1].split(".")[-1], "_bootstrap", python)
            if python[:1] == ["compute"] and "native_note" not in thread:
                whole += 1
                self.check_c_between(thread["frames"], target.ready["ways"])
        self.assertGreaterEqual(whole, 10)


def python_leaf(frames):
    """The innermost Python frame of a folded stack."""
    found = None
    for frame in frames:
        match = profiles.FRAME.match(frame)
        if match and match["file"].endswith(".py"):
            found = match["function"], match["file"], int(match["line"] or 0)
    return found


@harness.sampled
class Recorded(harness.PythonCase):
    """record -n, and what can be made of its recording without the process."""

    def record(self, megabytes=60):
        """A recording of one `grow` of growing.py; returns (ready, grown, its path, run)."""
        out = self.folder / "run.memspy"
        ready, grown, run = self.record_growth(out, "-n", megabytes=megabytes)
        return ready, grown, out, run

    def report(self, recording, *arguments):
        out = self.folder / "again.folded"
        self.run_memspy("report", recording, "-o", out, "--force", *arguments)
        return out

    def test_lines_and_native_frames(self):
        ready, grown, recording, run = self.record()
        folded = profiles.Folded(self.report(recording))
        by_line = folded.by(python_leaf)
        with harness.figures():
            self.assertEqual(max(by_line, key=by_line.get), (ready["function"], ready["file"], ready["line"]))
            self.assertLessEqual(abs(folded.total() - grown), 0.02 * grown, str(run))
            self.assertGreater(by_line[ready["function"], ready["file"], ready["line"]], 0.9 * grown)
        # Below that line stands what C does there, and above everything where threads begin.
        native = sum(count for frames, count in folded.stacks
                     if python_leaf(frames) and not profiles.FRAME.match(frames[-1])["file"].endswith(".py"))
        self.assertGreater(native, 0.9 * grown, folded.stacks[:3])
        self.assertFalse([frames for frames, _ in folded.stacks if LOOP in " ".join(frames)])
        counters = run.json()["counters"]
        self.assertLess(counters["native_stacks_lost"] + counters["native_stacks_broken"] +
                        counters["native_stacks_cut"], 0.02 * counters["native_stacks"] + 2, counters)

    def test_buffers_that_come_and_go(self):
        """In threads that are over before a stop, at addresses that others have afterwards."""
        target = self.script(self.python, "requests.py")
        out = self.folder / "run.memspy"
        memspy = self.memspy("record", "-p", target.pid, "-o", out, "--engine", "faults", "-n", "--json")
        memspy.until_attached(target.pid)
        grown = target.ask("serve")["grown"]
        run = memspy.stop()
        self.assertEqual(run.code, 0, str(run))
        folded = profiles.Folded(self.report(out))
        lines = {}
        for leaf, count in folded.by(python_leaf).items():
            name = leaf and ("kept" if "kept" in leaf[0] else leaf[0].rsplit(".", 1)[-1])
            lines[name] = lines.get(name, 0) + count
        with harness.figures():  # a record for every twentieth fault; without them it was none to a half
            self.assertGreater(lines.get("kept", 0), 0.65 * target.ready["kept"], (grown, lines))
            self.assertLess(lines.get("given_back", 0), 0.4 * target.ready["kept"], (grown, lines))
        within = sum(count for frames, count in folded.stacks
                     if "kept" in " ".join(frames) and not profiles.FRAME.match(frames[-1])["file"].endswith(".py"))
        self.assertGreater(within, 0.9 * lines["kept"], "native frames at the end")

    def test_a_recording_holds_addresses_and_names_come_again(self):
        _, _, recording, _ = self.record(20)
        first = self.report(recording).read_text(encoding="utf-8")
        with sqlite3.connect(recording) as db:
            self.assertEqual(db.execute("PRAGMA user_version").fetchone(), (3,))
            modules = db.execute("SELECT path, build_id FROM modules").fetchall()
            self.assertTrue([path for path, build_id in modules if "libc" in path and build_id])
            text = db.execute("SELECT count(*) FROM frames WHERE kind = 1 AND function != ''").fetchone()
            self.assertEqual(text, (0,))
            db.execute("DELETE FROM names")
        self.assertEqual(self.report(recording).read_text(encoding="utf-8"), first)
        with_more = self.report(recording, "--symbolize", "--debug-dir", self.folder)
        self.assertEqual(with_more.read_text(encoding="utf-8"), first)

    def test_on_a_machine_without_the_files(self):
        """Names that the recording has stay; addresses where it has none; build ids in what is said."""
        _, _, recording, _ = self.record(20)
        first = self.report(recording).read_text(encoding="utf-8")
        with sqlite3.connect(recording) as db:
            db.execute("UPDATE modules SET path = '/elsewhere' || path, build_id = build_id || 'ff'")
        self.assertEqual(self.report(recording, "--symbolize").read_text(encoding="utf-8").count("\n"),
                         first.count("\n"))
        with sqlite3.connect(recording) as db:
            db.execute("DELETE FROM names")
        run = self.run_memspy("report", recording, "-f", "folded")
        self.assertRegex(run.out, r"0x[0-9a-f]+ \(libc")
        self.assertIn("build id", run.err)

    @unittest.skipUnless(shutil.which("go"), "no go: golang-go")
    def test_pprof_opens_it(self):
        ready, grown, recording, _ = self.record(20)
        out = self.folder / "run.pb.gz"
        self.run_memspy("report", recording, "-o", out)
        top = subprocess.run(["go", "tool", "pprof", "-top", "-cum", "-unit=B", str(out)],
                             capture_output=True, text=True, check=True).stdout
        function = ready["function"].rsplit(".", 1)[-1]
        line = next(line for line in top.splitlines() if function in line)
        self.assertGreater(float(re.findall(r"([0-9.]+)B", line)[-1]), 0.9 * grown, top)
        raw = subprocess.run(["go", "tool", "pprof", "-raw", str(out)],
                             capture_output=True, text=True, check=True).stdout
        self.assertRegex(raw.split("Mappings")[1], r"libc\.so\.6 [0-9a-f]{16,}")


if __name__ == "__main__":
    unittest.main()
