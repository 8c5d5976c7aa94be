// Writes small core files: program headers, notes, memory.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace memspy::attach {

class CoreBuilder {
 public:
  // `bytes` are in the file, the rest up to `memory_size` is left out; flags are PF_*.
  void add_segment(std::uint64_t start, std::string bytes, std::uint64_t memory_size,
                   std::uint32_t flags);
  void add_file(std::uint64_t start, std::uint64_t end, std::uint64_t page_offset,
                std::string path);
  void add_auxv(std::uint64_t type, std::uint64_t value) { auxv_.emplace_back(type, value); }
  void set_process(int pid, int threads) {
    pid_ = pid;
    threads_ = threads;
  }
  std::string build() const;

 private:
  struct Segment {
    std::uint64_t start;
    std::string bytes;
    std::uint64_t memory_size;
    std::uint32_t flags;
  };
  struct File {
    std::uint64_t start, end, offset;
    std::string path;
  };
  std::string notes() const;

  std::vector<Segment> segments_;
  std::vector<File> files_;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> auxv_;
  int pid_ = 0, threads_ = 0;
};

// The head of an ELF file that has this build id.
std::string small_elf(const std::string& build_id);

}  // namespace memspy::attach
