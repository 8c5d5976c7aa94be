#!/usr/bin/env bash
# Installs other people's readers of memspy's files, for the tests: what
# tests/integration/readers/package-lock.json pins, from npm, beside it. Does nothing when it is there.
#
# Debian's npm is taken where there is none; an npm of another source is left as it is.
set -euo pipefail
script=$(readlink -f "${BASH_SOURCE[0]}")
root=${script%/scripts/lib/*}
source "${script%/*}/packages.sh"
cd "$root/tests/integration/readers"
stamp=node_modules/.package-lock.json  # npm writes it last
[[ -e $stamp && ! package-lock.json -nt $stamp ]] && exit 0
memspy_packages_npm=()
command -v node >/dev/null || memspy_packages_npm+=(nodejs)
command -v npm >/dev/null || memspy_packages_npm+=(npm)
memspy_install npm
npm ci --ignore-scripts --no-audit --no-fund --loglevel=error </dev/null >&2
touch "$stamp"
