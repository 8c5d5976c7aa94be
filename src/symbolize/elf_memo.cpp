#include "symbolize/elf_memo.h"

#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "symbolize/elf_file.h"

namespace memspy::symbolize {

struct ElfAnswers {
  bool position_independent = false, has_sections = false, has_symtab = false;
  std::vector<ElfSegment> segments;
  std::string build_id;
  std::map<std::string, std::optional<ElfSymbol>, std::less<>> symbols;
  std::map<std::string, std::optional<ElfSection>, std::less<>> sections;
};

namespace {

// Of all processes of a run. Reached only where each brings other files; then all are forgotten,
// which costs one more parse of those that are still in use.
constexpr std::size_t kMaxFiles = 512;
constexpr std::size_t kMaxKnownNames = 256;  // memspy asks for a dozen

std::shared_ptr<ElfAnswers> header_of(const ElfFile& file) {
  auto answers = std::make_shared<ElfAnswers>();
  answers->position_independent = file.position_independent();
  answers->has_sections = file.has_sections();
  answers->has_symtab = file.has_symtab();
  answers->segments = file.segments();
  answers->build_id = file.build_id();
  return answers;
}

class RememberedElf final : public ElfImage {
 public:
  RememberedElf(std::shared_ptr<ElfAnswers> answers, UniqueFd fd, std::string name)
      : answers_(std::move(answers)), fd_(std::move(fd)), name_(std::move(name)) {}
  RememberedElf(std::shared_ptr<ElfAnswers> answers, std::unique_ptr<ElfFile> file)
      : answers_(std::move(answers)), file_(std::move(file)) {}

  bool position_independent() const override { return answers_->position_independent; }
  const std::vector<ElfSegment>& segments() const override { return answers_->segments; }
  const std::string& build_id() const override { return answers_->build_id; }
  bool has_sections() const override { return answers_->has_sections; }
  bool has_symtab() const override { return answers_->has_symtab; }
  std::optional<ElfSymbol> find_symbol(std::string_view name) const override {
    return recall(answers_->symbols, name, &ElfFile::find_symbol);
  }
  std::optional<ElfSection> find_section(std::string_view name) const override {
    return recall(answers_->sections, name, &ElfFile::find_section);
  }

 private:
  template <typename Answer>
  using Known = std::map<std::string, std::optional<Answer>, std::less<>>;

  template <typename Answer>
  std::optional<Answer> recall(Known<Answer>& known, std::string_view name,
                               std::optional<Answer> (ElfFile::*ask)(std::string_view)
                                   const) const {
    if (const auto it = known.find(name); it != known.end()) return it->second;
    const ElfFile* parsed = file();
    if (parsed == nullptr) return std::nullopt;
    const auto answer = (parsed->*ask)(name);
    if (known.size() < kMaxKnownNames) known.emplace(name, answer);
    return answer;
  }

  // nullptr: it was readable once, and is not any more.
  const ElfFile* file() const {
    if (!file_ && fd_.valid()) {
      auto opened = ElfFile::open(std::move(fd_), name_);
      if (opened) file_ = std::move(*opened);
    }
    return file_.get();
  }

  std::shared_ptr<ElfAnswers> answers_;  // shared with the memo and with other processes' images
  mutable UniqueFd fd_;                  // until the file is parsed
  std::string name_;
  mutable std::unique_ptr<ElfFile> file_;
};

}  // namespace

ElfMemo::ElfMemo() = default;
ElfMemo::~ElfMemo() = default;

Result<std::unique_ptr<ElfImage>> ElfMemo::open(UniqueFd fd, std::string name) {
  const auto key = FileKey::of(fd.get());
  if (const auto it = key ? files_.find(*key) : files_.end(); it != files_.end()) {
    return std::unique_ptr<ElfImage>(
        std::make_unique<RememberedElf>(it->second, std::move(fd), std::move(name)));
  }
  MEMSPY_TRY(file, ElfFile::open(std::move(fd), std::move(name)));
  auto answers = header_of(*file);
  if (files_.size() >= kMaxFiles) files_.clear();
  if (key) files_.emplace(*key, answers);
  return std::unique_ptr<ElfImage>(
      std::make_unique<RememberedElf>(std::move(answers), std::move(file)));
}

}  // namespace memspy::symbolize
