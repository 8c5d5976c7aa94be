// tracemalloc's state and tables in a fake process of any version, as CPython lays them out: the
// reader is tested, and damaged, without that interpreter.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "cpython/interpreter.h"
#include "support/py_process.h"

namespace memspy::testing {

using TraceFrames = std::vector<std::pair<std::string, std::uint32_t>>;  // file, line

class TraceImage {
 public:
  // Tables of so many buckets; `long_keys`: with the domain in the key, as 3.6 to 3.8 have it once
  // there is another domain.
  explicit TraceImage(PyProcess& process, std::uint64_t buckets = 64, bool long_keys = false);

  RemoteAddr add_stack(const TraceFrames& frames, std::uint32_t depth = 0);
  // The entry's address.
  RemoteAddr add(RemoteAddr block, std::uint64_t bytes, RemoteAddr stack, std::uint32_t domain = 0);
  void set_tracing(bool on);
  void strip();  // no names; the state of 3.12+ moves by some words, as between builds
  // A word in the data segment that is a pointer to `table`.
  void add_decoy(RemoteAddr table);

  RemoteAddr table() const { return table_; }  // of Python's own domain
  RemoteAddr data_of(RemoteAddr entry) const;
  std::uint64_t bucket_of(RemoteAddr block, std::uint32_t domain = 0) const;
  RemoteAddr bucket(std::uint64_t number) const;
  std::uint64_t total() const { return total_; }
  std::uint64_t peak() const { return total_ + 1000; }
  MemoryMap map();  // of everything, with the code that the tables' functions are in
  cpython::Interpreter open();

 private:
  RemoteAddr add_table(std::uint64_t count);
  RemoteAddr table_of(std::uint32_t domain);
  RemoteAddr link(RemoteAddr table, std::uint64_t hash, std::size_t bytes);
  bool inlined() const;
  void place_state(RemoteAddr state);
  void write_totals();

  PyProcess& process_;
  PyImageBuilder& image_;
  const cpython::Layout& layout_;
  std::uint64_t buckets_, key_bytes_;
  RemoteAddr table_, domains_;
  std::vector<std::pair<std::uint32_t, RemoteAddr>> tables_;  // of other domains
  std::vector<std::pair<std::string, RemoteAddr>> names_;
  RemoteAddr statics_, config_, current_, peak_;
  std::uint64_t decoys_ = 0, total_ = 0;
};

}  // namespace memspy::testing
