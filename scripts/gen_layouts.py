#!/usr/bin/env python3
"""Writes src/cpython/layouts/v3_NN.inc and members_3_NN.inc from the DWARF of an interpreter built
with debug info.

  scripts/gen_layouts.py --version 3.11.7 libpython3.11.so.1.0 lib/python3.11/lib-dynload/*.so
  scripts/gen_layouts.py --version 3.14.10 /usr/lib/debug/.build-id/…/….debug…

The first file is the interpreter; the others are extension modules, for what it does not have. Needs
gdb with Python. Offsets are those of the given files; nothing is guessed: a member that they do not
have is left out of the table. docs/adding-a-python-version.md says the rest.
"""
import argparse
import json
import pathlib
import re
import subprocess
import sys

from layout_fields import DEBUG_FIELDS, DEBUG_SIZES, FIELDS, STRUCTS
from layout_heap_fields import BORROWED, HEAP_FIELDS, HEAP_STRUCTS, MEMBERS
from layout_trace_fields import TRACE_FIELDS, TRACE_STRUCTS

ALL_FIELDS = {**FIELDS, **HEAP_FIELDS, **TRACE_FIELDS}
ALL_STRUCTS = {**STRUCTS, **HEAP_STRUCTS, **TRACE_STRUCTS}
# Heads, heads of lists of weak references, dead objects kept for reuse, and what is not of the heap:
# embedded objects, and some 500 names and types of the parser, which the types themselves hold.
NOT_OWNED = r"ob_type$|weak(ref)?list$|free_?lists?(\[|$|\.)|^ob_base|^static_objects|^_initial_thread|^ast\b"


# The first members of structures that are objects themselves.
OBJECT_HEADS = ("ob_base", "root", "d_common", "od_dict", "ht_type", "dict", "fut", "func")


def owned_members(gdb, struct, prefix, borrowed):
    """[offset, count, name] of each member that is a pointer to an object, in order."""
    for member in struct.strip_typedefs().fields():
        name = f"{prefix}{member.name or ''}"
        if not hasattr(member, "bitpos") or member.bitsize or name in borrowed:
            continue
        if re.search(NOT_OWNED, name):
            continue
        kind, count = member.type.strip_typedefs(), 1
        while kind.code == gdb.TYPE_CODE_ARRAY:
            low, high = kind.range()
            count, kind = count * (high - low + 1), kind.target().strip_typedefs()
        if kind.code == gdb.TYPE_CODE_PTR and is_object(gdb, kind.target().strip_typedefs()):
            yield [member.bitpos // 8, count, name]
        elif kind.code == gdb.TYPE_CODE_STRUCT and count == 1:
            dot = "." if member.name else ""
            for offset, number, inner in owned_members(gdb, kind, name + dot, borrowed):
                yield [member.bitpos // 8 + offset, number, inner]


def is_object(gdb, kind):
    """PyObject itself, or a structure that starts with one."""
    if kind.code != gdb.TYPE_CODE_STRUCT:
        return False
    if kind.name == "_object" or (kind.tag or "") == "_object":
        return True
    members = kind.fields()
    return bool(members) and members[0].name in OBJECT_HEADS and (
        is_object(gdb, members[0].type.strip_typedefs()))


def inside_gdb(gdb, result_path):
    """Runs in gdb's own Python: looks every name up and leaves a JSON file."""
    gdb.execute("set max-value-size unlimited")

    def find(typename, path):
        variable = typename.removeprefix("variable ")
        try:
            if path == "sizeof":
                return [int(gdb.parse_and_eval(f"sizeof({variable})")), 1]
            if variable != typename:
                kind = gdb.parse_and_eval(f"{variable}.{path}").type.strip_typedefs()
                start, member = (int(gdb.parse_and_eval(f"(unsigned long)&{of}"))
                                 for of in (variable, f"{variable}.{path}"))
                offset = member - start
            else:
                kind = gdb.parse_and_eval(f"(({typename}*)0)->{path}").type.strip_typedefs()
                offset = int(gdb.parse_and_eval(f"(unsigned long)&(({typename}*)0)->{path}"))
        except gdb.error:
            return None
        if kind.code == gdb.TYPE_CODE_ARRAY:
            kind = kind.target().strip_typedefs()
        return [offset, max(1, min(8, kind.sizeof))]

    def first(candidates):
        for candidate in candidates:
            typename, path = candidate.split(": ")
            found = find(typename, path)
            if found:
                return [*found, f"{typename.replace('struct ', '')}.{path}"]
        return None

    def members_of(name, candidates):
        for candidate in candidates:
            try:
                struct = gdb.lookup_type(candidate)
                return list(owned_members(gdb, struct, "", BORROWED.get(name, set())))
            except gdb.error:
                continue
        return None

    found = {"fields": {}, "sizes": {}, "debug_fields": {}, "debug_sizes": {}, "members": {}}
    for name, candidates in ALL_FIELDS.items():
        found["fields"][name] = first(candidates)
    for name, candidates in ALL_STRUCTS.items():
        found["sizes"][name] = first([f"{c}: sizeof" for c in candidates])
    for kind, table in (("debug_fields", DEBUG_FIELDS), ("debug_sizes", DEBUG_SIZES)):
        for name, path in table.items():
            found[kind][name] = first([f"_Py_DebugOffsets: {path}", f"struct _Py_DebugOffsets: {path}"])
    size = first(["_Py_DebugOffsets: sizeof"])
    found["debug_size"] = size[0] if size else 0
    for name, candidates in MEMBERS.items():
        found["members"][name] = members_of(name, candidates)
    pathlib.Path(result_path).write_text(json.dumps(found))


def look_up(file, result):
    here = str(pathlib.Path(__file__).resolve().parent)
    script = (f"import sys; sys.path.insert(0, {here!r});"
              f"import gen_layouts, gdb; gen_layouts.inside_gdb(gdb, {str(result)!r})")
    subprocess.run(["gdb", "-q", "-nx", "-batch", "-ex", "set auto-load no", "-ex", f"python {script}",
                    str(file)], check=True, stdout=subprocess.DEVNULL)
    found = json.loads(result.read_text())
    result.unlink()
    return found


def merge(found, more):
    """Adds what only an extension module has."""
    for kind in ("fields", "sizes", "members"):
        for name, value in more[kind].items():
            found[kind][name] = found[kind][name] or value


def render(version, source, found):
    tag = "3_{:02}".format(int(version.split(".")[1]))
    lines = [f"// CPython {version}, x86-64. Generated, do not edit:",
             f"//   scripts/gen_layouts.py --version {version} {source}",
             "// Offset, width; the member each was read from stands behind it.",
             f"inline constexpr FieldEntry kFields{tag}[] = {{"]
    for name, value in found["fields"].items():
        if value:
            lines.append(f"    {{Field::{name}, {{{value[0]:#x}, {value[1]}}}}},  // {value[2]}")
    lines += ["};", f"inline constexpr SizeEntry kSizes{tag}[] = {{"]
    for name, value in found["sizes"].items():
        if value:
            lines.append(f"    {{Struct::{name}, {value[0]:#x}}},  // {value[2].removesuffix('.sizeof')}")
    lines.append("};")
    if found["debug_size"]:
        lines += ["// Where this minor's _Py_DebugOffsets keeps a field's offset, and a structure's size.",
                  f"inline constexpr std::uint32_t kDebugOffsetsSize{tag} = {found['debug_size']:#x};",
                  f"inline constexpr DebugFieldEntry kDebugFields{tag}[] = {{"]
        lines += [f"    {{Field::{name}, {value[0]:#x}}},  // {DEBUG_FIELDS[name]}"
                  for name, value in found["debug_fields"].items() if value]
        lines += ["};", f"inline constexpr SizeEntry kDebugSizes{tag}[] = {{"]
        lines += [f"    {{Struct::{name}, {value[0]:#x}}},  // {DEBUG_SIZES[name]}"
                  for name, value in found["debug_sizes"].items() if value]
        lines.append("};")
    return tag, "\n".join(lines) + "\n"


def render_members(version, source, found):
    tag = "3_{:02}".format(int(version.split(".")[1]))
    lines = [f"// CPython {version}, x86-64. Generated, do not edit:",
             f"//   scripts/gen_layouts.py --version {version} {source}",
             "// Owner, offset, number of pointers, name.",
             f"inline constexpr ObjectMember kMembers{tag}[] = {{"]
    for name, members in sorted(found["members"].items()):
        lines += [f'    {{"{name}", {offset:#x}, {count}, "{member}"}},' for offset, count, member in members or []]
    return "\n".join(lines + ["};"]) + "\n"


def render_fields():
    """The structure of a field: the longest structure name that its own name continues with a capital."""
    lines = ["// Generated, do not edit: scripts/gen_layouts.py --fields"]
    for name in ALL_FIELDS:
        owner = max((s for s in ALL_STRUCTS if name.startswith(s) and name[len(s):len(s) + 1].isupper()), key=len)
        lines.append(f'    {{Field::{name}, Struct::{owner}, "{name}"}},')
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--version", help="the exact version of the file, 3.N.P")
    parser.add_argument("--fields", action="store_true", help="write fields.inc, the names of all fields")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parent.parent
                        / "src/cpython/layouts", help="folder of the tables")
    parser.add_argument("file", nargs="*", type=pathlib.Path,
                        help="ELF files with DWARF: the library, program or .debug, then extension modules")
    options = parser.parse_args()
    if options.fields:
        (options.out / "fields.inc").write_text(render_fields())
        return 0
    if not options.version or not options.file:
        parser.error("needs --version and a file")
    result = options.out / f".gen_layouts.{options.version}.json"
    options.out.mkdir(parents=True, exist_ok=True)
    found = look_up(options.file[0], result)
    if not found["fields"]["kThreadNext"]:
        sys.exit(f"{options.file[0]}: no debug info of CPython")
    for file in options.file[1:]:
        merge(found, look_up(file, result))
    source = options.file[0].name + (" and its extension modules" if len(options.file) > 1 else "")
    tag, text = render(options.version, source, found)
    (options.out / f"v{tag}.inc").write_text(text)
    (options.out / f"members_{tag}.inc").write_text(render_members(options.version, source, found))
    missing = [name for kind in ("fields", "members") for name, value in found[kind].items() if not value]
    print(f"v{tag}.inc: {len(ALL_FIELDS)} fields; not in {options.version}: {' '.join(missing)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
