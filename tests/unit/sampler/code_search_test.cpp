#include "sampler/alloc/code_search.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <future>
#include <stdexcept>
#include <thread>
#include <vector>

#include "support/result_matchers.h"

namespace memspy::sampler {
namespace {

using namespace std::chrono_literals;
using testing::HasErrc;

constexpr ProcessIndex kProcess{3};

CodeSearch::Found code_of_one_function() {
  return std::make_unique<AllocatorCode>(std::vector<CodeRange>{{16, 32, CodeKind::kPython}});
}

TEST(CodeSearch, FindsBesideWhoeverAsks) {
  std::promise<void> go;
  CodeSearch search(kProcess, [&] {
    go.get_future().wait();
    return code_of_one_function();
  });
  EXPECT_EQ(search.process(), kProcess);
  EXPECT_FALSE(search.done_within(0s));
  go.set_value();
  const auto found = search.take();
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ((*found)->functions(), 1U);
}

TEST(CodeSearch, WhatIsThrownIsAnError) {
  CodeSearch search(kProcess, []() -> CodeSearch::Found { throw std::runtime_error("no room"); });
  const auto found = search.take();
  EXPECT_THAT(found, HasErrc(Errc::kInternal));
  EXPECT_NE(found.error().message.find("no room"), std::string::npos);
}

// The tracer comes before its target; its searches do not.
TEST(CodeSearch, HasNoPriority) {
  int seen = -100;
  std::thread([&seen] {
    const auto self = static_cast<id_t>(::gettid());
    ::setpriority(PRIO_PROCESS, self, -5);  // where that is allowed
    CodeSearch search(kProcess, [&seen]() -> CodeSearch::Found {
      seen = ::getpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()));
      return code_of_one_function();
    });
    (void)search.take();
  }).join();
  EXPECT_EQ(seen, 0);
}

}  // namespace
}  // namespace memspy::sampler
