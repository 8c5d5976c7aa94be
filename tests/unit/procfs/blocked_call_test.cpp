#include "procfs/blocked_call.h"

#include "support/result_matchers.h"

namespace memspy::procfs {
namespace {

using testing::HasErrc;

TEST(BlockedCallTest, ReadsTheThreeForms) {
  EXPECT_TRUE(parse_blocked_call("running\n")->running);
  const auto fault = parse_blocked_call("-1 0x7ffd0 0x401000\n");
  ASSERT_TRUE(fault.has_value());
  EXPECT_EQ(fault->number, -1);
  const auto call =
      parse_blocked_call("202 0x55d0 0x189 0x0 0x0 0xffffffffffffffff 0x1 0x7ffc0 0x7f00\n");
  ASSERT_TRUE(call.has_value());
  EXPECT_FALSE(call->running);
  EXPECT_EQ(call->number, 202);
  EXPECT_EQ(call->arguments[1], 0x189u);
  EXPECT_EQ(call->arguments[4], ~std::uint64_t{0});
}

TEST(BlockedCallTest, RefusesEverythingElse) {
  for (const char* text : {"", "\n", "runnin", "202", "202 0x1 0x2 0x3 0x4 0x5 0x6 0x7", "-1",
                           "202 1 2 3 4 5 6 7 8", "99999999999999999999 0x0"}) {
    EXPECT_THAT(parse_blocked_call(text), HasErrc(Errc::kCorrupt)) << text;
  }
}

}  // namespace
}  // namespace memspy::procfs
