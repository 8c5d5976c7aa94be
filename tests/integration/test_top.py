"""`memspy top` on a real terminal: tmux types the keys and reads the screen."""
import contextlib
import os
import pathlib
import re
import shutil
import signal
import sqlite3
import subprocess
import unittest

import harness


class Screen:
    """A terminal of 110 by 34, with memspy in it."""

    def __init__(self, folder, *arguments):
        self.socket = str(pathlib.Path(folder) / "tmux")
        self.code = pathlib.Path(folder) / "code"
        command = " ".join([harness.memspy_path(), *map(str, arguments)])
        # The exit code outlives the terminal; what was left on the screen stays to be read.
        self.tmux("-f", "/dev/null", "new-session", "-d", "-x", "110", "-y", "34",
                  f"{command}; echo $? > {self.code}; exec sleep 1000")

    def tmux(self, *arguments):
        return subprocess.run(["tmux", "-S", self.socket, *arguments], check=True,
                              stdout=subprocess.PIPE, text=True, timeout=harness.DEADLINE).stdout

    def text(self):
        return self.tmux("capture-pane", "-p")

    def press(self, *keys):
        self.tmux("send-keys", *keys)

    def until(self, pattern):
        """The screen, once it shows this."""
        last = [""]

        def shows():
            last[0] = self.text()
            return re.search(pattern, last[0])
        try:
            harness.eventually(shows, "")
        except AssertionError:
            raise AssertionError(f"the screen never showed {pattern!r}:\n{last[0]}") from None
        return last[0]

    def exit_code(self):
        text = harness.eventually(lambda: self.code.exists() and self.code.read_text(), "top ends")
        return int(text)

    def end(self):
        self.tmux("kill-server")


class Top(harness.Case):
    def setUp(self):
        super().setUp()
        if not shutil.which("tmux"):
            self.skipTest("no tmux")
        self.target = self.script(harness.need("system"), "fates.py")

    def screen(self, *arguments):
        screen = Screen(self.folder, "top", *arguments)
        self.addCleanup(screen.end)
        return screen

    def quit(self, screen):
        screen.press("q")
        self.assertEqual(screen.exit_code(), 0)

    def test_it_shows_the_growing_function_and_quits(self):
        screen = self.screen("-p", self.target.pid, "-i", "200ms")
        text = screen.until("grow_steadily")
        self.assertIn(str(self.target.pid), text)
        self.assertIn("RSS", text)
        self.assertRegex(text, r"fates\.py:\d+")
        self.quit(screen)
        self.target.ask("ping")
        self.assert_untouched(self.target.pid)

    def test_keys(self):
        screen = self.screen("-p", self.target.pid, "-i", "200ms")
        screen.until("grow_steadily")
        screen.press("?")
        screen.until("(?i)help|keys")
        screen.press("?")
        screen.until("grow_steadily")
        screen.press("Space")
        screen.until("(?i)paused")
        screen.press("Space")
        harness.eventually(lambda: not re.search("(?i)paused", screen.text()), "it goes on")
        screen.press("/")
        screen.press("no_such_function", "Enter")
        harness.eventually(lambda: "grow_steadily" not in table(screen.text()), "the filter hides it")
        screen.press("c")
        harness.eventually(lambda: "grow_steadily" in table(screen.text()), "it is back")
        for key in ("1", "2", "3", "4", "5", "6", "s", "S", "t", "<", ">", "t", "L", "L", "+", "-", "r"):
            screen.press(key)
        screen.until("grow_steadily")
        self.quit(screen)

    def heap_beside_the_sampling(self, engine):
        """A copy of a process that memspy traces already, by the one who traces it."""
        screen = self.screen("-p", self.target.pid, "-i", "200ms", "--engine", engine)
        sampled = "RSS" if engine == "rss" else "grow_steadily"
        screen.until(sampled)
        screen.press("h")
        text = screen.until(r"RETAINED +GROWN +TYPE")
        self.assertRegex(text, r"heap: [\d ]+ objects, .* of RSS explained, paused")
        self.assertIn("builtins.bytearray", text)
        screen.press("L")
        screen.until(r"GROWN +OWNER")
        screen.press("Enter")
        screen.until(r"\+[\d.]+ [KM]iB  \S")  # what has grown since
        screen.press("h")
        screen.until("CUMULATIVE")
        screen.until(sampled)
        self.quit(screen)
        self.target.ask("ping")
        self.assert_untouched(self.target.pid)

    def test_the_heap_beside_fault_samples(self):
        self.heap_beside_the_sampling("faults")

    def test_the_heap_beside_polls(self):
        self.heap_beside_the_sampling("poll")

    def test_the_heap_without_a_tracer(self):
        self.heap_beside_the_sampling("rss")

    def test_the_last_screen_stays_when_the_target_ends(self):
        screen = self.screen("-p", self.target.pid, "-i", "200ms")
        screen.until("grow_steadily")
        self.target.tell("exit 3")
        screen.until("(?i)exit|ended|gone")
        self.assertIn("grow_steadily", screen.text())
        self.assertFalse(screen.code.exists())
        self.quit(screen)

    def test_a_recording_of_what_was_seen(self):
        subprocess.run(["true"], check=True)
        screen = self.screen("-p", self.target.pid, "-i", "200ms")
        screen.until("grow_steadily")
        screen.press("w")
        name = re.search(r"([\w./%-]+\.memspy)", screen.until(r"[\w./%-]+\.memspy"))[1]
        path = pathlib.Path(name)
        self.addCleanup(lambda: path.unlink(missing_ok=True))
        self.quit(screen)
        self.assertIn("grow_steadily", self.run_memspy("report", path).out)

    def test_native_frames_are_named_on_the_screen_and_addresses_in_the_recording(self):
        screen = self.screen("-p", self.target.pid, "-i", "200ms", "--native")
        screen.until("grow_steadily")
        screen.press("3")
        screen.until("sort: cumulative")
        screen.until(r"\b_?Py\w+ \(")  # functions that every build exports
        screen.press("w")
        name = re.search(r"([\w./%-]+\.memspy)", screen.until(r"[\w./%-]+\.memspy"))[1]
        path = pathlib.Path(name)
        self.addCleanup(lambda: path.unlink(missing_ok=True))
        self.quit(screen)
        with contextlib.closing(sqlite3.connect(path)) as db:
            frames = db.execute("SELECT function, count(*) FROM frames WHERE kind = 1 GROUP BY 1").fetchall()
        self.assertEqual([function for function, _ in frames], [""])
        self.assertGreater(frames[0][1], 5)
        self.assertIn("grow_steadily", self.run_memspy("report", path).out)

    def test_time_in_the_place_of_bytes(self):
        target = harness.Target(harness.need("system").command(harness.WORKLOADS / "allocate.py", "--duration", 10000))
        self.addCleanup(target.end)
        target.hear("ready")
        target.tell("go")
        screen = self.screen("-p", target.pid, "-i", "200ms", "--mode", "alloc")
        screen.until(r" % +[\d.]+ [mµ]?s +[\d.]+ .* first \(allocate\.py:\d+\)")
        self.assertRegex(screen.text(), r"allocating [\d.<]+ % of .* of CPU time in user mode")
        screen.press("?")
        screen.until("sort by CPU now")
        screen.press("?")
        screen.press("3")
        screen.until("sort: cumulative")
        # What has come since the reset is less than what was there before, however late we look: it stands still.
        screen.until(r"of \d+\.\d s of CPU time")
        os.kill(target.pid, signal.SIGSTOP)
        screen.press("r")
        screen.until("figures count from now")
        harness.eventually(lambda: not re.search(r"of [\d.]+ (s|m) of CPU time", screen.text()), "the reset is seen")
        os.kill(target.pid, signal.SIGCONT)
        screen.press("1")
        screen.until(r"sort: CPU now")
        screen.until(r"first \(allocate\.py:\d+\)")
        self.quit(screen)
        self.assert_untouched(target.pid)

    def test_the_list_of_processes(self):
        screen = self.screen("-i", "200ms")
        text = screen.until(str(self.target.pid))
        self.assertIn("fates.py", text)
        screen.press("/")
        screen.press("fates.py", "Enter")
        screen.until(str(self.target.pid))
        screen.press("Enter")
        screen.until("grow_steadily")
        screen.press("Escape")
        harness.eventually(lambda: "grow_steadily" not in screen.text(), "back in the list")
        self.quit(screen)

    def test_a_small_window_and_a_resize(self):
        screen = self.screen("-p", self.target.pid, "-i", "200ms")
        screen.until("grow_steadily")
        for columns, rows in ((40, 10), (20, 4), (110, 34)):
            screen.tmux("resize-window", "-x", str(columns), "-y", str(rows))
        screen.until("grow_steadily")
        self.quit(screen)


def table(text):
    """The rows of the table: the part between the header and the hottest stack is not told apart
    by the test; a row is a line with a place."""
    return "\n".join(line for line in text.splitlines() if re.search(r"fates\.py:\d+", line))


if __name__ == "__main__":
    unittest.main()
