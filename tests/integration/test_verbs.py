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
        self.assertRegex(run.out, "/min  ▁[▂-█]+ ")  # RSS rises
        self.assertIn("samples", run.out + run.err)
        self.assertGreater(len(run.out.splitlines()), 6)
        self.assertNotIn("\x1b", run.out)
        self.assert_untouched(target.pid)

    def test_attach_with_an_alert(self):
        target = self.script(self.python, "family.py")
        memspy = self.memspy("attach", "--pid", target.pid, "-i", "100ms", "--alert", "rss > 40MiB",
                             "--report-interval", "10m", "--json")
        memspy.until_attached(target.pid)

        def told():
            target.ask("grow")
            return '"alert"' in memspy.out
        harness.eventually(told, "the alert fires")
        run = memspy.stop()
        lines = [json.loads(line) for line in run.out.splitlines()]
        self.assertEqual([line["event"] for line in lines], ["status", "alert", "end"], str(run))
        self.assertEqual((lines[1]["when"], lines[1]["state"]), ("rss > 40MiB", "firing"))
        self.assertGreater(lines[1]["rss_bytes"], 40 << 20)
        end = lines[2]["alert"]
        self.assertEqual(end["fired"], 1)
        self.assertGreaterEqual(end["rss_peak_bytes"], end["rss_average_bytes"])

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

    def allocating(self):
        """A target that allocates until it is ended, most of the time in `first`."""
        target = self.target(self.python.command(harness.WORKLOADS / "allocate.py", "--duration", 10000))
        target.hear("ready")
        target.tell("go")
        return target

    def live_json(self, holds, *arguments):
        """The documents of a live verb up to the one that `holds` is true of."""
        memspy = self.memspy(*arguments, "--json", "-i", "200ms")

        def documents():
            return [json.loads(line) for line in memspy.out.splitlines(keepends=True) if line.endswith("\n")]

        def found():
            if memspy.process.poll() is not None:
                raise AssertionError(f"it ended before: {memspy.finish()}")
            return any(holds(document) for document in documents())
        try:
            harness.eventually(found, f"{arguments} says it")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{memspy.out[-4000:]}\n{memspy.err}") from None
        run = memspy.stop()
        self.assertEqual(run.code, 0, str(run))
        return documents()

    def test_top_of_time(self):
        target = self.allocating()
        def told(document):  # forty samples alone may have the second before the first
            rows = document["rows"]
            return (sum(row["samples"] for row in rows) >= 40 and
                    max(rows, key=lambda row: row["own_microseconds"])["function"] == "first")
        documents = self.live_json(told, "top", "--mode", "alloc", "-F", "-p", target.pid)
        last = next(document for document in documents if told(document))
        rows = last["rows"]
        own = {row["function"]: row["own_microseconds"] for row in rows}
        self.assertAlmostEqual(sum(row["percent"] for row in rows), 100, delta=0.1)
        run = next(row for row in rows if row["function"] == "run")
        self.assertLessEqual(run["cumulative_microseconds"], sum(own.values()), last)
        self.assertGreater(run["cumulative_microseconds"], 0.9 * sum(own.values()), last)
        self.assertGreater(sum(row["now_cpu_share"] for row in rows), 0)
        self.assertLess(sum(row["now_cpu_share"] for row in rows), 1)  # one thread
        self.assertGreater(last["allocating_share"], 0)
        self.assertLess(last["allocating_share"], 1)
        self.assertLess(sum(own.values()), 1e6 * last["time_seconds"])
        self.assertFalse([key for row in rows for key in row if "bytes" in key])
        self.assertEqual(last["hottest_stack"][0]["file"].rpartition("/")[2], "allocate.py")
        run = self.run_memspy("top", "--mode", "alloc", "-b", "-n", 2, "-i", "300ms", "-p", target.pid)
        self.assertRegex(run.out, r"allocating [\d.<]+ % of .* of CPU time in user mode")
        self.assertIn("CPU NOW", run.out)
        self.assertNotIn("iB", run.out.rpartition("CUMULATIVE")[2], "a table of time has no bytes")
        self.assert_untouched(target.pid)

    def test_attach_of_time(self):
        target = self.allocating()
        documents = self.live_json(lambda d: d["top"] and d["top"]["function"] == "first",
                                   "attach", "--mode", "alloc", "-p", target.pid)
        told = next(d for d in documents if d["top"] and d["top"]["function"] == "first")
        self.assertGreater(told["top"]["own_microseconds"], 0)
        self.assertGreater(told["allocating_share"], 0)
        self.assertIn("of the time that went into allocating", documents[-1]["verdict"])
        self.assert_untouched(target.pid)

    def test_attach_with_native_frames(self):
        target = self.growing()

        def holds(document):
            top = document.get("top")
            return top and top["function"].endswith("grow_steadily") and top["ends_in"]
        documents = self.live_json(holds, "attach", "-n", "-p", target.pid)
        top = next(filter(holds, documents))["top"]
        self.assertTrue(top["file"].endswith("fates.py"), top)
        self.assertGreater(top["line"], 0)
        self.assertNotIn("module", top)
        self.assertTrue(top["ends_in"]["function"], top)
        self.assertRegex(top["ends_in"]["module"], "^/")
        self.assertIn("grow_steadily", documents[-1]["verdict"])
        run = self.run_memspy("attach", "-n", "-p", target.pid, "-d", 2, "-i", "250ms")
        self.assertRegex(run.out, r"grow_steadily \(fates\.py:\d+\), ends in \S.* \(")
        # Once, and of the interpreter and libc, as dump says of the same stacks.
        dump = self.run_memspy("dump", "-n", "-p", target.pid)
        self.assertEqual(run.err.count("no debug information"), dump.err.count("no debug information"), str(run))
        self.assert_untouched(target.pid)

    def test_top_with_native_frames(self):
        target = self.growing()

        def native(document):
            return [row for row in document["rows"] if row.get("module") and row["own_bytes"] > 0]
        documents = self.live_json(native, "top", "--native", "-p", target.pid, "--rows", 500)
        last = next(filter(native, documents))
        rows = {row["function"]: row for row in last["rows"] if row["file"].endswith("fates.py")}
        line = next(row for name, row in rows.items() if name.endswith("grow_steadily"))
        own = sum(row["own_bytes"] for row in native(last))
        self.assertGreater(line["cumulative_bytes"], 0.5 * own, last)
        self.assertLess(line["own_bytes"], 0.1 * own, last)  # it is C that touches
        self.assertIn("module", last["hottest_stack"][0])
        self.assertIn("grow_steadily", json.dumps(last["hottest_stack"]))
        run = self.run_memspy("top", "--native", "--batch", "-n", 4, "-i", "300ms", "-p", target.pid,
                              "--rows", 500)
        self.assertIn("grow_steadily (fates.py:", run.out)
        hottest = run.out.split("hottest stack:\n")[-1].splitlines()[0]
        self.assertRegex(hottest, r"^  \S+ \(")
        self.assertNotIn(".py", hottest)
        self.assert_untouched(target.pid)

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
        self.assertAlmostEqual(window["window"]["from_seconds"], 0.5, delta=0.3, msg="the tick next to it")
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
