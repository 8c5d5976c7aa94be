"""Recordings made up for tests of what shows them: the schema is memspy's own, the rows are ours."""
import datetime
import json
import sqlite3

MIB = 1 << 20
START = 1_700_000_000  # of every run, since the epoch


def varint(value):
    out = bytearray()
    while True:
        byte, value = value & 127, value >> 7
        out.append(byte | (128 if value else 0))
        if not value:
            return bytes(out)


def size(count):
    return varint(2 * (count // 4096) if count % 4096 == 0 else 2 * count + 1)


def packed(records):
    """Records of (process, thread, stack, touched, returned, samples), as docs/recording-format.md has them."""
    out, before = bytearray(), (0, 0, 0)
    for record in records:
        for now, last in zip(record, before):
            step = now - last
            out += varint(2 * step if step >= 0 else -2 * step - 1)
        out += size(record[3]) + size(record[4]) + varint(record[5])
        before = record[:3]
    return bytes(out)


class Recording:
    """Fills a recording that `memspy record` has just made, emptied of what it saw."""

    def __init__(self, path, interval=1.0):
        self.db = sqlite3.connect(path)
        self.db.execute("PRAGMA synchronous=OFF")
        for table in ("ticks", "processes", "threads", "files", "frames", "stacks", "points", "growth", "unattributed",
                      "gaps", "live", "allocation", "growth_totals", "summary"):
            self.db.execute(f"DELETE FROM {table}")
        self.interval = interval
        self.set_header(interval_ns=int(interval * 1e9), engine="faults", mode="growth", host="db-7",
                        wall_start_ns=START * 10**9, engine_reason="perf events are allowed")
        self._files, self._frames, self._stacks, self.rss, self.peak = {}, {}, {}, None, 0
        self.grown = self.rest = self.samples = 0
        self.spent = [0, 0]  # nanoseconds allocating, and elsewhere
        self.ticks = self.clock_ticks = 0

    def set_header(self, **values):
        for key, value in values.items():
            self.db.execute("UPDATE header SET value = ? WHERE key = ?", (value, key))

    def _number(self, table, key, *row):
        if key not in table:
            table[key] = len(table) + 1
            return table[key], True
        return table[key], False

    def frame(self, function, path="", line=0, kind=0):
        file = 0
        if path:
            file, fresh = self._number(self._files, path)
            if fresh:
                self.db.execute("INSERT INTO files VALUES (?, ?)", (file, path))
        number, fresh = self._number(self._frames, (function, path, line, kind))
        if fresh:
            self.db.execute("INSERT INTO frames VALUES (?, ?, ?, ?, ?)", (number, function, file, line, kind))
        return number

    def stack(self, frames):
        above = 0
        for frame in frames:
            number, fresh = self._number(self._stacks, (above, frame))
            if fresh:
                self.db.execute("INSERT INTO stacks VALUES (?, ?, ?)", (number, above, frame))
            above = number
        return above

    def process(self, index=1, pid=4242, name="python3", parent=0):
        self.db.execute("INSERT INTO processes(tick, process, parent, pid, start_ticks, name, command_line, python_version,"
                        " executable, first_seen_ns) VALUES (1, ?, ?, ?, 1, ?, x'', '3.11.7', '/usr/bin/python3', 0)",
                        (index, parent, pid, name))
        self.db.execute("INSERT INTO threads(tick, thread, process, tid, name) VALUES (1, ?, ?, ?, 'MainThread')",
                        (index, index, pid))

    def tick(self, points, growth=(), rest=0, gap=None, allocation=()):
        """points: {process: {column: value}}; growth: records as of packed(); rest: bytes of process 1;
        allocation: (process, thread, stack or 0, nanoseconds, samples)."""
        self.ticks += 1
        tick, time = self.ticks, int(self.ticks * self.interval * 1e9)
        self.db.execute("INSERT INTO ticks VALUES (?, ?)", (tick, time))
        total = 0
        for process, values in points.items():
            names = ", ".join(values)
            self.db.execute(f"INSERT INTO points(tick, time_ns, process, {names}) VALUES (?, ?, ?{', ?' * len(values)})",
                            (tick, time, process, *values.values()))
            total += values.get("rss_bytes", 0)
        self.rss = (self.rss or (total, total))[0], total
        self.peak = max(self.peak, total)
        if growth:
            self.db.execute("INSERT INTO growth(tick, time_ns, records) VALUES (?, ?, ?)", (tick, time, packed(growth)))
            self.grown += sum(record[3] - record[4] for record in growth)
            self.samples += sum(record[5] for record in growth)
        for process, thread, stack, spent, samples in allocation:
            self.db.execute("INSERT INTO allocation(tick, time_ns, process, thread, stack, cpu_ns, samples)"
                            " VALUES (?, ?, ?, ?, ?, ?, ?)", (tick, time, process, thread, stack, spent, samples))
            self.spent[0 if stack else 1] += spent
            self.clock_ticks += samples
            self.samples += samples if stack else 0
        if rest:
            self.db.execute("INSERT INTO unattributed(tick, time_ns, process, bytes) VALUES (?, ?, 1, ?)", (tick, time, rest))
            self.rest += rest
        if gap:
            self.db.execute("INSERT INTO gaps(tick, time_ns, duration_ns, process, reason, samples) VALUES (?, ?, ?, 0, ?, 0)",
                            (tick, time, int(gap[0] * 1e9), gap[1]))

    def finish(self):
        rest = max(0, self.rest)
        summary = dict(duration_ns=int(self.ticks * self.interval * 1e9), samples=self.samples, rejected=0, late=0,
                       growth_bytes=self.grown + rest, attributed_bytes=self.grown, unattributed_bytes=rest, shrink_bytes=0,
                       stopped_ns=10**7, pause_p50_ns=60_000, pause_p99_ns=240_000, pause_max_ns=1_100_000,
                       rss_start_bytes=self.rss[0], rss_end_bytes=self.rss[1], rss_peak_bytes=self.peak, ended_by="duration")
        if self.clock_ticks:
            allocating, elsewhere = self.spent
            summary.update({"counter.clock_ticks": self.clock_ticks, "counter.unclassified_ticks": 0,
                            "counter.allocating_microseconds": allocating // 1000,
                            "counter.user_cpu_microseconds": (allocating + elsewhere) // 1000,
                            "counter.cpu_microseconds": (allocating + elsewhere) // 1000})
        self.db.executemany("INSERT INTO summary(key, value) VALUES (?, ?)", summary.items())
        self.db.commit()
        self.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self.db.close()


def alert_log(path, alerts):
    """Lines of memspy.alert/1; alerts: (pid, start_ticks, seconds of the run, name, state)."""
    with open(path, "w") as out:
        for pid, start, seconds, name, state in alerts:
            time = datetime.datetime.fromtimestamp(START + seconds, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.000Z")
            print(json.dumps({"schema": "memspy.alert/1", "pid": pid, "start_ticks": start, "time": time, "alert": name, "state": state,
                              "when": "rss > 1MiB"}), file=out)


def an_interrupted_run(recording, first=90_000, after=40_000):
    """So long that no call takes a series as its arguments, and silent for an hour in between."""
    recording.process()
    leak = recording.stack([recording.frame("leak", "/srv/app/app.py", 3)])
    for second in range(first):
        recording.tick({1: {"rss_bytes": (100 + second // 1000) * MIB}}, [(1, 1, leak, 4096, 0, 1)])
    recording.ticks += 3600
    for second in range(after):
        recording.tick({1: {"rss_bytes": 300 * MIB + second}})
    recording.finish()


def a_service(recording, seconds=120, scale=1):
    """Two lines that grow one after the other, a cache from the beginning, and a gap: what a window has to tell apart."""
    app, web = "/srv/app/app.py", "/srv/app/venv/lib/python3.11/site-packages/webkit/routing.py"
    top = recording.frame("<module>", app, 40)
    serve = recording.frame("Server.serve", web, 210)
    early = recording.stack([top, serve, recording.frame("load_catalogue", app, 12)])
    late = recording.stack([top, serve, recording.frame("remember_session", app, 31), recording.frame("Cache.put", "/srv/app/cache.py", 88)])
    cache = recording.stack([top, serve, recording.frame("render", "/usr/lib/python3.11/string.py", 120)])
    collector = recording.stack([top, serve, recording.frame("[gc]", kind=2)])
    recording.process()
    rss = 100 * MIB
    for second in range(1, seconds + 1):
        first_half = second <= seconds // 2
        growth = [(1, 1, early if first_half else late, scale * MIB, 0, 10), (1, 1, cache, 256 << 10, 128 << 10, 4)]
        if second % 10 == 0:
            growth.append((1, 1, collector, 64 << 10, 0, 1))
        rss += sum(record[3] - record[4] for record in growth) + 4096
        points = {"rss_bytes": rss, "pss_bytes": rss - 3 * MIB, "cpu_percent": 12.5, "threads": 3, "minor_faults": 300 * second,
                  "cgroup_usage_bytes": rss, "cgroup_limit_bytes": 512 * MIB, "arena_bytes": rss // 2}
        recording.tick({1: points}, growth, 4096,
                       (8.0, "rate lowered: stops took 2.4 % of the time") if second == seconds * 3 // 4 else None)
    recording.finish()


TICK = 4_000_123  # nanoseconds that a sample stands for: no whole number of microseconds


def an_allocating_service(recording, seconds=120, scale=1):
    """Mode alloc: two lines that allocate one after the other, another all the time, and far more time elsewhere."""
    app, web = "/srv/app/app.py", "/srv/app/venv/lib/python3.11/site-packages/webkit/routing.py"
    top = recording.frame("<module>", app, 40)
    serve = recording.frame("Server.serve", web, 210)
    early = recording.stack([top, serve, recording.frame("parse_orders", app, 12)])
    late = [recording.stack([top, serve, recording.frame("render_page", app, line)]) for line in (31, 33)]
    copy = recording.stack([top, serve, recording.frame("Cache.copy", "/srv/app/cache.py", 88),
                            recording.frame("malloc", "/usr/lib/libc.so.6", kind=1)])
    recording.set_header(mode="alloc", engine="clock")
    recording.process()
    for second in range(1, seconds + 1):
        busy = [(1, 1, early, 30)] if second <= seconds // 2 else [(1, 1, late[0], 20), (1, 1, late[1], 7)]
        records = [*busy, (1, 1, copy, 5), (1, 1, 0, 150)]
        points = {"rss_bytes": 100 * MIB + second * 4096, "cpu_percent": 70, "threads": 1}
        recording.tick({1: points}, allocation=[
            (process, thread, stack, samples * TICK * (scale if stack else 1), samples * (scale if stack else 1))
            for process, thread, stack, samples in records])
    recording.finish()


def a_deep_stack(recording, depth=16_000):
    """As deep as memspy reads one; and a gap that is longer than any run."""
    stack = recording.stack([recording.frame(f"level_{level}", "/srv/app/deep.py", level + 1) for level in range(depth)])
    recording.process()
    for _ in range(10):
        recording.tick({1: {"rss_bytes": 100 * MIB}}, [(1, 1, stack, MIB, 0, 1)], gap=(2 ** 62 / 1e9, "a hostile figure"))
    recording.finish()


HOSTILE = [
    "</script><script>globalThis.broken = 1</script>",
    "<img src=x onerror='globalThis.broken = 1'>",
    "\"><svg onload=globalThis.broken=1>",
    "]]></script><x/>&amp;<!--",
    "line\u2028break;semi\ncolon\\",
    "\u202egnp.exe\u2066",
    "=HYPERLINK(\"http://example.org\")",
    "__proto__",
    "\\x1b is \\\\ no escape \\n \x1b is",
    "\U0001f600 and \uff5e: two orders",
    "constructor",
    "\x1b[31m\x00\ufffe\uffff",
]


def hostile_names(recording):
    """Functions, files and a process whose names try to get out of whatever shows them."""
    recording.process(name=HOSTILE[0])
    recording.set_header(host=HOSTILE[1], engine_reason=HOSTILE[2])
    rows = [(1, 1, recording.stack([recording.frame(name, f"/srv/{name}/{number}.py", number)]), MIB, 0, 3)
            for number, name in enumerate(HOSTILE)]
    recording.tick({1: {"rss_bytes": 100 * MIB}}, gap=(1.0, HOSTILE[3]))
    recording.tick({1: {"rss_bytes": 100 * MIB + len(rows) * MIB}}, rows)
    recording.finish()
