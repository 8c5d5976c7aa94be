#include "memspy/memory_map.h"
#include "memspy/memory_reader.h"
#include "support/fake_memory.h"
#include "support/result_matchers.h"

namespace memspy {
namespace {

using testing::FakeMemory;
using testing::HasErrc;

TEST(MemoryReader, ExactReadsFailAcrossAHole) {
  FakeMemory memory;
  memory.add_segment(RemoteAddr{0x1000}, 16);
  memory.write(RemoteAddr{0x1008}, std::uint64_t{42});
  EXPECT_EQ(read<std::uint64_t>(memory, RemoteAddr{0x1008}).value(), 42u);
  EXPECT_THAT(read<std::uint64_t>(memory, RemoteAddr{0x100c}), HasErrc(Errc::kUnreadable));
  EXPECT_THAT(read<std::uint64_t>(memory, RemoteAddr{0}), HasErrc(Errc::kUnreadable));
  EXPECT_THAT(read<std::uint64_t>(memory, RemoteAddr{UINT64_MAX - 3}), HasErrc(Errc::kUnreadable));
}

TEST(MemoryReader, StringsAreCutAtTheCap) {
  FakeMemory memory;
  memory.add_segment(RemoteAddr{0x1000}, std::vector<std::byte>(600, std::byte{'x'}));
  EXPECT_EQ(read_c_string(memory, RemoteAddr{0x1000}, 300).value(), std::string(300, 'x'));
  EXPECT_THAT(read_c_string(memory, RemoteAddr{0x1000}, 1000), HasErrc(Errc::kUnreadable));
  memory.write(RemoteAddr{0x1003}, '\0');
  EXPECT_EQ(read_c_string(memory, RemoteAddr{0x1000}, 300).value(), "xxx");
}

TEST(MemoryMap, FindsTheMappingOfAnAddress) {
  MemoryMap map(2);
  map[0].start = {0x1000}, map[0].end = {0x2000};
  map[1].start = {0x3000}, map[1].end = {0x4000};
  EXPECT_EQ(find_mapping(map, {0x0fff}), nullptr);
  EXPECT_EQ(find_mapping(map, {0x1000}), &map[0]);
  EXPECT_EQ(find_mapping(map, {0x2000}), nullptr);
  EXPECT_EQ(find_mapping(map, {0x3fff}), &map[1]);
  EXPECT_EQ(find_mapping({}, {0x3fff}), nullptr);
}

}  // namespace
}  // namespace memspy
