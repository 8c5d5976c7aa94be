// Which stack first touched which resident page, kept until the page is given back.
//
// A sample names one page and stands for `faults` faults of its thread. The ledger keeps the page
// as the witness of that weight: when pagemap says that the page is gone, or somebody touches it
// anew, the weight is returned. What is resident at the start is the baseline: it has no owner, and
// what goes of it is shrink.
//
//   chunk = 2 MiB of address space
//     baseline  1 bit a page: resident when the run began, and still
//     present   1 bit a page: resident when last read
//     live      the samples whose page is there: page, weight, owner, age
//
// Where a program maps and unmaps the same addresses over and over, most touches are not sampled
// and no witness tells of their end: then more pages are claimed in a chunk than it holds. settle()
// takes back what younger claims leave no pages for, once the process' RSS says that too much is
// explained.
//
// One thread (the collector). Memory: about 24 bytes a live sample, 160 bytes a chunk.
#pragma once

#include <bitset>
#include <cstdint>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "memspy/frame.h"
#include "memspy/memory_map.h"
#include "memspy/process.h"
#include "memspy/result.h"
#include "sampler/chunk.h"

namespace memspy::sampler {

inline constexpr std::size_t kMaxLiveSamples =
    200'000;  // then two of one owner and chunk become one

// What the ledger asks of a process' page tables; /proc/PID/pagemap, or a fake.
class PageTables {
 public:
  virtual ~PageTables() = default;
  // One bit per page from `start` on: resident (not swapped out). False: not readable.
  virtual bool read_present(RemoteAddr start, std::vector<bool>& present) = 0;
  // Is this 2 MiB range mapped by one huge page? nullopt: this kernel does not tell.
  virtual std::optional<bool> is_huge(RemoteAddr chunk_start) = 0;
};

struct LedgerOwner {
  ThreadIndex thread;
  StackId stack;
  auto operator<=>(const LedgerOwner&) const = default;
};

// What changed for one owner since the last drain.
struct LedgerDelta {
  LedgerOwner owner;
  std::uint64_t touched_pages = 0;
  std::uint64_t returned_pages = 0;
  std::uint32_t samples = 0;
};

// Faults whose claims are on their way, by chunk; kNoChunk: nobody knows where. One in a huge page
// will claim all of it.
using AwaitedFaults = std::unordered_map<ChunkIndex, std::int64_t>;

class PageLedger {
 public:
  explicit PageLedger(PageTables& tables) : tables_(tables) {}

  // What is resident now has no owner. `map`: the process' mappings.
  void take_baseline(const MemoryMap& map);
  // A page of `map`'s file-backed mappings brings its neighbours along (fault-around); the others
  // count `faults` pages. A null page is a sample whose address is not known.
  void touch(const LedgerOwner& owner, RemoteAddr page, std::uint64_t faults, const MemoryMap& map);
  // What was touched in this range is `stack`'s from now on, whoever touched it.
  void reassign(RemoteAddr start, std::uint64_t bytes, StackId stack);
  // From here on a touch of a page that is held already is a copy-on-write: it moves no RSS.
  void note_fork() { fork_age_ = ++age_; }

  // Looks at the chunks touched since the last call: gone pages are returned, huge pages weighed.
  void check_touched();
  // Looks at every page of `map`. Costs about 10 ms a GiB. False: there is nothing to read (any
  // more), and nothing has changed.
  bool audit(const MemoryMap& map);
  // RSS says that `limit` pages are to be explained. More is claimed: takes back what audit()
  // showed to be claimed twice. Less is: what came up without a fault beside pages that were
  // touched came with them (a huge page, split since); a huge page whose one fault was not recorded
  // belongs to whoever touched its neighbours; what went from one place and came up at another has
  // moved (mremap), and stays with its owner, or in the baseline. The rest goes to whoever has
  // touched the same chunks. Claims are always a little behind RSS, those of `awaited` are known to
  // be: while sampling goes on only what was without a claim at the settle() before is looked at,
  // and the rest only once it has been missing for long. kLast: no more claims will come. After
  // audit() only.
  enum class Settling { kGoesOn, kLast };
  void settle(std::int64_t limit_pages, const AwaitedFaults& awaited, const MemoryMap& map,
              Settling settling);

  std::vector<LedgerDelta> drain();

  std::int64_t net_pages() const { return net_pages_; }         // touched - returned
  std::uint64_t shrink_pages() const { return shrink_pages_; }  // of the baseline; less after moves
  std::uint64_t copied_pages() const { return copied_pages_; }  // copy-on-write after a fork
  std::uint64_t huge_pages() const { return huge_pages_; }      // 2 MiB pages weighed
  std::size_t live_samples() const { return live_samples_; }

 private:
  struct Live {
    std::uint64_t age;
    std::uint32_t owner;   // index into owners_
    std::uint32_t weight;  // pages it stands for
    std::uint16_t page;    // in the chunk
  };
  struct Chunk {
    std::bitset<kChunkPages> baseline, present, claimed;
    std::vector<Live> live;
    std::uint16_t unclaimed = 0;  // pages that came and had no claim at the last settle()
    std::uint16_t awaited = 0;    // …and will be claimed, at the settle() at hand
    bool dirty = false;
    bool huge = false;             // one page: its live samples stand for all of it…
    std::uint64_t huge_age = 0;    // …those up to this age
    std::uint64_t weight() const;  // pages claimed by samples
    std::uint64_t held() const;    // pages that came since the baseline, as last read
    std::bitset<kChunkPages> unwitnessed() const;  // …those that no sample names
  };
  struct Edge {
    const Live* sample = nullptr;
    std::uint64_t distance = UINT64_MAX;  // pages
  };
  // The claims of a chunk that there are no pages for, by their place in Chunk::live: oldest first.
  struct Crowding {
    std::vector<std::size_t> gone;  // a younger one, of another stack, has the page itself
    std::vector<std::pair<std::size_t, std::uint32_t>> lacking;  // …so many of those around it
  };
  static constexpr std::uint64_t kHugeShortfall =
      16;  // pages without a claim that are worth a look

  std::uint32_t owner_index(const LedgerOwner& owner);
  void add(std::uint32_t owner, std::uint64_t pages);
  void give_back(std::uint32_t owner, std::uint64_t pages);
  void lose(const Live& sample);
  void drop_weightless(Chunk& chunk);
  void mark_huge(Chunk& chunk);
  bool replace_live(Chunk& chunk, std::uint16_t page, std::uint64_t faults);
  std::uint64_t take_from_baseline(Chunk& chunk, std::size_t page, std::uint64_t faults);
  std::uint64_t fault_around(Chunk& chunk, RemoteAddr page, const Mapping& mapping);
  void update(ChunkIndex index, Chunk& chunk, const std::bitset<kChunkPages>& present);
  void weigh_huge(ChunkIndex index, Chunk& chunk);
  void review_huge(ChunkIndex index, Chunk& chunk);
  void drop_older(Chunk& chunk, std::uint64_t age);
  void shrink_older(Chunk& chunk, std::uint64_t age);
  void grow(Chunk& chunk, std::uint64_t pages);
  bool scan(const MemoryMap& map, bool baseline);
  void take_back(std::int64_t surplus);
  std::int64_t take_back_from(Chunk& chunk, std::int64_t surplus);
  Crowding crowding_of(const Chunk& chunk) const;
  void take_back_unplaced(std::int64_t surplus);
  std::uint64_t open_room(const Chunk& chunk) const;
  void note_unclaimed();
  std::int64_t reserve(const AwaitedFaults& awaited);
  std::int64_t fill_up(std::int64_t deficit, std::uint64_t room);
  std::int64_t long_missing(std::int64_t missing);
  std::int64_t adopt_huge(std::int64_t deficit, const MemoryMap& map);
  const Live* nearest_sample(ChunkIndex index, const Mapping& mapping) const;
  Edge edge_of(ChunkIndex index, bool highest, const Mapping& mapping) const;
  std::int64_t follow_moves(std::int64_t deficit);
  std::int64_t follow_moves(std::int64_t deficit,
                            std::unordered_map<std::uint32_t, std::uint64_t>& from);
  std::uint64_t place_moved(Chunk& chunk, std::uint32_t owner, std::uint64_t pages);
  bool holds_moved(const Chunk& chunk, std::uint64_t room) const;
  std::int64_t follow_baseline(std::int64_t deficit, std::uint64_t& gone);
  void merge_pairs();

  PageTables& tables_;
  std::unordered_map<ChunkIndex, Chunk> chunks_;
  std::vector<ChunkIndex> dirty_;
  std::vector<LedgerDelta> owners_;  // deltas since the last drain
  std::unordered_map<std::uint64_t, std::uint32_t> owner_index_;
  std::vector<std::uint32_t> changed_;
  std::unordered_map<std::uint32_t, std::uint64_t> unplaced_;  // owner -> pages without an address
  // owner -> pages gone since the last settle(), and since the one before it
  std::unordered_map<std::uint32_t, std::uint64_t> gone_, gone_before_;
  std::uint64_t baseline_gone_ = 0, baseline_gone_before_ = 0;  // the same of the baseline
  Settling settling_ = Settling::kLast;                         // of the settle() at hand
  std::vector<bool> buffer_;
  std::uint64_t age_ = 0, fork_age_ = 0;
  std::int64_t net_pages_ = 0;
  std::uint64_t shrink_pages_ = 0, copied_pages_ = 0, huge_pages_ = 0;
  std::size_t live_samples_ = 0;
  std::vector<std::int64_t> missing_;  // at the last few settle()s
  std::size_t merge_at_ = kMaxLiveSamples;
};

}  // namespace memspy::sampler
