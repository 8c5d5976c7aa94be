"""A page in headless Chromium, as a person uses it: mouse, keys, themes, screens, and what a screen reader is told."""
import base64
import fcntl
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "readers"))

import devtools  # noqa: E402
import harness  # noqa: E402

KEYS = {"Enter": 13, "Escape": 27, "Tab": 9, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}


def installed():
    return shutil.which("chromium") is not None


def _pipe():
    """Ends with none of the numbers that the browser's own have."""
    ends = os.pipe()
    moved = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends]
    for end in ends:
        os.close(end)
    return moved


class Browser(devtools.Browser):
    """The same, from a test that has files open: bash knows descriptors of two digits."""

    deadline = 2 * harness.DEADLINE  # what a page itself waits for ends before

    def __init__(self, folder):
        hear, self._tell = _pipe()
        self._heard, say = _pipe()
        # Its sandbox is refused to root, and in most containers; what it opens are files of ours.
        command = [shutil.which("chromium"), "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                   "--hide-scrollbars", "--force-color-profile=srgb", "--remote-debugging-pipe", f"--user-data-dir={folder}",
                   "about:blank"]
        shell = ["bash", "-c", f'exec "$@" 3<&{hear} 4>&{say}', "bash", *command]
        self.process = subprocess.Popen(shell, pass_fds=(hear, say), stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        os.close(hear)
        os.close(say)
        self._rest, self._number = b"", 0


class Page:
    """One tab. Close it, or use it as a context."""

    def __init__(self, width=1280, height=900, dark=False, touch=False):
        self._folder = tempfile.TemporaryDirectory(prefix="memspy-browser-", ignore_cleanup_errors=True)
        self.browser = Browser(self._folder.name)
        target = self.browser.ask("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.browser.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.ask("Page.enable")
        self.screen(width, height, touch)
        self.scheme("dark" if dark else "light")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.browser.end()
        self._folder.cleanup()

    def ask(self, method, **parameters):
        return self.browser.ask(method, self.session, **parameters)

    def screen(self, width, height, touch=False):
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=2 if touch else 1,
                 mobile=touch)
        self.ask("Emulation.setTouchEmulationEnabled", enabled=touch)

    def scheme(self, name):
        self.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}])

    def run(self, expression):
        """A JavaScript expression, awaited; what it throws is a failure."""
        done = self.ask("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True, userGesture=True)
        if "exceptionDetails" in done:
            raise AssertionError(f"{expression}\n{json.dumps(done['exceptionDetails'], indent=1)}")
        return done["result"].get("value")

    def open(self, path, ready="document.documentElement.dataset.ready"):
        """Returns once the page says that it shows its data."""
        return self.visit(pathlib.Path(path).resolve().as_uri(), ready)

    def visit(self, url, ready="document.documentElement.dataset.ready"):
        self.ask("Page.navigate", url=url)
        state = self.until(f"document.documentElement && (() => {ready})()")
        if state == "failed":
            raise AssertionError(self.run("document.body.innerText"))
        self.settle()
        return state

    def until(self, expression, deadline=harness.DEADLINE):
        """Looks before each frame; returns what came true."""
        never = f"did not happen within {deadline:g} s: {expression}"
        return self.run("""new Promise((done, fail) => { setTimeout(() => fail(new Error(%s)), %d);
          const look = () => { let now; try { now = (%s) } catch (error) { fail(error); return } now ? done(now) : requestAnimationFrame(look) };
          look() })""" % (json.dumps(never), 1000 * deadline, expression))

    def settle(self):
        """Two frames on: what was asked for is drawn."""
        self.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))")

    def mouse(self, kind, x, y, buttons=0):
        self.ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left" if kind != "mouseMoved" else "none",
                 buttons=buttons, clickCount=0 if kind == "mouseMoved" else 1)

    def click(self, x, y):
        self.mouse("mouseMoved", x, y)
        self.mouse("mousePressed", x, y, 1)
        self.mouse("mouseReleased", x, y)
        self.settle()

    def drag(self, begin, end):
        self.mouse("mouseMoved", *begin)
        self.mouse("mousePressed", *begin, 1)
        for part in range(1, 9):
            self.mouse("mouseMoved", *(a + (b - a) * part / 8 for a, b in zip(begin, end)), 1)
        self.mouse("mouseReleased", *end)
        self.settle()

    def swipe(self, begin, end):
        """A finger."""
        self.ask("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": begin[0], "y": begin[1]}])
        for part in range(1, 9):
            x, y = (a + (b - a) * part / 8 for a, b in zip(begin, end))
            self.ask("Input.dispatchTouchEvent", type="touchMove", touchPoints=[{"x": x, "y": y}])
        self.ask("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
        self.settle()

    def press(self, *keys):
        for key in keys:
            text = {"text": key} if len(key) == 1 else {"text": "\r"} if key == "Enter" else {}
            code = KEYS.get(key, ord(key[0].upper()))
            self.ask("Input.dispatchKeyEvent", type="keyDown", key=key, windowsVirtualKeyCode=code, **text)
            self.ask("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code)
        self.settle()

    def type(self, text):
        self.ask("Input.insertText", text=text)
        self.settle()

    def box(self, selector):
        """Left, top, width, height of the first match, scrolled into view."""
        return self.run("""(() => { const e = document.querySelector(%s); e.scrollIntoView({block: "center"});
          const r = e.getBoundingClientRect(); return [r.left, r.top, r.width, r.height] })()""" % json.dumps(selector))

    def text(self, selector):
        return self.run(f"document.querySelector({json.dumps(selector)}).innerText")

    def choose(self, section, label, value):
        """In the list of that label."""
        self.run("""(() => { const s = [...document.querySelectorAll(%s + " label")].find(l => l.innerText.startsWith(%s)).querySelector("select");
          s.value = %s; s.dispatchEvent(new Event("change")) })()""" % tuple(map(json.dumps, (section, label, value))))
        self.settle()

    def broken_rules(self, axe):
        """What axe-core, whose text that is, finds against rules of accessibility."""
        self.settle()
        self.run(axe + "; 0")
        return self.run("axe.run(document, {resultTypes: ['violations']}).then(r => r.violations.map(v =>"
                        " v.id + ': ' + v.help + ' ' + v.nodes.slice(0, 3).map(n => n.html.slice(0, 200)).join(' | ')))")

    def tree(self):
        """What assistive technology is told: a list of (role, name)."""
        nodes = self.ask("Accessibility.getFullAXTree")["nodes"]
        return [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in nodes
                if not node["ignored"] and "role" in node]

    def picture(self, path, full=True):
        size = self.ask("Page.getLayoutMetrics")["cssContentSize"] if full else None
        clip = {"clip": {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], 6000), "scale": 1}} if full else {}
        data = self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=full, **clip)["data"]
        pathlib.Path(path).write_bytes(base64.b64decode(data))
