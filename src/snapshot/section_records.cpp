#include <algorithm>
#include <cstring>

#include "snapshot/snapshot_sections.h"

namespace memspy::snapshot {
namespace {

class Encoder {
 public:
  void u32(std::uint32_t value) { raw(&value, sizeof(value)); }
  void u64(std::uint64_t value) { raw(&value, sizeof(value)); }
  void text(std::string_view value) {
    u32(static_cast<std::uint32_t>(value.size()));
    raw(value.data(), value.size());
  }
  std::string take() { return std::move(bytes_); }

 private:
  void raw(const void* data, std::size_t size) {
    bytes_.append(static_cast<const char*>(data), size);
  }
  std::string bytes_;
};

class Decoder {
 public:
  explicit Decoder(std::span<const std::byte> bytes) : bytes_(bytes) {}
  bool u32(std::uint32_t& value) { return raw(&value, sizeof(value)); }
  bool u64(std::uint64_t& value) { return raw(&value, sizeof(value)); }
  bool text(std::string& value) {
    std::uint32_t size = 0;
    if (!u32(size) || size > bytes_.size()) return false;
    value.assign(reinterpret_cast<const char*>(bytes_.data()), size);
    bytes_ = bytes_.subspan(size);
    return true;
  }
  bool at_end() const { return bytes_.empty(); }
  std::size_t left() const { return bytes_.size(); }

 private:
  bool raw(void* out, std::size_t size) {
    if (size > bytes_.size()) return false;
    std::memcpy(out, bytes_.data(), size);
    bytes_ = bytes_.subspan(size);
    return true;
  }
  std::span<const std::byte> bytes_;
};

}  // namespace

std::string encode_types(std::span<const HeapType> types) {
  Encoder out;
  out.u32(static_cast<std::uint32_t>(types.size()));
  for (const auto& type : types) {
    out.u64(type.address.value);
    out.u32(type.heap_type ? 1 : 0);
    out.text(type.name);
  }
  return out.take();
}

bool decode_types(std::span<const std::byte> bytes, std::vector<HeapType>& types) {
  Decoder in(bytes);
  std::uint32_t count = 0;
  if (!in.u32(count) || count > in.left() / 16 || count > kMaxTypes) return false;
  types.resize(count);
  for (auto& type : types) {
    std::uint32_t heap_type = 0;
    if (!in.u64(type.address.value) || !in.u32(heap_type) || !in.text(type.name)) return false;
    type.heap_type = heap_type != 0;
  }
  return in.at_end();
}

std::string encode_names(const ObjectGraph& graph) {
  Encoder out;
  out.u32(graph.name_count());
  for (std::uint32_t i = 0; i < graph.name_count(); ++i) out.text(graph.name({i}));
  return out.take();
}

bool decode_names(std::span<const std::byte> bytes, std::vector<std::string>& names) {
  Decoder in(bytes);
  std::uint32_t count = 0;
  if (!in.u32(count) || count > in.left() / 4) return false;
  names.resize(count);
  for (auto& name : names) {
    if (!in.text(name)) return false;
  }
  return in.at_end();
}

std::string encode_roots(std::span<const HeapRoot> roots) {
  Encoder out;
  for (const auto& root : roots) {
    out.u32(root.to.value);
    out.u32(root.name.value);
    out.u32(static_cast<std::uint32_t>(root.kind));
    out.u32(0);
  }
  return out.take();
}

std::string encode_texts(const Snapshot& snapshot) {
  std::vector<std::uint32_t> nodes;
  for (const auto& [node, text] : snapshot.texts) nodes.push_back(node);
  std::sort(nodes.begin(), nodes.end());  // the same snapshot is the same file
  Encoder out;
  out.u32(static_cast<std::uint32_t>(nodes.size()));
  for (const std::uint32_t node : nodes) {
    out.u32(node);
    out.text(snapshot.texts.at(node));
  }
  return out.take();
}

bool decode_texts(std::span<const std::byte> bytes, Snapshot& snapshot) {
  Decoder in(bytes);
  std::uint32_t count = 0;
  if (!in.u32(count) || count > in.left() / 8) return false;
  for (std::uint32_t i = 0; i < count; ++i) {
    std::uint32_t node = 0;
    std::string text;
    if (!in.u32(node) || !in.text(text) || node >= snapshot.graph.node_count()) return false;
    snapshot.texts.emplace(node, std::move(text));
  }
  return in.at_end();
}

}  // namespace memspy::snapshot
