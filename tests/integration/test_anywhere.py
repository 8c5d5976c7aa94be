"""memspy where there is nothing else: the statically linked program alone in an empty root, and what cpack
makes, installed into one."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import unittest
import unittest.mock

import harness
import profiles
import pythons

LARGEST = 15 << 20  # bytes of the static program
# A namespace of its own, so that no /proc is left mounted below a folder that the test removes.
ENTER = ["unshare", "--mount", "--propagation", "private", "sh", "-c",
         'mount --rbind /proc "$0/proc" && exec chroot "$0" "$@"']


class InARoot(harness.Case):
    """A root with memspy in it and nothing besides."""

    def setUp(self):
        super().setUp()
        harness.need_root()
        self.root = self.folder / "root"
        (self.root / "proc").mkdir(parents=True)

    def inside(self, program):
        """run_memspy() and memspy() take this one from here on, in that root."""
        named = unittest.mock.patch.dict(os.environ, MEMSPY=program)
        named.start()
        self.addCleanup(named.stop)
        return [*ENTER, str(self.root)]


class Static(InARoot):
    def setUp(self):
        super().setUp()
        program = os.environ["MEMSPY_STATIC"]
        shutil.copy(program, self.root / "memspy")
        self.size = os.stat(program).st_size
        self.prefix = self.inside("/memspy")

    def test_small_and_alone(self):
        self.assertLess(self.size, LARGEST)
        done = subprocess.run(["chroot", str(self.root), "/memspy", "--version"], stdout=subprocess.PIPE,
                              text=True, check=True, timeout=harness.DEADLINE)
        self.assertRegex(done.stdout, r"^memspy \d")

    def test_the_container_file_copies_it(self):
        """From the folder that the commands beside it name."""
        root = harness.HERE.parent.parent
        text = (root / "Containerfile").read_text()
        program = pathlib.Path(os.environ["MEMSPY_STATIC"])
        sources = [source for line in re.findall(r"^COPY (.*)$", text, re.MULTILINE) for source in line.split()[:-1]]
        self.assertEqual(sources, [program.name])
        for said in (text, (root / "docs/guides/containers.md").read_text()):
            folder, = re.findall(r"docker build -f Containerfile -t memspy build/release/(\S+)", said)
            self.assertEqual(program.parts[-4:-1], pathlib.PurePath(folder).parts)

    def test_of_a_process_outside(self):
        target = self.script(harness.need("system"), "growing.py", "--mb", 20)
        dump = self.run_memspy("dump", target.pid, "--json", prefix=self.prefix).json()
        main = next(thread for thread in dump["threads"] if thread["name"] == "MainThread")
        self.assertEqual(main["frames"][0]["function"], "hear")
        memspy = self.memspy("record", "-p", target.pid, "-o", "/out.memspy", "--json", prefix=self.prefix)
        memspy.until_attached(target.pid)
        grown = target.ask("grow")["grown"]
        run = memspy.stop()
        self.assertEqual(run.code, 0, str(run))
        self.run_memspy("report", "/out.memspy", "-o", "/out.folded", prefix=self.prefix)
        folded = profiles.Folded(self.root / "out.folded")
        self.assertEqual(folded.top(), ("remember", "growing.py", target.ready["line"]), str(run))
        self.assertLess(abs(folded.total() - grown), 0.02 * grown, str(run))
        self.assert_untouched(target.pid)

    def test_heap_native_frames_and_doctor(self):
        target = self.script(harness.need("system"), "growing.py", "--mb", 1)
        heap = self.run_memspy("heap", target.pid, "--json", prefix=self.prefix).json()
        self.assertGreater(heap["objects"]["count"], 1000)
        dump = self.run_memspy("dump", "-n", target.pid, prefix=self.prefix).out
        self.assertIn("__libc_start_main", dump)  # of libc.so.6, with debug information or without
        self.assertIn("can see PID", self.run_memspy("doctor", target.pid, prefix=self.prefix).out)

    def test_doctor_says_that_it_is_in_a_pid_namespace(self):
        """As of a container. That sleep(1) is no Python does not matter."""
        done = subprocess.run(["unshare", "--pid", "--fork", "--mount-proc", "sh", "-c",
                               'sleep 60 & "$0" doctor --json $!; kill $!', os.environ["MEMSPY_STATIC"]],
                              stdout=subprocess.PIPE, text=True, timeout=harness.DEADLINE)
        finding, = (one for one in json.loads(done.stdout)["findings"] if one["check"] == "place")
        self.assertIn("PID namespace", finding["evidence"])

    def test_with_a_debuginfod_named(self):
        """libdw would load a library for that, and with it a second C library."""
        target = self.script(harness.need("system"), "growing.py", "--mb", 1)
        with unittest.mock.patch.dict(os.environ, DEBUGINFOD_URLS="http://127.0.0.1:1",
                                      MEMSPY=os.environ["MEMSPY_STATIC"]):
            self.assertIn("_start", self.run_memspy("dump", "-n", target.pid).out)

    @unittest.skipUnless(shutil.which("tmux"), "no tmux")
    def test_top_on_a_terminal_that_nothing_describes(self):
        target = self.script(harness.need("system"), "growing.py", "--mb", 1)
        screen = Terminal(self, [*self.prefix, "/memspy", "top", str(target.pid)])
        harness.eventually(lambda: "RSS" in screen.text(), "top draws")
        screen.tmux("send-keys", "q")
        harness.eventually(lambda: "code=0" in screen.text(), "top ends")


class Newer(harness.Case):
    """The static program in another distribution than the one that it was built on, on a target there. Of older ones
    docs/support-matrix.md tells; making a root of one takes too long for a test."""

    def test_in_the_root_of_a_newer_distribution(self):
        harness.need_root()
        python = harness.need("3.14")
        target = self.script(python, "growing.py", "--mb", 20)
        shutil.copy(os.environ["MEMSPY_STATIC"], self.folder / "memspy")
        # As targets are started there, with this folder in the place of tests/.
        prefix = ["unshare", "--mount", "--propagation", "private", "sh", "-c", pythons.ENTER, "sh", str(python.root),
                  str(self.folder), pythons.INSIDE]
        with unittest.mock.patch.dict(os.environ, MEMSPY=f"{pythons.INSIDE}/memspy"):
            self.assertIn("can see PID", self.run_memspy("doctor", target.pid, prefix=prefix).out)
            memspy = self.memspy("record", "-p", target.pid, "-o", f"{pythons.INSIDE}/out.folded", prefix=prefix)
            memspy.until_attached(target.pid)
            grown = target.ask("grow")["grown"]
            run = memspy.stop()
            self.assertEqual(run.code, 0, str(run))
            heap = self.run_memspy("heap", target.pid, "--json", prefix=prefix).json()
        self.assertGreater(heap["objects"]["count"], 1000)
        folded = profiles.Folded(self.folder / "out.folded")
        self.assertEqual(folded.top(), ("remember", "growing.py", target.ready["line"]), str(run))
        self.assertLess(abs(folded.total() - grown), 0.02 * grown, str(run))
        self.assert_untouched(target.pid)


class Terminal:
    def __init__(self, case, command):
        self.socket = str(case.folder / "tmux")
        script = case.folder / "top.sh"
        words = " ".join("'" + word.replace("'", "'\\''") + "'" for word in command)
        script.write_text(f"TERM=xterm-256color {words}\necho code=$?\nexec sleep 1000\n")
        self.tmux("-f", "/dev/null", "new-session", "-d", "-x", "110", "-y", "34", f"sh {script}")
        case.addCleanup(self.tmux, "kill-server")

    def tmux(self, *arguments):
        return subprocess.run(["tmux", "-S", self.socket, *arguments], check=True, stdout=subprocess.PIPE,
                              text=True, timeout=harness.DEADLINE).stdout

    def text(self):
        return self.tmux("capture-pane", "-p")


def verify_unit(case, root):
    """systemd knows every key and value of the unit that is installed in a root, and finds the program there."""
    if not shutil.which("systemd-analyze"):
        case.skipTest("there is no systemd-analyze")
    # Nothing of what it depends on is in that root, nor a man page's reader.
    done = subprocess.run(["systemd-analyze", "verify", f"--root={root}", "--man=no", "--recursive-errors=no",
                           "memspy.service"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=harness.DEADLINE)
    case.assertEqual((done.returncode, done.stdout), (0, ""))


class Package(InARoot):
    def dpkg(self, *arguments):
        done = subprocess.run(["dpkg", f"--root={self.root}", "--log=/dev/null", *map(str, arguments)],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=harness.DEADLINE,
                              env=dict(os.environ, PATH=os.environ["PATH"] + ":/usr/sbin:/sbin"))
        self.assertEqual(done.returncode, 0, done.stdout)

    def made(self):
        build = pathlib.Path(os.environ["MEMSPY_BUILD"])
        done = subprocess.run(["cpack", "-G", "DEB", "--config", str(build / "CPackConfig.cmake"), "-B",
                               str(self.folder / "packages")], cwd=build, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=300)
        self.assertEqual(done.returncode, 0, done.stdout)
        found, = (self.folder / "packages").glob("*.deb")
        return found

    def test_installed_in_a_clean_root_and_removed(self):
        package = self.made()
        folder = self.root / "var/lib/dpkg"
        for name in ("info", "updates", "triggers"):
            (folder / name).mkdir(parents=True)
        for name in ("status", "available"):
            (folder / name).touch()
        self.dpkg("--install", package)
        for name in ("usr/bin/memspy", "usr/share/man/man1/memspy.1", "usr/share/man/man1/memspy-record.1",
                     "usr/share/bash-completion/completions/memspy", "usr/share/zsh/site-functions/_memspy",
                     "usr/share/fish/vendor_completions.d/memspy.fish", "usr/share/doc/memspy/copyright",
                     "usr/share/doc/memspy/docs/permissions.md", "usr/lib/systemd/system/memspy.service"):
            self.assertTrue((self.root / name).is_file(), name)
        verify_unit(self, self.root)
        target = self.script(harness.need("system"), "growing.py", "--mb", 1)
        dump = self.run_memspy("dump", target.pid, prefix=self.inside("/usr/bin/memspy")).out
        self.assertIn("hear (truth.py", dump)
        self.dpkg("--purge", "memspy")
        left = [path for path in self.root.rglob("usr/**/*") if path.is_file()]
        self.assertEqual(left, [])
