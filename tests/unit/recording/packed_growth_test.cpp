#include "recording/packed_growth.h"

#include <gtest/gtest.h>

namespace memspy::recording {
namespace {

GrowthRecord record(std::uint32_t process, std::uint32_t thread, std::uint32_t stack,
                    std::uint64_t touched, std::uint64_t returned, std::uint32_t samples) {
  GrowthRecord out;
  out.process.value = process;
  out.thread.value = thread;
  out.stack.value = stack;
  out.touched_bytes = touched;
  out.returned_bytes = returned;
  out.samples = samples;
  return out;
}

TEST(PackedGrowth, KeepsEveryValue) {
  const std::vector<GrowthRecord> records = {
      record(1, 0, 0, 0, 0, 0),
      record(4294967295U, 7, 4294967295U, 4096, 1, 4294967295U),
      record(1, 4294967295U, 3, kMaxGrowthBytes, kMaxGrowthBytes - 1, 1),
      record(1, 1, 4, 8191, 1ULL << 40, 9),
  };
  GrowthPacker packer;
  for (const auto& r : records) packer.add(r);
  const auto out = unpack_growth(packer.bytes(), std::chrono::seconds(5));
  ASSERT_TRUE(out.intact);
  ASSERT_EQ(out.records.size(), records.size());
  for (std::size_t i = 0; i < records.size(); ++i) {
    EXPECT_EQ(out.records[i].process, records[i].process);
    EXPECT_EQ(out.records[i].thread, records[i].thread);
    EXPECT_EQ(out.records[i].stack, records[i].stack);
    EXPECT_EQ(out.records[i].touched_bytes, records[i].touched_bytes);
    EXPECT_EQ(out.records[i].returned_bytes, records[i].returned_bytes);
    EXPECT_EQ(out.records[i].samples, records[i].samples);
    EXPECT_EQ(out.records[i].time, std::chrono::seconds(5));
  }
}

// The example that docs/recording-format.md prints.
TEST(PackedGrowth, IsAsTheDocumentSays) {
  GrowthPacker packer;
  packer.add(record(1, 2, 300, 8192, 100, 5));
  packer.add(record(1, 2, 299, 4096, 0, 1));
  const std::string expected("\x02\x04\xd8\x04\x04\xc9\x01\x05\x00\x00\x01\x02\x00\x01", 14);
  EXPECT_EQ(packer.bytes(), expected);
}

TEST(PackedGrowth, ACutBlobGivesWhatIsWholeAndSaysSo) {
  GrowthPacker packer;
  for (std::uint32_t i = 1; i < 50; ++i) packer.add(record(1, 1, i * 1000, 4096 * i, 0, i));
  const std::string& whole = packer.bytes();
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const auto out = unpack_growth(std::string_view(whole).substr(0, size), {});
    EXPECT_LT(out.records.size(), 49u);
  }
  EXPECT_FALSE(unpack_growth("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", {}).intact);
  EXPECT_FALSE(unpack_growth(std::string("\x01\x00\x00\x00\x00\x00", 6), {}).intact);  // process -1
}

}  // namespace
}  // namespace memspy::recording
