# shellcheck shell=bash
# The Debian packages that memspy needs, by purpose, and how they get installed. Sourced, not run.
#
#   memspy_install build test   installs what is missing of these lists; silent when nothing is

memspy_packages_build=(
  g++ cmake ninja-build pkg-config
  libiberty-dev libelf-dev libdw-dev libspdlog-dev libcli11-dev
  libsqlite3-dev nlohmann-json3-dev libncurses-dev libxxhash-dev
  libbz2-dev liblzma-dev  # the static program: what libdw needs
  zlib1g-dev libprotozero-dev libtomlplusplus-dev
  clang libbpf-dev  # engine bpf; without them there is none
  python3  # not for the build: the first command of the README profiles a Python program
)
memspy_packages_test=(
  libgtest-dev libgmock-dev
  python3-venv     # a target inside a virtual environment
  libpython3-dev   # a C program with the interpreter inside
  tmux             # `memspy top` on a real terminal
  debootstrap      # interpreters newer than Debian 12's, in a root of their own
  gdb              # gcore: a core file of a process that goes on
  golang-go        # go tool pprof: another reader of what memspy writes
  prometheus       # promtool: the rules of metrics; and a real one that scrapes the daemon
  elfutils         # eu-addr2line: names and lines to compare with
  debuginfod       # a server of debug information, and the client that memspy asks it with
  dwz              # debug information that several files share, as in Debian's packages
  python3-yaml     # the manifests of the docs
  jq               # the workflow of docs/guides/ci.md
  systemd          # systemd-analyze: whether it takes the daemon's unit
  libjemalloc2     # another allocator than the C library's
  cython3          # lines of .pyx files
  python3-numpy    # arrays, and memory that native code takes
  chromium         # its DevTools: a reader of heap snapshots
)
memspy_packages_bench=(
  libunwind-dev  # another unwinder, for comparison
  libfaketime    # a daemon whose wall clock jumps
  python3-pandas python3-django gunicorn  # real programs: how much of their RSS is explained
)

# A package is installed when dpkg keeps its list of files: no process is started to find out.
memspy_is_installed() {
  local info=/var/lib/dpkg/info
  [[ -e $info/$1.list ]] || compgen -G "$info/$1:*.list" >/dev/null
}

memspy_missing() {
  local list name
  for list in "$@"; do
    local -n names=memspy_packages_$list
    for name in "${names[@]}"; do
      memspy_is_installed "$name" || printf '%s\n' "$name"
    done
  done
}

# Runs a command as root: at once, or through sudo.
memspy_as_root() {
  if ((EUID == 0)); then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    echo "memspy: not root, and there is no sudo: cannot run: $*" >&2
    return 1
  fi
}

memspy_install() {
  local missing
  mapfile -t missing < <(memspy_missing "$@")
  ((${#missing[@]} == 0)) && return 0
  if ! command -v apt-get >/dev/null; then
    echo "memspy: this is not Debian; no package is installed. Needed, by Debian name:" "${missing[@]}" >&2
    return 0  # CMake says what it does not find
  fi
  echo "memspy: installing" "${missing[@]}" >&2
  local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300)
  {
    memspy_as_root "${apt[@]}" update &&
      memspy_as_root "${apt[@]}" install -y --no-install-recommends "${missing[@]}"
  } </dev/null >&2 || {
    echo "memspy: apt-get failed; install by hand:" "${missing[@]}" >&2
    return 1
  }
}
