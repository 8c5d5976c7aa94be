#!/usr/bin/env bash
# Makes a Debian sid root with the interpreters that Debian 12 does not have, for the tests and the
# benchmarks, and prints its folder. Does nothing when it is there already.
#
#   newer_pythons.sh [--numpy]
#
# The folder is MEMSPY_SID_ROOT, else sid-root in the user's cache. It can be removed at any time.
set -euo pipefail
script=$(readlink -f "${BASH_SOURCE[0]}")
source "${script%/*}/packages.sh"
root=${MEMSPY_SID_ROOT:-${XDG_CACHE_HOME:-$HOME/.cache}/memspy/sid-root}

declare -A provides=(  # package -> a file of it
  [python3.14]=usr/bin/python3.14
  [python3.15]=usr/bin/python3.15
  [python3.14-dbg]=usr/bin/python3.14d
)
[[ ${1:-} == --numpy ]] && provides[python3-numpy]=usr/lib/python3/dist-packages/numpy/__init__.py

missing=()
for package in "${!provides[@]}"; do
  [[ -e $root/${provides[$package]} ]] || missing+=("$package")
done
if ((${#missing[@]} == 0)); then
  echo "$root"
  exit 0
fi

memspy_install test
if [[ ! -e $root/var/lib/dpkg/status ]]; then
  echo "memspy: making a Debian sid root in $root" >&2
  mkdir -p "${root%/*}"
  # Built beside its place and renamed, so that an interrupted run leaves nothing half-made.
  memspy_as_root rm -rf --one-file-system "$root.new"
  memspy_as_root debootstrap --variant=minbase sid "$root.new" </dev/null >&2 || {
    tail -n 20 "$root.new/debootstrap/debootstrap.log" >&2 2>/dev/null || true
    exit 1
  }
  memspy_as_root mv "$root.new" "$root"
fi

echo "memspy: installing ${missing[*]} in $root" >&2
# What this host's apt needs to reach a mirror (a proxy, say), the root's apt needs as well.
apt-config dump Acquire::http Acquire::https Acquire::Check-Valid-Until Acquire::Check-Date |
  memspy_as_root tee "$root/etc/apt/apt.conf.d/90host" >/dev/null
# Its own mount namespace: /proc is mounted for the package scripts and vanishes with it.
memspy_as_root unshare --mount --propagation private sh -ec '
  root=$1; shift
  cp /etc/resolv.conf "$root/etc/resolv.conf"
  mount -t proc proc "$root/proc"
  export DEBIAN_FRONTEND=noninteractive LC_ALL=C
  chroot "$root" apt-get -q update
  chroot "$root" apt-get -q install -y --no-install-recommends "$@"
  chroot "$root" apt-get -q clean
' sh "$root" "${missing[@]}" </dev/null >&2
echo "$root"
