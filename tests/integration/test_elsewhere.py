"""Lines of extension modules among Python's, and what is left of them elsewhere: where the files lie in another
folder (`--sysroot`), and in `go tool pprof`."""
import os
import pathlib
import re
import shutil
import socket
import sqlite3
import subprocess
import unittest
import urllib.error
import urllib.request

import harness
import profiles

INCLUDE = pathlib.Path("/usr/include/python3.11")
MODES = {"growth": "keep", "live": "keep", "alloc": "drop"}
LED = {"growth": 0.8, "live": 0.8, "alloc": 0.5}  # of what stacks tell; the list that holds the rows takes time too


def marked(name, mark):
    """The line of a file of targets/ that ends in that comment."""
    lines = (harness.TARGETS / name).read_text(encoding="utf-8").splitlines()
    found = [number for number, line in enumerate(lines, 1) if re.search(rf"(#|/\*) {mark}( \*/)?$", line)]
    assert len(found) == 1, (name, mark, found)
    return found[0]


def share(folded, *frames):
    """What stands below all of these frames, as a part of what stacks tell."""
    told = {tuple(stack): count for stack, count in folded.stacks if stack[-1] != "[unattributed]"}
    return sum(count for stack, count in told.items() if set(frames) <= set(stack)) / max(1, sum(told.values()))


@harness.sampled
class Extension(harness.PythonCase):
    def setUp(self):
        super().setUp()
        if not (INCLUDE / "Python.h").exists():
            self.skipTest("no headers of Debian's Python: libpython3-dev")
        self.modules = self.folder / "modules"
        self.modules.mkdir()

    def build(self, source, name, *options):
        subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-g", "-Wl,--build-id=sha1", f"-I{INCLUDE}", *options,
                        str(source), "-o", str(self.modules / f"{name}.so")], check=True)

    def build_rows(self, *options):
        self.build(harness.TARGETS / "rows.c", "rows", *options)
        return [f"make_row (rows.c:{marked('rows.c', 'allocates')})", f"make (rows.c:{marked('rows.c', 'calls')})"]

    def record(self, module, mode):
        """A recording with native frames of a process that has ended."""
        target = self.script(self.python, "extension.py", self.modules, module)
        out = self.folder / f"{mode}.memspy"
        out.unlink(missing_ok=True)
        memspy = self.memspy("record", "-p", target.pid, "-o", out, "--mode", mode, "-n", "--json",
                             "--budget", "12").until_attached(target.pid)
        target.ask(MODES[mode])
        run = memspy.stop()
        self.assertEqual(run.code, 0, str(run))
        self.assert_untouched(target.pid)
        target.end()
        return out, run

    def folded(self, recording, *options):
        out = self.folder / "out.folded"
        self.report(recording, "-o", out, "--force", *options)
        return profiles.Folded(out)

    def report(self, recording, *options):
        """As on a machine that has never been told these names."""
        nothing_known = {**os.environ, "XDG_CACHE_HOME": str(self.folder / "no-cache")}
        return self.run_memspy("report", recording, *options, env=nothing_known)

    def leading(self, mode):
        return f"{MODES[mode]} (extension.py:{marked('extension.py', MODES[mode] + 's')})"

    def check_mode(self, mode):
        lines = self.build_rows()
        recording, run = self.record("rows", mode)
        at_home = self.folded(recording)
        with harness.figures():
            self.assertGreater(share(at_home, self.leading(mode), *lines), LED[mode], f"{at_home.stacks[:5]}\n{run}")
        self.check_elsewhere(recording, at_home, lines)
        self.check_pprof(recording, at_home)  # skipped without go

    def test_growth(self):
        self.check_mode("growth")

    def test_live(self):
        self.check_mode("live")

    def test_alloc(self):
        self.check_mode("alloc")

    @unittest.skipUnless(shutil.which("cython3"), "no cython3")
    def test_cython(self):
        """The C that it makes has the lines of the .pyx file where --line-directives asks for them."""
        source = self.folder / "cyrows.c"
        subprocess.run(["cython3", "--line-directives", str(harness.TARGETS / "cyrows.pyx"), "-o", str(source)],
                       check=True)
        self.build(source, "cyrows")
        recording, run = self.record("cyrows", "growth")
        folded = self.folded(recording)
        inner, outer = (f"(cyrows.pyx:{marked('cyrows.pyx', mark)})" for mark in ("allocates", "calls"))
        with harness.figures():
            whole = re.compile(rf"{re.escape(self.leading('growth'))};.*_make {re.escape(outer)};"
                               rf"\w+_make_row {re.escape(inner)}")
            led = sum(count for stack, count in folded.stacks if whole.search(";".join(stack)))
            self.assertGreater(led, LED["growth"] * folded.total(), f"{folded.stacks[:5]}\n{run}")

    # --- without the files at their own path

    def test_a_stripped_copy_takes_no_lines_away(self):
        """The machine of the report has the library without debug information: lines of the recording stay."""
        lines = self.build_rows()
        recording, run = self.record("rows", "growth")
        at_home = self.folded(recording)
        subprocess.run(["strip", "-g", str(self.modules / "rows.so")], check=True)
        self.assertGreater(share(self.folded(recording, "--symbolize"), *lines), 0.8, str(run))
        self.assertEqual(self.folded(recording, "--symbolize").stacks, at_home.stacks)

    def check_elsewhere(self, recording, at_home, lines):
        """The library has gone into another folder: --sysroot finds it there, and nothing else does."""
        with sqlite3.connect(recording) as db:
            db.execute("DELETE FROM names")
        away = self.folder / "image"
        away.mkdir()
        moved = away / self.modules.relative_to("/")
        moved.parent.mkdir(parents=True)
        self.modules.rename(moved)
        lost = self.report(recording, "-f", "folded", "--symbolize")
        self.assertRegex(lost.out, r"0x[0-9a-f]+ \(rows\.so\)")
        self.assertNotIn("rows.c", lost.out)
        self.assertIn("rows.so (build id", lost.err)
        found = self.folded(recording, "--symbolize", "--sysroot", away)
        self.assertEqual(found.stacks, at_home.stacks)
        # One of another build is not used.
        subprocess.run(["gcc", "-shared", "-fPIC", "-g", "-Wl,--build-id=sha1", "-xc", "/dev/null", "-o",
                        str(moved / "rows.so")], check=True)
        self.assertEqual(self.folded(recording, "--symbolize", "--sysroot", away).stacks,
                         profiles.Folded(self.write("lost.folded", lost.out)).stacks)

    def write(self, name, text):
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path

    # --- in pprof

    def pprof(self, *arguments):
        return subprocess.run(["go", "tool", "pprof", *map(str, arguments)], capture_output=True, text=True,
                              check=True).stdout

    def check_pprof(self, recording, at_home):
        if not shutil.which("go"):
            self.skipTest("no go: golang-go")
        out = self.folder / "run.pb.gz"
        self.run_memspy("report", recording, "-o", out, "--force")
        raw = self.pprof("-raw", out)
        self.assertEqual(pprof_total(raw), at_home.total())
        top = self.pprof("-top", "-cum", out)
        for name in ("make_row", "make", "main", "<module>"):
            self.assertRegex(top, rf"(?m)%\s+{name}$", top)
        for page in self.pages(out, "top", "flamegraph"):
            for function in ("make_row", "make", "main"):
                self.assertIn(f'"{function}', page)
        # Against itself nothing is left.
        self.assertRegex(self.pprof("-top", "-base", out, out), r"Total samples = 0(,|\b)|, 0% of 0 total")

    def pages(self, profile, *names):
        """Pages of pprof's own server."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        # The program itself: `go` would leave it behind when it is killed.
        program = subprocess.run(["go", "tool", "-n", "pprof"], capture_output=True, text=True, check=True).stdout.strip()
        server = subprocess.Popen([program, "-no_browser", f"-http=127.0.0.1:{port}", str(profile)],
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            return [harness.eventually(lambda name=name: page(f"http://127.0.0.1:{port}/ui/{name}"), f"pprof shows {name}")
                    for name in names]
        finally:
            server.kill()
            server.wait()


def page(url):
    """What stands there, or None where nobody listens yet."""
    try:
        with urllib.request.urlopen(url, timeout=harness.DEADLINE) as answer:
            return answer.read().decode()
    except urllib.error.URLError:
        return None


def pprof_total(raw):
    """The sum of the default value of `go tool pprof -raw`."""
    head, _, rest = raw.partition("Samples:\n")
    columns, _, rows = rest.partition("\n")
    at = next(i for i, name in enumerate(columns.split()) if name.endswith("[dflt]"))
    found = re.findall(r"(?m)^\s+((?:-?\d+\s+)*-?\d+): [\d ]+$", rows.split("Locations")[0])
    assert found, head
    return sum(int(values.split()[at]) for values in found)


if __name__ == "__main__":
    unittest.main()
