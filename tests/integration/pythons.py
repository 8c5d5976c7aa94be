"""Finds the interpreters that the tests and the benchmarks attach to.

    pythons.py            lists them
    pythons.find("3.8")   one of them, by name; None when it is not here

Names: "3.6" to "3.13" are shared builds of pyenv, "system" is Debian's static, stripped
/usr/bin/python3, "3.14" and "3.15" live in a Debian sid root (scripts/lib/newer_pythons.sh) and are
started inside it, in a mount namespace of their own; "3.14-debug" is a debug build from there.
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys

TESTS = pathlib.Path(__file__).resolve().parent.parent
PYENV_NAMES = [f"3.{minor}" for minor in range(6, 14)]
SID_NAMES = ["3.14", "3.15", "3.14-debug"]
SID_FILES = {"3.14": "python3.14", "3.15": "python3.15", "3.14-debug": "python3.14d"}
NAMES = PYENV_NAMES[:6] + ["system"] + PYENV_NAMES[6:] + SID_NAMES
INSIDE = "/mnt/memspy-tests"  # where tests/ is seen inside the sid root

# Becomes the program given, inside the root $1, with the folder $2 bound at $3. Its PID does not
# change on the way: unshare without --fork, sh and chroot each exec the next.
ENTER = """set -e
root=$1 tests=$2 inside=$3; shift 3
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mkdir -p "$root$inside"
mount --bind "$tests" "$root$inside"
exec chroot "$root" "$@"
"""


class Python:
    """An interpreter: how it is started, and what it is."""

    def __init__(self, name, program, version, root=None, flavour="shared"):
        self.name = name
        self.program = program      # as seen by the process that runs it
        self.version = version      # (3, 11, 7)
        self.root = root            # of its file system; None: the host's
        self.flavour = flavour      # "shared", "static" or "debug"

    @property
    def minor(self):
        return self.version[1]

    def path(self, path):
        """A path below tests/, as this interpreter sees it."""
        if self.root is None:
            return str(path)
        return f"{INSIDE}/{pathlib.Path(path).resolve().relative_to(TESTS)}"

    def command(self, script, *arguments):
        """The command line that runs a script of tests/ with this interpreter."""
        command = [self.program, "-u", self.path(script), *map(str, arguments)]
        return command if self.root is None else self.enter(command)

    def enter(self, command):
        return ["unshare", "--mount", "--propagation", "private", "sh", "-c", ENTER, "sh",
                str(self.root), str(TESTS), INSIDE, *command]

    def __repr__(self):
        where = f" in {self.root}" if self.root else ""
        return f"{self.name}: {self.program} {'.'.join(map(str, self.version))} {self.flavour}{where}"


def _version_of(command):
    """(3, 11, 7) or None."""
    try:
        out = subprocess.run([*command, "-c", "import sys; print(*sys.version_info[:3])"], check=True,
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL, timeout=60).stdout
        return tuple(int(word) for word in out.split())
    except (OSError, subprocess.SubprocessError, ValueError):
        return None


def pyenv_root():
    root = os.environ.get("PYENV_ROOT")
    if not root and shutil.which("pyenv"):
        root = subprocess.run(["pyenv", "root"], stdout=subprocess.PIPE, text=True,
                              check=False).stdout.strip()
    root = pathlib.Path(root or pathlib.Path.home() / ".pyenv")
    return root if (root / "versions").is_dir() else None


def _pyenv(name):
    root = pyenv_root()
    if root is None:
        return None
    found = []
    for folder in (root / "versions").glob(f"{name}.*"):
        patch = re.fullmatch(re.escape(name) + r"\.(\d+)", folder.name)
        if patch and (folder / "bin/python3").exists():
            found.append((int(patch.group(1)), folder / "bin" / f"python{name}"))
    if not found:
        return None
    program = str(max(found)[1])
    version = _version_of([program])
    return Python(name, program, version) if version else None


def _system():
    program = os.path.realpath("/usr/bin/python3")
    version = _version_of([program]) if os.path.exists(program) else None
    return Python("system", program, version, flavour="static") if version else None


def sid_root():
    root = os.environ.get("MEMSPY_SID_ROOT")
    if not root:
        cache = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
        root = pathlib.Path(cache) / "memspy/sid-root"
    root = pathlib.Path(root)
    return root if (root / "usr/bin").is_dir() else None


def _sid(name):
    root = sid_root()
    program = f"/usr/bin/{SID_FILES[name]}"
    if root is None or os.geteuid() != 0 or not (root / program[1:]).exists():
        return None
    version = _version_of(["chroot", str(root), program])
    flavour = "debug" if name.endswith("debug") else "static"
    return Python(name, program, version, root=root, flavour=flavour) if version else None


def find(name):
    if name == "system":
        return _system()
    if name in SID_FILES:
        return _sid(name)
    return _pyenv(name)


def why_missing(name):
    if name in SID_FILES:
        if os.geteuid() != 0:
            return f"{name}: entering the sid root needs root"
        return f"{name}: not in the sid root (scripts/lib/newer_pythons.sh makes it)"
    if name == "system":
        return "no /usr/bin/python3"
    return f"{name}: not among pyenv's versions" if pyenv_root() else f"{name}: no pyenv here"


def required():
    """The names that continuous integration must not do without."""
    return NAMES if pyenv_root() else ["system", *SID_NAMES]


if __name__ == "__main__":
    for each in NAMES:
        print(find(each) or f"missing: {why_missing(each)}")
    sys.exit(0)
