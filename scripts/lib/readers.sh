#!/usr/bin/env bash
# Installs what the tests need from npm, beside the package-lock.json that pins it: other people's readers of
# memspy's files (tests/integration/readers), and what the HTML page is built of (web). Does nothing when it is
# there.
#
# Debian's npm is taken where there is none; an npm of another source is left as it is.
set -euo pipefail
script=$(readlink -f "${BASH_SOURCE[0]}")
root=${script%/scripts/lib/*}
source "${script%/*}/packages.sh"
stamp=node_modules/.package-lock.json  # npm writes it last
for folder in tests/integration/readers web; do
  cd "$root/$folder"
  [[ -e $stamp && ! package-lock.json -nt $stamp ]] && continue
  memspy_packages_npm=()
  command -v node >/dev/null || memspy_packages_npm+=(nodejs)
  command -v npm >/dev/null || memspy_packages_npm+=(npm)
  memspy_install npm
  npm ci --ignore-scripts --no-audit --no-fund --loglevel=error </dev/null >&2
  touch "$stamp"
done
