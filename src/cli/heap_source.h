// Where a heap comes from: a process, looked at now, or a snapshot on disk. What heap, why and gc
// have in common on the command line.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>

#include "cli/env.h"
#include "cli/options.h"
#include "sinks/output_file.h"
#include "snapshot/analysis.h"
#include "snapshot/diff.h"
#include "snapshot/snapshot.h"

namespace memspy::cli {

struct ImageChoices {
  std::optional<std::chrono::nanoseconds> max_pause;
  std::string spool;
  std::optional<int> assume_minor;
  bool values = false;
  bool marks = false;  // no flag: what only a file needs
};

struct HeapSourceOptions {
  TargetOptions target;
  std::string file;  // "": a process
  ImageChoices image;
};

// --max-pause, --spool, --assume-layout: of every copy of a process' memory.
void add_copy_choices(CLI::App& app, ImageChoices& choices);
void add_image_choices(CLI::App& app, ImageChoices& choices);  // and --values
// -p PID, and a place of its own for a PID or a file.
void add_heap_source(CLI::App& app, HeapSourceOptions& options);

struct OpenedHeap {
  snapshot::Snapshot snapshot;
  snapshot::Dominators dominators;
  snapshot::Owners owners;
  // Of a live look; nothing to call for a file.
  std::function<void(snapshot::Snapshot&, std::span<const NodeIndex>)> read_texts;

  snapshot::Look look() const { return {&snapshot, &dominators, &owners}; }
  std::string verdict() const;
};

// What stands for %p %t %h %n in the name of an output.
sinks::OutputFacts output_facts(const OpenedHeap& heap);

// What is computed of a snapshot when it is opened, so that questions are answered at once. A look
// at a process knows the owners anyway.
enum class HeapIndex : std::uint8_t { kOwners, kPaths };

Result<OpenedHeap> open_heap(const HeapSourceOptions& options, Env& env,
                             HeapIndex index = HeapIndex::kOwners);
// A look, with a progress bar on a terminal; -v tells what was tried and found.
Result<OpenedHeap> look_at_heap(Pid pid, const ImageChoices& choices, Env& env);
Result<OpenedHeap> look_at_core(const std::string& core, const std::string& executable,
                                const ImageChoices& choices, Env& env);
// What is damaged is said on stderr.
Result<OpenedHeap> open_snapshot_file(const std::string& path, Env& env,
                                      HeapIndex index = HeapIndex::kOwners);

// By its first bytes, else by its suffix: a snapshot rather than a recording.
bool is_snapshot_file(const std::string& path);

}  // namespace memspy::cli
