"""One look at every thread, once for each interpreter, against the interpreter's own view."""
import unittest

import harness


def shape(thread):
    return [(frame["function"], frame["file"], frame["line"]) for frame in thread["frames"]]


class Dump(harness.PythonCase):
    maxDiff = None

    def parked(self, *arguments):
        """The target, once every thread is where it says it is."""
        target = self.script(self.python, "stacks.py", *arguments)
        harness.until_listening(target.pid)
        return target

    def dump(self, target, *arguments):
        run = self.run_memspy("dump", "-p", target.pid, "--json", *arguments)
        self.assert_untouched(target.pid)
        return run.json()

    def test_every_stack_equals_the_interpreters_own_view(self):
        target = self.parked()
        seen = self.dump(target)
        self.assertEqual(seen["schema"], "memspy.dump/1")
        self.assertEqual(seen["pid"], target.pid)
        self.assertEqual(seen["python"]["version"], ".".join(map(str, target.ready["version"])))
        self.assertFalse(seen["python"]["free_threaded"])
        ours = {thread["tid"]: thread for thread in seen["threads"]}
        for truth in target.ready["threads"]:
            with self.subTest(thread=truth["name"]):
                self.assertIn(truth["tid"], ours)
                self.assertEqual(shape(ours[truth["tid"]]), shape(truth))
        self.assertEqual(set(ours), {truth["tid"] for truth in target.ready["threads"]})
        self.assertFalse([thread for thread in seen["threads"] if thread["gil"]])

    def test_no_page_is_mapped_by_looking(self):
        target = self.parked()
        before = harness.resident(target.pid)
        for arguments in ((), ("-l",)):
            self.dump(target, *arguments)
        self.assertLessEqual(harness.resident(target.pid) - before, 16384)  # a wake-up of its own

    def test_threads_have_their_python_names(self):
        target = self.parked()
        names = {thread["tid"]: thread["name"] for thread in self.dump(target)["threads"]}
        for truth in target.ready["threads"]:
            with self.subTest(thread=truth["name"]):
                self.assertEqual(names.get(truth["tid"]), truth["name"])

    def test_the_holder_of_the_gil(self):
        target = self.parked("--spin")
        spinner = target.ready["spinner"]
        low, high = target.ready["spin_lines"]
        for _ in range(5):
            threads = self.dump(target)["threads"]
            holders = [thread for thread in threads if thread["gil"]]
            self.assertEqual([thread["tid"] for thread in holders], [spinner])
            function, _, line = shape(holders[0])[0]
            self.assertEqual(function, "spin")
            self.assertTrue(low <= line <= high, line)

    def test_text(self):
        target = self.parked()
        run = self.run_memspy("dump", target.pid)
        self.assertIn(f"Process {target.pid}", run.out)
        self.assertIn(".".join(map(str, target.ready["version"])), run.out)
        for truth in target.ready["threads"]:
            self.assertIn(str(truth["tid"]), run.out)
        self.assertNotIn("\x1b", run.out)

    def test_locals(self):
        target = self.parked()
        threads = {thread["name"]: thread for thread in self.dump(target, "-l")["threads"]}
        frame = next(frame for frame in threads["recursion"]["frames"]
                     if frame["function"] == "recurse")
        self.assertEqual({local["name"]: local["repr"] for local in frame["locals"]}, {"depth": "0"})
        close = next(frame for frame in threads["method"]["frames"]
                     if frame["function"].endswith("close"))
        values = {local["name"]: local["repr"] for local in close["locals"]}
        self.assertEqual(values["reason"], "'over several'")
        self.assertEqual(values["lines"], "3")
        self.assertIn("Account", values["self"])


if __name__ == "__main__":
    unittest.main()
