// What the keys of `top` do to its state. Pure, so that each key has a test.
#pragma once

#include <vector>

#include "cli/top_view.h"

namespace memspy::cli {

// Keys that are no character; characters are themselves.
enum TopKey : int {
  kKeyNone = 0,
  kKeyBackspace = 8,
  kKeyEnter = 10,
  kKeyEscape = 27,
  kKeyUp = 1000,
  kKeyDown,
  kKeyResize,
};

// What the caller has to do beyond drawing anew.
enum class TopAction { kNone, kLeave, kResetBaseline, kWriteRecording, kTakeCensus };

// A text that is typed after `/`. True: it is done, `state.query.filter` holds it or is as it was.
bool edit_filter(int key, TopState& state);

TopAction handle_key(int key, TopState& state, const std::vector<ThreadRecord>& threads);

}  // namespace memspy::cli
