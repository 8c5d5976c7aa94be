"""One window of a workload that counts for itself, under memspy."""
import contextlib
import pathlib
import tempfile

import harness
import profiles


def record(python, workload, arguments, duration, memspy_options=()):
    """(profile, what the workload counted, memspy's summary)."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="memspy-bench-"))
        target = harness.Target(python.command(harness.WORKLOADS / workload, "--duration", duration, *arguments))
        stack.callback(target.end)
        target.hear("ready")
        out = pathlib.Path(folder) / "out.folded"
        memspy = harness.Memspy("record", "-p", target.pid, "--json", "-o", out, *memspy_options)
        stack.callback(memspy.end)
        memspy.until_attached(target.pid)
        target.ask("go", "done", deadline=duration + 120)
        run = memspy.stop()
        truth = target.ask("truth")
        if run.code != 0:
            raise SystemExit(f"memspy failed:\n{run}")
        return profiles.Folded(out), truth, run.json()
