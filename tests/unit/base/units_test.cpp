#include "base/byte_units.h"
#include "base/duration.h"
#include "support/result_matchers.h"

namespace memspy {
namespace {

using testing::HasErrc;
using namespace std::chrono_literals;

TEST(FormatBytes, KeepsFewDigitsAndNeverPrints1024) {
  EXPECT_EQ(format_bytes(0), "0 B");
  EXPECT_EQ(format_bytes(1023), "1023 B");
  EXPECT_EQ(format_bytes(1024), "1.0 KiB");
  EXPECT_EQ(format_bytes(1503238554), "1.4 GiB");
  EXPECT_EQ(format_bytes((1ULL << 20) - 1), "1.0 MiB");
  EXPECT_EQ(format_bytes(UINT64_MAX), "16384 PiB");
}

TEST(FormatBytes, SignedKeepsTheSign) {
  EXPECT_EQ(format_signed_bytes(-1024), "-1.0 KiB");
  EXPECT_EQ(format_signed_bytes(2048), "+2.0 KiB");
  EXPECT_EQ(format_signed_bytes(0), "0 B");
  EXPECT_EQ(format_signed_bytes(INT64_MIN), "-8192 PiB");
}

TEST(ParseBytes, ReadsUnitsAsPeopleWriteThem) {
  EXPECT_EQ(parse_bytes("512").value(), 512u);
  EXPECT_EQ(parse_bytes("2GiB").value(), 2ULL << 30);
  EXPECT_EQ(parse_bytes("1.5 MiB").value(), 1572864u);
  EXPECT_EQ(parse_bytes("64k").value(), 65536u);
  for (const char* bad : {"", "x", "-1", "1XB", "5e30GiB", "nan", "inf"}) {
    EXPECT_THAT(parse_bytes(bad), HasErrc(Errc::kUsage)) << bad;
  }
}

TEST(ParseDuration, NeedsAUnitUnlessToldOtherwise) {
  EXPECT_EQ(parse_duration("100ms", false).value(), 100ms);
  EXPECT_EQ(parse_duration("2.5s", false).value(), 2500ms);
  EXPECT_EQ(parse_duration("10", true).value(), 10s);
  EXPECT_EQ(parse_duration("1d", true).value(), 24h);
  EXPECT_THAT(parse_duration("10", false), HasErrc(Errc::kUsage));
  for (const char* bad : {"", "s", "-1s", "1 fortnight", "1e300s", "nan"}) {
    EXPECT_THAT(parse_duration(bad, true), HasErrc(Errc::kUsage)) << bad;
  }
}

TEST(FormatDuration, ChoosesTheUnit) {
  EXPECT_EQ(format_duration(240us), "240 µs");
  EXPECT_EQ(format_duration(1100us), "1.1 ms");
  EXPECT_EQ(format_duration(250s), "4 min 10 s");
  EXPECT_EQ(format_duration(26h), "1 d 2 h");
}

}  // namespace
}  // namespace memspy
