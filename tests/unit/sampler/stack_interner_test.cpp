#include "sampler/stack_interner.h"

#include <gtest/gtest.h>

namespace memspy::sampler {
namespace {

TEST(StackInterner, DefinesBeforeUseAndOnlyOnce) {
  EventQueue queue;
  StackInterner interner(queue);
  const StackId first = interner.marker("[native thread]");
  EXPECT_EQ(interner.marker("[native thread]"), first);
  EXPECT_NE(interner.marker("[outside Python]"), first);
  const auto events = queue.drain();
  ASSERT_EQ(events.size(), 4u);
  EXPECT_TRUE(std::holds_alternative<FrameDefined>(events[0]));
  ASSERT_TRUE(std::holds_alternative<StackDefined>(events[1]));
  EXPECT_EQ(std::get<StackDefined>(events[1]).id, first);
  EXPECT_EQ(std::get<StackDefined>(events[1]).node.parent, kNoStack);
}

TEST(EventQueue, DropsSamplesButNeverDefinitions) {
  EventQueue queue;
  for (int i = 0; i < 60'000; ++i) queue.push(FaultSample{});
  queue.push(FrameDefined{});
  EXPECT_GT(queue.dropped(), 0u);
  const auto events = queue.drain();
  EXPECT_EQ(events.size() + queue.dropped(), 60'001u);
  EXPECT_TRUE(std::holds_alternative<FrameDefined>(events.back()));
}

}  // namespace
}  // namespace memspy::sampler
