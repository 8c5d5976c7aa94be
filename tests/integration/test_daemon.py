"""The daemon on real processes: it finds them, traces those that grow, keeps what it saw through
kill -9 of itself and of its tracers, and leaves every target as it was."""
import calendar
import http.server
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
import urllib.request

import harness
import profiles

CONFIG = """
state_dir = "{folder}/state"
socket = "{folder}/socket"
{top}
[budget]
cpu_percent = 100  # targets here grow as fast as they can, and a busy machine makes all of it dearer
[tracing]
settle = "1s"
calm = "20s"
[[target]]
name = "family"
command = "*{mark}*"
"""


class DaemonCase(harness.PythonCase):
    def setUp(self):
        super().setUp()
        self.mark = f"mark-{os.getpid()}-{id(self)}"
        self.config = self.folder / "memspy.toml"
        self.write_config()

    def write_config(self, top="", more=""):
        self.config.write_text(CONFIG.format(folder=self.folder, mark=self.mark, top=top) + more)

    def daemon(self, **popen):
        memspy = self.memspy("daemon", "--config", self.config, **popen)
        harness.eventually(lambda: "the daemon runs" in memspy.err or memspy.process.poll() is not None,
                           "the daemon says that it runs")
        self.assertIsNone(memspy.process.poll(), memspy.err)
        self.addCleanup(self.end_in_order, memspy)
        return memspy

    def end_in_order(self, memspy):
        """With its tracers, which would still write into a folder that is being removed."""
        if memspy.process.poll() is None:
            memspy.signal(signal.SIGTERM).finish()

    def ask(self, *arguments):
        run = self.run_memspy("daemon", *arguments, "--socket", self.folder / "socket", "--json")
        return run.json()

    def targets(self):
        return {target["pid"]: target for target in self.ask("targets")["targets"]}

    def family(self):
        return self.script(self.python, "family.py", self.mark)

    def until_traced(self, pid):
        def traced():
            return self.targets().get(pid, {}).get("tracer", {}).get("state") == "tracing"
        harness.eventually(traced, f"{pid} is traced: {self.targets().get(pid)}")

    def grow_until(self, target, condition, what):
        def grown():
            if condition():
                return True
            target.ask("grow")
            return condition()
        harness.eventually(grown, what)

    def trace(self, pid):
        """From now on, whether it grows or not: who grows at once is not traced from the first byte."""
        self.run_memspy("attach", "--daemon", "-p", pid, "--for", "10m", "--socket", self.folder / "socket")
        self.until_traced(pid)

    def serve(self, handler, port=0):
        """A server that hears as long as the test runs; its port."""
        server = http.server.HTTPServer(("127.0.0.1", port), handler)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()

        def end():
            server.shutdown()
            server.server_close()
            thread.join()
        self.addCleanup(end)
        return server.server_address[1]

    def segments(self, pid):
        return sorted(pathlib.Path(self.folder / "state/targets").glob(f"{pid}-*/*.memspy"))

    def growth_of(self, pid):
        """Bytes by function, of all segments of a target."""
        found = {}
        for path in self.segments(pid):
            report = self.run_memspy("report", path, "--json", "--by", "function").json()
            for row in report["rows"]:
                found[row["function"]] = found.get(row["function"], 0) + row["own_bytes"]
        return found


class Daemon(DaemonCase):
    def test_a_target_is_found_within_a_second_and_let_go_when_it_ends(self):
        for events in ("true", "false"):
            with self.subTest(events=events):
                self.write_config(top=f"events = {events}")
                memspy = self.daemon()
                self.assertEqual(self.ask("status")["discovery"].startswith("scan"), events == "false")
                target = self.family()
                began = time.monotonic()
                harness.eventually(lambda: f"found {target.pid} " in memspy.err, "it is found")
                self.assertLess(time.monotonic() - began, 1.0 * (1 + 2 * bool(os.environ.get("CI"))))
                harness.eventually(lambda: target.pid in self.targets(), "it is listed")
                self.assertEqual(self.targets()[target.pid]["service"], "family")
                target.end()
                harness.eventually(lambda: target.pid not in self.targets(), "it is let go")
                self.assertEqual(self.run_memspy("daemon", "stop", "--socket",
                                                 self.folder / "socket").code, 0)
                self.assertEqual(memspy.finish().code, 0, memspy.err)

    def test_in_a_namespace_without_events_it_scans_and_finds_as_fast(self):
        harness.need_root()
        memspy = self.daemon(prefix=["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"])
        self.addCleanup(memspy.finish)  # unshare passes no signals on
        self.addCleanup(harness.run_memspy, "daemon", "stop", "--socket", self.folder / "socket")
        self.assertIn("no events in this namespace", self.ask("status")["discovery"])
        inside = harness.eventually(
            lambda: pathlib.Path(f"/proc/{memspy.pid}/task/{memspy.pid}/children").read_text().split(),
            "the daemon is there")[0]
        target = self.target(["nsenter", "--pid", "--mount", "--target", inside,
                              *self.python.command(harness.TARGETS / "family.py", self.mark)])
        target.hear("ready")
        harness.eventually(lambda: [one for one in self.targets().values() if one["service"] == "family"],
                           "it is found", deadline=5)

    def test_growth_is_traced_and_outlives_kill_9_of_the_daemon(self):
        memspy = self.daemon()
        target = self.family()
        harness.eventually(lambda: target.pid in self.targets(), "it is found")
        self.assertEqual(self.targets()[target.pid]["tracer"]["state"], "idle")
        grown = 0

        def grow_until_traced():
            nonlocal grown
            grown += target.ask("grow")["grown"]
            return self.targets()[target.pid]["tracer"]["state"] == "tracing"
        harness.eventually(grow_until_traced, "growth is traced")
        grown = sum(target.ask("grow")["grown"] for _ in range(3))
        samples = self.targets()[target.pid]["tracer"]["samples"] or 0
        harness.eventually(lambda: (self.targets()[target.pid]["tracer"]["samples"] or 0) > samples,
                           "the tracer has told what it saw")
        memspy.process.send_signal(signal.SIGKILL)
        memspy.process.wait(harness.DEADLINE)
        harness.eventually(lambda: harness.status(target.pid)["TracerPid"] == "0", "it is let go")
        self.assert_untouched(target.pid)
        # Its tracer closes the file then: who reads it meanwhile has it keep its (empty) log.
        harness.eventually(lambda: not list(self.folder.glob("state/targets/*/*-wal")), "its file is closed")
        kept = self.growth_of(target.pid)
        self.assertGreater(kept.get("grow", 0), 0.9 * grown, f"{kept} of {grown}")

        # The next daemon goes on with it: no need to see it grow again.
        again = self.daemon()
        self.until_traced(target.pid)
        before = sum(self.growth_of(target.pid).values())
        more = target.ask("grow")["grown"]
        self.assertEqual(again.signal(signal.SIGTERM).finish().code, 0)
        self.assertGreater(sum(self.growth_of(target.pid).values()) - before, 0.9 * more)
        self.assertFalse(list(self.folder.glob("state/targets/*/*-wal")), "every file is whole by itself")
        target.ask("grow")
        self.assert_untouched(target.pid)

    def test_a_tracer_that_is_killed_takes_nobody_along(self):
        self.daemon()
        one, other = self.family(), self.family()
        for target in (one, other):
            harness.eventually(lambda: target.pid in self.targets(), "it is found")
            self.trace(target.pid)
        tracer = int(harness.status(one.pid)["TracerPid"])
        beside = harness.status(other.pid)["TracerPid"]
        os.kill(tracer, signal.SIGSEGV)
        harness.eventually(lambda: self.ask("status")["tracer_crashes"] == 1, "the crash is counted")
        self.assertEqual(harness.status(other.pid)["TracerPid"], beside)
        one.ask("grow")
        harness.eventually(lambda: harness.status(one.pid)["TracerPid"] not in ("0", str(tracer)),
                           "another takes its place")

    def test_asked_for_it_is_traced_also_by_the_next_daemon(self):
        memspy = self.daemon()
        stranger = self.script(self.python, "family.py")  # no rule is about it
        self.run_memspy("attach", "--daemon", "-p", stranger.pid, "--socket", self.folder / "socket")
        self.until_traced(stranger.pid)
        memspy.process.send_signal(signal.SIGKILL)
        memspy.process.wait(harness.DEADLINE)
        self.daemon()
        self.until_traced(stranger.pid)
        refused = harness.run_memspy("attach", "--daemon", "-p", "1", "--socket", self.folder / "socket")
        self.assertEqual(refused.code, 5, str(refused))
        self.assertIn("no Python process", refused.err)

    def test_a_master_and_its_workers_are_one_service(self):
        self.daemon()
        master = self.family()
        worker = master.ask("fork")["pid"]
        harness.eventually(lambda: {master.pid, worker} <= set(self.targets()), "both are found")
        self.assertEqual({self.targets()[pid]["master_pid"] for pid in (master.pid, worker)}, {master.pid})
        listed = self.run_memspy("top", "--daemon", "--socket", self.folder / "socket", "--batch", "-n", 1).out
        for pid in (master.pid, worker):
            self.assertIn(f" {pid} ", listed)
        self.assertEqual(len(listed.strip().splitlines()), 3, listed)  # with its head

    def test_workers_may_call_themselves_anything(self):
        self.config.write_text(self.config.read_text().replace("[[target]]\n", "[[target]]\nprocess = \"master-*\"\n"))
        memspy = self.daemon()
        master = self.script(self.python, "renamed.py", self.mark)
        worker = master.ask("fork", "forked")["pid"]
        harness.eventually(lambda: {master.pid, worker} <= set(self.targets()), "both are found")
        self.assertEqual({one["service"] for one in self.targets().values()}, {"family"})
        self.assertEqual(self.targets()[worker]["master_pid"], master.pid)
        memspy.signal(signal.SIGHUP)
        harness.eventually(lambda: "was read anew" in memspy.err, "a reload")
        self.assertLessEqual({master.pid, worker}, set(self.targets()))

    def test_a_reload_takes_a_good_configuration_and_keeps_the_old_one_of_a_bad(self):
        memspy = self.daemon()
        other = self.script(self.python, "family.py", "other-" + self.mark[5:])
        self.write_config(more='[[target]]\nname = "other"\ncommand = "*other-*"\n')
        memspy.signal(signal.SIGHUP)
        harness.eventually(lambda: other.pid in self.targets(), "the new rule is at work")
        stays = self.family()
        harness.eventually(lambda: stays.pid in self.targets(), "it is found")
        self.write_config()
        memspy.signal(signal.SIGHUP)
        harness.eventually(lambda: other.pid not in self.targets(), "what no rule is about is let go")
        self.assertIn(stays.pid, self.targets())
        self.write_config(more='[[target]]\nname = "again"\ncommand = "*other-*"\n')
        memspy.signal(signal.SIGHUP)
        harness.eventually(lambda: self.targets().get(other.pid, {}).get("service") == "again",
                           "and found again")
        self.write_config(more='[[target]]\nname = "again"\ncommand = "*other-*"\n[http]\nlisten = "127.0.0.1:0"\n')
        memspy.signal(signal.SIGHUP)
        harness.eventually(lambda: self.ask("status")["restart_needed"] == ["http.listen"], "it is not silent")
        self.assertIn("http.listen changed: that takes a restart", memspy.err)
        self.config.write_text("[[target]]\nname = 5\n")
        memspy.signal(signal.SIGHUP)
        harness.eventually(lambda: "line 2" in self.ask("status")["config_error"], "it is refused")
        self.assertIn(other.pid, self.targets())
        refused = harness.run_memspy("daemon", "reload", "--socket", self.folder / "socket")
        self.assertEqual(refused.code, 2, str(refused))
        self.write_config()
        self.run_memspy("daemon", "reload", "--socket", self.folder / "socket")
        # By the file alone, as the unit does it: the daemon is asked, and refuses.
        self.config.write_text(self.config.read_text() + '[[alert]]\nname = "x"\nwhen = "nonsense"\n')
        refused = harness.run_memspy("daemon", "reload", "--config", self.config)
        self.assertEqual(refused.code, 2, str(refused))
        self.assertIn("nonsense", self.ask("status")["config_error"])
        status = self.run_memspy("daemon", "status", "--config", self.config, "--json").json()
        self.assertIn("nonsense", status["config_error"])

    def test_what_is_hardly_meant_is_said(self):
        self.write_config(more='[[alert]]\nname = "x"\nwhen = "rss > 1GiB"\nservice = "shpo"\nhook = ["/no/such"]\n')
        run = self.run_memspy("daemon", "--check-config", "--config", self.config)
        self.assertIn('no rule has a name that fits "shpo"', run.err)
        self.assertIn("there is no program /no/such", run.err)
        self.write_config(more="""
[[target]]
name = "all"
[[target]]
name = "late"
user = "nosuchuser"
[[alert]]
name = "bare"
when = "rss > 80"
""")
        run = self.run_memspy("daemon", "--check-config", "--config", self.config)
        for doubt in ("target all: it fits every Python process", "target late: never reached, as all",
                      "there is no user nosuchuser", '"rss > 80" is about 80 B'):
            self.assertIn(doubt, run.err)
        secret = self.folder / "token"
        secret.write_text("sixteen-characters-and-more\n")
        secret.chmod(0o644)
        self.write_config(more=f'[http]\nlisten = "127.0.0.1:0"\ntoken_file = "{secret}"\n')
        self.assertEqual(harness.run_memspy("daemon", "--check-config", "--config", self.config).code, 2)
        secret.chmod(0o600)
        self.run_memspy("daemon", "--check-config", "--config", self.config)

    def test_a_full_disk_costs_what_comes_meanwhile_and_nothing_else(self):
        harness.need_root()
        state = self.folder / "state"
        state.mkdir(mode=0o700)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m,mode=700", "none", state], check=True)
        self.addCleanup(lambda: subprocess.run(["umount", "-l", state], check=True))
        self.write_config(more='[recorder]\nreserve = "0B"\n')
        self.daemon()
        target = self.family()
        harness.eventually(lambda: target.pid in self.targets(), "it is found")
        self.run_memspy("attach", "--daemon", "-p", target.pid, "--for", "10m", "--socket",
                        self.folder / "socket")
        self.until_traced(target.pid)
        target.ask("grow")
        with open(state / "filler", "wb", buffering=0) as filler:
            try:
                while True:
                    filler.write(bytes(4096))
            except OSError:
                pass

        def trouble():
            return self.targets()[target.pid]["tracer"]["trouble"]
        self.grow_until(target, trouble, "the tracer cannot write")
        harness.eventually(lambda: self.ask("status")["recorder_trouble"], "nor can the daemon")
        (state / "filler").unlink()
        harness.eventually(lambda: not trouble() and not self.ask("status")["recorder_trouble"],
                           "both write again")
        before = self.growth_of(target.pid).get("grow", 0)
        grown = target.ask("grow")["grown"]
        harness.eventually(lambda: self.growth_of(target.pid).get("grow", 0) - before > 0.9 * grown,
                           "growth is recorded again")
        self.assertEqual(self.targets()[target.pid]["tracer"]["state"], "tracing")


class HttpCase(DaemonCase):
    def setUp(self):
        super().setUp()
        self.write_config(more='[http]\nlisten = "127.0.0.1:0"\n')

    def url(self, memspy, path=""):
        def port():
            return re.search(r"HTTP at 127.0.0.1 port (\d+)", memspy.err)
        return f"http://127.0.0.1:{harness.eventually(port, 'HTTP is there')[1]}{path}"

    def get(self, url):
        with urllib.request.urlopen(url, timeout=harness.DEADLINE) as answer:
            return answer.read().decode()

    def traced_target(self):
        memspy = self.daemon()
        target = self.family()
        harness.eventually(lambda: target.pid in self.targets(), "it is found")
        self.run_memspy("attach", "--daemon", "-p", target.pid, "--socket", self.folder / "socket")
        self.until_traced(target.pid)
        grown = target.ask("grow")["grown"]
        # What a tick has closed is there: a later tick has told of as many bytes.
        harness.eventually(lambda: sum(self.growth_of(target.pid).values()) > 0.9 * grown,
                           f"growth of {grown} is recorded")
        return memspy, target, grown


class Http(HttpCase):
    def test_metrics_are_as_promtool_wants_them(self):
        memspy, target, _ = self.traced_target()
        text = self.get(self.url(memspy, "/metrics"))
        self.assertRegex(text, rf'memspy_target_rss_bytes{{[^}}]*pid="{target.pid}"[^}}]*}} \d')
        for name in ("samples_total", "stopped_seconds_total", "traced"):
            self.assertIn(f"memspy_target_{name}", text)
        promtool = shutil.which("promtool")
        if not promtool:
            self.skipTest("no promtool: Debian's package prometheus has it")
        done = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, text=True,
                              timeout=harness.DEADLINE)
        self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""), text)
        rules = harness.HERE.parent.parent / "docs/memspy-rules.yml"
        done = subprocess.run([promtool, "check", "rules", rules], capture_output=True, text=True,
                              timeout=harness.DEADLINE)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_pprof_opens_what_a_target_has_grown_by(self):
        memspy, target, grown = self.traced_target()
        if not shutil.which("go"):
            self.skipTest("no go")
        url = self.url(memspy, f"/targets/{target.pid}/pprof?seconds=60")
        # Offline: the tool needs no more than what it is given.
        done = subprocess.run(["go", "tool", "pprof", "-top", "-unit=b", url], capture_output=True, text=True,
                              timeout=harness.DEADLINE, env={**os.environ, "PPROF_TMPDIR": str(self.folder),
                                                             "GOFLAGS": "-mod=mod", "GOPROXY": "off"})
        self.assertEqual(done.returncode, 0, done.stderr)
        row = re.search(r"(\d+)B\s+[\d.]+%\s+[\d.]+%\s+\S+\s+\S+\s+grow\b", done.stdout)
        self.assertTrue(row, done.stdout)
        self.assertGreater(int(row[1]), 0.8 * grown, done.stdout)
        folded = self.get(self.url(memspy, f"/targets/{target.pid}/flamegraph?seconds=60"))
        self.assertIn(";grow (family.py:", folded)
        series = self.get(self.url(memspy, f"/targets/{target.pid}/series?seconds=60"))
        self.assertGreater(len([line for line in series.splitlines() if line[:1].isdigit()]), 1, series)

    def test_a_real_prometheus_scrapes_it(self):
        prometheus = shutil.which("prometheus")
        if not prometheus:
            self.skipTest("no prometheus")
        memspy, target, _ = self.traced_target()
        place = self.url(memspy)[len("http://"):]
        config = self.folder / "prometheus.yml"
        config.write_text("global: {scrape_interval: 1s, scrape_timeout: 1s}\n"
                          f"scrape_configs: [{{job_name: memspy, static_configs: [{{targets: ['{place}']}}]}}]\n")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        child = subprocess.Popen([prometheus, f"--config.file={config}", f"--web.listen-address=127.0.0.1:{port}",
                                  f"--storage.tsdb.path={self.folder}/tsdb"], stdout=subprocess.DEVNULL,
                                 stderr=subprocess.DEVNULL)
        self.addCleanup(child.wait)
        self.addCleanup(child.kill)

        def scraped():
            try:
                found = self.get(f"http://127.0.0.1:{port}/api/v1/query?query=memspy_target_rss_bytes")
            except OSError:
                return None
            return [row for row in json.loads(found)["data"]["result"] if row["metric"]["pid"] == str(target.pid)]
        row = harness.eventually(scraped, "Prometheus has it")[0]
        self.assertGreater(float(row["value"][1]), 1 << 20)
        self.assertEqual(row["metric"]["service"], "family")


class Receiver(http.server.BaseHTTPRequestHandler):
    """Takes alerts; refuses the first ones that it is told to."""
    heard, refuse = [], 0

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        refused = type(self).refuse > 0
        type(self).refuse -= refused
        if not refused:
            type(self).heard.append(body)
        self.send_response(503 if refused else 204)
        self.end_headers()

    def log_message(self, *_):
        pass


class Alerts(DaemonCase):
    ALERT = """
[[alert]]
name = "big"
when = "{when}"
labels = {{ severity = "page" }}
hook = ["/bin/sh", "-c", "cat >> {folder}/hook.jsonl"]
post = "http://127.0.0.1:{port}/alerts"
"""

    def receiver(self, port=0, refuse=0):
        """A server of its own for each test, with what it has heard."""
        handler = type("Handler", (Receiver,), {"heard": [], "refuse": refuse})
        return self.serve(handler, port), handler.heard

    def lines(self, name):
        path = self.folder / name
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def bundle(self, alert):
        folder = pathlib.Path(alert["evidence"])
        harness.eventually(folder.is_dir, f"the evidence is whole: {folder}")
        return folder

    def test_an_alert_reaches_everybody_with_its_evidence(self):
        port, heard = self.receiver(refuse=1)
        self.write_config(more=self.ALERT.format(when="rss > 60MiB", folder=self.folder, port=port))
        self.daemon()
        target = self.family()
        harness.eventually(lambda: target.pid in self.targets(), "it is found")
        self.trace(target.pid)
        self.grow_until(target, lambda: self.lines("state/alerts.jsonl"), "the alert fires")
        alert, = self.lines("state/alerts.jsonl")
        self.assertEqual((alert["schema"], alert["alert"], alert["state"], alert["pid"]),
                         ("memspy.alert/1", "big", "firing", target.pid))
        self.assertEqual(alert["labels"], {"severity": "page"})
        harness.eventually(lambda: self.lines("hook.jsonl") == [alert], "the hook was run")
        harness.eventually(lambda: heard == [alert], "the POST was taken at its second attempt")
        folder = self.bundle(alert)
        missing = (folder / "missing.txt")
        self.assertFalse(missing.exists(), missing.exists() and missing.read_text())
        self.assertEqual(json.loads((folder / "dump.json").read_text())["schema"], "memspy.dump/1")
        heap = json.loads((folder / "heap.json").read_text())
        self.assertIn("bytearray", json.dumps(heap))
        report = self.run_memspy("report", folder / "growth.memspy", "--json", "--by", "function").json()
        self.assertEqual(report["rows"][0]["function"], "grow", report)
        self.run_memspy("report", folder / "series.memspy", "-f", "csv", "-o", self.folder / "series.csv")
        self.until_traced(target.pid)  # as before
        target.ask("grow")

    def test_an_alert_outlives_the_daemon_that_could_not_tell_it(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.write_config(more=self.ALERT.format(when="rss > 60MiB", folder=self.folder, port=port))
        memspy = self.daemon()
        target = self.family()
        harness.eventually(lambda: target.pid in self.targets(), "it is found")
        self.grow_until(target, lambda: "POST to" in memspy.err, "nobody takes the alert")
        memspy.process.send_signal(signal.SIGKILL)
        memspy.process.wait(harness.DEADLINE)
        target.end()
        _, heard = self.receiver(port)
        self.daemon()
        harness.eventually(lambda: heard, "the next daemon tells it")
        self.assertEqual(heard[0]["pid"], target.pid)

    def states(self):
        return [(line["id"], line["state"]) for line in self.lines("state/alerts.jsonl")]

    def test_what_fires_is_resolved_whatever_becomes_of_it(self):
        big = '[[alert]]\nname = "{}"\nwhen = "rss > 1MiB"\nevidence = false\n'
        self.write_config(more=big.format("stays") + big.format("goes"))
        memspy = self.daemon()
        target = self.family()
        harness.eventually(lambda: len(self.states()) == 2, "both fire")
        stays, goes = (next(i for i, _ in self.states() if name in i) for name in ("stays", "goes"))
        self.write_config(more=big.format("stays"))
        memspy.signal(signal.SIGHUP)
        harness.eventually(lambda: (goes, "resolved") in self.states(), "the alert that was removed is over")
        self.assertIn("stays", self.run_memspy("daemon", "targets", "--socket", self.folder / "socket").out)
        memspy.process.send_signal(signal.SIGKILL)
        memspy.process.wait(harness.DEADLINE)
        target.end()
        again = self.daemon()
        harness.eventually(lambda: (stays, "resolved") in self.states(), "what ended meanwhile is over")
        self.assertIn("while no daemon was there", self.lines("state/alerts.jsonl")[-1]["note"])
        other = self.family()
        harness.eventually(lambda: self.ask("status")["alerts_firing"] == 1, "it fires for another")
        self.config.write_text(self.config.read_text().replace(self.mark, "nobody"))
        again.signal(signal.SIGHUP)
        harness.eventually(lambda: self.ask("status")["alerts_firing"] == 0, "who is let go has no alert")
        self.assertEqual([state for _, state in self.states()].count("resolved"), 3)
        other.end()

    def group_of(self, limit):
        """The start of a command that runs in a control group with a limit from birth, as a container's processes do."""
        harness.need_root()
        group = pathlib.Path(f"/sys/fs/cgroup/memory/memspy-test-{os.getpid()}")
        limit_file = "memory.limit_in_bytes"
        if not group.parent.is_dir():
            group, limit_file = pathlib.Path(f"/sys/fs/cgroup/memspy-test-{os.getpid()}"), "memory.max"
        try:
            group.mkdir()
        except OSError as error:
            self.skipTest(f"no control group can be made: {error}")
        self.addCleanup(lambda: harness.eventually(lambda: not group.exists() or not group.rmdir(), "it is empty"))
        (group / limit_file).write_text(str(limit))
        return ["/bin/sh", "-c", f'echo $$ > {group}/cgroup.procs && exec "$@"', "sh"]

    def test_workers_fill_a_group_of_which_each_has_a_small_part(self):
        inside = self.group_of(200 << 20)
        alert = '[[alert]]\nname = "{}"\nwhen = "{} > 50% of limit"\nevidence = false\n'
        self.write_config(more=alert.format("one", "rss") + alert.format("all", "cgroup"))
        self.daemon()
        target = self.target([*inside, *self.python.command(harness.TARGETS / "family.py", self.mark)])
        target.hear("ready")
        for _ in range(7):  # 16 MiB each
            target.ask("fork")
        harness.eventually(lambda: self.lines("state/alerts.jsonl"), "the group is said to fill", deadline=30)
        self.assertEqual({line["alert"] for line in self.lines("state/alerts.jsonl")}, {"all"})

    def points_in(self, folder):
        count = 0
        for path in folder.glob("*.memspy"):
            run = harness.run_memspy("report", path, "-f", "csv")
            count += max(0, run.out.count("\n") - 1)
        return count

    def told_of_the_oom_kill(self):
        return harness.eventually(
            lambda: [line for line in self.lines("state/alerts.jsonl") if line["state"] == "oom-killed"],
            "the daemon says so")[0]

    def test_from_the_bundle_alone_function_owner_and_minute_of_a_slow_leak(self):
        """Nobody asks for anything: the daemon runs, and a service leaks to its group's limit."""
        inside = self.group_of(120 << 20)
        near = '[[alert]]\nname = "near-limit"\nwhen = "rss > 50% of limit"\n'
        self.write_config(more='[recorder]\nhistory_interval = "1s"\n' + near)
        self.daemon()
        target = self.target([*inside, *self.python.command(harness.TARGETS / "slow_leak.py", self.mark)])
        target.hear("ready")
        harness.eventually(lambda: target.pid in self.targets(), "it is found")
        # The steady time before: as much as makes a minute with what comes, so that a start can be told.
        history = self.folder / "state/history"
        harness.eventually(lambda: self.points_in(history) >= 40, "the history has a steady time", deadline=120)
        began = time.time()
        target.ask("leak", "leaking")
        told = self.told_of_the_oom_kill()
        alert = self.lines("state/alerts.jsonl")[0]
        self.assertEqual(alert["alert"], "near-limit")
        for event in (alert, told):
            folder = self.bundle(event)
            verdicts = (folder / "verdict.txt").read_text()
            self.assertRegex(verdicts, r"growth\.memspy: .*\(slow_leak\.py:(14|24)\)")
            start = json.loads((folder / "growing.json").read_text())["growth_start"]
            minute = calendar.timegm(time.strptime(start["time"][:19], "%Y-%m-%dT%H:%M:%S"))
            self.assertLess(abs(minute - began), 15, f"{start}, {began}")
            self.assertIn("RSS has grown since " + start["time"][11:19], verdicts)
            self.assertTrue((folder / "report.html").is_file())
        # Its neighbour touches the fresh pages in its place; who keeps the blocks is what mode live tells.
        verdicts = (self.bundle(alert) / "verdict.txt").read_text()
        self.assertIn(verdicts.partition("growth.memspy")[0], (self.bundle(told) / "verdict.txt").read_text(),
                      "of what has ended the last look is told again")
        harness.eventually(lambda: [line for line in self.lines("state/alerts.jsonl")
                                    if (line["id"], line["state"]) == (alert["id"], "resolved")], "it is resolved")
        self.assertRegex(verdicts, r"live\.memspy: (Sessions\.)?remember\S* \(slow_leak\.py:14\)")
        self.assertRegex(verdicts, r"heap\.json: .*__main__\.SESSIONS")
        for event in (alert, told):
            page = profiles.page_data(self.bundle(event) / "report.html")
            self.assertRegex(page["run"]["head"]["words"]["verdict"], r"^(Sessions\.)?remember\S* \(slow_leak\.py:14\)")

    def test_after_an_oom_kill_the_evidence_names_the_function(self):
        inside = self.group_of(220 << 20)
        port, _ = self.receiver()
        self.write_config(more=self.ALERT.format(when="rss > 50% of limit", folder=self.folder, port=port))
        self.daemon()
        target = self.target([*inside, *self.python.command(harness.TARGETS / "family.py", self.mark)])
        target.hear("ready")
        harness.eventually(lambda: target.pid in self.targets(), "it is found")
        self.trace(target.pid)
        self.grow_until(target, lambda: self.lines("state/alerts.jsonl"), "the alert fires")
        alert = self.lines("state/alerts.jsonl")[0]
        folder = self.bundle(alert)

        def leak():
            try:
                target.ask("grow")
            except (AssertionError, OSError):
                return True  # it was killed
        harness.eventually(leak, "the OOM killer strikes")
        told = self.told_of_the_oom_kill()
        self.assertEqual(told["pid"], target.pid)
        self.assertIn("OOM killer", told["note"])
        for bundle in (folder, self.bundle(told)):
            report = self.run_memspy("report", bundle / "growth.memspy", "--json", "--by", "function").json()
            self.assertEqual(report["rows"][0]["function"], "grow", report)
        self.assertIn("family.KEPT", (folder / "heap.json").read_text().replace("__main__.", "family."))


class Refusals(DaemonCase):
    def test_the_example_of_the_docs_is_right(self):
        example = harness.HERE.parent.parent / "docs/memspy.toml"
        self.run_memspy("daemon", "--check-config", "--config", example)

    def test_what_the_daemon_refuses(self):
        for arguments, code, said in (
                (["daemon"], 2, "needs a configuration"),
                (["daemon", "--config", "/nonexistent"], 2, "cannot read the configuration"),
                (["daemon", "status", "--socket", "/nonexistent"], 3, "no daemon answers"),
                (["daemon", "--check-config", "--config", self.config], 0, "")):
            run = harness.run_memspy(*arguments)
            self.assertEqual(run.code, code, str(run))
            self.assertIn(said, run.err)
        self.daemon()
        nobody = harness.run_memspy("attach", "--daemon", "-p", 4194304, "--socket", self.folder / "socket")
        self.assertEqual(nobody.code, 3, str(nobody))
        second = harness.run_memspy("daemon", "--config", self.config)
        self.assertEqual(second.code, 2, str(second))
        self.assertIn("another daemon", second.err)

    def test_a_folder_has_one_daemon(self):
        first = self.daemon()
        second = harness.run_memspy("daemon", "--config", self.config, "--socket", self.folder / "other")
        self.assertEqual(second.code, 2, str(second))
        self.assertIn(f"another daemon, PID {first.pid}, keeps its recordings", second.err)

    def test_after_its_stop_the_next_can_start(self):
        self.daemon()
        for _ in range(3):
            self.run_memspy("daemon", "stop", "--socket", self.folder / "socket")
            self.daemon()

    def test_what_is_no_configuration_names_no_daemon(self):
        self.config.write_text("this is no TOML")
        run = harness.run_memspy("daemon", "stop", "--config", self.config)
        self.assertEqual(run.code, 2, str(run))
        self.assertIn("is not TOML", run.err)

    def test_other_users_are_not_heard(self):
        harness.need_root()
        self.daemon()
        self.folder.chmod(0o755)
        (self.folder / "socket").chmod(0o777)  # as if somebody had opened the door: the ear is shut
        run = harness.run_memspy("daemon", "stop", "--socket", self.folder / "socket", user=65534)
        self.assertEqual(run.code, 2, str(run))
        self.assertIn("answers root and its own user", run.err)
        self.assertEqual(self.ask("status")["targets"], 0)
