#include "attach/resident_memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "attach/process_vm.h"

namespace memspy::attach {
namespace {

constexpr std::size_t kMappedPages = 64;

// Every fourth page is touched.
class ResidentMemoryTest : public testing::Test {
 protected:
  ResidentMemoryTest() {
    for (std::size_t page = 0; page < kMappedPages; page += 4) pages_[page * size_] = 'x';
  }
  ~ResidentMemoryTest() override { ::munmap(pages_, kMappedPages * size_); }

  RemoteAddr page(std::size_t number) const {
    return {reinterpret_cast<std::uint64_t>(pages_ + number * size_)};
  }
  std::size_t resident_pages() const {
    std::vector<unsigned char> resident(kMappedPages);
    EXPECT_EQ(::mincore(pages_, kMappedPages * size_, resident.data()), 0);
    std::size_t count = 0;
    for (const unsigned char each : resident) count += each & 1;
    return count;
  }

  std::size_t size_ = static_cast<std::size_t>(::getpagesize());
  char* pages_ = static_cast<char*>(::mmap(nullptr, kMappedPages* size_, PROT_READ | PROT_WRITE,
                                           MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  procfs::ProcDir proc_;
  ProcessVm all_{Pid{::getpid()}};
};

TEST_F(ResidentMemoryTest, ASweepMapsNothingIn) {
  const auto memory = ResidentMemory::open(proc_, all_.pid(), all_);
  ASSERT_TRUE(memory.has_value());
  const std::size_t before = resident_pages();
  std::vector<std::uint64_t> words(kMappedPages, ~0ULL);
  std::vector<ReadRequest> requests;
  for (std::size_t i = 0; i < kMappedPages; ++i)
    requests.push_back({page(i), std::as_writable_bytes(std::span(&words[i], 1))});
  memory->read_many(requests);
  for (std::size_t i = 0; i < kMappedPages; ++i) {
    EXPECT_EQ(requests[i].complete(), i % 4 == 0) << i;
    EXPECT_EQ(words[i], i % 4 == 0 ? 'x' : ~0ULL) << i;
  }
  EXPECT_EQ(resident_pages(), before);
}

TEST_F(ResidentMemoryTest, AReadEndsWhereResidentPagesDo) {
  const auto memory = ResidentMemory::open(proc_, all_.pid(), all_);
  ASSERT_TRUE(memory.has_value());
  std::vector<std::byte> buffer(size_);
  EXPECT_EQ(memory->read_some(page(4) + 100, buffer), size_ - 100);
  EXPECT_EQ(memory->read_some(page(5), buffer), 0u);
  EXPECT_EQ(memory->read_some({~0ULL - 5}, buffer), 0u);
}

}  // namespace
}  // namespace memspy::attach
