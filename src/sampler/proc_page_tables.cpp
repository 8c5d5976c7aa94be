#include "sampler/proc_page_tables.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/unique_fd.h"

namespace memspy::sampler {
namespace {

class ProcPageTables final : public PageTables {
 public:
  ProcPageTables(const procfs::ProcDir& proc, Pid pid)
      : pagemap_(::open(proc.path(pid, "pagemap").c_str(), O_RDONLY | O_CLOEXEC)) {}

  bool read_present(RemoteAddr start, std::vector<bool>& present) override {
    entries_.resize(present.size());
    const auto bytes = static_cast<ssize_t>(entries_.size() * sizeof(std::uint64_t));
    const auto at = static_cast<off_t>(start.value / kPageBytes * sizeof(std::uint64_t));
    if (!pagemap_.valid() || ::pread(pagemap_.get(), entries_.data(), static_cast<std::size_t>(bytes), at) != bytes) return false;
    for (std::size_t i = 0; i < entries_.size(); ++i) present[i] = (entries_[i] >> 63) != 0;
    return true;
  }

  std::optional<bool> is_huge(RemoteAddr) override { return std::nullopt; }

 private:
  UniqueFd pagemap_;
  std::vector<std::uint64_t> entries_;
};

}  // namespace

std::unique_ptr<PageTables> open_page_tables(const procfs::ProcDir& proc, Pid pid) {
  return std::make_unique<ProcPageTables>(proc, pid);
}

}  // namespace memspy::sampler
