#include "symbolize/symbol_list.h"

#include <gtest/gtest.h>

#include <string>

namespace memspy::symbolize {
namespace {

std::string at(const SymbolList& list, std::uint64_t address) {
  const char* name = list.find(address);
  return name == nullptr ? "" : name;
}

TEST(SymbolList, TheSymbolThatCoversAnAddress) {
  SymbolList list;
  list.add({0x1000, 0x100, 0, "outer", 1});
  list.add({0x1040, 0x10, 0, "inner", 1});
  list.add({0x2000, 0x10, 0, "local", 1});
  list.add({0x2000, 0x10, 0, "global", 3});
  list.add({0x2000, 0x10, 0, "weak", 2});
  list.finish();
  EXPECT_EQ(at(list, 0xfff), "");
  EXPECT_EQ(at(list, 0x1000), "outer");
  EXPECT_EQ(at(list, 0x1048), "inner");
  EXPECT_EQ(at(list, 0x1050), "outer");
  EXPECT_EQ(at(list, 0x2004), "global");
  EXPECT_EQ(at(list, 0x2010), "");
}

TEST(SymbolList, OneWithoutASizeReachesToTheEndOfItsSection) {
  SymbolList list;
  list.add({0x1000, 0x10, 0, "sized", 3});
  list.add({0x1010, 0, 0x1100, "assembly", 1});
  list.finish();
  EXPECT_EQ(at(list, 0x1008), "sized");
  EXPECT_EQ(at(list, 0x1080), "assembly");
  EXPECT_EQ(at(list, 0x1100), "");
}

}  // namespace
}  // namespace memspy::symbolize
