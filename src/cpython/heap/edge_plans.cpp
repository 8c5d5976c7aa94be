#include "cpython/heap/edge_plans.h"

#include <algorithm>
#include <string>

#include "cpython/heap/edge_rules.h"
#include "cpython/heap/object_members.h"
#include "cpython/object_reader.h"
#include "cpython/runtime_walk.h"

namespace memspy::cpython {
namespace {

constexpr int kMaxBases = 64;
constexpr std::int64_t kMaxBasicSize = 1 << 20;
constexpr std::uint32_t kWord = 8;
constexpr std::size_t kMaxAttributeName = 128;  // characters
constexpr std::int64_t kMaxStructFields = 256;
constexpr std::uint64_t kMaxStaticTypes = 1024;

// Members named after their structure ("fut_loop", "fut_result") lose what they all begin with.
std::string_view common_prefix(std::span<const ObjectMember> members) {
  if (members.empty()) return {};
  const std::size_t end = members.front().name.find('_');
  if (end == std::string_view::npos || end == 0) return {};
  const std::string_view prefix = members.front().name.substr(0, end + 1);
  const bool common = std::all_of(members.begin(), members.end(), [&](const ObjectMember& member) {
    return member.name.starts_with(prefix) && member.name.size() > prefix.size();
  });
  return common ? prefix : std::string_view{};
}

// Types that were given a module in their name later on.
std::span<const ObjectMember> members_of(int minor, std::string_view name) {
  for (const std::string_view module : {"_contextvars.", "builtins."}) {
    if (name.starts_with(module)) name.remove_prefix(module.size());
  }
  return object_members(minor, name);
}

}  // namespace

struct EdgePlans::Builder {
  Builder(EdgePlans& plans, const TypeFacts& type)
      : plans_(plans),
        layout_(plans.interpreter_.layout()),
        type_(type),
        objects_(layout_, plans.memory_) {}

  EdgePlan build();

 private:
  const TypeFacts* base_of(const TypeFacts& type) {
    return type.base ? plans_.types_.find(type.base) : nullptr;
  }
  NameIndex intern(std::string_view name) { return plans_.types_.intern(name); }
  void add(std::uint32_t offset, std::uint32_t count, std::string_view name, EdgeKind kind,
           bool weak = false);
  void find_c_base();
  void add_rule();
  void add_exception_info();
  void add_cache_marks();
  void add_members();
  void add_slots();
  void add_attributes();
  void add_scan();
  void add_hidden_items();
  RemoteAddr dict_of_type() const;
  bool is_taken(std::uint32_t offset) const;

  EdgePlans& plans_;
  const Layout& layout_;
  const TypeFacts& type_;
  ObjectReader objects_;
  EdgePlan plan_;
  const TypeFacts* c_base_ = nullptr;  // the nearest type made in C: its traverse is what runs
  std::uint32_t limit_ = 0;            // fields end here
  std::uint32_t known_ = 0;            // bytes of it that a rule or the members explain
};

void EdgePlans::Builder::add(std::uint32_t offset, std::uint32_t count, std::string_view name,
                             EdgeKind kind, bool weak) {
  const std::uint64_t end = offset + std::uint64_t{count} * kWord;
  if (end > limit_ || is_taken(offset)) return;
  plan_.steps.push_back({offset, count, intern(name), kind, weak});
  plan_.head_bytes = std::max(plan_.head_bytes, static_cast<std::uint32_t>(end));
}

bool EdgePlans::Builder::is_taken(std::uint32_t offset) const {
  return std::any_of(plan_.steps.begin(), plan_.steps.end(), [&](const EdgePlan::Step& step) {
    return offset >= step.offset && offset < step.offset + step.count * kWord;
  });
}

void EdgePlans::Builder::find_c_base() {
  c_base_ = &type_;
  for (int i = 0; i < kMaxBases && c_base_->python_class; ++i) {
    const TypeFacts* base = base_of(*c_base_);
    if (base == nullptr) break;
    c_base_ = base;
  }
}

void EdgePlans::Builder::add_rule() {
  const TypeRule rule = c_base_->rule;
  const char* label = rule_label(rule);
  if (label == nullptr) return;
  plan_.body = body_of(rule);
  plan_.how = label;
  // The rule explains the type that it was made for; a subclass in C may have more.
  const TypeFacts* owner = c_base_;
  for (int i = 0; i < kMaxBases; ++i) {
    const TypeFacts* base = base_of(*owner);
    if (base == nullptr || base->rule != rule) break;
    owner = base;
  }
  known_ = static_cast<std::uint32_t>(std::clamp<std::int64_t>(owner->basic_size, 0, limit_));
  for (const RuleField& entry : rule_fields()) {
    if (entry.rule != rule || !layout_.has(entry.field)) continue;
    add(layout_.offset(entry.field), 1, entry.name, entry.kind, entry.weak);
  }
  if (rule == TypeRule::kGenerator) add_exception_info();
  if (rule == TypeRule::kLruCache) add_cache_marks();
}

// 3.10+: a mark between arguments, and the type of the entries, stand right before the type of
// cache_info()'s results. Before 3.10 counters do, which are no addresses.
void EdgePlans::Builder::add_cache_marks() {
  if (!layout_.has(Field::kLruCacheInfoType)) return;
  const std::uint32_t end = layout_.offset(Field::kLruCacheInfoType);
  if (end < 2 * kWord) return;
  add(end - 2 * kWord, 1, "mark", EdgeKind::kInternal);
  add(end - kWord, 1, "entry type", EdgeKind::kInternal);
}

// What a generator saved while it handles an exception.
void EdgePlans::Builder::add_exception_info() {
  if (!layout_.has(Field::kGeneratorExceptionState)) return;
  const std::uint32_t at = layout_.offset(Field::kGeneratorExceptionState);
  const std::pair<Field, const char*> parts[] = {
      {Field::kExceptionInfoType, "exception type"},
      {Field::kExceptionInfoValue, "exception"},
      {Field::kExceptionInfoTraceback, "exception traceback"}};
  for (const auto& [field, name] : parts) {
    if (layout_.has(field)) add(at + layout_.offset(field), 1, name, EdgeKind::kInternal);
  }
  // A plain generator has the field and never writes to it.
  if (c_base_->c_name == "generator") return;
  const std::pair<Field, const char*> more[] = {
      {Field::kGeneratorOriginOrFinalizer, "origin or finalizer"},
      {Field::kCoroutineOrigin, "cr_origin"},
      {Field::kAsyncGeneratorFinalizer, "finalizer"}};
  for (const auto& [field, name] : more) {
    if (layout_.has(field)) add(layout_.offset(field), 1, name, EdgeKind::kInternal);
  }
}

// The generated tables: members of the C structure of this type, or of the nearest base known.
void EdgePlans::Builder::add_members() {
  const TypeFacts* owner = c_base_;
  std::span<const ObjectMember> members;
  for (int i = 0; i < kMaxBases && owner != nullptr; ++i) {
    members = members_of(layout_.minor, owner->c_name);
    if (members.empty()) members = members_of(layout_.minor, owner->name);
    if (!members.empty()) break;
    owner = base_of(*owner);
  }
  if (owner == nullptr || members.empty()) return;
  const std::string_view prefix = common_prefix(members);
  if (plan_.how == "nothing") plan_.how = "members";
  known_ = std::max(
      known_, static_cast<std::uint32_t>(std::clamp<std::int64_t>(owner->basic_size, 0, limit_)));
  for (const ObjectMember& member : members) {
    if (member.offset == static_cast<std::uint64_t>(owner->basic_size) &&
        owner->item_size == kWord) {
      plan_.body = EdgeBody::kItems;  // "[1]" stands for ob_size of them
      continue;
    }
    if (member.count > 1 && plan_.body == EdgeBody::kTeeData) continue;  // only some are in use
    const std::string_view name = member.name.substr(prefix.size());
    add(member.offset, member.count, name,
        name == "dict" && prefix.empty() ? EdgeKind::kDict : EdgeKind::kInternal);
  }
}

// __slots__ and other members that a type declares.
void EdgePlans::Builder::add_slots() {
  const std::uint32_t limit = limit_;
  limit_ = static_cast<std::uint32_t>(std::clamp<std::int64_t>(type_.basic_size, 0, kMaxBasicSize));
  for (const TypeFacts::Slot& slot : type_.slots) {
    if (slot.offset + kWord > limit_ || slot.offset < layout_.size(Struct::kObject)) continue;
    if (is_taken(slot.offset)) continue;
    plan_.steps.push_back({slot.offset, 1, slot.name, EdgeKind::kAttribute, false});
    plan_.head_bytes = std::max(plan_.head_bytes, slot.offset + kWord);
    if (plan_.how == "nothing") plan_.how = "slots";
  }
  limit_ = limit;
}

void EdgePlans::Builder::add_attributes() {
  plan_.owns_type = (type_.flags & kTypeHeapType) != 0;
  plan_.cached_keys = type_.cached_keys;
  const bool managed = layout_.strategies.instance_dict != InstanceDictKind::kDictOffset &&
                       (type_.flags & kTypeManagedDict) != 0;
  if (managed) {
    plan_.attributes = EdgePlan::Attributes::kManaged;
    plan_.inline_values = layout_.strategies.instance_dict == InstanceDictKind::kInlineValues &&
                          (type_.flags & kTypeInlineValues) != 0;
    if (layout_.has(Field::kDictKeysLog2Size) && is_plausible(type_.cached_keys)) {
      plan_.attribute_names = plans_.key_names(objects_, type_.cached_keys);
    }
    return;
  }
  const std::int64_t offset = type_.dict_offset;
  if (offset == 0 || offset < -kMaxBasicSize || offset > kMaxBasicSize || offset % kWord != 0)
    return;
  if (offset > 0 && is_taken(static_cast<std::uint32_t>(offset))) return;
  plan_.attributes = offset > 0 ? EdgePlan::Attributes::kAtOffset : EdgePlan::Attributes::kFromEnd;
  plan_.dict_offset = static_cast<std::int32_t>(offset);
}

// Nothing is known of these words: they may be references. Weak lists are none.
void EdgePlans::Builder::add_scan() {
  // These bodies explain what lies behind the fields.
  if (plan_.body == EdgeBody::kTuple || plan_.body == EdgeBody::kTeeData ||
      plan_.body == EdgeBody::kElement || plan_.body == EdgeBody::kRing) {
    return;
  }
  const bool known = plan_.how != "nothing" && plan_.how != "slots";
  const std::uint32_t begin = known ? known_ : layout_.size(Struct::kObject);
  if (!known && limit_ <= layout_.size(Struct::kObject)) return;
  for (std::uint32_t at = (begin + 7) / kWord * kWord; at + kWord <= limit_; at += kWord) {
    if (is_taken(at) || at == c_base_->weaklist_offset || at == c_base_->dict_offset) continue;
    if (!plan_.scan.empty() && plan_.scan.back().end == at) {
      plan_.scan.back().end = at + kWord;
    } else {
      plan_.scan.push_back({at, at + kWord});
    }
    plan_.head_bytes = std::max(plan_.head_bytes, at + kWord);
  }
  plan_.scan_items = !known && c_base_->item_size >= kWord;
  if (!plan_.scan.empty() || plan_.scan_items) plan_.how = "scan";
}

// Of the C base: its own, or for the interpreter's static types (3.12+) what the first interpreter
// keeps for the type's number.
RemoteAddr EdgePlans::Builder::dict_of_type() const {
  const MemoryReader& memory = plans_.memory_;
  const RemoteAddr type = c_base_->address;
  const RemoteAddr own =
      read_pointer(memory, layout_, type, Field::kTypeDict).value_or(RemoteAddr{});
  if (own || !layout_.has(Field::kInterpreterStaticTypes)) return own;
  const auto interpreters = list_interpreters(memory, layout_, plans_.interpreter_.anchors());
  const std::uint64_t number =
      read_field(memory, layout_, type, Field::kTypeSubclasses).value_or(0);
  if (!interpreters.has_value() || number == 0 || number > kMaxStaticTypes) return {};
  const RemoteAddr state = interpreters->back().address +
                           layout_.offset(Field::kInterpreterStaticTypes) +
                           (number - 1) * layout_.size(Struct::kStaticTypeState);
  const auto owner = read_field(memory, layout_, state, Field::kStaticTypeStateType);
  if (!owner.has_value() || *owner != type.value) return {};
  return read_pointer(memory, layout_, state, Field::kStaticTypeStateDict).value_or(RemoteAddr{});
}

// A struct sequence (os.stat_result) has more items than its ob_size says.
void EdgePlans::Builder::add_hidden_items() {
  if (plan_.body != EdgeBody::kTuple || c_base_->base == RemoteAddr{}) return;
  const RemoteAddr dict = dict_of_type();
  if (!dict) return;
  const auto number = [&](std::string_view name) -> std::int64_t {
    const auto item = objects_.find_item(dict, name);
    if (!item.has_value() || !*item) return 0;
    return objects_.read_int(*item).value_or(0);
  };
  const std::int64_t visible = number("n_sequence_fields"), all = number("n_fields");
  if (visible >= 0 && all > visible && all <= kMaxStructFields) {
    plan_.hidden_items = static_cast<std::uint32_t>(all - visible);
  }
}

EdgePlan EdgePlans::Builder::build() {
  find_c_base();
  limit_ =
      static_cast<std::uint32_t>(std::clamp<std::int64_t>(c_base_->basic_size, 0, kMaxBasicSize));
  plan_.basic_size =
      static_cast<std::uint32_t>(std::clamp<std::int64_t>(type_.basic_size, 0, kMaxBasicSize));
  plan_.item_size =
      static_cast<std::uint32_t>(std::clamp<std::int64_t>(type_.item_size, 0, kMaxBasicSize));
  add_rule();
  if (const EdgeBody body = body_of_name(c_base_->c_name); body != EdgeBody::kNone)
    plan_.body = body;
  add_members();
  // A queue's items are in a list up to 3.12, which is a member.
  if (plan_.body == EdgeBody::kRing && !plan_.steps.empty()) plan_.body = EdgeBody::kNone;
  if (plan_.body == EdgeBody::kRing) plan_.how = "ring rule";
  add_hidden_items();
  add_slots();
  add_attributes();
  add_scan();
  return std::move(plan_);
}

EdgePlans::EdgePlans(const Interpreter& interpreter, const MemoryReader& memory, TypeTable& types)
    : interpreter_(interpreter), memory_(memory), types_(types) {}
EdgePlans::~EdgePlans() = default;

const EdgePlan& EdgePlans::plan_of(const TypeFacts& type) {
  const std::lock_guard lock(mutex_);
  if (type.index.value >= plans_.size()) plans_.resize(type.index.value + 1);
  auto& plan = plans_[type.index.value];
  if (!plan) plan = std::make_unique<EdgePlan>(Builder(*this, type).build());
  return *plan;
}

NameIndex EdgePlans::intern(std::string_view name) {
  const std::lock_guard lock(mutex_);
  const NameIndex index = types_.intern(name);
  names_.try_emplace(index.value, name);
  return index;
}

std::string EdgePlans::name_of(NameIndex index) {
  const std::lock_guard lock(mutex_);
  const auto found = names_.find(index.value);
  return found != names_.end() ? found->second : std::string();
}

// Holes have the empty name: the order is that of the values.
std::vector<NameIndex> EdgePlans::key_names(const ObjectReader& objects, RemoteAddr keys) {
  std::vector<NameIndex> names;
  const auto addresses = objects.read_split_keys(keys);
  if (!addresses.has_value()) return names;
  for (const RemoteAddr key : *addresses) {
    const auto text = objects.read_str(key, kMaxAttributeName);
    names.push_back(text.has_value() ? types_.intern(*text) : NameIndex{});
  }
  return names;
}

}  // namespace memspy::cpython
