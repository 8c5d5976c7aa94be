// Work for the thread of the event loop, from others that want its answer: a question waits in the
// box until the loop comes by, and its asker for no longer than a deadline.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <optional>

#include "base/wake_fd.h"

namespace memspy::daemon {

class Mailbox {
 public:
  // From any other thread. nullopt: no answer in time; the question may still be run.
  template <typename Answer>
  std::optional<Answer> ask(std::function<Answer()> question, std::chrono::nanoseconds patience) {
    const auto promise = std::make_shared<std::promise<Answer>>();
    auto answer = promise->get_future();
    {
      const std::lock_guard lock(mutex_);
      if (questions_.size() >= kMostWaiting) return std::nullopt;
      questions_.push_back([promise, ask = std::move(question)] { promise->set_value(ask()); });
    }
    wake_.wake();
    if (answer.wait_for(patience) != std::future_status::ready) return std::nullopt;
    return answer.get();
  }

  // The loop's thread: readable when there is something, and answers it.
  int fd() const { return wake_.fd(); }
  void answer_all() {
    wake_.clear();
    std::deque<std::function<void()>> questions;
    {
      const std::lock_guard lock(mutex_);
      questions.swap(questions_);
    }
    for (const auto& question : questions) question();
  }

 private:
  static constexpr std::size_t kMostWaiting = 64;
  WakeFd wake_;
  std::mutex mutex_;
  std::deque<std::function<void()>> questions_;
};

}  // namespace memspy::daemon
