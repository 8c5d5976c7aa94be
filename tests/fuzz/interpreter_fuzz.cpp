// Bytes of a fake interpreter are overwritten as the input says, then everything that reads an
// interpreter runs over it: whatever the bytes, it ends, in bounded work and memory.
//
// Input: version, mode, then changes of ten bytes each: where (4), what (6: width by its first
// byte).
#include <map>
#include <memory>

#include "cpython/interpreter.h"
#include "cpython/layouts.h"
#include "require.h"
#include "support/py_process.h"

namespace {

using memspy::RemoteAddr;
using memspy::cpython::Interpreter;
using memspy::testing::PyProcess;

constexpr std::size_t kChangeSize = 10;
constexpr std::size_t kMaxChanges = 64;
// A run that is not disturbed takes some thousands of reads; a scan without symbols 400000.
constexpr std::size_t kMaxReads = 20'000'000;

// One process per version, built once; changes are undone after each input.
PyProcess& process_of(int minor, bool named) {
  static std::map<std::pair<int, bool>, std::unique_ptr<PyProcess>> processes;
  auto& process = processes[{minor, named}];
  if (!process) {
    const std::string file = "/usr/lib/libpython3." + std::to_string(minor) + ".so.1.0";
    process = std::make_unique<PyProcess>(*memspy::cpython::layout_for(minor), 0,
                                          named ? file : "/opt/server");
    process->add_pymalloc();
    if (!named) process->hide_symbols();
  }
  return *process;
}

struct Change {
  std::byte* at;
  std::byte before;
};

// Most structures lie in the first part of the heap: half of the changes go to the places in use.
void apply(PyProcess& process, std::span<const std::uint8_t> change, std::vector<Change>& undo) {
  auto& segments = process.memory().segments();
  auto segment = segments.begin();
  std::advance(segment, static_cast<std::ptrdiff_t>(change[0] % segments.size()));
  if (change[0] & 0x40) segment = segments.begin();
  std::vector<std::byte>& bytes = segment->second;
  std::uint32_t where = 0;
  std::memcpy(&where, change.data() + 1, 3);
  std::size_t at = std::size_t{where} * 8 % bytes.size();
  if (change[0] & 0x80) {  // near something that is there
    for (std::size_t steps = 0; steps < 4096 && bytes[at] == std::byte{0}; ++steps)
      at = (at + 8) % bytes.size();
  }
  const std::size_t width = 1 + change[4] % 5;
  for (std::size_t i = 0; i < width && at + i < bytes.size(); ++i) {
    undo.push_back({&bytes[at + i], bytes[at + i]});
    bytes[at + i] = static_cast<std::byte>(change[5 + i]);
  }
}

void read_everything(PyProcess& process, const Interpreter& interpreter) {
  const auto& memory = process.memory();
  if (const auto threads = interpreter.threads(memory)) {
    for (const auto& thread : *threads) interpreter.collecting(memory, thread.interpreter);
  }
  interpreter.gil_holder(memory);
  (void)interpreter.gc_states(memory);
  (void)interpreter.pymalloc(memory, process.map());
  (void)interpreter.thread_names(memory);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const int minor = 6 + data[0] % 10;
  const bool open_first = (data[1] & 1) != 0;  // open the intact process, then read the broken one
  PyProcess& process = process_of(minor, (data[1] & 2) == 0);
  process.memory().reads = 0;
  const auto open = [&] {
    return Interpreter::open(process.memory(), process.map(), process.symbols(), {}, nullptr);
  };
  std::optional<Interpreter> interpreter;
  if (open_first) {
    if (auto opened = open()) interpreter = std::move(*opened);
  }
  std::vector<Change> undo;
  const std::span<const std::uint8_t> changes = std::span(data, size).subspan(2);
  for (std::size_t i = 0; i < kMaxChanges && (i + 1) * kChangeSize <= changes.size(); ++i) {
    apply(process, changes.subspan(i * kChangeSize, kChangeSize), undo);
  }
  if (!open_first) {
    if (auto opened = open()) interpreter = std::move(*opened);
  }
  if (interpreter) read_everything(process, *interpreter);
  for (auto change = undo.rbegin(); change != undo.rend(); ++change) *change->at = change->before;
  MEMSPY_REQUIRE(process.memory().reads <= kMaxReads);
  return 0;
}
