#include "cpython/layouts.h"

#include "support/result_matchers.h"

namespace memspy::cpython {
namespace {

using testing::HasErrc;
using testing::IsOk;

class EveryLayout : public ::testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Minor, EveryLayout, ::testing::Range(6, 16));

TEST_P(EveryLayout, IsValidInEveryVariant) {
  const auto variants = layout_variants(GetParam());
  ASSERT_THAT(variants, IsOk());
  for (const Layout& layout : *variants) {
    EXPECT_THAT(validate(layout), IsOk());
    EXPECT_EQ(layout.minor, GetParam());
  }
}

TEST_P(EveryLayout, DebugOffsetsArePublishedFrom313On) {
  EXPECT_EQ(debug_offsets_table(GetParam()).size != 0, GetParam() >= 13);
}

// Numbers that were compared with live processes; a table regenerated from the wrong file shows
// here.
TEST(Layouts, HaveTheKnownOffsets) {
  EXPECT_EQ(layout_for(6)->offset(Field::kThreadThreadId), 0x98u);
  EXPECT_EQ(layout_for(8)->offset(Field::kRuntimeTstateCurrent), 0x558u);
  EXPECT_EQ(layout_for(10)->offset(Field::kFrameInstruction), 0x60u);
  EXPECT_EQ(layout_for(11)->offset(Field::kCodeAdaptive), 0xb8u);
  EXPECT_EQ(layout_for(12)->offset(Field::kUnicodeCompactData), 0x38u);
  EXPECT_EQ(layout_for(13)->offset(Field::kThreadCurrentFrame), 0x48u);
  EXPECT_EQ(layout_for(14)->offset(Field::kTupleItems), 0x20u);
  EXPECT_EQ(layout_for(15)->offset(Field::kGcStatsBuffersOld), 0x2c8u);
  EXPECT_FALSE(layout_for(10)->has(Field::kFrameOwner));
  EXPECT_FALSE(layout_for(12)->has(Field::kUnicodeWstr));
}

TEST(Layouts, AnUnknownVersionIsUnsupportedAndSaysWhatIsKnown) {
  const auto layout = layout_for(16);
  ASSERT_THAT(layout, HasErrc(Errc::kUnsupported));
  EXPECT_THAT(layout.error().why, ::testing::HasSubstr("3.6, 3.7"));
  EXPECT_THAT(layout.error().hint, ::testing::HasSubstr("--assume-layout"));
}

TEST(Layouts, EarlyPatchesHaveSmallerGcHeads) {
  const auto variants = layout_variants(7);
  ASSERT_GE(variants->size(), 2u);
  const Layout& early = (*variants)[1];
  EXPECT_EQ(early.size(Struct::kGcHead), 0x18u);
  EXPECT_EQ(early.offset(Field::kRuntimeTstateCurrent), 0x570u);
}

TEST(Layouts, TraceRefsMovesObjectsAndNothingElse) {
  const auto variants = layout_variants(8);
  const Layout& usual = variants->front();
  const Layout& traced = variants->back();
  EXPECT_EQ(traced.offset(Field::kCodeName), usual.offset(Field::kCodeName) + 16);
  EXPECT_EQ(traced.offset(Field::kFramePrevious), usual.offset(Field::kFramePrevious) + 16);
  EXPECT_EQ(traced.offset(Field::kThreadNext), usual.offset(Field::kThreadNext));
  EXPECT_EQ(traced.offset(Field::kDictKeysIndices), usual.offset(Field::kDictKeysIndices));
}

TEST(Layouts, ValidateNamesWhatDoesNotFit) {
  const auto broken = [](Field field, Slot slot) {
    Layout layout = *layout_for(14);
    layout.slots[static_cast<std::size_t>(field)] = slot;
    return validate(layout);
  };
  EXPECT_THAT(broken(Field::kThreadNext, {0x10000, 8}), HasErrc(Errc::kCorrupt));
  EXPECT_THAT(broken(Field::kThreadNext, {0xffffffff, 8}), HasErrc(Errc::kCorrupt));
  EXPECT_THAT(broken(Field::kThreadNext, {0x9, 8}), HasErrc(Errc::kCorrupt));
  EXPECT_THAT(broken(Field::kThreadNext, {0x8, 16}), HasErrc(Errc::kCorrupt));
  const auto missing = broken(Field::kThreadCurrentFrame, {});
  ASSERT_THAT(missing, HasErrc(Errc::kCorrupt));
  EXPECT_THAT(missing.error().message, ::testing::HasSubstr("kThreadCurrentFrame"));
  Layout huge = *layout_for(14);
  huge.sizes[static_cast<std::size_t>(Struct::kThread)] = 0x7fffffff;
  EXPECT_THAT(validate(huge), HasErrc(Errc::kCorrupt));
}

}  // namespace
}  // namespace memspy::cpython
