#include "sampler/caller_chains.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <utility>

#include "sampler/fault_places.h"

namespace memspy::sampler {
namespace {

using attach::FaultRecord;
using attach::kFaultRegisters;
using cpython::RawFrame;
using cpython::RawStack;

constexpr std::size_t kMaxMarks = 48;
constexpr std::size_t kMaxFrames = 4096;  // of all chains of one function
// A record's words lie in another core's cache: no more of them are looked at than it takes for one
// chain to be so far ahead, in eighths of a bit.
constexpr int kFarAhead = 80, kNoDifference = 12;
constexpr std::size_t kAtOnce = 8;  // marks
constexpr std::size_t kMaxDismissed = 128;
constexpr int kMaxCopies = 2;  // of one value: calls save what their callers have saved
constexpr std::size_t kMaxCallers = 12;
constexpr std::int8_t kEven = -8;  // as likely as not: one bit less
// Of a mark that a chain was not asked for yet: most marks are absent with most chains.
constexpr std::int8_t kUntoldThere = kEven, kUntoldMissing = -3;
constexpr int kNotYetUseless = 8;
constexpr std::uint8_t kMaxSeen = 100;  // then both counts are halved: what was long ago fades

bool same_callers(const RawStack& a, const RawStack& b) {
  return a.frames.size() == b.frames.size() && a.truncated == b.truncated &&
         a.frames.front().code == b.frames.front().code &&
         std::equal(a.frames.begin() + 1, a.frames.end(), b.frames.begin() + 1,
                    [](const RawFrame& x, const RawFrame& y) {
                      return x.code == y.code && x.instruction == y.instruction;
                    });
}

// Which words say something about the callers: addresses of frames, instructions of callers.
class Tellers {
 public:
  explicit Tellers(const RawStack& stack) {
    const std::size_t count = std::min(stack.frames.size(), kMaxCallers);
    for (std::size_t i = 0; i < count; ++i) {
      const RawFrame& frame = stack.frames[i];
      if (frame.frame) add(frame.frame.value, 0);
      if (i > 0 && frame.bytecode && frame.instruction >= 0)
        add(frame.bytecode.value + static_cast<std::uint64_t>(frame.instruction), kMaxAhead);
    }
  }
  bool tells(std::uint64_t word) const {
    if (word < least_ || word > most_) return false;
    return std::any_of(ranges_.begin(), ranges_.end(),
                       [&](const Range& range) { return word - range.begin <= range.length; });
  }

 private:
  struct Range {
    std::uint64_t begin, length;
  };
  void add(std::uint64_t begin, std::uint64_t length) {
    ranges_.push_back({begin, length});
    least_ = std::min(least_, begin);
    most_ = std::max(most_, begin + length);
  }

  std::vector<Range> ranges_;
  std::uint64_t least_ = ~std::uint64_t{0}, most_ = 0;
};

// What a mark is of. Depths in the stack are multiples of eight; a main thread's stack lies above
// its thread pointer, so they may be below zero.
constexpr std::uint64_t kInRegister = 1, kDepth = 2;

// What calls have saved of registers lies at depths of its own, whatever the function that they
// were saved by; what is still in a register says something at this instruction alone.
std::uint64_t where_of(RecordInThread in, std::size_t word) {
  if (word < kFaultRegisters) return in.record->code << 6U | word << 3U | kInRegister;
  const std::uint64_t address = in.record->stack + (word - kFaultRegisters) * sizeof(std::uint64_t);
  return in.stack_base - address;
}

// How deep the stack is at an instruction: where each Python call, or some of them, have an
// evaluation loop of their own, it tells how many there are, and reaches further than the record.
std::uint64_t depth_here(RecordInThread in) { return in.record->code << 6U | kDepth; }
std::uint64_t depth_of(RecordInThread in) { return in.stack_base - in.record->stack; }

// nullopt: the record does not reach so far, or is of another place.
std::optional<std::uint64_t> word_at(RecordInThread in, std::uint64_t where) {
  const FaultRecord& record = *in.record;
  if ((where & kDepth) != 0)
    return where == depth_here(in) ? std::optional(depth_of(in)) : std::nullopt;
  if ((where & kInRegister) != 0) {
    const std::size_t word = where >> 3U & 7U;
    if (word >= record.words.size() || where != where_of(in, word)) return std::nullopt;
    return record.words[word];
  }
  const std::uint64_t behind = in.stack_base - where - record.stack;
  const std::uint64_t word = kFaultRegisters + behind / sizeof(std::uint64_t);
  if (behind % sizeof(std::uint64_t) != 0 || word >= record.words.size()) return std::nullopt;
  return record.words[word];
}

std::int8_t eighths_of_a_bit(double likelihood) {
  return static_cast<std::int8_t>(std::lround(8 * std::log2(likelihood)));
}

}  // namespace

void CallerChains::count(Seen& seen, bool there) {
  ++(there ? seen.there : seen.missing);
  if (seen.there + seen.missing > kMaxSeen) {
    seen.there /= 2;
    seen.missing /= 2;
  }
  const double likelihood = (seen.there + 0.5) / (seen.there + seen.missing + 1.0);
  seen.if_there = eighths_of_a_bit(likelihood);
  seen.if_missing = eighths_of_a_bit(1 - likelihood);
}

CallerChains::Chain& CallerChains::add_chain(std::size_t depth) {
  if (chains_.size() < std::clamp<std::size_t>(kMaxFrames / depth, 2, kMaxChains)) {
    chains_.push_back({});
    chains_.back().number = static_cast<std::uint8_t>(chains_.size() - 1);
    return chains_.back();
  }
  const auto oldest =
      std::min_element(chains_.begin(), chains_.end(),
                       [](const Chain& a, const Chain& b) { return a.last_seen < b.last_seen; });
  for (Mark& mark : marks_) mark.seen[oldest->number] = {};
  oldest->stacks.clear();
  return *oldest;
}

CallerChains::Chain& CallerChains::chain_for(const RawStack& stack) {
  const auto it = std::find_if(chains_.begin(), chains_.end(), [&](const Chain& chain) {
    return same_callers(chain.stack, stack);
  });
  Chain& chain = it == chains_.end() ? add_chain(stack.frames.size()) : *it;
  chain.stack = stack;
  chain.last_seen = ++moment_;
  return chain;
}

CallerChains::Chain& CallerChains::enter(const RawStack& stack) {
  if (std::exchange(supposed_, false)) chains_.clear();
  return chain_for(stack);
}

void CallerChains::enter(const RawStack& stack, RecordInThread record) {
  const Chain& chain = enter(stack);
  if (chains_.size() == 1) return;
  learn_marks(chain, record);
  for (Mark& mark : marks_) {
    const auto word = word_at(record, mark.where);
    if (!word) continue;
    count(mark.seen[chain.number], *word == mark.value);
  }
  std::stable_sort(marks_.begin(), marks_.end(),
                   [&](const Mark& a, const Mark& b) { return usefulness(a) > usefulness(b); });
}

// How far apart chains are in how often they have the mark, in eighths of a bit. What all have
// tells nothing, and no more does what none has any more: frames of coroutines that are over.
int CallerChains::usefulness(const Mark& mark) const {
  int least = 0, most = std::numeric_limits<int>::min(), told = 0;
  for (std::size_t i = 0; i < chains_.size(); ++i) {
    const Seen& seen = mark.seen[i];
    if (seen.there + seen.missing == 0) continue;
    least = std::min<int>(least, seen.if_there);
    most = std::max<int>(most, seen.if_there);
    ++told;
  }
  if (told == 0) return kNotYetUseless;  // just learnt
  if (most < kEven) return 0;
  return told < 2 ? kNotYetUseless : most - least;
}

// A chain without a mark of its own loses to those that have some: where there is no room, the
// chain with most marks gives up its least useful one.
bool CallerChains::make_room(std::uint8_t teacher) {
  if (marks_.size() < kMaxMarks) return true;
  std::array<std::size_t, kMaxChains> taught{};
  for (const Mark& mark : marks_) ++taught[mark.teacher];
  const auto richest = std::max_element(taught.begin(), taught.end());
  const auto giver = static_cast<std::uint8_t>(richest - taught.begin());
  const bool share = *richest > taught[teacher] + 1;
  auto least = marks_.end();
  for (auto it = marks_.begin(); it != marks_.end(); ++it) {
    const bool useless = usefulness(*it) < kNotYetUseless;
    if (!useless && (!share || it->teacher != giver)) continue;
    if (least == marks_.end() || usefulness(*it) < usefulness(*least)) least = it;
  }
  if (least == marks_.end()) return false;
  if (usefulness(*least) < kNotYetUseless) {
    if (dismissed_.size() >= kMaxDismissed) dismissed_.clear();
    dismissed_.emplace_back(least->where, least->value);
  }
  marks_.erase(least);
  return true;
}

void CallerChains::add_mark(std::uint64_t where, std::uint64_t value, std::uint8_t teacher) {
  const bool known = std::any_of(marks_.begin(), marks_.end(), [&](const Mark& mark) {
    return mark.where == where && mark.value == value;
  });
  const bool dismissed =
      std::find(dismissed_.begin(), dismissed_.end(), std::pair(where, value)) != dismissed_.end();
  if (!known && !dismissed && make_room(teacher)) marks_.push_back({where, value, teacher, {}});
}

void CallerChains::learn_marks(const Chain& chain, RecordInThread record) {
  add_mark(depth_here(record), depth_of(record), chain.number);
  const Tellers tellers(chain.stack);
  std::map<std::uint64_t, int> copies;
  for (std::size_t i = 0; i < record.record->words.size(); ++i) {
    const std::uint64_t value = record.record->words[i];
    if (!tellers.tells(value) || ++copies[value] > kMaxCopies) continue;
    add_mark(where_of(record, i), value, chain.number);
  }
}

void CallerChains::suppose(const RawStack& stack, bool known) {
  if (!chains_.empty()) return;
  supposed_ = true;
  chain_for(stack).known = known;
}

const CallerChains::Chain& CallerChains::last() const {
  return *std::max_element(chains_.begin(), chains_.end(), [](const Chain& a, const Chain& b) {
    return a.last_seen < b.last_seen;
  });
}

void CallerChains::weigh(const Mark& mark, bool there, Likelihoods& likelihoods) const {
  for (std::size_t i = 0; i < chains_.size(); ++i) {
    const Seen& seen = mark.seen[i];
    const bool told = seen.there + seen.missing > 0;
    if (there) {
      likelihoods[i] += told ? seen.if_there : kUntoldThere;
    } else {
      likelihoods[i] += told ? seen.if_missing : kUntoldMissing;
    }
  }
}

bool CallerChains::decided(Likelihoods likelihoods) const {
  std::partial_sort(likelihoods.begin(), likelihoods.begin() + 2, likelihoods.begin() + count(),
                    std::greater<>());
  return likelihoods[0] - likelihoods[1] >= kFarAhead;
}

CallerChains::Chain& CallerChains::choose(RecordInThread record) {
  if (chains_.size() == 1) return chains_.front();
  Likelihoods likelihoods{};
  std::size_t looked_at = 0;
  for (const Mark& mark : marks_) {
    const auto word = word_at(record, mark.where);
    if (!word) continue;
    weigh(mark, *word == mark.value, likelihoods);
    if (++looked_at % kAtOnce == 0 && decided(likelihoods)) break;
  }
  // Nothing told those apart that are close together: how often each was seen must not decide, or
  // the commonest would have it all.
  const int best = *std::max_element(likelihoods.begin(), likelihoods.begin() + count());
  Chain* chosen = nullptr;
  for (Chain& chain : chains_) {
    if (likelihoods[chain.number] + kNoDifference < best) continue;
    if (chosen == nullptr || chain.last_seen > chosen->last_seen) chosen = &chain;
  }
  return *chosen;
}

}  // namespace memspy::sampler
