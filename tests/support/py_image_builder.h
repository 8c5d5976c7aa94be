// Writes the structures of a CPython interpreter, in any layout, into a fake memory: each version's
// reader is tested without that interpreter. Only fields that memspy reads are filled in.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cpython/layout.h"
#include "support/fake_memory.h"

namespace memspy::testing {

inline constexpr std::size_t kWord = sizeof(std::uint64_t);  // of the target

struct CodeSpec {
  std::string name = "f";
  std::string qualname;  // 3.11+; "": the name
  std::string file = "/srv/app.py";
  std::int32_t first_line = 10;
  std::int32_t instructions = 20;    // units of two bytes; line of unit i: first_line + i
  std::int32_t first_traceable = 0;  // units (3.11+)
  std::int32_t args = 0;             // positional arguments, the first of `locals`
  std::vector<std::string> locals, cells, frees;
};

struct FrameSpec {
  RemoteAddr code;
  std::int32_t instruction = 0;    // unit that runs now; -1: not started
  std::uint8_t owner = 0;          // 3.11+
  bool on_heap = false;            // 3.11+: a generator's frame, not on the stack of frames
  std::vector<RemoteAddr> values;  // of locals, cells and free variables; null: unbound
};

class PyImageBuilder {
 public:
  explicit PyImageBuilder(cpython::Layout layout);

  FakeMemory& memory() { return memory_; }
  const cpython::Layout& layout() const { return layout_; }
  RemoteAddr runtime() const { return runtime_; }  // 0 on 3.6
  RemoteAddr interpreters_head() const { return interpreters_head_; }

  // New interpreters and threads come first in their lists, as in CPython.
  RemoteAddr add_interpreter(std::int64_t id);
  RemoteAddr add_thread(RemoteAddr interpreter, std::uint64_t thread_id);
  void remove_thread(RemoteAddr thread);  // unlinks; the bytes stay
  void set_collecting(RemoteAddr interpreter, bool collecting);

  RemoteAddr add_code(const CodeSpec& spec);
  // Overwrites the code object at `code`, as when its memory is used again.
  void replace_code(RemoteAddr code, const CodeSpec& spec);
  RemoteAddr push_frame(RemoteAddr thread, const FrameSpec& spec);
  void pop_frame(RemoteAddr thread);
  void set_instruction(RemoteAddr frame, std::int32_t unit);

  RemoteAddr add_type(std::string_view name, std::uint64_t flags = 0);
  RemoteAddr add_object(RemoteAddr type, std::size_t size);
  RemoteAddr add_str(std::u32string_view text);
  RemoteAddr add_str(std::string_view utf8);
  RemoteAddr add_bytes(std::string_view bytes);
  RemoteAddr add_int(std::int64_t value);
  RemoteAddr add_digits(const std::vector<std::uint32_t>& digits, bool negative);
  RemoteAddr add_float(double value);
  RemoteAddr add_tuple(const std::vector<RemoteAddr>& items);
  RemoteAddr add_list(const std::vector<RemoteAddr>& items);
  RemoteAddr add_dict(const std::vector<std::pair<RemoteAddr, RemoteAddr>>& items);
  RemoteAddr add_set(const std::vector<RemoteAddr>& items);
  RemoteAddr add_cell(RemoteAddr contents);
  RemoteAddr add_bool(bool value);
  RemoteAddr add_module(std::string_view name);
  RemoteAddr add_function(std::string_view qualname);
  RemoteAddr add_class(std::string_view module, std::string_view qualname, std::uint64_t flags = 0);
  RemoteAddr none() const { return none_; }
  RemoteAddr type(std::string_view name) const;  // of those made so far

  void put(RemoteAddr base, cpython::Field field, std::uint64_t value);  // nothing when absent
  std::uint64_t get(RemoteAddr base, cpython::Field field) const;
  RemoteAddr allocate(std::size_t size);

 private:
  RemoteAddr new_object(std::string_view type, std::size_t size, std::uint64_t flags = 0);
  void fill_code(RemoteAddr code, const CodeSpec& spec);
  void put_variable_names(RemoteAddr code, const CodeSpec& spec);
  RemoteAddr add_names(const std::vector<std::string>& names);
  std::string line_table(std::int32_t instructions) const;
  RemoteAddr frame_anchor(RemoteAddr thread) const;  // address of the innermost frame's pointer
  std::uint64_t word(RemoteAddr at) const;

  cpython::Layout layout_;
  FakeMemory memory_;
  RemoteAddr heap_next_, stack_next_;
  RemoteAddr runtime_, interpreters_head_;
  RemoteAddr none_;
  std::uint64_t next_thread_id_ = 1;
  std::vector<std::pair<std::string, RemoteAddr>> types_;
};

}  // namespace memspy::testing
