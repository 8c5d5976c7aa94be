#include "cpython/heap/edge_reader.h"

#include <algorithm>

#include "cpython/runtime_walk.h"

namespace memspy::cpython {
namespace {

constexpr std::uint32_t kWord = 8;
constexpr std::uint64_t kTags = 3;         // low bits of a tagged reference (3.14+)
constexpr std::uint32_t kBodyHead = 0x70;  // what the reader of a body looks at, at most
constexpr std::uint64_t kMaxItems = std::uint64_t{1} << 40;

}  // namespace

EdgeReader::EdgeReader(const Interpreter& interpreter, const MemoryReader& memory, EdgePlans& plans)
    : layout_(interpreter.layout()),
      plans_(plans),
      strings_(layout_, memory),
      heads_(memory),
      bodies_(memory),
      others_(memory) {
  if (layout_.strategies.references == ReferenceKind::kStackRef) reference_mask_ = ~kTags;
  module_rules_ = module_state_rules(layout_.minor);
  if (layout_.has(Field::kInterpreterStaticTypes)) {
    const auto interpreters = list_interpreters(memory, layout_, interpreter.anchors());
    if (interpreters.has_value()) {
      for (const InterpreterRef& found : *interpreters) interpreters_.push_back(found.address);
    }
  }
  const std::pair<NameIndex*, const char*> names[] = {
      {&names_.type, "type"},
      {&names_.stack, "stack"},
      {&names_.item, "item"},
      {&names_.subclasses, "subclasses"},
      {&names_.attribute_name, "attribute name"},
      {&names_.name, "__name__"},
      {&names_.qualname, "__qualname__"},
      {&names_.slots, "__slots__"},
      {&names_.module, "module"},
      {&names_.base, "base"},
      {&names_.dtype, "dtype"},
      {&names_.locals, "f_locals"},
      {&names_.globals, "f_globals"},
      {&names_.builtins, "f_builtins"},
      {&names_.function, "function"},
      {&names_.code, "code"},
      {&names_.frame, "frame"},
      {&names_.cached, "cached"},
      {&names_.entry, "entry"},
      {&names_.tag, "tag"},
      {&names_.text, "text"},
      {&names_.tail, "tail"},
      {&names_.attrib, "attrib"},
      {&names_.callback, "callback"},
      {&names_.condition, "condition"},
  };
  for (const auto& [index, name] : names) *index = plans.intern(name);
}

const EdgePlan& EdgeReader::plan_of(const TypeFacts& type) {
  const std::size_t index = type.index.value;
  if (index >= by_type_.size()) by_type_.resize(index + 1);
  if (by_type_[index] == nullptr) by_type_[index] = &plans_.plan_of(type);
  return *by_type_[index];
}

bool EdgeReader::read(RemoteAddr object, const TypeFacts& type, std::vector<RawEdge>& out) {
  const EdgePlan& plan = plan_of(type);
  if (plan.empty()) return false;
  std::uint32_t head_bytes = plan.head_bytes;
  if (plan.body != EdgeBody::kNone) {
    head_bytes = std::max(head_bytes, std::min(plan.basic_size, kBodyHead));
  }
  const Bytes head = heads_.bytes(object, head_bytes);
  if (head.size() < head_bytes) return false;
  for (const EdgePlan::Step& step : plan.steps) {
    for (std::uint32_t i = 0; i < step.count; ++i) {
      add(out, word_at(head, step.offset + i * kWord), step.kind, step.name.value, step.weak);
    }
  }
  const std::size_t before = out.size();
  for (const EdgePlan::Range& range : plan.scan) {
    if (budget_spent()) break;
    pay((range.end - range.begin) / kWord);
    for (std::uint32_t at = range.begin; at < range.end; at += kWord) {
      add(out, word_at(head, at), EdgeKind::kWord, at);
    }
  }
  if (plan.scan_items) scan_items(object, plan, out);
  bool scanned = out.size() != before;
  if (plan.body != EdgeBody::kNone) read_body(object, plan, head, out);
  if (plan.body == EdgeBody::kModule) {
    scanned |= std::any_of(out.begin() + static_cast<std::ptrdiff_t>(before), out.end(),
                           [](const RawEdge& edge) { return edge.kind == EdgeKind::kWord; });
  }
  if (plan.attributes != EdgePlan::Attributes::kNone) read_attributes(object, plan, out);
  if (plan.owns_type) add(out, type.address.value, EdgeKind::kInternal, names_.type.value);
  return scanned;
}

// `head` is good until the next read of a head.
void EdgeReader::read_body(RemoteAddr object, const EdgePlan& plan, Bytes head, Edges& out) {
  const std::uint64_t size = field(head, Field::kVarObjectSize);
  switch (plan.body) {
    case EdgeBody::kNone:
      return;
    case EdgeBody::kOrderedDict:
      read_ordered_nodes(head, out);
      [[fallthrough]];
    case EdgeBody::kDict: {
      const std::size_t before = out.size();
      marks_weak_ = std::find(weak_dicts_.begin(), weak_dicts_.end(), object) != weak_dicts_.end();
      read_dict(head, out);
      for (std::size_t i = before; marks_weak_ && i < out.size(); ++i) out[i].weak = true;
      marks_weak_ = false;
      return;
    }
    case EdgeBody::kList:
      return read_array(RemoteAddr{field(head, Field::kListItems)}, size, EdgeKind::kIndex, 0, out);
    case EdgeBody::kTuple:
      return read_array(object + layout_.offset(Field::kTupleItems), size + plan.hidden_items,
                        EdgeKind::kIndex, 0, out);
    case EdgeBody::kItems:
      return read_array(object + plan.basic_size, size, EdgeKind::kInternal, names_.item.value,
                        out);
    case EdgeBody::kSet:
      return read_set(head, out);
    case EdgeBody::kDeque:
      return read_deque(head, out);
    case EdgeBody::kFunction:
      return read_closure(head, out);
    case EdgeBody::kCode:
      return read_code(object, out);
    case EdgeBody::kType:
      return read_type(object, out);
    case EdgeBody::kFrame:
      return read_frame_object(object, out);
    case EdgeBody::kGenerator:
      return read_generator(object, out);
    case EdgeBody::kLruCache:
      return read_cache_entries(object, out);
    case EdgeBody::kModule:
      return read_module_state(head, out);
    case EdgeBody::kRing:
      return read_ring(object, out);
    case EdgeBody::kCapsule:
      return read_capsule(object, plan.basic_size, out);
    case EdgeBody::kElement:
      return read_element(object, out);
    case EdgeBody::kTeeData:
      return read_tee_data(object, out);
    case EdgeBody::kNdarray:
      return read_ndarray(object, out);
  }
}

void EdgeReader::scan_items(RemoteAddr object, const EdgePlan& plan, Edges& out) {
  const auto size =
      static_cast<std::int64_t>(others_.word(object + layout_.offset(Field::kVarObjectSize)));
  const std::uint64_t items =
      size < 0 ? 0 - static_cast<std::uint64_t>(size) : static_cast<std::uint64_t>(size);
  if (items > kMaxItems) return;
  read_array(object + plan.basic_size, items * (plan.item_size / kWord), EdgeKind::kWord,
             plan.basic_size, out);
}

}  // namespace memspy::cpython
