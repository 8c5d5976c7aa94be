#include "report/display.h"

#include <gtest/gtest.h>

#include "report/text_table.h"

namespace memspy::report {
namespace {

TEST(Display, CountsColumnsNotBytes) {
  EXPECT_EQ(display_width("abc"), 3u);
  EXPECT_EQ(display_width("é"), 1u);
  EXPECT_EQ(display_width("e\xcc\x81"), 1u);  // e and a combining accent
  EXPECT_EQ(display_width("漢字"), 4u);
  EXPECT_EQ(display_width("😀"), 2u);
  EXPECT_EQ(display_width("\xff\xfe"), 2u);
  EXPECT_EQ(pad("漢", 4, Align::kRight), "  漢");
  EXPECT_EQ(pad("abc", 2, Align::kLeft), "abc");
}

TEST(Display, CutsTheMiddle) {
  EXPECT_EQ(clip_middle("abcdefghij", 10, false), "abcdefghij");
  EXPECT_EQ(clip_middle("abcdefghij", 5, false), "ab…ij");
  EXPECT_EQ(clip_middle("abcdefghij", 4, true), "a~ij");
  EXPECT_EQ(clip_middle("漢字漢字漢字", 5, false), "漢…字");
  EXPECT_EQ(clip_middle("abc", 0, false), "");
  EXPECT_EQ(clip_middle("abc", 1, false), "…");
}

TEST(Display, DrawsSparklines) {
  const std::vector<double> rising = {0, 1, 2, 3, 4, 5, 6, 7};
  EXPECT_EQ(sparkline(rising, 8, false), "▁▂▃▄▅▆▇█");
  EXPECT_EQ(sparkline(rising, 2, true), "_#");
  EXPECT_EQ(sparkline(rising, 0, true), "");
  EXPECT_EQ(sparkline({}, 10, true), "");
  const std::vector<double> flat = {5, 5, 5};
  EXPECT_EQ(sparkline(flat, 10, true), "___");
}

TEST(Display, WritesPercentages) {
  EXPECT_EQ(percent(97, 100), "97 %");
  EXPECT_EQ(percent(3, 8112), "0.04 %");
  EXPECT_EQ(percent(3, 1000), "0.3 %");
  EXPECT_EQ(percent(9.96, 100), "10 %");
  EXPECT_EQ(percent(1, 1e6), "<0.01 %");
  EXPECT_EQ(percent(0, 100), "0 %");
  EXPECT_EQ(percent(1, 0), "0 %");
}

TEST(Display, ColoursOnlyWhenAsked) {
  Style style;
  EXPECT_EQ(bold(style, "x"), "x");
  style.colour = true;
  EXPECT_EQ(bold(style, "x"), "\x1b[1mx\x1b[0m");
  EXPECT_EQ(dim(style, ""), "");
}

TEST(TextTable, AlignsByWidthAndCutsTheLastColumn) {
  TextTable table({{"n"}, {"name", Align::kLeft}});
  table.add({"1", "漢字"});
  table.add({"1000", "a_very_long_function_name (module.py:1234)"});
  EXPECT_EQ(table.render({}),
            "   n  name\n   1  漢字\n1000  a_very_long_function_name (module.py:1234)\n");
  Style narrow;
  narrow.width = 30;
  EXPECT_EQ(table.render(narrow), "   n  name\n   1  漢字\n1000  a_very_long…ule.py:1234)\n");
}

}  // namespace
}  // namespace memspy::report
