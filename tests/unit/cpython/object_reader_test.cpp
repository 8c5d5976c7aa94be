#include "cpython/object_reader.h"

#include "cpython/layouts.h"
#include "cpython/utf8.h"
#include "support/py_image_builder.h"
#include "support/result_matchers.h"

namespace memspy::cpython {
namespace {

using testing::HasErrc;
using testing::IsOk;
using testing::PyImageBuilder;

class EveryObject : public ::testing::TestWithParam<int> {
 protected:
  RemoteAddr str(std::string_view text) { return image_.add_str(text); }

  PyImageBuilder image_{*layout_for(GetParam())};
  ObjectReader reader_{image_.layout(), image_.memory()};
};
INSTANTIATE_TEST_SUITE_P(Minor, EveryObject, ::testing::Range(6, 16));

TEST_P(EveryObject, ReadsStringsOfEveryWidth) {
  for (const char* text : {"", "plain", "Grüße", "поток", "深い \U0001f40d"}) {
    EXPECT_EQ(reader_.read_str(str(text), 100).value(), text);
  }
}

TEST_P(EveryObject, CutsStrings) {
  bool cut = false;
  EXPECT_EQ(reader_.read_str(str("поток"), 2, &cut).value(), "по");
  EXPECT_TRUE(cut);
  EXPECT_EQ(reader_.read_str(str("поток"), 5, &cut).value(), "поток");
  EXPECT_FALSE(cut);
}

TEST_P(EveryObject, RefusesWhatIsNoString) {
  const RemoteAddr text = str("plain");
  image_.put(text, Field::kUnicodeLength, 1ULL << 50);
  EXPECT_THAT(reader_.read_str(text, 100), HasErrc(Errc::kCorrupt));
  const RemoteAddr other = str("plain");
  image_.put(other, Field::kUnicodeState, 0xffffffff);
  EXPECT_THAT(reader_.read_str(other, 100), HasErrc(Errc::kCorrupt));
  EXPECT_THAT(reader_.read_str(RemoteAddr{3}, 100), HasErrc(Errc::kCorrupt));
}

TEST_P(EveryObject, ReadsInts) {
  for (const std::int64_t value : {0L, 1L, -1L, 50793456L, -(1L << 40), (1L << 59)}) {
    EXPECT_EQ(reader_.read_int(image_.add_int(value)).value(), value);
  }
  EXPECT_THAT(reader_.read_int(image_.add_digits({1, 2, 3}, false)), HasErrc(Errc::kCorrupt));
  EXPECT_THAT(reader_.read_int(image_.add_digits({0xffffffff}, false)), HasErrc(Errc::kCorrupt));
}

TEST_P(EveryObject, FindsItemsOfDicts) {
  std::vector<std::pair<RemoteAddr, RemoteAddr>> items;
  for (int i = 0; i < 80; ++i)
    items.emplace_back(str("key" + std::to_string(i)), image_.add_int(i));
  const RemoteAddr dict = image_.add_dict(items);
  EXPECT_EQ(reader_.read_dict(dict)->items.size(), 80u);
  EXPECT_EQ(reader_.find_item(dict, "key79").value(), items[79].second);
  EXPECT_EQ(reader_.find_item(dict, "key").value(), RemoteAddr{});
  EXPECT_EQ(reader_.find_item(image_.add_dict({}), "key").value(), RemoteAddr{});
}

TEST_P(EveryObject, RefusesImpossibleDicts) {
  const RemoteAddr dict = image_.add_dict({{str("a"), image_.none()}});
  const RemoteAddr keys{image_.get(dict, Field::kDictKeys)};
  image_.put(keys, Field::kDictKeysEntryCount, 1ULL << 40);
  EXPECT_THAT(reader_.read_dict(dict), HasErrc(Errc::kCorrupt));
  image_.put(keys, Field::kDictKeysSize, 1ULL << 39);
  image_.put(keys, Field::kDictKeysLog2Size, 39);
  image_.put(keys, Field::kDictKeysLog2IndexBytes, 39);
  image_.put(keys, Field::kDictKeysEntryCount, 1ULL << 38);
  EXPECT_THAT(reader_.read_dict(dict), HasErrc(Errc::kUnreadable));  // and not 2^38 items
  image_.put(dict, Field::kDictKeys, 7);
  EXPECT_THAT(reader_.read_dict(dict), HasErrc(Errc::kCorrupt));
}

TEST_P(EveryObject, ReadsSplitDicts) {
  const RemoteAddr value = image_.add_int(7);
  const RemoteAddr dict = image_.add_dict({{str("a"), image_.none()}, {str("b"), image_.none()}});
  const RemoteAddr values = image_.allocate(image_.layout().size(Struct::kDictValues) + 32);
  const RemoteAddr items = values + image_.layout().offset(Field::kDictValuesItems);
  image_.memory().write(items + 8, value.value);  // "a" has no value in this instance
  image_.put(dict, Field::kDictValues, values.value);
  EXPECT_EQ(reader_.read_dict(dict)->items.size(), 1u);
  EXPECT_EQ(reader_.find_item(dict, "b").value(), value);
}

// Instances of a Python class, wherever the version keeps their attributes.
TEST_P(EveryObject, ReadsAttributesOfInstances) {
  constexpr std::size_t kBefore = 64, kBasicSize = 16;
  const InstanceDictKind kind = image_.layout().strategies.instance_dict;
  const RemoteAddr value = str("worker-1");
  const RemoteAddr shared =
      image_.add_dict({{str("_target"), image_.none()}, {str("_name"), image_.none()}});
  const bool managed = kind != InstanceDictKind::kDictOffset;
  const std::uint64_t flags = kTypeHeapType | (managed ? kTypeManagedDict : 0) |
                              (kind == InstanceDictKind::kInlineValues ? kTypeInlineValues : 0);
  const RemoteAddr type = image_.add_type("Thread", flags);
  image_.put(type, Field::kHeapTypeCachedKeys, image_.get(shared, Field::kDictKeys));
  image_.put(type, Field::kTypeBasicSize, kBasicSize);
  image_.put(type, Field::kTypeDictOffset, managed ? ~std::uint64_t{0} : kBasicSize);
  const RemoteAddr instance = image_.allocate(kBefore + 128) + kBefore;
  image_.put(instance, Field::kObjectType, type.value);
  RemoteAddr values = image_.allocate(64);
  if (kind == InstanceDictKind::kDictOffset) {
    const RemoteAddr dict = image_.add_dict({{str("_name"), value}});
    image_.memory().write(instance + kBasicSize, dict.value);
  } else if (kind == InstanceDictKind::kValuesAndDict) {
    image_.memory().write(instance - 32, values.value);
  } else if (kind == InstanceDictKind::kTaggedWord) {
    image_.memory().write(instance - 24, values.value - 1);
  } else {
    values = instance + kBasicSize;
    image_.put(values, Field::kDictValuesCapacity, 2);
    image_.put(values, Field::kDictValuesValid, 1);
  }
  image_.memory().write(values + image_.layout().offset(Field::kDictValuesItems) + 8, value.value);
  if (kind == InstanceDictKind::kDictOffset) {
    image_.memory().write(values + 8, std::uint64_t{0});
  }
  EXPECT_EQ(reader_.find_attribute(instance, "_name").value(), value);
  EXPECT_EQ(reader_.find_attribute(instance, "_target").value(), RemoteAddr{});
}

TEST(Utf8, ReplacesWhatIsNoCharacter) {
  const std::uint32_t characters[] = {0x41, 0xd800, 0x110000, 0x10ffff};
  EXPECT_EQ(to_utf8(std::as_bytes(std::span(characters)), 4), "A\uFFFD\uFFFD\U0010ffff");
  EXPECT_EQ(to_utf8(std::as_bytes(std::span(characters)), 3), "");
}

}  // namespace
}  // namespace memspy::cpython
