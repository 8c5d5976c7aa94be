#include <gtest/gtest.h>

#include "memspy/frame.h"

namespace memspy {
namespace {

TEST(StackTable, SharesPrefixesAndKeepsOrder) {
  StackTable table;
  const Frame main{"main", "a.py", 1, FrameKind::kPython};
  const Frame f{"f", "a.py", 2, FrameKind::kPython};
  const Frame g{"g", "a.py", 3, FrameKind::kPython};
  const StackId with_f = table.intern_stack({main, f});
  const StackId with_g = table.intern_stack({main, g});
  EXPECT_NE(with_f, with_g);
  EXPECT_EQ(table.stack_count(), 3u);
  EXPECT_EQ(table.intern_stack({main, f}), with_f);
  const auto frames = table.frames_of(with_g);
  ASSERT_EQ(frames.size(), 2u);
  EXPECT_EQ(table.frame(frames[0]), main);
  EXPECT_EQ(table.frame(frames[1]), g);
  EXPECT_TRUE(table.frames_of(kNoStack).empty());
}

TEST(StackTable, FieldsThatRunTogetherStayDistinct) {
  StackTable table;
  EXPECT_NE(table.intern(Frame{"ab", "c", 1, FrameKind::kPython}),
            table.intern(Frame{"a", "bc", 1, FrameKind::kPython}));
  EXPECT_NE(table.intern(Frame{"[gc]", "", 0, FrameKind::kPython}),
            table.intern(Frame{"[gc]", "", 0, FrameKind::kMarker}));
}

}  // namespace
}  // namespace memspy
