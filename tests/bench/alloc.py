"""How true mode alloc is, and at what price.

"parts": five functions that do the same in known proportions, beside four that never allocate.
"kinds": five that make different things. The truth is perf's: CPU samples with native stacks in another
window of the same process, told apart by time, since the program says when it ran which function. A
sample counts as memspy counts it: by the names of the functions innermost, as far as the evaluation loop.
"""
import pathlib
import re
import shutil
import subprocess
import tempfile

import harness
import profiles
import window

MODE = ("--mode", "alloc")
PERF_RATE = 1999
MOST_NAMELESS = 0.05
EVAL = re.compile(r"_?PyEval_Eval")
ALLOCATOR = re.compile(
    r"^(_?(PyObject|PyMem|PyMem_Raw)_(Raw)?(Malloc|Calloc|Realloc)|_?PyObject_(GC_)?(New|NewVar|Malloc|Calloc|Alloc)"
    r"|_?PyType_(GenericAlloc|AllocNoTrack)|pymalloc_alloc|allocate_from_new_pool|new_arena|gc_alloc"
    r"|_PyMem_(Raw|Debug)\w*(Malloc|Calloc|Realloc)|(__libc_)?(malloc|calloc|realloc)|_int_(malloc|realloc)|mmap64?)$")


def parts(python, duration, seed):
    folded, truth, summary = window.record(python, "allocate.py", (), duration, MODE)
    ours = folded.by_function("allocate.py", list(truth["parts"]) + truth["idle"])
    counters = summary["counters"]
    makers = {name: ours.get(name, 0) for name in truth["parts"]}
    return {"case": "parts", "python": python.name, "tvd": profiles.distance(makers, truth["parts"]),
            "idle": sum(ours.get(name, 0) for name in truth["idle"]) / max(1, folded.total()),
            "in_order": in_order(makers, truth["parts"]), "samples": summary["samples"],
            "unclassified": counters["unclassified_ticks"] / max(1, counters["clock_ticks"]),
            "ticks_per_second": counters["clock_ticks"] / summary["duration_seconds"],
            "share": counters["allocating_microseconds"] / max(1, counters["user_cpu_microseconds"]),
            "kernel": 1 - counters["user_cpu_microseconds"] / max(1, counters["cpu_microseconds"]),
            "inlined_places": counters["inlined_places"], "inlined_samples": counters["inlined_samples"],
            "stopped": summary["stopped_seconds"] / summary["duration_seconds"],
            "own_cpu": counters["own_cpu_seconds"] / summary["duration_seconds"], "p99_us": summary["pause_us"]["p99"],
            "profile": ours, "truth": truth["parts"]}


def in_order(ours, truth):
    return sorted(ours, key=ours.get, reverse=True) == sorted(truth, key=truth.get, reverse=True)


def kinds(python, duration):
    """None: there is no perf, or it has no names for this build."""
    if not shutil.which("perf"):
        return None
    folded, truth, summary = window.record(python, "allocate.py", ("--kinds",), duration, MODE)
    theirs = perf_profile(python, duration, list(truth["parts"]))
    if not theirs:
        return None
    ours = folded.by_function("allocate.py", list(truth["parts"]) + truth["idle"])
    makers = {name: ours.get(name, 0) for name in truth["parts"]}
    return {"case": "kinds", "python": python.name, "tvd": profiles.distance(makers, theirs),
            "in_order": in_order(makers, theirs), "samples": summary["samples"],
            "idle": sum(ours.get(name, 0) for name in truth["idle"]) / max(1, folded.total()),
            "perf_samples": sum(theirs.values()), "profile": makers, "truth": theirs}


def perf_profile(python, duration, makers):
    """Samples in allocators, by the function that ran at their time."""
    with tempfile.TemporaryDirectory(prefix="memspy-bench-") as folder:
        data = pathlib.Path(folder) / "perf.data"
        target = harness.Target(python.command(harness.WORKLOADS / "allocate.py", "--duration", duration, "--kinds"))
        try:
            target.hear("ready")
            perf = subprocess.Popen(["perf", "record", "-q", "-e", "cpu-clock:u", "-F", str(PERF_RATE), "-k", "mono",
                                     "--call-graph", "dwarf,4096", "-o", str(data), "-p", str(target.pid)],
                                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            harness.eventually(lambda: data.exists() and data.stat().st_size > 0, "perf records")
            target.ask("go", "done", deadline=duration + 120)
            truth = target.ask("truth")
            # The process stays: perf reads its mappings. SIGINT is how perf is ended.
            perf.send_signal(2)
            perf.wait(60)
        finally:
            target.end()
        text = subprocess.run(["perf", "script", "-i", str(data), "-F", "time,ip,sym", "--ns"], check=True,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout.decode(errors="replace")
    return charge(text, truth["spans"], makers)


def charge(text, spans, makers):
    """`perf script`: a line with the time, then a line for each frame, then an empty one. None: most of the
    functions have no name, as in a stripped build."""
    found = dict.fromkeys(makers, 0)
    nameless, all_of_them, at = 0, 0, 0
    for sample in sorted(filter(None, (parse(block) for block in text.split("\n\n")))):
        time, names = sample
        while at < len(spans) and spans[at][2] < time:
            at += 1
        if at == len(spans) or time < spans[at][1] or spans[at][0] not in found:
            continue
        inner = []
        for name in names:
            if EVAL.match(name):
                break
            inner.append(name)
        found[spans[at][0]] += any(ALLOCATOR.match(name) for name in inner)
        all_of_them += 1
        nameless += "[unknown]" in inner
    return found if nameless < MOST_NAMELESS * all_of_them else None


def parse(block):
    lines = block.strip().splitlines()
    if not lines:
        return None
    time = re.search(r"(\d+\.\d+):", lines[0])
    if not time:
        return None
    names = [re.sub(r"[@+].*$|\.(part|constprop|isra|cold)\.?\d*", "", line.split(None, 1)[1].strip())
             for line in lines[1:] if len(line.split(None, 1)) == 2]
    return float(time.group(1)), names


def measure(found, options):
    rows = []
    for python in found:
        rows.append(parts(python, options.alloc_duration, 1))
        options.progress(row_text(rows[-1]))
        row = kinds(python, options.alloc_duration)
        if row:
            rows.append(row)
            options.progress(row_text(row))
        else:
            options.progress(f"kinds    {python.name:8} left out: no perf, or no names in this build")
    return rows


def row_text(row):
    text = (f"{row['case']:8} {row['python']:8} distance {100 * row['tvd']:.1f} %   to functions that never allocate "
            f"{100 * row['idle']:.2f} %   {'in order' if row['in_order'] else 'NOT in order'}   {row['samples']} samples")
    if row["case"] == "parts":
        text += (f", {row['ticks_per_second']:.0f} ticks/s, {100 * row['unclassified']:.2f} % unclassified, "
                 f"{row['inlined_samples']} at {row['inlined_places']} inlined places, allocating "
                 f"{100 * row['share']:.1f} % of CPU, stopped {100 * row['stopped']:.2f} % (p99 {row['p99_us']:.0f} us), "
                 f"own CPU {100 * row['own_cpu']:.1f} %")
    return text
