#include "cpython/heap/object_names.h"

namespace memspy::cpython {
namespace {

constexpr std::size_t kMaxCharacters = 200;
constexpr std::size_t kMaxNames = 200'000;

bool has_name(TypeRule rule) {
  return rule == TypeRule::kFunction || rule == TypeRule::kGenerator || rule == TypeRule::kCode;
}

}  // namespace

ObjectNames::ObjectNames(const Layout& layout, const MemoryReader& memory, TypeTable& types)
    : reader_(layout, memory),
      types_(types),
      qualname_(types.intern("__qualname__")),
      code_qualname_(types.intern("co_qualname")),
      code_name_(types.intern("co_name")) {}

std::optional<NameIndex> ObjectNames::name_at(RemoteAddr address) {
  const auto known = known_.find(address);
  if (known != known_.end()) return known->second;
  if (known_.size() >= kMaxNames) return std::nullopt;
  std::optional<NameIndex> name;
  if (const auto text = reader_.read_str(address, kMaxCharacters); text.has_value())
    name = types_.intern(*text);
  known_.emplace(address, name);
  return name;
}

RemoteAddr ObjectNames::name_among(const TypeFacts& type, std::span<const RawEdge> edges) const {
  if (!has_name(type.rule)) return {};
  RemoteAddr best;  // a qualified name is better than a plain one
  for (const RawEdge& edge : edges) {
    if (edge.kind != EdgeKind::kAttribute && edge.kind != EdgeKind::kInternal) continue;
    if (edge.value == qualname_.value || edge.value == code_qualname_.value) return edge.to;
    if (edge.value == code_name_.value) best = edge.to;
  }
  return best;
}

void ObjectNames::label(NodeIndex node, RemoteAddr text) {
  if (const auto name = name_at(text)) labels_.push_back({node, *name});
}

}  // namespace memspy::cpython
