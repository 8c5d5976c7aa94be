// Threads, GIL, collector, pymalloc and thread names of fake processes of every version.
#include "cpython/gc_state.h"
#include "cpython/interpreter.h"
#include "cpython/layouts.h"
#include "support/py_process.h"
#include "support/result_matchers.h"

namespace memspy::cpython {
namespace {

using testing::HasErrc;
using testing::IsOk;
using testing::PyProcess;

Interpreter must_open(PyProcess& process) {
  auto found = Interpreter::open(process.memory(), process.map(), process.symbols(), {}, nullptr);
  if (!found) throw std::runtime_error(describe(found.error()));
  return std::move(*found);
}

class EveryState : public ::testing::TestWithParam<int> {
 protected:
  PyProcess process_{*layout_for(GetParam())};
};
INSTANTIATE_TEST_SUITE_P(Minor, EveryState, ::testing::Range(6, 16));

TEST_P(EveryState, ListsThreadsAndTheHolderOfTheGil) {
  const Interpreter interpreter = must_open(process_);
  const auto threads = interpreter.threads(process_.memory());
  ASSERT_THAT(threads, IsOk());
  ASSERT_EQ(threads->size(), 2u);
  EXPECT_EQ((*threads)[0].thread_id, testing::kWorkerIdent);
  EXPECT_TRUE((*threads)[0].holds_gil);
  EXPECT_EQ((*threads)[1].address, process_.main_thread());
  EXPECT_FALSE((*threads)[1].holds_gil);
  EXPECT_EQ(interpreter.gil_holder(process_.memory()), process_.worker());
}

TEST_P(EveryState, ListsThreadsOfSubInterpreters) {
  const RemoteAddr sub = process_.image().add_interpreter(1);
  process_.image().add_thread(sub, testing::kMainIdent);
  const auto threads = must_open(process_).threads(process_.memory());
  ASSERT_THAT(threads, IsOk());
  ASSERT_EQ(threads->size(), 3u);
  EXPECT_EQ(threads->front().interpreter_id, 1);
  EXPECT_EQ(threads->back().interpreter_id, 0);
}

TEST_P(EveryState, ATornThreadListEndsTheWalk) {
  const Interpreter interpreter = must_open(process_);
  process_.image().put(process_.main_thread(), Field::kThreadInterpreter, 0x4141414141414140);
  EXPECT_EQ(interpreter.threads(process_.memory())->size(), 1u);
  process_.image().put(process_.main_thread(), Field::kThreadInterpreter,
                       process_.interpreter().value);
  process_.image().put(process_.main_thread(), Field::kThreadNext,
                       process_.worker().value);  // a ring
  EXPECT_EQ(interpreter.threads(process_.memory())->size(), 2u);
}

TEST_P(EveryState, ReadsTheCollector) {
  const Interpreter interpreter = must_open(process_);
  const auto states = interpreter.gc_states(process_.memory());
  ASSERT_THAT(states, IsOk());
  ASSERT_EQ(states->size(), 1u);
  const GcState& state = states->front();
  EXPECT_TRUE(state.enabled);
  EXPECT_FALSE(state.collecting);
  EXPECT_EQ(state.generations[0].threshold, 700);
  EXPECT_EQ(state.generations[2].threshold, 10);
  for (std::int64_t i = 0; i < 3; ++i) {
    EXPECT_EQ(state.generations[i].count, 40 + i);
    EXPECT_EQ(state.generations[i].collections, 100u + i);
    EXPECT_EQ(state.generations[i].collected, 200u + i);
    EXPECT_EQ(state.generations[i].uncollectable, 300u + i);
  }
  if (GetParam() == 6) return;  // the flag is a variable there
  process_.image().set_collecting(process_.interpreter(), true);
  EXPECT_TRUE(interpreter.collecting(process_.memory(), process_.interpreter()));
}

TEST_P(EveryState, SumsPymallocThroughItsArenas) {
  process_.add_pymalloc();
  const Interpreter interpreter = must_open(process_);
  const auto state = interpreter.pymalloc(process_.memory(), process_.map());
  ASSERT_THAT(state, IsOk());
  EXPECT_EQ(state->arenas, 1u);
  EXPECT_EQ(state->arena_bytes, interpreter.layout().strategies.arena_bytes);
  EXPECT_EQ(state->used_bytes, process_.used_bytes());
  EXPECT_EQ(state->used_blocks, process_.used_blocks());
  EXPECT_EQ(state->free_bytes, state->arena_bytes - state->used_bytes);
  EXPECT_TRUE(state->complete);
}

TEST_P(EveryState, FindsPoolsWithoutTheArenas) {
  process_.add_pymalloc();
  const Interpreter interpreter = must_open(process_);
  process_.drop_arena_table();
  const auto state = interpreter.pymalloc(process_.memory(), process_.map());
  ASSERT_THAT(state, IsOk());
  EXPECT_EQ(state->arenas, 1u);
  EXPECT_EQ(state->used_bytes, process_.used_bytes());
  EXPECT_EQ(state->used_blocks, process_.used_blocks());
}

TEST_P(EveryState, AnArenaThatIsNoLongerMappedIsLeftOut) {
  process_.add_pymalloc();
  const Interpreter interpreter = must_open(process_);
  EXPECT_THAT(interpreter.pymalloc(process_.memory(), {}), HasErrc(Errc::kUnsupported));
}

TEST_P(EveryState, WithoutPymallocSaysSo) {
  EXPECT_THAT(must_open(process_).pymalloc(process_.memory(), process_.map()),
              HasErrc(Errc::kUnsupported));
}

TEST_P(EveryState, NamesThreads) {
  const auto names = must_open(process_).thread_names(process_.memory());
  ASSERT_EQ(names.size(), 2u);
  EXPECT_EQ(names[0], std::pair(testing::kMainIdent, std::string("MainThread")));
  EXPECT_EQ(names[1], std::pair(testing::kWorkerIdent, std::string("wörker")));
}

TEST_P(EveryState, NamesNothingWithoutThreading) {
  const Interpreter interpreter = must_open(process_);
  process_.image().put(process_.interpreter(), Field::kInterpreterModules,
                       process_.image().add_dict({}).value);
  EXPECT_TRUE(interpreter.thread_names(process_.memory()).empty());
}

TEST(GilState, IsNobodyWhenFreeOrInHandOver) {
  PyProcess process(*layout_for(12));
  const Interpreter interpreter = must_open(process);
  const RemoteAddr gil{process.image().get(process.interpreter(), Field::kInterpreterGil)};
  process.image().put(gil, Field::kGilLocked, 0);
  EXPECT_EQ(interpreter.gil_holder(process.memory()), RemoteAddr{});
  process.image().put(gil, Field::kGilLocked, static_cast<std::uint32_t>(-1));  // not created yet
  EXPECT_EQ(interpreter.gil_holder(process.memory()), RemoteAddr{});
}

// Debian's 3.13.18 has them at gc+0x14, 3.13.0 at gc+0x18, and both publish the same debug offsets.
TEST(GcProbe, FindsGenerationsThatABuildMoved) {
  Layout moved = *layout_for(13);
  const std::uint32_t elsewhere = moved.offset(Field::kGcGenerations) + 4;
  moved.slots[static_cast<std::size_t>(Field::kGcGenerations)].offset = elsewhere;
  for (const bool published : {true, false}) {  // 3.14.0 to 3.14.4 have no generation0
    PyProcess process(moved);
    if (!published) process.image().put(process.gc(), Field::kGcGeneration0, 0);
    const Interpreter interpreter = must_open(process);
    EXPECT_EQ(interpreter.layout().offset(Field::kGcGenerations), elsewhere);
    EXPECT_EQ(interpreter.gc_states(process.memory())->front().generations[1].count, 41);
  }
}

TEST(GcProbe, ReadsNothingRatherThanSomethingWrong) {
  PyProcess process(*layout_for(11));
  const RemoteAddr first = process.gc() + process.image().layout().offset(Field::kGcGenerations);
  process.image().put(process.gc(), Field::kGcGeneration0, 0);
  process.memory().write(first, std::uint64_t{0x1000});
  EXPECT_THAT(must_open(process).gc_states(process.memory()), HasErrc(Errc::kUnsupported));
}

TEST(GcProbe, LeavesListsAloneWhileTheyAreSplit) {
  PyProcess process(*layout_for(11));
  const RemoteAddr first = process.gc() + process.image().layout().offset(Field::kGcGenerations);
  process.image().put(process.gc(), Field::kGcGeneration0, 0);
  process.memory().write(first, std::uint64_t{0x1000});
  process.image().set_collecting(process.interpreter(), true);
  const auto states = must_open(process).gc_states(process.memory());
  ASSERT_THAT(states, IsOk());
  EXPECT_TRUE(states->front().collecting);
}

TEST(GcStatistics, ARingWithAnImpossibleIndexIsCorrupt) {
  PyProcess process(*layout_for(15));
  const Interpreter interpreter = must_open(process);
  const RemoteAddr buffers{process.image().get(process.gc(), Field::kGcStatistics)};
  process.image().put(buffers, Field::kGcStatsBuffersYoungIndex, 200);
  EXPECT_THAT(interpreter.gc_states(process.memory()), HasErrc(Errc::kCorrupt));
}

}  // namespace
}  // namespace memspy::cpython
