#include "cpython/line_table.h"

#include <gtest/gtest.h>
#include <spdlog/fmt/fmt.h>

#include <fstream>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "cpython/layouts.h"

namespace memspy::cpython {
namespace {

using Bytes = std::vector<std::byte>;

Bytes from_hex(const std::string& hex) {
  Bytes bytes;
  for (std::size_t i = 0; hex != "-" && i + 1 < hex.size(); i += 2) {
    bytes.push_back(static_cast<std::byte>(std::stoi(hex.substr(i, 2), nullptr, 16)));
  }
  return bytes;
}

// One line of a golden file, as make.py writes it.
struct GoldenCode {
  std::string name;
  std::int32_t first_line = 0, size = 0;
  Bytes table;
  std::vector<std::pair<std::int32_t, std::int32_t>> runs;  // (offset, line)
};

GoldenCode parse_golden(const std::string& text) {
  GoldenCode code;
  std::string hex, runs, run;
  std::istringstream(text) >> code.name >> code.first_line >> code.size >> hex >> runs;
  code.table = from_hex(hex);
  for (std::istringstream list(runs); std::getline(list, run, ',');) {
    code.runs.emplace_back(std::stoi(run), std::stoi(run.substr(run.find(':') + 1)));
  }
  return code;
}

class GoldenLines : public ::testing::TestWithParam<int> {};

TEST_P(GoldenLines, EqualThoseOfCPython) {
  const int minor = GetParam();
  const LineTableKind kind = layout_for(minor).value().strategies.line_table;
  std::ifstream file(fmt::format("{}/line_tables/3.{}.txt", MEMSPY_GOLDEN_DIR, minor));
  std::size_t codes = 0;
  for (std::string text; std::getline(file, text);) {
    if (text.starts_with('#')) continue;
    const GoldenCode code = parse_golden(text);
    ++codes;
    for (std::size_t i = 0; i < code.runs.size(); ++i) {
      const std::int32_t end = i + 1 < code.runs.size() ? code.runs[i + 1].first : code.size;
      for (std::int32_t offset = code.runs[i].first; offset < end; offset += 2) {
        ASSERT_EQ(line_of(kind, code.table, code.first_line, offset), code.runs[i].second)
            << code.name << " at " << offset;
      }
    }
  }
  EXPECT_GT(codes, 80u);
}
INSTANTIATE_TEST_SUITE_P(AllVersions, GoldenLines, ::testing::Range(6, 16));

constexpr LineTableKind kKinds[] = {LineTableKind::kLnotab, LineTableKind::kLineTable,
                                    LineTableKind::kLocationTable};

TEST(LineTable, CodeThatHasNotStartedIsAtItsFirstLine) {
  for (const LineTableKind kind : kKinds) EXPECT_EQ(line_of(kind, from_hex("0203"), 7, -1), 7);
}

TEST(LineTable, NothingIsKnownBehindTheEndExceptInLnotab) {
  EXPECT_EQ(line_of(LineTableKind::kLnotab, from_hex("0201"), 7, 1000), 8);
  EXPECT_EQ(line_of(LineTableKind::kLineTable, from_hex("0201"), 7, 1000), 0);
  EXPECT_EQ(line_of(LineTableKind::kLocationTable, from_hex("e802"), 7, 1000), 0);
}

TEST(LineTable, EmptyAndCutTablesAreNoError) {
  EXPECT_EQ(line_of(LineTableKind::kLnotab, {}, 7, 0), 7);
  EXPECT_EQ(line_of(LineTableKind::kLineTable, {}, 7, 0), 0);
  EXPECT_EQ(line_of(LineTableKind::kLocationTable, {}, 7, 0), 0);
  EXPECT_EQ(line_of(LineTableKind::kLocationTable, from_hex("f0"), 7, 0),
            7);  // its varints are missing
  EXPECT_EQ(line_of(LineTableKind::kLocationTable, from_hex("f0ffff"), 7, 0),
            0);  // -(2^11-1): no line
  EXPECT_EQ(line_of(LineTableKind::kLocationTable, from_hex("0102"), 7, 0),
            0);  // no entry begins here
}

TEST(LineTable, LinesOutsideOfAnIntAreNoLines) {
  EXPECT_EQ(line_of(LineTableKind::kLnotab, from_hex("0080"), 7, 0), 0);
  EXPECT_EQ(line_of(LineTableKind::kLnotab, from_hex("007f"), INT32_MAX, 0), 0);
  EXPECT_EQ(line_of(LineTableKind::kLnotab, {}, -5, -1), 0);
}

TEST(LineTable, AnyBytesGiveALineOrNone) {
  std::mt19937 random(1);
  for (int round = 0; round < 3000; ++round) {
    Bytes table(random() % 200);
    for (std::byte& byte : table) byte = static_cast<std::byte>(random());
    for (const LineTableKind kind : kKinds) {
      EXPECT_GE(line_of(kind, table, static_cast<std::int32_t>(random()),
                        static_cast<std::int32_t>(random() % 400)),
                0);
    }
  }
}

}  // namespace
}  // namespace memspy::cpython
