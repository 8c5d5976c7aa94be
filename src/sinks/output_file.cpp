#include "sinks/output_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <streambuf>

#include <spdlog/fmt/chrono.h>
#include <spdlog/fmt/fmt.h>

#include "base/unique_fd.h"

namespace memspy::sinks {
namespace {

// Writes to a descriptor and keeps the errno of the first failure, which std::ofstream loses.
class FdBuffer final : public std::streambuf {
 public:
  explicit FdBuffer(UniqueFd fd) : fd_(std::move(fd)) {
    setp(buffer_.data(), buffer_.data() + buffer_.size());
  }
  int error() const { return error_; }
  int fd() const { return fd_.get(); }

 protected:
  int_type overflow(int_type c) override {
    if (sync() != 0) return traits_type::eof();
    if (!traits_type::eq_int_type(c, traits_type::eof())) {
      *pptr() = traits_type::to_char_type(c);
      pbump(1);
    }
    return traits_type::not_eof(c);
  }
  int sync() override {
    for (const char* at = pbase(); at < pptr() && error_ == 0;) {
      const ssize_t done = ::write(fd_.get(), at, static_cast<std::size_t>(pptr() - at));
      if (done < 0 && errno == EINTR) continue;
      if (done <= 0) {
        error_ = done < 0 ? errno : EIO;
      } else {
        at += done;
      }
    }
    setp(buffer_.data(), buffer_.data() + buffer_.size());
    return error_ == 0 ? 0 : -1;
  }

 private:
  UniqueFd fd_;
  std::array<char, 1 << 16> buffer_{};
  int error_ = 0;
};

Error output_error(std::string message, int sys) {
  return make_error(Errc::kOutput, std::move(message), sys);
}

std::string directory_of(const std::string& path) {
  const auto slash = path.rfind('/');
  return slash == std::string::npos ? "" : path.substr(0, slash + 1);
}

Error exists_already(const std::string& path) {
  Error error = output_error(path + " exists already", 0);
  error.hint = "give another name, or --force to replace it";
  return error;
}

// Through links, so that a rename replaces the file and not the link to it.
std::string resolved(const std::string& path) {
  const std::unique_ptr<char, decltype(&std::free)> real(::realpath(path.c_str(), nullptr),
                                                         &std::free);
  return real == nullptr ? path : std::string(real.get());
}

enum class TargetKind { kAbsent, kFile, kFolder, kDevice };

TargetKind target_kind(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return TargetKind::kAbsent;
  if (S_ISREG(info.st_mode)) return TargetKind::kFile;
  return S_ISDIR(info.st_mode) ? TargetKind::kFolder : TargetKind::kDevice;
}

std::string safe(std::string text) {
  for (auto& c : text) {
    if (c == '/' || c == '\0') c = '_';
  }
  return text;
}

// The text for %LETTER; nothing when the fact is not known or there is no such letter.
std::optional<std::string> expansion(char letter, const OutputFacts& facts) {
  if (letter == '%') return "%";
  if (letter == 'p' && facts.pid.has_value()) return std::to_string(facts.pid->value);
  if (letter == 't' && facts.wall_time.has_value()) {
    const auto seconds = std::chrono::floor<std::chrono::seconds>(*facts.wall_time).count();
    return fmt::format("{:%Y%m%dT%H%M%SZ}", fmt::gmtime(static_cast<std::time_t>(seconds)));
  }
  if (letter == 'h' && !facts.host.empty()) return safe(facts.host);
  if (letter == 'n' && !facts.name.empty()) return safe(facts.name);
  return std::nullopt;
}

}  // namespace

std::string expand_output_name(const std::string& pattern, const OutputFacts& facts) {
  std::string out;
  for (std::size_t at = 0; at < pattern.size(); ++at) {
    if (pattern[at] == '%' && at + 1 < pattern.size()) {
      if (const auto text = expansion(pattern[at + 1], facts)) {
        out += *text;
        ++at;
        continue;
      }
    }
    out.push_back(pattern[at]);
  }
  return out;
}

bool has_expansion(const std::string& pattern) {
  const OutputFacts all{Pid{1}, std::chrono::nanoseconds(0), "host", "name"};
  return expand_output_name(pattern, all) != pattern;
}

Result<Unit> check_output_name(const std::string& pattern) {
  const OutputFacts all{Pid{1}, std::chrono::nanoseconds(0), "host", "name"};
  for (std::size_t at = pattern.find('%', directory_of(pattern).size()); at != std::string::npos;
       at = pattern.find('%', at + 2)) {
    if (at + 1 < pattern.size() && expansion(pattern[at + 1], all)) continue;
    Error error =
        make_error(Errc::kUsage, fmt::format("\"{}\" in the output's name {} stands for nothing",
                                             pattern.substr(at, 2), pattern));
    error.why = "%p is the pid, %t the time, %h the host, %n the name of the process";
    error.hint = "write %% for a percent sign";
    return error;
  }
  if (!has_expansion(directory_of(pattern))) return Unit{};
  return make_error(
      Errc::kUsage,
      "%p, %t, %h and %n stand in the file's name only, not in its folder: " + pattern);
}

struct OutputFile::Impl {
  std::string pattern;
  std::string partial;  // the temporary file; "" when the target is written in place
  bool force = false;
  bool keep_partial = false;
  std::unique_ptr<FdBuffer> buffer;  // null: standard output
  std::unique_ptr<std::ostream> own;
  std::ostream* stream = nullptr;

  ~Impl() {
    if (!partial.empty() && !keep_partial) ::unlink(partial.c_str());
  }
  Result<Unit> create(const std::string& path, int flags);
  Result<Unit> open_partial();
  Error failed(std::string message, int sys);
  Result<std::string> rename_to(const std::string& target);
};

Result<Unit> OutputFile::Impl::create(const std::string& path, int flags) {
  UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NOCTTY | flags, 0666));
  if (!fd.valid()) {
    const int err = errno;
    return output_error("cannot write " + pattern, err);
  }
  buffer = std::make_unique<FdBuffer>(std::move(fd));
  own = std::make_unique<std::ostream>(buffer.get());
  stream = own.get();
  return Unit{};
}

// Beside the target, because a rename does not cross filesystems. The name tells whose it is if
// memspy is killed.
Result<Unit> OutputFile::Impl::open_partial() {
  static std::atomic<int> counter = 0;  // outputs of one process may share a target
  const std::string base = has_expansion(pattern) ? pattern : resolved(pattern);
  const std::string folder = directory_of(base);
  const std::string name =
      fmt::format("{}.{}.{}.{}.part", folder, base.substr(folder.size()), ::getpid(), ++counter);
  MEMSPY_CHECK(create(name, O_CREAT | O_EXCL));
  partial = name;
  return Unit{};
}

Error OutputFile::Impl::failed(std::string message, int sys) {
  Error error = output_error(std::move(message), sys);
  if (!partial.empty()) {
    keep_partial = true;
    error.why = "what was written is kept in " + partial;
  }
  return error;
}

Result<std::string> OutputFile::Impl::rename_to(const std::string& target) {
  if (!force && target_kind(target) != TargetKind::kAbsent) {
    Error error = exists_already(target);
    keep_partial = true;
    error.why = "what was written is kept in " + partial;
    return error;
  }
  if (::rename(partial.c_str(), resolved(target).c_str()) != 0) {
    const int err = errno;
    return failed("cannot rename the output to " + target, err);
  }
  partial.clear();
  return target;
}

Result<OutputFile> OutputFile::open(const std::string& pattern, bool force,
                                    std::ostream& standard_output) {
  auto impl = std::make_unique<Impl>();
  impl->pattern = pattern;
  impl->force = force;
  if (pattern == "-") {
    impl->stream = &standard_output;
    return OutputFile(std::move(impl));
  }
  if (pattern.empty() || pattern.back() == '/') {
    return make_error(Errc::kUsage, "not a file name for an output: \"" + pattern + "\"");
  }
  MEMSPY_CHECK(check_output_name(pattern));
  const TargetKind kind = has_expansion(pattern) ? TargetKind::kAbsent : target_kind(pattern);
  if (kind == TargetKind::kFolder) return output_error("cannot write " + pattern, EISDIR);
  if (kind == TargetKind::kFile && !force) return exists_already(pattern);
  if (kind == TargetKind::kDevice) {
    MEMSPY_CHECK(impl->create(pattern, 0));
  } else {
    MEMSPY_CHECK(impl->open_partial());
  }
  return OutputFile(std::move(impl));
}

OutputFile::OutputFile(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
OutputFile::OutputFile(OutputFile&&) noexcept = default;
OutputFile& OutputFile::operator=(OutputFile&&) noexcept = default;
OutputFile::~OutputFile() = default;

std::ostream& OutputFile::stream() { return *impl_->stream; }
bool OutputFile::is_standard_output() const { return impl_->buffer == nullptr; }

Result<std::string> OutputFile::commit(const OutputFacts& facts) {
  auto& impl = *impl_;
  impl.stream->flush();
  const int sys = impl.buffer == nullptr ? 0 : impl.buffer->error();
  if (!impl.stream->good()) {
    return impl.failed(
        "cannot write " + (impl.buffer == nullptr ? "standard output" : impl.pattern), sys);
  }
  if (impl.buffer == nullptr || impl.partial.empty()) return impl.pattern;
  // Some filesystems tell of a full disk here at the latest.
  if (::fsync(impl.buffer->fd()) != 0 && errno != EINVAL && errno != EROFS) {
    const int err = errno;
    return impl.failed("cannot write " + impl.pattern, err);
  }
  return impl.rename_to(expand_output_name(impl.pattern, facts));
}

}  // namespace memspy::sinks
