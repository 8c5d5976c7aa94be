"""What a look at a heap costs, and how much of RSS it explains."""
import array
import contextlib
import ctypes
import http.client
import mmap
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import time

import harness
import pythons

BENCH = pathlib.Path(__file__).resolve().parent
PAGE = os.sysconf("SC_PAGE_SIZE")
PIECE = 4 << 20
PRESENT = 1 << 63
LIBC = ctypes.CDLL(None, use_errno=True)
WHYS = [("--type", "__main__.Rec"), ("--largest", 10)]
LONG = 900  # seconds that a target of 50 million objects may take to build


class Iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


@contextlib.contextmanager
def service(python, name, *arguments, prepare=None):
    with tempfile.TemporaryDirectory(prefix="memspy-bench-") as folder:
        words = [word.format(folder=folder) for word in map(str, arguments)]
        target = harness.Target(python.command(BENCH / "services" / name, *words))
        try:
            target.said = target.hear("ready", LONG)
            if prepare:
                prepare(pathlib.Path(folder))
            yield target, target.said["pid"]
        finally:
            target.end()


def resident_runs(pid):
    """(address, bytes) of the resident pages of private writable mappings, in pieces of 4 MiB at most."""
    runs = []
    with open(f"/proc/{pid}/pagemap", "rb", buffering=0) as pagemap:
        for line in pathlib.Path(f"/proc/{pid}/maps").read_text().splitlines():
            words = line.split()
            if not words[1].startswith("rw-p"):
                continue
            start, end = (int(word, 16) for word in words[0].split("-"))
            entries = array.array("Q", os.pread(pagemap.fileno(), (end - start) // PAGE * 8, start // PAGE * 8))
            begin = None
            for index in range(len(entries) + 1):
                here = index < len(entries) and entries[index] & PRESENT
                if here and begin is None:
                    begin = index
                elif begin is not None and (not here or (index - begin) * PAGE >= PIECE):
                    runs.append((start + begin * PAGE, (index - begin) * PAGE))
                    begin = index if here else None
    return runs


def bulk_copy(pid):
    """Seconds that the kernel takes to copy the same bytes into memory that is there already: the
    limit of any reader. The best of three, without a stop."""
    runs = resident_runs(pid)
    total = sum(length for _, length in runs)
    MAP_POPULATE = 0x8000
    with mmap.mmap(-1, total, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_POPULATE) as buffer:
        view = ctypes.c_char.from_buffer(buffer)
        base = ctypes.addressof(view)
        best = float("inf")
        for _ in range(3):
            at, begin = base, time.perf_counter()
            for address, length in runs:
                here, there = Iovec(at, length), Iovec(address, length)
                LIBC.process_vm_readv(pid, ctypes.byref(here), 1, ctypes.byref(there), 1, 0)
                at += length
            best = min(best, time.perf_counter() - begin)
        del view
    return best, total


def run_measured(*arguments):
    """memspy from its start to its end: the run, wall seconds, CPU seconds, its own peak RSS in bytes."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        command = [harness.memspy_path(), *map(str, arguments)]
        begin = time.perf_counter()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err)
        _, how, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - begin
        process.returncode = os.waitstatus_to_exitcode(how)
        out.seek(0), err.seek(0)
        run = harness.Run(command, process.returncode, out.read().decode(errors="replace"), err.read().decode())
    if run.code:
        raise SystemExit(str(run))
    return run, wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024


def faults_and_rss(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[7]), int(fields[21]) * PAGE


def steps_of(run):
    """Seconds of each step of a look, as -v tells them."""
    line = next(line for line in run.err.splitlines() if " steps: " in line)
    steps = (step.rsplit(" ", 2) for step in line.partition(" steps: ")[2].split(", "))
    return {name: float(seconds) for name, seconds, _ in steps}


def answering(run):
    """Seconds of `why -v` that were not spent on opening its snapshot."""
    steps = steps_of(run)
    return steps["finding paths"] + steps["writing"]


def big_heap(python, options):
    """A heap of options.objects million objects: pause, wall, memory, and what files of it cost."""
    with service(python, "many.py", "--objects", options.objects) as (target, pid), \
            tempfile.TemporaryDirectory(prefix="memspy-bench-") as folder:
        copying, copied = bulk_copy(pid)
        before = faults_and_rss(pid)
        looks = [run_measured("heap", "-p", pid, "--json") for _ in range(options.looks)]
        after = faults_and_rss(pid)
        steps = steps_of(run_measured("heap", "-p", pid, "--json", "-v")[0])
        seen = [run.json() for run, *_ in looks]
        one, two = pathlib.Path(folder) / "one.memsnap", pathlib.Path(folder) / "two.memsnap"
        _, snapshot_wall, _, _ = run_measured("snapshot", "-p", pid, "-o", one)
        target.ask("grow", deadline=LONG)
        run_measured("snapshot", "-p", pid, "-o", two)
        _, diff_wall, _, _ = run_measured("diff", one, two)
        whys = {words[0]: [run_measured("why", two, *words, "-v") for _ in range(options.looks)] for words in WHYS}
        size = one.stat().st_size
    count = seen[0]["objects"]["count"]
    rec = next(row for row in seen[0]["types"] if row["type"] == "__main__.Rec")
    if rec["count"] != target.said["records"]:
        raise SystemExit(f"{rec} instead of {target.said['records']} records")
    return {"python": python.name, "objects": count, "bytes": seen[0]["objects"]["bytes"],
            "rss_bytes": seen[0]["rss_bytes"], "pause_seconds": min(look["pause_seconds"] for look in seen),
            "pause_worst_seconds": max(look["pause_seconds"] for look in seen),
            "bulk_copy_seconds": copying, "bulk_copy_bytes": copied,
            "wall_seconds": min(wall for _, wall, _, _ in looks), "cpu_seconds": min(cpu for _, _, cpu, _ in looks),
            "rss_added_bytes": after[1] - before[1], "faults_added": after[0] - before[0],
            "peak_rss_bytes": max(peak for *_, peak in looks),
            "beyond_copy_per_object": (max(peak for *_, peak in looks) - copied) / count,
            "snapshot_seconds": snapshot_wall, "snapshot_bytes_per_object": size / count,
            "steps": steps, "diff_seconds": diff_wall, "why_seconds": min(wall for _, wall, *_ in whys["--type"]),
            "why_loaded_seconds": {words: min(answering(run) for run, *_ in runs) for words, runs in whys.items()},
            "rec_retained_bytes": rec["retained_bytes"]}


def fetch(path, number):
    connection = http.client.HTTPConnection("localhost", timeout=60)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(str(path))
    connection.request("GET", f"/users/{number}")
    answer = connection.getresponse()
    if answer.status != 200 or b"<li>" not in answer.read():
        raise SystemExit(f"the site answers {answer.status}")
    connection.close()


def visit(folder):
    for number in range(400):
        fetch(folder / "socket", number)


REAL = [("Django under gunicorn", "django_site.py", ["{folder}"], visit),
        ("pandas", "pandas_report.py", [], None),
        ("a large dict", "many.py", ["--objects", "1.5"], None),
        ("asyncio", "asyncio_chat.py", ["{folder}"], None)]


def explained(options):
    """Real programs on Debian's interpreter: the share of RSS that the ledger names."""
    python = pythons.find("system")
    rows = []
    for name, script, arguments, prepare in REAL:
        if script.startswith("django") and not shutil.which("gunicorn"):
            options.progress(f"left out, no gunicorn and Django here: {name}")
            continue
        with service(python, script, *arguments, prepare=prepare) as (_, pid):
            run, wall, _, _ = run_measured("heap", "-p", pid, "--json")
            text, *_ = run_measured("heap", "-p", pid)
        seen = run.json()
        ledger = {row["row"]: row["bytes"] for row in seen["ledger"]}
        if sum(ledger.values()) != seen["rss_bytes"]:
            raise SystemExit(f"{name}: the rows sum to {sum(ledger.values())}, not {seen['rss_bytes']}")
        rows.append({"program": name, "rss_bytes": seen["rss_bytes"], "objects": seen["objects"]["count"],
                     "unexplained": seen["unexplained_bytes"] / seen["rss_bytes"], "ledger": ledger,
                     "pause_seconds": seen["pause_seconds"], "wall_seconds": wall, "verdict": seen["verdict"],
                     "text": text.out})
    return rows
