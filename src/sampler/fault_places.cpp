#include "sampler/fault_places.h"

#include <algorithm>
#include <utility>

#include "sampler/code_ranges.h"

namespace memspy::sampler {
namespace {

using attach::FaultRecord;
using cpython::RawFrame;
using cpython::RawStack;

// Then all are forgotten: they are learnt again within seconds.
constexpr std::size_t kMaxPlaces = 4096;
constexpr std::size_t kMaxAnchors = 16;
constexpr std::size_t kFewStops = 100;
constexpr std::size_t kMaxRoots = 64, kFewFunctions = 8;
// Enough for numpy, which may be used for the first time while little is known.
constexpr std::size_t kFirstReach = attach::kFaultRegisters + 7680 / sizeof(std::uint64_t);
constexpr std::size_t kMaxSlots = 8, kMaxCalls = 1U << 16;
constexpr std::uint64_t kNearby = 1024;  // bytes of native code

// A word that held the instruction by chance is not believed for long. One guess is no evidence.
constexpr std::uint16_t kSureScore = 4, kGuessScore = 1, kUsableScore = 2, kMaxScore = 40;

std::vector<FaultPlaces::Slot> slots_with(const FaultRecord& record, std::uint64_t instruction,
                                          std::uint16_t score) {
  std::vector<FaultPlaces::Slot> found;
  for (std::size_t i = 0; i < record.words.size() && found.size() < kMaxSlots; ++i) {
    const std::uint64_t ahead = record.words[i] - instruction;
    if (ahead > kMaxAhead) continue;
    found.push_back({static_cast<std::uint16_t>(i), static_cast<std::int16_t>(ahead), score});
  }
  return found;
}
// How far behind the stack pointer a word of a record lies.
std::uint64_t depth_of_word(std::size_t word) {
  return (word - attach::kFaultRegisters) * sizeof(std::uint64_t);
}

// What was found again gains, what was not loses half.
void merge_slots(std::vector<FaultPlaces::Slot>& slots,
                 const std::vector<FaultPlaces::Slot>& found) {
  using Slot = FaultPlaces::Slot;
  for (Slot& slot : slots) {
    const auto again = std::find_if(found.begin(), found.end(),
                                    [&](const Slot& s) { return s.word == slot.word; });
    if (again == found.end()) {
      slot.score /= 2;
    } else {
      slot.score =
          std::min<std::uint16_t>(static_cast<std::uint16_t>(slot.score + again->score), kMaxScore);
      slot.ahead = again->ahead;
    }
  }
  for (const Slot& slot : found) {
    const bool known =
        std::any_of(slots.begin(), slots.end(), [&](const Slot& s) { return s.word == slot.word; });
    if (!known) slots.push_back(slot);
  }
  std::erase_if(slots, [](const Slot& slot) { return slot.score == 0; });
  std::stable_sort(slots.begin(), slots.end(),
                   [](const Slot& a, const Slot& b) { return a.score > b.score; });
  if (slots.size() > kMaxSlots) slots.resize(kMaxSlots);
}

}  // namespace

std::span<const FaultPlaces::Slot> FaultPlaces::Place::usable() const {
  const auto end = std::find_if(slots.begin(), slots.end(),
                                [](const Slot& s) { return s.score < kUsableScore; });
  return {slots.begin(), end};
}

std::size_t FaultPlaces::Place::rivals() const {
  const auto all = usable();
  const auto end = std::find_if(all.begin(), all.end(),
                                [&](const Slot& s) { return s.score != all.front().score; });
  return static_cast<std::size_t>(end - all.begin());
}

bool FaultPlaces::learn(Key key, const FaultRecord& record, const RawStack& stack,
                        FaultEvidence evidence) {
  const bool sure = evidence == FaultEvidence::kStopped;
  const std::uint64_t instruction =
      stack.frames.front().bytecode.value +
      static_cast<std::uint64_t>(std::max(stack.frames.front().instruction, 0));
  const auto found = slots_with(record, instruction, sure ? kSureScore : kGuessScore);
  if (found.empty() && !sure) return false;
  if (places_.size() >= kMaxPlaces && !places_.contains(key)) places_.clear();
  Place& place = places_[key];
  if (evidence == FaultEvidence::kWaited &&
      std::exchange(place.waited_for, instruction) == instruction)
    return false;
  place.collecting = stack.collecting;
  const bool was_blank = place.blank;
  const std::size_t rivals = place.rivals();
  merge_slots(place.slots, found);
  place.blank = place.usable().empty() && (sure || place.blank);
  if (sure) note_anchor(key, place);
  if (sure && !place.usable().empty()) {
    reach_ = std::max(reach_, place.slots.front().word + 1UL);
    ++stops_;
  }
  if (place.blank != was_blank || place.rivals() != rivals) ++generation_;
  return true;
}

std::size_t FaultPlaces::reach() const {
  return stops_ < kFewStops ? std::max(reach_, kFirstReach) : reach_;
}

void FaultPlaces::note_anchor(Key key, const Place& place) {
  if (place.usable().empty() || place.slots.front().word < attach::kFaultRegisters) return;
  const Slot& slot = place.slots.front();
  const std::uint64_t depth = key.first - depth_of_word(slot.word);
  auto it = std::find_if(anchors_.begin(), anchors_.end(),
                         [&](const Anchor& anchor) { return anchor.depth == depth; });
  if (it == anchors_.end()) {
    if (anchors_.size() >= kMaxAnchors) anchors_.pop_back();
    it = anchors_.insert(anchors_.end(), {depth, slot.ahead, 0});
    ++generation_;
  }
  it->ahead = slot.ahead;
  ++it->seen;
  for (; it != anchors_.begin() && std::prev(it)->seen < it->seen; --it)
    std::iter_swap(it, std::prev(it));
}

std::optional<FaultPlaces::Slot> FaultPlaces::slot_of(const FaultRecord& record,
                                                      std::uint64_t stack_base,
                                                      const Anchor& anchor) {
  const std::uint64_t depth = stack_base - record.stack, behind = depth - anchor.depth;
  const std::uint64_t word = attach::kFaultRegisters + behind / sizeof(std::uint64_t);
  if (anchor.depth > depth || behind % sizeof(std::uint64_t) != 0 || word >= record.words.size())
    return std::nullopt;
  return Slot{static_cast<std::uint16_t>(word), anchor.ahead, kGuessScore};
}

const FaultPlaces::Place* FaultPlaces::find(Key key) const {
  const auto it = places_.find(key);
  return it == places_.end() ? nullptr : &it->second;
}

const FaultPlaces::Place* FaultPlaces::find_nearby(Key key) const {
  const auto [depth, code] = key;
  const Place* nearest = nullptr;
  std::uint64_t distance = kNearby;
  for (auto it = places_.lower_bound({depth, code - std::min(code, kNearby)});
       it != places_.end() && it->first.first == depth && it->first.second <= code + kNearby;
       ++it) {
    const std::uint64_t there = it->first.second;
    const std::uint64_t away = there > code ? there - code : code - there;
    if (it->second.usable().empty() || away >= distance) continue;
    nearest = &it->second;
    distance = away;
  }
  return nearest;
}

void FaultPlaces::remember(const Code& code) {
  Code& known = make_room(codes_, code.begin, code.end);
  if (known.end != code.end) ++generation_;
  known = code;
  if (calls_.size() >= kMaxCalls) calls_.clear();
  for (std::size_t i = 1; i < code.stack.frames.size(); ++i)
    calls_.emplace(code.stack.frames[i].code, code.stack.frames[i].instruction);
}

void FaultPlaces::note_outer(const RawStack& stack) {
  if (stack.truncated) return;
  const auto& frames = stack.frames;  // innermost first
  if (outer_.size() >= kMaxRoots && !outer_.contains(frames.back().code)) outer_.clear();
  Outer& outer = outer_[frames.back().code];
  std::size_t shared = frames.size() - 1;
  if (!outer.functions.empty()) {
    const std::size_t most = std::min(shared, outer.frames.size());
    for (shared = 0; shared < most; ++shared)
      if (outer.frames[shared].code != frames[frames.size() - 1 - shared].code) break;
  }
  outer.frames.assign(frames.rbegin(), frames.rbegin() + static_cast<std::ptrdiff_t>(shared));
  if (outer.functions.size() < kMaxCodes) outer.functions.insert(frames.front().code);
}

std::span<const RawFrame> FaultPlaces::outer(const RawFrame& root) const {
  const auto it = outer_.find(root.code);
  if (it == outer_.end()) return {};
  const std::span<const RawFrame> frames = it->second.frames;
  return it->second.functions.size() < kFewFunctions
             ? frames.first(std::min<std::size_t>(frames.size(), 1))
             : frames;
}

// By how much a word is ahead depends on the instruction, and an anchor's is that of another.
bool FaultPlaces::is_call(const RawFrame& frame) const {
  constexpr auto kAhead = static_cast<std::int32_t>(kMaxAhead);
  const auto it = calls_.lower_bound({frame.code, frame.instruction - kAhead});
  return it != calls_.end() && it->first == frame.code && it->second <= frame.instruction + kAhead;
}

const FaultPlaces::Code* FaultPlaces::find_code(std::uint64_t instruction) const {
  const auto it = holding(codes_, instruction);
  return it == codes_.end() ? nullptr : &it->second;
}

}  // namespace memspy::sampler
