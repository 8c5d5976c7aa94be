#include "sampler/fault_matcher.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

namespace memspy::sampler {
namespace {

using attach::FaultRecord;
using cpython::RawFrame;
using cpython::RawStack;

// Then all are forgotten: they are learnt again within seconds.
constexpr std::size_t kMaxPlaces = 4096, kMaxCodes = 4096;
constexpr std::size_t kMaxAnchors = 16;
constexpr std::size_t kFewStops = 100;
// Enough for numpy, which may be used for the first time while little is known.
constexpr std::size_t kFirstReach = attach::kFaultRegisters + 7680 / sizeof(std::uint64_t);
constexpr std::uint64_t kFirstAddress = 4096, kLastAddress = (1ULL << 47) - 1;  // of user mode
constexpr std::size_t kMaxSlots = 8, kMaxStacks = 4096, kMaxCalls = 1U << 16;
// The pointer is at the instruction, or behind it and its inline caches.
constexpr std::uint64_t kMaxAhead = 24;
constexpr std::uint64_t kNearby = 1024;  // bytes of native code
// Words that every record has whose thread's stack goes so far.
constexpr std::size_t kShortRecord =
    attach::kFaultRegisters + attach::kLeastStackBytes / sizeof(std::uint64_t);

// A word that held the instruction by chance is not believed for long. One guess is no evidence.
constexpr std::uint16_t kSureScore = 4, kGuessScore = 1, kUsableScore = 2, kMaxScore = 40;

FaultPlaces::Key place_key(const FaultRecord& record, std::uint64_t stack_base) {
  return {stack_base - record.stack, record.code};
}

bool same_callers(const RawStack& a, const RawStack& b) {
  return a.frames.size() == b.frames.size() && a.truncated == b.truncated &&
         a.frames.front().code == b.frames.front().code &&
         std::equal(a.frames.begin() + 1, a.frames.end(), b.frames.begin() + 1,
                    [](const RawFrame& x, const RawFrame& y) {
                      return x.code == y.code && x.instruction == y.instruction;
                    });
}

// How far behind the stack pointer a word of a record lies.
std::uint64_t depth_of_word(std::size_t word) {
  return (word - attach::kFaultRegisters) * sizeof(std::uint64_t);
}

// Where an anchor lies in a record, if its stack goes so far.
std::optional<FaultPlaces::Slot> slot_of(const FaultRecord& record, std::uint64_t stack_base,
                                         const FaultPlaces::Anchor& anchor) {
  const std::uint64_t depth = stack_base - record.stack, behind = depth - anchor.depth;
  const std::uint64_t word = attach::kFaultRegisters + behind / sizeof(std::uint64_t);
  if (anchor.depth > depth || behind % sizeof(std::uint64_t) != 0 || word >= record.words.size())
    return std::nullopt;
  return FaultPlaces::Slot{static_cast<std::uint16_t>(word), anchor.ahead, kGuessScore};
}

std::int64_t stack_key(std::int64_t instruction, bool collecting) {
  return instruction * 2 + (collecting ? 1 : 0);
}

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

// Tables of code by where it begins. The entry that holds `at`; the end when there is none.
template <typename Codes>
auto holding(Codes& codes, std::uint64_t at) {
  auto it = codes.upper_bound(at);
  if (it == codes.begin() || at >= (--it)->second.end) return codes.end();
  return it;
}

// The entry of code from `begin` to `end`, new or known. What it reaches into was freed.
template <typename Codes>
auto& make_room(Codes& codes, std::uint64_t begin, std::uint64_t end) {
  if (codes.size() >= kMaxCodes && !codes.contains(begin)) codes.clear();
  auto next = codes.upper_bound(begin);
  while (next != codes.end() && next->first < end) next = codes.erase(next);
  return codes[begin];
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
      stack.bytecode.value +
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

bool FaultPlaces::is_call(const RawFrame& frame) const {
  return calls_.contains({frame.code, frame.instruction});
}

const FaultPlaces::Code* FaultPlaces::find_code(std::uint64_t instruction) const {
  const auto it = holding(codes_, instruction);
  return it == codes_.end() ? nullptr : &it->second;
}

std::optional<RemoteAddr> FaultMatcher::stranger(const FaultRecord& record,
                                                 std::uint64_t stack_base) const {
  const auto* place = places_.find(place_key(record, stack_base));
  if (place != nullptr && !place->usable().empty())
    return stranger_at(record, place->usable().front());
  for (const FaultPlaces::Anchor& anchor : places_.anchors()) {
    const auto slot = slot_of(record, stack_base, anchor);
    if (!slot) continue;
    if (const auto found = stranger_at(record, *slot)) return found;
  }
  return std::nullopt;
}

std::optional<RemoteAddr> FaultMatcher::stranger_at(const FaultRecord& record,
                                                    const FaultPlaces::Slot& slot) const {
  if (slot.word >= record.words.size()) return std::nullopt;
  const std::uint64_t word = record.words[slot.word];
  const std::uint64_t instruction = word - static_cast<std::uint64_t>(slot.ahead);
  if (word < kFirstAddress || word > kLastAddress) return std::nullopt;
  if (holding(codes_, instruction) != codes_.end() || places_.find_code(instruction) != nullptr)
    return std::nullopt;
  return RemoteAddr{instruction};
}

void FaultMatcher::introduce(RawStack function) {
  if (!last_seen_.frames.empty()) {
    function.frames.insert(function.frames.end(), last_seen_.frames.begin() + 1,
                           last_seen_.frames.end());
    function.truncated = last_seen_.truncated;
  }
  remember(function);
}

void FaultMatcher::remember(const RawStack& stack) {
  const std::uint64_t begin = stack.bytecode.value;
  const std::uint64_t end = begin + static_cast<std::uint64_t>(stack.bytecode_size);
  Code& code = make_room(codes_, begin, end);
  if (code.end == end && same_callers(code.stack, stack)) return;
  if (code.end != end) ++generation_;
  code.end = end;
  code.stack = stack;
  code.stacks.clear();
  places_.remember({begin, end, stack});
}

bool FaultMatcher::learn(const FaultRecord& record, std::uint64_t stack_base, const RawStack& stack,
                         StackId id, FaultEvidence evidence) {
  if (stack.frames.empty() || stack.bytecode_size <= 0) return false;
  const FaultPlaces::Key key = place_key(record, stack_base);
  if (!places_.learn(key, record, stack, evidence)) return false;
  remember(stack);
  last_seen_ = stack;
  const auto* place = places_.find(key);
  if (place->blank || (!place->slots.empty() && place->slots.front().word >= kShortRecord)) {
    if (last_.size() >= kMaxPlaces && !last_.contains(key)) last_.clear();
    if (last_.insert_or_assign(key, id).second) ++generation_;
  }
  return true;
}

// This thread's own knowledge first: its callers are its own.
FaultMatcher::Code* FaultMatcher::find_code(std::uint64_t instruction, std::uint64_t& begin) {
  if (const auto it = holding(codes_, instruction); it != codes_.end()) {
    begin = it->first;
    return &it->second;
  }
  const FaultPlaces::Code* shared = places_.find_code(instruction);
  // The next stop clears what is too much; until then pointers to what is there must stay good.
  if (shared == nullptr || codes_.size() >= 2 * kMaxCodes) return nullptr;
  begin = shared->begin;
  Code& code = codes_[begin];
  code.end = shared->end;
  code.stack = shared->stack;
  code.stacks.clear();
  return &code;
}

std::optional<StackId> FaultMatcher::match(const FaultRecord& record, std::uint64_t stack_base,
                                           const Intern& intern) {
  const FaultPlaces::Key key = place_key(record, stack_base);
  const auto* place = places_.find(key);
  if (place == nullptr) return std::nullopt;
  const auto usable = place->usable();
  const bool too_short = !usable.empty() && usable.front().word >= record.words.size();
  if (place->blank || too_short) {
    const auto it = last_.find(key);
    return it == last_.end() ? std::nullopt : std::optional(it->second);
  }
  // The likeliest words alone: where they point into a function that no stack has shown, what an
  // earlier call has left in another word is no better than nothing.
  const auto likeliest = usable.first(place->rivals());
  return stack_at(find_instruction(likeliest, likeliest.size(), record), place->collecting, intern);
}

std::optional<StackId> FaultMatcher::guess(const FaultRecord& record, std::uint64_t stack_base,
                                           const Intern& intern) {
  const FaultPlaces::Key key = place_key(record, stack_base);
  const auto* own = places_.find(key);
  if (const Found found = find_anchored(record, stack_base); found.code != nullptr)
    return stack_at(found, own != nullptr && own->collecting, intern);
  for (const auto* place : {own, places_.find_nearby(key)}) {
    if (place == nullptr) continue;
    const Found found = find_instruction(place->slots, 1, record);
    if (found.code != nullptr) return stack_at(found, place->collecting, intern);
  }
  return std::nullopt;
}

// Before 3.11 each Python frame has an evaluation loop of its own, and what lies at an anchor may
// be that of a frame further out: it stands at a call.
FaultMatcher::Found FaultMatcher::find_anchored(const FaultRecord& record,
                                                std::uint64_t stack_base) {
  for (const FaultPlaces::Anchor& anchor : places_.anchors()) {
    const auto slot = slot_of(record, stack_base, anchor);
    if (!slot) continue;
    const Found found = find_instruction(std::span(&*slot, 1), 1, record);
    if (found.code == nullptr) continue;
    RawFrame frame = found.code->stack.frames.front();
    frame.instruction = found.offset;
    if (!places_.is_call(frame)) return found;
  }
  return {};
}

std::optional<StackId> FaultMatcher::stack_at(const Found& found, bool collecting,
                                              const Intern& intern) {
  if (found.code == nullptr) return std::nullopt;
  auto& stacks = found.code->stacks;
  if (stacks.size() >= kMaxStacks) stacks.clear();
  const auto [it, fresh] = stacks.try_emplace(stack_key(found.offset, collecting));
  if (fresh) {
    RawStack stack = found.code->stack;
    stack.frames.front().instruction = found.offset;
    stack.collecting = collecting;
    it->second = intern(stack);
  }
  return it->second;
}

// By how much a word is ahead depends on the instruction's inline caches.
bool FaultMatcher::same_instruction(const Found& a, const Found& b) {
  return a.code == b.code && std::abs(a.offset - b.offset) <= static_cast<std::int32_t>(kMaxAhead);
}

// The likeliest word that points into known code. One that is as likely must not contradict it.
FaultMatcher::Found FaultMatcher::find_instruction(std::span<const FaultPlaces::Slot> slots,
                                                   std::size_t rivals, const FaultRecord& record) {
  Found found;
  for (std::size_t i = 0; i < slots.size() && (i < rivals || found.code == nullptr); ++i) {
    if (slots[i].word >= record.words.size()) continue;
    const std::uint64_t instruction =
        record.words[slots[i].word] - static_cast<std::uint64_t>(slots[i].ahead);
    std::uint64_t begin = 0;
    Code* code = find_code(instruction, begin);
    if (code == nullptr) continue;
    const Found here{code, static_cast<std::int32_t>(instruction - begin)};
    if (found.code == nullptr) found = here;
    if (!same_instruction(found, here)) return {};
  }
  return found;
}

}  // namespace memspy::sampler
