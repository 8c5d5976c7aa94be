#include "support/fake_proc_dir.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>

#include <spdlog/fmt/fmt.h>

namespace memspy::testing {
namespace {

namespace fs = std::filesystem;

void write_file(const std::string& path, std::string_view content) {
  fs::create_directories(fs::path(path).parent_path());
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(content.data(), static_cast<std::streamsize>(content.size()));
  if (!out.flush()) throw std::runtime_error("FakeProcDir: cannot write " + path);
}

}  // namespace

FakeProcDir::FakeProcDir() {
  std::string pattern = (fs::temp_directory_path() / "memspy-proc-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("FakeProcDir: mkdtemp");
  folder_ = pattern;
  fs::create_directories(root());
}

FakeProcDir::~FakeProcDir() {
  std::error_code ignored;
  fs::remove_all(folder_, ignored);
}

void FakeProcDir::write(pid_t pid, std::string_view entry, std::string_view content) {
  write_file(fmt::format("{}/{}/{}", root(), pid, entry), content);
}

void FakeProcDir::link(pid_t pid, std::string_view entry, std::string_view target) {
  const fs::path path = fmt::format("{}/{}/{}", root(), pid, entry);
  fs::create_directories(path.parent_path());
  fs::remove(path);
  fs::create_symlink(target, path);
}

void FakeProcDir::make_process(pid_t pid) {
  fs::create_directories(fmt::format("{}/{}", root(), pid));
}

void FakeProcDir::write_setting(std::string_view entry, std::string_view content) {
  write_file(fmt::format("{}/{}", root(), entry), content);
}

void FakeProcDir::write_host(std::string_view absolute_path, std::string_view content) {
  write_file(folder_ + std::string(absolute_path), content);
}

void FakeProcDir::remove(pid_t pid) { fs::remove_all(fmt::format("{}/{}", root(), pid)); }

void FakeProcDir::add(pid_t pid, const Process& p) {
  const std::string stat = fmt::format(
      "{} ({}) {} {} {} {} 0 -1 {} 1200 0 3 0 250 50 0 0 20 0 1 0 {} 104857600 2560 "
      "18446744073709551615"
      " 1 1 0 0 0 0 0 16781312 2 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 0\n",
      pid, p.comm, p.state, p.ppid, p.pgrp != 0 ? p.pgrp : pid, pid,
      p.kernel_thread ? 0x00208040 : 0x00400000, p.start_ticks);
  const std::string memory =
      p.kernel_thread || p.state == 'Z'
          ? ""
          : "VmPeak:\t  110000 kB\nVmSize:\t  102400 kB\nVmHWM:\t   11000 kB\n"
            "VmRSS:\t   10240 kB\nRssAnon:\t    6144 kB\nRssFile:\t    4096 kB\n"
            "RssShmem:\t       0 kB\nVmSwap:\t       0 kB\n";
  const std::string status = fmt::format(
      "Name:\t{}\nUmask:\t0022\nState:\t{} (state)\nTgid:\t{}\nNgid:\t0\nPid:\t{}\nPPid:\t{}\n"
      "TracerPid:\t0\nUid:\t{}\t{}\t{}\t{}\nGid:\t{}\t{}\t{}\t{}\nNSpid:\t{}\n{}Threads:\t1\n"
      "SigPnd:\t0000000000000000\nShdPnd:\t0000000000000000\nSigBlk:\t0000000000000000\n"
      "SigIgn:\t0000000001001000\nSigCgt:\t0000000000000002\nCapPrm:\t0000000000000000\n"
      "CapEff:\t0000000000000000\nCapBnd:\t000001ffffffffff\nNoNewPrivs:\t0\nSeccomp:\t0\n{}",
      p.comm, p.state, pid, pid, p.ppid, p.uid, p.uid, p.uid, p.uid, p.uid, p.uid, p.uid, p.uid,
      pid, memory, p.more_status);
  const std::string thread = fmt::format("task/{}/", pid);
  write(pid, "stat", stat);
  write(pid, thread + "stat", stat);
  write(pid, "status", status);
  write(pid, thread + "status", status);
  write(pid, thread + "comm", p.comm + "\n");
  write(pid, "comm", p.comm + "\n");
  write(pid, "statm", memory.empty() ? "0 0 0 0 0 0 0\n" : "25600 2560 1024 1 0 1536 0\n");
  write(pid, "cmdline", p.kernel_thread ? "" : p.cmdline);
  write(pid, "cgroup", "0::/\n");
}

}  // namespace memspy::testing
