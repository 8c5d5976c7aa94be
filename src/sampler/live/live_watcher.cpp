#include "sampler/live/live_watcher.h"

#include <utility>

#include "base/duration.h"

namespace memspy::sampler {
namespace {

using namespace std::chrono_literals;
using cpython::BlockUse;
using Write = cpython::BlockContent::Write;

constexpr auto kRest = 50ms;        // while nothing grows
constexpr double kLookAgain = 0.6;  // of the age at the last look

}  // namespace

SteadyTime LiveWatcher::advance(SteadyTime now) {
  if (now < end_) return end_;
  switch (phase_) {
    case Phase::kWatching:
      end_round();
      phase_ = Phase::kSettling;
      end_ = now + settling_;
      return end_;
    case Phase::kSettling:
      judge(now);
      if (rest_ <= 0ns) break;
      phase_ = Phase::kResting;
      end_ = now + rest_;
      return end_;
    case Phase::kResting:
      break;
  }
  odds_.next_round();
  if (!odds_.grows()) {
    phase_ = Phase::kResting;
    end_ = now + kRest;
    return end_;
  }
  draw(now);
  phase_ = Phase::kWatching;
  end_ = round_end_ = std::chrono::steady_clock::time_point(now) + round_;
  return end_;
}

// Blocks first, then watches: the less time between, the fewer are taken meanwhile.
void LiveWatcher::draw(SteadyTime now) {
  ++rounds_;
  // As much is taken in the rest as in the round, for its length.
  const double stands_for = to_seconds(round_ + settling_ + rest_) / to_seconds(round_);
  std::size_t draws = 0;
  while (draws < kWatches && purse_.take(kMostStops, now)) ++draws;
  for (std::size_t i = 0; i < draws; ++i) {
    const LiveOdds::Draw draw = odds_.draw();
    ++counts_.drawn;
    const auto block = frontier_.find(draw.size_class, draw.nth);
    Slot& slot = slots_[i];
    slot = {};
    const double weight = draw.weight * stands_for / static_cast<double>(draws);
    if (!block || add_to_watched(i, *block, weight)) {
      if (!block) ++counts_.missed;
      purse_.undo(kMostStops);
      continue;
    }
    slot.block = *block;
    slot.nth = draw.nth;
    slot.weight = weight;
    slot.state = State::kArmed;
    const bool armed = port_.arm(i, block->address + cpython::BlockContent::kMark);
    if (!armed) {
      ++counts_.missed;
      retire(i);
    } else if (const BlockUse use = frontier_.use_of(*block);
               use == BlockUse::kUsed || use == BlockUse::kUnreadable) {
      slot.late = true;
      slot.objects.set_occupied();
    }  // else it is free, or in a pool that is not in use yet
  }
}

// Drawn again in this round, a block counts for both.
bool LiveWatcher::add_to_watched(std::size_t before, const cpython::FreeBlock& block,
                                 double weight) {
  for (std::size_t i = 0; i < before; ++i) {
    Slot& slot = slots_[i];
    if (slot.state == State::kIdle || slot.block.address != block.address) continue;
    slot.weight += weight;
    return true;
  }
  return false;
}

void LiveWatcher::retire(std::size_t i) {
  Slot& slot = slots_[i];
  if (slot.state != State::kIdle && slot.state != State::kWorn) {
    port_.disarm(i);
    purse_.give_back(kMostStops - slot.stops);
  }
  slot = {};
}

void LiveWatcher::on_write(std::size_t i, Write write, bool collecting,
                           std::optional<LiveOwner> owner, SteadyTime now) {
  Slot& slot = slots_[i];
  if (slot.state != State::kArmed && slot.state != State::kTaken) return;
  ++slot.stops;
  ++counts_.stops;
  if (!collecting || slot.state == State::kArmed) {
    note_write(slot, write, owner, now);
  } else {
    (void)slot.objects.begins(write);  // the collector ends objects, too
  }
  if (slot.stops < kMostStops) return;
  ++counts_.worn;
  port_.disarm(i);
  purse_.charge(static_cast<double>(port_.take_untold(i)));  // of other threads, by now
  if (slot.late && slot.state == State::kArmed) {
    ++counts_.late;
    slot = {};
    return;
  }
  slot.state = State::kWorn;
}

void LiveWatcher::note_write(Slot& slot, Write write, const std::optional<LiveOwner>& owner,
                             SteadyTime now) {
  const bool first = slot.state == State::kArmed;
  const bool begins = slot.objects.begins(write);
  if (first && slot.late && !begins) return;  // by whom it was taken unwatched
  if (first) odds_.note_taken(slot.block.size_class, slot.nth);
  if (begins && now <= round_end_) slot.objects.note(owner);
  // Of the one that is there, or its end: who ends an object does not take its block.
  const bool of_old = write == Write::kLink || (write == Write::kZero && slot.objects.ended());
  if (!first && !begins && of_old) return;
  slot.state = State::kTaken;
  slot.owner = owner;
  slot.taken = now;
}

void LiveWatcher::end_round() {
  for (std::size_t i = 0; i < kWatches; ++i) end_watch(i);
}

// One that was taken goes on being watched: whoever takes it anew while it settles has the wrong
// round, and nobody else may count.
void LiveWatcher::end_watch(std::size_t i) {
  Slot& slot = slots_[i];
  if (slot.state == State::kIdle) return;
  if (slot.state == State::kTaken && port_.take_untold(i) == 0) return;
  if (slot.state == State::kArmed &&
      (slot.late || frontier_.use_of(slot.block) != BlockUse::kUsed)) {
    ++(slot.late ? counts_.late : counts_.missed);
    return retire(i);
  }
  if (slot.state != State::kWorn) {
    port_.disarm(i);
    purse_.give_back(kMostStops - slot.stops);
  }
  slot.state = State::kUnseen;
  slot.owner.reset();
  slot.taken = round_end_;
  slot.content = content_.copy(slot.block.address, slot.block.block_bytes);
}

void LiveWatcher::judge(SteadyTime now) {
  for (std::size_t i = 0; i < kWatches; ++i) judge(i, now);
}

void LiveWatcher::judge(std::size_t i, SteadyTime now) {
  Slot& slot = slots_[i];
  if (slot.state == State::kUnseen) {
    const auto content = content_.copy(slot.block.address, slot.block.block_bytes);
    const bool kept = frontier_.use_of(slot.block) == BlockUse::kUsed &&
                      content_.same_object(slot.content, content);
    ++(kept ? counts_.kept_unseen : counts_.temporary);
    tell_temporaries(slot, kept);
    if (kept)
      book_.add({slot.block, {}, slot.weight, slot.taken, now, content, {}, false, rounds_});
    slot = {};
    return;
  }
  if (slot.state == State::kTaken) {
    const bool whose = slot.taken <= round_end_ && port_.take_untold(i) == 0;
    const bool kept = whose && frontier_.use_of(slot.block) == BlockUse::kUsed;
    ++(kept ? counts_.kept : counts_.temporary);
    tell_temporaries(slot, kept);
    if (kept) {
      book_.add({slot.block,
                 slot.owner,
                 slot.weight,
                 slot.taken,
                 now,
                 content_.copy(slot.block.address, slot.block.block_bytes),
                 {},
                 follows_,
                 rounds_});
    }
  }
  retire(i);
}

void LiveWatcher::tell_temporaries(Slot& slot, bool kept) {
  if (kept) slot.objects.forget_last();
  temporaries_.add(slot.objects);
}

// Those that are followed: one that has lived for long is looked at less often, so that its age is
// known to a part of it. If there is time left, one of the others.
void LiveWatcher::review(std::size_t count, SteadyTime now) {
  std::size_t left = count;
  for (std::size_t i = book_.size(); i > 0 && left > 0; --i) {
    const LiveBlock& kept = book_.at(i - 1);
    const bool due = to_seconds(now - kept.seen) >= kLookAgain * to_seconds(kept.seen - kept.taken);
    if (!kept.followed || !due) continue;
    --left;
    look_at(i - 1, now);
  }
  follows_ = left > 0;
  if (left == 0 || book_.size() == 0) return;
  cursor_ = cursor_ == 0 || cursor_ > book_.size() ? book_.size() - 1 : cursor_ - 1;
  look_at(cursor_, now);
}

void LiveWatcher::review_all(SteadyTime now) {
  for (std::size_t i = book_.size(); i > 0; --i) look_at(i - 1, now);
}

void LiveWatcher::look_at(std::size_t i, SteadyTime now) {
  LiveBlock& kept = book_.at(i);
  const BlockUse use = frontier_.use_of(kept.block);
  const bool there = use == BlockUse::kUnreadable ||
                     (use == BlockUse::kUsed &&
                      content_.same_object(
                          kept.content, content_.copy(kept.block.address, kept.block.block_bytes)));
  if (there) {
    kept.seen = now;
  } else {
    book_.drop(i, now);
    ++counts_.gone;
  }
}

void LiveWatcher::cease() {
  for (std::size_t i = 0; i < kWatches; ++i) retire(i);
  phase_ = Phase::kResting;
}

std::optional<RemoteAddr> LiveWatcher::watched(std::size_t i) const {
  const Slot& slot = slots_[i];
  if (slot.state != State::kArmed && slot.state != State::kTaken) return std::nullopt;
  return slot.block.address + cpython::BlockContent::kMark;
}

}  // namespace memspy::sampler
