"""Reads what `memspy report` makes of a snapshot the way its readers do: DevTools' and others' rules
for .heapsnapshot, profile.proto, folded, speedscope. test_readers asks those readers themselves."""
import collections
import gzip
import json
import pathlib
import re

import profiles

NODE_FIELDS = ["type", "name", "id", "self_size", "edge_count", "trace_node_id", "detachedness"]
EDGE_FIELDS = ["type", "name_or_index", "to_node"]
ORDER = ["snapshot", "nodes", "edges", "trace_function_infos", "trace_tree", "samples", "locations", "strings"]


def folded_total(path):
    return profiles.Folded(path).total()


def speedscope_total(path):
    """Of the profile that is shown first; every sample's frames exist."""
    document = json.loads(path.read_text())
    frames = len(document["shared"]["frames"])
    profile = document["profiles"][document.get("activeProfileIndex", 0)]
    assert profile["unit"] == "bytes", profile["unit"]
    assert len(profile["samples"]) == len(profile["weights"])
    assert all(0 <= frame < frames for sample in profile["samples"] for frame in sample)
    return sum(profile["weights"])


class HeapSnapshot:
    """By the rules of DevTools' loader, which reads forward and believes the counts in the head."""

    def __init__(self, path):
        text = pathlib.Path(path).read_text()
        if not text.startswith('{"snapshot":'):
            raise AssertionError(f"does not begin as the loader wants: {text[:40]!r}")
        if re.search(r'[\[,]-|\d\.\d', text[:text.index('"strings":')].split('"nodes":')[1]):
            raise AssertionError("a number that the loader would misread")
        pairs = json.loads(text, object_pairs_hook=lambda pairs: pairs)
        if [name for name, _ in pairs] != ORDER:
            raise AssertionError(f"keys in another order: {[name for name, _ in pairs]}")
        document = json.loads(text)
        meta = document["snapshot"]["meta"]
        if meta["node_fields"] != NODE_FIELDS or meta["edge_fields"] != EDGE_FIELDS:
            raise AssertionError(f"other fields: {meta}")
        self.types, self.edge_types = meta["node_types"][0], meta["edge_types"][0]
        self._begins, self._targets, self._all = [], [], None
        self.strings, self.nodes, self.edges = document["strings"], document["nodes"], document["edges"]
        self._check(document["snapshot"])

    def _check(self, head):
        width = len(NODE_FIELDS)
        self.size = head["node_count"]
        if len(self.nodes) != self.size * width or len(self.edges) != 3 * head["edge_count"]:
            raise AssertionError("counts in the head are not those of the arrays")
        if any(value < 0 or value >= 1 << 32 for value in self.nodes + self.edges):
            raise AssertionError("a value does not fit into 32 bits")
        if sum(self.nodes[4::width]) != head["edge_count"]:
            raise AssertionError("edges of nodes do not sum to the edges")
        if any(to % width or to // width >= self.size for to in self.edges[2::3]):
            raise AssertionError("an edge to no node")
        if len(set(self.nodes[2::width])) != self.size:
            raise AssertionError("an id stands twice")
        if len(set(self.strings)) != len(self.strings):
            raise AssertionError("a string stands twice")
        if self.types[self.nodes[0]] != "synthetic":
            raise AssertionError("the first node is no root")

    def name(self, node):
        return self.strings[self.nodes[7 * node + 1]]

    def total(self):
        return sum(self.nodes[3::7])

    def count(self, name):
        return sum(1 for node in range(self.size)
                   if self.name(node) == name and self.types[self.nodes[7 * node]] == "object")

    def flood(self, without=None):
        """What strong edges lead to from the root, when one node is taken away: 1 per node reached.
        What only garbage refers to is not held by anybody."""
        if not self._begins:
            position = 0
            for count in self.nodes[4::7]:
                self._begins.append(position)
                position += count
            self._begins.append(position)
            weak = self.edge_types.index("weak")
            self._targets = [-1 if kind == weak else to // 7 for kind, to in zip(self.edges[::3], self.edges[2::3])]
        begins, targets = self._begins, self._targets
        seen = bytearray(self.size + 1)  # one more: a node that is not there
        for node in range(self.size if without is not None else 0):
            if self.types[self.nodes[7 * node]] == "synthetic" and self.name(node) == "(garbage)":
                seen[node] = 2
                break
        if without is not None:
            seen[without] = 2
        seen[0], waiting = 1, [0]
        while waiting:
            node = waiting.pop()
            for to in targets[begins[node]:begins[node + 1]]:
                if to >= 0 and not seen[to]:
                    seen[to] = 1
                    waiting.append(to)
        return seen

    def unreachable_by_name(self, name):
        seen = self.flood()
        return [node for node in range(self.size) if self.name(node) == name and not seen[node]]

    def sizes(self):
        """{class: the sizes of its objects}, of nodes that are plain objects."""
        found = collections.defaultdict(list)
        for node in range(self.size):
            if self.types[self.nodes[7 * node]] == "object":
                found[self.name(node)].append(self.nodes[7 * node + 3])
        return found

    def texts(self):
        """Names of the nodes that DevTools takes for strings, by id."""
        return {self.nodes[7 * node + 2]: self.name(node) for node in range(self.size)
                if self.types[self.nodes[7 * node]] == "string"}

    def duplicated(self):
        """How many strings have a name that another has, too; static ones, of no size, aside."""
        names = collections.Counter(self.nodes[7 * node + 1] for node in range(self.size)
                                    if self.types[self.nodes[7 * node]] == "string" and self.nodes[7 * node + 3])
        return sum(count for count in names.values() if count > 1)

    def single(self):
        """Objects that are the only ones of their class: {name: node}."""
        found = collections.defaultdict(list)
        for node in range(self.size):
            if self.types[self.nodes[7 * node]] == "object":
                found[self.name(node)].append(node)
        return {name: nodes[0] for name, nodes in found.items() if len(nodes) == 1}

    def retained(self, node):
        """By definition: what cannot be reached any more without it."""
        if self._all is None:
            self._all = self.flood(without=self.size)
        rest = self.flood(without=node)
        sizes = self.nodes[3::7]
        return sum(size for size, before, after in zip(sizes, self._all, rest) if before == 1 and after != 1)


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if not byte & 128:
            return value, at
        shift += 7


def fields(data):
    """Fields of one protobuf message: (number, value)."""
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        if key & 7 == 0:
            value, at = varint(data, at)
        elif key & 7 == 2:
            length, at = varint(data, at)
            value, at = data[at:at + length], at + length
        else:
            raise AssertionError(f"wire type {key & 7} in a profile")
        yield key >> 3, value


def packed(data):
    at, found = 0, []
    while at < len(data):
        value, at = varint(data, at)
        found.append(value)
    return found


def pprof_total(path):
    """The sum of the default sample type, in bytes; references between the tables hold."""
    profile = collections.defaultdict(list)
    for number, value in fields(gzip.decompress(pathlib.Path(path).read_bytes())):
        profile[number].append(value)
    strings = [text.decode() for text in profile[6]]
    assert strings[0] == ""
    kinds = [dict(fields(kind)) for kind in profile[1]]
    names = [(strings[kind[1]], strings[kind[2]]) for kind in kinds]
    default = strings[profile[14][0]] if profile[14] else names[-1][0]
    index = [name for name, _ in names].index(default)
    assert names[index][1] == "bytes", names
    functions = {dict(fields(each))[1] for each in profile[5]}
    locations = {}
    for each in profile[4]:
        parts = list(fields(each))
        locations[dict(parts)[1]] = [dict(fields(value))[1] for number, value in parts if number == 4]
    assert all(function in functions for lines in locations.values() for function in lines)
    total = 0
    for sample in profile[2]:
        ids, values = [], []
        for number, value in fields(sample):
            if number in (1, 2):
                (ids if number == 1 else values).extend(packed(value) if isinstance(value, bytes) else [value])
        assert len(values) == len(kinds) and all(each in locations for each in ids)
        total += values[index]
    return total
