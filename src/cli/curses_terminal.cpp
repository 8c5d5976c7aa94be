#include <curses.h>
#include <langinfo.h>
#include <clocale>

#include <spdlog/fmt/fmt.h>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "cli/hints.h"
#include "cli/plain_terminal.h"
#include "cli/top_keys.h"
#include "cli/top_terminal.h"

namespace memspy::cli {
namespace {

constexpr int kEscapeDelayMs = 25;  // long enough for an arrow key's sequence, short for a person

// In an empty root, or of a terminal newer than the host, there is no description to be found.
Result<Unit> take_screen() {
  if (newterm(nullptr, stdout, stdin) != nullptr) return Unit{};
  const char* name = std::getenv("TERM");  // NOLINT(concurrency-mt-unsafe): no other thread yet
  const std::string term = name == nullptr ? "" : name;
  if (!term.empty() && term != "dumb" && term != "unknown") {
    ::setenv("TERM", kPlainTerminalName, 1);  // NOLINT(concurrency-mt-unsafe)
    ::setenv("TERMINFO", kPlainTerminal, 1);  // NOLINT(concurrency-mt-unsafe)
    if (newterm(nullptr, stdout, stdin) != nullptr) return Unit{};
  }
  return usage_error(fmt::format("top cannot draw on the terminal \"{}\"", term),
                     "no terminfo entry says how", "TERM=xterm memspy top ..., or --batch");
}

// Where the locale is not UTF-8, as in an empty root, which has none: the marks that top draws
// with, in ASCII; a '?' for whatever else is not.
std::string in_ascii(const std::string& text) {
  constexpr std::string_view kBars = "_.,-=+*#";  // U+2581 to U+2588
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte < 0x80) {
      out += text[i];
    } else if (text.compare(i, 2, "\u00b5") == 0) {
      out += 'u';
    } else if (text.compare(i, 2, "\u2581", 2) == 0 && i + 2 < text.size()) {
      const auto bar = static_cast<unsigned char>(text[i + 2]) - 0x81U;
      out += bar < kBars.size() ? kBars[bar] : '?';
    } else if (byte >= 0xc0) {
      out += '?';
    }
  }
  return out;
}

class CursesTerminal final : public TopTerminal {
 public:
  // The screen is taken.
  explicit CursesTerminal(bool colour) {
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
      const std::string& text = lines[i].text;
      mvaddstr(static_cast<int>(i), 0, (utf8_ ? text : in_ascii(text)).c_str());
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
  const bool utf8_ = std::string_view(nl_langinfo(CODESET)) == "UTF-8";
};

}  // namespace

Result<std::unique_ptr<TopTerminal>> open_curses_terminal(bool colour) {
  std::setlocale(LC_CTYPE, "");  // NOLINT(concurrency-mt-unsafe): before the session's thread
  MEMSPY_CHECK(take_screen());
  return std::unique_ptr<TopTerminal>(std::make_unique<CursesTerminal>(colour));
}

}  // namespace memspy::cli
