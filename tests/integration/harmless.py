"""kill -9 of memspy at random moments: whatever it was doing, the target goes on as if nothing had been.

MEMSPY_KILLS      how many kills (60); a long run is `MEMSPY_KILLS=1000 ctest -R harmless`
MEMSPY_SEED       of the random moments; printed, so that a failure can be had again
"""
import os
import pathlib
import random
import signal
import time
import unittest

import harness
import remains

KILLS = int(os.environ.get("MEMSPY_KILLS", "60"))
SEED = int(os.environ.get("MEMSPY_SEED", str(random.SystemRandom().randrange(1 << 30))))

# What memspy is doing when it dies, and by when it will (seconds after its start).
WAYS = [
    (["record", "--engine", "faults", "-o", "{out}.folded"], 0.6),
    (["record", "--engine", "faults", "-s", "-o", "{out}.memspy"], 0.6),
    (["record", "--engine", "faults", "--budget", "100", "-o", "{out}.folded"], 0.6),
    (["record", "--engine", "faults", "-n", "--budget", "100", "-o", "{out}.memspy"], 0.6),
    (["record", "--engine", "bpf", "-o", "{out}.folded"], 0.6),
    (["record", "--engine", "bpf", "--budget", "100", "-o", "{out}.memspy"], 0.6),
    (["record", "--mode", "live", "-o", "{out}.folded"], 1.2),
    (["record", "--mode", "live", "--budget", "100", "-o", "{out}.memspy"], 1.2),
    (["record", "--mode", "live", "--engine", "faults", "-o", "{out}.folded"], 1.2),
    (["record", "--mode", "live", "-s", "--budget", "100", "-o", "{out}.memspy"], 1.2),
    (["record", "--mode", "live", "-n", "--budget", "100", "-o", "{out}.memspy"], 1.2),
    (["record", "--mode", "alloc", "-o", "{out}.folded"], 0.6),
    (["record", "--mode", "alloc", "-n", "--budget", "100", "-o", "{out}.memspy"], 0.6),
    (["record", "--mode", "alloc", "-s", "--budget", "100", "-o", "{out}.memspy"], 0.6),
    (["record", "--engine", "poll", "-i", "10ms", "-o", "{out}.folded"], 0.6),
    (["record", "--engine", "poll", "-s", "-i", "10ms", "-o", "{out}.folded"], 0.6),
    (["dump", "--json"], 0.08),
    (["dump", "-l", "-s"], 0.08),
    (["dump", "-n"], 0.15),
    (["heap"], 0.5),
    (["heap", "--json", "--spool", "{spool}"], 0.5),
    (["snapshot", "-o", "{out}.memsnap"], 0.5),
    (["why", "--type", "builtins.dict"], 0.5),
    (["gc"], 0.3),
    (["top", "--batch", "-i", "100ms"], 0.6),
    (["top", "--batch", "-s", "-i", "100ms"], 0.6),
    (["top", "--batch", "--native", "-i", "100ms"], 0.9),
    (["attach", "-n", "-i", "100ms"], 0.9),
    (["attach", "-i", "100ms"], 0.6),
    (["attach", "-s", "-i", "100ms"], 0.6),
]
PROGRAMS = {"on_fault", "on_write", "on_fork", "on_exec", "on_exit"}  # src/attach/bpf
TRACING_WAYS = [(["traces"], 0.04), (["traces", "--by", "type", "--json"], 0.08), (["traces", "--watch", "10ms"], 0.5)]


class Harmless(harness.PythonCase):
    def setUp(self):
        super().setUp()
        self.random = random.Random(SEED)
        print(f"MEMSPY_SEED={SEED} MEMSPY_KILLS={KILLS}", flush=True)

    def assert_well(self, target, what):
        self.assert_at_work(target, what)
        # The target's own signals may be on their way at any one moment: look until none is.
        harness.eventually(lambda: self.is_untouched(target.pid), f"{what}: {target.pid} is untouched", 20)

    def is_untouched(self, pid):
        try:
            self.assert_untouched(pid)
            return True
        except AssertionError as error:
            self.last = error
            return False

    def kill_often(self, script, ways, kills, *arguments):
        target = self.script(self.python, script, *arguments)
        self.assert_well(target, "before anything was done")
        outcomes = {"killed": 0, "ended before": 0}
        for number in range(kills):
            way, latest = ways[number % len(ways)]
            command = [word.format(out=self.folder / str(number), spool=self.folder) for word in way]
            memspy = harness.Memspy(command[0], "-p", target.pid, *command[1:])
            delay = self.random.uniform(0, latest)
            time.sleep(delay)  # the random moment
            try:
                if memspy.process.poll() is None:
                    memspy.signal(signal.SIGKILL)
                code = memspy.process.wait(harness.DEADLINE)
                what = f"kill {number}, {delay * 1000:.1f} ms into {' '.join(memspy.command)}"
                outcomes["killed" if code == -signal.SIGKILL else "ended before"] += 1
                # A verb that ends by itself may only have done so well, or have lost its target to exec.
                self.assertIn(code, (-signal.SIGKILL, 0) if script == "busy.py" else
                              (-signal.SIGKILL, 0, 1, 5, 6), f"{what}:\n{memspy.out}{memspy.err}")
                self.assert_well(target, what)
            finally:
                memspy.end()
        print(f"{script} {' '.join(arguments)}: {outcomes}", flush=True)
        self.assertGreater(outcomes["killed"], kills // 2, "hardly any of the kills hit")
        if os.geteuid() == 0:
            self.assert_nothing_remains(target, script)

    def assert_nothing_remains(self, target, script):
        """In the kernel: programs that nobody holds, events on the target, its debug registers. Other tests may
        run memspy meanwhile, so that programs with a holder are theirs."""
        harness.eventually(lambda: not remains.programs(PROGRAMS) - remains.held_programs(),
                           "programs of memspy's have gone", 20)
        tasks = [int(task.name) for task in pathlib.Path(f"/proc/{target.pid}/task").iterdir()]
        counted = 0
        for tid in tasks:
            try:
                self.assertEqual(remains.free_slots(tid), remains.SLOTS, f"breakpoints left on {tid}")
                counted += 1
            except ProcessLookupError:
                pass  # ended meanwhile
        self.assertGreater(counted, 0)
        if script == "execs.py":
            return  # never stands still in a call that begins again by itself
        harness.until_listening(target.pid)
        self.assertEqual(remains.debug_control(target.pid), 0, "debug registers of the target")
        self.assert_at_work(target, "after its debug registers were looked at")

    def test_busy_target(self):
        self.kill_often("busy.py", WAYS, KILLS // 2)

    def test_target_with_a_handler_for_sigurg(self):
        self.kill_often("busy.py", WAYS, KILLS // 3, "--urg")

    def test_target_that_traces_its_allocations(self):
        self.kill_often("busy.py", TRACING_WAYS, KILLS // 6, "--trace")

    def test_target_that_execs(self):
        recording = [way for way in WAYS if way[0][0] in ("record", "top", "attach")]
        self.kill_often("execs.py", recording, KILLS // 6)

    def test_a_whole_run_interrupts_nothing(self):
        """No kill: while memspy works at full budget, and lets go by itself, nothing is noticed either."""
        target = self.script(self.python, "busy.py", "--urg")
        for engine in ("faults", "poll"):
            run = self.run_memspy("record", "-p", target.pid, "--engine", engine, "-s", "-d", 3,
                                  "-i", "10ms", "-o", self.folder / f"{engine}.folded")
            self.assert_well(target, str(run))
        for mode in ("live", "alloc"):
            run = self.run_memspy("record", "-p", target.pid, "--mode", mode, "-s", "-d", 3,
                                  "-o", self.folder / f"{mode}.folded")
            self.assert_well(target, str(run))
        for _ in range(20):
            self.run_memspy("dump", target.pid)
        self.assert_well(target, "many times dump")
        for _ in range(5):
            self.run_memspy("heap", target.pid)
        self.assert_well(target, "many times heap")


if __name__ == "__main__":
    unittest.main()
