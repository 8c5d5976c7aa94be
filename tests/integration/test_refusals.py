"""Every case of bad input or a process that cannot be read: its exit code, and what the text says.

Whatever memspy refuses, it leaves as it was."""
import contextlib
import ctypes
import os
import pathlib
import pwd
import shutil
import signal
import subprocess
import unittest

import harness

USAGE, NO_PROCESS, PERMISSION, NOT_PYTHON, GONE, OUTPUT, TRACED = 2, 3, 4, 5, 6, 7, 9
VERBS_OF_A_TARGET = [["record", "-o", "{folder}/out.folded"], ["dump"], ["attach"],
                     ["top", "--batch"]]
RSS_ALONE = ["record", "--rss", "-o", "{folder}/out.csv"]  # needs a process, and no leave


class Refusals(harness.Case):
    def refused(self, code, says, *arguments, **popen):
        """memspy ends with this code, and says all of these on stderr, in three lines at most
        per word of advice: what, why, try; and no backtrace."""
        run = self.run_memspy(*arguments, code=code, **popen)
        first = run.err.splitlines()[0] if run.err else ""
        self.assertTrue(first.startswith("memspy: "), str(run))
        for word in says:
            self.assertRegex(run.err, f"(?is){word}", str(run))
        for bad in ("terminate called", "Traceback", "Aborted", "std::"):
            self.assertNotIn(bad, run.err)
        return run

    def refused_by_all(self, code, says, pid, **popen):
        for verb in VERBS_OF_A_TARGET + ([RSS_ALONE] if code == NO_PROCESS else []):
            with self.subTest(verb=verb[0]):
                words = [word.format(folder=self.folder) for word in verb]
                self.refused(code, says, words[0], "-p", pid, *words[1:], **popen)
        # What was refused has not left a file.
        self.assertFalse(list(self.folder.glob("out.*")))

    def target_python(self):
        return self.script(harness.need("system"), "growing.py")

    # --- usage

    def test_pids_that_are_none(self):
        for text in ("0", "-1", "abc", "12x", "0x10", "1.5", "", "99999999999999999999"):
            with self.subTest(pid=text):
                self.refused(USAGE, ["pid"], "dump", f"--pid={text}")

    def test_options_that_make_no_sense(self):
        pid = str(os.getpid())
        out = ["-o", str(self.folder / "x.folded")]
        for words, says in [
                (["record", "-p", pid, *out, "-i", "5"], ["interval|unit"]),
                (["record", "-p", pid, *out, "-i", "1s", "-r", "5"], ["rate", "interval"]),
                (["record", "-p", pid, *out, "-d", "soon"], ["soon"]),
                (["record", "-p", pid, *out, "--engine", "magic"], ["magic", "faults"]),
                (["record", "-p", pid, *out, "--mode", "psychic"], ["psychic"]),
                (["record", "-p", pid, *out, "--no-such-option"], ["no-such-option"]),
                (["attach", "-o", "file", "-p", pid], ["there is no option -o"]),
                (["record", "-p", pid, *out, "--dration", "5"], ["there is no option --dration", "--duration"]),
                (["record", "-p", pid, *out, "--fail-on", "allocating>5%"], ["memspy diff A B takes it"]),
                (["record", "-p", pid, *out, "--mode", "alloc", "--rss"], ["--mode alloc and --rss"]),
                (["record", "-p", pid, "-o", str(self.folder / "x.unknown")], ["format|suffix"]),
                (["record", "-p", pid, *out, "-f", "tarball"], ["tarball"]),
                (["record", "-p", pid, *out, "--budget", "200"], ["budget|percent"]),
                (["record", *out, "--"], ["command"]),
                (["record", "-p", pid, *out, "--engine", "bpf", "-s"], ["engine bpf", "follow children"]),
                (["record", "-p", pid, *out, "--engine", "bpf", "-n"], ["engine bpf", "native frames"]),
                (["record", "-p", pid, *out, "--engine", "poll", "--mode", "live"], ["live", "engine poll"]),
                (["record", "-p", pid, *out, "--engine", "bpf", "--mode", "alloc"], ["alloc", "engine bpf"]),
                (["record", *out, "--engine", "bpf", "--", "true"], ["engine bpf", "birth"]),
                (["record", "-p", pid, *out, "--", "true"], ["not both|PID or a command"]),
                (["diff", "one.memspy"], []),
                (["dump", "-p", pid, "--assume-layout", "banana"], ["banana"]),
                (["completions", "tcsh"], ["tcsh"]),
                (["frobnicate"], ["frobnicate"]),
                (["d"], ["ambiguous"])]:
            with self.subTest(words=words):
                self.refused(USAGE, says, *words)

    def test_several_candidates_and_no_pid(self):
        one, two = self.target_python(), self.target_python()
        run = self.refused(USAGE, [], "dump")
        for target in (one, two):
            self.assertIn(str(target.pid), run.err + run.out, str(run))

    # --- processes

    def free_pid(self):
        process = subprocess.Popen(["true"])
        process.wait()
        return process.pid

    def test_no_such_process(self):
        self.refused_by_all(NO_PROCESS, ["no process", "namespace"], self.free_pid())

    def test_a_thread_is_no_process(self):
        target = self.target_python()
        tids = [int(task.name) for task in pathlib.Path(f"/proc/{target.pid}/task").iterdir()]
        tid = next(tid for tid in tids if tid != target.pid)
        self.refused_by_all(NO_PROCESS, ["thread", str(target.pid)], tid)

    def test_a_zombie(self):
        process = subprocess.Popen(["true"])
        self.addCleanup(process.wait)
        harness.eventually(lambda: harness.state(process.pid) == "Z", "a zombie")
        self.refused_by_all(NO_PROCESS, ["zombie", str(os.getpid())], process.pid)

    def test_a_kernel_thread(self):
        for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                fields = stat.read_text().rpartition(")")[2].split()
                if int(fields[6]) & 0x200000:  # PF_KTHREAD
                    self.refused_by_all(NOT_PYTHON, ["kernel thread"], int(stat.parent.name))
                    return
        self.skipTest("this PID namespace has no kernel threads")

    def test_a_process_without_python(self):
        process = subprocess.Popen(["sleep", "1000"])
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        harness.eventually(lambda: pathlib.Path(f"/proc/{process.pid}/comm").read_text() == "sleep\n",
                           "sleep runs")
        self.refused_by_all(NOT_PYTHON, ["python"], process.pid)
        self.assert_untouched(process.pid)

    def test_a_parent_without_python_names_its_children_that_are(self):
        python = harness.need("system")
        command = python.command(harness.TARGETS / "growing.py")
        target = self.target(["sh", "-c", '"$@"; :', "sh", *command])
        child = target.hear("ready")["pid"]
        self.assertNotEqual(child, target.pid)
        self.refused_by_all(NOT_PYTHON, [str(child)], target.pid)

    def test_traced_by_another(self):
        target = self.target_python()
        libc = ctypes.CDLL(None, use_errno=True)
        tracer = os.fork()
        if tracer == 0:
            if libc.ptrace(ctypes.c_long(0x4206), target.pid, None, None) == 0:  # PTRACE_SEIZE
                signal.pause()
            os._exit(0)
        self.addCleanup(os.waitpid, tracer, 0)
        self.addCleanup(os.kill, tracer, signal.SIGKILL)
        harness.eventually(lambda: harness.status(target.pid)["TracerPid"] == str(tracer), "it is traced")
        self.refused_by_all(TRACED, [str(tracer), "traced"], target.pid)
        self.assertEqual(harness.status(target.pid)["TracerPid"], str(tracer))
        target.ask("ping")

    def test_a_stopped_target_is_seen_and_stays_stopped(self):
        target = self.target_python()
        os.kill(target.pid, signal.SIGSTOP)
        harness.eventually(lambda: harness.state(target.pid) == "T", "it is stopped")
        run = self.run_memspy("dump", target.pid)
        self.assertIn("stopped", run.out + run.err)
        self.assertIn("main (growing.py:", run.out)  # its stack is there all the same, wherever it stood
        self.assertEqual(harness.state(target.pid), "T")
        self.run_memspy("record", "-p", target.pid, "-d", "0.5", "-o", self.folder / "out.folded",
                        "--json")
        self.assertEqual(harness.state(target.pid), "T")
        os.kill(target.pid, signal.SIGCONT)
        target.ask("ping")
        self.assert_untouched(target.pid)

    def test_stopped_while_recorded(self):
        target = self.target_python()
        memspy = self.memspy("record", "-p", target.pid, "-o", self.folder / "out.folded", "--json")
        memspy.until_attached(target.pid)
        os.kill(target.pid, signal.SIGSTOP)
        harness.eventually(lambda: harness.state(target.pid) in "Tt", "it is stopped")
        run = memspy.stop()
        self.assertEqual(run.code, 0, str(run))
        harness.eventually(lambda: harness.state(target.pid) == "T", "it is stopped still")
        os.kill(target.pid, signal.SIGCONT)
        target.ask("ping")
        self.assert_untouched(target.pid)

    # --- permission

    def nobody(self):
        harness.need_root()
        user = pwd.getpwnam("nobody")
        # A binary that another user may not reach is not what is tested here.
        copy = pathlib.Path(shutil.copy(harness.memspy_path(), self.folder / "memspy"))
        self.folder.chmod(0o755)
        copy.chmod(0o755)
        return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups",
                "--inh-caps=-all"], copy

    def test_another_users_process(self):
        prefix, memspy = self.nobody()
        target = self.target_python()
        for verb in VERBS_OF_A_TARGET:
            with self.subTest(verb=verb[0]):
                words = [word.format(folder="/tmp") for word in verb]
                done = subprocess.run([*prefix, memspy, words[0], "-p", str(target.pid), *words[1:]],
                                      stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                      stderr=subprocess.PIPE, text=True, timeout=harness.DEADLINE, check=False)
                self.assertEqual(done.returncode, PERMISSION, done.stderr)
                self.assertIn(str(target.pid), done.stderr)
                self.assertIn("uid 0", done.stderr)
                self.assertRegex(done.stderr, r"uid \d{4,}")  # both are named
                # What to do about it: another thing inside a container than outside.
                self.assertRegex(done.stderr, "try:.*(sudo|SYS_PTRACE)")
                self.assertFalse(pathlib.Path("/tmp/memspy-refused.folded").exists())
        self.assert_untouched(target.pid)

    # --- output

    def test_output_is_tested_before_anything_is_attached(self):
        target = self.target_python()
        existing = self.folder / "there.folded"
        existing.write_text("precious 1\n")
        plain_file = self.folder / "file"
        plain_file.write_text("")
        for path, says in [(self.folder / "missing" / "x.folded", ["missing"]),
                           (plain_file / "x.folded", ["x.folded"]),
                           (existing, ["exists", "--force"]),
                           ("/proc/x.folded", ["/proc"])]:
            with self.subTest(path=str(path)):
                run = self.refused(OUTPUT, says, "record", "-p", target.pid, "-d", "1", "-o", path)
                self.assertNotIn("sampling", run.err)
        self.assertEqual(existing.read_text(), "precious 1\n")
        self.run_memspy("record", "-p", target.pid, "-d", "0.3", "-o", existing, "--force")
        self.assertNotIn("precious", existing.read_text())

    def test_recordings_that_are_none(self):
        for name, content in [("empty.memspy", b""), ("text.memspy", b"hello\n" * 1000),
                              ("cut.memspy", b"SQLite format 3\0" + bytes(50))]:
            path = self.folder / name
            path.write_bytes(content)
            with self.subTest(name=name):
                run = self.run_memspy("report", path, code=2)
                self.assertIn(name, run.err)
                self.assertTrue(run.err.startswith("memspy: "), run.err)
        self.assertIn("is damaged or cut off", self.run_memspy("report", self.folder / "cut.memspy", code=2).err)
        run = self.run_memspy("report", self.folder / "not there.memspy", code=2)
        self.assertIn("not there.memspy", run.err)

    def test_standard_output_that_is_closed(self):
        target = self.target_python()
        run = self.run_memspy("dump", target.pid, code=OUTPUT, stdout=open("/dev/full", "w"))  # noqa: SIM115
        self.assertIn("output", run.err)


if __name__ == "__main__":
    unittest.main()
