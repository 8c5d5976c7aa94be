#include "sampler/merged_stack.h"

#include <gtest/gtest.h>

#include <string>

namespace memspy::sampler {
namespace {

constexpr std::uint64_t kLoop = 0x1000, kOther = 0x5000;

const unwind::CodeModule& interpreter() {
  static const unwind::CodeModule kModule = [] {
    unwind::CodeModule module;
    module.loop = {{kLoop, kLoop + 0x100}};
    return module;
  }();
  return kModule;
}

// 'L': a frame of the evaluation loop, 'c': another one. Innermost first, 0x100 of stack each.
unwind::NativeStack native(const std::string& kinds, bool complete = true) {
  unwind::NativeStack stack;
  for (std::size_t i = 0; i < kinds.size(); ++i) {
    unwind::NativeFrame frame;
    frame.place = {true, &interpreter(), kinds[i] == 'L' ? kLoop + 8 : kOther};
    frame.stack = 0x10000 + i * 0x100;
    frame.cfa = frame.stack + 0x100;
    stack.frames.push_back(frame);
  }
  stack.end = complete ? unwind::UnwindEnd::kOutermost : unwind::UnwindEnd::kCopyEnds;
  return stack;
}

cpython::RawStack python(std::vector<cpython::EntryCall> calls) {
  cpython::RawStack stack;
  for (const auto& call : calls) stack.frames.resize(stack.frames.size() + call.frames);
  stack.calls = std::move(calls);
  return stack;
}

// "p0 n2 …": which frame of which stack.
std::string merged(const unwind::NativeStack& native, const cpython::RawStack& python) {
  std::string text;
  for (const MergedFrame& frame : merge_stacks(native, python)) {
    if (!text.empty()) text += ' ';
    text += (frame.python ? "p" : "n") + std::to_string(frame.index);
  }
  return text;
}

TEST(MergedStack, ALoopBecomesTheFramesThatItRuns) {
  EXPECT_EQ(merged(native("cLcLc"), python({{2, {}}, {3, {}}})), "n0 p0 p1 n2 p2 p3 p4 n4");
}

TEST(MergedStack, ALoopThatHasJustBegunHasNoFrame) {
  EXPECT_EQ(merged(native("LcLc"), python({{2, {}}})), "n1 p0 p1 n3");
}

TEST(MergedStack, OfAStackThatIsCutTheInnermostCallsFit) {
  EXPECT_EQ(merged(native("cLc", false), python({{1, {}}, {2, {}}})), "n0 p0 n2 p1 p2");
}

TEST(MergedStack, TheInterpretersOwnFrameTellsTheLoop) {
  // The second loop has not put its frame there yet; the outermost one is no loop's.
  const auto calls = python({{1, {0x10110}}, {0, {0x10310}}, {2, {0x10550}}, {0, {0x900000}}});
  EXPECT_EQ(merged(native("cLcLcLc"), calls), "n0 p0 n2 n4 p1 p2 n6");
  const auto begins = python({{1, {0x10350}}, {2, {0x10550}}});
  EXPECT_EQ(merged(native("cLcLcLc"), begins), "n0 n2 p0 n4 p1 p2 n6");
}

TEST(MergedStack, NoPythonFrameIsLost) {
  EXPECT_EQ(merged(native("cc"), python({{2, {}}, {1, {}}})), "n0 n1 p0 p1 p2");
  EXPECT_EQ(merged(native(""), python({{2, {0x1234}}})), "p0 p1");
  // Calls that name more frames than there are: a hostile stack.
  cpython::RawStack odd = python({{1, {}}});
  odd.calls.front().frames = 100;
  EXPECT_EQ(merged(native("L"), odd), "p0");
}

TEST(MergedStack, ANativeThreadStaysAsItIs) { EXPECT_EQ(merged(native("ccc"), {}), "n0 n1 n2"); }

}  // namespace
}  // namespace memspy::sampler
