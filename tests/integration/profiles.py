"""Reads what memspy wrote: folded stacks, the series' CSV, and the data of a page."""
import base64
import csv
import gzip
import json
import re

FRAME = re.compile(r"(?P<function>.*) \((?P<file>.*?)(?::(?P<line>\d+))?\)$")


class Folded:
    """A folded profile: [(frames root first, bytes)]."""

    def __init__(self, path):
        self.stacks = []
        with open(path, encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                stack, _, count = line.rstrip("\n").rpartition(" ")
                if not stack or not count.isdigit() or int(count) <= 0:
                    raise AssertionError(f"{path}:{number}: not `stack BYTES`: {line!r}")
                self.stacks.append((split_frames(stack), int(count)))

    def total(self):
        return sum(count for _, count in self.stacks)

    def by(self, key):
        """Bytes by key(frames); None is left out."""
        found = {}
        for frames, count in self.stacks:
            name = key(frames)
            if name is not None:
                found[name] = found.get(name, 0) + count
        return found

    def by_leaf(self):
        """Bytes by the innermost Python frame, as (function, file, line)."""
        return self.by(leaf)

    def top(self):
        found = self.by_leaf()
        return max(found, key=found.get) if found else None

    def by_function(self, file, names):
        """Bytes by the innermost function among `names` of `file` (a base name); else "other";
        "[unattributed]" by itself."""
        def key(frames):
            if frames[-1].startswith("[unattributed"):
                return "[unattributed]"
            for frame in reversed(frames):
                match = FRAME.match(frame)
                if match and match["file"].rsplit("/", 1)[-1] == file:
                    name = match["function"].rsplit(".", 1)[-1]
                    if name in names:
                        return name
            return "other"
        return self.by(key)


def split_frames(stack):
    """At each `;` that is not escaped."""
    return re.split(r"(?<!\\);", stack)


def leaf(frames):
    for frame in reversed(frames):
        match = FRAME.match(frame)
        if match and match["line"]:
            return match["function"], match["file"].rsplit("/", 1)[-1], int(match["line"])
    return frames[-1], "", 0


def read_series(path):
    """The series' CSV: a list of dicts of floats, comment lines left out."""
    with open(path, encoding="utf-8", newline="") as file:
        rows = csv.DictReader(line for line in file if not line.startswith("#"))
        return [{name: float(value) if value not in ("", None) else None
                 for name, value in row.items()} for row in rows]


def distance(profile, truth):
    """Total variation distance of two dicts of bytes, each taken as shares of its own sum: 0 to 1."""
    ours, theirs = sum(profile.values()) or 1, sum(truth.values()) or 1
    names = set(profile) | set(truth)
    return 0.5 * sum(abs(profile.get(name, 0) / ours - truth.get(name, 0) / theirs) for name in names)


def page_data(path):
    """What an HTML page of ours holds."""
    packed = re.search(r'id="data">([A-Za-z0-9+/=]+)<', path.read_text()).group(1)
    return json.loads(gzip.decompress(base64.b64decode(packed)))
