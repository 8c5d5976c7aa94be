#include "recording/name_table.h"

#include <algorithm>
#include <limits>

#include "recording/varint.h"

namespace memspy::recording {
namespace {

constexpr std::size_t kLargestBlob = 64U << 20;

}  // namespace

std::uint32_t NameTable::number_of(std::string_view text) {
  const auto [at, fresh] =
      numbers_.try_emplace(std::string(text), static_cast<std::uint32_t>(texts_.size()));
  if (fresh) texts_.emplace_back(text);
  return at->second;
}

void NameTable::add(std::uint64_t address, const std::vector<CodeName>& names) {
  const Place place{static_cast<std::uint32_t>(names_.size()),
                    static_cast<std::uint32_t>(names.size())};
  for (const CodeName& name : names)
    names_.push_back({number_of(name.function), number_of(name.file), std::max(name.line, 0)});
  places_.insert_or_assign(address, place);
}

std::optional<std::vector<CodeName>> NameTable::find(std::uint64_t address) const {
  const auto found = places_.find(address);
  if (found == places_.end()) return std::nullopt;
  std::vector<CodeName> names;
  for (std::uint32_t i = 0; i < found->second.count; ++i) {
    const Name& name = names_[found->second.begin + i];
    names.push_back({texts_[name.function], texts_[name.file], name.line});
  }
  return names;
}

std::string NameTable::pack() const {
  std::string blob;
  put_varint(blob, texts_.size());
  for (const std::string& text : texts_) put_text(blob, text);
  put_varint(blob, places_.size());
  for (const auto& [address, place] : places_) {
    put_varint(blob, address);
    put_varint(blob, place.count);
    for (std::uint32_t i = 0; i < place.count; ++i) {
      const Name& name = names_[place.begin + i];
      put_varint(blob, name.function);
      put_varint(blob, name.file);
      put_varint(blob, static_cast<std::uint64_t>(name.line));
    }
  }
  return blob;
}

bool NameTable::take_names(VarintReader& reader, const std::vector<std::uint32_t>& numbers) {
  const std::uint64_t address = reader.take(), depth = reader.take();
  if (reader.failed() || depth > reader.left()) return false;
  const Place place{static_cast<std::uint32_t>(names_.size()), static_cast<std::uint32_t>(depth)};
  for (std::uint64_t i = 0; i < depth; ++i) {
    const std::uint64_t function = reader.take(), file = reader.take(), line = reader.take();
    if (reader.failed() || function >= numbers.size() || file >= numbers.size() ||
        line > std::numeric_limits<std::int32_t>::max())
      return false;
    names_.push_back({numbers[function], numbers[file], static_cast<std::int32_t>(line)});
  }
  places_.insert_or_assign(address, place);
  return true;
}

bool NameTable::unpack(std::string_view blob) {
  if (blob.size() > kLargestBlob) return false;
  VarintReader reader(blob);
  const std::uint64_t texts = reader.take();
  if (texts > reader.left()) return false;  // each has its length
  std::vector<std::uint32_t> numbers;
  for (std::uint64_t i = 0; i < texts && !reader.failed(); ++i)
    numbers.push_back(number_of(reader.take_text()));
  const std::uint64_t addresses = reader.take();
  if (reader.failed() || addresses > reader.left() / 2) return false;  // each has a count too
  places_.reserve(places_.size() + addresses);
  for (std::uint64_t i = 0; i < addresses; ++i)
    if (!take_names(reader, numbers)) return false;
  return reader.at_end();
}

}  // namespace memspy::recording
