"""How true the profile is: growth per function against what the workload measured itself."""
import contextlib
import pathlib
import signal

import profiles
import window

THP = pathlib.Path("/sys/kernel/mm/transparent_hugepage/enabled")
# khugepaged makes a huge page of small ones at any time, and fills its holes: RSS that no line asks
# for. The workload's own figures charge it to whatever ran just then, so it is put off.
KHUGEPAGED = pathlib.Path("/sys/kernel/mm/transparent_hugepage/khugepaged/scan_sleep_millisecs")
WORKLOADS = ["rows", "reserved", "io_growth", "threads", "callers"]


@contextlib.contextmanager
def kernel_setting(path, value):
    """A setting of the host, put back whatever happens."""
    before = path.read_text()
    before = before.split("[")[1].split("]")[0] if "[" in before else before.strip()
    if str(value) == before:
        yield
        return

    def give_up(number, frame):
        raise SystemExit(128 + number)
    old = signal.signal(signal.SIGTERM, give_up)
    try:
        path.write_text(str(value))
        yield
    finally:
        path.write_text(before)
        signal.signal(signal.SIGTERM, old)


@contextlib.contextmanager
def huge_pages(setting):
    with kernel_setting(KHUGEPAGED, 600000), kernel_setting(THP, setting):
        yield


def run_once(python, workload, seed, duration, rate, memspy_options=()):
    """One window of one workload under memspy; a dict of figures."""
    file = f"{workload}.py"
    return figures(*window.record(python, file, ("--seed", seed, "--rate", rate), duration, memspy_options), file)


def figures(folded, truth, summary, file):
    functions = {name: grown for name, grown in truth["functions"].items()}
    ours = folded.by_function(file, functions)
    theirs = {name: max(0, grown) for name, grown in functions.items()}
    theirs["other"] = max(0, truth["other"])
    grown = truth["rss_end"] - truth["rss_start"]
    return {"tvd": profiles.distance(ours, theirs), "sum_ratio": folded.total() / grown,
            "unattributed": ours.get("[unattributed]", 0) / max(1, folded.total()),
            "grown_bytes": grown, "engine": summary["engine"], "samples": summary["samples"],
            "rejected": summary["rejected"],
            "stopped": summary["stopped_seconds"] / summary["duration_seconds"],
            "profile": ours, "truth": theirs, "summary": summary}


def measure(pythons, options):
    """A row for each workload, interpreter and setting of huge pages; the worst of its seeds."""
    rows = []
    for setting in options.thp:
        with huge_pages(setting):
            for python in pythons:
                for workload in options.workloads:
                    runs = [run_once(python, workload, seed, options.duration, options.rate,
                                     options.memspy_options) for seed in options.seeds]
                    worst = max(runs, key=lambda run: run["tvd"])
                    rows.append({"workload": workload, "python": python.name, "thp": setting,
                                 **worst, "tvd_all": [run["tvd"] for run in runs],
                                 "sum_all": [run["sum_ratio"] for run in runs]})
                    options.progress(row_text(rows[-1]))
    return rows


def row_text(row):
    tvds = " ".join(f"{100 * value:.2f}" for value in row["tvd_all"])
    sums = " ".join(f"{value:.3f}" for value in row["sum_all"])
    return (f"{row['workload']:10} {row['python']:8} {row['thp']:8} TVD {tvds} %   sum {sums}   "
            f"unattributed {100 * row['unattributed']:.2f} %   {row['grown_bytes'] / 1e6:.0f} MB   "
            f"{row['samples']} samples, stopped {100 * row['stopped']:.2f} %   {row['engine']}")
