"""Names, lines and inlined functions of addresses, as elfutils' own eu-addr2line has them."""
import os
import pathlib
import random
import re
import shutil
import socket
import subprocess
import unittest
import urllib.request

import harness

ADDRESSES = 3000  # of each library
AGREE = 0.995     # the rest: scopes that overlap, which GCC makes where it has merged tails


def run(command, text):
    # eu-addr2line ends with 1 where an address of many has no name.
    return subprocess.run(command, input=text, capture_output=True, text=True, check=False).stdout


def functions(path):
    """Sorted [(begin, end)] of functions with a size: what is between them is padding."""
    out = run(["eu-readelf", "-s", str(path)], "")
    found = set()
    for line in out.splitlines():
        match = re.match(r"\s*\d+: ([0-9a-f]{16})\s+(\d+) FUNC\s+\w+\s+\w+\s+\d+ ", line)
        if match and int(match[2]) > 0:
            found.add((int(match[1], 16), int(match[1], 16) + int(match[2])))
    return sorted(found)


def answers(text):
    """[[(function, file:line)]] of the addresses, innermost first."""
    found = []
    for line in text.splitlines():
        if re.fullmatch(r"0x[0-9a-f]+", line):
            found.append([])
        else:
            found[-1].append(line)
    return [[(function.split(" inlined at ")[0], ":".join(line.split(" (")[0].split(":")[:2]))
             for function, line in zip(lines[::2], lines[1::2])] for lines in found]


class Symbols(harness.Case):
    def compare(self, path):
        places = functions(path)
        if not places:
            self.skipTest(f"{path} has no functions with a size")
        chosen = random.Random(1).choices(places, weights=[end - begin for begin, end in places], k=ADDRESSES)
        numbers = random.Random(2)
        text = "".join(f"{numbers.randrange(begin, end):#x}\n" for begin, end in chosen)
        ours = answers(run([os.environ["MEMSPY_NAME_ADDRESSES"], str(path)], text))
        theirs = answers(run(["eu-addr2line", "-a", "-i", "-f", "-C", "-e", str(path)], text))
        self.assertEqual(len(ours), ADDRESSES)
        self.assertEqual(len(theirs), ADDRESSES)
        differ = [(a, b) for a, b in zip(ours, theirs) if a != b]
        self.assertLessEqual(len(differ), (1 - AGREE) * ADDRESSES, differ[:3])

    @unittest.skipUnless(shutil.which("eu-addr2line"), "no eu-addr2line: elfutils")
    def test_libraries(self):
        libraries = [pathlib.Path("/lib/x86_64-linux-gnu/libc.so.6"),
                     pathlib.Path("/usr/lib/x86_64-linux-gnu/libstdc++.so.6"), pathlib.Path("/usr/bin/python3.11")]
        libraries += sorted(pathlib.Path.home().glob(".pyenv/versions/3.1[13]*/lib/libpython3.1?.so.1.0"))
        for path in libraries:
            if path.exists():
                with self.subTest(path=path):
                    self.compare(path.resolve())

    @unittest.skipUnless(shutil.which("gcc") and shutil.which("xz"), "no gcc, or no xz")
    def test_every_place_where_symbols_and_lines_may_be(self):
        """In the file, in .gnu_debugdata, behind .gnu_debuglink, in a folder of build ids, and nowhere."""
        here = self.folder

        def sh(script):
            subprocess.run(["bash", "-ec", script], cwd=here, check=True, capture_output=True)

        (here / "m.c").write_text("static __attribute__((noinline)) int hidden_part(int x) { return x * 7 + 3; }\n"
                                  "int shown(int x) { return hidden_part(x) + hidden_part(x + 1); }\n")
        sh("gcc -shared -fPIC -O1 -g -Wl,--build-id=sha1 -o full.so m.c; objcopy --only-keep-debug full.so full.debug;"
           "strip -s full.so -o plain.so; cp plain.so linked.so; objcopy --add-gnu-debuglink=full.debug linked.so;"
           "objcopy -S --keep-symbol=hidden_part full.debug mini; xz mini; cp plain.so mini.so;"
           "objcopy --add-section .gnu_debugdata=mini.xz mini.so")
        out = run(["nm", str(here / "full.so")], "")
        address = re.search(r"([0-9a-f]+) t hidden_part", out)[1]
        build_id = re.search(r"Build ID: ([0-9a-f]+)", run(["eu-readelf", "-n", str(here / "full.so")], ""))[1]
        sh(f"mkdir -p ids/.build-id/{build_id[:2]}; cp full.debug ids/.build-id/{build_id[:2]}/{build_id[2:]}.debug")

        def ask(name, *folders):
            program = [os.environ["MEMSPY_NAME_ADDRESSES"], str(here / name), *map(str, folders)]
            return answers(run(program, address + "\n"))[0]

        known = [("hidden_part", f"{here}/m.c:1")]
        self.assertEqual(ask("full.so"), known)
        self.assertEqual(ask("linked.so"), known)
        self.assertEqual(ask("plain.so", here / "ids"), known)
        self.assertEqual(ask("mini.so"), [("hidden_part", "??:0")])
        self.assertEqual(ask("plain.so"), [("??", "??:0")])
        # Debug information of another build is not used.
        (here / "full.debug").write_bytes((here / "full.debug").read_bytes() + b"\0")
        self.assertEqual(ask("linked.so"), [("??", "??:0")])

    def test_what_dwz_has_put_into_a_file_of_its_own(self):
        """Debian's packages of debug information: names that several files have in common stand in another one."""
        here = self.folder

        def sh(script):
            subprocess.run(["bash", "-ec", script], cwd=here, check=True, capture_output=True)

        (here / "common.h").write_text(
            "struct pair_of_numbers { int first_of_them, second_of_them; };\n"
            "static inline __attribute__((always_inline)) int inlined_part_with_a_long_name(struct pair_of_numbers *p, int x)\n"
            "{ p->first_of_them += x; return p->second_of_them * x; }\n"
            "static __attribute__((noinline)) int hidden_part_with_a_long_name(struct pair_of_numbers *p, int x)\n"
            "{ return inlined_part_with_a_long_name(p, x * 7 + 3); }\n")
        for name in "ab":
            (here / f"{name}.c").write_text(
                f'#include "common.h"\nint shown_{name}(struct pair_of_numbers *p, int x) '
                "{ return hidden_part_with_a_long_name(p, x) + hidden_part_with_a_long_name(p, x + 1); }\n")
        sh("id() { eu-readelf -n $1 | sed -n 's/.*Build ID: //p'; };"
           "put() { mkdir -p ids/.build-id/$(id $1 | cut -c1-2); cp $1 ids/.build-id/$(id $1 | sed 's,..,&/,').debug; };"
           "for n in a b; do gcc -shared -fPIC -O1 -g -Wl,--build-id=sha1 -o $n.so $n.c;"
           "objcopy --only-keep-debug $n.so $n.debug; strip -s $n.so -o $n.plain.so; done;"
           "dwz -m common.debug -M folder/common.debug a.debug b.debug; for n in a b common; do put $n.debug; done")
        self.assertIn(".gnu_debugaltlink", run(["eu-readelf", "-S", str(here / "a.debug")], ""))
        first = int(re.search(r"([0-9a-f]+) t hidden_part", run(["nm", str(here / "a.so")], ""))[1], 16)
        addresses = "".join(f"{first + offset:x}\n" for offset in range(0, 18))
        program = [os.environ["MEMSPY_NAME_ADDRESSES"], str(here / "a.plain.so"), str(here / "ids")]
        names = {tuple(function for function, _ in found) for found in answers(run(program, addresses))}
        self.assertEqual(names, {("hidden_part_with_a_long_name",),
                                 ("inlined_part_with_a_long_name", "hidden_part_with_a_long_name")})


KEEPER = """#include <stdlib.h>
static char *kept[64];
static int count;
static __attribute__((noinline)) void touch_pages(char *begin, long size) {
  for (long at = 0; at < size; at += 4096) begin[at] = 1;
}
void keep(long size) {
  kept[count] = malloc(size);
  touch_pages(kept[count++], size);
}
"""


@unittest.skipUnless(shutil.which("gcc") and shutil.which("debuginfod"), "no gcc, or no debuginfod")
class Fetched(harness.PythonCase):
    """Debug information that is on no disk here but on a server's."""

    def setUp(self):
        super().setUp()
        (self.folder / "keep.c").write_text(KEEPER)
        script = ("mkdir served; gcc -shared -fPIC -O1 -g -Wl,--build-id=sha1 -o keep.so keep.c;"
                  "objcopy --only-keep-debug keep.so served/keep.debug; strip -s keep.so")
        subprocess.run(["bash", "-ec", script], cwd=self.folder, check=True)
        notes = subprocess.run(["readelf", "-n", "keep.so"], cwd=self.folder, check=True, capture_output=True,
                               text=True).stdout
        self.build_id = re.search(r"Build ID: ([0-9a-f]+)", notes)[1]

    def recording(self):
        out = self.folder / "run.memspy"
        target = self.script(self.python, "native_keeper.py", self.folder / "keep.so")
        memspy = self.memspy("record", "-p", target.pid, "-n", "-o", out)
        memspy.until_attached(target.pid)
        target.ask("keep", "kept")
        run = memspy.stop()
        self.assertEqual(run.code, 0, str(run))
        self.assertRegex(run.err, f"keep.so .build id {self.build_id}.*-g.*--debuginfod")
        return out

    def server(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        server = subprocess.Popen(["debuginfod", "-F", "-p", str(port), "-d", str(self.folder / "server.sqlite"),
                                   str(self.folder / "served")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(server.wait)
        self.addCleanup(server.kill)
        url = f"http://127.0.0.1:{port}"

        def has_it():
            try:
                with urllib.request.urlopen(f"{url}/buildid/{self.build_id}/debuginfo", timeout=5) as answer:
                    return answer.status == 200
            except OSError:
                return False
        harness.eventually(has_it, "the server has looked at its files")
        return server, url

    def test_by_build_id_from_a_server_and_then_from_the_cache(self):
        recording = self.recording()
        environment = {**os.environ, "DEBUGINFOD_CACHE_PATH": str(self.folder / "client"),
                       "XDG_CACHE_HOME": str(self.folder)}

        def stacks(*arguments, **more):
            return self.run_memspy("report", recording, "-f", "folded", *arguments, env={**environment, **more}).out
        self.assertNotIn("touch_pages", stacks("--symbolize"))
        server, url = self.server()
        self.assertIn("touch_pages (keep.c:5)", stacks("--debuginfod", DEBUGINFOD_URLS=url))
        server.kill()
        server.wait()
        shutil.rmtree(self.folder / "client")
        self.assertIn("touch_pages (keep.c:5)", stacks("--symbolize"), "memspy remembers what it was told")
        self.assertNotIn("touch_pages", stacks("--symbolize", XDG_CACHE_HOME="/nonexistent"))

    def test_what_is_needed_is_said(self):
        recording = self.recording()
        run = self.run_memspy("report", recording, "--debuginfod", code=2,
                              env={**os.environ, "DEBUGINFOD_URLS": "http://127.0.0.1:9", "PATH": "/nonexistent"})
        self.assertIn("install debuginfod", run.err)
        # A server that does not answer is no reason not to report.
        run = self.run_memspy("report", recording, "--debuginfod",
                              env={**os.environ, "DEBUGINFOD_URLS": "http://127.0.0.1:9",
                                   "DEBUGINFOD_CACHE_PATH": str(self.folder / "client")})
        self.assertIn("no debug information", run.err)
@unittest.skipUnless(shutil.which("g++") and shutil.which("eu-addr2line"), "no g++, or no eu-addr2line: elfutils")
class Cplusplus(harness.Case):
    """A library of templates, in the forms that debug information may have: every third byte of it."""

    def setUp(self):
        super().setUp()
        self.source = harness.TARGETS / "templates.cpp"
        self.places = None

    def build(self, name, *options):
        """A library of the same code as the first one."""
        path = self.folder / f"{name}.so"
        subprocess.run(["g++", "-shared", "-fPIC", "-O2", "-Wl,--build-id=sha1", *options, str(self.source), "-o",
                        str(path)], check=True, cwd=self.folder)
        self.places = self.places or functions(path)
        self.assertEqual(functions(path), self.places)
        return path

    def ask(self, program, path):
        text = "".join(f"{address:#x}\n" for begin, end in self.places for address in range(begin, end, 3))
        found = answers(run([*program, str(path)], text))
        self.assertGreater(len(found), 1000)
        return found

    def ours(self, path):
        return self.ask([os.environ["MEMSPY_NAME_ADDRESSES"]], path)

    def theirs(self, path):
        return self.ask(["eu-addr2line", "-a", "-i", "-f", "-C", "-e"], path)

    def test_compressed(self):
        whole = self.ours(self.build("whole", "-g"))
        differ = [pair for pair in zip(whole, self.theirs(self.folder / "whole.so")) if pair[0] != pair[1]]
        self.assertLessEqual(len(differ), (1 - AGREE) * len(whole), differ[:3])
        self.assertGreater(sum(len(frames) > 1 for frames in whole), len(whole) // 2)
        for form in ("zlib", "zlib-gnu"):
            path = self.folder / f"{form}.so"
            subprocess.run(["objcopy", f"--compress-debug-sections={form}", str(self.folder / "whole.so"), str(path)], check=True)
            self.assertRegex(run(["readelf", "-SW", str(path)], ""), r"\.zdebug_info|\.debug_info .* C ")
            self.assertEqual(self.ours(path), whole)

    def test_without_a_table_of_address_ranges(self):
        """Clang makes none; elfutils 0.188 finds no unit then, so that whoever asks it alone has no lines."""
        whole = self.ours(self.build("whole", "-g"))
        path = self.folder / "clang.so"
        subprocess.run(["objcopy", "--remove-section=.debug_aranges", str(self.folder / "whole.so"), str(path)], check=True)
        self.assertEqual(self.ours(path), whole)

    def test_names(self):
        names = {frames[-1][0] for frames in self.ours(self.build("whole", "-g", "-DRUST_NAMES"))}
        for name in ("use_them", "mycrate::keep::row", "mycrate::keep::old"):
            self.assertIn(name, names)
        self.assertTrue([name for name in names if name.startswith("Counter<double, 2>::add(")], names)
        self.assertTrue([name for name in names if "in_a_namespace<" in name], names)
        self.assertFalse([name for name in names if name.startswith(("_Z", "_R"))])

    def test_split(self):
        """Lines stand in the library itself, functions in .dwo files; without those it is told by symbols, as elfutils 0.188
        does in any case."""
        whole = self.ours(self.build("whole", "-g"))
        for version in (4, 5):
            with self.subTest(version=version):
                path = self.build(f"split_{version}", "-g", f"-gdwarf-{version}", "-gsplit-dwarf")
                parts = list(self.folder.glob(f"split_{version}*.dwo"))
                self.assertTrue(parts)
                self.assertEqual(self.ours(path), whole)
                for part in parts:
                    part.unlink()
                self.assertEqual(self.ours(path), self.theirs(path))


if __name__ == "__main__":
    unittest.main()
