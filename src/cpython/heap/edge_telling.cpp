#include "cpython/heap/edge_telling.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>

#include "base/column.h"
#include "base/parallel.h"
#include "cpython/heap/object_sizes.h"

namespace memspy::cpython {
namespace {

constexpr std::size_t kBlock = 8192;  // objects; enough that waiting for a turn is rare
constexpr std::size_t kKept = std::size_t{1} << 18;  // edges; room for more is given back

}  // namespace

// What was read of some objects.
struct EdgeTelling::Block {
  struct Node {
    std::uint32_t node = 0;
    std::size_t end = 0;  // of its edges
  };
  // A string that is a name: of the object itself, or of one of the edges.
  struct Name {
    static constexpr std::size_t kOwn = ~std::size_t{0};
    std::uint32_t node = 0;
    RemoteAddr text;
    std::size_t edge = kOwn;
  };
  Column<HeapEdge> edges;  // not copied when they become many: a dict may have millions
  std::vector<Node> nodes;
  std::vector<Name> names;
  std::uint64_t dangling = 0;

  void clear() {
    if (edges.size() > kKept) edges = {};
    edges.resize(0);
    nodes.clear();
    names.clear();
    dangling = 0;
  }
};

class EdgeTelling::Reader {
 public:
  explicit Reader(const EdgeTellingInput& input)
      : in_(input),
        census_(input.walk.census),
        reader_(input.walk.heap.interpreter, input.walk.heap.memory, input.walk.plans),
        bytes_(input.walk.heap.memory),
        sizes_(input.walk.heap.interpreter.layout(), bytes_, input.walk.types) {
    in_.walk.roots.prepare(reader_);
    reader_.set_sink([this](std::vector<RawEdge>&) { resolve_raw(); });
  }

  Block& read(std::size_t first, std::size_t end) {
    block_.clear();
    for (std::size_t i = first; i < end; ++i) {
      const std::size_t before = block_.edges.size();
      node_ = i;
      own_dict_ = in_.is_own_dict[i];
      read_edges(i);
      resolve_raw();
      refer_to_shared_keys();
      if (block_.edges.size() != before)
        block_.nodes.push_back({static_cast<std::uint32_t>(i), block_.edges.size()});
    }
    return block_;
  }

 private:
  // Of an object, whose own name is among them, or of a table of keys: the strings in it.
  void read_edges(std::size_t node) {
    raw_.clear();
    const TypeFacts* type = census_.type(node);
    if (type == nullptr) return reader_.read_shared_keys(census_.address(node), raw_);
    reader_.read(census_.address(node), *type, raw_);
    if (const RemoteAddr name = in_.names.name_among(*type, raw_))
      block_.names.push_back({static_cast<std::uint32_t>(node), name});
  }

  void resolve_raw() {
    for (const RawEdge& edge : raw_) {
      const NodeIndex to = census_.find(edge.to);
      if (to == kNoNode) {
        if (edge.kind != EdgeKind::kWord) ++block_.dangling;
        continue;
      }
      HeapEdge told{to, edge.kind, edge.weak, static_cast<std::uint32_t>(edge.value)};
      if (edge.kind == EdgeKind::kKey || edge.kind == EdgeKind::kKeyItself)
        refer_to_key(told, {edge.value});
      block_.edges.push_back(told);
    }
    raw_.clear();
  }

  void refer_to_shared_keys() {
    const TypeFacts* type = census_.type(node_);
    if (type == nullptr) return;
    const RemoteAddr keys = sizes_.shared_keys(census_.address(node_), *type);
    if (!keys || (type->rule != TypeRule::kType && in_.keys_of_types.count(keys) != 0)) return;
    const NodeIndex to = census_.find(keys);
    if (to != kNoNode)
      block_.edges.push_back({to, EdgeKind::kInternal, false, in_.keys_name.value});
  }

  // A key that is no object, of a dict that was being changed or is damaged, takes only the name
  // from the reference to its value. It is counted where the key itself is referred to. What a
  // module, a type or an instance has in its dict is read as its attribute: `app.CACHE`.
  void refer_to_key(HeapEdge& edge, RemoteAddr key) {
    const NodeIndex node = census_.find(key);
    if (node == kNoNode) {
      edge.kind = EdgeKind::kInternal;
      edge.value = in_.unknown_key_name.value;
      return;
    }
    edge.value = node.value;
    if (!own_dict_ || edge.kind != EdgeKind::kKey) return;
    const TypeFacts* type = census_.type(node.value);
    if (type != nullptr && type->rule == TypeRule::kUnicode)
      block_.names.push_back({node.value, key, block_.edges.size()});
  }

  const EdgeTellingInput& in_;
  const HeapCensus& census_;
  EdgeReader reader_;
  HeapBytes bytes_;
  ObjectSizes sizes_;
  std::vector<RawEdge> raw_;
  std::size_t node_ = 0;  // that is being read
  bool own_dict_ = false;
  Block block_;
};

// Lets one thread at a time go on, in the order of their blocks.
class EdgeTelling::Turns {
 public:
  std::size_t next() { return next_.fetch_add(1, std::memory_order_relaxed); }

  // False: another thread has failed, and no turn comes any more.
  template <typename Work>
  bool take(std::size_t number, const Work& work) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return turn_ == number || failed_; });
    if (failed_) return false;
    work();
    ++turn_;
    changed_.notify_all();
    return true;
  }

  void fail() {
    const std::lock_guard lock(mutex_);
    failed_ = true;
    changed_.notify_all();
  }

 private:
  std::atomic<std::size_t> next_ = 0;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t turn_ = 0;
  bool failed_ = false;
};

// Names are numbered here, one block after the other: the same every time.
void EdgeTelling::give_names(Block& block) {
  for (const Block::Name& name : block.names) {
    if (name.edge == Block::Name::kOwn) {
      in_.names.label({name.node}, name.text);
    } else if (const auto index = in_.names.name_at(name.text)) {
      block.edges[name.edge].kind = EdgeKind::kAttribute;
      block.edges[name.edge].value = index->value;
    }
  }
}

void EdgeTelling::tell(Block& block, ObjectVisitor& visitor) {
  const auto quiet = in_.walk.plans.hold();  // nobody else tells a name meanwhile
  give_names(block);
  std::size_t begin = 0;
  for (const Block::Node& node : block.nodes) {
    const auto edges = block.edges.view().subspan(begin, node.end - begin);
    for (const HeapEdge& edge : edges) in_.counts.add(edge);
    visitor.on_edges({node.node}, edges);
    begin = node.end;
  }
  in_.stats.edges += block.edges.size();
  in_.stats.dangling += block.dangling;
}

void EdgeTelling::run(ObjectVisitor& visitor) {
  const std::size_t count = in_.walk.census.size();
  const std::size_t blocks = (count + kBlock - 1) / kBlock;
  Turns turns;
  in_parallel(workers_for(count), [&](unsigned) {
    try {
      const auto reader = std::make_unique<Reader>(in_);
      for (std::size_t i = turns.next(); i < blocks; i = turns.next()) {
        Block& block = reader->read(i * kBlock, std::min(count, (i + 1) * kBlock));
        if (!turns.take(i, [&] { tell(block, visitor); })) return;
      }
    } catch (...) {
      turns.fail();
      throw;
    }
  });
}

}  // namespace memspy::cpython
