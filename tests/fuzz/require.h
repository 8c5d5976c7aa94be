// What a fuzz target demands of its answers: ends the program, in every build type.
#pragma once

#include <cstdio>
#include <cstdlib>

#define MEMSPY_REQUIRE(condition)                                                    \
  do {                                                                               \
    if (!(condition)) {                                                              \
      std::fprintf(stderr, "%s:%d: required: %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                  \
    }                                                                                \
  } while (false)
