#include "symbolize/demangle.h"

#include <gtest/gtest.h>

#include <string>

namespace memspy::symbolize {
namespace {

TEST(Demangle, NamesAsTheirSourceHasThem) {
  EXPECT_EQ(demangle("_ZNSt6vectorIiSaIiEE9push_backERKi"),
            "std::vector<int, std::allocator<int> >::push_back(int const&)");
  EXPECT_EQ(demangle("_ZN4core3fmt5write17h0123456789abcdefE"), "core::fmt::write");
  EXPECT_EQ(demangle("_RNvC6_123foo3bar"), "123foo::bar");
  EXPECT_EQ(demangle("PyObject_Malloc"), "PyObject_Malloc");
  EXPECT_EQ(demangle("memcpy@@GLIBC_2.14"), "memcpy");
}

TEST(Demangle, WhatMakesNoSenseComesBackAsItIs) {
  EXPECT_EQ(demangle(""), "");
  EXPECT_EQ(demangle("_Z"), "_Z");
  EXPECT_EQ(demangle("_ZN"), "_ZN");
  const std::string longer = "_Z" + std::string(10000, 'N');
  EXPECT_EQ(demangle(longer), longer);
}

}  // namespace
}  // namespace memspy::symbolize
