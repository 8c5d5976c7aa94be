// Interpreter::open on fake processes of every version.
#include "cpython/interpreter.h"
#include "cpython/layouts.h"
#include "support/py_process.h"
#include "support/result_matchers.h"

namespace memspy::cpython {
namespace {

using testing::FakeModule;
using testing::FakeSymbols;
using testing::HasErrc;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::PyProcess;

Result<Interpreter> open(PyProcess& process, std::vector<LocatorAttempt>* attempts = nullptr,
                         std::optional<int> assume = std::nullopt) {
  OpenOptions options;
  options.assume_minor = assume;
  return Interpreter::open(process.memory(), process.map(), process.symbols(), options, attempts);
}

std::string library_of(int minor) {
  return "/usr/lib/libpython3." + std::to_string(minor) + ".so.1.0";
}

class EveryVersion : public ::testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Minor, EveryVersion, ::testing::Range(6, 16));

TEST_P(EveryVersion, IsFoundBySymbol) {
  PyProcess process(*layout_for(GetParam()));
  std::vector<LocatorAttempt> attempts;
  const auto found = open(process, &attempts);
  ASSERT_THAT(found, IsOk());
  EXPECT_EQ(found->version().text(), "3." + std::to_string(GetParam()) + ".1");
  EXPECT_EQ(found->layout().minor, GetParam());
  ASSERT_FALSE(attempts.empty());
  EXPECT_TRUE(attempts.back().won);
  EXPECT_EQ(attempts.back().evidence, "2 threads, 3 frames decoded");
}

TEST_P(EveryVersion, IsFoundWithoutAnySymbol) {
  PyProcess process(*layout_for(GetParam()), 0, "/opt/app/server");
  process.hide_symbols();
  std::vector<LocatorAttempt> attempts;
  const auto found = open(process, &attempts);
  ASSERT_THAT(found, IsOk());
  EXPECT_EQ(found->version().minor, GetParam());
  EXPECT_EQ(attempts.back().method,
            GetParam() >= 13 ? "debug offsets cookie" : "scan of .data and .bss");
  EXPECT_THAT(attempts.front().evidence, HasSubstr("stripped"));
}

TEST_P(EveryVersion, IsNotReadyBeforeItHasAnInterpreter) {
  PyProcess process(*layout_for(GetParam()), 0, library_of(GetParam()));
  process.memory().write(process.image().interpreters_head(), std::uint64_t{0});
  EXPECT_THAT(open(process), HasErrc(Errc::kUnreadable));
}

TEST_P(EveryVersion, IsNotReadyBeforeItHasModules) {
  PyProcess process(*layout_for(GetParam()), 0, library_of(GetParam()));
  process.image().put(process.interpreter(), Field::kInterpreterModules, 0);
  EXPECT_THAT(open(process), HasErrc(Errc::kUnreadable));
}

TEST_P(EveryVersion, IsRejectedWhenItsFramesDoNotRunCode) {
  PyProcess process(*layout_for(GetParam()), 0, library_of(GetParam()));
  const RemoteAddr impostor = process.image().add_str(std::string_view("no code"));
  process.push_frame(process.main_thread(), impostor);
  process.push_frame(process.worker(), impostor);
  const auto found = open(process);
  ASSERT_THAT(found, HasErrc(Errc::kUnsupported));
  EXPECT_THAT(found.error().why, HasSubstr("is not a code object"));
}

TEST_P(EveryVersion, AThreadWithoutFramesIsEnough) {
  PyProcess process(*layout_for(GetParam()));
  process.image().pop_frame(process.main_thread());
  process.image().pop_frame(process.main_thread());
  process.image().pop_frame(process.worker());
  EXPECT_THAT(open(process), IsOk());  // sys.hexversion is what speaks for it
}

TEST(Locate, FindsBuildsThatTheirVersionDoesNotTell) {
  for (const int minor : {6, 7, 8, 11}) {
    const auto variants = layout_variants(minor);
    ASSERT_THAT(variants, IsOk());
    for (const Layout& variant : *variants) {
      PyProcess process(variant);
      const auto found = open(process);
      ASSERT_THAT(found, IsOk()) << variant.source;
      EXPECT_EQ(found->layout().source, variant.source);
    }
  }
}

TEST(Locate, FindsTheSectionWhereTheSymbolIsGone) {
  PyProcess process(*layout_for(12), 0, "/opt/app/server");
  process.hide_symbols();
  process.module().sections[".PyRuntime"] = {process.image().runtime(), 64};
  std::vector<LocatorAttempt> attempts;
  ASSERT_THAT(open(process, &attempts), IsOk());
  EXPECT_EQ(attempts.back().method, "section .PyRuntime");
}

// 3.6, stripped: `mov rax, [rip + disp32]; ret`, with and without endbr64 in front.
TEST(Locate, DecodesPyInterpreterStateHead) {
  for (const bool endbr : {false, true}) {
    PyProcess process(*layout_for(6));
    process.hide_symbols();
    const RemoteAddr function = process.image().allocate(32);
    std::vector<std::uint8_t> code;
    if (endbr) code = {0xf3, 0x0f, 0x1e, 0xfa};
    code.insert(code.end(), {0x48, 0x8b, 0x05});
    const std::uint64_t next = function.value + code.size() + 4;
    const auto displacement =
        static_cast<std::uint32_t>(process.image().interpreters_head().value - next);
    for (unsigned i = 0; i < 4; ++i)
      code.push_back(static_cast<std::uint8_t>(displacement >> (8 * i)));
    code.push_back(0xc3);
    process.memory().write_bytes(function, std::as_bytes(std::span(code)));
    process.module().symbols["PyInterpreterState_Head"] = function;
    process.module().writable.clear();
    std::vector<LocatorAttempt> attempts;
    ASSERT_THAT(open(process, &attempts), IsOk());
    EXPECT_EQ(attempts.back().method, "code of PyInterpreterState_Head (3.6)");
  }
}

TEST(Locate, TrustsSysHexversionMoreThanSimilarStructures) {
  PyProcess process(*layout_for(9), 0,
                    "/opt/app/server");  // 3.10 has the same runtime and interpreter
  const auto found = open(process);
  ASSERT_THAT(found, IsOk());
  EXPECT_EQ(found->version().minor, 9);
}

TEST(Locate, RejectsALayoutThatSysHexversionContradicts) {
  PyProcess process(*layout_for(9), 0, "/usr/lib/libpython3.10.so.1.0");
  const auto found = open(process);
  ASSERT_THAT(found, HasErrc(Errc::kUnsupported));
  EXPECT_THAT(found.error().why, HasSubstr("sys.hexversion says 3.9.1"));
}

TEST(Locate, PrefersPyVersionToTheFileName) {
  PyProcess process(*layout_for(11), 0, "/opt/python3.9");
  const RemoteAddr version = process.image().allocate(8);
  process.memory().write(version, std::uint64_t{0x030b07f0});
  process.module().symbols["Py_Version"] = version;
  const auto found = open(process);
  ASSERT_THAT(found, IsOk());
  EXPECT_EQ(found->version().text(), "3.11.7");
}

TEST(Locate, RefusesFreeThreadedBuildsByName) {
  PyProcess process(*layout_for(14));
  process.write_debug_offsets(0x030e02f0, true);
  const auto found = open(process);
  ASSERT_THAT(found, HasErrc(Errc::kUnsupported));
  EXPECT_THAT(found.error().message, HasSubstr("free-threaded build of 3.14.2 (python3.14t)"));
}

TEST(Locate, RefusesAnUnknownVersionUnlessALayoutIsAssumed) {
  PyProcess process(*layout_for(15), 0x031000f0);
  const auto found = open(process);
  ASSERT_THAT(found, HasErrc(Errc::kUnsupported));
  EXPECT_THAT(found.error().message, HasSubstr("3.16.0"));
  EXPECT_THAT(found.error().why, HasSubstr("3.15"));
  EXPECT_THAT(found.error().hint, HasSubstr("--assume-layout"));
  const auto assumed = open(process, nullptr, 15);
  ASSERT_THAT(assumed, IsOk());
  EXPECT_EQ(assumed->version().text(), "3.16.0");
  EXPECT_EQ(assumed->layout().minor, 15);
}

TEST(Locate, RefusesPython2) {
  PyProcess process(*layout_for(6), 0, "/usr/lib/libpython2.7.so.1.0");
  const auto found = open(process);
  ASSERT_THAT(found, HasErrc(Errc::kUnsupported));
  EXPECT_THAT(found.error().message, HasSubstr("CPython 2.7"));
}

TEST(Locate, DoesNotUseDebugOffsetsThatCannotBe) {
  for (const std::uint64_t value : {std::uint64_t{0}, std::uint64_t{0x99999}, ~std::uint64_t{0}}) {
    PyProcess process(*layout_for(13));
    const DebugOffsetsTable table = debug_offsets_table(13);
    process.memory().write(process.image().runtime() + table.sizes[0].size,
                           value == 0x99999 ? ~value : value);
    if (value == 0x99999)
      process.memory().write(process.image().runtime() + table.fields[8].at, value);
    EXPECT_THAT(open(process), HasErrc(Errc::kUnsupported));
  }
}

TEST(Locate, FollowsDebugOffsetsThatDifferFromTheTable) {
  Layout moved = *layout_for(13);
  Slot& slot = moved.slots[static_cast<std::size_t>(Field::kThreadThreadId)];
  slot.offset += 16;
  PyProcess process(moved);
  const auto found = open(process);
  ASSERT_THAT(found, IsOk());
  EXPECT_EQ(found->layout().offset(Field::kThreadThreadId), slot.offset);
  EXPECT_THAT(found->layout().source, HasSubstr("debug offsets of the target at"));
}

TEST(Locate, AProcessWithoutPythonIsUnsupported) {
  FakeModule module("/usr/bin/cat");
  FakeSymbols symbols;
  symbols.list = {&module};
  testing::FakeMemory memory;
  const auto found = Interpreter::open(memory, {}, symbols, {}, nullptr);
  ASSERT_THAT(found, HasErrc(Errc::kUnsupported));
  EXPECT_THAT(found.error().why, HasSubstr("no such symbol"));
}

TEST(Locate, APythonThatHasNotMappedItsLibraryIsNotReady) {
  FakeModule module("/usr/bin/python3.9");
  FakeSymbols symbols;
  symbols.list = {&module};
  testing::FakeMemory memory;
  EXPECT_THAT(Interpreter::open(memory, {}, symbols, {}, nullptr), HasErrc(Errc::kUnreadable));
}

TEST(Locate, FindsCPythonInAPluginOfAnotherProgram) {
  PyProcess process(*layout_for(11), 0, "/opt/app/python_plugin.so");
  FakeModule program("/opt/app/uwsgi");
  FakeSymbols symbols;
  symbols.list = {&program, &process.module()};
  const auto found = Interpreter::open(process.memory(), {}, symbols, {}, nullptr);
  EXPECT_THAT(found, IsOk());
}

}  // namespace
}  // namespace memspy::cpython
