// Which size classes seem to grow since the last pass of the sweep, by looks at the first pool of
// each (cpython::FrontierPulse). A sign, not a count: it says where watching may pay before the
// next pass does, and what it gets wrong costs draws, never bytes. A class that takes and gives
// back shows signs as well; where passes say again and again that there was nothing in it, it
// takes more of them.
//
// Pure; tracer thread.
#pragma once

#include "cpython/pools/frontier_pulse.h"

namespace memspy::sampler {

class LivePulse {
 public:
  using Blocks = cpython::FrontierPulse::Blocks;

  // What a look has seen, so many seconds after the one before.
  void note(const Blocks& taken, double seconds);
  // A pass has ended: by how much each class has grown since the pass before.
  void note_pass(const Blocks& grown);
  // Since the last pass, at least: blocks taken less those given back.
  std::int64_t taken(std::uint32_t size_class) const { return classes_[size_class].taken; }
  // Blocks a second, lately; 0: no sign of growth.
  double rate(std::uint32_t size_class) const;

 private:
  struct Class {
    std::int64_t taken = 0;
    double rate = 0;   // moving average
    double trust = 1;  // in its signs
  };
  static bool shows(const Class& of);
  std::array<Class, cpython::kSizeClasses> classes_{};
};

}  // namespace memspy::sampler
