"""What memspy costs: its target, and the host it runs on."""
import contextlib
import os
import pathlib
import statistics
import tempfile
import time

import harness

BENCH = pathlib.Path(__file__).resolve().parent
TICKS = os.sysconf("SC_CLK_TCK")
# What a run may do, with its options. Mode live takes the engine bpf where that works and -n is not asked for.
MODES = {"bpf": ["--engine", "bpf"], "faults": ["--engine", "faults"], "faults -n": ["--engine", "faults", "-n"],
         "live": ["--mode", "live"], "live by faults": ["--mode", "live", "--engine", "faults"], "live -n": ["--mode", "live", "-n"],
         "alloc": ["--mode", "alloc"], "alloc -n": ["--mode", "alloc", "-n"]}


@contextlib.contextmanager
def target_of(python, script, *arguments):
    target = harness.Target(python.command(BENCH / script, *arguments))
    try:
        target.hear("ready")
        yield target
    finally:
        target.end()


@contextlib.contextmanager
def recording(target, *arguments, suffix="folded"):
    with tempfile.TemporaryDirectory(prefix="memspy-bench-") as folder:
        out = pathlib.Path(folder) / f"out.{suffix}"
        memspy = harness.Memspy("record", "-p", target.pid, "--json", "-o", out, *arguments)
        memspy.output = out
        try:
            memspy.until_attached(target.pid)
            yield memspy
        finally:
            memspy.end()


def own_cpu(pid):
    """Seconds of CPU a process has used."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def own_rss(pid):
    return int(harness.status(pid)["VmRSS"].split()[0]) * 1024


def slowdown(python, options, memspy_options=()):
    """What the same work costs with memspy beside it, in two figures whose product is the slowdown.

    CPU time, against a twin that works at the same time on another processor without memspy: what a
    shared machine does to one it does to both, so that a dozen pairs tell one per cent. And how much
    longer the work takes than its CPU time, alone on the machine: the time it stands still."""
    if len(os.sched_getaffinity(0)) < 2:
        raise SystemExit("the slowdown takes two processors: one for the target, one for its twin")
    ratios = [twins(python, options, memspy_options, pair) for pair in range(options.pairs)]
    lone = [alone(python, options, memspy_options) for _ in range(max(3, options.pairs // 4))]
    cpu, cpu_error = trimmed_mean(ratios)
    stall = statistics.mean(run["stall"] for run in lone)
    return {"python": python.name, "options": list(memspy_options), "pairs": options.pairs, "cpu": cpu, "cpu_error": cpu_error,
            "stall": stall, "slowdown": cpu * stall, "faults_per_second": statistics.mean(run["faults"] for run in lone),
            "stopped_share": statistics.mean(run["stopped"] for run in lone),
            "own_cpu": statistics.mean(run["own_cpu"] for run in lone)}


def twins(python, options, memspy_options, pair):
    """CPU time of one that is watched by that of one that is not, each on a processor of its own."""
    with contextlib.ExitStack() as stack:
        watched, bare = [stack.enter_context(target_of(python, "timing.py", "--rounds", options.rounds)) for _ in range(2)]
        processors = sorted(os.sched_getaffinity(0))[:2]
        for target, processor in zip((watched, bare), processors if pair % 2 == 0 else reversed(processors)):
            os.sched_setaffinity(target.pid, {processor})
        memspy = stack.enter_context(recording(watched, *memspy_options))
        for target in (watched, bare):
            target.tell("work")
        spent = [target.hear("work", deadline=300)["cpu"] for target in (watched, bare)]
        memspy.stop()
        return spent[0] / spent[1]


def alone(python, options, memspy_options):
    with target_of(python, "timing.py", "--rounds", options.rounds) as target:
        os.sched_setaffinity(target.pid, {min(os.sched_getaffinity(0))})
        with recording(target, *memspy_options) as memspy:
            done = target.ask("work", deadline=300)
            summary = memspy.stop().json()
    return {"stall": done["wall"] / done["cpu"], "faults": done["faults"] / done["wall"],
            "stopped": summary["stopped_seconds"] / done["wall"],
            "own_cpu": summary["counters"]["own_cpu_seconds"] / summary["duration_seconds"]}


def trimmed_mean(values):
    """Without the tenth that is farthest off at each end, and its standard error."""
    cut = len(values) // 10
    kept = sorted(values)[cut:len(values) - cut]
    # The spread of all with the extremes drawn in, as the trimming has done (Tukey and McLaughlin).
    drawn_in = [min(max(value, kept[0]), kept[-1]) for value in values]
    error = statistics.stdev(drawn_in) * len(values) ** 0.5 / len(kept) if len(values) > 1 else float("nan")
    return statistics.mean(kept), error


def stop_cost(python, options):
    """One stop, with a stack of 30 frames. So long that there are more than a hundred, of which a
    99th percentile can be told."""
    with target_of(python, "timing.py", "--rounds", 5 * options.rounds, "--deep", 26) as target:
        with recording(target) as memspy:
            target.ask("work", deadline=300)
            summary = memspy.stop().json()
    return {"python": python.name, "samples": summary["samples"], **summary["pause_us"]}


def own_cost(python, options):
    """memspy's own CPU and memory, while it records 100 threads."""
    with target_of(python, "steady.py", "--threads", 100) as target:
        with recording(target, suffix="memspy") as memspy:
            begin, cpu = time.monotonic(), own_cpu(memspy.pid)
            sizes = []
            while time.monotonic() - begin < options.minute:
                time.sleep(options.minute / 12)
                sizes.append(own_rss(memspy.pid))
            cpu = own_cpu(memspy.pid) - cpu
            seconds = time.monotonic() - begin
            memspy.stop()
    third = len(sizes) // 3
    return {"python": python.name, "seconds": seconds, "cpu_share": cpu / seconds,
            "rss_peak_bytes": max(sizes),
            "rss_growth_bytes": sizes[-1] - sizes[third], "rss_bytes": sizes}


def time_to_attach(python, options):
    """From the start of the memspy process to its saying that it samples."""
    taken = []
    with target_of(python, "steady.py", "--threads", 20) as target:
        for _ in range(options.attaches):
            begin = time.monotonic()
            with recording(target) as memspy:
                taken.append(time.monotonic() - begin)
                memspy.stop()
    return {"python": python.name, "median_ms": 1000 * statistics.median(taken),
            "max_ms": 1000 * max(taken)}


def recording_size(python, options):
    """Bytes per hour of a steady service: from two recordings, so that the fixed part cancels."""
    sizes = []
    for seconds in (options.minute / 2, options.minute * 1.5):
        with target_of(python, "steady.py", "--threads", 100) as target:
            with recording(target, suffix="memspy") as memspy:
                time.sleep(seconds)
                memspy.stop()
                sizes.append(memspy.output.stat().st_size)
    return {"python": python.name, "sizes": sizes, "fixed_bytes": max(0, sizes[0] - (sizes[1] - sizes[0]) / 2),
            "bytes_per_hour": (sizes[1] - sizes[0]) / options.minute * 3600}
