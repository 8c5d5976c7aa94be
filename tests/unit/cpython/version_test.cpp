#include "cpython/version.h"

#include <gmock/gmock.h>

namespace memspy::cpython {
namespace {

TEST(Version, ReadsPyVersionHex) {
  EXPECT_EQ(version_from_hex(0x030b07f0)->text(), "3.11.7");
  EXPECT_EQ(version_from_hex(0x030e00c2)->text(), "3.14.0rc2");
  EXPECT_EQ(version_from_hex(0x030f00a1)->text(), "3.15.0a1");
  EXPECT_FALSE(version_from_hex(0).has_value());
  EXPECT_FALSE(version_from_hex(0x030b0700).has_value());    // no release level 0
  EXPECT_FALSE(version_from_hex(0x12030b07f0).has_value());  // not 32 bits
}

TEST(Version, WithoutAPatchSaysTheMinorOnly) {
  EXPECT_EQ(version_from_file_name("libpython3.8.so.1.0")->text(), "3.8");
}

TEST(Version, ReadsFileNames) {
  EXPECT_EQ(version_from_file_name("/usr/lib/libpython3.6m.so.1.0")->minor, 6);
  EXPECT_EQ(version_from_file_name("/usr/bin/python3.11")->minor, 11);
  EXPECT_EQ(version_from_file_name("/usr/bin/python2.7")->major, 2);
  EXPECT_TRUE(version_from_file_name("/opt/bin/python3.14t")->free_threaded);
  EXPECT_TRUE(version_from_file_name("libpython3.13td.so.1.0")->free_threaded);
  EXPECT_TRUE(version_from_file_name("libpython3.13td.so.1.0")->debug_build);
  EXPECT_FALSE(version_from_file_name("libpython3.6m.so.1.0")->debug_build);
  for (const char* name :
       {"/usr/bin/python3", "libpython3.so", "python3.11-gdb.py", "python", "uwsgi", "python3.",
        "_socket.cpython-311-x86_64-linux-gnu.so", "python3.99999999999"}) {
    EXPECT_FALSE(version_from_file_name(name).has_value()) << name;
  }
}

TEST(Version, KnowsTheLibrary) {
  EXPECT_TRUE(is_libpython("/usr/lib/libpython3.12.so.1.0"));
  EXPECT_FALSE(is_libpython("/usr/lib/libpython3.so"));
  EXPECT_FALSE(is_libpython("/usr/bin/python3.12"));
}

}  // namespace
}  // namespace memspy::cpython
