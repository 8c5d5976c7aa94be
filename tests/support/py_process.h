// A whole fake CPython process of any version: PyImageBuilder's interpreter with modules, sys,
// threading, a GIL, a collector and pymalloc arenas, and the module its symbols come from.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "memspy/memory_map.h"
#include "memspy/symbol_source.h"
#include "support/py_image_builder.h"

namespace memspy::testing {

class FakeModule final : public ModuleImage {
 public:
  explicit FakeModule(std::string file) : path_(std::move(file)) {}
  const std::string& path() const override { return path_; }
  bool deleted() const override { return false; }
  std::uint64_t load_bias() const override { return 0; }
  std::optional<RemoteAddr> find_symbol(std::string_view name) const override;
  std::optional<AddressRange> find_section(std::string_view name) const override;
  std::vector<AddressRange> writable_segments() const override { return writable; }
  std::vector<AddressRange> executable_segments() const override { return {}; }
  std::string note() const override { return symbols.empty() ? "stripped" : ""; }

  std::map<std::string, RemoteAddr, std::less<>> symbols;
  std::map<std::string, AddressRange, std::less<>> sections;
  std::vector<AddressRange> writable;

 private:
  std::string path_;
};

class FakeSymbols final : public SymbolSource {
 public:
  const std::vector<const ModuleImage*>& modules() const override { return list; }
  std::vector<const ModuleImage*> list;
};

// Thread ids of the two threads; the worker holds the GIL.
inline constexpr std::uint64_t kMainIdent = 0x7f55aa0000c0, kWorkerIdent = 0x7f55bb0000c0;
inline constexpr std::uint64_t kPoolBlockSize = 64;

class PyProcess {
 public:
  // `hex`: what sys.hexversion and the debug offsets say; 0: 3.`minor`.1 final.
  explicit PyProcess(cpython::Layout layout, std::uint32_t hex = 0,
                     std::string file = "/usr/lib/libpython3.so.1");

  PyImageBuilder& image() { return image_; }
  FakeMemory& memory() { return image_.memory(); }
  FakeModule& module() { return module_; }
  const FakeSymbols& symbols() const { return symbols_; }
  const MemoryMap& map() const { return map_; }  // of the arenas alone
  MemoryMap map_of_everything();                 // with the objects outside of them
  RemoteAddr interpreter() const { return interpreter_; }
  RemoteAddr main_thread() const { return main_thread_; }
  RemoteAddr worker() const { return worker_; }
  RemoteAddr gc() const { return gc_; }  // the collector's state, or 3.6's generations
  RemoteAddr arena() const { return arena_; }
  RemoteAddr arena_table() const { return arena_table_; }
  RemoteAddr arenas_variable() const { return arenas_variable_; }
  void hide_symbols();  // as strip and a static link without exports would
  std::uint64_t used_bytes() const { return used_bytes_; }
  std::uint64_t used_blocks() const { return used_blocks_; }
  // What the target would publish at `runtime` (3.13+).
  void write_debug_offsets(std::uint32_t hex, bool free_threaded = false);
  void add_pymalloc();
  // The types made so far as a heap's walk knows them: by symbol and size.
  void complete_types();
  void push_frame(RemoteAddr thread, RemoteAddr code);
  void drop_arena_table();  // arenas stay, the way to them is lost

 private:
  void add_modules(std::uint32_t hex);
  RemoteAddr add_thread_object(std::string_view name);
  void add_gil();
  void add_gc();
  void add_symbols();

  PyImageBuilder image_;
  FakeModule module_;
  FakeSymbols symbols_;
  MemoryMap map_;
  RemoteAddr interpreter_, main_thread_, worker_, gc_, gc_statistics_, gc_enabled_, tstate_current_;
  RemoteAddr arena_, arena_table_, arenas_variable_, max_arenas_variable_;
  std::uint64_t used_bytes_ = 0, used_blocks_ = 0;
};

}  // namespace memspy::testing
