#include "sampler/fault_matcher.h"

#include <algorithm>
#include <cstdlib>
#include <tuple>
#include <utility>

#include "sampler/code_ranges.h"

namespace memspy::sampler {
namespace {

using attach::FaultRecord;
using cpython::RawFrame;
using cpython::RawStack;

// Then all are forgotten: they are learnt again within seconds.
constexpr std::size_t kMaxPlaces = 4096, kMaxStacks = 4096;
constexpr std::uint64_t kFirstAddress = 4096, kLastAddress = (1ULL << 47) - 1;  // of user mode
// Words that every record has whose thread's stack goes so far.
constexpr std::size_t kShortRecord =
    attach::kFaultRegisters + attach::kLeastStackBytes / sizeof(std::uint64_t);

std::uint64_t bytecode_of(const RawStack& stack) { return stack.frames.front().bytecode.value; }

FaultPlaces::Key place_key(const FaultRecord& record, std::uint64_t stack_base) {
  return {stack_base - record.stack, record.code};
}

}  // namespace

std::optional<RemoteAddr> FaultMatcher::stranger(const FaultRecord& record,
                                                 std::uint64_t stack_base) const {
  const auto* place = places_.find(place_key(record, stack_base));
  if (place != nullptr && !place->usable().empty())
    return stranger_at(record, place->usable().front());
  for (const FaultPlaces::Anchor& anchor : places_.anchors()) {
    const auto slot = FaultPlaces::slot_of(record, stack_base, anchor);
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
  function = below_outer(std::move(function));
  remember(function, false).chains.suppose(function, false);
}

RawStack FaultMatcher::below_outer(RawStack function) const {
  function.frames.resize(1);
  function.truncated = false;
  if (!root_) return function;
  const auto outer = places_.outer(*root_);
  function.frames.insert(function.frames.end(), outer.rbegin(), outer.rend());
  return function;
}

// Threads of one kind run the same code; those of another begin elsewhere.
bool FaultMatcher::may_be_ours(const RawStack& stack) const {
  return !root_ || stack.frames.back().code == root_->code;
}

// The code of the stack's innermost frame, new or known.
FaultMatcher::Code& FaultMatcher::remember(const RawStack& stack, bool callers_known) {
  const std::uint64_t begin = bytecode_of(stack);
  const std::uint64_t end = begin + static_cast<std::uint64_t>(stack.bytecode_size);
  Code& code = make_room(codes_, begin, end);
  places_.remember({begin, end, stack, callers_known});
  if (code.end == end && code.function == stack.frames.front().code) return code;
  if (code.end != end) ++generation_;
  code = Code{};
  code.function = stack.frames.front().code;
  code.end = end;
  return code;
}

bool FaultMatcher::learn(const FaultRecord& record, std::uint64_t stack_base, const RawStack& stack,
                         StackId id, FaultEvidence evidence) {
  if (stack.frames.empty() || stack.bytecode_size <= 0) return false;
  const FaultPlaces::Key key = place_key(record, stack_base);
  if (!places_.learn(key, record, stack, evidence)) return false;
  CallerChains& chains = remember(stack, true).chains;
  if (evidence == FaultEvidence::kStopped) {
    chains.enter(stack, {&record, stack_base});
  } else {
    chains.enter(stack);
  }
  if (!stack.truncated) root_ = stack.frames.back();
  places_.note_outer(stack);
  const auto* place = places_.find(key);
  if (place->blank || (!place->slots.empty() && place->slots.front().word >= kShortRecord)) {
    if (last_.size() >= kMaxPlaces && !last_.contains(key)) last_.clear();
    const auto [last, fresh] = last_.try_emplace(key, id);
    if (fresh) ++generation_;
    // Beside the thread no native frames are read: those of a stop stay.
    if (evidence == FaultEvidence::kStopped || distinct_ == Distinct::kLines) last->second = id;
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
  code.function = shared->stack.frames.front().code;
  const bool ours = shared->callers_known && may_be_ours(shared->stack);
  code.chains.suppose(ours ? shared->stack : below_outer(shared->stack), ours);
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
  return stack_at(find_instruction(likeliest, likeliest.size(), record), {&record, stack_base},
                  place->collecting, intern);
}

std::optional<StackId> FaultMatcher::guess(const FaultRecord& record, std::uint64_t stack_base,
                                           const Intern& intern) {
  const FaultPlaces::Key key = place_key(record, stack_base);
  const auto* own = places_.find(key);
  std::vector<Found> found;
  const auto add = [&](const FaultPlaces::Slot& slot) {
    if (const Found here = find_innermost(slot, record); here.code != nullptr)
      found.push_back(here);
  };
  for (const FaultPlaces::Anchor& anchor : places_.anchors())
    if (const auto slot = FaultPlaces::slot_of(record, stack_base, anchor)) add(*slot);
  for (const auto* place : {own, places_.find_nearby(key)}) {
    if (place != nullptr) std::for_each(place->slots.begin(), place->slots.end(), add);
  }
  const auto innermost = std::find_if(found.begin(), found.end(), [&](const Found& here) {
    return std::none_of(found.begin(), found.end(),
                        [&](const Found& other) { return calls(here, other); });
  });
  if (innermost == found.end()) return std::nullopt;
  return stack_at(*innermost, {&record, stack_base}, own != nullptr && own->collecting, intern);
}

// Was `outer` seen among the callers of `inner`? What it did before that call may still lie where
// a loop keeps its instruction.
bool FaultMatcher::calls(const Found& outer, const Found& inner) {
  const auto& frames = inner.code->chains.last().stack.frames;
  return outer.code != inner.code &&
         std::any_of(frames.begin() + 1, frames.end(),
                     [&](const RawFrame& frame) { return frame.code == outer.code->function; });
}

// What a word says that no stop has vouched for. Not a frame that has called a Python function
// there: before 3.11 each frame has an evaluation loop of its own, and this may be that of one
// further out; since then a loop leaves its callers' instructions behind.
FaultMatcher::Found FaultMatcher::find_innermost(const FaultPlaces::Slot& slot,
                                                 const FaultRecord& record) {
  const Found found = find_instruction(std::span(&slot, 1), 1, record);
  if (found.code == nullptr) return {};
  RawFrame frame = found.code->chains.last().stack.frames.front();
  frame.instruction = found.offset;
  return places_.is_call(frame) ? Found{} : found;
}

std::optional<StackId> FaultMatcher::stack_at(const Found& found, RecordInThread record,
                                              bool collecting, const Intern& intern) const {
  if (found.code == nullptr) return std::nullopt;
  CallerChains::Chain& chain = found.code->chains.choose(record);
  if (chain.stacks.size() >= kMaxStacks) chain.stacks.clear();
  CallerChains::Innermost innermost{.instruction = found.offset, .collecting = collecting};
  if (distinct_ == Distinct::kPlaces)
    std::tie(innermost.depth, innermost.code) = place_key(*record.record, record.stack_base);
  if (const auto it = chain.stacks.find(innermost); it != chain.stacks.end()) return it->second;
  RawStack stack = chain.stack;
  stack.frames.front().instruction = found.offset;
  stack.collecting = collecting;
  const InternedStack interned = intern(*record.record, stack, chain.known);
  if (interned.whole) chain.stacks.emplace(innermost, interned.stack);
  return interned.stack;
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
