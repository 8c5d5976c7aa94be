#include "daemon/proc_events.h"

#include <linux/cn_proc.h>
#include <linux/connector.h>
#include <linux/netlink.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>

namespace memspy::daemon {
namespace {

constexpr int kBuffer = 1 << 20;        // of the socket: a few thousand events
constexpr int kKernelAnswerTime = 500;  // ms
constexpr std::size_t kMostBatch = 64;  // datagrams at a time: the rest of the daemon has its turn

// The head of a datagram and of the message in it, copied: nothing says that they are aligned.
template <typename T>
bool take(std::string_view& bytes, T& out) {
  if (bytes.size() < sizeof(T)) return false;
  std::memcpy(&out, bytes.data(), sizeof(T));
  bytes.remove_prefix(sizeof(T));
  return true;
}

void add(const proc_event& event, std::vector<ProcEvent>& out) {
  using Kind = ProcEvent::Kind;
  const auto& data = event.event_data;
  const auto tell = [&](Kind kind, int pid, int tgid) {
    if (pid == tgid && pid > 0) out.push_back({kind, Pid{pid}});
  };
  switch (static_cast<unsigned>(event.what)) {
    case 0x00000001:  // PROC_EVENT_FORK, an enumerator that moved in the header of Linux 6.6
      tell(Kind::kFork, data.fork.child_pid, data.fork.child_tgid);
      break;
    case 0x00000002:
      tell(Kind::kExec, data.exec.process_tgid, data.exec.process_tgid);
      break;
    case 0x00000200:
      tell(Kind::kName, data.comm.process_pid, data.comm.process_tgid);
      break;
    case 0x80000000:
      tell(Kind::kExit, data.exit.process_pid, data.exit.process_tgid);
      break;
    default:
      break;
  }
}

// The kernel answers on a group; asking it to send is a message too.
Result<Unit> listen_to(int fd) {
  nlmsghdr head{};
  cn_msg message{};
  const int operation = PROC_CN_MCAST_LISTEN;
  std::array<char, sizeof(head) + sizeof(message) + sizeof(operation)> request{};
  head.nlmsg_len = request.size();
  head.nlmsg_pid = static_cast<__u32>(::getpid());
  head.nlmsg_type = NLMSG_DONE;
  message.id.idx = CN_IDX_PROC;
  message.id.val = CN_VAL_PROC;
  message.len = sizeof(operation);
  std::memcpy(request.data(), &head, sizeof(head));
  std::memcpy(request.data() + sizeof(head), &message, sizeof(message));
  std::memcpy(request.data() + sizeof(head) + sizeof(message), &operation, sizeof(operation));
  if (::send(fd, request.data(), request.size(), MSG_NOSIGNAL) ==
      static_cast<ssize_t>(request.size()))
    return Unit{};
  const int error = errno;
  return make_error(Errc::kUnsupported, "the kernel tells no events of processes", error);
}

// Outside of the first PID and user namespace the kernel takes the wish without a word and grants
// nothing; what comes all the same, because somebody else listens, has pids of the first.
// PROC_PID_INIT_INO and PROC_USER_INIT_INO of include/linux/proc_ns.h, the same since Linux 3.8.
bool in_first_namespaces() {
  const auto is = [](const char* path, std::string_view name) {
    std::array<char, 64> link{};
    const ssize_t size = ::readlink(path, link.data(), link.size());
    return size > 0 && std::string_view(link.data(), static_cast<std::size_t>(size)) == name;
  };
  return is("/proc/self/ns/pid", "pid:[4026531836]") &&
         is("/proc/self/ns/user", "user:[4026531837]");
}

}  // namespace

std::vector<ProcEvent> parse_proc_events(std::string_view datagram) {
  std::vector<ProcEvent> events;
  nlmsghdr head{};
  while (datagram.size() >= sizeof(head)) {
    std::memcpy(&head, datagram.data(), sizeof(head));
    if (head.nlmsg_len < sizeof(head) || head.nlmsg_len > datagram.size()) break;
    std::string_view body = datagram.substr(sizeof(head), head.nlmsg_len - sizeof(head));
    datagram.remove_prefix(std::min<std::size_t>(NLMSG_ALIGN(head.nlmsg_len), datagram.size()));
    cn_msg message{};
    proc_event event{};
    if (!take(body, message) || message.id.idx != CN_IDX_PROC || message.id.val != CN_VAL_PROC)
      continue;
    const std::size_t size = std::min({body.size(), std::size_t{message.len}, sizeof(event)});
    // The union grows with the kernel; the smallest that is read here is exec.
    if (size < offsetof(proc_event, event_data) + sizeof(event.event_data.exec)) continue;
    std::memcpy(&event, body.data(), size);
    add(event, events);
  }
  return events;
}

Result<ProcEvents> ProcEvents::open() {
  if (!in_first_namespaces())
    return make_error(Errc::kUnsupported, "the kernel tells no events in this namespace");
  UniqueFd fd(::socket(PF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_CONNECTOR));
  if (!fd.valid()) {
    const int error = errno;
    return make_error(Errc::kUnsupported, "the kernel has no proc connector", error);
  }
  // Beyond net.core.rmem_max for those who may; else as far as it goes.
  const int size = kBuffer;
  if (::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) != 0)
    ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = CN_IDX_PROC;
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    const int error = errno;
    Error refused =
        make_error(Errc::kPermission, "cannot listen to the kernel's process events", error);
    refused.hint = "CAP_NET_ADMIN; without it processes are found by scanning /proc";
    return refused;
  }
  MEMSPY_CHECK(listen_to(fd.get()));
  // The wish is acknowledged at once where it is granted.
  pollfd answer{fd.get(), POLLIN, 0};
  if (::poll(&answer, 1, kKernelAnswerTime) <= 0)
    return make_error(Errc::kUnsupported, "the kernel does not answer to the wish for events");
  return ProcEvents(std::move(fd));
}

ProcEvents::Batch ProcEvents::take() {
  Batch batch;
  std::array<char, 8192> buffer;  // NOLINT(cppcoreguidelines-pro-type-member-init)
  for (std::size_t i = 0; i < kMostBatch; ++i) {
    sockaddr_nl from{};
    socklen_t length = sizeof(from);
    const ssize_t count = ::recvfrom(fd_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT,
                                     reinterpret_cast<sockaddr*>(&from), &length);
    if (count < 0) {
      batch.lost = batch.lost || errno == ENOBUFS;
      if (errno == ENOBUFS || errno == EINTR) continue;
      break;
    }
    if (from.nl_pid != 0) continue;  // another process' word, not the kernel's
    const auto events =
        parse_proc_events(std::string_view(buffer.data(), static_cast<std::size_t>(count)));
    batch.events.insert(batch.events.end(), events.begin(), events.end());
  }
  return batch;
}

}  // namespace memspy::daemon
