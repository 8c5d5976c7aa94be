"""Native frames among Python's, once for each interpreter: C that calls Python that calls C."""
import unittest

import harness

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
        target = self.parked("--spin")
        whole = 0
        for _ in range(10):
            thread = self.dump(target)[target.ready["spinner"]]
            python = [f["function"] for f in thread["frames"] if not is_native(f)]
            self.assertEqual(python[-1].split(".")[-1], "_bootstrap", python)
            self.assertFalse([f for f in thread["frames"] if LOOP in f["function"]])
            if "native_note" not in thread:
                whole += 1
                self.check_c_between(thread["frames"], [way for way in target.ready["ways"]
                                                        if way in python[1:]])
        self.assertGreaterEqual(whole, 9)


if __name__ == "__main__":
    unittest.main()
