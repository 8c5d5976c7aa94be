#include <curses.h>
#include <clocale>

#include "cli/top_keys.h"
#include "cli/top_terminal.h"

namespace memspy::cli {
namespace {

constexpr int kEscapeDelayMs = 25;  // long enough for an arrow key's sequence, short for a person

class CursesTerminal final : public TopTerminal {
 public:
  explicit CursesTerminal(bool colour) {
    std::setlocale(LC_CTYPE, "");  // NOLINT(concurrency-mt-unsafe): before the session's thread
    initscr();
    cbreak();
    noecho();
    nonl();
    keypad(stdscr, TRUE);
    set_escdelay(kEscapeDelayMs);
    curs_set(0);
    colour_ = colour && has_colors();
    if (!colour_) return;
    start_color();
    use_default_colors();
    init_pair(kHotPair, COLOR_YELLOW, -1);
    init_pair(kMessagePair, COLOR_CYAN, -1);
  }
  ~CursesTerminal() override { endwin(); }
  CursesTerminal(const CursesTerminal&) = delete;
  CursesTerminal& operator=(const CursesTerminal&) = delete;

  std::size_t width() const override { return static_cast<std::size_t>(COLS); }
  std::size_t height() const override { return static_cast<std::size_t>(LINES); }

  void draw(const std::vector<ScreenLine>& lines) override {
    erase();
    for (std::size_t i = 0; i < lines.size() && i < height(); ++i) {
      const attr_t attributes = attributes_of(lines[i].style);
      attrset(static_cast<int>(attributes));
      mvaddstr(static_cast<int>(i), 0, lines[i].text.c_str());
      if (lines[i].style == LineStyle::kColumns || lines[i].style == LineStyle::kSelected)
        mvchgat(static_cast<int>(i), 0, -1, attributes, 0, nullptr);
    }
    attrset(A_NORMAL);
    refresh();
  }

  int read_key(std::chrono::milliseconds timeout_ms) override {
    timeout(static_cast<int>(timeout_ms.count()));
    const int key = getch();
    switch (key) {
      case ERR:
        return kKeyNone;
      case KEY_UP:
        return kKeyUp;
      case KEY_DOWN:
        return kKeyDown;
      case KEY_RESIZE:
        return kKeyResize;
      case KEY_BACKSPACE:
        return kKeyBackspace;
      case KEY_ENTER:
      case '\r':
        return kKeyEnter;
      default:
        return key;
    }
  }

 private:
  static constexpr short kHotPair = 1, kMessagePair = 2;

  attr_t attributes_of(LineStyle style) const {
    switch (style) {
      case LineStyle::kTitle:
        return A_BOLD;
      case LineStyle::kColumns:
      case LineStyle::kSelected:
        return A_REVERSE;
      case LineStyle::kHot:
        return colour_ ? static_cast<attr_t>(COLOR_PAIR(kHotPair)) : A_NORMAL;
      case LineStyle::kDim:
        return A_DIM;
      case LineStyle::kMessage:
        return colour_ ? static_cast<attr_t>(COLOR_PAIR(kMessagePair)) : A_NORMAL;
      case LineStyle::kNormal:
        break;
    }
    return A_NORMAL;
  }

  bool colour_ = false;
};

}  // namespace

std::unique_ptr<TopTerminal> open_curses_terminal(bool colour) {
  return std::make_unique<CursesTerminal>(colour);
}

}  // namespace memspy::cli
