#include "daemon/proc_events.h"

#include <gmock/gmock.h>
#include <linux/cn_proc.h>
#include <linux/connector.h>
#include <linux/netlink.h>

#include <cstring>
#include <random>
#include <string>

namespace memspy::daemon {
namespace {

using Kind = ProcEvent::Kind;

std::string datagram(unsigned what, int pid, int tgid) {
  nlmsghdr head{};
  cn_msg message{};
  proc_event event{};
  reinterpret_cast<std::uint32_t&>(event.what) = what;
  if (what == 1) {
    event.event_data.fork = {1, 1, pid, tgid};
  } else {
    event.event_data.exec = {pid, tgid};  // of the same form as exit's and comm's beginning
  }
  message.id.idx = CN_IDX_PROC;
  message.id.val = CN_VAL_PROC;
  message.len = sizeof(event);
  head.nlmsg_len = sizeof(head) + sizeof(message) + sizeof(event);
  std::string bytes(head.nlmsg_len, '\0');
  std::memcpy(bytes.data(), &head, sizeof(head));
  std::memcpy(bytes.data() + sizeof(head), &message, sizeof(message));
  std::memcpy(bytes.data() + sizeof(head) + sizeof(message), &event, sizeof(event));
  return bytes;
}

TEST(ProcEvents, births_execs_and_ends_of_processes) {
  const auto fork = parse_proc_events(datagram(1, 70, 70));
  ASSERT_EQ(fork.size(), 1U);
  EXPECT_EQ(fork[0].kind, Kind::kFork);
  EXPECT_EQ(fork[0].pid, Pid{70});
  EXPECT_EQ(parse_proc_events(datagram(2, 70, 70)).at(0).kind, Kind::kExec);
  EXPECT_EQ(parse_proc_events(datagram(0x80000000, 70, 70)).at(0).kind, Kind::kExit);
}

TEST(ProcEvents, threads_are_none_of_our_business_but_for_their_exec) {
  EXPECT_TRUE(parse_proc_events(datagram(1, 71, 70)).empty());
  EXPECT_TRUE(parse_proc_events(datagram(0x80000000, 71, 70)).empty());
  EXPECT_EQ(parse_proc_events(datagram(2, 71, 70)).at(0).pid, Pid{70});
}

TEST(ProcEvents, bytes_that_are_no_event_are_left_out) {
  const std::string good = datagram(2, 70, 70);
  for (std::size_t size = 0; size + 24 < good.size(); ++size)
    EXPECT_LE(parse_proc_events(good.substr(0, size)).size(), 1U);
  std::mt19937 random(1);
  for (int i = 0; i < 20000; ++i) {
    std::string bad = good + good;
    bad[random() % bad.size()] = static_cast<char>(random());
    bad[random() % 16] = static_cast<char>(random());
    parse_proc_events(bad);
  }
}

}  // namespace
}  // namespace memspy::daemon
