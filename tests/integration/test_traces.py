"""tracemalloc's table as memspy reads it from outside against what tracemalloc says itself, once for each
interpreter. Two copies of one process: one stands still and is looked at, the other tells."""
import collections
import fnmatch
import json
import pathlib
import re
import tempfile

import harness

OTHER_FILE = "/srv/other/dépôt;x.py"
NODES, BLOBS, BLOB_BYTES, LISTS = 3000, 500, 3000, 200  # targets/trace_zoo.py
DOMAIN_BYTES = 3 * 123456
PAUSE = "34 "  # pause(2) in /proc/PID/syscall
# What the telling copy allocates between the fork and its snapshot, and the still one before it stands
# still: some small objects on lines of their own.
OWN_BYTES, OWN_BLOCKS = 4096, 40


class TraceZoo:
    """trace_zoo.py under one interpreter, and the truth about it."""

    def __init__(self, python, *arguments):
        parent = None if python.root is None else python.root / "tmp"
        self._folder = tempfile.TemporaryDirectory(prefix="memspy-traces-", dir=parent)
        outside = pathlib.Path(self._folder.name)
        inside = outside if parent is None else pathlib.Path("/tmp") / outside.name
        self.target = harness.Target(python.command(
            harness.TARGETS / "trace_zoo.py", inside / "truth", *arguments))
        try:
            said = self.target.hear("ready", 3 * harness.DEADLINE)
            self.still, self.live = said["still"], self.target.pid
            self.truth, self.file, self.lines = {}, said.get("file"), said.get("lines")
            if (outside / "truth").exists():
                self.truth = json.loads((outside / "truth").read_text())
                syscall = pathlib.Path(f"/proc/{self.still}/syscall")
                harness.eventually(lambda: syscall.read_text().startswith(PAUSE), f"{self.still} stands still")
        except BaseException:
            self.end()
            raise

    def place(self, mark):
        return f"{self.file}:{self.lines[mark]}"

    def end(self):
        self.target.end()
        self._folder.cleanup()


def frame_text(frame):
    return f"{frame[0]}:{frame[1]}" if frame[1] else frame[0]


def row_key(row):
    """A row of memspy's JSON as (most recent call, callers…)."""
    return (row.get("line") or row.get("file"), *row.get("callers", ()))


def summed(rows, key):
    sums = collections.defaultdict(lambda: [0, 0])
    for row in rows:
        sums[key(row)][0] += row["count"]
        sums[key(row)][1] += row["bytes"]
    return {name: tuple(sum) for name, sum in sums.items()}


class TraceCase(harness.PythonCase):
    maxDiff = 3000
    zoos = {}

    @classmethod
    def zoo(cls, *arguments):
        if arguments not in TraceCase.zoos:
            TraceCase.zoos[arguments] = TraceZoo(cls.python, *arguments)
        return TraceCase.zoos[arguments]

    @classmethod
    def tearDownClass(cls):
        while TraceCase.zoos:
            TraceCase.zoos.popitem()[1].end()

    def shallow(self):
        return self.zoo()

    def deep(self):
        return self.zoo("--frames", "10", "--domain")

    def json(self, zoo, *arguments):
        return self.run_memspy("traces", zoo.still, "--json", *arguments).json()

    def assert_rows(self, ours, truth):
        """Every row that is not of the two copies' own doing is the same, to the byte."""
        different = {key: (ours.get(key), truth.get(key)) for key in set(ours) | set(truth)
                     if ours.get(key) != truth.get(key)}
        shown = list(different.items())[:12]
        print(f"{self.python.name}: {len(truth)} rows, {len(different)} differ: {shown}")
        count = sum(abs((a or (0, 0))[0] - (b or (0, 0))[0]) for a, b in different.values())
        size = sum(abs((a or (0, 0))[1] - (b or (0, 0))[1]) for a, b in different.values())
        self.assertLess(count, OWN_BLOCKS, shown)
        self.assertLess(size, OWN_BYTES, shown)


class Rows(TraceCase):
    def test_lines(self):
        for zoo in (self.shallow(), self.deep()):
            ours = summed(self.json(zoo)["rows"], row_key)
            truth = summed(zoo.truth["lineno"], lambda row: (frame_text(row["frames"][0]),))
            self.assert_rows(ours, truth)
            for mark in ("nodes", "blobs", "lists"):
                self.assertEqual(ours[zoo.place(mark),], truth[zoo.place(mark),], mark)
            self.assertEqual(ours[OTHER_FILE + ":2",], truth[OTHER_FILE + ":2",])
        self.assertEqual(ours[self.deep().place("domain"),][1], DOMAIN_BYTES)

    def test_files(self):
        for zoo in (self.shallow(), self.deep()):
            ours = summed(self.json(zoo, "--by", "file")["rows"], row_key)
            truth = summed(zoo.truth["filename"], lambda row: (row["frames"][0][0],))
            self.assert_rows(ours, truth)
            self.assertEqual(ours[OTHER_FILE,], truth[OTHER_FILE,])

    def test_tracebacks(self):
        for zoo in (self.shallow(), self.deep()):
            ours = summed(self.json(zoo, "--by", "traceback")["rows"], row_key)
            truth = summed(zoo.truth["traceback"], lambda row: tuple(map(frame_text, row["frames"])))
            self.assert_rows(ours, truth)
        # The same line by five ways; the frame of a call that is over may be kept for the next.
        ways = [key for key in ours if key[0] == zoo.place("through") and ours[key][0] >= 100]
        self.assertEqual(len(ways), 5, ways)
        for key in ways:
            self.assertLessEqual(abs(ours[key][0] - truth[key][0]), 1)
            self.assertLess(abs(ours[key][1] - truth[key][1]), 1000)

    def test_totals(self):
        """Current is what the process itself would say, to the byte; and the sum of the rows."""
        for zoo in (self.shallow(), self.deep()):
            said = self.json(zoo)
            tracing = said["tracing"]
            self.assertEqual(tracing["current_bytes"], tracing["bytes"])
            self.assertEqual(sum(row["bytes"] for row in said["rows"]), tracing["bytes"])
            self.assertEqual(sum(row["count"] for row in said["rows"]), tracing["traces"])
            self.assertLess(abs(tracing["current_bytes"] - zoo.truth["current"]), OWN_BYTES)
            self.assertEqual(tracing["peak_bytes"], zoo.truth["peak"])
            self.assertEqual(tracing["frame_limit"], zoo.truth["limit"])
            # The target counts what it asks malloc for, and not all of that; memspy what malloc takes.
            self.assertGreater(tracing["own_bytes"], 0.8 * zoo.truth["own"])
            self.assertLess(tracing["own_bytes"], 4 * zoo.truth["own"])
            print(f"{self.python.name}: tracing takes {tracing['own_bytes']}, or {zoo.truth['own']} asked for")
            self.assertFalse(any(said["unread"].values()), said["unread"])
            self.assertEqual(said["schema"], "memspy.traces/1")
            self.assert_untouched(zoo.still)


class Choices(TraceCase):
    def test_filters(self):
        zoo = self.deep()
        whole = self.json(zoo)
        for arguments, keeps in [
                (["--include", "*/trace_zoo.py"], lambda name: name.endswith("/trace_zoo.py")),
                (["--include", "/srv/*.pyc", "--include", "*trace_zoo*"],
                 lambda name: fnmatch.fnmatch(name, "/srv/*.py") or "trace_zoo" in name),
                (["--exclude", "*/trace_zoo.py", "--exclude", "<*>"],
                 lambda name: not name.endswith("/trace_zoo.py") and not name.startswith("<")),
                (["--include", "*.py", "--exclude", "/srv/[!x]ther/*"],
                 lambda name: name.endswith(".py") and not name.startswith("/srv/other/")),
                (["--include", "nothing"], lambda name: False)]:
            said = self.json(zoo, *arguments)
            kept = [row for row in whole["rows"] if keeps(re.sub(r":\d+$", "", row["line"]))]
            self.assertEqual(said["rows"], kept, arguments)
            self.assertEqual(said["shown"]["bytes"] + said["left_out"]["bytes"], whole["tracing"]["bytes"])
            self.assertEqual(said["left_out"]["count"], whole["tracing"]["traces"] - said["shown"]["count"])

    def test_types(self):
        zoo = self.deep()
        lines = summed(self.json(zoo)["rows"], row_key)
        said = self.json(zoo, "--by", "type")
        self.assertEqual(summed(said["rows"], row_key), lines)
        found = {(row["type"], row["line"]): row for row in said["rows"]}
        self.assertEqual(found["__main__.Node", zoo.place("nodes")]["count"], NODES)
        # Each an object, and a block for what it holds.
        # From 3.15 on that is an object as well.
        blobs = [found[name, zoo.place("blobs")] for name in ("builtins.bytearray", "builtins.bytes")
                 if (name, zoo.place("blobs")) in found]
        self.assertEqual(sum(row["count"] for row in blobs), 2 * BLOBS)
        self.assertGreater(sum(row["bytes"] for row in blobs), BLOBS * BLOB_BYTES)
        # Some came from a free list, where no allocator is asked.
        kept = found["builtins.list", zoo.place("lists")]
        self.assertGreater(kept["count"], 1.8 * LISTS)
        self.assertGreaterEqual(kept["bytes"], 0.999 * lines[zoo.place("lists"),][1])
        self.assertEqual(found["[no object]", zoo.place("domain")]["bytes"], DOMAIN_BYTES)
        nobody = sum(row["bytes"] for row in said["rows"] if row["type"] == "[no object]")
        self.assertLess(nobody - DOMAIN_BYTES, 0.02 * said["tracing"]["bytes"], said["rows"][:40])
        self.assertIn("__main__.Node", self.run_memspy("traces", zoo.still, "--by", "type").out)

    def test_folded(self):
        zoo = self.deep()
        tracebacks = self.json(zoo, "--by", "traceback")
        out = self.folder / "traces.folded"
        self.run_memspy("traces", "-p", zoo.still, "-o", out)
        lines = [line.rpartition(" ") for line in out.read_text(encoding="utf-8").splitlines()]
        self.assertEqual(sum(int(number) for _, _, number in lines), tracebacks["tracing"]["bytes"])
        stacks = {stack: int(number) for stack, _, number in lines}
        row = next(row for row in tracebacks["rows"] if row["line"] == zoo.place("nodes"))
        self.assertEqual(stacks[";".join([*reversed(row["callers"]), row["line"]])], row["bytes"])
        self.assertTrue(any(stack.endswith(";/srv/other/dépôt\\x3bx.py:2") for stack in stacks), list(stacks)[:9])
        typed = self.run_memspy("traces", zoo.still, "-f", "folded", "--by", "type").out
        self.assertIn(zoo.place("nodes") + ";__main__.Node ", typed)
        refused = self.run_memspy("traces", zoo.still, "-o", out, code=7)
        self.assertIn("--force", refused.err)
        self.run_memspy("traces", zoo.still, "-o", out, "--force")

    def test_text(self):
        zoo = self.shallow()
        lines = self.run_memspy("traces", zoo.still, "-n", 2).out.splitlines()
        version = ".".join(map(str, self.python.version))
        self.assertRegex(lines[0], rf"^PID {zoo.still} \(.*\), Python {re.escape(version)}, ")
        self.assertRegex(lines[1], r"^tracemalloc: .* traced in [\d ]+ blocks, .* at its peak, 1 frame kept per trace")
        self.assertRegex(lines[-1], r"^/.*trace_zoo\.py:\d+ allocated [\d.]+ MiB that are still there")
        shown = [line for line in lines if re.match(r"\d+ ", line)]
        self.assertEqual(len(shown), 2)
        rest = next(line for line in lines if line.startswith("and "))
        said = self.json(zoo)
        left = said["tracing"]["bytes"] - sum(row["bytes"] for row in said["rows"][:2])
        self.assertIn(f" {left:,} bytes".replace(",", " "), rest)
        everything = self.run_memspy("traces", zoo.still, "-n", 0).out
        self.assertNotIn("and ", everything.partition("allocated")[0])
        self.assertIn(OTHER_FILE, everything)


class Live(TraceCase):
    def test_watch(self):
        """What grows between the looks, and only that."""
        zoo = TraceZoo(self.python)
        self.addCleanup(zoo.end)
        watch = self.memspy("traces", zoo.live, "--watch", "1s", "--json")
        harness.eventually(lambda: watch.out.count("\n") >= 1, "the first look")
        grown = zoo.target.ask("grow 700", "grow")["bytes"]
        harness.eventually(lambda: watch.out.count("\n") >= 2 and self.grown(watch) >= grown, f"grown: {watch.out}")
        done = watch.stop()
        self.assertEqual(done.code, 0, str(done))
        last = json.loads(done.out.splitlines()[-1])
        rows = {row["line"]: row for row in last["growth"]["rows"]}
        row = rows[zoo.place("grown")]
        self.assertEqual(row["before"], {"count": 0, "bytes": 0})
        self.assertGreaterEqual(row["now"]["count"], 1400)
        self.assertIn(zoo.place("grown"), last["growth"]["verdict"])
        others = sum(abs(row["grown_bytes"]) for line, row in rows.items() if line != zoo.place("grown"))
        self.assertLess(others, OWN_BYTES, rows)
        self.assert_untouched(zoo.live)
        zoo.target.ask("grow 1", "grow")

    def grown(self, watch):
        last = json.loads(watch.out.splitlines()[-1])
        return last["growth"]["rows"][0]["grown_bytes"] if last["growth"]["rows"] else 0

    def test_watch_into_a_file(self):
        zoo = self.shallow()
        out = self.folder / "growth.folded"
        self.run_memspy("traces", zoo.still, "--watch", "100ms", "-o", out)
        self.assertEqual(out.read_text(), "")  # nothing runs there, nothing grew
        text = self.folder / "growth.txt"
        self.run_memspy("traces", zoo.still, "--watch", "100ms", "-o", text)
        self.assertIn("nothing grew or shrank", text.read_text())

    def test_a_table_that_changes_all_the_time(self):
        """Whenever it is stopped, what was read is what the process counts; or the look is taken again."""
        zoo = TraceZoo(self.python, "--frames", "4")
        self.addCleanup(zoo.end)
        zoo.target.ask("churn")
        totals = set()
        for _ in range(6):
            said = self.run_memspy("traces", zoo.live, "--json").json()
            self.assertFalse(any(said["unread"].values()), said["unread"])
            self.assertEqual(said["tracing"]["bytes"], said["tracing"]["current_bytes"])
            self.assertGreaterEqual(said["tracing"]["peak_bytes"], said["tracing"]["current_bytes"])
            totals.add(said["tracing"]["bytes"])
        self.assertGreater(len(totals), 1, "it stands still")
        self.assert_untouched(zoo.live)

    def test_off(self):
        for arguments, stop in (["--off"], False), ([], True):
            zoo = TraceZoo(self.python, *arguments)
            self.addCleanup(zoo.end)
            if stop:
                self.run_memspy("traces", zoo.live)
                zoo.target.ask("stop")
            refused = self.run_memspy("traces", zoo.live, code=1)
            self.assertEqual(refused.out, "")
            self.assertRegex(refused.err, rf"^memspy: PID {zoo.live} \(.*\) does not trace its allocations\n"
                                          r"  why:  tracemalloc is off in this process: .*\n"
                                          r"  try:  .*PYTHONTRACEMALLOC=1 or python3 -X tracemalloc")
            self.assertIn(f"memspy record -p {zoo.live} ", refused.err)
            self.assert_untouched(zoo.live)
