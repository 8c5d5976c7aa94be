#include "sampler/proc_page_tables.h"

#include "procfs/pagemap.h"

namespace memspy::sampler {
namespace {

class ProcPageTables final : public PageTables {
 public:
  ProcPageTables(const procfs::ProcDir& proc, Pid pid)
      : pagemap_(procfs::Pagemap::open(proc, pid)) {}

  bool read_present(RemoteAddr start, std::vector<bool>& present) override {
    if (!pagemap_.has_value()) return false;
    entries_.resize(present.size());
    const auto got = pagemap_->read(start, entries_);
    if (!got.has_value() || *got != entries_.size()) return false;
    for (std::size_t i = 0; i < entries_.size(); ++i)
      present[i] = procfs::page_present(entries_[i]);
    return true;
  }

  std::optional<bool> is_huge(RemoteAddr chunk_start) override {
    if (!pagemap_.has_value()) return std::nullopt;
    const auto huge = pagemap_->is_huge(chunk_start);
    return huge.has_value() ? std::optional<bool>(*huge) : std::nullopt;
  }

 private:
  Result<procfs::Pagemap> pagemap_;
  std::vector<std::uint64_t> entries_;
};

}  // namespace

std::unique_ptr<PageTables> open_page_tables(const procfs::ProcDir& proc, Pid pid) {
  return std::make_unique<ProcPageTables>(proc, pid);
}

}  // namespace memspy::sampler
