#include "sampler/fault_matcher.h"

#include <algorithm>

namespace memspy::sampler {
namespace {

using attach::FaultRecord;
using cpython::RawFrame;
using cpython::RawStack;

constexpr std::size_t kMaxPlaces = 4096;  // then all are forgotten; they are learnt again within seconds
constexpr std::size_t kMaxCodes = 4096;
constexpr std::size_t kMaxSlots = 6;
// The pointer is at the instruction, or behind it and its inline caches.
constexpr std::uint64_t kMaxAhead = 24;

std::uint64_t place_key(const FaultRecord& record) {
  std::uint64_t key = record.code * 0x9e3779b97f4a7c15ULL;
  key = (key ^ record.stack) * 0xff51afd7ed558ccdULL;
  return key ^ key >> 29;
}

bool same_callers(const RawStack& a, const RawStack& b) {
  return a.frames.size() == b.frames.size() && a.truncated == b.truncated &&
         a.frames.front().code == b.frames.front().code &&
         std::equal(a.frames.begin() + 1, a.frames.end(), b.frames.begin() + 1,
                    [](const RawFrame& x, const RawFrame& y) {
                      return x.code == y.code && x.instruction == y.instruction;
                    });
}

std::int32_t stack_key(std::int32_t instruction, bool collecting) { return instruction * 2 + (collecting ? 1 : 0); }

}  // namespace

void FaultMatcher::remember(const RawStack& stack) {
  if (codes_.size() >= kMaxCodes) codes_.clear();
  const std::uint64_t begin = stack.bytecode.value;
  const std::uint64_t end = begin + static_cast<std::uint64_t>(stack.bytecode_size);
  // Code that was freed, and whose memory is used again.
  auto next = codes_.upper_bound(begin);
  while (next != codes_.end() && next->first < end) next = codes_.erase(next);
  Code& code = codes_[begin];
  if (code.end == end && same_callers(code.stack, stack)) return;
  if (code.end != end) ++generation_;
  code.end = end;
  code.stack = stack;
  code.stacks.clear();
}

bool FaultMatcher::learn(const FaultRecord& record, const RawStack& stack, StackId id, Evidence evidence) {
  if (stack.frames.empty() || stack.bytecode_size <= 0) return false;
  const std::uint64_t begin = stack.bytecode.value;
  const std::uint64_t at = begin + static_cast<std::uint64_t>(std::max(stack.frames.front().instruction, 0));
  std::vector<Slot> found;
  for (std::size_t i = 0; i < record.words.size() && found.size() < kMaxSlots; ++i) {
    const std::uint64_t ahead = record.words[i] - at;
    if (ahead > kMaxAhead) continue;
    found.push_back({static_cast<std::uint16_t>(i), static_cast<std::int16_t>(ahead)});
  }
  if (found.empty() && evidence == Evidence::kMaybe) return false;
  remember(stack);
  if (places_.size() >= kMaxPlaces) places_.clear();
  const auto [it, fresh] = places_.try_emplace(place_key(record));
  Place& place = it->second;
  if (fresh) ++generation_;
  place.collecting = stack.collecting;
  place.last = id;
  if (found.empty()) return true;
  // A word that held the pointer each time is where it is saved; the others were left there by chance.
  std::vector<Slot> kept;
  for (const Slot& slot : place.slots) {
    const auto same = [&](const Slot& other) { return other.word == slot.word; };
    if (const auto now = std::find_if(found.begin(), found.end(), same); now != found.end()) kept.push_back(*now);
  }
  if (kept.empty()) ++generation_;
  place.slots = kept.empty() ? std::move(found) : std::move(kept);
  return true;
}

FaultMatcher::Code* FaultMatcher::find_code(std::uint64_t instruction, std::uint64_t& begin) {
  auto it = codes_.upper_bound(instruction);
  if (it == codes_.begin()) return nullptr;
  --it;
  begin = it->first;
  return instruction < it->second.end ? &it->second : nullptr;
}

std::optional<StackId> FaultMatcher::match(const FaultRecord& record, const Intern& intern) {
  const auto known = places_.find(place_key(record));
  if (known == places_.end()) return std::nullopt;
  const Place& place = known->second;
  if (place.slots.empty()) return place.last;
  for (const Slot& slot : place.slots) {
    if (slot.word >= record.words.size()) continue;
    const std::uint64_t instruction = record.words[slot.word] - static_cast<std::uint64_t>(slot.ahead);
    std::uint64_t begin = 0;
    Code* code = find_code(instruction, begin);
    if (code == nullptr) continue;
    const auto offset = static_cast<std::int32_t>(instruction - begin);
    const auto [it, fresh] = code->stacks.try_emplace(stack_key(offset, place.collecting));
    if (fresh) {
      RawStack stack = code->stack;
      stack.frames.front().instruction = offset;
      stack.collecting = place.collecting;
      it->second = intern(stack);
    }
    return it->second;
  }
  return std::nullopt;
}

}  // namespace memspy::sampler
