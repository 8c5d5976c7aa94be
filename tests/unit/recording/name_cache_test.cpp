#include "recording/name_cache.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <fstream>
#include <random>

#include "support/result_matchers.h"
#include "support/temp_dir.h"

namespace memspy::recording {
namespace {

using memspy::testing::HasErrc;
using memspy::testing::IsOk;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<std::string> texts(const NameTable& table, std::uint64_t address) {
  std::vector<std::string> out;
  const auto names = table.find(address);
  if (!names) return out;
  for (const CodeName& name : *names)
    out.push_back(std::string(name.function) + " " + std::string(name.file) + ":" +
                  std::to_string(name.line));
  return out;
}

NameTable some_names() {
  NameTable table;
  table.add(0x1000, {{"inner", "/src/a.h", 7}, {"outer", "/src/a.cpp", 40}});
  table.add(0xffffffffffffffffULL, {{"end", "", 0}});
  return table;
}

TEST(NameTable, KeepsWhatWasAdded) {
  NameTable table = some_names();
  EXPECT_THAT(texts(table, 0x1000), ElementsAre("inner /src/a.h:7", "outer /src/a.cpp:40"));
  EXPECT_FALSE(table.find(0x1001));
  table.add(0x1000, {{"other", "/src/a.cpp", 1}});
  EXPECT_THAT(texts(table, 0x1000), ElementsAre("other /src/a.cpp:1"));
}

TEST(NameTable, ComesBackFromItsBlob) {
  NameTable back;
  back.add(0x2000, {{"outer", "/src/b.cpp", 2}});
  ASSERT_TRUE(back.unpack(some_names().pack()));
  EXPECT_THAT(texts(back, 0x1000), ElementsAre("inner /src/a.h:7", "outer /src/a.cpp:40"));
  EXPECT_THAT(texts(back, 0xffffffffffffffffULL), ElementsAre("end :0"));
  EXPECT_THAT(texts(back, 0x2000), ElementsAre("outer /src/b.cpp:2"));
}

TEST(NameTable, ADamagedBlobIsRefusedOrSmaller) {
  const std::string whole = some_names().pack();
  for (std::size_t size = 0; size < whole.size(); ++size) {
    NameTable table;
    EXPECT_FALSE(table.unpack(whole.substr(0, size))) << size;
  }
  std::mt19937 random(5);
  for (int i = 0; i < 20000; ++i) {
    std::string blob = whole;
    for (int edits = 0; edits < 3; ++edits)
      blob[random() % blob.size()] = static_cast<char>(random());
    NameTable table;
    (void)table.unpack(blob);
    (void)texts(table, 0x1000);
    (void)table.pack();
  }
}

class Cache : public ::testing::Test {
 protected:
  NameCache open(std::int64_t now = 1700000000) {
    auto cache = NameCache::open(path_, now);
    EXPECT_THAT(cache, IsOk());
    return std::move(*cache);
  }
  memspy::testing::TempDir folder_;
  std::string path_ = folder_.file("names.sqlite");
};

TEST_F(Cache, RemembersByBuildIdForTheNextProgram) {
  EXPECT_TRUE(open().add("abcd", some_names()));
  NameTable more;
  more.add(0x3000, {{"later", "/src/c.cpp", 3}});
  EXPECT_TRUE(open().add("abcd", more));
  const NameTable loaded = open().load("abcd");
  EXPECT_THAT(texts(loaded, 0x1000), ElementsAre("inner /src/a.h:7", "outer /src/a.cpp:40"));
  EXPECT_THAT(texts(loaded, 0x3000), ElementsAre("later /src/c.cpp:3"));
  EXPECT_TRUE(open().load("ef01").empty());
  struct stat info {};
  ASSERT_EQ(::stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
}

TEST_F(Cache, ManySmallPartsBecomeOne) {
  NameCache cache = open();
  for (std::uint64_t i = 0; i < 100; ++i) {
    NameTable one;
    one.add(i, {{"f" + std::to_string(i), "/a.c", 1}});
    ASSERT_TRUE(cache.add("abcd", one));
  }
  const NameTable loaded = cache.load("abcd");
  for (std::uint64_t i = 0; i < 100; ++i) EXPECT_TRUE(loaded.contains(i)) << i;
}

TEST_F(Cache, GivesUpWhatWasUsedLongestAgo) {
  constexpr std::int64_t kDay = 24 * 3600;
  NameTable large;
  for (std::uint64_t i = 0; i < 20000; ++i)
    large.add(i, {{"function_" + std::to_string(i), "/a.c", 1}});
  ASSERT_TRUE(open(100 * kDay).add("asked for again", some_names()));
  ASSERT_TRUE(open(101 * kDay).add("large", large));
  EXPECT_FALSE(open(102 * kDay).load("asked for again").empty());
  NameCache cache = open(102 * kDay);
  cache.shrink(100 << 10);
  EXPECT_TRUE(cache.load("large").empty());
  EXPECT_FALSE(cache.load("asked for again").empty());
  struct stat info {};
  ASSERT_EQ(::stat(path_.c_str(), &info), 0);
  EXPECT_LT(info.st_size, 100 << 10);
}

TEST_F(Cache, AFileThatIsSomethingElseIsRefused) {
  std::ofstream(path_)
      << "this is a text, and none that SQLite would take for a database of its own";
  EXPECT_THAT(NameCache::open(path_), HasErrc(Errc::kCorrupt));
  EXPECT_FALSE(NameCache::open(folder_.file("no/such/folder")).has_value());
}

}  // namespace
}  // namespace memspy::recording
