#!/usr/bin/env python3
"""What Chromium's DevTools make of a .heapsnapshot: the code behind their Memory panel, headless.

    devtools.py FILE      prints {"browser", "total", "self_size", "nodes", "classes", "duplicated_strings"} as JSON

Needs `chromium` (Debian's package). It speaks the DevTools protocol over a pipe, loads the panel's own
worker as a module, feeds it the file, and asks for the totals that the panel shows.
"""
import json
import os
import pathlib
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

PIECE = 4 << 20
DEADLINE = 300.0  # seconds, for one answer: of a large heap it takes a while
PAGE = "devtools://devtools/bundled/devtools_app.html"
WORKER = "devtools://devtools/bundled/entrypoints/heap_snapshot_worker/heap_snapshot_worker.js"
READ = """(async () => {
  const worker = await import('%s');
  const progress = new worker.HeapSnapshotWorkerDispatcher.HeapSnapshotWorkerDispatcher(() => {});
  const loader = new worker.HeapSnapshotLoader.HeapSnapshotLoader(progress);
  for (const piece of globalThis.pieces) loader.write(piece);
  loader.close();
  const channel = new MessageChannel();
  new worker.HeapSnapshot.SecondaryInitManager(channel.port2);
  const heap = await loader.buildSnapshot(channel.port1);
  const said = {total: heap.totalSize, self_size: 0, nodes: heap.nodeCount, classes: {}};
  const node = heap.createNode(0);
  for (let i = 0; i < heap.nodeCount; ++i) {
    node.nodeIndex = i * heap.nodeFieldCount;
    said.self_size += node.selfSize();
  }
  for (const row of Object.values(heap.aggregatesWithFilter({})))
    said.classes[row.name] = {count: row.count, self_size: row.self, retained_size: row.maxRet};
  const alike = Object.values(heap.aggregatesWithFilter({filterName: 'duplicatedStrings'}));
  said.duplicated_strings = alike.reduce((sum, row) => sum + row.count, 0);
  return said;
})()""" % WORKER


class Browser:
    """A headless Chromium that hears DevTools' protocol on descriptor 3 and answers on 4."""

    deadline = DEADLINE

    def __init__(self, folder):
        hear, self._tell = os.pipe()
        self._heard, say = os.pipe()
        # Its sandbox is refused to root, and in most containers; what it opens is its own page and our file.
        command = [shutil.which("chromium") or "chromium", "--headless=new", "--no-sandbox", "--disable-gpu",
                   "--disable-dev-shm-usage", "--remote-debugging-pipe", f"--user-data-dir={folder}", "about:blank"]
        # The shell gives the pipes their numbers; its exec becomes the browser, in a group of its own.
        shell = ["sh", "-c", f'exec "$@" 3<&{hear} 4>&{say}', "sh", *command]
        self.process = subprocess.Popen(shell, pass_fds=(hear, say), stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        os.close(hear)
        os.close(say)
        self._rest, self._number = b"", 0

    def ask(self, method, session=None, **parameters):
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        data = memoryview(json.dumps(message).encode() + b"\0")
        while data:
            data = data[os.write(self._tell, data):]
        end = time.monotonic() + self.deadline
        while True:
            answer = self._next(method, end)
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise SystemExit(f"{method}: {answer['error']}")
                return answer["result"]

    def _next(self, method, end):
        while b"\0" not in self._rest:
            # Chromium may be alive and say nothing: a page that computes for ever.
            if not select.select([self._heard], [], [], max(0, end - time.monotonic()))[0]:
                raise TimeoutError(f"no answer to {method} within {self.deadline:g} s")
            more = os.read(self._heard, 1 << 20)
            if not more:
                raise SystemExit("chromium ended")
            self._rest += more
        line, _, self._rest = self._rest.partition(b"\0")
        return json.loads(line)

    def end(self):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def totals(path):
    with tempfile.TemporaryDirectory(prefix="memspy-devtools-", ignore_cleanup_errors=True) as folder:
        browser = Browser(folder)
        try:
            target = browser.ask("Target.createTarget", url=PAGE)["targetId"]
            session = browser.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]

            def run(text):
                done = browser.ask("Runtime.evaluate", session, expression=text, awaitPromise=True, returnByValue=True)
                if "exceptionDetails" in done:
                    raise SystemExit(f"DevTools: {done['exceptionDetails']}")
                return done["result"].get("value")
            text = pathlib.Path(path).read_text()
            run("globalThis.pieces = []; 0")
            for begin in range(0, len(text), PIECE):
                run(f"globalThis.pieces.push({json.dumps(text[begin:begin + PIECE])}); 0")
            return dict(run(READ), browser=browser.ask("Browser.getVersion")["product"])
        finally:
            browser.end()


if __name__ == "__main__":
    print(json.dumps(totals(sys.argv[1])))
