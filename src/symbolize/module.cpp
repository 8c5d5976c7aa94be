#include "symbolize/module.h"

#include <algorithm>

#include <spdlog/fmt/fmt.h>

#include "base/log.h"
#include "symbolize/elf_file.h"
#include "symbolize/elf_in_memory.h"
#include "symbolize/mapped_file.h"

namespace memspy::symbolize {

Module::Module(std::shared_ptr<const ModuleContext> context, std::vector<Mapping> mappings,
               bool is_executable)
    : context_(std::move(context)), mappings_(std::move(mappings)), is_executable_(is_executable) {}

const Module::Loaded& Module::loaded() const {
  if (!loaded_) loaded_ = std::make_unique<Loaded>(load());
  return *loaded_;
}

Module::Loaded Module::load() const {
  Loaded loaded;
  auto file = open_mapped_file(context_->proc, context_->pid, mappings_.front(), is_executable_,
                               context_->memory);
  std::string obstacle;
  if (file) {
    loaded.open_path = file->path;
    auto image = open_file(std::move(file->fd));
    if (image) {
      if (!(*image)->has_symtab()) loaded.note = "stripped: exported symbols only";
      loaded.image = std::move(*image);
    } else {
      obstacle = describe(image.error());
    }
  } else {
    loaded.replaced = file.error().code == Errc::kCorrupt;
    obstacle = loaded.replaced             ? "file replaced since it was mapped"
               : mappings_.front().deleted ? "file deleted since it was mapped"
                                           : describe(file.error());
  }
  if (!loaded.image) {
    loaded.image = load_from_memory(obstacle);
    loaded.note = std::move(obstacle);
  }
  loaded.bias = find_bias(loaded.image.get());
  SPDLOG_DEBUG("module {}: {}, bias {:#x} {}", path(),
               loaded.open_path.empty() ? "no file" : loaded.open_path, loaded.bias, loaded.note);
  return loaded;
}

Result<std::unique_ptr<ElfImage>> Module::open_file(UniqueFd fd) const {
  if (context_->memo != nullptr) return context_->memo->open(std::move(fd), path());
  MEMSPY_TRY(file, ElfFile::open(std::move(fd), path()));
  return std::unique_ptr<ElfImage>(std::move(file));
}

std::unique_ptr<ElfImage> Module::load_from_memory(std::string& note) const {
  if (mappings_.front().offset != 0) {
    note += "; its ELF header is not mapped";
    return nullptr;
  }
  auto image = ElfInMemory::read(context_->memory, mappings_.front().start);
  if (!image) {
    note += "; " + describe(image.error());
    return nullptr;
  }
  note += "; exported symbols read from memory";
  return std::move(*image);
}

// The executable mapping decides: a file may be mapped again elsewhere, for reading.
std::uint64_t Module::find_bias(const ElfImage* image) const {
  const Mapping& first = mappings_.front();
  if (image == nullptr) return first.start.value - first.offset;
  for (const auto& mapping : mappings_) {
    if (!mapping.executable) continue;
    const auto bias = bias_of_mapping(image->segments(), mapping.start.value, mapping.offset, true);
    if (bias) return *bias;
  }
  // Text moved to anonymous huge pages: what is still the file's decides.
  const auto bias = bias_of_mapping(image->segments(), first.start.value, first.offset, false);
  if (bias) return *bias;
  return image->position_independent() ? first.start.value - first.offset : 0;
}

bool Module::deleted() const { return mappings_.front().deleted || loaded().replaced; }

std::string Module::build_id() const {
  return loaded().image ? loaded().image->build_id() : std::string();
}

std::optional<RemoteAddr> Module::find_symbol(std::string_view name) const {
  if (!loaded().image) return std::nullopt;
  const auto symbol = loaded().image->find_symbol(name);
  if (!symbol) return std::nullopt;
  return RemoteAddr{symbol->address + loaded().bias};
}

std::optional<AddressRange> Module::find_section(std::string_view name) const {
  if (!loaded().image) return std::nullopt;
  const auto section = loaded().image->find_section(name);
  if (!section) return std::nullopt;
  return AddressRange{RemoteAddr{section->address + loaded().bias}, section->size};
}

std::vector<AddressRange> Module::writable_segments() const {
  return segments([](const ElfSegment& s) { return s.writable; }, &Mapping::writable);
}

std::vector<AddressRange> Module::executable_segments() const {
  return segments([](const ElfSegment& s) { return s.executable; }, &Mapping::executable);
}

std::vector<AddressRange> Module::segments(bool (*wanted)(const ElfSegment&),
                                           bool Mapping::*permission) const {
  std::vector<AddressRange> ranges;
  if (!loaded().image) {
    for (const auto& mapping : mappings_) {
      if (mapping.*permission) ranges.push_back({mapping.start, mapping.size()});
    }
    return ranges;
  }
  for (const auto& segment : loaded().image->segments()) {
    if (!wanted(segment)) continue;
    const RemoteAddr start{segment.address + loaded().bias};
    const std::uint64_t size = mapped_length(start, segment.memory_size);
    if (size > 0) ranges.push_back({start, size});
  }
  return ranges;
}

// How much of [start, start + size) is mapped without a hole, so that no caller reads off a segment
// that a hostile or foreign header makes too long.
std::uint64_t Module::mapped_length(RemoteAddr start, std::uint64_t size) const {
  const auto& mapped = context_->mapped;
  auto it = std::upper_bound(mapped.begin(), mapped.end(), start,
                             [](RemoteAddr a, const auto& range) { return a < range.second; });
  if (it == mapped.end() || it->first > start) return 0;
  RemoteAddr end = it->second;
  for (++it; it != mapped.end() && it->first == end && end.value - start.value < size; ++it) {
    end = it->second;
  }
  return std::min(size, end.value - start.value);
}

bool Module::maps(RemoteAddr address) const {
  return std::any_of(mappings_.begin(), mappings_.end(),
                     [&](const Mapping& m) { return m.contains(address); });
}

bool Module::holds(RemoteAddr address) const {
  if (maps(address)) return true;
  const auto ranges = writable_segments();
  return std::any_of(ranges.begin(), ranges.end(), [&](const AddressRange& r) {
    return address >= r.start && address.value - r.start.value < r.size;
  });
}

}  // namespace memspy::symbolize
