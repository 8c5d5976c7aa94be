"""Every verb once on each interpreter: it does what it is for, in text and in JSON."""
import json
import re
import unittest

import harness
import profiles


class Verbs(harness.PythonCase):
    def growing(self):
        """A target that is in the middle of growing, for seconds to come."""
        target = self.script(self.python, "fates.py")
        target.ask("ping")
        return target

    def recorded(self, name="a.memspy"):
        target = self.growing()
        out = self.folder / name
        self.run_memspy("record", "-p", target.pid, "-d", "1.5", "-i", "100ms", "-o", out)
        return out

    def version(self):
        return ".".join(map(str, self.python.version))

    def test_attach(self):
        target = self.growing()
        run = self.run_memspy("attach", "--pid", target.pid, "-d", 2, "-i", "250ms")
        self.assertIn("grow_steadily", run.out)
        self.assertIn("samples", run.out + run.err)
        self.assertGreater(len(run.out.splitlines()), 6)
        self.assertNotIn("\x1b", run.out)
        self.assert_untouched(target.pid)

    def test_attach_json(self):
        target = self.growing()
        run = self.run_memspy("attach", "--pid", target.pid, "-d", 1, "-i", "250ms", "--json")
        lines = [json.loads(line) for line in run.out.splitlines()]
        self.assertGreater(len(lines), 2)
        for line in lines:
            self.assertRegex(line["schema"], r"^memspy\.attach/1$")

    def test_top_batch(self):
        target = self.growing()
        run = self.run_memspy("top", "-b", "-n", 3, "-i", "300ms", "-p", target.pid)
        for word in (str(target.pid), "grow_steadily", "fates.py", self.version(), "RSS"):
            self.assertIn(word, run.out)
        self.assertNotIn("\x1b", run.out)
        self.assert_untouched(target.pid)

    def test_top_json(self):
        target = self.growing()
        run = self.run_memspy("top", "--json", "-n", 3, "-i", "300ms", "-p", target.pid)
        lines = [json.loads(line) for line in run.out.splitlines()]
        self.assertEqual(len(lines), 3)
        for line in lines:
            self.assertEqual(line["schema"], "memspy.top/1")
        self.assertIn("grow_steadily", json.dumps(lines[-1]))

    def test_top_of_the_host(self):
        target = self.growing()
        run = self.run_memspy("top", "-b", "-n", 1, "-i", "100ms")
        row = next((line for line in run.out.splitlines() if re.search(rf"\b{target.pid}\b", line)), "")
        self.assertIn("fates.py", row, str(run))
        self.assertIn(f"3.{self.python.minor}", row)

    def test_doctor(self):
        target = self.growing()
        run = self.run_memspy("doctor", target.pid)
        self.assertIn(self.version(), run.out)
        self.assert_untouched(target.pid)
        run = self.run_memspy("doctor", "-p", target.pid, "--json")
        document = run.json()
        self.assertEqual(document["schema"], "memspy.doctor/1")
        self.assertIn(self.version(), json.dumps(document))
        self.assertIn("faults", json.dumps(document))

    def test_report_in_every_form(self):
        recording = self.recorded()
        text = self.run_memspy("report", recording).out
        self.assertIn("grow_steadily", text)
        self.assertIn("fates.py", text)
        for by in ("function", "line", "file"):
            self.assertIn("fates.py", self.run_memspy("report", recording, "--by", by).out)
        self.assertIn("grow_steadily", self.run_memspy("report", recording, "-f", "tree").out)
        out = self.folder / "out.folded"
        self.run_memspy("report", recording, "-o", out)
        self.assertEqual(profiles.Folded(out).top()[:2], ("grow_steadily", "fates.py"))
        self.assertEqual(self.run_memspy("report", recording, "--from", "0").out, text)
        later = self.run_memspy("report", recording, "--from", "0.5").out
        self.assertNotEqual(later, text)
        self.run_memspy("report", recording, "--from", "2", "--to", "1", code=2)
        window = self.run_memspy("report", recording, "--from", "0.5", "-f", "json").json()
        self.assertGreater(window["window"]["from_seconds"], 0.45)
        self.assertIsNone(window["summary"])
        document = json.loads(self.run_memspy("report", recording, "-f", "json").out)
        self.assertTrue(document["schema"].startswith("memspy."))
        csv = self.folder / "series.csv"
        self.run_memspy("report", recording, "-o", csv)
        self.assertGreater(len(profiles.read_series(csv)), 5)

    def test_annotated_source(self):
        run = self.run_memspy("report", self.recorded(), "-f", "source", "--source-root", harness.TARGETS)
        line = next((line for line in run.out.splitlines() if line.endswith("# grows")), "")
        self.assertRegex(line, r"\d")
        self.assertIn("KEPT.append", line)

    def test_diff(self):
        first, second = self.recorded("a.memspy"), self.recorded("b.memspy")
        run = self.run_memspy("diff", first, second)
        self.assertIn("grow_steadily", run.out)
        document = self.run_memspy("diff", first, second, "--json").json()
        self.assertEqual(document["schema"], "memspy.diff/1")


class EveryInterpreterOrNone(harness.Case):
    """What does not depend on an interpreter."""

    def test_version_and_help(self):
        self.assertRegex(self.run_memspy("--version").out, r"memspy \d+\.\d+\.\d+")
        self.assertIn("Exit codes", self.run_memspy("--help").out)
        for verb in ("attach", "record", "report", "top", "dump", "diff", "doctor", "completions"):
            self.assertIn("--help", self.run_memspy(verb, "--help").out)

    def test_completions_are_scripts(self):
        for shell in ("bash", "zsh", "fish"):
            text = self.run_memspy("completions", shell).out
            self.assertIn("memspy", text)
            self.assertIn("record", text)


if __name__ == "__main__":
    unittest.main()
