// An interpreter in a fake memory, and a reader of its objects' references: shared by their tests.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "cpython/heap/edge_reader.h"
#include "cpython/layouts.h"
#include "support/py_process.h"

namespace memspy::cpython {

class ToldNames final : public ObjectVisitor {
 public:
  void on_name(NameIndex index, std::string_view text) override { texts[index.value] = text; }
  void on_types(std::span<const HeapType>) override {}
  void on_objects(std::span<const HeapNode>) override {}
  void on_edges(NodeIndex, std::span<const HeapEdge>) override {}
  void on_roots(std::span<const HeapRoot>) override {}
  std::map<std::uint32_t, std::string> texts;
};

class HeapEdges : public ::testing::TestWithParam<int> {
 protected:
  HeapEdges() {
    image().add_float(0);
    process_.module().symbols["PyType_Type"] = image().type("type");
    interpreter_.emplace(open());
    types_.emplace(*interpreter_, bytes_, process_.symbols(), &names_);
    plans_.emplace(*interpreter_, process_.memory(), *types_);
    reader_.emplace(*interpreter_, process_.memory(), *plans_);
  }
  testing::PyImageBuilder& image() { return process_.image(); }
  const Layout& layout() const { return layout_; }
  Interpreter open() {
    auto found =
        Interpreter::open(process_.memory(), process_.map(), process_.symbols(), {}, nullptr);
    if (!found) throw std::runtime_error(describe(found.error()));
    return std::move(*found);
  }
  RemoteAddr str(std::string_view text) { return image().add_str(text); }
  RemoteAddr thing() { return image().add_float(1); }

  // A type that no table of the target describes: only what the edges' reader asks of it.
  TypeFacts& type(TypeRule rule, Struct structure) {
    auto facts = std::make_unique<TypeFacts>();
    facts->index = {static_cast<std::uint32_t>(facts_.size())};
    facts->address = image().type("float");
    facts->name = facts->c_name = "test";
    facts->rule = rule;
    facts->basic_size = layout().size(structure);
    facts_.push_back(std::move(facts));
    return *facts_.back();
  }
  // "target number: name" of each edge, targets numbered as in `targets`.
  std::vector<std::string> edges(RemoteAddr object, const TypeFacts& facts,
                                 const std::vector<RemoteAddr>& targets) {
    std::vector<RawEdge> raw;
    reader_->read(object, facts, raw);
    return shown(raw, targets);
  }
  std::vector<std::string> shown(const std::vector<RawEdge>& raw,
                                 const std::vector<RemoteAddr>& targets) {
    std::vector<std::string> out;
    for (const RawEdge& edge : raw)
      out.push_back(number(edge.to, targets) + ":" + name(edge, targets));
    return out;
  }
  static std::string number(RemoteAddr to, const std::vector<RemoteAddr>& targets) {
    for (std::size_t i = 0; i < targets.size(); ++i) {
      if (targets[i].value == to.value) return std::to_string(i);
    }
    return "?";
  }
  std::string name(const RawEdge& edge, const std::vector<RemoteAddr>& targets) {
    const std::string weak = edge.weak ? "weak " : "";
    const std::string text = names_.texts[static_cast<std::uint32_t>(edge.value)];
    switch (edge.kind) {
      case EdgeKind::kAttribute:
        return weak + "." + text;
      case EdgeKind::kIndex:
        return weak + "[" + std::to_string(edge.value) + "]";
      case EdgeKind::kKey:
        return weak + "[key " + number({edge.value}, targets) + "]";
      case EdgeKind::kKeyItself:
        return weak + "key";
      case EdgeKind::kMember:
        return weak + "member";
      case EdgeKind::kClosure:
        return weak + "closure " + text;
      case EdgeKind::kLocal:
        return weak + "local " + text;
      case EdgeKind::kInternal:
        return weak + "<" + text + ">";
      case EdgeKind::kDict:
        return weak + "dict";
      case EdgeKind::kContents:
        return weak + "contents";
      case EdgeKind::kWord:
        return weak + "+" + std::to_string(edge.value);
    }
    return "?";
  }

  using Shown = std::vector<std::string>;
  Layout layout_ = *layout_for(GetParam());
  testing::PyProcess process_{layout_};
  HeapBytes bytes_{process_.memory()};
  ToldNames names_;
  std::vector<std::unique_ptr<TypeFacts>> facts_;
  std::optional<Interpreter> interpreter_;
  std::optional<TypeTable> types_;
  std::optional<EdgePlans> plans_;
  std::optional<EdgeReader> reader_;
};

}  // namespace memspy::cpython
