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
    """The same work with and without memspy, in turn, each in a process of its own.

    CPU time is the figure: the wall clock of a shared machine holds its neighbours too. It includes
    the target's side of every stop; the time it stands still is in the wall clock alone, so both are
    given."""
    plain, watched, stopped, ratios = [], [], [], []

    def bare():
        with target_of(python, "timing.py", "--rounds", options.rounds) as target:
            plain.append(target.ask("work", deadline=300))

    def under_memspy():
        with target_of(python, "timing.py", "--rounds", options.rounds) as target:
            with recording(target, *memspy_options) as memspy:
                watched.append(target.ask("work", deadline=300))
                summary = memspy.stop().json()
                stopped.append(summary["stopped_seconds"])

    for pair in range(options.pairs):
        for run in ((bare, under_memspy) if pair % 2 == 0 else (under_memspy, bare)):
            run()
        ratios.append({kind: watched[-1][kind] / plain[-1][kind] for kind in ("cpu", "wall")})
    found = {"python": python.name, "pairs": options.pairs, "faults": plain[-1]["faults"],
             "plain_cpu_median": statistics.median(run["cpu"] for run in plain),
             "stopped_share": statistics.median(stop / run["wall"]
                                                for stop, run in zip(stopped, watched))}
    for kind in ("cpu", "wall"):
        # Of each pair: what a shared machine does to one it mostly does to the other.
        found[kind], found[f"{kind}_error"] = trimmed_mean([ratio[kind] for ratio in ratios])
    return found


def trimmed_mean(values):
    """Without the tenth that is farthest off at each end, and its standard error. One run of the same
    program differs from the next by 2 to 4 %, so that a few pairs cannot tell 1.01 from 1.04."""
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
