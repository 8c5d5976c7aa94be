#include "malloc_child.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "procfs/pagemap.h"
#include "support/result_matchers.h"

namespace memspy::testing {

MallocChild::MallocChild(std::vector<std::string> command, std::vector<std::string> environment) {
  int in[2];
  int out[2];
  EXPECT_EQ(::pipe2(in, O_CLOEXEC), 0);
  EXPECT_EQ(::pipe2(out, O_CLOEXEC), 0);
  std::vector<char*> arguments;
  for (std::string& word : command) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  pid_ = ::fork();
  if (pid_ == 0) {
    for (std::string& setting : environment) ::putenv(setting.data());
    ::dup2(in[0], 0);
    ::dup2(out[1], 1);
    ::execv(arguments[0], arguments.data());
    ::_exit(127);
  }
  ::close(in[0]);
  ::close(out[1]);
  in_ = in[1];
  read_report(out[0]);
  ::close(out[0]);
  const procfs::ProcDir proc;
  auto map = proc.maps({pid_});
  EXPECT_THAT(map, IsOk());
  if (map) map_ = *std::move(map);
  memory_ = std::make_unique<attach::ProcessVm>(Pid{pid_});
  symbols_ = std::make_unique<symbolize::ModuleIndex>(proc, Pid{pid_}, map_, *memory_);
}

MallocChild::~MallocChild() {
  ::close(in_);
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

void MallocChild::read_report(int out) {
  std::string text;
  char piece[65536];
  while (!text.ends_with("end\n")) {
    const ssize_t length = ::read(out, piece, sizeof(piece));
    if (length <= 0) {
      ADD_FAILURE() << "the target ended early";
      return;
    }
    text.append(piece, static_cast<std::size_t>(length));
  }
  for (const char* line = text.c_str(); *line != '\0'; line = std::strchr(line, '\n') + 1) {
    char name[16];
    std::uint64_t first = 0;
    std::uint64_t second = 0;
    if (std::sscanf(line, "live %lx %lu", &first, &second) == 2) {
      live_[first] = second;
    } else if (std::sscanf(line, "%15s %lu", name, &first) == 2) {
      figures_[name] = first;
    }
  }
}

std::vector<AddressRange> MallocChild::resident() const {
  std::vector<AddressRange> ranges;
  auto pagemap = procfs::Pagemap::open(procfs::ProcDir(), {pid_});
  EXPECT_THAT(pagemap, IsOk());
  for (const Mapping& mapping : map_) {
    std::vector<std::uint64_t> entries(mapping.size() / procfs::page_size());
    const auto known = pagemap->read(mapping.start, entries);
    if (!known) continue;
    for (std::size_t i = 0; i < *known; ++i) {
      if (!procfs::page_present(entries[i])) continue;
      const RemoteAddr page = mapping.start + i * procfs::page_size();
      if (!ranges.empty() && ranges.back().start + ranges.back().size == page) {
        ranges.back().size += procfs::page_size();
      } else {
        ranges.push_back({page, procfs::page_size()});
      }
    }
  }
  return ranges;
}

}  // namespace memspy::testing
