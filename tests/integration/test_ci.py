"""The workflow of docs/guides/ci.md, run step by step as it stands there, on a test suite that passes, grows or fails.

Steps that fetch something are left out. Instead of pytest, which need not be here, it is unittest that is run.
"""
import os
import shlex
import shutil
import subprocess

import yaml

import harness
import test_docs

GUIDE = test_docs.ROOT / "docs/guides/ci.md"
SUITE = """import os, time, unittest

KEPT = []


class Shop(unittest.TestCase):
    def test_orders(self):
        KEPT.append(b"x" * (int(os.environ["KEPT_MIB"]) << 20))
        time.sleep(0.5)  # of which memspy's interval is a fifth
        self.assertFalse(os.environ.get("BROKEN"))
"""


class Workflow(harness.PythonCase):
    def setUp(self):
        super().setUp()
        if not shutil.which("jq"):
            self.skipTest("there is no jq")
        (self.folder / "memspy").symlink_to(harness.memspy_path())
        (self.folder / "test_shop.py").write_text(SUITE)
        (self.folder / "memspy.toml").write_text((test_docs.ROOT / "docs/guides/memspy.toml").read_text())
        block, = [text for _, text in test_docs.blocks("yaml", [GUIDE])]
        self.steps = {step["name"]: step["run"] for step in yaml.safe_load(block)["jobs"]["memory"]["steps"]
                      if "run" in step and "name" in step}

    def shell(self, command, code, **environment):
        """As a runner does it: bash -e with pipefail, in the folder of the checkout."""
        self.assertIn(" -- python -m pytest -q" if "record" in command else "", command)
        command = command.replace("python -m pytest -q", f"{shlex.quote(self.python.program)} -m unittest -q")
        done = subprocess.run(["bash", "-eo", "pipefail", "-c", command], cwd=self.folder, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=harness.DEADLINE,
                              env=dict(os.environ, **environment))
        self.assertEqual(done.returncode, code, f"{command}\n{done.stdout[-4000:]}")
        return done.stdout

    def step(self, name, code=0, **environment):
        return self.shell(self.steps[name], code, **environment)

    def record(self, code=0, kept=5, **environment):
        return self.step("Run the tests under memspy", code, KEPT_MIB=str(kept), **environment)

    def test_a_base_and_pull_requests_that_pass_and_that_grow(self):
        self.record()
        self.step("Did the tests pass")
        self.step("The new base")
        self.record(kept=7)
        self.step("Compare with the base")
        self.record(kept=60)
        self.assertIn("growth>20MiB was met", self.step("Compare with the base", 8))
        self.step("A page to look at")
        self.assertIn(b"<!doctype html>", (self.folder / "memory.html").read_bytes()[:100].lower())

    def test_a_run_that_uses_too_much_and_a_threshold_that_is_typed(self):
        self.assertIn("growth>200MiB was met", self.record(8, kept=250))
        self.step("Did the tests pass")  # nothing that they could know of
        line = "./memspy record --config memspy.toml --force --fail-on 'growth>1GiB' -o new.memspy -- python -m pytest -q"
        self.shell(line, 0, KEPT_MIB="250")

    def test_tests_that_fail_are_told_by_the_step_after(self):
        self.record(BROKEN="1")
        self.step("Did the tests pass", 1)

    def test_every_step_that_runs_memspy_is_run_here(self):
        here = {"Run the tests under memspy", "Did the tests pass", "Compare with the base", "A page to look at", "The new base"}
        self.assertEqual(here, set(self.steps) - {"Fetch memspy"})
