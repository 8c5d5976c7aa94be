#include "symbolize/debug_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <array>

#include "symbolize/elf_file.h"

namespace memspy::symbolize {
namespace {

constexpr std::size_t kBytesOfFolder = 2;  // hexadecimal digits of a build id that name its folder
constexpr std::size_t kFewestDigits = 8;

UniqueFd open_file(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  struct stat info {};
  if (fd.valid() && (::fstat(fd.get(), &info) != 0 || !S_ISREG(info.st_mode))) fd.reset();
  return fd;
}

std::string build_id_of(const UniqueFd& fd, const std::string& path) {
  auto file = ElfFile::open(UniqueFd(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 0)), path);
  return file.has_value() ? (*file)->build_id() : "";
}

FoundFile open_if_same(const std::string& path, const std::string& build_id) {
  FoundFile found{open_file(path), path};
  if (found.fd.valid() && !build_id.empty() && build_id_of(found.fd, path) != build_id)
    found.fd.reset();
  return found;
}

bool has_crc(const UniqueFd& fd, std::uint32_t wanted) {
  std::vector<Bytef> buffer(1U << 20);
  uLong crc = ::crc32(0, nullptr, 0);
  off_t at = 0;
  while (true) {
    const ssize_t got = ::pread(fd.get(), buffer.data(), buffer.size(), at);
    if (got < 0) return false;
    if (got == 0) return crc == wanted;
    crc = ::crc32(crc, buffer.data(), static_cast<uInt>(got));
    at += got;
  }
}

bool is_build_id(const std::string& text) {
  return text.size() >= kFewestDigits &&
         text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

std::vector<std::string> debug_roots(const SymbolizeOptions& options) {
  std::vector<std::string> roots = options.debug_dirs;
  if (!options.sysroot.empty()) roots.push_back(options.sysroot + kDebugRoot);
  roots.emplace_back(kDebugRoot);
  return roots;
}

FoundFile find_by_link(const std::string& module, const std::string& name, std::uint32_t crc,
                       const SymbolizeOptions& options) {
  // A name with a folder in it is none that a linker writes.
  if (name.empty() || name.find('/') != std::string::npos) return {};
  const std::string folder = module.substr(0, module.rfind('/') + 1);
  std::vector<std::string> paths;
  for (const std::string& root : {options.sysroot, std::string()}) {
    paths.push_back(root + folder + name);
    paths.push_back(root + folder + ".debug/" + name);
  }
  for (const std::string& root : debug_roots(options)) {
    paths.push_back(root + folder + name);
    paths.push_back(root + "/" + name);
  }
  for (const std::string& path : paths) {
    FoundFile found{open_file(path), path};
    if (found.fd.valid() && has_crc(found.fd, crc)) return found;
  }
  return {};
}

}  // namespace

FoundFile find_module_file(const std::string& module, const std::string& build_id,
                           const std::string& offered, const SymbolizeOptions& options) {
  std::vector<std::string> paths;
  if (!offered.empty()) paths.push_back(offered);
  if (!options.sysroot.empty()) paths.push_back(options.sysroot + module);
  if (module.starts_with('/')) paths.push_back(module);
  for (const std::string& path : paths) {
    FoundFile found = open_if_same(path, build_id);
    if (found.fd.valid()) return found;
  }
  return {};
}

FoundFile find_debug_file(const std::string& module, const std::string& build_id,
                          const std::string& link_name, std::uint32_t link_crc,
                          const SymbolizeOptions& options) {
  if (is_build_id(build_id)) {
    for (const std::string& root : debug_roots(options)) {
      FoundFile found = open_if_same(root + "/.build-id/" + build_id.substr(0, kBytesOfFolder) +
                                         "/" + build_id.substr(kBytesOfFolder) + ".debug",
                                     build_id);
      if (found.fd.valid()) return found;
    }
  }
  FoundFile found = find_by_link(module, link_name, link_crc, options);
  if (found.fd.valid() || !options.fetch || !is_build_id(build_id)) return found;
  const std::string fetched = options.fetch(build_id);
  return fetched.empty() ? FoundFile{} : open_if_same(fetched, build_id);
}

}  // namespace memspy::symbolize
