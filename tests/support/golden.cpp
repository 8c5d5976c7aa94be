#include "support/golden.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "base/file.h"

namespace memspy::testing {

void expect_golden(const std::string& name, const std::string& text) {
  const std::string path = MEMSPY_TESTS_DIR "/golden/" + name;
  const char* update = std::getenv("MEMSPY_UPDATE_GOLDEN");  // NOLINT(concurrency-mt-unsafe)
  if (update != nullptr && std::string(update) == "1") {
    std::ofstream(path, std::ios::binary) << text;
    return;
  }
  const auto expected = read_file(path);
  ASSERT_TRUE(expected.has_value())
      << "no golden file " << path << ": run with MEMSPY_UPDATE_GOLDEN=1";
  EXPECT_EQ(text, *expected) << "differs from " << path << "; MEMSPY_UPDATE_GOLDEN=1 rewrites it";
}

}  // namespace memspy::testing
