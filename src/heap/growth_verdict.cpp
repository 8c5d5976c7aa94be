// What the heap did between looks, in a sentence: which kind of memory grew, and what to do.
#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <vector>

#include <spdlog/fmt/fmt.h>

#include "base/byte_units.h"
#include "base/digits.h"
#include "heap/heap_look.h"
#include "heap/ledger_parts.h"

namespace memspy::heap {
namespace {

using snapshot::GrowthRow;
using snapshot::Look;
using snapshot::SnapshotDiff;

constexpr std::int64_t kObjectsMatter = 64 << 10;  // bytes; less is noise of any program
constexpr std::int64_t kPagesMatter = 1 << 20;     // of what is counted by the page
constexpr double kRateFrom = 0.1;                  // minutes; a rate of less is chance

// One kind of memory over all looks.
struct Course {
  std::int64_t grown = 0;  // from the first to the last
  bool every_time = true;  // from each to the next
};

template <typename Figure>
Course course_of(std::span<const Look> looks, Figure figure) {
  Course course;
  for (std::size_t i = 1; i < looks.size(); ++i) {
    const auto step =
        static_cast<std::int64_t>(figure(*looks[i].snapshot) - figure(*looks[i - 1].snapshot));
    course.grown += step;
    course.every_time = course.every_time && step > 0;
  }
  return course;
}

template <typename Figure>
Course course_of_part(std::span<const Look> looks, Figure figure) {
  const bool told = std::all_of(looks.begin(), looks.end(),
                                [](const Look& look) { return !look.snapshot->ledger.empty(); });
  if (!told) return {0, false};
  return course_of(looks, [&](const snapshot::Snapshot& s) { return figure(sum_up_ledger(s)); });
}

std::string signed_count(std::int64_t count) {
  const std::string digits = grouped_digits(static_cast<std::uint64_t>(std::abs(count)));
  return count == 0 ? "0" : (count < 0 ? "-" : "+") + digits;
}

std::string rate(std::int64_t bytes, const SnapshotDiff& diff) {
  if (diff.minutes < kRateFrom) return {};
  return fmt::format(", {}/min",
                     format_signed_bytes(std::llround(static_cast<double>(bytes) / diff.minutes)));
}

const GrowthRow* fastest(const std::vector<GrowthRow>& rows) {
  const GrowthRow* best = nullptr;
  for (const GrowthRow& row : rows)
    if (row.grew_every_time && row.grown_bytes >= kObjectsMatter &&
        (best == nullptr || row.grown_bytes > best->grown_bytes))
      best = &row;
  return best;
}

// "app.Rec grew by +6.1 MiB (+40 000 objects, +12.2 MiB/min); app.CACHE holds +7 MiB more"
std::string who_grew(const SnapshotDiff& diff) {
  const GrowthRow* type = fastest(diff.types);
  const GrowthRow* owner = fastest(diff.owners);
  std::string text;
  if (type != nullptr)
    text = fmt::format("{} grew by {} ({} objects{})", type->name,
                       format_signed_bytes(type->grown_bytes), signed_count(type->grown_count),
                       rate(type->grown_bytes, diff));
  if (owner == nullptr) return text;
  if (!text.empty()) text += "; ";
  const std::string bytes = format_signed_bytes(owner->grown_bytes);
  if (owner->name == "garbage") return text + bytes + " more are garbage: memspy gc";
  return text + fmt::format("{} holds {} more", owner->name, bytes);
}

struct Kinds {
  Course objects, native, free, files, stacks;
};

Kinds courses_of(std::span<const Look> looks) {
  Kinds kinds;
  kinds.objects =
      course_of(looks, [](const snapshot::Snapshot& s) { return s.graph.total_bytes(); });
  kinds.native = course_of_part(looks, [](const LedgerParts& parts) {
    return parts.malloc_live + parts.allocator + parts.unexplained;
  });
  kinds.free = course_of_part(looks, [](const LedgerParts& parts) { return parts.free(); });
  kinds.files =
      course_of_part(looks, [](const LedgerParts& parts) { return parts.files + parts.shared; });
  kinds.stacks = course_of_part(looks, [](const LedgerParts& parts) { return parts.stacks; });
  return kinds;
}

std::string rss_text(std::span<const Look> looks) {
  const std::uint64_t first = looks.front().snapshot->header.rss_bytes;
  const std::uint64_t last = looks.back().snapshot->header.rss_bytes;
  if (first == 0 || last == 0) return {};
  const auto change = static_cast<std::int64_t>(last - first);
  return fmt::format("; RSS {}", change == 0 ? "did not change" : format_signed_bytes(change));
}

std::string steady(std::span<const Look> looks, const SnapshotDiff& diff) {
  const std::string who = who_grew(diff);
  std::string text = "steady: no kind of memory grew ";
  text += looks.size() > 2 ? "from each look to the next" : "by what is worth a word";
  if (!who.empty()) text += fmt::format(", though {}", who);
  return text + rss_text(looks);
}

std::string objects_grow(std::span<const Look> looks, const SnapshotDiff& diff,
                         const Course& objects) {
  const std::string who = who_grew(diff);
  const std::string all =
      fmt::format("{} in all{}", format_signed_bytes(objects.grown), rate(objects.grown, diff));
  return fmt::format("objects are growing: {}{}{}", who, who.empty() ? all : " (" + all + ")",
                     rss_text(looks));
}

// Of what is no object's; "" when that did not grow either.
std::string pages_grow(std::span<const Look> looks, const SnapshotDiff& diff, const Kinds& kinds) {
  const std::array courses{&kinds.native, &kinds.free, &kinds.files, &kinds.stacks};
  const Course* most = nullptr;
  for (const Course* course : courses)
    if (course->every_time && course->grown >= kPagesMatter &&
        (most == nullptr || course->grown > most->grown))
      most = course;
  if (most == nullptr) return {};
  const std::string figure = format_signed_bytes(most->grown) + rate(most->grown, diff);
  const auto pid = looks.back().snapshot->header.process.pid.value;
  if (most == &kinds.native) {
    return fmt::format(
        "native memory is growing: {} that no Python object owns. `memspy record -p {}` names the "
        "lines under which it grows",
        figure, pid > 0 ? std::to_string(pid) : "PID");
  }
  if (most == &kinds.free) {
    return fmt::format("freed memory is growing: {} lie free in pymalloc and malloc. {}", figure,
                       verdict_of(*looks.back().snapshot, *looks.back().owners));
  }
  if (most == &kinds.files) return fmt::format("files or shared memory are growing: {}", figure);
  return fmt::format("threads are growing: their stacks have {}", figure);
}

}  // namespace

std::string verdict_of_growth(std::span<const Look> looks, const SnapshotDiff& diff) {
  if (!diff.same_process) {
    const std::string who = who_grew(diff);
    return who.empty() ? "not one process, and no type or owner has more"
                       : "not one process: " + who;
  }
  const Kinds kinds = courses_of(looks);
  const bool objects = kinds.objects.every_time && kinds.objects.grown >= kObjectsMatter;
  const std::string pages = pages_grow(looks, diff, kinds);
  const std::int64_t most =
      std::max({kinds.native.grown, kinds.free.grown, kinds.files.grown, kinds.stacks.grown});
  // Objects have owners, which can be acted on: they come second only to what is much more.
  if (objects && (pages.empty() || kinds.objects.grown >= most / 2))
    return objects_grow(looks, diff, kinds.objects);
  if (pages.empty()) return steady(looks, diff);
  return objects ? pages + ". Besides, " + objects_grow(looks, diff, kinds.objects) : pages;
}

}  // namespace memspy::heap
