#!/usr/bin/env python3
"""The benchmarks: how true, how cheap. Prints a table, and writes JSON with --json FILE.

    scripts/bench [--quick] [--only accuracy,slowdown,…] [--pythons 3.8,system,…] [--json FILE]

Ratios are taken within one run, on one machine; docs/accuracy-and-overhead.md has the method.
"""
import argparse
import json
import os
import pathlib
import platform
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "integration"), str(HERE)]

import accuracy  # noqa: E402
import alloc  # noqa: E402
import costs  # noqa: E402
import heap  # noqa: E402
import live  # noqa: E402
import native  # noqa: E402
import page  # noqa: E402
import pythons  # noqa: E402
import symbols  # noqa: E402

PARTS = ["accuracy", "live", "alloc", "slowdown", "stops", "native", "own", "attach", "size", "heap", "explained", "html", "symbols"]
ACCURACY_PYTHONS = ["3.8", "3.11", "system", "3.13", "3.14"]
# What the figures must reach; a row that does not is marked.
LIMITS = {"alloc_idle": 0.01, "alloc_unclassified": 0.01, "tvd_live": 0.05, "churn_live": 0.01, "sum_live": 0.01, "tvd": 0.01, "tvd_wide": 0.02, "sum": 0.02, "slowdown": {"bpf": 1.01, "faults": 1.02, "live": 1.03, "alloc": 1.03}, "p99_us": 200, "max_us": 5000,
          "own_cpu": 0.03, "own_rss": 40 << 20, "own_growth": 1 << 20, "attach_ms": 150,
          "bytes_per_hour": 2e6, "pause": 0.15, "pause_of_copy": 2, "heap_wall": 4, "added": 0,
          "beyond_copy": 60, "dominators": 12, "diff": 3, "why": 1, "why_loaded": 0.1, "unexplained": 0.05}


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="shorter and fewer: minutes, not an hour")
    parser.add_argument("--only", default=",".join(PARTS), help="parts: " + ", ".join(PARTS))
    parser.add_argument("--pythons", default=",".join(ACCURACY_PYTHONS))
    parser.add_argument("--workloads", default=",".join(accuracy.WORKLOADS))
    parser.add_argument("--thp", default="madvise,always", help="settings of transparent huge pages")
    parser.add_argument("--modes", default=",".join(costs.MODES), help="of the slowdown")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE")
    parser.add_argument("--duration", type=float, help="seconds of one accuracy run")
    parser.add_argument("--rate", type=float, default=40, help="growth of the workloads, MB/s")
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--pairs", type=int)
    parser.add_argument("--objects", type=float, default=5, help="of the large heap, in millions")
    parser.add_argument("memspy_options", nargs="*", help="more options for memspy record, after --")
    options = parser.parse_args()
    options.duration = options.duration or (4 if options.quick else 10)
    options.seeds = range(1, 1 + (options.seeds or (1 if options.quick else 3)))
    options.alloc_duration = 10 if options.quick else 30
    options.live_duration = 20 if options.quick else 60
    options.pairs = options.pairs or (5 if options.quick else 12)
    options.rounds = 300 if options.quick else 1000
    options.minute = 15 if options.quick else 60
    options.attaches = 5 if options.quick else 20
    options.looks = 2 if options.quick else 5
    for name in ("only", "pythons", "workloads", "thp", "modes"):
        setattr(options, name, [word for word in getattr(options, name).split(",") if word])
    if unknown := set(options.only) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    if unknown := set(options.modes) - set(costs.MODES):
        parser.error(f"no such mode: {', '.join(sorted(unknown))}")
    if "always" in options.thp and not os.access(accuracy.THP, os.W_OK):
        print("without root the huge pages of this host stay as they are", file=sys.stderr)
        options.thp = [accuracy.THP.read_text().split("[")[1].split("]")[0]]
    options.progress = lambda text: print("  " + text, flush=True)
    return options


def find_pythons(names):
    found = []
    for name in names:
        python = pythons.find(name)
        if python:
            found.append(python)
        else:
            print(f"  left out: {pythons.why_missing(name)}", flush=True)
    if not found:
        raise SystemExit("no interpreter to measure with")
    return found


class Results:
    """Figures, each against its limit."""

    def __init__(self, options):
        self.options = options
        self.rows = []
        self.missed = 0

    def title(self, text):
        print(f"\n{text}", flush=True)

    def add(self, name, value, limit, text):
        good = value <= limit
        self.missed += not good
        self.rows.append({"figure": name, "value": value, "limit": limit, "reached": good})
        print(f"  {'ok  ' if good else 'MISS'} {name}: {text}", flush=True)


def run_accuracy(found, options, results):
    results.title("Attribution: growth per function against the workload's own figures")
    rows = accuracy.measure(found, options)
    for row in rows:
        wide = row["thp"] == "always" or row["workload"] == "io_growth"
        name = f"{row['workload']}, {row['python']}, huge pages {row['thp']}"
        worst_sum = max(abs(value - 1) for value in row["sum_all"])
        results.add(f"TVD {name}", row["tvd"], LIMITS["tvd_wide" if wide else "tvd"],
                    f"{100 * row['tvd']:.2f} %")
        results.add(f"sum {name}", worst_sum, LIMITS["sum"], f"off by {100 * worst_sum:.2f} %")
    return rows


def run_live(found, options, results):
    results.title("Mode live: bytes kept by function, against the program's own count; RSS is flat")
    rows = live.measure(found, options)
    for row in rows:
        name = f"{row['case']}, {row['python']}"
        if row["case"] == "leak":
            results.add(f"leak of 1 % of the traffic, {row['python']}, named first", row["first"] != "remember",
                        False, row["first"])
            continue
        # Where there are too few blocks for the limit: inside two of the standard errors that memspy tells.
        results.add(f"live TVD {name}", row["tvd"], max(LIMITS["tvd_live"], 2 * row["error"]),
                    f"{100 * row['tvd']:.1f} %, told \u00b1{100 * row['error']:.1f} %")
        results.add(f"live churn {name}", row["churn"], LIMITS["churn_live"], f"{100 * row['churn']:.2f} %")
        results.add(f"live sum {name}", abs(row["sum_ratio"] - 1), LIMITS["sum_live"],
                    f"off by {100 * abs(row['sum_ratio'] - 1):.2f} %")
    return rows


def run_alloc(found, options, results):
    results.title("Mode alloc: time spent allocating by function, against known parts and against perf")
    rows = alloc.measure(found, options)
    for row in rows:
        name = f"{row['case']}, {row['python']}"
        results.add(f"alloc, to functions that never allocate, {name}", row["idle"], LIMITS["alloc_idle"],
                    f"{100 * row['idle']:.2f} %")
        results.add(f"alloc, the five in another order, {name}", not row["in_order"], False,
                    f"distance {100 * row['tvd']:.1f} %, {row['samples']} samples")
        if "unclassified" in row:
            results.add(f"alloc, unclassified, {name}", row["unclassified"], LIMITS["alloc_unclassified"],
                        f"{100 * row['unclassified']:.2f} %")
    return rows


def run_costs(found, options, results):
    parts = {}
    if "slowdown" in options.only:
        results.title("Slowdown of an allocation-heavy target: CPU time against a twin's, and time it stands still")
        parts["slowdown"] = []
        for python in found:
            for name in options.modes:
                row = costs.slowdown(python, options, costs.MODES[name])
                parts["slowdown"].append({"mode": name, **row})
                results.add(f"{name}, {python.name}", row["slowdown"], LIMITS["slowdown"][name.split(" ")[0]],
                            f"{row['slowdown']:.3f} (CPU {row['cpu']:.3f} +- {row['cpu_error']:.3f}, stands still {100 * (row['stall'] - 1):.2f} %, "
                            f"{row['pairs']} pairs; memspy's CPU {100 * row['own_cpu']:.1f} %)")
    if "stops" in options.only:
        results.title("One stop, 30 frames deep")
        parts["stops"] = [costs.stop_cost(python, options) for python in found]
        for row in parts["stops"]:
            results.add(f"stop p99 {row['python']}", row["p99"], LIMITS["p99_us"],
                        f"{row['p99']:.0f} us (p50 {row['p50']:.0f} us, {row['samples']} samples)")
            results.add(f"stop max {row['python']}", row["max"], LIMITS["max_us"], f"{row['max']:.0f} us")
    if "own" in options.only:
        results.title(f"memspy itself, recording 100 threads for {options.minute} s")
        row = parts["own"] = costs.own_cost(found[0], options)
        results.add("own CPU", row["cpu_share"], LIMITS["own_cpu"], f"{100 * row['cpu_share']:.2f} % of a core")
        results.add("own RSS", row["rss_peak_bytes"], LIMITS["own_rss"],
                    f"{row['rss_peak_bytes'] / 2**20:.1f} MiB")
        results.add("own growth", row["rss_growth_bytes"], LIMITS["own_growth"],
                    f"{row['rss_growth_bytes'] / 2**10:.0f} KiB in the last two thirds")
    if "attach" in options.only:
        results.title("From its start to sampling")
        parts["attach"] = [costs.time_to_attach(python, options) for python in found]
        for row in parts["attach"]:
            results.add(f"attach {row['python']}", row["median_ms"], LIMITS["attach_ms"],
                        f"{row['median_ms']:.0f} ms (max {row['max_ms']:.0f} ms)")
    if "size" in options.only:
        results.title("A recording of a steady service")
        row = parts["size"] = costs.recording_size(found[0], options)
        results.add("size", row["bytes_per_hour"], LIMITS["bytes_per_hour"],
                    f"{row['bytes_per_hour'] / 1e6:.2f} MB per hour, after the first "
                    f"{row['fixed_bytes'] / 1e3:.0f} kB")
    return parts


def run_heap(found, options, results):
    parts = {}
    if "heap" in options.only:
        results.title(f"A heap of {options.objects:g} million objects")
        row = parts["heap"] = heap.big_heap(found[0], options)
        scale = max(1, options.objects / 5)
        for name, key, limit, unit in [
                ("pause", "pause_seconds", LIMITS["pause"] * scale, "s"),
                ("complete heap, wall", "wall_seconds", LIMITS["heap_wall"] * scale, "s"),
                ("bytes added to the target", "rss_added_bytes", LIMITS["added"], "B"),
                ("peak RSS beyond the copy, per object", "beyond_copy_per_object", LIMITS["beyond_copy"], "B"),
                ("diff of two snapshots", "diff_seconds", LIMITS["diff"] * scale, "s"),
                ("why --type from a snapshot", "why_seconds", LIMITS["why"] * scale, "s")]:
            results.add(name, row[key], limit, f"{row[key]:.3f} {unit}")
        results.add("dominators", row["steps"]["dominators"], LIMITS["dominators"] * options.objects / 50,
                    f"{row['steps']['dominators']:.2f} s")
        for words, seconds in row["why_loaded_seconds"].items():
            results.add(f"why {words}, once loaded", seconds, LIMITS["why_loaded"] * scale, f"{seconds:.3f} s")
        ratio = row["pause_seconds"] / row["bulk_copy_seconds"]
        results.add("pause against a bulk copy", ratio, LIMITS["pause_of_copy"],
                    f"{ratio:.2f} ({row['bulk_copy_bytes'] / 1e6:.0f} MB in {row['bulk_copy_seconds']:.3f} s)")
        print(f"       {row['objects']} objects, {row['bytes'] / 1e6:.0f} MB; RSS {row['rss_bytes'] / 1e6:.0f} MB; "
              f"snapshot {row['snapshot_seconds']:.2f} s, {row['snapshot_bytes_per_object']:.1f} B an object; "
              f"worst pause {row['pause_worst_seconds']:.3f} s; CPU {row['cpu_seconds']:.2f} s", flush=True)
        print("       " + ", ".join(f"{name} {seconds:.2f} s" for name, seconds in row["steps"].items()), flush=True)
    if "explained" in options.only:
        results.title("RSS that the ledger explains, of real programs")
        parts["explained"] = heap.explained(options)
        for row in parts["explained"]:
            results.add(f"unexplained, {row['program']}", row["unexplained"], LIMITS["unexplained"],
                        f"{100 * row['unexplained']:.1f} % of {row['rss_bytes'] / 1e6:.0f} MB, "
                        f"{row['objects']} objects, paused {1000 * row['pause_seconds']:.0f} ms")
    return parts


def run_page(options, results):
    results.title("The HTML page of a day with 100 000 stacks, in Chromium")
    row = page.measure(options)
    results.add("open", row["open_median"], page.LIMITS["open"],
                f"{row['open_median']:.2f} s (at most {max(row['open_seconds']):.2f} s; {row['stacks']} stacks, "
                f"page {row['page_bytes'] / 1e6:.1f} MB, recording {row['recording_bytes'] / 1e6:.0f} MB, "
                f"written in {row['report_seconds']:.1f} s)")
    for name, frames in row["frames"].items():
        results.add(f"frames, {name}", 1 / frames["per_second"], page.LIMITS["frame"],
                    f"{frames['per_second']:.0f} a second (p95 {1000 * frames['p95_seconds']:.0f} ms)")
    print(f"       a window {1000 * row['window_seconds']:.0f} ms, a search {1000 * row['search_seconds']:.0f} ms", flush=True)
    return row


def run_native(found, options, results):
    results.title("One native stack")
    rows = native.measure(found, options)
    for row in rows:
        ours = row["memspy"]
        for name, limit in native.LIMITS.items():
            results.add(f"native stack, {name}, {row['python']}", ours[name], limit,
                        f"{ours[name]:.1f} us (p99 {ours[name + '_p99']:.1f} us; {ours['frames']:.0f} frames)")
        for other in ("libdwfl", "libunwind-ptrace"):
            if other in row:
                print(f"       {other}, all of it in the stop: {row[other]['held']:.1f} us "
                      f"(p99 {row[other]['held_p99']:.1f} us)", flush=True)
    return rows


def run_symbols(options, results):
    results.title("Names and lines of native addresses, in a library of many units")
    row = symbols.measure(options)
    for name in ("first", "again"):
        results.add(f"symbolize, {name}", row[f"{name}_seconds"], symbols.LIMITS[name],
                    f"{row[f'{name}_seconds']:.2f} s for {row['addresses']} addresses")
    print(f"       eu-addr2line -i -f -C: {row['compared_seconds']:.1f} s for {row['compared']} of them", flush=True)
    return row


def main():
    options = parse()
    results = Results(options)
    found = find_pythons(options.pythons)
    document = {"schema": "memspy.bench/1", "kernel": platform.release(), "cpus": os.cpu_count(),
                "quick": options.quick, "load_average": os.getloadavg()[0]}
    if "accuracy" in options.only:
        document["accuracy"] = run_accuracy(found, options, results)
    if "live" in options.only:
        document["live"] = run_live(found, options, results)
    if "alloc" in options.only:
        document["alloc"] = run_alloc(found, options, results)
    document.update(run_costs(found, options, results))
    if "native" in options.only:
        document["native"] = run_native(found, options, results)
    document.update(run_heap(found, options, results))
    if "html" in options.only:
        document["html"] = run_page(options, results)
    if "symbols" in options.only:
        document["symbols"] = run_symbols(options, results)
    document["figures"] = results.rows
    print(f"\n{len(results.rows) - results.missed} of {len(results.rows)} figures reach their limit; "
          f"load of this host before: {document['load_average']:.1f}")
    if options.json:
        options.json.write_text(json.dumps(document, indent=1) + "\n")
    return 1 if results.missed else 0


if __name__ == "__main__":
    sys.exit(main())
