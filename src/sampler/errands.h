// What other threads ask of the tracer thread: ptrace belongs to the one that seized, and so does a
// still copy of a target that is being sampled.
#pragma once

#include <functional>
#include <mutex>
#include <utility>
#include <vector>

#include "attach/seizure.h"

namespace memspy::sampler {

class Errands {
 public:
  using Errand = std::function<void(attach::Seizure&)>;

  void add(Errand errand) {
    const std::lock_guard lock(mutex_);
    waiting_.push_back(std::move(errand));
  }
  // Tracer thread, between two rounds.
  void run(attach::Seizure& seizure) {
    for (const Errand& errand : take()) errand(seizure);
  }
  // What has not begun will not.
  void clear() { take(); }

 private:
  std::vector<Errand> take() {
    const std::lock_guard lock(mutex_);
    return std::exchange(waiting_, {});
  }

  std::mutex mutex_;
  std::vector<Errand> waiting_;
};

}  // namespace memspy::sampler
