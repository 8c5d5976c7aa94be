// What ELF files answered before, for the next process that maps them: a service that starts
// interpreters all day starts them from the same few files. Answers are kept, not files: a name is
// some bytes, the symbol table in which it was found are megabytes.
// One thread at a time.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "base/unique_fd.h"
#include "memspy/result.h"
#include "symbolize/elf_image.h"
#include "symbolize/file_key.h"

namespace memspy::symbolize {

struct ElfAnswers;

class ElfMemo {
 public:
  ElfMemo();
  ~ElfMemo();
  // The image of an open file; errors are those of ElfFile::open. A file that is known, by device,
  // inode, size and times of change, is parsed again only when something new is asked of it. The
  // image may outlive the memo.
  Result<std::unique_ptr<ElfImage>> open(UniqueFd fd, std::string name);
  std::size_t known_files() const { return files_.size(); }

 private:
  std::map<FileKey, std::shared_ptr<ElfAnswers>> files_;
};

}  // namespace memspy::symbolize
