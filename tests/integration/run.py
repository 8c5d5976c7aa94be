#!/usr/bin/env python3
"""Runs test modules of this folder for ctest.

    run.py [--python NAME] MODULE[.Class[.test]]…

Exit codes: 0 passed, 1 failed, 77 every test was skipped (ctest shows the test as skipped). With
CI=true in the environment a skip is a failure, unless it says that a required interpreter is not
asked for on this machine (pythons.required()), or that the kernel takes no BPF program.
"""
import argparse
import os
import pathlib
import sys
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import harness  # noqa: E402
import pythons  # noqa: E402

SKIPPED = 77


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--python")
    parser.add_argument("tests", nargs="+")
    options = parser.parse_args()
    if options.python:
        os.environ["MEMSPY_TEST_PYTHON"] = options.python
    strict = os.environ.get("CI") == "true"
    if options.python and not pythons.find(options.python):
        why = pythons.why_missing(options.python)
        if strict and options.python in pythons.required():
            print(f"missing, and required here: {why}")
            return 1
        print(f"skipped: {why}")
        return SKIPPED
    suite = unittest.defaultTestLoader.loadTestsFromNames(options.tests)
    result = unittest.TextTestRunner(verbosity=2, stream=sys.stdout).run(suite)
    if not result.testsRun and not result.skipped:
        print("no test ran")
        return 1
    if not result.wasSuccessful():
        return 1
    mendable = [(test, why) for test, why in result.skipped if not why.startswith(harness.KERNEL_REFUSES)]
    if mendable and strict:
        print("a skipped test is a failure in continuous integration:")
        for test, why in mendable:
            print(f"  {test}: {why}")
        return 1
    return SKIPPED if result.skipped and len(result.skipped) >= result.testsRun else 0


if __name__ == "__main__":
    sys.exit(main())
