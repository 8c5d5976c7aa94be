// Where a copy lies: memory, or a file without a name that is mapped. It is there before the target
// is stopped (no page of it has to be found during the stop), and grows only if the target does.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "base/unique_fd.h"
#include "memspy/result.h"
#include "procfs/proc_dir.h"

namespace memspy::attach {

class CopyStore {
 public:
  // Room for `bytes`, and for some growth. `spool`: a folder, or "" for memory. kOutput: it does
  // not fit; the figures are in the message.
  static Result<CopyStore> make(const procfs::ProcDir& proc, std::uint64_t bytes,
                                const std::string& spool);
  // What make() could have at most: available memory, or free space of the disk.
  static Result<std::uint64_t> available(const procfs::ProcDir& proc, const std::string& spool);

  CopyStore(CopyStore&& other) noexcept;
  CopyStore& operator=(CopyStore&&) = delete;
  ~CopyStore();

  // True when `bytes` can be written from the start on.
  bool reserve(std::uint64_t bytes);
  // Gives back what lies behind `bytes`.
  void trim(std::uint64_t bytes);
  std::byte* data() const { return data_; }
  std::uint64_t capacity() const { return size_; }

 private:
  CopyStore(std::byte* data, std::uint64_t size, UniqueFd file)
      : data_(data), size_(size), file_(std::move(file)) {}

  std::byte* data_;
  std::uint64_t size_;        // of addresses
  std::uint64_t backed_ = 0;  // bytes from the start on that are there for sure
  UniqueFd file_;             // invalid: memory
};

}  // namespace memspy::attach
