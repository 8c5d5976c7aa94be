#include "sampler/alloc/code_search.h"

#include <sys/resource.h>
#include <unistd.h>

#include <exception>
#include <system_error>
#include <utility>

namespace memspy::sampler {
namespace {

// The tracer's, which comes before its target, is inherited.
void give_up_priority() { ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), 0); }

CodeSearch::Found search(const std::function<CodeSearch::Found()>& look) {
  give_up_priority();
  try {
    return look();
  } catch (const std::exception& thrown) {
    return make_error(Errc::kInternal, thrown.what());
  }
}

}  // namespace

CodeSearch::CodeSearch(ProcessIndex process, std::function<Found()> look) : process_(process) {
  try {
    found_ = std::async(std::launch::async, search, std::move(look));
  } catch (const std::system_error& thrown) {
    std::promise<Found> none;
    none.set_value(
        make_error(Errc::kInternal, std::string("no thread to look with: ") + thrown.what()));
    found_ = none.get_future();
  }
}

bool CodeSearch::done_within(std::chrono::nanoseconds time) const {
  return found_.wait_for(time) == std::future_status::ready;
}

}  // namespace memspy::sampler
