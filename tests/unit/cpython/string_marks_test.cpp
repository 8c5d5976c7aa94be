#include "cpython/heap/string_marks.h"

#include <gtest/gtest.h>

#include <map>

#include "cpython/layouts.h"
#include "support/py_image_builder.h"

namespace memspy::cpython {
namespace {

using testing::PyImageBuilder;

class StringMarks : public ::testing::TestWithParam<int> {
 protected:
  StringMarker marker(std::uint64_t budget = 1 << 20) {
    return {image_.layout(), image_.memory(), HashKey{1, 2}, budget};
  }
  PyImageBuilder image_{*layout_for(GetParam())};
};
INSTANTIATE_TEST_SUITE_P(Minor, StringMarks, ::testing::Range(6, 16));

TEST_P(StringMarks, TellWhichSayTheSame) {
  std::map<std::uint64_t, std::string> seen;
  auto marker = this->marker();
  for (const char* text : {"", "plain", "plaim", "Grüße", "поток", "深い \U0001f40d"}) {
    const auto one = marker.mark_of(image_.add_str(text)),
               again = marker.mark_of(image_.add_str(text));
    ASSERT_TRUE(one && again) << text;
    EXPECT_EQ(one->hash, again->hash) << text;
    EXPECT_EQ(one->length, again->length);
    EXPECT_TRUE(seen.emplace(one->hash, text).second) << text << " as " << seen[one->hash];
  }
  EXPECT_EQ(marker.mark_of(image_.add_str("поток"))->length, 5U);
}

TEST_P(StringMarks, NoneOfWhatIsNoString) {
  const RemoteAddr text = image_.add_str("plain");
  image_.put(text, Field::kUnicodeLength, 1ULL << 39);  // more than there is
  EXPECT_FALSE(marker(~0ULL).mark_of(text));
  image_.put(text, Field::kUnicodeState, 0xffffffff);
  EXPECT_FALSE(marker().mark_of(text));
  EXPECT_FALSE(marker().mark_of(RemoteAddr{3}));
}

TEST_P(StringMarks, ReadNoMoreThanTheirBudget) {
  const RemoteAddr text = image_.add_str("four");
  auto marker = this->marker(9);
  EXPECT_TRUE(marker.mark_of(text));
  EXPECT_TRUE(marker.mark_of(text));
  EXPECT_FALSE(marker.mark_of(text));
}

}  // namespace
}  // namespace memspy::cpython
