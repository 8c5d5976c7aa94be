#include "daemon/shelf.h"

#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <numeric>

#include <spdlog/fmt/fmt.h>

namespace memspy::daemon {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

constexpr std::chrono::nanoseconds kAtWork = 5s;  // a segment is written to at each tick

std::uint64_t size_of(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 ? static_cast<std::uint64_t>(status.st_size) : 0;
}

// Of a file that was there before the daemon: the wall clock is all there is.
std::chrono::nanoseconds age_by_wall(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return {};
  const auto written = std::chrono::seconds(status.st_mtim.tv_sec);
  return std::max<std::chrono::nanoseconds>(wall_clock_now() - written, 0ns);
}

Result<Unit> make_folder(const std::string& path) {
  if (::mkdir(path.c_str(), 0700) == 0) return Unit{};
  const int error = errno;
  struct stat status {};
  // A link, or a folder that others may write to, could lead the daemon's files anywhere.
  if (error == EEXIST && ::lstat(path.c_str(), &status) == 0) {
    const bool ours = S_ISDIR(status.st_mode) && status.st_uid == ::geteuid();
    if (ours && (status.st_mode & 022) == 0) return Unit{};
    return make_error(Errc::kOutput, path + " is no folder that only the daemon's user writes to");
  }
  return make_error(Errc::kOutput, "cannot make the folder " + path, error);
}

void remove_segment(const std::string& path) {
  // The log first: a database without its log is whole, a log without its database is not.
  for (const char* suffix : {"-wal", "-shm", ""}) ::unlink((path + suffix).c_str());
}

class Removal {
 public:
  Removal(const std::vector<ShelfFile>& files)  // NOLINT(google-explicit-constructor)
      : files_(files), order_(files.size()), gone_(files.size()) {
    std::iota(order_.begin(), order_.end(), std::size_t{0});
    std::stable_sort(order_.begin(), order_.end(),
                     [&](auto a, auto b) { return files_[a].age > files_[b].age; });
  }
  template <typename Which>
  std::uint64_t sum(Which&& which) const {
    std::uint64_t bytes = 0;
    for (std::size_t i = 0; i < files_.size(); ++i)
      if (!gone_[i] && which(files_[i])) bytes += files_[i].bytes;
    return bytes;
  }
  // The oldest of them until at least so many bytes are freed; how many of those were.
  template <typename Which>
  std::uint64_t free_bytes(std::uint64_t bytes, Which&& which) {
    std::uint64_t freed = 0;
    for (const std::size_t i : order_) {
      if (freed == bytes) break;
      if (gone_[i] || !which(files_[i])) continue;
      freed += std::min(bytes - freed, files_[i].bytes);
      take(i);
    }
    return freed;
  }
  template <typename Which>
  void take_all(Which&& which) {
    for (const std::size_t i : order_)
      if (!gone_[i] && which(files_[i])) take(i);
  }
  std::vector<std::size_t> result() && { return std::move(taken_); }

 private:
  void take(std::size_t i) {
    gone_[i] = true;
    taken_.push_back(i);
  }
  const std::vector<ShelfFile>& files_;
  std::vector<std::size_t> order_;
  std::vector<bool> gone_;
  std::vector<std::size_t> taken_;
};

}  // namespace

std::vector<std::size_t> plan_removal(const std::vector<ShelfFile>& files,
                                      const RecorderConfig& limits, std::uint64_t needed_bytes) {
  Removal removal(files);
  const auto at_rest = [&](const ShelfFile& file) {
    return file.age > (file.history ? 2 * limits.history_interval : kAtWork);
  };
  const auto of_now = [&](const ShelfFile& file) { return at_rest(file) && !file.history; };
  removal.take_all([&](const ShelfFile& file) {
    return file.age > (file.history ? limits.history : limits.keep);
  });
  std::set<std::string> owners;
  for (const ShelfFile& file : files)
    if (!file.owner.empty()) owners.insert(file.owner);
  for (const std::string& owner : owners) {
    const auto theirs = [&](const ShelfFile& file) { return file.owner == owner; };
    const std::uint64_t bytes = removal.sum(theirs);
    if (bytes > limits.per_target_bytes)
      removal.free_bytes(bytes - limits.per_target_bytes,
                         [&](const ShelfFile& file) { return theirs(file) && at_rest(file); });
  }
  const std::uint64_t bytes = removal.sum([](const ShelfFile&) { return true; });
  std::uint64_t excess = std::max(bytes, limits.total_bytes) - limits.total_bytes;
  excess -= removal.free_bytes(excess, of_now);
  needed_bytes -= removal.free_bytes(needed_bytes, of_now);
  removal.free_bytes(std::max(excess, needed_bytes), at_rest);
  return std::move(removal).result();
}

std::string owner_name(const ProcessIdentity& identity) {
  return fmt::format("{}-{}", identity.pid.value, identity.start_ticks);
}

Result<Unit> Shelf::prepare() const {
  for (const std::string& folder : {root_, root_ + "/targets", series_folder(), history_folder()})
    MEMSPY_CHECK(make_folder(folder));
  return Unit{};
}

Result<std::string> Shelf::target_folder(const ProcessIdentity& identity) const {
  std::string folder = root_ + "/targets/" + owner_name(identity);
  MEMSPY_CHECK(make_folder(folder));
  return folder;
}

std::optional<std::chrono::nanoseconds> Shelf::newest_age(const ProcessIdentity& identity) const {
  std::optional<std::chrono::nanoseconds> newest;
  std::error_code none;
  for (const auto& entry :
       fs::directory_iterator(root_ + "/targets/" + owner_name(identity), none)) {
    const auto age = age_by_wall(entry.path().string());
    newest = newest ? std::min(*newest, age) : age;
  }
  return newest;
}

void Shelf::list_folder(const std::string& folder, const ShelfFile& kind, SteadyTime now,
                        std::vector<ShelfFile>& out) {
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(folder, none)) {
    ShelfFile file = kind;
    file.path = entry.path().string();
    if (!file.path.ends_with(".memspy")) continue;
    const std::uint64_t log = size_of(file.path + "-wal");
    file.bytes = size_of(file.path) + log + size_of(file.path + "-shm");
    const auto [it, fresh] = seen_.try_emplace(file.path);
    if (fresh) {
      it->second = {file.bytes, now - age_by_wall(file.path)};
    } else if (it->second.bytes != file.bytes) {
      it->second = {file.bytes, now};
    }
    file.age = now - it->second.changed;
    // A log is written in place: its size tells nothing while it is there, its time does.
    if (log > 0) file.age = std::min(file.age, age_by_wall(file.path + "-wal"));
    out.push_back(std::move(file));
  }
}

std::vector<ShelfFile> Shelf::list(SteadyTime now) {
  std::vector<ShelfFile> files;
  list_folder(series_folder(), {}, now, files);
  list_folder(history_folder(), {.path = {}, .owner = {}, .history = true}, now, files);
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(root_ + "/targets", none))
    list_folder(entry.path().string(), {.path = {}, .owner = entry.path().filename().string()}, now,
                files);
  return files;
}

// Below its reserve, the disk needs what it lacks; a reserve may be more than the shelf has.
std::uint64_t Shelf::missing_bytes(const RecorderConfig& limits) const {
  struct statvfs disk {};
  if (::statvfs(root_.c_str(), &disk) != 0) return 0;
  const std::uint64_t free = std::uint64_t{disk.f_bavail} * disk.f_frsize;
  return free < limits.reserve_bytes ? limits.reserve_bytes - free : 0;
}

Shelf::Removed Shelf::tidy(const RecorderConfig& limits, SteadyTime now) {
  const auto files = list(now);
  Removed removed;
  std::set<std::string> kept;
  for (const ShelfFile& file : files) kept.insert(file.path);
  for (const std::size_t i : plan_removal(files, limits, missing_bytes(limits))) {
    remove_segment(files[i].path);
    kept.erase(files[i].path);
    ++removed.files;
    removed.bytes += files[i].bytes;
  }
  std::erase_if(seen_, [&](const auto& entry) { return !kept.contains(entry.first); });
  total_bytes_ = 0;
  owner_bytes_.clear();
  for (const ShelfFile& file : files) {
    if (!kept.contains(file.path)) continue;
    total_bytes_ += file.bytes;
    owner_bytes_[file.owner] += file.bytes;
  }
  std::error_code none;  // folders of targets that are gone; rmdir leaves those with files
  for (const auto& entry : fs::directory_iterator(root_ + "/targets", none))
    if (!owner_bytes_.contains(entry.path().filename().string())) ::rmdir(entry.path().c_str());
  return removed;
}

}  // namespace memspy::daemon
