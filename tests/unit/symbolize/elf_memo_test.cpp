#include "symbolize/elf_memo.h"

#include <fcntl.h>

#include <filesystem>

#include <gtest/gtest.h>

#include "elf_inputs.h"
#include "symbolize/elf_file.h"

namespace memspy::symbolize {
namespace {

namespace fs = std::filesystem;

class ElfMemoTest : public ::testing::Test {
 protected:
  void SetUp() override {
    fs::create_directories(folder_);
    fs::copy_file(elf_input("libgnuhash.so"), file_, fs::copy_options::overwrite_existing);
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::unique_ptr<ElfImage> open(int flags = O_RDONLY) {
    auto image = memo_.open(UniqueFd(::open(file_.c_str(), flags | O_CLOEXEC)), file_);
    EXPECT_TRUE(image.has_value());
    return image.has_value() ? std::move(*image) : nullptr;
  }

  const fs::path folder_ =
      fs::temp_directory_path() / ("memspy-memo-" + std::to_string(::getpid()));
  const fs::path file_ = folder_ / "library.so";
  ElfMemo memo_;
};

TEST_F(ElfMemoTest, TheSecondImageIsAsTheFile) {
  const auto file = ElfFile::open(file_.string()).value();
  for (int look = 0; look < 2; ++look) {
    const auto image = open();
    ASSERT_NE(image, nullptr);
    EXPECT_EQ(image->build_id(), file->build_id());
    EXPECT_EQ(image->segments().size(), file->segments().size());
    EXPECT_EQ(image->position_independent(), file->position_independent());
    EXPECT_EQ(image->has_symtab(), file->has_symtab());
    const auto symbol = image->find_symbol("memspy_exported_data");
    ASSERT_TRUE(symbol.has_value());
    EXPECT_EQ(symbol->address, file->find_symbol("memspy_exported_data")->address);
    EXPECT_EQ(image->find_section(".PyRuntime")->address,
              file->find_section(".PyRuntime")->address);
    EXPECT_FALSE(image->find_symbol("no such thing").has_value());
  }
  EXPECT_EQ(memo_.known_files(), 1U);
}

// A descriptor that only names a file can be asked what file it is, and cannot be read.
TEST_F(ElfMemoTest, WhatWasAskedIsNotReadAgain) {
  const auto address = open()->find_symbol("memspy_exported_data")->address;
  const auto image = open(O_PATH);
  ASSERT_NE(image, nullptr);
  ASSERT_TRUE(image->find_symbol("memspy_exported_data").has_value());
  EXPECT_EQ(image->find_symbol("memspy_exported_data")->address, address);
  EXPECT_FALSE(image->find_symbol("memspy_exported_bss").has_value());
  EXPECT_TRUE(open()->find_symbol("memspy_exported_bss").has_value())
      << "what could not be read is not remembered as absent";
}

TEST_F(ElfMemoTest, AnotherFileInItsPlaceIsAnotherFile) {
  const auto before = open()->build_id();
  fs::remove(file_);
  fs::copy_file(elf_input("libprelinked.so"), file_);
  EXPECT_NE(open()->build_id(), before);
  EXPECT_EQ(memo_.known_files(), 2U);
}

TEST_F(ElfMemoTest, AnImageOutlivesTheMemo) {
  auto memo = std::make_unique<ElfMemo>();
  const auto image =
      memo->open(UniqueFd(::open(file_.c_str(), O_RDONLY | O_CLOEXEC)), file_).value();
  memo.reset();
  EXPECT_TRUE(image->find_symbol("memspy_exported_data").has_value());
}

}  // namespace
}  // namespace memspy::symbolize
