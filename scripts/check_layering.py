#!/usr/bin/env python3
"""Fails when a folder of src/ includes one that the dependency table does not allow.

The table is docs/architecture.md's; it stands here and nowhere else in code.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
ALLOWED = {  # besides include/memspy, base and the folder itself
    "base": set(),
    "procfs": set(),
    "cpython": set(),
    "malloc": set(),
    "snapshot": set(),
    "recording": set(),
    "attach": {"procfs"},
    "symbolize": {"procfs"},
    "unwind": {"procfs", "symbolize"},
    "sinks": {"recording", "snapshot"},
    "report": {"recording", "snapshot"},
    "sampler": {"procfs", "attach", "symbolize", "unwind", "cpython"},
    "heap": {"procfs", "attach", "symbolize", "cpython", "malloc", "snapshot"},
    "daemon": {"procfs", "sampler", "recording", "sinks"},
    "cli": {"procfs", "attach", "symbolize", "unwind", "cpython", "malloc", "snapshot", "sampler", "heap", "recording",
            "sinks", "report", "daemon"},
}
# Each of these headers may be seen by the named folders only (and never by include/memspy).
PRIVATE = {
    "sys/ptrace.h": {"attach"},
    "bpf/libbpf.h": {"attach"}, "bpf/bpf.h": {"attach"},
    "CLI/CLI.hpp": {"cli"},
    "sqlite3.h": {"recording"},
    "elfutils/": {"symbolize"}, "libelf.h": {"symbolize"}, "gelf.h": {"symbolize"},
    "dwarf.h": {"symbolize", "unwind"}, "libiberty": {"symbolize"}, "lzma.h": {"symbolize"},
    "curses.h": {"cli"},
    "zlib.h": {"sinks", "snapshot", "symbolize"},
    "protozero/": {"sinks"},
    "xxhash.h": {"snapshot"},
    "toml++": {"cli", "daemon"},
}


def main() -> int:
    errors = []
    for path in sorted([*ROOT.glob("src/**/*"), *ROOT.glob("include/**/*")]):
        if path.suffix not in (".h", ".cpp", ".inc"):
            continue
        inside = path.relative_to(ROOT)
        folder = inside.parts[1] if inside.parts[0] == "src" else "include"
        for number, line in enumerate(path.read_text().splitlines(), 1):
            match = re.match(r'\s*#\s*include\s+["<]([^">]+)[">]', line)
            if not match:
                continue
            header = match.group(1)
            first = header.split("/")[0]
            if first in ALLOWED and first != folder:
                allowed = {"base"} | ALLOWED.get(folder, set())
                if folder == "include" or first not in allowed:
                    errors.append(f"{inside}:{number}: {folder} may not include {header}")
            for private, folders in PRIVATE.items():
                if header.startswith(private) and folder not in folders:
                    errors.append(f"{inside}:{number}: {header} belongs to {', '.join(sorted(folders))}")
    known = {p.name for p in (ROOT / "src").iterdir() if p.is_dir()}
    errors += [f"src/{name} is not in the dependency table" for name in sorted(known - set(ALLOWED))]
    for path in sorted(ROOT.glob("tests/unit/*/*_test.cpp")):
        if path.name not in (path.parent / "CMakeLists.txt").read_text():
            errors.append(f"{path.relative_to(ROOT)} is in no list of sources: nobody runs it")
    print("\n".join(errors) if errors else "layering: ok")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
