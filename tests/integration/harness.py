"""What the integration tests share: targets that talk, memspy as a child process, deadlines.

Nothing here sleeps to let something happen: a target says when it is ready, a condition is polled
until it holds or its deadline passes, and a deadline that passes is a failure that shows what both
sides said.
"""
import contextlib
import functools
import json
import os
import pathlib
import select
import signal
import subprocess
import tempfile
import time
import unittest

import pythons

HERE = pathlib.Path(__file__).resolve().parent
TARGETS = HERE / "targets"
WORKLOADS = HERE.parent / "workloads"
KERNEL_REFUSES = "the kernel takes no BPF program here"  # the one skip that no set-up can mend
DEADLINE = 60.0  # seconds, for anything that should take an instant; generous for a loaded machine


def memspy_path():
    path = os.environ.get("MEMSPY")
    if not path:
        raise SystemExit("MEMSPY must be the path of the memspy binary")
    return path


class OffTheMark(AssertionError):
    """A figure made of samples is further from the truth than it may be."""


@contextlib.contextmanager
def figures():
    """Around assertions about what samples say, as shares, sums and which of two is the greater."""
    try:
        yield
    except AssertionError as error:
        raise OffTheMark(str(error)) from error


def sampled(case):
    """Decorates a class. Its limits are such that one measurement in some dozens misses them by chance,
    and there are hundreds of tests: where figures() are off, it is measured anew from the beginning, and
    who is off three times in a row has failed. Any other failure, harm to the target first of all, is one at
    once."""
    def again(test):
        @functools.wraps(test)
        def run(self):
            for attempt in range(2):
                try:
                    return test(self)
                except OffTheMark as error:
                    print(f"measured anew; attempt {attempt + 1} was off: {error}", flush=True)
                self.doCleanups()
                self.setUp()
            return test(self)
        return run
    for name in dir(case):
        if name.startswith("test_"):
            setattr(case, name, again(getattr(case, name)))
    return case


def eventually(condition, what, deadline=DEADLINE):
    """Polls until condition() is true, and returns what it returned."""
    end = time.monotonic() + deadline
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"did not happen within {deadline:g} s: {what}")
        select.select([], [], [], 0.002)


def status(pid):
    """/proc/PID/status as a dict, {} when there is no such process."""
    try:
        text = pathlib.Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return {}
    return dict((name, value.strip()) for name, _, value in
                (line.partition(":") for line in text.splitlines()))


def resident(pid):
    """Bytes of anonymous memory: what a file adds is the page cache's."""
    return int(status(pid)["RssAnon"].split()[0]) * 1024


def state(pid):
    """One letter: R, S, D, T, t, Z; "" when there is no such process."""
    return status(pid).get("State", "")[:1]


def until_listening(pid):
    """Waits until the main thread is in read(0): what it said last it said on the way there."""
    def listens():
        with contextlib.suppress(OSError):
            return pathlib.Path(f"/proc/{pid}/syscall").read_text().startswith("0 0x0 ")
    eventually(listens, f"{pid} listens on its standard input")


class Target:
    """A process that speaks one JSON object per line and hears one command per line."""

    def __init__(self, command, **popen):
        self.command = [str(word) for word in command]
        self._errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=self._errors, bufsize=0, **popen)
        self.pid = self.process.pid
        self._heard = b""

    def errors(self):
        self._errors.seek(0)
        return self._errors.read().decode(errors="replace")

    def hear(self, event=None, deadline=DEADLINE):
        """The next line; a failure when it does not come in time or is not about `event`."""
        end = time.monotonic() + deadline
        while b"\n" not in self._heard:
            left = end - time.monotonic()
            readable, _, _ = select.select([self.process.stdout], [], [], max(0, left))
            if not readable:
                raise AssertionError(f"{self.command} said nothing about {event!r} for {deadline:g} s;"
                                     f" state {state(self.pid)!r}; stderr:\n{self.errors()}")
            more = os.read(self.process.stdout.fileno(), 1 << 16)
            if not more:
                raise AssertionError(f"{self.command} ended (exit {self.process.wait(DEADLINE)}) "
                                     f"instead of saying {event!r}; stderr:\n{self.errors()}")
            self._heard += more
        line, _, self._heard = self._heard.partition(b"\n")
        said = json.loads(line)
        if event and said["event"] != event:
            raise AssertionError(f"expected {event!r}, heard {said}")
        return said

    def tell(self, command):
        self.process.stdin.write(command.encode() + b"\n")

    def ask(self, command, event=None, deadline=DEADLINE):
        self.tell(command)
        return self.hear(event or command, deadline)

    def alive(self):
        return self.process.poll() is None

    def end(self):
        """Whatever state it is in: gone, and its pipes closed."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(DEADLINE)
        for stream in (self.process.stdin, self.process.stdout, self._errors):
            with contextlib.suppress(OSError):
                stream.close()


class Run:
    """What a finished memspy left: exit code, stdout, stderr."""

    def __init__(self, command, code, out, err):
        self.command, self.code, self.out, self.err = command, code, out, err

    def json(self):
        """The last line of stdout (record), or all of it (one-shot commands), as JSON."""
        try:
            return json.loads(self.out)
        except ValueError:
            return json.loads(self.out.strip().splitlines()[-1])

    def __str__(self):
        return (f"{' '.join(self.command)}\nexit {self.code}\n--- stdout\n{self.out[-4000:]}\n"
                f"--- stderr\n{self.err[-4000:]}")


class Memspy:
    """memspy as a child: output goes to files, so that no full pipe ever holds it up."""

    # What it remembers between runs: not the tester's own.
    CACHE = tempfile.TemporaryDirectory(prefix="memspy-test-cache-")

    def __init__(self, *arguments, prefix=(), stdout=None, **popen):
        popen["env"] = dict(popen.get("env", os.environ))
        if popen["env"].get("XDG_CACHE_HOME") == os.environ.get("XDG_CACHE_HOME"):
            popen["env"]["XDG_CACHE_HOME"] = self.CACHE.name
        self.command = [*map(str, prefix), memspy_path(), *map(str, arguments)]
        self._out = tempfile.TemporaryFile()
        self._err = tempfile.TemporaryFile()
        self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL,
                                        stdout=stdout or self._out, stderr=self._err, **popen)
        self.pid = self.process.pid

    def _read(self, file):
        return os.pread(file.fileno(), 64 << 20, 0).decode(errors="replace")

    @property
    def out(self):
        return self._read(self._out)

    @property
    def err(self):
        return self._read(self._err)

    def until_attached(self, pid, deadline=DEADLINE):
        """Waits until memspy says so: the first thing it prints comes once it samples."""
        def attached():
            if self.process.poll() is not None:
                raise AssertionError(f"memspy ended before it sampled:\n{self.finish()}")
            untraced = "engine bpf:" in self.err
            return self.err.strip() and (untraced or status(pid).get("TracerPid", "0") != "0")
        eventually(attached, f"memspy attaches to {pid}: {' '.join(self.command)}\n{self.err}", deadline)
        return self

    def signal(self, number):
        self.process.send_signal(number)
        return self

    def finish(self, deadline=DEADLINE):
        try:
            self.process.wait(deadline)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"memspy did not end within {deadline:g} s:\n"
                                 f"{Run(self.command, 'killed', self.out, self.err)}") from None
        return Run(self.command, self.process.returncode, self.out, self.err)

    def stop(self, deadline=DEADLINE):
        """Ends a live run the way a person does, with Ctrl-C."""
        return self.signal(signal.SIGINT).finish(deadline)

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._out.close()
        self._err.close()


def run_memspy(*arguments, deadline=DEADLINE, **popen):
    memspy = Memspy(*arguments, **popen)
    try:
        return memspy.finish(deadline)
    finally:
        memspy.end()


class Case(unittest.TestCase):
    """A test with a folder of its own; whatever it started has ended afterwards."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="memspy-test-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def target(self, command, **popen):
        target = Target(command, **popen)
        self.addCleanup(target.end)
        return target

    def script(self, python, name, *arguments, **popen):
        """A target of tests/integration/targets that has said "ready"."""
        target = self.target(python.command(TARGETS / name, *arguments), **popen)
        target.ready = target.hear("ready")
        return target

    def memspy(self, *arguments, **popen):
        memspy = Memspy(*arguments, **popen)
        self.addCleanup(memspy.end)
        return memspy

    def run_memspy(self, *arguments, code=0, **popen):
        done = run_memspy(*arguments, **popen)
        self.assertEqual(done.code, code, str(done))
        return done

    def assert_at_work(self, target, what):
        """Every kind of a target's work goes on, and nothing has been harmed."""
        first = target.ask("ping")
        self.assertFalse({name: count for name, count in first["harm"].items() if count}, f"{what}: {first}")

        def all_go_on():
            now = target.ask("ping")
            return all(now["progress"][name] > count for name, count in first["progress"].items())
        eventually(all_go_on, f"{what}: all work goes on after {first['progress']}")

    def assert_untouched(self, pid):
        """No tracer, not stopped, no signal left behind, in any thread."""
        said = status(pid)
        self.assertTrue(said, f"{pid} is gone")
        for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
            said = status(f"{pid}/task/{task.name}")
            if not said:
                continue  # ended meanwhile
            self.assertEqual(said["TracerPid"], "0", f"{task} is still traced")
            self.assertNotIn(said["State"][0], "Tt", f"{task} is stopped")
            self.assertEqual(int(said["SigPnd"], 16), 0, f"{task} has a pending signal")
            self.assertEqual(int(said["ShdPnd"], 16), 0, f"{task} has a pending signal")


class PythonCase(Case):
    """A test that runs once for an interpreter: the one that MEMSPY_TEST_PYTHON names."""

    @classmethod
    def setUpClass(cls):
        name = os.environ.get("MEMSPY_TEST_PYTHON", "system")
        cls.python = pythons.find(name)
        if cls.python is None:
            raise unittest.SkipTest(pythons.why_missing(name))

    def record_growth(self, out, *arguments, megabytes=60):
        """Records one `grow` of growing.py into `out`; returns (ready, grown, run)."""
        target = self.script(self.python, "growing.py", "--mb", megabytes, "--mbps", 30)
        memspy = self.memspy("record", "-p", target.pid, "-o", out, "--json", *arguments)
        memspy.until_attached(target.pid)
        grown = target.ask("grow")["grown"]
        run = memspy.stop()
        self.assertEqual(run.code, 0, str(run))
        target.ask("ping")
        self.assert_untouched(target.pid)
        return target.ready, grown, run


def need(name):
    """An interpreter that a test cannot do without."""
    python = pythons.find(name)
    if python is None:
        raise unittest.SkipTest(pythons.why_missing(name))
    return python


def bpf_engine():
    """Of the engines, bpf, where the kernel lets us: for root, on hosts of our own."""
    return ["bpf"] if not _why_no_bpf() else []


def virtual_machine():
    """Where a watchpoint's exception may lose its reason, and what memspy watches with engine bpf is traced."""
    return " hypervisor" in pathlib.Path("/proc/cpuinfo").read_text()


@functools.lru_cache(maxsize=None)
def _why_no_bpf():
    run = run_memspy("doctor", os.getpid(), "--json")
    why = next(finding["evidence"] for finding in run.json()["findings"]
               if finding["check"] == "bpf").partition("not used: ")[2]
    # Anything else is a fault of ours.
    of_the_host = ("not permitted", "Permission denied", "not implemented", "namespace", "BTF", "vmlinux")
    if why and not any(word in why for word in of_the_host):
        raise AssertionError(f"memspy's BPF program does not load: {why}")
    return why


def need_bpf():
    why = _why_no_bpf()
    if why:
        raise unittest.SkipTest(f"{KERNEL_REFUSES}: {why}")


def need_root():
    if os.geteuid() != 0:
        raise unittest.SkipTest("needs root")
