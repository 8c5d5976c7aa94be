// A profile's stacks as every output shows them: named, merged by name, positive, in a stable
// order.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "recording/profile.h"

namespace memspy::recording {

inline constexpr const char* kUnattributed = "[unattributed]";

// Short names of files: the last component, and as many folders before it as tell it from the other
// files of the profile. A path that is the tail of another one is taken for the same file.
class FileNames {
 public:
  FileNames(const StackTable& stacks, bool full);
  const std::string& name(const std::string& file) const;

 private:
  std::unordered_map<std::string, std::string> names_;
};

// `function (file.py:LINE)`; markers stay as they are.
std::string frame_text(const Frame& frame, const FileNames& files, const StackShape& shape);

struct ShapedFrame {
  std::string text;  // as it is printed
  std::string function;
  std::string file;       // as the target names it; "" for markers
  std::string file_name;  // as it is printed
  std::int32_t line = 0;  // 0: not known, or not asked for
  FrameKind kind = FrameKind::kPython;
  CodeAddress code = {};  // of a native one: the first of those that have this text
};

struct ShapedStack {
  std::vector<std::uint32_t> frames;  // into ShapedProfile::frames, outermost first; never empty
  std::uint64_t amount = 0;           // > 0; of the profile's measure
  std::uint64_t samples = 0;
};

struct ShapedProfile {
  std::vector<ShapedFrame> frames;  // sorted by text
  std::vector<ShapedStack> stacks;  // sorted by their frames' texts
  std::uint64_t total = 0;          // of the stacks
  Measure measure = Measure::kBytes;
};

// Mode alloc: the CPU time that each stack spent allocating. Else what is asked for, of each stack,
// and `[unattributed]` for what no stack explains. Stacks that are not positive are left out.
// kTemporary: of the whole run, whatever the window. In a whole run no stack gives back more than
// it touched, so the total is attributed + unattributed growth; in a window, what a stack gave back
// of memory touched before counts as shrink.
ShapedProfile shape_stacks(const Profile& profile, const StackShape& shape,
                           Amount amount = Amount::kNet);

}  // namespace memspy::recording
