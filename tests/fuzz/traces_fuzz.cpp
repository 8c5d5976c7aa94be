// Damages tracemalloc's tables in any version and reads them: never a crash, a hang or more traces,
// frames and names than there is memory to hold them; and once the damage is undone, they read as
// before. Input: the version, then edits of four bytes each: where (u16), how, with what.
#include <map>
#include <optional>
#include <tuple>

#include "by_version.h"
#include "cpython/layouts.h"
#include "cpython/traces/read_traces.h"
#include "edits.h"
#include "require.h"
#include "support/trace_image.h"

namespace {

using memspy::RemoteAddr;
using memspy::testing::PyProcess;
using memspy::testing::TraceImage;
namespace cpython = memspy::cpython;

constexpr RemoteAddr kBlock{0x7f3000001000};

class Traces {
 public:
  explicit Traces(int minor)
      : stripped_(minor % 2 == 0), process_(cpython::layout_for(minor).value()) {
    begin_ = process_.image().allocate(1);
    TraceImage image(process_, 32, /*long_keys=*/minor == 8);
    const RemoteAddr app = image.add_stack({{"/srv/é.py", 12}, {"main.py", 3}}, 40);
    const RemoteAddr other = image.add_stack({{"<unknown>", 0}});
    for (std::uint64_t i = 0; i < 40; ++i)
      image.add(kBlock + 0x70 * i, i, i % 2 == 0 ? app : other, i % 8 == 0 && minor > 7 ? 7 : 0);
    if (stripped_) image.strip();
    end_ = process_.image().allocate(1);
    interpreter_.emplace(image.open());
    map_ = image.map();
    for (const auto& [start, bytes] : process_.memory().segments()) {
      pristine_[start] = bytes;
      bytes_ += bytes.size();
    }
    before_ = read();
    MEMSPY_REQUIRE(std::get<0>(before_) == 40);
  }

  void run(const std::uint8_t* data, std::size_t size) {
    for (std::size_t i = 0; i + 4 <= size; i += 4) edit(data + i);
    read();
    for (auto& [start, bytes] : process_.memory().segments()) bytes = pristine_.at(start);
    MEMSPY_REQUIRE(read() == before_);
  }

 private:
  using Summary = std::tuple<std::size_t, std::uint64_t, std::size_t, std::size_t>;

  Summary read() {
    const auto table =
        cpython::read_traces({*interpreter_, process_.memory(), map_, process_.symbols()});
    if (!table || !*table) return {};
    const memspy::TraceTable& found = **table;
    MEMSPY_REQUIRE(found.traces.size() <= bytes_ / 32);
    MEMSPY_REQUIRE(found.frames.size() <= bytes_ / 12 + 1);
    std::uint64_t name_bytes = 0;
    for (const std::string& name : found.files) name_bytes += name.size();
    MEMSPY_REQUIRE(name_bytes <= 5 * bytes_);
    for (const memspy::Trace& trace : found.traces) {
      MEMSPY_REQUIRE(trace.stack < found.stacks.size());
      const auto frames = found.frames_of(found.stacks[trace.stack]);
      MEMSPY_REQUIRE(!frames.empty());
      for (const auto& frame : frames) MEMSPY_REQUIRE(frame.file < found.files.size());
    }
    return {found.traces.size(), found.traced_bytes, found.frames.size(), found.files.size()};
  }

  void edit(const std::uint8_t* what) {
    const std::size_t where = what[0] | static_cast<std::size_t>(what[1]) << 8;
    const std::uint64_t length = end_.value - begin_.value;
    const RemoteAddr byte = begin_ + where * length / 65536 % (length - 8);
    const RemoteAddr word{byte.value & ~std::uint64_t{7}};
    switch (what[2] % 3) {
      case 0:
        return process_.memory().write(byte, what[3]);
      case 1:
        return process_.memory().write(word, memspy::fuzz::special_word(what[3]));
      default:  // a pointer to some other place of the tables
        return process_.memory().write(
            word, begin_.value + std::uint64_t{what[3]} * length / 256 / 8 * 8);
    }
  }

  bool stripped_;
  PyProcess process_;
  RemoteAddr begin_, end_;
  std::optional<cpython::Interpreter> interpreter_;
  memspy::MemoryMap map_;
  std::map<RemoteAddr, std::vector<std::byte>> pristine_;
  std::uint64_t bytes_ = 0;
  Summary before_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return memspy::fuzz::run_by_version<Traces>(data, size);
}
