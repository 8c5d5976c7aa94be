"""What becomes of a recording when something ends: the target, memspy, the disk. Whatever was sampled
is on disk, valid."""
import contextlib
import ctypes
import fcntl
import os
import pathlib
import pty
import re
import signal
import sqlite3
import subprocess
import tempfile
import termios
import unittest

import harness
import profiles

DISK_SIZE = 1 << 20  # of the disk that fills


def take_terminal(terminal):
    """Of a new session, as a shell in a window has it; standard input too."""
    os.setsid()
    fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
    os.dup2(terminal, 0)


class Fates(harness.PythonCase):
    def begin(self, *arguments, script="fates.py", suffix="folded", **popen):
        """A target that grows, under a memspy that records it."""
        target = self.script(self.python, script)
        out = self.folder / f"out.{suffix}"
        memspy = self.memspy("record", "-p", target.pid, "-o", out, "--json", "-i", "100ms",
                             *arguments, **popen)
        memspy.until_attached(target.pid)
        for _ in range(6):  # enough to stand out from what a program does when it ends or begins
            target.ask("ping")
        return target, memspy, out

    def assert_found_the_line(self, path):
        function, file, _ = profiles.Folded(path).top()
        self.assertEqual((function, file), ("grow_steadily", "fates.py"), pathlib.Path(path).read_text())

    def report(self, recording, *arguments):
        """What `memspy report` makes of it, as a folded profile."""
        folded = self.folder / "reported.folded"
        self.run_memspy("report", recording, "-o", folded, "--force", *arguments)
        return folded

    # --- the target

    def ends(self, command, says, returncode=None):
        target, memspy, out = self.begin()
        target.tell(command)
        run = memspy.finish()
        self.assertEqual(run.code, 0, str(run))
        self.assertRegex(run.json()["ended_by"], says)
        self.assert_found_the_line(out)
        if returncode is not None:
            self.assertEqual(target.process.wait(harness.DEADLINE), returncode)

    def test_target_exits(self):
        self.ends("exit 0", "exit.* 0", 0)

    def test_target_fails(self):
        self.ends("exit 7", "exit.* 7", 7)

    def test_target_is_killed(self):
        self.ends("kill 9", "SIGKILL", -9)

    def test_target_is_terminated(self):
        self.ends("kill 15", "SIGTERM", -15)

    def test_target_aborts(self):
        self.ends("abort", "SIGABRT", -6)

    def test_target_becomes_another_python(self):
        target, memspy, out = self.begin()
        target.ask("exec-python", "ready")
        for _ in range(20):
            target.ask("ping")
        target.tell("exit 0")
        run = memspy.finish()
        self.assertEqual(run.code, 0, str(run))
        self.assert_found_the_line(out)

    def test_target_becomes_something_else(self):
        """Its memory is gone with it: net growth is less than nothing. What was touched is known still."""
        target, memspy, out = self.begin("--gross")
        target.tell("exec-sleep")
        harness.eventually(lambda: pathlib.Path(f"/proc/{target.pid}/comm").read_text() == "sleep\n",
                           "the target has become sleep")
        run = memspy.stop() if memspy.process.poll() is None else memspy.finish()
        self.assertEqual(run.code, 0, str(run))
        self.assert_found_the_line(out)
        self.assert_untouched(target.pid)

    def test_target_forks_and_exits(self):
        """An interpreter that ends gives back what it can: what was touched is known still."""
        target, memspy, out = self.begin("--gross")
        child = target.ask("fork-and-exit")["pid"]
        run = memspy.finish()
        self.assertEqual(run.code, 0, str(run))
        self.assert_found_the_line(out)
        self.assert_untouched(child)

    def test_target_gone_before_the_first_sample(self):
        target = self.script(self.python, "growing.py")
        out = self.folder / "out.folded"
        memspy = self.memspy("record", "-p", target.pid, "-o", out)
        memspy.until_attached(target.pid)
        target.tell("exit")
        run = memspy.finish()
        if run.code == 0:  # its very end may have touched pages, and given them back: then there were samples
            self.assertTrue(out.exists(), str(run))
        else:
            self.assertEqual(run.code, 6, str(run))
            self.assertRegex(run.err, f"(?s){target.pid}.*ended before the first")

    def test_a_command_without_a_tracer_ends(self):
        """Its parent is memspy: it stays a zombie until memspy itself asks for its end."""
        for command, says in (("exit 3", "target exit 3"), ("kill -9 $$", "target killed by SIGKILL")):
            run = self.run_memspy("record", "--rss", "--force", "-o", self.folder / "out.csv", "--json",
                                  "--", "sh", "-c", command)
            self.assertEqual(run.json()["ended_by"], says)

    # --- what memspy launched itself

    def launch(self, shell, *arguments, terminal=None):
        """memspy over a shell that starts a Python, "$@", once that one is attached to; and its PID."""
        popen = {"start_new_session": True}
        if terminal is not None:
            popen = {"preexec_fn": lambda: take_terminal(terminal)}
        memspy = self.memspy("record", "-s", "-o", self.folder / "out.folded", *arguments, "--", "sh", "-c",
                             shell, "sh", *self.python.command(harness.TARGETS / "launched.py"), **popen)
        begun = harness.eventually(lambda: re.search(r"^begun (\d+)$", memspy.out, re.MULTILINE),
                                   f"the child has begun\n{memspy.err}")
        pid = int(begun[1])
        memspy.until_attached(pid)
        return memspy, pid

    def gone(self, pid):
        harness.eventually(lambda: harness.state(pid) in ("", "Z"), f"{pid} has ended")

    def test_what_a_launched_command_has_started_ends_with_it(self):
        """Also the child of one that is gone, and one that knows nothing of Ctrl-C, as a shell has it."""
        for shell in ('"$@" & wait', '("$@" &); sleep 60; :'):
            with self.subTest(shell=shell):
                memspy, child = self.launch(shell, "--force")
                run = memspy.stop()
                self.assertEqual(run.code, 0, str(run))
                self.assertIn("that it started", run.err)
                self.assertIn(harness.state(child), ("", "Z"), "memspy has waited for it")

    def test_keep_running_keeps_all_of_it(self):
        memspy, child = self.launch('"$@" & wait', "--keep-running")
        run = memspy.stop()
        self.assertEqual(run.code, 0, str(run))
        self.assertNotIn("SIGTERM", run.err)
        self.assert_untouched(child)
        os.killpg(os.getpgid(child), signal.SIGKILL)

    def test_a_daemon_is_left_alone(self):
        memspy, child = self.launch('setsid "$@" & wait')
        run = memspy.stop()
        self.assertEqual(run.code, 0, str(run))
        self.assert_untouched(child)
        os.kill(child, signal.SIGKILL)

    def test_a_command_at_a_terminal_has_its_keys(self):
        """It reads what is typed, and Ctrl-C is for all; those who do not heed it are asked to end."""
        keyboard, terminal = pty.openpty()
        self.addCleanup(os.close, keyboard)
        heard = self.folder / "heard"
        memspy, child = self.launch(f'"$@" & read line; trap "" INT; echo "$line" >{heard}; wait',
                                    terminal=terminal)
        os.close(terminal)
        os.write(keyboard, b"hello\n")
        harness.eventually(lambda: heard.exists() and heard.read_text() == "hello\n", "the command hears")
        os.write(keyboard, b"\x03")
        run = memspy.finish()
        self.assertEqual(run.code, 0, str(run))
        self.assertIn("that it started", run.err)
        self.gone(child)

    # --- memspy

    def test_signals_end_it_well(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            with self.subTest(signal=number.name):
                target, memspy, out = self.begin("--force")
                run = memspy.signal(number).finish()
                self.assertEqual(run.code, 0, str(run))
                self.assertIn(number.name, run.json()["ended_by"])
                self.assert_found_the_line(out)
                target.ask("ping")
                self.assert_untouched(target.pid)

    def test_a_broken_pipe(self):
        """Nobody reads stdout any more: the run ends, its file is written, nobody is hurt."""
        target = self.script(self.python, "fates.py")
        reader, writer = os.pipe()
        memspy = self.memspy("attach", "-p", target.pid, "-i", "50ms", stdout=writer)
        os.close(writer)
        memspy.until_attached(target.pid)
        os.close(reader)
        run = memspy.finish()
        self.assertIn(run.code, (0, 7), str(run))
        target.ask("ping")
        self.assert_untouched(target.pid)

    def test_a_recording_is_readable_at_every_moment(self):
        target, memspy, out = self.begin(suffix="memspy")
        # While it is written: as soon as a tick has passed, what it saw is there.
        harness.eventually(lambda: profiles.Folded(self.report(out)).stacks, "the recording shows growth")
        self.assert_found_the_line(self.report(out))
        memspy.signal(signal.SIGKILL).process.wait(harness.DEADLINE)
        with contextlib.closing(sqlite3.connect(out)) as database:
            self.assertEqual(database.execute("pragma integrity_check").fetchone(), ("ok",))
        self.assert_found_the_line(self.report(out))
        target.ask("ping")
        self.assert_untouched(target.pid)

    def test_a_checkpoint_on_request(self):
        target, memspy, out = self.begin()
        self.assertFalse(out.exists())
        memspy.signal(signal.SIGUSR1)
        harness.eventually(out.exists, "the checkpoint is written")
        self.assert_found_the_line(out)
        first = profiles.Folded(out).total()
        target.ask("ping")
        run = memspy.stop()
        self.assertEqual(run.code, 0, str(run))
        self.assertGreater(profiles.Folded(out).total(), first)

    def test_nothing_is_left_beside_the_output(self):
        _, memspy, out = self.begin()
        memspy.stop()
        self.assertEqual([path.name for path in self.folder.iterdir()], [out.name])

    # --- the disk

    @contextlib.contextmanager
    def small_disk(self):
        harness.need_root()
        libc = ctypes.CDLL(None, use_errno=True)
        disk = pathlib.Path(tempfile.mkdtemp(prefix="memspy-disk-"))
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_SIZE}", "tmpfs", disk], check=True)
        try:
            yield disk
        finally:
            libc.umount2(str(disk).encode(), 2)  # MNT_DETACH
            disk.rmdir()

    def fill(self, disk, but=0):
        free = os.statvfs(disk)
        size = free.f_bavail * free.f_bsize - but
        if size > 0:
            with contextlib.suppress(OSError):  # memspy was quicker
                (disk / "filler").write_bytes(bytes(size))

    def test_the_disk_fills_while_recording(self):
        with self.small_disk() as disk:
            target = self.script(self.python, "fates.py")
            out = disk / "out.memspy"
            memspy = self.memspy("record", "-p", target.pid, "-o", out, "-i", "10ms")
            memspy.until_attached(target.pid)
            target.ask("ping")
            harness.eventually(out.exists, "the recording is there")
            self.fill(disk)
            run = memspy.finish()
            self.assertEqual(run.code, 7, str(run))
            self.assertIn("out.memspy", run.err)
            self.assertRegex(run.err, "(?i)no space|full|room")
            target.ask("ping")
            self.assert_untouched(target.pid)
            (disk / "filler").unlink()
            self.assertTrue(out.exists(), "what was written is kept")
            self.run_memspy("report", out, "-o", self.folder / "kept.folded")

    def test_no_room_for_the_profile_at_the_end(self):
        with self.small_disk() as disk:
            out = disk / "out.folded"
            target = self.script(self.python, "fates.py")
            memspy = self.memspy("record", "-p", target.pid, "-o", out)
            memspy.until_attached(target.pid)
            target.ask("ping")
            self.fill(disk)
            run = memspy.stop()
            self.assertEqual(run.code, 7, str(run))
            self.assertRegex(run.err, "(?i)no space|full|room")
            target.ask("ping")
            self.assert_untouched(target.pid)


if __name__ == "__main__":
    unittest.main()
