// Names of native frames. A recording has their addresses, and may have the names that were found
// for them: so outputs are the same wherever they are derived, and names can be looked for anew.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "memspy/frame.h"
#include "recording/profile.h"

namespace memspy::recording {

// What one native frame stands for: the functions inlined at its address, innermost first, then the
// one they are in. Empty: nothing is known.
using NameFrame = std::function<std::vector<Frame>(const Frame&)>;

bool has_native_frames(const StackTable& stacks);
std::vector<CodeAddress> native_addresses(const StackTable& stacks);

// Asks for the names of native frames: of all, or of those only that the profile has none for. Names
// with lines that the profile has stay where those that are found have none.
enum class NamesWanted { kAll, kMissing };
void find_names(Profile& profile, NamesWanted wanted, const NameFrame& name);

// Puts the profile's names in the place of its addresses. Afterwards no stack has the ids that the
// recording has.
void expand_names(Profile& profile);

// Adds the profile's names to the recording that it was loaded from, which nobody writes any more.
// Ids must be the recording's still.
Result<Unit> store_names(const std::string& path, const Profile& profile);

}  // namespace memspy::recording
