#include "cpython/value_text.h"
#include "stack_image.h"
#include "support/result_matchers.h"

#include <spdlog/fmt/fmt.h>

#include <cmath>

namespace memspy::cpython {
namespace {

using testing::CodeSpec;
using testing::FrameSpec;
using testing::HasErrc;
using testing::IsOk;

std::string at(std::string_view type, RemoteAddr address) {
  return fmt::format("<{} at {:#x}>", type, address.value);
}

class LocalsTest : public ::testing::TestWithParam<int> {
 protected:
  testing::PyImageBuilder& py() { return image_.builder; }

  // The representation of a value, as that of a variable.
  std::string shown(RemoteAddr value, std::size_t cap = 200) {
    CodeSpec spec;
    spec.locals = {"x"};
    FrameSpec frame;
    frame.code = py().add_code(spec);
    frame.values = {value};
    const auto locals = image_.reader->locals({py().push_frame(image_.thread, frame)}, cap);
    if (!locals.has_value()) return describe(locals.error());
    return locals->empty() ? "(unbound)" : locals->front().repr;
  }
  std::vector<RemoteAddr> ints(int count) {
    std::vector<RemoteAddr> values;
    for (int i = 0; i < count; ++i) values.push_back(py().add_int(i));
    return values;
  }

  StackImage image_{GetParam()};
};
INSTANTIATE_TEST_SUITE_P(AllVersions, LocalsTest, ::testing::Range(6, 16), [](const auto& version) {
  return "Python3_" + std::to_string(version.param);
});

TEST_P(LocalsTest, AreNamedInTheOrderOfTheCode) {
  CodeSpec spec;
  spec.locals = {"self", ".0", "été", "unbound"};
  spec.cells = {"cell", "empty", "not_a_cell_yet"};
  spec.frees = {"free"};
  FrameSpec frame;
  frame.code = py().add_code(spec);
  frame.values = {py().none(),
                  py().add_int(0),
                  py().add_int(-7),
                  {},
                  py().add_cell(py().add_int(1)),
                  py().add_cell({}),
                  py().add_int(2),
                  py().add_cell(py().add_str("f"))};
  const auto locals = image_.reader->locals({py().push_frame(image_.thread, frame)}, 100);
  ASSERT_THAT(locals, IsOk());
  std::string text;
  for (const LocalVariable& variable : *locals) text += variable.name + "=" + variable.repr + " ";
  EXPECT_EQ(text, "self=None été=-7 cell=1 not_a_cell_yet=2 free='f' ");
}

TEST_P(LocalsTest, Numbers) {
  EXPECT_EQ(shown(py().add_bool(true)), "True");
  EXPECT_EQ(shown(py().add_bool(false)), "False");
  EXPECT_EQ(shown(py().add_int(0)), "0");
  EXPECT_EQ(shown(py().add_int(INT64_MIN + 1)), "-9223372036854775807");
  EXPECT_EQ(shown(py().add_digits({0, 0, 0, 1}, true)), "-1237940039285380274899124224");  // -2**90
  EXPECT_EQ(shown(py().add_digits(std::vector<std::uint32_t>(70, 1), false)), "<int of 2100 bits>");
  EXPECT_EQ(shown(py().add_float(0.1)), "0.1");
  EXPECT_EQ(shown(py().add_float(3)), "3.0");
}

TEST_P(LocalsTest, TextAndBytes) {
  EXPECT_EQ(shown(py().add_str("it's")), "\"it's\"");
  EXPECT_EQ(shown(py().add_str(U"é\n\x1b[0m\u009b😀")), "'é\\n\\x1b[0m\\x9b😀'");
  EXPECT_EQ(shown(py().add_str(std::string(300, 'x')), 10), "'xxxxxxxxxx'…");
  EXPECT_EQ(shown(py().add_bytes(std::string_view("a\0\xff", 3))), "b'a\\x00\\xff'");
  EXPECT_EQ(shown(py().add_bytes(std::string(300, 'x')), 5), "b'xxxxx'…");
}

TEST_P(LocalsTest, Containers) {
  EXPECT_EQ(shown(py().add_tuple({})), "()");
  EXPECT_EQ(shown(py().add_tuple(ints(1))), "(0,)");
  EXPECT_EQ(shown(py().add_list(ints(3))), "[0, 1, 2]");
  EXPECT_EQ(shown(py().add_list(ints(20))), "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, …]");
  EXPECT_EQ(shown(py().add_dict({})), "{}");
  EXPECT_EQ(
      shown(py().add_dict({{py().add_str("k"), py().add_int(1)}, {py().add_int(2), py().none()}})),
      "{'k': 1, 2: None}");
  EXPECT_EQ(shown(py().add_set({})), "set()");
  EXPECT_EQ(shown(py().add_set(ints(2))), "{0, 1}");
  RemoteAddr nested = py().add_int(1);
  for (int i = 0; i < 6; ++i) nested = py().add_list({nested});
  EXPECT_EQ(shown(nested), "[[[[…]]]]");
}

TEST_P(LocalsTest, ValuesThatHoldThemselvesEnd) {
  const RemoteAddr list = py().add_list({py().none(), py().none()});
  const RemoteAddr items{py().get(list, Field::kListItems)};
  py().memory().write(items, list.value);
  py().memory().write(items + 8, list.value);
  EXPECT_LT(shown(list, 10000).size(), 10000u);
}

TEST_P(LocalsTest, OtherObjectsByTypeAndAddress) {
  const RemoteAddr type = py().add_class("pkg.mod", "Outer.Inner");
  const RemoteAddr instance = py().add_object(type, 64);
  EXPECT_EQ(shown(instance), at("pkg.mod.Outer.Inner", instance));
  EXPECT_EQ(shown(type), "<class 'pkg.mod.Outer.Inner'>");
  EXPECT_EQ(shown(py().add_module("os.path")), "<module 'os.path'>");
  const RemoteAddr function = py().add_function("C.f");
  EXPECT_EQ(shown(function), at("function C.f", function));
  const RemoteAddr lock = py().add_object(py().add_type("_thread.lock"), 32);
  EXPECT_EQ(shown(lock), at("_thread.lock", lock));
  const RemoteAddr point = py().add_tuple(ints(2));
  py().put(point, Field::kObjectType, py().add_class("geo", "Point", kTypeTupleSubclass).value);
  EXPECT_EQ(shown(point), "geo.Point((0, 1))");
}

TEST_P(LocalsTest, WhatIsNoObjectIsSaidToBeNone) {
  EXPECT_EQ(shown(RemoteAddr{0x123456780}), "<? at 0x123456780>");
  const RemoteAddr list = py().add_list(ints(2));
  py().put(list, Field::kListItems, 0x123456780);
  EXPECT_EQ(shown(list), at("list", list));
  py().put(list, Field::kVarObjectSize, ~std::uint64_t{0});
  EXPECT_EQ(shown(list), at("list", list));
  const RemoteAddr text = py().add_str("x");
  py().put(text, Field::kUnicodeLength, std::uint64_t{1} << 62);
  EXPECT_EQ(shown(text), at("str", text));
  EXPECT_THAT(image_.reader->locals({RemoteAddr{0x123456780}}, 100), HasErrc(Errc::kUnreadable));
}

TEST(ValueText, FloatsLookLikePythons) {
  EXPECT_EQ(float_repr(0.1 + 0.2), "0.30000000000000004");
  EXPECT_EQ(float_repr(-0.0), "-0.0");
  EXPECT_EQ(float_repr(1e16), "1e+16");
  EXPECT_EQ(float_repr(1e-5), "1e-05");
  EXPECT_EQ(float_repr(INFINITY), "inf");
  EXPECT_EQ(float_repr(-NAN), "nan");
}

TEST(ValueText, IntegersOfAnySize) {
  EXPECT_EQ(decimal({}, false), "0");
  EXPECT_EQ(decimal(std::vector<std::uint32_t>{0, 0}, true), "0");
  EXPECT_EQ(decimal(std::vector<std::uint32_t>{1000000000}, false), "1000000000");
  EXPECT_EQ(decimal(std::vector<std::uint32_t>{0, 1}, false), "1073741824");
}

}  // namespace
}  // namespace memspy::cpython
