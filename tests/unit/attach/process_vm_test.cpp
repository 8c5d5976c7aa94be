#include "attach/process_vm.h"

#include <sys/mman.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include <cerrno>

#include "unit/attach/address_of.h"

namespace memspy::attach {
namespace {

TEST(ProcessVm, ReadsItselfAndStopsAtAHole) {
  const auto page = static_cast<std::size_t>(::getpagesize());
  auto* pages = static_cast<char*>(
      ::mmap(nullptr, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  ::munmap(pages + page, page);
  pages[page - 1] = 'x';
  const ProcessVm memory(Pid{::getpid()});
  std::vector<std::byte> buffer(64);
  EXPECT_EQ(memory.read_some(address_of(pages + page - 32), buffer), 32u);
  EXPECT_EQ(buffer[31], std::byte{'x'});
  EXPECT_EQ(memory.read_some(address_of(pages + page), buffer), 0u);
  EXPECT_EQ(memory.last_errno(), EFAULT);
  ::munmap(pages, page);
}

TEST(ProcessVm, ABadPieceDoesNotSpoilTheOthers) {
  const ProcessVm memory(Pid{::getpid()});
  std::vector<std::uint64_t> source(600);
  for (std::size_t i = 0; i < source.size(); ++i) source[i] = i;
  std::vector<std::uint64_t> copy(source.size(), ~0ULL);
  std::vector<ReadRequest> requests;
  for (std::size_t i = 0; i < source.size(); ++i) {
    const RemoteAddr addr = i % 7 == 3 ? RemoteAddr{16} : address_of(&source[i]);
    requests.push_back({addr, std::as_writable_bytes(std::span(&copy[i], 1))});
  }
  memory.read_many(requests);
  for (std::size_t i = 0; i < source.size(); ++i) {
    EXPECT_EQ(requests[i].complete(), i % 7 != 3) << i;
    EXPECT_EQ(copy[i], i % 7 == 3 ? ~0ULL : i);
  }
}

TEST(ProcessVm, SaysWhenTheProcessIsGone) {
  const ProcessVm memory(Pid{0x3ffffff});
  std::vector<std::byte> buffer(8);
  EXPECT_EQ(memory.read_some({0x1000}, buffer), 0u);
  EXPECT_EQ(memory.last_errno(), ESRCH);
}

}  // namespace
}  // namespace memspy::attach
