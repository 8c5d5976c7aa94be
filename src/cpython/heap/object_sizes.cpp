#include "cpython/heap/object_sizes.h"

#include <algorithm>

#include "cpython/remote_fields.h"

namespace memspy::cpython {
namespace {

constexpr std::uint64_t kStackRefTags = 3;  // 3.14+: low bits of a frame's references

}  // namespace

std::int64_t ObjectSizes::item_count(RemoteAddr object) {
  const auto size = static_cast<std::int64_t>(get(object, Field::kVarObjectSize));
  if (size > kMaxItems || size < -kMaxItems) return 0;
  return size < 0 ? -size : size;
}

std::uint64_t ObjectSizes::default_bytes(RemoteAddr object, const TypeFacts& type) {
  std::int64_t size = type.basic_size;
  if (type.item_size > 0) size += type.item_size * item_count(object);
  return static_cast<std::uint64_t>(size);
}

std::uint64_t ObjectSizes::int_bytes(RemoteAddr object, const TypeFacts& type) {
  if (layout_.strategies.integers == LongKind::kTag) {
    const std::uint64_t digits = get(object, Field::kLongTag) >> 3;
    if (digits > static_cast<std::uint64_t>(kMaxItems)) return 0;
    return static_cast<std::uint64_t>(type.basic_size) + 4 * std::max<std::uint64_t>(digits, 1);
  }
  const auto digits = static_cast<std::uint64_t>(item_count(object));
  return layout_.offset(Field::kLongDigits) +
         4 * std::max<std::uint64_t>(digits, layout_.strategies.min_int_digits);
}

std::uint64_t ObjectSizes::string_bytes(RemoteAddr object) {
  const std::uint64_t state = get(object, Field::kUnicodeState);
  const std::uint64_t length = get(object, Field::kUnicodeLength);
  const std::uint64_t kind = state >> kUnicodeStateKindShift & kUnicodeStateKindMask;
  if (length > static_cast<std::uint64_t>(kMaxItems)) return 0;
  if ((state & kUnicodeStateCompact) == 0) return layout_.size(Struct::kUnicode);
  if ((state & kUnicodeStateAscii) != 0) {
    return layout_.offset(Field::kUnicodeAsciiData) + length + 1;
  }
  return layout_.offset(Field::kUnicodeCompactData) + (length + 1) * kind;
}

RemoteAddr ObjectSizes::code_of(RemoteAddr frame) {
  RemoteAddr code = pointer(frame, Field::kFrameCode);
  if (layout_.strategies.references == ReferenceKind::kStackRef) code.value &= ~kStackRefTags;
  if (!is_plausible(code)) return {};
  const TypeFacts* type = types_.find(pointer(code, Field::kObjectType));
  return type != nullptr && type->rule == TypeRule::kCode ? code : RemoteAddr{};
}

// Bytes of an interpreter frame: its fields, locals, cells and stack.
std::uint64_t ObjectSizes::own_frame_slots(RemoteAddr frame) {
  const RemoteAddr code = code_of(frame);
  const std::uint64_t slots =
      code ? get(code, Field::kCodeNLocalsPlus) + get(code, Field::kCodeStackSize) : 0;
  return layout_.offset(Field::kFrameLocalsPlus) + kWord * slots;
}

std::uint64_t ObjectSizes::frame_bytes(RemoteAddr object, const TypeFacts& type) {
  if (layout_.has(Field::kFrameObjectFrame)) {
    const RemoteAddr frame = pointer(object, Field::kFrameObjectFrame);
    return layout_.offset(Field::kFrameObjectOwnFrame) + own_frame_slots(frame);
  }
  const RemoteAddr code = code_of(object);
  if (!code) return static_cast<std::uint64_t>(type.basic_size);
  const auto count = [&](Field names) {
    return static_cast<std::uint64_t>(item_count(pointer(code, names)));
  };
  const std::uint64_t slots = get(code, Field::kCodeStackSize) + get(code, Field::kCodeNLocals) +
                              count(Field::kCodeCellVars) + count(Field::kCodeFreeVars);
  // One slot is part of the structure.
  return layout_.size(Struct::kFrameObject) + kWord * slots - kWord;
}

std::uint64_t ObjectSizes::generator_bytes(RemoteAddr object, const TypeFacts& type) {
  if (!layout_.has(Field::kGeneratorOwnFrame)) return static_cast<std::uint64_t>(type.basic_size);
  const std::uint32_t at = layout_.offset(Field::kGeneratorOwnFrame);
  return at + own_frame_slots(object + at);
}

std::uint64_t ObjectSizes::inline_bytes(RemoteAddr object, const TypeFacts& type) {
  switch (type.rule) {
    case TypeRule::kLong:
      return int_bytes(object, type);
    case TypeRule::kUnicode:
      return string_bytes(object);
    case TypeRule::kFrame:
      return frame_bytes(object, type);
    case TypeRule::kGenerator:
      return generator_bytes(object, type);
    case TypeRule::kByteArray:
    case TypeRule::kList:
      return static_cast<std::uint64_t>(type.basic_size);
    case TypeRule::kCode:
      if (layout_.strategies.bytecode == BytecodeKind::kEmbedded) {
        return (default_bytes(object, type) + kWord - 1) / kWord * kWord;
      }
      return default_bytes(object, type);
    case TypeRule::kType: {
      const bool heap = (get(object, Field::kTypeFlags) & kTypeHeapType) != 0;
      return layout_.size(heap ? Struct::kHeapType : Struct::kType);
    }
    default:
      return default_bytes(object, type);
  }
}

std::uint32_t ObjectSizes::head_bytes(RemoteAddr object, const TypeFacts& type) {
  if (type.rule != TypeRule::kType) return type.head_bytes;
  return (get(object, Field::kTypeFlags) & kTypeHeapType) != 0 ? type.head_bytes : 0;
}

std::uint64_t ObjectSizes::dict_outside(RemoteAddr object) {
  const auto keys = read_key_table(layout_, bytes_, pointer(object, Field::kDictKeys));
  if (!keys) return 0;
  std::uint64_t sum = 0;
  if (get(object, Field::kDictValues) != 0) {
    const bool full = layout_.strategies.dict_keys == DictKeysKind::kFullEntries;
    sum += kWord * (full ? keys->capacity : keys->used + keys->usable);
  }
  const bool counted = layout_.strategies.sizeof_counts_split_keys || !keys->split;
  if (keys->refcount == 1 && counted) sum += keys->bytes;
  return sum;
}

std::uint64_t ObjectSizes::buffers_outside(RemoteAddr object, const TypeFacts& type) {
  switch (type.buffers) {
    case BufferRule::kBytesIo: {
      // A buffer that something else refers to as well is not counted.
      const RemoteAddr buffer = pointer(object, Field::kBytesIoBuffer);
      if (!buffer || get(buffer, Field::kObjectRefcount) != 1) return 0;
      const TypeFacts* kind = types_.find(pointer(buffer, Field::kObjectType));
      return kind != nullptr && kind->rule == TypeRule::kBytes ? getsizeof(buffer, *kind) : 0;
    }
    case BufferRule::kStringIo:
    case BufferRule::kCData:
    case BufferRule::kRing:  // but by that of 3.15
    case BufferRule::kNone:
      return 0;  // not counted by getsizeof()
    default: {
      std::vector<OwnedMemory> owned;
      owned_buffers(object, type, owned);
      std::uint64_t sum = 0;
      for (const OwnedMemory& one : owned) sum += one.bytes;
      return sum;
    }
  }
}

std::uint64_t ObjectSizes::outside_bytes(RemoteAddr object, const TypeFacts& type) {
  switch (type.rule) {
    case TypeRule::kUnicode:
      return string_outside(object, nullptr);
    case TypeRule::kByteArray: {
      const std::uint64_t alloc = get(object, Field::kByteArrayAlloc);
      // 3.15 keeps the bytes in a bytes object, whose head counts as well.
      const bool object_behind = layout_.has(Field::kByteArrayObject) && alloc > 0;
      return alloc + (object_behind ? layout_.offset(Field::kBytesData) + 1 : 0);
    }
    case TypeRule::kList:
      return kWord * get(object, Field::kListAllocated);
    case TypeRule::kDict:
    case TypeRule::kDefaultDict:
      return dict_outside(object);
    case TypeRule::kOrderedDict:
      return dict_outside(object) + ordered_nodes(object, nullptr);
    case TypeRule::kSet: {
      const RemoteAddr small = object + layout_.offset(Field::kSetSmallTable);
      if (pointer(object, Field::kSetTable) == small) return 0;
      return kSetEntry * (get(object, Field::kSetMask) + 1);
    }
    case TypeRule::kDeque:
      return deque_blocks(object, nullptr);
    case TypeRule::kCode:
      return code_outside(object, nullptr);
    case TypeRule::kNdarray: {
      std::vector<OwnedMemory> owned;
      owned_by_array(object, owned);
      std::uint64_t sum = 0;
      for (const OwnedMemory& one : owned) sum += one.bytes;
      return sum;
    }
    case TypeRule::kType: {
      const RemoteAddr keys = shared_keys(object, type);
      const auto table = read_key_table(layout_, bytes_, keys);
      return table ? table->bytes : 0;
    }
    default:
      return type.buffers == BufferRule::kNone ? 0 : buffers_outside(object, type);
  }
}

std::uint64_t ObjectSizes::getsizeof(RemoteAddr object, const TypeFacts& type) {
  const std::uint32_t head =
      layout_.strategies.sizeof_heads_all_types ? type.head_bytes : head_bytes(object, type);
  return head + inline_bytes(object, type) + outside_bytes(object, type);
}

RemoteAddr ObjectSizes::shared_keys(RemoteAddr object, const TypeFacts& type) {
  if (type.rule == TypeRule::kType) {
    if ((get(object, Field::kTypeFlags) & kTypeHeapType) == 0) return {};
    return pointer(object, Field::kHeapTypeCachedKeys);
  }
  const bool dict = type.rule == TypeRule::kDict || type.rule == TypeRule::kDefaultDict ||
                    type.rule == TypeRule::kOrderedDict;
  if (!dict || get(object, Field::kDictValues) == 0) return {};
  return pointer(object, Field::kDictKeys);
}

}  // namespace memspy::cpython
