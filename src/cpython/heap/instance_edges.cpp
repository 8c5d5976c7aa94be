// Edges of instances' attributes wherever a version keeps them, and of types.
#include <algorithm>

#include "cpython/heap/edge_reader.h"

namespace memspy::cpython {
namespace {

constexpr std::uint64_t kWord = 8;
// Of managed instances, counted back from the object: 3.11 {values, dict}, later {weak list, dict}.
constexpr std::uint64_t kManagedDictBefore = 24;
constexpr std::uint64_t kManagedValuesBefore = 32;
constexpr std::uint64_t kMaxItems = std::uint64_t{1} << 32;
constexpr std::uint64_t kMaxStaticTypes = 1024;
constexpr std::uint64_t kTypeStaticBuiltin = 1U << 1;  // of tp_flags, 3.12+

}  // namespace

void EdgeReader::read_attributes(RemoteAddr object, const EdgePlan& plan, Edges& out) {
  std::int64_t offset = plan.dict_offset;
  switch (plan.attributes) {
    case EdgePlan::Attributes::kNone:
      return;
    case EdgePlan::Attributes::kManaged:
      return read_managed(object, plan, out);
    case EdgePlan::Attributes::kAtOffset:
      break;
    case EdgePlan::Attributes::kFromEnd: {
      const auto size =
          static_cast<std::int64_t>(others_.word(object + layout_.offset(Field::kVarObjectSize)));
      const std::uint64_t items =
          size < 0 ? 0 - static_cast<std::uint64_t>(size) : static_cast<std::uint64_t>(size);
      if (items > kMaxItems) return;
      const std::uint64_t end = plan.basic_size + plan.item_size * items;
      offset += static_cast<std::int64_t>((end + kWord - 1) / kWord * kWord);
      if (offset <= 0) return;
      break;
    }
  }
  add(out, others_.word(object + static_cast<std::uint64_t>(offset)), EdgeKind::kDict, 0);
}

void EdgeReader::read_managed(RemoteAddr object, const EdgePlan& plan, Edges& out) {
  const std::uint64_t word = others_.word(object - kManagedDictBefore);
  switch (layout_.strategies.instance_dict) {
    case InstanceDictKind::kDictOffset:
      return;
    case InstanceDictKind::kValuesAndDict:
      if (word == 0) {
        read_values(RemoteAddr{others_.word(object - kManagedValuesBefore)}, plan, out);
      }
      break;
    case InstanceDictKind::kTaggedWord:
      if ((word & 1) != 0) return read_values(RemoteAddr{word + 1}, plan, out);
      break;
    case InstanceDictKind::kInlineValues:
      // Behind the object. Where a dict shares them, one of the two tells of them.
      if (plan.inline_values && (word == 0 || !layout_.strategies.dicts_own_embedded_values)) {
        const RemoteAddr values = object + plan.basic_size;
        if (others_.load(values + layout_.offset(Field::kDictValuesValid), 1) != 0) {
          read_values(values, plan, out);
        }
      }
      break;
  }
  add(out, word, EdgeKind::kDict, 0);
}

void EdgeReader::read_values(RemoteAddr values, const EdgePlan& plan, Edges& out) {
  if (!is_plausible(values)) return;
  std::uint64_t count = plan.attribute_names.size();
  if (layout_.has(Field::kDictValuesCapacity)) {
    count = std::min(count, others_.load(values + layout_.offset(Field::kDictValuesCapacity), 1));
  }
  count = affordable(count);
  if (count == 0) return;
  const Bytes items =
      others_.bytes(values + layout_.offset(Field::kDictValuesItems), count * kWord);
  pay(items.empty() ? 0 : count);
  for (std::uint64_t i = 0; i < count && !items.empty(); ++i) {
    add(out, word_at(items, i * kWord), EdgeKind::kAttribute, plan.attribute_names[i].value);
  }
}

// Besides the fields that all types have. Where a type is the interpreter's own and static, each
// interpreter keeps its dict and subclasses (3.12+), and the type's fields hold no pointers.
void EdgeReader::read_type(RemoteAddr object, Edges& out) {
  const Bytes head = heads_.bytes(object, layout_.size(Struct::kType));
  if (head.empty()) return;
  const std::uint64_t flags = field(head, Field::kTypeFlags);
  const std::uint64_t subclasses = field(head, Field::kTypeSubclasses);
  if (layout_.has(Field::kInterpreterStaticTypes) && (flags & kTypeStaticBuiltin) != 0) {
    return read_static_type(object, subclasses, out);
  }
  add(out, subclasses, EdgeKind::kInternal, names_.subclasses.value);
  if ((flags & kTypeHeapType) == 0) return;
  const Bytes tail = heads_.bytes(object, layout_.size(Struct::kHeapType));
  if (tail.empty()) return;
  add(out, field(tail, Field::kHeapTypeName), EdgeKind::kAttribute, names_.name.value);
  add(out, field(tail, Field::kHeapTypeQualname), EdgeKind::kAttribute, names_.qualname.value);
  add(out, field(tail, Field::kHeapTypeSlots), EdgeKind::kAttribute, names_.slots.value);
  if (layout_.has(Field::kHeapTypeModule)) {
    add(out, field(tail, Field::kHeapTypeModule), EdgeKind::kInternal, names_.module.value);
  }
}

// tp_subclasses holds the type's number, counted from 1, in the interpreter's table of states;
// those of extension modules (3.13+) have a table of their own.
void EdgeReader::read_static_type(RemoteAddr object, std::uint64_t index, Edges& out) {
  if (index == 0 || index > kMaxStaticTypes) return;
  const std::size_t size = layout_.size(Struct::kStaticTypeState);
  for (const RemoteAddr interpreter : interpreters_) {
    for (const Field table : {Field::kInterpreterStaticTypes, Field::kInterpreterExtensionTypes}) {
      if (!layout_.has(table)) continue;
      const RemoteAddr at = interpreter + layout_.offset(table) + (index - 1) * size;
      const Bytes state = others_.bytes(at, size);
      if (state.empty() || field(state, Field::kStaticTypeStateType) != object.value) continue;
      add(out, field(state, Field::kStaticTypeStateDict), EdgeKind::kDict, 0);
      add(out, field(state, Field::kStaticTypeStateSubclasses), EdgeKind::kInternal,
          names_.subclasses.value);
      break;
    }
  }
}

}  // namespace memspy::cpython
