"""What the daemon serves to browsers, and what it sends on. Once: no interpreter has a part in it."""
import gzip
import http.server
import json
import os
import pathlib
import re
import shutil
import subprocess
import unittest
import urllib.parse

import browser
import harness
import made_recording
import test_daemon
from test_page import PageCase, READERS, growth

PICTURES = os.environ.get("MEMSPY_PICTURES")
DOCS = harness.HERE.parent.parent / "docs"


class TogetherOnAPage(PageCase):
    def test_a_snapshot_of_another_process_is_said_to_be_one(self):
        target, snapshot, path = self.script(harness.need("system"), "family.py"), self.folder / "heap.memsnap", self.folder / "both.html"
        self.run_memspy("snapshot", "-p", target.pid, "-o", snapshot)
        said = self.run_memspy("report", self.service(), snapshot, "-o", path).err
        for text in (said, self.show(path).text("#verdict .warning")):
            self.assertRegex(text, rf"the snapshot is of process {target.pid} \(start time \d+\), the recording of process 4242.*two different processes")

    def test_alerts_of_a_log_are_marked_in_the_series(self):
        recording, log = self.service(), self.folder / "alerts.jsonl"
        made_recording.alert_log(log, [(4242, 1, 30, "big", "firing"), (4242, 1, 55, "big", "resolved"), (4242, 1, 100, made_recording.HOSTILE[1], "firing"),
                                       (4242, 7, 40, "of-a-former-process", "firing"), (4242, 1, 110, "oom-killed", "oom-killed")])
        page = self.show(self.report(recording, "--alerts", log))
        told = page.text("#time .alerts")
        for text in ("30 s · ", "big fired", "rss > 1MiB", "55 s · ", "big was resolved", made_recording.HOSTILE[1] + " fired", "the OOM killer struck"):
            self.assertIn(text, told)
        self.assertNotIn("former", told)
        self.assertIn(f"alerts that fired: big at 30 s, {made_recording.HOSTILE[1]} at 1 m 40 s", page.run("document.querySelector('.chart').getAttribute('aria-label')"))
        # Drawn: at half a minute the colour of the flag, at the top of the chart.
        drawn = page.run("""(() => { const u = memspy.charts[0].uplot, x = Math.round(u.valToPos(30, "x", true)) + 2, y = Math.round(u.bbox.top) + 6;
          return [...u.ctx.getImageData(x, y, 1, 1).data] })()""")
        self.assertEqual(drawn, [0xa3, 0x12, 0x3a, 255])
        self.picture(page, "alerts")
        page.press("t", "t")
        self.picture(page, "alerts-dark")
        for arguments in ((recording, "--alerts", log), (recording, "--alerts", "/nonexistent", "-f", "html", "-o", self.folder / "x.html")):
            self.run_memspy("report", *arguments, code=2)


class Dashboard(test_daemon.HttpCase):
    ALERT = '[http]\nlisten = "127.0.0.1:0"\n{http}[[alert]]\nname = "big"\nwhen = "rss > 60MiB"\n'

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        if not browser.installed():
            raise unittest.SkipTest("there is no chromium")

    def page(self, **screen):
        page = browser.Page(**screen)
        self.addCleanup(page.close)
        return page

    def picture(self, page, name):
        if PICTURES:
            page.picture(pathlib.Path(PICTURES) / f"{name}.png")

    def look_at(self, page, name):
        """In both themes: axe-core, where it is, and a picture for a person."""
        axe = READERS / "node_modules" / "axe-core" / "axe.min.js"
        for scheme in ("light", "dark"):
            page.scheme(scheme)
            page.settle()
            self.picture(page, f"{name}-{scheme}")
            if not axe.exists():
                continue
            page.run(axe.read_text() + "; 0")
            found = page.run("axe.run(document, {resultTypes: ['violations']}).then(r => r.violations.map(v => v.id + ': ' + v.help"
                             " + ' ' + v.nodes.slice(0, 3).map(n => n.html.slice(0, 200)).join(' | ')))")
            self.assertEqual(found, [], scheme)

    def total(self, page):
        return growth(page, "f.tree.total[0]")

    def test_targets_and_one_of_them_live_with_its_alerts_and_evidence(self):
        self.write_config(more=self.ALERT.format(http=""))
        memspy, target, grown = self.traced_target()
        url = self.url(memspy)
        page = self.page()
        page.visit(url + "/")
        self.assertIn("family", page.text("#targets table"))
        self.look_at(page, "dashboard-list")
        page.run(f"document.querySelector('a[href=\"#/{target.pid}\"]').click()")
        page.until("memspy.growths.length === 1 && memspy.growths[0].flame.tree !== null")
        self.assertGreater(self.total(page), 0.8 * grown)
        self.assertIn("grow (family.py", growth(page, "f.tree.labels.map(l => l.text).join()"))
        # It goes on by itself, and what was chosen stays so.
        page.run("document.querySelector('#growth-tab-file').click()")
        before = self.total(page)
        self.grow_until(target, lambda: (self.folder / "state/alerts.jsonl").exists(), "the alert fires")
        page.until(f"memspy.growths[0].flame.tree.total[0] > {before} && document.querySelector('#time .alerts') !== null")
        self.assertIn("big fired", page.text("#time .alerts"))
        self.assertEqual(page.run("document.querySelector('#growth-tab-file').getAttribute('aria-selected')"), "true")
        self.look_at(page, "dashboard-target")
        # Who looks closer is not disturbed.
        page.press("/")
        page.type("grow")
        page.until("document.querySelector('[role=status]').textContent.startsWith('It stands still')")
        # It asks its daemon, and nobody else.
        refused = page.run("new Promise(done => { addEventListener('securitypolicyviolation', e => done(e.effectiveDirective));"
                           " fetch('http://192.0.2.1/').catch(() => 0) })")
        self.assertEqual(refused, "connect-src")
        self.assertTrue(all(each.startswith(url) for each in page.run("performance.getEntriesByType('resource').map(e => e.name)")))
        saved = self.folder / "saved.html"
        saved.write_text(self.get(f"{url}/targets/{target.pid}/html?seconds=300"))
        page.open(saved)
        self.assertIn("big fired", page.text("#time .alerts"))
        self.assert_bundle(json.loads((self.folder / "state/alerts.jsonl").read_text().splitlines()[0]), page)

    def assert_bundle(self, alert, page):
        folder = pathlib.Path(alert["evidence"])
        harness.eventually(folder.is_dir, f"the evidence is whole: {folder}")
        missing = folder / "missing.txt"
        self.assertFalse(missing.exists(), missing.exists() and missing.read_text())
        page.open(folder / "report.html")
        self.assertEqual(page.run("memspy.growths.length"), 2)  # growth, and the heap
        self.assertIn("grow", page.text("#verdict"))
        self.assertIn("KEPT", page.text("#heap"))
        self.assertIn("big fired", page.text("#time .alerts"))
        self.assertIsNone(page.run("memspy.data.warning ?? null"))
        # The series begins before the tracer did: what was cheap to know is there too.
        self.assertGreater(page.run("memspy.charts[0].series.get(memspy.charts[0].process).columns.cgroup_usage_bytes !== null"
                                    " && memspy.charts[0].series.get(memspy.charts[0].process).times.length"), 5)
        self.look_at(page, "bundle")

    def test_a_token_is_asked_for_before_anything_is_shown(self):
        token = self.folder / "token"
        token.write_text("a token of its own\n")
        token.chmod(0o600)
        self.write_config(more=self.ALERT.format(http=f'token_file = "{token}"\n'))
        memspy = self.daemon()
        page = self.page(width=390, height=844, touch=True)
        self.assertEqual(page.visit(self.url(memspy, "/")), "token")
        self.picture(page, "dashboard-token")
        page.type("another one")
        page.press("Enter")
        page.until("document.querySelector('h1').textContent === 'That is not the token.'")
        page.type("a token of its own")
        page.press("Enter")
        page.until("document.querySelector('#targets') !== null && document.body.innerText.includes('No process')")


class Endpoint(http.server.BaseHTTPRequestHandler):
    """Takes profiles, but the first."""
    heard, asked = [], 0

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        type(self).asked += 1
        if type(self).asked > 1:
            type(self).heard.append((urllib.parse.urlsplit(self.path), self.headers, body))
        self.send_response(200 if type(self).asked > 1 else 503)
        self.end_headers()

    def log_message(self, *_):
        pass


class Push(test_daemon.HttpCase):
    def endpoint(self):
        handler = type("Handler", (Endpoint,), {"heard": [], "asked": 0})
        return self.serve(handler), handler

    def test_profiles_are_pushed_and_dashboards_and_rules_name_what_there_is(self):
        port, handler = self.endpoint()
        token = self.folder / "token"
        token.write_text("sesame\n")
        token.chmod(0o600)
        self.write_config(more=f'[http]\nlisten = "127.0.0.1:0"\n[push]\nurl = "http://127.0.0.1:{port}/below"\ninterval = "2s"\n'
                               f'labels = {{ env = "test" }}\ntenant = "team"\ntoken_file = "{token}"\n')
        memspy, target, grown = self.traced_target()
        harness.eventually(lambda: handler.heard, "a profile is taken, at the second attempt")
        url, headers, body = handler.heard[0]
        self.assertEqual(url.path, "/below/ingest")
        query = {key: value for key, (value,) in urllib.parse.parse_qs(url.query, strict_parsing=True).items()}
        self.assertRegex(query["name"], rf"^family\{{env=test,host=[^,]*,pid={target.pid},process=python[^,]*\}}$")
        self.assertEqual((query["format"], int(query["until"]) - int(query["from"])), ("pprof", 2))
        self.assertEqual((headers["Authorization"], headers["X-Scope-OrgID"]), ("Bearer sesame", "team"))
        profile = gzip.decompress(body)
        for text in (b"inuse_space", b"grow", b"family.py"):
            self.assertIn(text, profile)
        harness.eventually(lambda: self.ask("status")["push"]["trouble"] == "" and self.ask("status")["push"]["profiles"] > 0, "all is well")
        self.assert_metrics(self.url(memspy, "/metrics"))

    def assert_metrics(self, url):
        text = self.get(url)
        # Limits are there where there is a control group with one, rates after ten seconds.
        known = set(re.findall(r"^# TYPE (\w+)", text, re.M)) | {"memspy_target_limit_bytes", "memspy_target_cgroup_usage_bytes",
                                                                "memspy_target_growth_bytes_per_second"}
        for file in ("memspy-rules.yml", "memspy-grafana.json"):
            named = set(re.findall(r"\bmemspy_\w+", (DOCS / file).read_text()))
            self.assertGreater(len(named), 4, file)
            self.assertLessEqual(named, known, file)
        promtool = shutil.which("promtool")
        if not promtool:
            self.skipTest("no promtool: Debian's package prometheus has it")
        panels = json.loads((DOCS / "memspy-grafana.json").read_text())["panels"]
        rules = self.folder / "panels.json"  # which is YAML as well
        rules.write_text(json.dumps({"groups": [{"name": "panels", "rules": [
            {"record": f"panel:{number}", "expr": expression} for number, expression in
            enumerate(target["expr"].replace("$service", ".*") for panel in panels for target in panel["targets"])]}]}))
        done = subprocess.run([promtool, "check", "rules", rules], capture_output=True, text=True, timeout=harness.DEADLINE)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


if __name__ == "__main__":
    unittest.main()
