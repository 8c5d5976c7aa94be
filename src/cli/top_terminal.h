// The terminal as `top` needs it; a test has one of its own.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <vector>

#include "cli/top_view.h"
#include "memspy/result.h"

namespace memspy::cli {

class TopTerminal {
 public:
  virtual ~TopTerminal() = default;
  virtual std::size_t width() const = 0;
  virtual std::size_t height() const = 0;
  virtual void draw(const std::vector<ScreenLine>& lines) = 0;
  // Waits for a key at most this long; kKeyNone when none came.
  virtual int read_key(std::chrono::milliseconds timeout) = 0;
};

// The real one. While it lives the screen is ours; its end gives it back. kUsage: a terminal that
// can not be drawn on.
Result<std::unique_ptr<TopTerminal>> open_curses_terminal(bool colour);

}  // namespace memspy::cli
