"""How long names and lines take: random addresses of a library with a gigabyte of debug information."""
import os
import pathlib
import random
import subprocess
import tempfile
import time

BENCH = pathlib.Path(__file__).resolve().parent
LIMITS = {"first": 3, "again": 0.3}


def make_library(folder, copies):
    """`copies` units of the same functions, each with its own code: what a linker would fold stays."""
    unit = folder / "unit.o"
    subprocess.run(["g++", "-std=c++20", "-O1", "-g", "-fPIC", "-ffunction-sections", "-c",
                    str(BENCH / "many_functions.cpp"), "-o", str(unit)], check=True)
    objects = []
    for number in range(copies):
        objects.append(folder / f"unit_{number}.o")
        subprocess.run(["objcopy", "--remove-section=.group", "--redefine-sym", f"_Z5entryPKc=entry_{number}",
                        str(unit), str(objects[-1])], check=True)
    library = folder / "many.so"
    subprocess.run(["g++", "-shared", "-Wl,--build-id", "-Wl,-z,muldefs", "-o", str(library), *map(str, objects)],
                   check=True)
    for made in objects:
        made.unlink()
    return library


def some_addresses(library, count):
    """In functions, anywhere; the same each time."""
    table = subprocess.run(["readelf", "-sW", str(library)], stdout=subprocess.PIPE, text=True, check=True).stdout
    rows = [line.split() for line in table.splitlines()]
    functions = [(int(row[1], 16), int(row[2])) for row in rows
                 if len(row) > 7 and row[3] == "FUNC" and row[6] != "UND" and row[2].isdigit() and int(row[2]) > 0]
    chosen, chance = set(), random.Random(1)
    while len(chosen) < count:
        start, size = chance.choice(functions)
        chosen.add(start + chance.randrange(size))
    return [f"{address:x}" for address in chosen]


def measure(options):
    program = pathlib.Path(os.environ["MEMSPY"]).parents[2] / "tests/integration/name_addresses"
    with tempfile.TemporaryDirectory(prefix="memspy-bench-") as folder:
        library = make_library(pathlib.Path(folder), 40 if options.quick else 390)
        addresses = some_addresses(library, 10000 if options.quick else 100000)
        options.progress(f"{library.stat().st_size / 1e6:.0f} MB, {len(addresses)} addresses")

        def seconds():
            run = subprocess.run([str(program), "--time", folder, str(library)], input="\n".join(addresses) + "\n",
                                 stdout=subprocess.PIPE, text=True, check=True)
            return float(run.stdout)
        first, again = seconds(), seconds()  # two programs, with one cache
        some = addresses[:1000]
        begin = time.monotonic()
        subprocess.run(["eu-addr2line", "-i", "-f", "-C", "-e", str(library)], input="\n".join(some) + "\n",
                       stdout=subprocess.DEVNULL, text=True, check=True)
        return {"file_bytes": library.stat().st_size, "addresses": len(addresses), "first_seconds": first,
                "again_seconds": again, "compared": len(some), "compared_seconds": time.monotonic() - begin}
