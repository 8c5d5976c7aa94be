"""The HTML page of a large run in Chromium: how soon it is there, and how smoothly it moves."""
import os
import pathlib
import random
import statistics
import subprocess
import tempfile
import time

import browser
import made_recording
from harness import memspy_path

STACKS, SECONDS = 100_000, 86_400
LIMITS = {"open": 1.5, "frame": 1 / 30}  # seconds
MIB = 1 << 20


def large_run(path, stacks=STACKS, seconds=SECONDS):
    """A day of a tick per second, some 13 growing stacks in each; all of the stacks, 11 to 20 deep, have grown by the end."""
    subprocess.run([memspy_path(), "record", "--rss", "-d", "0.3", "-i", "100ms", "-o", path, "--", "sleep", "30"],
                   check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    recording = made_recording.Recording(path)
    recording.process()
    dice = random.Random(1)
    frames = [recording.frame(f"handler_{i % 997}_{i}", f"/srv/app/venv/lib/python3.11/site-packages/package{i % 60}/module{i % 400}.py",
                              1 + i % 900) for i in range(8000)]
    top = [recording.frame("<module>", "/srv/app/app.py", 3), recording.frame("serve", "/srv/app/app.py", 40)]
    made = []
    while len(made) < stacks:
        above = top + [frames[dice.randrange(60)], frames[60 + dice.randrange(400)]]
        above += [frames[500 + (7 * len(made) // 40 + depth) % 4000] for depth in range(dice.randrange(6, 16))]
        made.extend(recording.stack(above + [frames[4000 + (len(made) + i) % 4000]]) for i in range(20))
    made = made[:stacks]
    rss, used = 400 * MIB, 200 * MIB
    for second in range(1, seconds + 1):
        often = [made[dice.randrange(200)] for _ in range(12)]
        all_once = made[(second - 1) * stacks // seconds:second * stacks // seconds]
        growth = [(1, 1, stack, 4096 * dice.randrange(1, 20), 0, 2) for stack in sorted({*often, *all_once})]
        rss += sum(record[3] for record in growth) // 40 // 4096 * 4096
        used += dice.randrange(-4096, 8192)
        recording.tick({1: {"rss_bytes": rss, "pss_bytes": rss - 1024 * dice.randrange(5000), "uss_bytes": rss - 9 * MIB,
                            "swap_bytes": 0, "vms_bytes": rss + 300 * MIB, "threads": 20, "open_files": 40 + dice.randrange(9),
                            "cpu_percent": dice.random() * 100, "minor_faults": 300 * second, "major_faults": 3,
                            "rss_anon_bytes": rss - 20 * MIB, "rss_file_bytes": 20 * MIB, "arena_bytes": used + 50 * MIB,
                            "pymalloc_used_bytes": used, "pymalloc_free_bytes": 30 * MIB, "gc0_collections": second * 3,
                            "gc1_collections": second // 3, "gc2_collections": second // 40}}, growth)
    recording.finish()


# Seconds between two frames, while `move` is done over and over.
FRAMES = """(async (move, seconds) => {
  const gaps = []; let last = await new Promise(requestAnimationFrame);
  const end = last + seconds * 1000;
  for (let step = 0; last < end; ++step) {
    move(step);
    const now = await new Promise(requestAnimationFrame);
    gaps.push(now - last); last = now;
  }
  return gaps })"""
MOVES = {
    "zoom": "step => { const f = memspy.growths[0].flame; if (step % 12 === 0) { const b = f.boxes[(step * 7) % f.boxes.length]; f.zoom(step % 24 ? 0 : b.node) } else f.redraw() }",
    "hover": "step => { const f = memspy.growths[0].flame; f.setHovered(f.boxes[(step * 13) % f.boxes.length].node) }",
    "scroll": "step => { memspy.growths[0].flame.scroller.scrollTop = (step * 9) % 300; scrollTo(0, (step * 17) % 900) }",
}


def measure(options):
    with tempfile.TemporaryDirectory(prefix="memspy-bench-") as folder:
        recording, page_file = pathlib.Path(folder, "day.memspy"), pathlib.Path(folder, "day.html")
        large_run(recording)
        begin = time.monotonic()
        subprocess.run([memspy_path(), "report", recording, "-o", page_file], check=True, stderr=subprocess.DEVNULL)
        row = {"recording_bytes": os.path.getsize(recording), "page_bytes": os.path.getsize(page_file),
               "report_seconds": time.monotonic() - begin, "open_seconds": [], "frames": {}}
        for _ in range(options.looks + 1):  # the first one warms the file's pages up
            with browser.Page() as page:
                page.open(page_file)
                row["open_seconds"].append(page.run("performance.getEntriesByName('memspy-ready')[0].startTime / 1000"))
                row["stacks"] = page.run("memspy.growths[0].own.reduce((n, v) => n + (v > 0), 0)")
        row["open_seconds"] = row["open_seconds"][1:]
        with browser.Page() as page:
            page.open(page_file)
            for name, move in MOVES.items():
                gaps = page.run(f"{FRAMES}({move}, 3)")
                slow = sorted(gaps)[int(0.95 * len(gaps))]
                row["frames"][name] = {"per_second": 1000 * len(gaps) / sum(gaps), "p95_seconds": slow / 1000}
            row["window_seconds"] = page.run("(() => { const g = memspy.growths[0]; const begin = performance.now();"
                                             " g.setWindow({from: 3600, to: 7200}); return (performance.now() - begin) / 1000 })()")
            row["search_seconds"] = page.run("(() => { const g = memspy.growths[0]; const begin = performance.now();"
                                             " g.find('handler_1.*7'); return (performance.now() - begin) / 1000 })()")
        row["open_median"] = statistics.median(row["open_seconds"])
        return row
