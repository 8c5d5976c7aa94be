// What an object owns outside itself.
#include "cpython/heap/object_sizes.h"

#include <algorithm>

#include "cpython/heap/module_states.h"
#include "cpython/remote_fields.h"

namespace memspy::cpython {
namespace {

// Notices that a chain of links is a ring, without remembering it (Brent).
class RingGuard {
 public:
  bool closes(RemoteAddr at) {
    if (at == mark_) return true;
    if (++steps_ == limit_) {
      mark_ = at;
      limit_ *= 2;
    }
    return false;
  }

 private:
  RemoteAddr mark_;
  std::uint64_t steps_ = 0, limit_ = 64;
};

}  // namespace

// The characters of a string that are not behind its head, and its cached encodings.
std::uint64_t ObjectSizes::string_outside(RemoteAddr object, std::vector<OwnedMemory>* out) {
  const std::uint64_t state = get(object, Field::kUnicodeState);
  const bool compact = (state & kUnicodeStateCompact) != 0;
  const bool ascii = (state & kUnicodeStateAscii) != 0;
  if (compact && ascii && !layout_.has(Field::kUnicodeWstr)) return 0;
  const std::uint64_t length = get(object, Field::kUnicodeLength);
  const std::uint64_t kind = state >> kUnicodeStateKindShift & kUnicodeStateKindMask;
  if (length > static_cast<std::uint64_t>(kMaxItems)) return 0;
  std::uint64_t sum = 0;
  const auto add = [&](RemoteAddr at, std::uint64_t bytes) {
    sum += bytes;
    if (out != nullptr) out->push_back({at, bytes});
  };
  RemoteAddr data =
      object + layout_.offset(ascii ? Field::kUnicodeAsciiData : Field::kUnicodeCompactData);
  if (!compact) {
    data = pointer(object, Field::kUnicodeDataPointer);
    if (data) add(data, (length + 1) * kind);
  }
  if (!(compact && ascii)) {
    const RemoteAddr utf8 = pointer(object, Field::kUnicodeUtf8);
    const std::uint64_t bytes = get(object, Field::kUnicodeUtf8Length);
    if (utf8 && utf8 != data && bytes <= 4 * length) add(utf8, bytes + 1);
  }
  const RemoteAddr wide = pointer(object, Field::kUnicodeWstr);
  if (wide && wide != data) {
    const std::uint64_t count = compact && ascii ? length : get(object, Field::kUnicodeWstrLength);
    if (count <= 2 * length) add(wide, (count + 1) * kWideCharacter);
  }
  return sum;
}

// Up to 3.10 with caches for the evaluation loop; since 3.11 with what the loop derived.
std::uint64_t ObjectSizes::code_outside(RemoteAddr object, std::vector<OwnedMemory>* out) {
  std::uint64_t sum = 0;
  const auto add = [&](Field field, std::uint64_t bytes, bool counted) {
    const RemoteAddr at = pointer(object, field);
    if (!at) return;
    if (counted) sum += bytes;
    if (out != nullptr) out->push_back({at, bytes});
  };
  constexpr std::uint64_t kExtraHead = 8, kMaxExtras = 255;
  if (const RemoteAddr extra = pointer(object, Field::kCodeExtra)) {
    const std::uint64_t count = get(extra, Field::kCodeExtraArraySize);
    if (count <= kMaxExtras)
      add(Field::kCodeExtra, kExtraHead + kWord * std::max<std::uint64_t>(count, 1), true);
  }
  const auto cells = static_cast<std::uint64_t>(item_count(pointer(object, Field::kCodeCellVars)));
  if (layout_.has(Field::kCodeCell2Arg)) add(Field::kCodeCell2Arg, kWord * cells, true);
  if (layout_.has(Field::kCodeOpcache) && pointer(object, Field::kCodeOpcache)) {
    const auto code = static_cast<std::uint64_t>(item_count(pointer(object, Field::kCodeBytecode)));
    add(Field::kCodeOpcacheMap, code / 2, true);
    add(Field::kCodeOpcache,
        layout_.size(Struct::kCodeOpcacheEntry) * get(object, Field::kCodeOpcacheSize), true);
  }
  add(Field::kCodeZombieFrame, layout_.size(Struct::kFrameObject), false);
  add(Field::kCodeCached, layout_.size(Struct::kCoCached), false);
  add(Field::kCodeMonitoring, kWord, false);
  add(Field::kCodeExecutors, kWord, false);
  return sum;
}

std::uint64_t ObjectSizes::ordered_nodes(RemoteAddr object, std::vector<OwnedMemory>* out) {
  const std::uint64_t fast = get(object, Field::kOrderedDictFastNodesSize);
  std::uint64_t sum = fast <= static_cast<std::uint64_t>(kMaxItems) ? kWord * fast : 0;
  const RemoteAddr nodes = pointer(object, Field::kOrderedDictFastNodes);
  if (out != nullptr && nodes) out->push_back({nodes, sum});
  const std::uint64_t size = layout_.size(Struct::kOrderedNode);
  const std::uint64_t used = get(object, Field::kDictUsed);
  RemoteAddr node = pointer(object, Field::kOrderedDictFirst);
  if (!node || used > static_cast<std::uint64_t>(kMaxItems)) return sum;
  sum += size * used;
  if (out == nullptr) return sum;
  RingGuard guard;
  for (std::uint64_t i = 0; i < used && is_plausible(node) && !guard.closes(node); ++i) {
    out->push_back({node, size});
    node = pointer(node, Field::kOrderedNodeNext);
  }
  return sum;
}

std::uint64_t ObjectSizes::deque_blocks(RemoteAddr object, std::vector<OwnedMemory>* out) {
  const std::uint64_t size = layout_.size(Struct::kDequeBlock);
  if (size <= 2 * kWord) return 0;
  const std::uint64_t per_block = size / kWord - 2;
  const auto count = static_cast<std::uint64_t>(item_count(object));
  const std::uint64_t left = get(object, Field::kDequeLeftIndex);
  if (left > per_block) return 0;
  const std::uint64_t blocks = count == 0 ? 1 : (left + count + per_block - 1) / per_block;
  if (out != nullptr) {
    RemoteAddr block = pointer(object, Field::kDequeLeftBlock);
    RingGuard guard;
    for (std::uint64_t i = 0; i < blocks && is_plausible(block) && !guard.closes(block); ++i) {
      out->push_back({block, size});
      block = pointer(block, Field::kDequeBlockRight);
    }
    constexpr std::uint64_t kMaxSpareBlocks = 16;
    const std::uint64_t spare = std::min(get(object, Field::kDequeFreeBlockCount), kMaxSpareBlocks);
    for (std::uint64_t i = 0; i < spare; ++i) {
      out->push_back(
          {bytes_.pointer(object + layout_.offset(Field::kDequeFreeBlocks) + i * kWord), size});
    }
  }
  return blocks * size;
}

void ObjectSizes::owned_by_dict(RemoteAddr object, std::vector<OwnedMemory>& out) {
  const auto keys = read_key_table(layout_, bytes_, pointer(object, Field::kDictKeys));
  if (!keys) return;
  const RemoteAddr values = pointer(object, Field::kDictValues);
  if (values) {
    // Values of an instance stay in the instance until the dict is on its own.
    const bool embedded = get(values, Field::kDictValuesEmbedded) != 0;
    if (!embedded) out.push_back({values, kWord * std::max(keys->capacity, keys->used)});
  } else if (keys->refcount == 1 && !keys->split) {
    out.push_back({keys->address, keys->bytes});
  }
}

// Values of an instance that has no dict yet (3.11, 3.12): a block of its own, pointed into.
void ObjectSizes::owned_by_instance(RemoteAddr object, const TypeFacts& type,
                                    std::vector<OwnedMemory>& out) {
  if ((type.flags & kTypeManagedDict) == 0) return;
  constexpr std::uint64_t kDictBefore = 24, kValuesBefore = 32;
  RemoteAddr values;
  if (layout_.strategies.instance_dict == InstanceDictKind::kValuesAndDict) {
    values = bytes_.pointer(object - kValuesBefore);
  } else if (layout_.strategies.instance_dict == InstanceDictKind::kTaggedWord) {
    const std::uint64_t word = bytes_.word(object - kDictBefore);
    if ((word & 1) != 0) values = {word + 1};
  }
  if (!is_plausible(values)) return;
  const auto keys = read_key_table(layout_, bytes_, type.cached_keys);
  out.push_back({values, keys ? kWord * keys->capacity : kWord});
}

// numpy's PyArrayObject, whose shape is part of its binary interface.
void ObjectSizes::owned_by_array(RemoteAddr object, std::vector<OwnedMemory>& out) {
  constexpr std::uint64_t kData = 16, kDimensions = 24, kShape = 32, kStrides = 40, kFlags = 64;
  constexpr std::uint64_t kOwnsData = 4, kMaxDimensions = 64;
  const std::uint64_t dimensions = bytes_.load(object + kDimensions, 4);
  const RemoteAddr shape = bytes_.pointer(object + kShape);
  const RemoteAddr strides = bytes_.pointer(object + kStrides);
  if (dimensions == 0 || dimensions > kMaxDimensions) return;
  if (is_plausible(shape)) out.push_back({shape, 2 * kWord * dimensions});
  if ((bytes_.load(object + kFlags, 4) & kOwnsData) == 0) return;
  std::uint64_t bytes = 0;
  for (std::uint64_t i = 0; i < dimensions; ++i) {
    const auto step = static_cast<std::int64_t>(bytes_.word(strides + i * kWord));
    const std::uint64_t length = bytes_.word(shape + i * kWord);
    if (length == 0 || length > static_cast<std::uint64_t>(kMaxItems)) return;
    if (step > kMaxItems || step < -kMaxItems) return;
    const std::uint64_t distance = static_cast<std::uint64_t>(step < 0 ? -step : step);
    std::uint64_t extent = 0;
    if (!__builtin_mul_overflow(distance, length, &extent)) bytes = std::max(bytes, extent);
  }
  const RemoteAddr data = bytes_.pointer(object + kData);
  if (data) out.push_back({data, bytes});
}

void ObjectSizes::owned_buffers(RemoteAddr object, const TypeFacts& type,
                                std::vector<OwnedMemory>& out) {
  const auto add = [&](RemoteAddr at, std::uint64_t bytes) {
    if (at && bytes <= static_cast<std::uint64_t>(kMaxItems)) out.push_back({at, bytes});
  };
  switch (type.buffers) {
    case BufferRule::kArray: {
      const RemoteAddr kind = pointer(object, Field::kArrayDescriptor);
      const std::uint64_t size = kind ? get(kind, Field::kArrayDescriptorItemSize) : 0;
      if (size <= kWord)
        add(pointer(object, Field::kArrayItems), size * get(object, Field::kArrayAllocated));
      break;
    }
    case BufferRule::kStringIo:
      add(pointer(object, Field::kStringIoBuffer),
          kWideCharacter * get(object, Field::kStringIoCapacity));
      break;
    case BufferRule::kBuffered:
      add(pointer(object, Field::kBufferedBuffer), get(object, Field::kBufferedBufferSize));
      break;
    case BufferRule::kStruct: {
      constexpr std::uint64_t kFormatCode = 32, kMaxCodes = 65536;
      const RemoteAddr codes = pointer(object, Field::kStructCodes);
      std::uint64_t count = 0;
      while (codes && count < kMaxCodes && bytes_.word(codes + count * kFormatCode) != 0) ++count;
      add(codes, (count + 1) * kFormatCode);
      break;
    }
    case BufferRule::kDecimal: {
      const RemoteAddr data = pointer(object, Field::kDecimalData);
      if (data != object + layout_.offset(Field::kDecimalInline)) {
        add(data, kWord * get(object, Field::kDecimalAlloc));
      }
      break;
    }
    case BufferRule::kRing: {
      if (type.basic_size < std::int64_t{kRingFields.bytes}) break;
      const std::uint64_t room = bytes_.word(object + kRingFields.room);
      if (room <= static_cast<std::uint64_t>(kMaxItems))
        add(bytes_.pointer(object + kRingFields.items), kWord * room);
      break;
    }
    case BufferRule::kCData: {
      const RemoteAddr data = pointer(object, Field::kCDataPointer);
      const bool inside = data == object + layout_.offset(Field::kCDataValue);
      if (get(object, Field::kCDataNeedsFree) != 0 && !inside)
        add(data, get(object, Field::kCDataSize));
      break;
    }
    default:
      break;
  }
}

void ObjectSizes::owned(RemoteAddr object, const TypeFacts& type, std::vector<OwnedMemory>& out) {
  owned_by_instance(object, type, out);
  switch (type.rule) {
    case TypeRule::kUnicode:
      string_outside(object, &out);
      break;
    case TypeRule::kByteArray:
      if (!layout_.has(Field::kByteArrayObject)) {
        out.push_back(
            {pointer(object, Field::kByteArrayBytes), get(object, Field::kByteArrayAlloc)});
      }
      break;
    case TypeRule::kList:
      out.push_back(
          {pointer(object, Field::kListItems), kWord * get(object, Field::kListAllocated)});
      break;
    case TypeRule::kOrderedDict:
      ordered_nodes(object, &out);
      owned_by_dict(object, out);
      break;
    case TypeRule::kDict:
    case TypeRule::kDefaultDict:
      owned_by_dict(object, out);
      break;
    case TypeRule::kSet: {
      const RemoteAddr table = pointer(object, Field::kSetTable);
      if (table != object + layout_.offset(Field::kSetSmallTable)) {
        out.push_back({table, kSetEntry * (get(object, Field::kSetMask) + 1)});
      }
      break;
    }
    case TypeRule::kDeque:
      deque_blocks(object, &out);
      break;
    case TypeRule::kCode:
      code_outside(object, &out);
      break;
    case TypeRule::kModule:
      if (const RemoteAddr state = pointer(object, Field::kModuleState))
        out.push_back({state, kWord});
      break;
    case TypeRule::kNdarray:
      owned_by_array(object, out);
      break;
    default:
      if (type.buffers != BufferRule::kNone) owned_buffers(object, type, out);
      break;
  }
}

}  // namespace memspy::cpython
