"""The HTML page and the SVG flame graph, in a real browser."""
import json
import os
import pathlib
import re
import subprocess
import unittest
import xml.dom.minidom

import browser
import made_recording
from harness import Case, need

READERS = pathlib.Path(__file__).resolve().parent / "readers"
MIB = 1 << 20
PICTURES = os.environ.get("MEMSPY_PICTURES")  # a folder: screenshots are left there, for a person to look at


class PageCase(Case):
    @classmethod
    def setUpClass(cls):
        if not browser.installed():
            raise unittest.SkipTest("there is no chromium")

    def empty_recording(self, name):
        path = self.folder / name
        self.run_memspy("record", "--rss", "-d", "0.3", "-i", "100ms", "-o", path, "--", "sleep", "30")
        return path

    def service(self, name="run.memspy", **facts):
        path = self.empty_recording(name)
        made_recording.a_service(made_recording.Recording(path), **facts)
        return path

    def allocating_service(self, name="alloc.memspy", **facts):
        path = self.empty_recording(name)
        made_recording.an_allocating_service(made_recording.Recording(path), **facts)
        return path

    def report(self, *arguments, name="page.html"):
        path = self.folder / name
        self.run_memspy("report", *arguments, "-o", path, "--force")
        return path

    def show(self, path, **screen):
        page = browser.Page(**screen)
        self.addCleanup(page.close)
        page.open(path)
        return page

    def check_rules(self, page):
        axe = READERS / "node_modules/axe-core/axe.min.js"
        if not axe.exists():
            raise unittest.SkipTest("axe-core is not installed")
        for scheme in ("light", "dark"):
            page.scheme(scheme)
            self.assertEqual(page.broken_rules(axe.read_text()), [], scheme)

    def picture(self, page, name, full=True):
        if PICTURES:
            page.picture(pathlib.Path(PICTURES) / f"{name}.png", full)


def growth(page, expression):
    return page.run(f"(() => {{ const g = memspy.growths[0], f = g.flame; return {expression} }})()")


class PageOfARun(PageCase):
    def setUp(self):
        super().setUp()
        self.recording = self.service()
        self.page = self.show(self.report(self.recording))

    def place_of(self, name):
        """The middle of a frame of the flame graph, in the window, by the beginning of its name."""
        left, top, _, _ = self.page.box("canvas[role=application]")
        found = growth(self.page, """(() => { const b = f.boxes.find(b => f.tree.name(b.node).startsWith(%s));
          return b && [(b.left + b.right) / 2, f.top(b.depth) - f.scroller.scrollTop + 10] })()""" % json.dumps(name))
        self.assertTrue(found, f"{name} is not drawn")
        return left + found[0], top + found[1]

    def total(self, name):
        return growth(self.page, "(() => { let s = 0; for (let i = 1; i < f.tree.own.length; ++i)"
                      " if (f.tree.name(i).startsWith(%s)) s += f.tree.total[i]; return s })()" % json.dumps(name))

    def test_says_the_verdict_first_and_what_the_text_says(self):
        text = self.run_memspy("report", self.recording).out
        verdict = self.page.text("#verdict .verdict")
        self.assertIn(verdict, text)
        self.assertIn("load_catalogue", verdict)
        self.assertEqual(self.page.run("document.querySelector('main').firstElementChild.id"), "verdict")
        self.assertIn(self.page.text("#verdict .evidence"), text)

    def test_sums_are_those_of_the_other_formats(self):
        folded = self.run_memspy("report", self.recording, "-f", "folded", "-o", "-").out
        self.assertEqual(growth(self.page, "g.folded()"), folded)
        rows = self.run_memspy("report", self.recording, "-f", "table-csv", "--by", "function").out.splitlines()
        want = {line.split(",")[0]: int(line.split(",")[3]) for line in rows if line[0] not in "#f"}
        shown = growth(self.page, "g.rows.map(r => [r.label.text.split(' (')[0], r.own])")
        self.assertEqual({name: own for name, own in shown}, want)

    def test_a_window_that_is_dragged_filters_flame_graph_and_tables(self):
        self.assertEqual(self.total("load_catalogue"), 60 * MIB)
        self.assertEqual(self.total("remember_session"), 60 * MIB)
        left, top, width, height = self.page.box(".u-over")
        self.page.drag((left + width * 0.1, top + height / 2), (left + width * 0.3, top + height / 3))
        window = self.page.run("[+document.querySelector('#from').value, +document.querySelector('#to').value]")
        self.assertLess(window[1], 61)
        self.assertEqual(self.total("remember_session"), 0)
        self.assertEqual(self.total("load_catalogue"), (window[1] - window[0]) * MIB)
        self.assertIn("In this window", self.page.text(".summary"))
        self.assertAlmostEqual(self.page.box(".u-select")[2] / width, (window[1] - window[0]) / 119, 1)
        # The same window on the command line: the same figures.
        text = self.run_memspy("report", self.recording, "--from", window[0], "--to", window[1], "-f", "folded", "-o", "-").out
        self.assertEqual(growth(self.page, "g.folded()"), text)
        self.picture(self.page, "window")
        left, top, width, height = self.page.box(".u-over")
        self.page.click(left + width * 0.8, top + height / 2)
        self.assertEqual(self.total("remember_session"), 60 * MIB)

    def test_a_window_can_be_typed(self):
        self.page.box("#from")
        self.page.run("document.querySelector('#from').focus(); document.querySelector('#from').select()")
        self.page.type("90")
        self.page.press("Tab")
        self.assertEqual(self.total("remember_session"), 30 * MIB)
        self.assertEqual(self.total("load_catalogue"), 0)

    def test_search_says_what_it_matches_and_a_bad_pattern_is_said(self):
        self.page.press("/")
        self.page.type("put|catalogue")
        total = growth(self.page, "f.tree.total[0]")
        self.assertIn(f"{100 * 120 * MIB / total:.0f} %", self.page.text(".matched"))
        self.picture(self.page, "search")
        self.page.run("document.activeElement.select()")
        self.page.type("(")
        self.assertIn("not a regular expression", self.page.text(".matched"))
        self.assertEqual(self.page.run("document.activeElement.getAttribute('aria-invalid')"), "true")

    def test_a_click_zooms_and_reset_comes_back(self):
        self.page.click(*self.place_of("remember_session"))
        self.page.until("memspy.growths[0].flame.moving === null")
        view = growth(self.page, "[f.view.right - f.view.left, f.tree.name(f.zoomed)]")
        self.assertAlmostEqual(view[0], self.total("remember_session") / growth(self.page, "f.tree.total[0]"), 3)
        self.assertIn("remember_session (app.py:31)", view[1])
        self.assertIn("remember_session", self.page.text(".details"))
        self.picture(self.page, "zoom")
        self.page.run("[...document.querySelectorAll('button')].find(b => b.textContent === 'Reset zoom').click()")
        self.assertEqual(growth(self.page, "f.zoomed"), 0)

    def test_keys_alone_are_enough(self):
        self.page.run("document.querySelector('canvas[role=application]').focus()")
        self.page.press("ArrowDown", "ArrowDown", "ArrowDown")
        first = growth(self.page, "f.tree.name(f.selected)")
        self.page.press("ArrowRight")
        self.assertNotEqual(growth(self.page, "f.tree.name(f.selected)"), first)
        self.page.press("Enter")
        self.assertNotEqual(growth(self.page, "f.zoomed"), 0)
        self.page.until("document.querySelector('#live').textContent.startsWith('Zoomed')")
        self.page.press("Escape")
        self.assertEqual(growth(self.page, "f.zoomed"), 0)
        # Every control can be reached.
        reached = set()
        self.page.run("document.activeElement.blur()")
        for _ in range(60):
            self.page.press("Tab")
            reached.add(self.page.run("document.activeElement.id || document.activeElement.textContent.slice(0, 20) || document.activeElement.tagName"))
        for name in ("theme", "from", "to", "growth-search", "growth-tab-function", "folded"):
            self.assertIn(name, reached)

    def test_metric_grouping_and_direction_can_be_chosen(self):
        self.page.choose("#where", "Width is", "touched")
        self.assertEqual(growth(self.page, "g.folded()"),
                         self.run_memspy("report", self.recording, "-f", "folded", "--gross", "-o", "-").out)
        self.page.choose("#where", "Width is", "samples")
        self.assertEqual(self.total("load_catalogue"), 600)
        self.page.choose("#where", "Width is", "growth")
        self.page.choose("#where", "by", "function")
        self.assertEqual(growth(self.page, "g.folded()"),
                         self.run_memspy("report", self.recording, "-f", "folded", "-F", "-o", "-").out)
        self.page.choose("#where", "Roots", "bottom")
        self.assertGreater(growth(self.page, "f.top(0)"), growth(self.page, "f.top(1)"))
        self.picture(self.page, "flame")

    def test_what_is_pointed_at_does_not_outlive_its_tree(self):
        self.page.mouse("mouseMoved", *self.place_of("load_catalogue"))
        self.page.settle()
        self.assertIsNotNone(growth(self.page, "f.hovered"))
        state = self.page.run("""(() => { const s = [...document.querySelectorAll("#where label")].find(l => l.innerText.startsWith("by")).querySelector("select");
          s.value = "file"; s.dispatchEvent(new Event("change")); const f = memspy.growths[0].flame; return [f.hovered, f.boxes.length] })()""")
        self.assertEqual(state, [None, 0])

    def test_both_themes_and_a_choice_of_ones_own(self):
        back = "getComputedStyle(document.body).backgroundColor"
        light = self.page.run(back)
        self.picture(self.page, "light")
        self.page.scheme("dark")
        self.page.settle()
        dark = self.page.run(back)
        self.assertNotEqual(dark, light)
        self.picture(self.page, "dark")
        self.page.press("t")  # auto -> light
        self.assertEqual(self.page.run(back), light)
        self.page.press("t")
        self.assertEqual(self.page.run(back), dark)

    def test_loads_nothing_and_fits_a_phone(self):
        self.assertEqual(self.page.run("performance.getEntriesByType('resource').length"), 0)
        self.page.screen(390, 844, touch=True)
        self.page.settle()
        self.assertLessEqual(self.page.run("document.documentElement.scrollWidth"), 390)
        self.picture(self.page, "phone")
        left, top, width, height = self.page.box(".u-over")
        self.page.swipe((left + width * 0.6, top + height / 2), (left + width * 0.9, top + height / 2))
        self.assertEqual(self.total("load_catalogue"), 0)
        self.assertGreater(self.total("remember_session"), 20 * MIB)

    def test_opens_in_a_browser_that_cannot_inflate(self):
        with browser.Page() as page:
            page.ask("Page.addScriptToEvaluateOnNewDocument", source="delete globalThis.DecompressionStream")
            page.open(self.folder / "page.html")
            self.assertEqual(page.run("typeof DecompressionStream"), "undefined")
            self.assertEqual(growth(page, "f.tree.total[0]"), growth(self.page, "f.tree.total[0]"))

    def test_gaps_are_marked_and_exports_are_what_is_shown(self):
        self.page.run("document.querySelector('#time details').open = true")
        self.assertIn("1 m 30 s, for 8 s: rate lowered", self.page.text("#time li"))
        svg = growth(self.page, "f.svg('t')")
        xml.dom.minidom.parseString(svg)
        self.assertIn("remember_session", svg)
        self.assertIn("load_catalogue (app.py)", growth(self.page, "g.tableCsv()"))

    def test_assistive_technology_is_told_what_is_there(self):
        tree = self.page.tree()
        for role in ("main", "heading", "table", "tablist", "application", "columnheader"):
            self.assertIn(role, {kind for kind, _ in tree})
        for role, name in tree:
            if role in ("button", "textbox", "searchbox", "combobox", "spinbutton", "application", "tab"):
                self.assertTrue(name, f"a {role} without a name")
        self.check_rules(self.page)


class Pages(PageCase):
    def test_what_does_not_go_together_is_refused(self):
        run = self.service()
        for arguments, why in [((run, run), "only the page shows several files"), ((run, "--sources"), "--sources is for the page"),
                               ((run, run, run, "-f", "html"), "two recordings at most"),
                               ((self.allocating_service(), run, "-f", "html"), "of mode alloc and one of mode growth")]:
            self.assertIn(why, self.run_memspy("report", *arguments, code=2).err)

    def test_one_recording_makes_the_same_bytes_again_and_record_writes_a_page(self):
        recording, page = self.folder / "a.memspy", self.folder / "a.html"
        workload = ["python3", "-c", "x = [bytearray(1 << 20) for _ in range(40)]"]
        for suffix in ("html", "svg"):
            page = self.folder / f"a.{suffix}"
            self.run_memspy("record", "-i", "50ms", "-o", recording, "--force", "--checkpoint", "10m", "--", *workload)
            first = self.report(recording, name=f"one.{suffix}").read_bytes()
            self.assertEqual(first, self.report(recording, name=f"two.{suffix}").read_bytes())
            self.run_memspy("record", "-i", "50ms", "-o", page, "--", *workload)
            self.assertGreater(page.stat().st_size, 1000)

    def test_hostile_names_stay_names(self):
        recording = self.empty_recording("hostile.memspy")
        made_recording.hostile_names(made_recording.Recording(recording))
        path = self.report(recording)
        page = self.show(path)
        self.assertIsNone(page.run("globalThis.broken ?? null"))
        self.assertEqual(page.run("document.querySelectorAll('main img, main script').length"), 0)
        names = growth(page, "f.tree.labels.map(l => l.text).join('\\n')")
        for part in ("</script><script>", "<img src=x", "__proto__", "constructor"):
            self.assertIn(part, names)
        self.assertNotIn("\u202e", page.text("main"))
        self.assertIn("\\u202e", names)
        self.assertNotIn("\n=HYPERLINK", growth(page, "g.tableCsv()"))
        self.assertIn("\\x1b is \\\\ no escape", names)  # shown as they are
        self.assertEqual(growth(page, "g.folded()"), self.run_memspy("report", recording, "-f", "folded", "-o", "-").out)
        xml.dom.minidom.parseString(growth(page, "f.svg('<t>')"))
        # Of the file itself: two scripts, the data's alphabet between them.
        text = path.read_text()
        self.assertEqual(len(re.findall("<script", text)), 2)
        self.assertRegex(text, r'<script type="application/gzip;base64" id="data">[A-Za-z0-9+/=]+</script>')
        self.picture(page, "hostile")
        svg = self.report(recording, name="hostile.svg")
        xml.dom.minidom.parse(str(svg))
        self.assertNotIn("\u202e", svg.read_text())
        self.assertIn("\\u202e", svg.read_text())
        drawn = self.show_svg(svg)
        self.assertIsNone(drawn.run("globalThis.broken ?? null"))

    def test_a_stack_as_deep_as_there_are_and_a_gap_without_end_are_drawn(self):
        recording = self.empty_recording("deep.memspy")
        made_recording.a_deep_stack(made_recording.Recording(recording))
        page = self.show(self.report(recording))
        self.assertEqual(growth(page, "f.tree.deepest()"), 16_000)
        self.assertEqual(growth(page, "f.svg('deep').split('level_15999 ').length > 1"), True)
        growth(page, "f.flip(true)")
        page.settle()
        self.assertGreater(growth(page, "f.boxes.length"), 5)
        # A window of the run is a part of the gap only.
        page.run("memspy.charts[0].draw()")
        page.settle()
        self.assertIn("deeper than 512 frames", self.report(recording, name="deep.svg").read_text())

    def test_what_never_comes_is_an_error_that_says_what(self):
        with browser.Page() as page:
            with self.assertRaisesRegex(AssertionError, "within 0.2 s: 1 === 2"):
                page.until("1 === 2", deadline=0.2)
            page.browser.deadline = 0.5
            with self.assertRaisesRegex(TimeoutError, "no answer to Runtime.evaluate"):
                page.run("(() => { for (;;); })()")

    def test_a_day_and_a_half_with_a_hole_is_drawn_with_the_hole(self):
        recording = self.empty_recording("long.memspy")
        made_recording.an_interrupted_run(made_recording.Recording(recording))
        page = self.show(self.report(recording))
        drawn = page.run("(() => { const [times, rss] = memspy.charts[0].uplot.data; return [times.length, rss.indexOf(null), rss.filter(v => v === null).length] })()")
        self.assertEqual(drawn, [130_001, 90_000, 1])
        self.assertEqual(growth(page, "f.tree.total[0]"), 90_000 * 4096)
        self.picture(page, "hole", full=False)

    def show_svg(self, path):
        page = browser.Page()
        self.addCleanup(page.close)
        page.open(path, ready="globalThis.memspy && 'yes'")
        return page

    def test_the_svg_zooms_searches_and_has_all_of_it(self):
        recording = self.service()
        page = self.show_svg(self.report(recording, name="run.svg"))
        self.picture(page, "svg", full=False)
        self.assertEqual(page.run("document.querySelectorAll('.f').length"), 9)
        page.run("memspy.search('catalogue|put'); 0")
        self.assertRegex(page.run("document.getElementById('matched').textContent"), r"matched: 8[0-9]\.\d %")
        self.assertEqual(page.run("document.querySelectorAll('.f.hit').length"), 2)
        self.picture(page, "svg-search", full=False)
        x, y, width, height = page.run("(() => { const r = memspy.frames.find(f => f.name.startsWith('remember')).g.getBoundingClientRect(); return [r.x, r.y, r.width, r.height] })()")
        page.click(x + width / 2, y + height / 2)
        wide = page.run("+memspy.frames.find(f => f.name.startsWith('remember')).rect.getAttribute('width')")
        self.assertAlmostEqual(wide, 1180, 0)
        page.press("Escape")
        self.assertLess(page.run("+memspy.frames.find(f => f.name.startsWith('remember')).rect.getAttribute('width')"), 700)

    def test_two_recordings_are_compared_in_red_and_blue(self):
        before, after = self.service("before.memspy"), self.service("after.memspy", scale=3)
        page = self.show(self.report(before, after))
        change = growth(page, "(() => { for (let i = 1; i < f.tree.own.length; ++i) if (f.tree.name(i).startsWith('load_')) return f.tree.total[i] - f.tree.base[i] })()")
        self.assertEqual(change, 120 * MIB)
        self.assertIn("to before", growth(page, "g.describe(1)"))
        self.picture(page, "diff")

    def test_sources_come_only_when_asked_for_and_only_the_lines_that_grew(self):
        program = self.folder / "leak.py"
        program.write_text("kept = []\n" + "# secret\n" * 40 + "def leak():\n    kept.append(bytearray(1 << 20))\nfor _ in range(40):\n    leak()\n")
        recording = self.folder / "leak.memspy"
        self.run_memspy("record", "-i", "50ms", "-o", recording, "--", "python3", program)
        page = self.show(self.report(recording))
        self.assertIsNone(page.run("memspy.data.sources ?? null"))
        page = self.show(self.report(recording, "--sources", "--context", 2))
        source = page.run("memspy.data.sources")
        own = [each for each in source if each["file"] == str(program)]
        self.assertEqual(len(own), 1)
        self.assertLess(len(own[0]["lines"]), 10)
        page.run("document.querySelector('#growth-tab-source').click()")
        self.assertIn("kept.append(bytearray(1 << 20))", page.text(".sources"))
        self.picture(page, "source")


class PageOfAHeap(PageCase):
    def test_shows_types_owners_and_where_every_byte_is(self):
        target = self.script(need("system"), "growing.py", "--mb", 20, "--mbps", 30)
        snapshot = self.folder / "heap.memsnap"
        self.run_memspy("snapshot", "-p", target.pid, "-o", snapshot)
        page = self.show(self.report(snapshot))
        document = json.loads(self.run_memspy("report", snapshot, "-f", "json").out)
        self.assertEqual(page.text("#verdict .verdict").split("\n")[-1], document["verdict"])
        self.assertEqual(page.run("memspy.growths[0].flame.tree.total[0]"), document["objects"]["bytes"])
        folded = self.run_memspy("report", snapshot, "-f", "folded", "-o", "-").out
        self.assertEqual(page.run("memspy.growths[0].folded()"), folded)
        shown = page.run("[...document.querySelectorAll('.treemap .cell')].length")
        self.assertGreater(shown, 3)
        self.assertIn(document["types"][0]["type"], page.text("#heap"))
        self.picture(page, "heap")
        both = self.show(self.report(self.service(), snapshot), dark=True)
        self.assertEqual(both.run("memspy.growths.length"), 2)
        self.picture(both, "both")


class Bundle(Case):
    def test_is_what_its_sources_make(self):
        web = pathlib.Path(__file__).resolve().parents[2] / "web"
        if not (web / "node_modules").is_dir():
            raise unittest.SkipTest("web/node_modules is not installed")
        done = subprocess.run(["npm", "run", "--silent", "check"], cwd=web, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, check=False, timeout=200)
        self.assertEqual(done.returncode, 0, done.stdout)


if __name__ == "__main__":
    unittest.main()
