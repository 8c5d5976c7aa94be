#include "heap/trace_types.h"

#include <algorithm>

namespace memspy::heap {
namespace {

using cpython::HeapWalker;

// What may stand in a block before its object: the collector's head (up to 32 bytes), and from 3.11
// on the pointers to an instance's dict and weak references.
constexpr std::uint64_t kMostBefore = 64;

// Addresses, which ascend, and types.
class Objects final : public ObjectVisitor {
 public:
  void on_name(NameIndex, std::string_view) override {}
  void on_types(std::span<const HeapType> types) override {
    for (const HeapType& type : types) names_.push_back(type.name);
  }
  void on_objects(std::span<const HeapNode> nodes) override {
    for (const HeapNode& node : nodes) {
      addresses_.push_back(node.address);
      types_.push_back(node.type.value);
    }
  }
  void on_edges(NodeIndex, std::span<const HeapEdge>) override {}
  void on_roots(std::span<const HeapRoot>) override {}

  std::vector<std::string>& names() { return names_; }
  std::uint32_t type(NodeIndex node) const {
    return node.value < types_.size() ? types_[node.value] : kNoTraceType;
  }
  // Of the object that begins in the block.
  std::uint32_t in(const Trace& trace) const {
    const auto at = std::lower_bound(addresses_.begin(), addresses_.end(), trace.block);
    if (at == addresses_.end()) return kNoTraceType;
    const std::uint64_t before = at->value - trace.block.value;
    if (before >= trace.bytes || before > kMostBefore) return kNoTraceType;
    return types_[static_cast<std::size_t>(at - addresses_.begin())];
  }

 private:
  std::vector<std::string> names_;
  std::vector<RemoteAddr> addresses_;
  std::vector<std::uint32_t> types_;
};

// Of the object whose buffer the block lies in. A debug hook puts its own bytes before the block,
// so the buffer may begin earlier.
std::uint32_t owner_of(const Trace& trace, std::span<const HeapWalker::OwnedBuffer> buffers,
                       const Objects& objects) {
  const auto after = std::upper_bound(
      buffers.begin(), buffers.end(), trace.block,
      [](RemoteAddr block, const HeapWalker::OwnedBuffer& one) { return block < one.address; });
  if (after == buffers.begin()) return kNoTraceType;
  const auto& buffer = *std::prev(after);
  if (trace.block.value - buffer.address.value >= buffer.bytes) return kNoTraceType;
  return objects.type(buffer.owner);
}

}  // namespace

Result<Unit> join_types(const cpython::HeapInput& input, TraceTable& table) {
  HeapWalker walker(input);
  Objects objects;
  MEMSPY_TRY(stats, walker.walk(objects));
  (void)stats;
  const auto buffers = walker.owned_buffers();
  for (Trace& trace : table.traces) {
    trace.type = objects.in(trace);
    if (trace.type == kNoTraceType) trace.type = owner_of(trace, buffers, objects);
  }
  table.types = std::move(objects.names());
  return Unit{};
}

}  // namespace memspy::heap
