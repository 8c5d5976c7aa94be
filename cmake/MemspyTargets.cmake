# memspy_add_module(NAME [UNITY] SOURCES… [LINKS targets…] [PRIVATE_LINKS targets…])
#   one src/ folder = one static library memspy_NAME. LINKS are other modules or libraries whose
#   headers appear in this module's headers. UNITY: MEMSPY_UNITY applies.
# memspy_add_test(NAME [NO_UNITY] SOURCES… LINKS… [LABELS…])
#   one GoogleTest program, registered with ctest test by test. MEMSPY_UNITY applies unless NO_UNITY.

add_library(memspy_options INTERFACE)
target_compile_options(memspy_options INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion -Wnon-virtual-dtor
  -Woverloaded-virtual $<$<BOOL:${MEMSPY_WERROR}>:-Werror>)
# g++ 12 misfires with these inside inlined std::string and containers, depending on optimisation and
# even on the length of a path (GCC bugs 105329, 105651).
target_compile_options(memspy_options INTERFACE -Wno-null-dereference
  $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized> $<$<CXX_COMPILER_ID:GNU>:-Wno-array-bounds>
  $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict> $<$<CXX_COMPILER_ID:GNU>:-Wno-stringop-overflow>
  $<$<CXX_COMPILER_ID:GNU>:-Wno-stringop-overread>)
target_include_directories(memspy_options INTERFACE
  ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/src)
if(MEMSPY_SANITIZE)
  target_compile_options(memspy_options INTERFACE -fsanitize=${MEMSPY_SANITIZE} -fno-omit-frame-pointer
                                                  -fno-sanitize-recover=all)
  if(MEMSPY_SANITIZE MATCHES "undefined")
    # A null pointer is a SEGV that the address sanitizer reports; these three cost a fifth of the build.
    target_compile_options(memspy_options INTERFACE -fno-sanitize=null,vptr,object-size)
  endif()
  target_link_options(memspy_options INTERFACE -fsanitize=${MEMSPY_SANITIZE})
endif()

# What nearly every file includes, compiled once; gmock besides for the tests. Three builds on two
# cores are what continuous integration can afford with it, and cannot without.
# CLI11 is not among them: its constants cost every file that sees them seconds, included or not.
option(MEMSPY_PCH "Use precompiled headers" ON)
set(memspy_pch_headers <algorithm> <chrono> <filesystem> <fstream> <functional> <map> <memory> <optional>
                       <sstream> <string> <unordered_map> <variant> <vector> <spdlog/fmt/fmt.h>)

function(memspy_precompile target)  # memspy_precompile(TARGET [headers…])
  if(MEMSPY_PCH)
    target_precompile_headers(${target} PRIVATE ${memspy_pch_headers} ${ARGN})
  endif()
endfunction()

function(memspy_reuse_precompiled target from)
  if(MEMSPY_PCH)
    target_precompile_headers(${target} REUSE_FROM ${from})
  endif()
endfunction()

# Several files (CMAKE_UNITY_BUILD_BATCH_SIZE, by default 8; 0: all of a target) compiled as one, where
# most of the time goes to headers and to templates that each file instantiates anew. It is on where
# continuous integration builds. Off in the preset dev and what follows it: there each file has to
# include what it needs, and clang-tidy sees it alone. cpython and sampler stay out: many of their
# files have constants of one name.
option(MEMSPY_UNITY "Compile several files of a module as one (unity build)" OFF)

function(memspy_unite target)
  if(MEMSPY_UNITY)
    set_target_properties(${target} PROPERTIES UNITY_BUILD ON)
    # g++ takes the .cpp files for headers, in which a type of an anonymous namespace would be wrong.
    target_compile_options(${target} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-Wno-subobject-linkage>)
  endif()
endfunction()

function(memspy_add_module name)
  cmake_parse_arguments(ARG "UNITY" "" "SOURCES;LINKS;PRIVATE_LINKS" ${ARGN})
  add_library(memspy_${name} STATIC ${ARG_SOURCES})
  set_property(GLOBAL APPEND PROPERTY MEMSPY_MODULES memspy_${name})
  target_link_libraries(memspy_${name} PUBLIC memspy_options ${ARG_LINKS} PRIVATE ${ARG_PRIVATE_LINKS})
  if(name STREQUAL "base")
    memspy_precompile(memspy_base)
  else()
    memspy_reuse_precompiled(memspy_${name} memspy_base)
  endif()
  if(ARG_UNITY)
    memspy_unite(memspy_${name})
  endif()
endfunction()

# The builds of scripts/test make one suite: a sanitizer's tests are told apart by name and by label.
set(memspy_test_prefix "")
set(memspy_test_label "")
if(MEMSPY_SANITIZE MATCHES "address")
  set(memspy_test_prefix "asan.")
  set(memspy_test_label ";asan")
elseif(MEMSPY_SANITIZE MATCHES "thread")
  set(memspy_test_prefix "tsan.")
  set(memspy_test_label ";tsan")
endif()

function(memspy_add_test name)
  cmake_parse_arguments(ARG "NO_UNITY" "" "SOURCES;LINKS;LABELS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE memspy_options memspy_test_support ${ARG_LINKS}
                                        GTest::gmock GTest::gtest_main)
  memspy_reuse_precompiled(${name} memspy_test_support)
  if(NOT ARG_NO_UNITY)
    memspy_unite(${name})
  endif()
  # One process a test is handy at work; a sanitizer needs longer to start than most tests to run.
  if(MEMSPY_SANITIZE)
    add_test(NAME ${memspy_test_prefix}${name} COMMAND ${name} --gtest_brief=1)
    set_tests_properties(${memspy_test_prefix}${name} PROPERTIES LABELS "${ARG_LABELS}${memspy_test_label}"
                         TIMEOUT 1200)
  else()
    gtest_discover_tests(${name} DISCOVERY_TIMEOUT 60 PROPERTIES LABELS "${ARG_LABELS}" TIMEOUT 120)
  endif()
endfunction()
