"""Interpreters in unusual places: files gone or replaced since the start, virtual environments,
stripped libraries, another program, another PID and mount namespace, another user."""
import os
import pathlib
import pwd
import re
import shutil
import subprocess
import unittest

import harness
import profiles


class PlacesCase(harness.Case):
    def check(self, target, prefix=(), **popen):
        """memspy finds the interpreter: its stack in a dump, and its growing line in a profile."""
        ready = target.hear("ready")
        outer = self.outer_pid(target)
        harness.until_listening(outer)
        dump = self.run_memspy("dump", "-p", outer, "--json", prefix=prefix, **popen).json()
        main = next(thread for thread in dump["threads"] if thread["name"] == "MainThread")
        self.assertEqual(main["frames"][0]["function"], "hear")
        self.assertEqual({thread["name"] for thread in dump["threads"]}, {"MainThread", "compute", "waits"})
        out = self.folder / "out.folded"
        memspy = self.memspy("record", "-p", outer, "-o", out, "--force", "--json", prefix=prefix, **popen)
        memspy.until_attached(outer)
        grown = target.ask("grow")["grown"]
        run = memspy.stop()
        self.assertEqual(run.code, 0, str(run))
        folded = profiles.Folded(out)
        self.assertEqual(folded.top(), ("remember", "growing.py", ready["line"]), str(run))
        self.assertLess(abs(folded.total() - grown), 0.02 * grown, str(run))
        self.assert_untouched(outer)
        return dump, run.json()

    def outer_pid(self, target):
        return target.pid

    def growing(self, program, *prefix, **popen):
        return self.target([*prefix, program, "-u", harness.TARGETS / "growing.py", "--mb", 20], **popen)


class Places(PlacesCase):
    def copy(self, path, name=None):
        copied = pathlib.Path(shutil.copy(os.path.realpath(path), self.folder / (name or "python3")))
        copied.chmod(0o755)
        return copied

    def shared(self, name="3.11"):
        """A shared build, and its library by full path."""
        python = harness.need(name)
        listed = subprocess.run(["ldd", python.program], stdout=subprocess.PIPE, text=True, check=True).stdout
        library = re.search(r"(libpython\S+) => (\S+)", listed)
        if not library:
            self.skipTest(f"{python} is not a shared build")
        return python, library[1], library[2]

    def with_own_library(self, name="3.11", prepare=None):
        """A target whose libpython is a copy of its own, in a folder of its own."""
        python, soname, library = self.shared(name)
        folder = self.folder / "lib"
        folder.mkdir()
        own = pathlib.Path(shutil.copy(library, folder / soname))
        if prepare:
            prepare(own)
        target = self.growing(python.program, env=dict(os.environ, LD_LIBRARY_PATH=str(folder)))
        return target, own

    def started(self, target, own):
        """It runs with this file: only now may the file be touched."""
        harness.eventually(lambda: str(own) in pathlib.Path(f"/proc/{target.pid}/maps").read_text(),
                           "the target has mapped its own copy")

    # --- files

    def test_static_binary_deleted_since_the_start(self):
        program = self.copy(harness.need("system").program)
        target = self.growing(program, env=dict(os.environ, PYTHONHOME="/usr"))
        self.started(target, program)
        program.unlink()
        self.check(target)

    def test_static_binary_replaced_since_the_start(self):
        program = self.copy(harness.need("system").program)
        target = self.growing(program, env=dict(os.environ, PYTHONHOME="/usr"))
        self.started(target, program)
        shutil.copy("/bin/true", self.folder / "other")
        os.replace(self.folder / "other", program)
        self.check(target)

    def test_library_deleted_since_the_start(self):
        target, own = self.with_own_library()
        self.started(target, own)
        own.unlink()
        self.check(target)

    def test_library_replaced_by_another_version(self):
        target, own = self.with_own_library()
        self.started(target, own)
        _, _, other = self.shared("3.8")
        shutil.copy(other, self.folder / "other")
        os.replace(self.folder / "other", own)
        dump, _ = self.check(target)
        self.assertTrue(dump["python"]["version"].startswith("3.11."))

    def test_library_stripped(self):
        for name in ("3.6", "3.8", "3.11", "3.13"):
            with self.subTest(python=name):
                shutil.rmtree(self.folder / "lib", ignore_errors=True)
                target, own = self.with_own_library(
                    name, lambda path: subprocess.run(["strip", "--strip-all", path], check=True))
                self.check(target)

    # --- virtual environments

    def test_virtual_environments(self):
        for name in ("3.6", "system", "3.13"):
            for way in ("--symlinks", "--copies"):
                with self.subTest(python=name, way=way):
                    python = harness.need(name)
                    folder = self.folder / f"venv-{name}{way}"
                    subprocess.run([python.program, "-m", "venv", "--without-pip", way, folder],
                                   check=True, stdin=subprocess.DEVNULL)
                    self.check(self.growing(folder / "bin/python"))

    # --- another program

    def test_embedded_in_another_program(self):
        include = pathlib.Path(f"/usr/include/python3.{harness.need('system').minor}")
        if not (include / "Python.h").exists():
            self.skipTest("no libpython3-dev")
        program = self.folder / "server"
        subprocess.run(["cc", "-O1", f"-I{include}", harness.TARGETS / "embedded.c", "-o", program,
                        f"-l{include.name}"], check=True)
        self.check(self.target([program, harness.TARGETS / "growing.py", "--mb", 20],
                               env=dict(os.environ, PYTHONPATH=str(harness.TARGETS))))

    # --- users

    def as_nobody(self):
        harness.need_root()
        user = pwd.getpwnam("nobody")
        self.folder.chmod(0o777)
        # What another user can reach: copies of the tests' programs, and of memspy.
        tests = self.folder / "tests"
        shutil.copytree(harness.TARGETS, tests / "integration/targets")
        shutil.copytree(harness.WORKLOADS, tests / "workloads")
        copy = self.copy(harness.memspy_path(), "memspy")
        return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups",
                "--inh-caps=-all", "--bounding-set=-all"], tests / "integration/targets/growing.py", copy

    def test_an_unprivileged_user_on_a_process_of_their_own(self):
        prefix, script, copy = self.as_nobody()
        python = harness.need("system")
        os.environ["MEMSPY"], before = str(copy), os.environ["MEMSPY"]
        self.addCleanup(os.environ.__setitem__, "MEMSPY", before)
        target = self.target([*prefix, python.program, "-u", script, "--mb", 20], cwd="/")
        _, summary = self.check(target, prefix=prefix, cwd="/")
        paranoid = int(pathlib.Path("/proc/sys/kernel/perf_event_paranoid").read_text())
        if paranoid <= 2:
            self.assertEqual(summary["engine"], "faults")


class Container(PlacesCase):
    """The target is inside a PID and mount namespace and another root; memspy is outside."""

    def outer_pid(self, target):
        """The PID out here of what unshare has forked."""
        def child():
            return pathlib.Path(f"/proc/{target.pid}/task/{target.pid}/children").read_text().split()
        return int(harness.eventually(child, "unshare has a child")[0])

    def inside(self, name):
        harness.need_root()
        python = harness.need(name)
        command = python.command(harness.TARGETS / "growing.py", "--mb", 20)
        self.assertEqual(command[:2], ["unshare", "--mount"])
        return self.target([command[0], "--pid", "--fork", "--kill-child", *command[1:]])

    def check_container(self, name):
        target = self.inside(name)
        dump, _ = self.check(target)
        outer = self.outer_pid(target)
        numbers = harness.status(outer)["NSpid"].split()
        self.assertEqual(len(numbers), 2)
        self.assertEqual(dump["pid"], outer)
        tasks = {int(task.name) for task in pathlib.Path(f"/proc/{outer}/task").iterdir()}
        self.assertLessEqual({thread["tid"] for thread in dump["threads"]}, tasks)

    def test_3_14(self):
        self.check_container("3.14")

    def test_3_15(self):
        self.check_container("3.15")


if __name__ == "__main__":
    unittest.main()
