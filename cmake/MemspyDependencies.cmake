# Everything comes from Debian packages; scripts/lib/packages.sh lists their names.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(spdlog REQUIRED)
find_package(CLI11 REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(SQLite3 REQUIRED)
find_package(ZLIB REQUIRED)
find_path(PROTOZERO_INCLUDE_DIR protozero/pbf_writer.hpp REQUIRED)  # headers only
find_path(TOMLPLUSPLUS_INCLUDE_DIR toml++/toml.h REQUIRED)  # the same
set(CURSES_NEED_NCURSES ON)
set(CURSES_NEED_WIDE ON)
find_package(Curses REQUIRED)
pkg_check_modules(LIBELF REQUIRED IMPORTED_TARGET libelf)
pkg_check_modules(LIBDW REQUIRED IMPORTED_TARGET libdw)
pkg_check_modules(LIBXXHASH REQUIRED IMPORTED_TARGET libxxhash)
find_library(LIBIBERTY_LIBRARY NAMES iberty_pic iberty REQUIRED)  # demangles C++ and Rust
if(MEMSPY_TESTS STREQUAL "all")
  find_package(GTest REQUIRED)
  include(GoogleTest)
endif()
