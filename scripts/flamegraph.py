#!/usr/bin/env python3
"""Draws folded stacks as a static SVG flame graph, for pages that cannot run a viewer.

    scripts/flamegraph.py out.folded > out.svg

Interactive viewers read the same file: speedscope, flamegraph.pl, inferno (docs/formats.md).
"""
import html
import pathlib
import sys
import zlib

WIDTH, ROW, FONT = 1200, 18, 11


def read(path):
    root = {"name": "all", "bytes": 0, "below": {}}
    for line in pathlib.Path(path).read_text().splitlines():
        stack, _, count = line.rpartition(" ")
        node = root
        node["bytes"] += int(count)
        for name in stack.split(";"):
            node = node["below"].setdefault(name, {"name": name, "bytes": 0, "below": {}})
            node["bytes"] += int(count)
    return root


def depth(node):
    return 1 + max((depth(child) for child in node["below"].values()), default=0)


def colour(name):
    seed = zlib.crc32(name.split(" (")[-1].encode())
    return f"hsl({20 + seed % 35}, {70 + seed // 7 % 20}%, {58 + seed // 11 % 14}%)"


def size(count):
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024


def draw(node, left, level, levels, scale, out):
    width = node["bytes"] * scale
    if width < 0.5:
        return
    top = (levels - level - 1) * ROW + 30
    label = html.escape(node["name"])
    out.append(f'<g><title>{label}: {size(node["bytes"])}</title><rect x="{left:.1f}" y="{top}" '
               f'width="{width:.1f}" height="{ROW - 1}" rx="1" fill="{colour(node["name"])}"/>')
    fits = int((width - 6) / (FONT * 0.6))
    if fits > 3:
        text = node["name"] if len(node["name"]) <= fits else node["name"][:fits - 1] + "…"
        out.append(f'<text x="{left + 3:.1f}" y="{top + ROW - 6}">{html.escape(text)}</text>')
    out.append("</g>")
    for child in sorted(node["below"].values(), key=lambda n: n["name"]):
        draw(child, left, level + 1, levels, scale, out)
        left += child["bytes"] * scale


def main():
    root = read(sys.argv[1])
    levels = depth(root)
    height = levels * ROW + 40
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
           f'font-family="monospace" font-size="{FONT}"><rect width="100%" height="100%" fill="#fffdf8"/>'
           f'<text x="10" y="20" font-size="14">Growth of resident memory by stack: {size(root["bytes"])}</text>']
    draw(root, 10, 0, levels, (WIDTH - 20) / max(1, root["bytes"]), out)
    print("\n".join(out) + "</svg>")


if __name__ == "__main__":
    main()
