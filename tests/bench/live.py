"""How true mode live is: bytes kept by function, against the program's own count, while RSS is flat."""
import profiles
import window

CASES = {
    "refill": (),
    "threads": ("--threads", 4),
    "fifo": ("--fifo", 2000),
}


def run_once(python, arguments, seed, duration):
    return figures(*window.record(python, "refill.py", ("--seed", seed, *arguments), duration, ("--mode", "live")))


def figures(folded, truth, summary):
    names = list(truth["functions"]) + truth["churners"]
    ours = folded.by_function("refill.py", names)
    grown = sum(truth["functions"].values())
    named = {name: size for name, size in ours.items() if name != "[unattributed]"}
    return {"tvd": profiles.distance(ours, truth["functions"]),
            "churn": sum(ours.get(name, 0) for name in truth["churners"]) / max(1, folded.total()),
            "sum_ratio": folded.total() / grown, "first": max(named, key=named.get) if named else "",
            "rss_share": (truth["rss_end"] - truth["rss_start"]) / grown,
            "stopped": summary["stopped_seconds"] / summary["duration_seconds"],
            "own_cpu": summary["counters"]["own_cpu_seconds"] / summary["duration_seconds"],
            "kept": summary["counters"]["watches_kept"],
            "error": summary["counters"]["pymalloc_standard_error_bytes"] / grown, "profile": ours, "truth": truth["functions"],
            "cpu_seconds": truth["cpu_seconds"]}


def measure(pythons, options):
    """A row for each case and interpreter; the worst of its seeds."""
    rows = []
    for python in pythons:
        for name, arguments in CASES.items():
            runs = [run_once(python, arguments, seed, options.live_duration) for seed in options.seeds]
            worst = max(runs, key=lambda run: run["tvd"])
            rows.append({"case": name, "python": python.name, **worst,
                         "tvd_all": [run["tvd"] for run in runs]})
            options.progress(row_text(rows[-1]))
        leak = run_once(python, ("--leak", 99, "--rate", 1000), 1, min(30, options.live_duration))
        rows.append({"case": "leak", "python": python.name, **leak, "tvd_all": [leak["tvd"]]})
        options.progress(row_text(rows[-1]))
    return rows


def row_text(row):
    tvds = " ".join(f"{100 * value:.1f}" for value in row["tvd_all"])
    return (f"{row['case']:8} {row['python']:8} TVD {tvds} % (told ±{100 * row['error']:.1f} %)   churn {100 * row['churn']:.2f} %   "
            f"sum {row['sum_ratio']:.3f}   RSS moved by {100 * row['rss_share']:.0f} % of it   "
            f"{row['kept']:.0f} blocks, stopped {100 * row['stopped']:.2f} %, own CPU "
            f"{100 * row['own_cpu']:.1f} %   first: {row['first']}")
