"""The HTML page of a run of mode alloc: time in the place of bytes, in a real browser."""
import json
import unittest

import made_recording
from test_page import PageCase, growth


class PageOfTime(PageCase):
    """A run of mode alloc: the same page, of CPU time."""

    def setUp(self):
        super().setUp()
        self.recording = self.allocating_service()
        self.page = self.show(self.report(self.recording))

    def spent(self, name):
        return growth(self.page, "(() => { let s = 0; for (let i = 1; i < f.tree.own.length; ++i)"
                      " if (f.tree.name(i).startsWith(%s)) s += f.tree.total[i]; return s })()" % json.dumps(name))

    def report_as(self, *arguments):
        return self.run_memspy("report", self.recording, *arguments, "-o", "-").out

    def test_says_the_verdict_and_which_share_of_the_cpu_time_it_is(self):
        text = self.run_memspy("report", self.recording).out
        self.assertIn(self.page.text("#verdict .verdict"), text)
        self.assertIn(self.page.text("#verdict .evidence"), text)
        # 60 * 30 + 60 * 27 + 120 * 5 samples of 120 * 150 more.
        self.assertEqual(self.page.text(".summary"),
                         "16.1 s spent allocating, 18 % of 1 m 28 s of CPU time in user mode; parse_orders (app.py:12) has 45 % of it.")

    def test_all_of_it_is_time_but_the_series_of_memory(self):
        self.page.run("document.querySelectorAll('details').forEach(d => { d.open = true })")
        for part in ("#where", "#verdict"):
            self.assertNotRegex(self.page.text(part), r"[KMG]iB|\d B\b|[Gg]rowth|\bgrew|touched")
        self.assertNotRegex(self.page.text("#time h2"), "grew")
        self.assertRegex(self.page.text("#where table"), r"parse_orders \(app.py\)\s+7\.2 s\s+45 %")
        self.assertRegex(self.page.text(".u-legend"), r"RSS\s*:?\s*100 MiB")
        self.assertIn("7.2 s", growth(self.page, "f.svg('t')"))
        self.assertNotIn("iB", growth(self.page, "f.svg('t')"))
        self.page.choose("#time", "Show", "clock")
        # 35 samples of a second's 185; at its end 32 of 182.
        self.assertRegex(self.page.text(".u-legend"), r"allocating\s*:?\s*128\.0 ms/s\s*CPU time in user mode\s*:?\s*728\.0 ms/s")
        self.assertIn("allocating from 140.0 ms/s to 128.0 ms/s", self.page.run("document.querySelector('.chart').getAttribute('aria-label')"))
        self.picture(self.page, "time-series")

    def test_sums_are_those_of_the_other_formats(self):
        self.assertEqual(growth(self.page, "g.folded()"), self.report_as("-f", "folded"))
        rows = self.report_as("-f", "table-csv", "--by", "function").splitlines()
        want = {line.split(",")[0]: int(line.split(",")[3]) for line in rows if line[0] not in "#f"}
        shown = dict(growth(self.page, "g.rows.map(r => [r.label.text.split(' (')[0], r.own / 1000])"))
        self.assertEqual(set(shown), set(want))
        for name, own in shown.items():  # stacks of a function lose their parts of a microsecond one by one
            self.assertAlmostEqual(own, want[name], delta=2, msg=name)
        self.page.choose("#where", "by", "function")
        self.assertEqual(growth(self.page, "g.folded()"), self.report_as("-f", "folded", "-F"))
        table = growth(self.page, "g.tableCsv()").splitlines()
        self.assertEqual(table[0], "name,file,line,own_microseconds,with_calls_microseconds")
        self.assertIn(f"parse_orders (app.py),/srv/app/app.py,,{60 * 30 * made_recording.TICK // 1000},", table[1])
        self.page.choose("#where", "Width is", "samples")
        self.assertEqual(self.spent("parse_orders"), 1800)

    def test_a_window_filters_flame_graph_tables_and_the_share(self):
        self.assertEqual(self.spent("parse_orders"), 1800 * made_recording.TICK)
        left, top, width, height = self.page.box(".u-over")
        self.page.drag((left + width * 0.6, top + height / 2), (left + width * 0.8, top + height / 3))
        window = self.page.run("[+document.querySelector('#from').value, +document.querySelector('#to').value]")
        self.assertGreater(window[0], 60)
        self.assertEqual(self.spent("parse_orders"), 0)
        self.assertEqual(self.spent("render_page"), (window[1] - window[0]) * 27 * made_recording.TICK)
        self.assertIn("18 % of", self.page.text(".summary"))  # 32 of 182
        self.assertIn("In this window", self.page.text(".summary"))
        between = ("--from", window[0], "--to", window[1])
        self.assertEqual(growth(self.page, "g.folded()"), self.report_as(*between, "-f", "folded"))
        told = json.loads(self.run_memspy("report", self.recording, *between, "--json").out)
        self.assertEqual(self.page.run(f"Math.floor(memspy.growths[0].picture.run.userCpu({{from: {window[0]}, to: {window[1]}}}) / 1000)"),
                         told["user_cpu_microseconds"])
        self.picture(self.page, "time-window")

    def test_native_frames_stand_below_the_line(self):
        self.assertEqual(growth(self.page, "f.tree.labels.filter(l => l.kind === 1).map(l => l.text)"), ["malloc (libc.so.6)"])
        self.page.press("/")
        self.page.type("Cache.copy")
        self.assertIn("matched 2.4 s", self.page.text(".matched"))

    def test_two_are_compared_by_cpu_time(self):
        more = self.allocating_service("more.memspy", scale=3, seconds=60)
        page = self.show(self.report(self.recording, more))
        # Three times the samples, and 60 s for 120: of as much CPU time it is 1.3 times as long.
        at = "(() => { for (let i = 1; i < f.tree.own.length; ++i) if (f.tree.name(i).startsWith('parse_')) return %s })()"
        run, base = (growth(page, at % f"f.tree.{which}[i]") for which in ("total", "base"))
        own, elsewhere = 30 * 30 + 27 * 30 + 5 * 60, 150 * 60
        self.assertEqual(run, 3 * 900 * made_recording.TICK)
        self.assertAlmostEqual(base / (1800 * made_recording.TICK), (3 * own + elsewhere) / (2 * own + 2 * elsewhere), 6)
        self.assertIn("of as much CPU time", growth(page, "g.describe(1)"))
        self.assertIn("spends more time allocating in B", page.text("#verdict"))
        self.assertIn("more time than before", page.text(".legend"))
        self.picture(page, "time-diff")

    def test_sources_have_time_beside_them(self):
        program = self.folder / "app.py"
        program.write_text("x = 1\n" * 50)
        page = self.show(self.report(self.recording, "--sources", "--source-root", self.folder))
        page.run("document.querySelector('#allocating-tab-source').click()")
        self.assertRegex(page.text(".sources"), r"Allocating\s+With calls")
        self.assertIn("7.2 s", page.text(".sources"))
        self.assertNotIn("iB", page.text(".sources"))

    def test_keeps_the_rules_in_both_themes(self):
        self.picture(self.page, "time-light")
        self.page.scheme("dark")
        self.page.settle()
        self.picture(self.page, "time-dark")
        self.check_rules(self.page)


if __name__ == "__main__":
    unittest.main()
