"""What other people's programs read of what `memspy report` makes of a snapshot: DevTools of Chromium,
the reader behind VS Code's view of heap snapshots, Go's pprof. All of them have to say what memspy says."""
import collections
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import unittest

import harness
import heap_formats
import heap_views

READERS = pathlib.Path(__file__).resolve().parent / "readers"
LONG = 300  # seconds: a browser on a loaded machine


class Readers(harness.PythonCase):
    """One heap with every kind of object, that stands still."""
    zoo = None

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.zoo = heap_views.Zoo(cls.python)
        cls.addClassCleanup(cls.zoo.end)

    def setUp(self):
        super().setUp()
        self.snapshot = self.folder / "zoo.memsnap"
        self.run_memspy("snapshot", "-p", self.zoo.pid, "-o", self.snapshot)
        self.said = json.loads(self.report("json").read_text())
        self.total = self.said["objects"]["bytes"]

    def report(self, name, snapshot=None):
        out = self.folder / f"{snapshot.stem if snapshot else 'zoo'}.{name}"
        self.run_memspy("report", snapshot or self.snapshot, "-f", name, "-o", out)
        return out

    def ask(self, *command, **more):
        done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=LONG, check=False, text=True, **more)
        self.assertEqual(done.returncode, 0, f"{command}: {done.stderr}")
        return done.stdout

    def counts(self):
        """{type: instances}; classes made anew may share a name."""
        found = collections.Counter()
        for row in self.said["types"]:
            found[row["type"]] += row["count"]
        return found

    def test_devtools(self):
        """The code behind DevTools' Memory panel, in a headless Chromium."""
        if not shutil.which("chromium"):
            self.skipTest("no chromium")
        path = self.report("heapsnapshot")
        seen = json.loads(self.ask(sys.executable, "-B", READERS / "devtools.py", path))
        print(f"DevTools of {seen['browser']}: {seen['nodes']} nodes, {seen['total']} bytes")
        self.assertEqual((seen["total"], seen["self_size"]), (self.total, self.total))
        file = heap_formats.HeapSnapshot(path)
        # Every class: as many objects. Functions, strings and numbers have classes of DevTools' own, and it counts
        # none of no size, as static objects are.
        counts = self.counts()
        whole = {name: len(sizes) for name, sizes in file.sizes().items() if all(sizes) and name in counts}
        self.assertGreater(len(whole), 100)
        self.assertEqual({name: seen["classes"][name]["count"] for name in whole}, whole)
        self.assertEqual({name: counts[name] for name in whole}, whole)
        # What would go with the objects of a class, by DevTools' own dominators.
        rows = {row["type"]: row for row in self.said["types"] if counts[row["type"]] == row["count"]}
        for name in ("app.Session", "app.Worker", "app.Page", "app.Row"):
            self.assertEqual(seen["classes"][name]["retained_size"], rows[name]["retained_bytes"], name)
        self.assertGreater(file.duplicated(), 100)
        self.assertEqual(seen["duplicated_strings"], file.duplicated())

    def test_vscode(self):
        """The reader of VS Code's view, from npm; readers/package-lock.json pins it."""
        if not shutil.which("node") or not (READERS / "node_modules" / "@vscode").is_dir():
            self.skipTest("no reader from npm (scripts/lib/readers.sh)")
        seen = json.loads(self.ask("node", READERS / "heapsnapshot.js", self.report("heapsnapshot")))
        print(f"v8-heap-parser: {seen['nodes']} nodes, {seen['self_size']} bytes")
        self.assertEqual(seen["self_size"], self.total)
        session = next(row for row in self.said["types"] if row["type"] == "app.Session")
        self.assertEqual(seen["classes"]["app.Session"]["count"], session["count"])
        self.assertGreaterEqual(seen["classes"]["app.Session"]["retained_size"], session["bytes"])

    def test_go_tool_pprof(self):
        if not shutil.which("go"):
            self.skipTest("no go")
        path, quiet = self.report("pprof"), dict(os.environ, HOME=str(self.folder))
        self.assertIn("inuse_space/bytes", self.ask("go", "tool", "pprof", "-raw", path, env=quiet))
        top = self.ask("go", "tool", "pprof", "-top", "-unit=B", "-nodecount=5", path, env=quiet)
        print(top)
        shown = re.search(r"of (\d+)B total", top)
        self.assertTrue(shown, top)
        self.assertEqual(int(shown.group(1)), self.total, top)

    def test_strings_that_say_the_same_have_one_name(self):
        """Without contents as with them, where a text tells itself."""
        spoken = self.folder / "spoken.memsnap"
        self.run_memspy("snapshot", "-p", self.zoo.pid, "--values", "-o", spoken)
        texts = heap_formats.HeapSnapshot(self.report("heapsnapshot", spoken)).texts()
        names = heap_formats.HeapSnapshot(self.report("heapsnapshot")).texts()
        self.assertEqual(set(texts), set(names))
        self.assertGreater(len(names), 10000)
        for number, name in names.items():
            self.assertRegex(name, r"^str#\d+#[0-9a-f]{16}$", texts[number])
        text_of, name_of = {}, {}
        for number, name in names.items():
            text = texts[number]
            if "str#" in text:  # one that was cut: its mark, of another key
                text = text.partition(" str#")[0] + name
            self.assertEqual(text_of.setdefault(name, text), text)
            self.assertEqual(name_of.setdefault(text, name), name)
        self.assertLess(len(text_of), len(names))


if __name__ == "__main__":
    unittest.main()
