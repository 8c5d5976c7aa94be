# shellcheck shell=bash
# Builds a CMake preset when it is stale. Sourced, not run; needs $root, the top of the project.

# Fresh: the last build ended well, and nothing that goes into one has changed since it began.
# (A file that was removed or renamed changes the time of its folder.)
memspy_is_fresh() {
  local stamp=$root/build/$1/.built
  [[ -e $stamp ]] || return 1
  [[ -z $(cd "$root" && find CMakeLists.txt CMakePresets.json cmake include src web/dist "${@:2}" \
    -newer "$stamp" -print -quit) ]]
}

# memspy_build PRESET [cmake options…]: everything it says goes to stderr.
memspy_build() {
  local preset=$1 folder=$root/build/$1
  shift
  mkdir -p "$folder"
  (
    # Two runs at once must not build in one folder.
    flock 9
    : >"$folder/.building"
    cd "$root"
    if [[ ! -e $folder/build.ninja || CMakePresets.json -nt $folder/build.ninja ]]; then
      echo "memspy: configuring build/$preset" >&2
      cmake --preset "$preset" "$@" </dev/null >"$folder/configure.log" 2>&1 || {
        cat "$folder/configure.log" >&2
        exit 1
      }
    fi
    echo "memspy: building build/$preset" >&2
    # Explicit: within a list that ends in ||, set -e is off.
    ninja -C "$folder" --quiet </dev/null >&2 || exit 1
    mv "$folder/.building" "$folder/.built"
  ) 9>"$folder/.lock" || {
    echo "memspy: the build of preset $preset failed" >&2
    return 1
  }
}
