// Damages pools, arenas and their arrays in any version, and sweeps and predicts: never a crash, a
// hang, or more blocks than there is room for; once the damage is undone, all is as before.
// Input: the version, then edits of four bytes each: where (u16), how, with what.
#include <map>

#include "by_version.h"
#include "cpython/layouts.h"
#include "cpython/pools/block_content.h"
#include "cpython/pools/frontier.h"
#include "cpython/pools/pool_sweep.h"
#include "edits.h"
#include "require.h"
#include "support/pymalloc_image.h"

namespace {

using memspy::RemoteAddr;
using memspy::testing::PymallocImage;
using memspy::testing::PyProcess;
namespace cpython = memspy::cpython;

class Pools {
 public:
  explicit Pools(int minor)
      : process_(cpython::layout_for(minor).value()),
        layout_(std::make_shared<cpython::Layout>(process_.image().layout())) {
    PymallocImage heap(process_, 1);
    std::vector<RemoteAddr> taken;
    for (std::uint32_t i = 0; i < 300; ++i) taken.push_back(heap.take(i % 3 * 7));
    for (std::size_t i = 0; i < taken.size(); i += 2) heap.give_back(taken[i]);
    map_ = heap.map();
    cpython::Anchors anchors;
    anchors.runtime = process_.image().runtime();
    anchors.interpreters_head = process_.image().interpreters_head();
    if (layout_->strategies.obmalloc == cpython::ObmallocPlace::kStatics) {
      anchors.arenas = process_.arenas_variable();
      anchors.max_arenas = process_.module().symbols["maxarenas"];
    }
    interpreter_.emplace(cpython::Version{}, layout_, anchors);
    arena_ = heap.arena(0);
    for (const auto& [start, bytes] : process_.memory().segments()) pristine_[start] = bytes;
    before_ = read();
    MEMSPY_REQUIRE(before_ > 0);
  }

  void run(const std::uint8_t* data, std::size_t size) {
    for (std::size_t i = 0; i + 4 <= size; i += 4) edit(data + i);
    read();
    for (auto& [start, bytes] : process_.memory().segments()) bytes = pristine_.at(start);
    MEMSPY_REQUIRE(read() == before_);
  }

 private:
  // Blocks in use.
  std::uint64_t read() {
    const auto& memory = process_.memory();
    auto arenas = cpython::ArenaList(*interpreter_).read(memory, map_);
    std::uint64_t room = 0;
    for (const auto& mapping : map_) room += mapping.size();
    cpython::PoolSweep sweep(*layout_);
    cpython::Frontier frontier(*layout_, memory);
    frontier.set_arenas(arenas);
    sweep.begin(std::move(arenas));
    std::size_t steps = 0;
    while (!sweep.step(memory, 64)) MEMSPY_REQUIRE(++steps <= room / 4096 + 1);
    MEMSPY_REQUIRE(sweep.counts().used_bytes() <= 64 * room);
    frontier.set_used_pools(sweep.used_pools());
    cpython::BlockContent content(*layout_, memory);
    std::uint64_t blocks = 0;
    for (std::uint32_t c = 0; c < cpython::kSizeClasses; ++c) {
      blocks += sweep.counts().used[c];
      frontier.set_block_bytes(c, (c + 1) * 16);
      for (const std::uint64_t nth : {0ULL, 5ULL, 60ULL, 5000ULL}) {
        const auto block = frontier.find(c, nth);
        if (!block) continue;
        (void)frontier.use_of(*block);
        (void)content.judge(block->address);
        const auto bytes = content.copy(block->address, block->block_bytes);
        MEMSPY_REQUIRE(content.same_object(bytes, bytes));
      }
    }
    return blocks;
  }

  // The first pools, where blocks are, and the array of arenas behind the interpreter's structures.
  void edit(const std::uint8_t* what) {
    const std::size_t where = what[0] | static_cast<std::size_t>(what[1]) << 8;
    const bool table = what[2] % 4 == 3;
    const RemoteAddr begin = table ? process_.arena_table() : arena_;
    const std::uint64_t length = table ? 16 * layout_->size(cpython::Struct::kArena) : 65536;
    const RemoteAddr byte = begin + where % (length - 8);
    const RemoteAddr word{byte.value & ~std::uint64_t{7}};
    switch (what[2] / 4 % 3) {
      case 0:
        return process_.memory().write(byte, what[3]);
      case 1:
        return process_.memory().write(word, memspy::fuzz::special_word(what[3]));
      default:
        return process_.memory().write(word, arena_.value + std::uint64_t{what[3]} * 1024);
    }
  }

  PyProcess process_;
  std::shared_ptr<cpython::Layout> layout_;
  std::optional<cpython::Interpreter> interpreter_;
  memspy::MemoryMap map_;
  RemoteAddr arena_;
  std::map<RemoteAddr, std::vector<std::byte>> pristine_;
  std::uint64_t before_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return memspy::fuzz::run_by_version<Pools>(data, size);
}
