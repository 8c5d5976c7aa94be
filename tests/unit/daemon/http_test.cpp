#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <random>
#include <thread>

#include "daemon/http_request.h"
#include "daemon/http_server.h"
#include "support/result_matchers.h"

namespace memspy::daemon {
namespace {

using namespace std::chrono_literals;
using memspy::testing::HasErrc;
using memspy::testing::IsOk;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

HttpParse parse(const std::string& line, const std::string& headers = "Host: localhost\r\n") {
  return parse_http_request(line + "\r\n" + headers + "\r\n");
}

TEST(HttpRequest, path_query_and_headers_are_taken_apart) {
  const auto parsed = parse("GET /targets/42//pprof?seconds=10&name=a%20b+c&flag HTTP/1.1",
                            "host: LocalHost:9464\r\nAuthorization:  Bearer x \r\nX: y\r\n");
  ASSERT_TRUE(parsed.request) << parsed.why;
  EXPECT_THAT(parsed.request->path, ElementsAre("targets", "42", "pprof"));
  EXPECT_EQ(parsed.request->query.at("seconds"), "10");
  EXPECT_EQ(parsed.request->query.at("name"), "a b c");
  EXPECT_EQ(parsed.request->query.at("flag"), "");
  EXPECT_EQ(parsed.request->host, "localhost");
  EXPECT_EQ(parsed.request->authorization, "Bearer x");
  EXPECT_TRUE(parse("HEAD / HTTP/1.0", "").request->head);
  EXPECT_EQ(parse("GET / HTTP/1.1", "Host: [::1]:80\r\n").request->host, "[::1]");
}

struct Bad {
  const char* line;
  const char* headers;
  int status;
};
class BadRequests : public ::testing::TestWithParam<Bad> {};

TEST_P(BadRequests, are_refused_with_their_status) {
  const auto parsed = parse(GetParam().line, GetParam().headers);
  EXPECT_FALSE(parsed.request) << GetParam().line;
  EXPECT_EQ(parsed.status, GetParam().status) << GetParam().line << ' ' << GetParam().headers;
}

INSTANTIATE_TEST_SUITE_P(
    , BadRequests,
    ::testing::Values(
        Bad{"", "", 400}, Bad{"GET /", "", 400}, Bad{"GET", "", 400},
        Bad{"POST / HTTP/1.1", "Host: x\r\n", 405}, Bad{"DELETE / HTTP/1.1", "Host: x\r\n", 405},
        Bad{"GET / HTTP/2", "Host: x\r\n", 505}, Bad{"GET / http/1.1", "Host: x\r\n", 505},
        Bad{"GET /../etc/passwd HTTP/1.1", "Host: x\r\n", 400},
        Bad{"GET /%2e%2e/etc HTTP/1.1", "Host: x\r\n", 400},
        Bad{"GET /a%2fb HTTP/1.1", "Host: x\r\n", 400},
        Bad{"GET /%00 HTTP/1.1", "Host: x\r\n", 400}, Bad{"GET /%zz HTTP/1.1", "Host: x\r\n", 400},
        Bad{"GET /% HTTP/1.1", "Host: x\r\n", 400}, Bad{"GET /?a=%0a HTTP/1.1", "Host: x\r\n", 400},
        Bad{"GET http://x/ HTTP/1.1", "Host: x\r\n", 400},
        Bad{"GET /a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q HTTP/1.1", "Host: x\r\n", 400},
        Bad{"GET / HTTP/1.1", "", 400}, Bad{"GET / HTTP/1.1", "Host: a\r\nHost: b\r\n", 400},
        Bad{"GET / HTTP/1.1", "Host: a\r\nContent-Length: 5\r\n", 400},
        Bad{"GET / HTTP/1.1", "Host: a\r\nTransfer-Encoding: chunked\r\n", 400},
        Bad{"GET / HTTP/1.1", "Host: a\r\n folded: x\r\n", 400},
        Bad{"GET / HTTP/1.1", "Host: a\r\nnothing\r\n", 400}));

TEST(HttpRequest, sizes_are_bounded) {
  EXPECT_EQ(parse("GET /" + std::string(20000, 'a') + " HTTP/1.1").status, 431);
  std::string headers = "Host: x\r\n";
  for (int i = 0; i < 200; ++i) headers += "A: b\r\n";
  EXPECT_EQ(parse("GET / HTTP/1.1", headers).status, 431);
  std::string query = "/?";
  for (int i = 0; i < 50; ++i) query += std::to_string(i) + "=1&";
  EXPECT_EQ(parse("GET " + query + " HTTP/1.1").status, 400);
}

TEST(HttpRequest, any_bytes_at_all_are_survived) {
  const std::string good =
      "GET /targets/42/pprof?seconds=10 HTTP/1.1\r\nHost: localhost\r\nA: b\r\n\r\n";
  std::mt19937 random(7);
  for (int i = 0; i < 50000; ++i) {
    std::string bad = good.substr(0, random() % (good.size() + 1));
    for (unsigned edits = random() % 4; edits > 0 && !bad.empty(); --edits)
      bad[random() % bad.size()] = static_cast<char>(random());
    const auto parsed = parse_http_request(bad);
    EXPECT_TRUE(parsed.request || parsed.status >= 400);
  }
}

TEST(HttpNumber, is_a_plain_whole_number) {
  EXPECT_EQ(http_number("42"), 42);
  for (const char* bad : {"", "-1", "+1", " 1", "1 ", "0x1", "1e3", "99999999999999999999", "4.2"})
    EXPECT_EQ(http_number(bad), std::nullopt) << bad;
}

TEST(Secret, is_the_same_or_not) {
  EXPECT_TRUE(same_secret("0123456789abcdef", "0123456789abcdef"));
  EXPECT_FALSE(same_secret("0123456789abcdeF", "0123456789abcdef"));
  EXPECT_FALSE(same_secret("0123456789abcdef0123456789abcdef", "0123456789abcdef"));
  EXPECT_FALSE(same_secret("", "0123456789abcdef"));
  EXPECT_FALSE(same_secret("", ""));
}

TEST(HttpAddress, is_a_number_and_a_port) {
  EXPECT_TRUE(parse_http_address("127.0.0.1:9464")->loopback);
  EXPECT_TRUE(parse_http_address("[::1]:1")->loopback);
  EXPECT_TRUE(parse_http_address("localhost:1")->loopback);
  EXPECT_FALSE(parse_http_address("0.0.0.0:1")->loopback);
  EXPECT_FALSE(parse_http_address("[::]:1")->loopback);
  for (const char* bad : {"", "9464", "127.0.0.1", "127.0.0.1:", "127.0.0.1:99999",
                          "example.com:80", "127.0.0.1:x", ":80", "127.1:80"})
    EXPECT_THAT(parse_http_address(bad), HasErrc(Errc::kUsage)) << bad;
}

class Server : public ::testing::Test {
 protected:
  void start(HttpLimits limits = {}) {
    auto server = HttpServer::start(
        {"127.0.0.1", 0, true},
        [this](const HttpRequest& request) {
          ++asked_;
          if (!request.path.empty() && request.path[0] == "hold")
            for (int i = 0; i < 2000 && holding_; ++i) ::poll(nullptr, 0, 5);
          if (!request.path.empty() && request.path[0] == "throw") throw std::bad_alloc();
          return HttpAnswer{200, "text/plain", "hello\n", "", ""};
        },
        limits);
    ASSERT_THAT(server, IsOk());
    server_ = std::move(*server);
  }
  void TearDown() override { holding_ = false; }
  UniqueFd connect() {
    UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(server_->port());
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
    return fd;
  }
  static std::string read_all(int fd) {
    std::string text;
    char buffer[4096];
    pollfd ready{fd, POLLIN, 0};
    while (::poll(&ready, 1, 20000) > 0) {
      const ssize_t count = ::recv(fd, buffer, sizeof(buffer), 0);
      if (count <= 0) break;
      text.append(buffer, static_cast<std::size_t>(count));
    }
    return text;
  }
  std::string ask(const std::string& bytes) {
    const UniqueFd fd = connect();
    EXPECT_EQ(::send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
    return read_all(fd.get());
  }
  std::atomic<int> asked_{0};
  std::atomic<bool> holding_{true};
  std::unique_ptr<HttpServer> server_;
};

TEST_F(Server, answers_a_request_and_closes) {
  start();
  const std::string answer = ask("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(answer, HasSubstr("Content-Length: 6\r\n"));
  EXPECT_THAT(answer, ::testing::EndsWith("\r\n\r\nhello\n"));
  EXPECT_THAT(ask("HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n"), ::testing::EndsWith("\r\n\r\n"));
}

TEST_F(Server, refuses_without_asking_anybody) {
  start();
  EXPECT_THAT(ask("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"),
              StartsWith("HTTP/1.1 405 "));
  EXPECT_THAT(ask("GET /" + std::string(30000, 'x')), StartsWith("HTTP/1.1 431 "));
  EXPECT_EQ(asked_, 0);
}

TEST_F(Server, a_request_that_does_not_come_in_time_is_given_up) {
  HttpLimits limits;
  limits.request_time = 50ms;
  start(limits);
  const UniqueFd fd = connect();
  EXPECT_EQ(::send(fd.get(), "GET / HT", 8, MSG_NOSIGNAL), 8);
  EXPECT_THAT(read_all(fd.get()), StartsWith("HTTP/1.1 408 "));
}

TEST_F(Server, more_than_there_is_time_for_are_sent_away) {
  HttpLimits limits;
  limits.threads = 1;
  limits.waiting = 1;
  start(limits);
  const std::string hold = "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n";
  const UniqueFd held = connect();
  ASSERT_EQ(::send(held.get(), hold.data(), hold.size(), MSG_NOSIGNAL),
            static_cast<ssize_t>(hold.size()));
  for (int i = 0; i < 2000 && asked_ == 0; ++i) ::poll(nullptr, 0, 5);
  const UniqueFd waits = connect();
  std::string answer;
  for (int i = 0; i < 50 && answer.empty(); ++i) {
    const UniqueFd fd = connect();
    pollfd ready{fd.get(), POLLIN, 0};
    if (::poll(&ready, 1, 1000) > 0) answer = read_all(fd.get());
  }
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 503 "));
  holding_ = false;
  EXPECT_THAT(read_all(held.get()), StartsWith("HTTP/1.1 200 "));
}

TEST_F(Server, an_answer_that_fails_costs_one_request) {
  start();
  EXPECT_THAT(ask("GET /throw HTTP/1.1\r\nHost: x\r\n\r\n"), StartsWith("HTTP/1.1 500 "));
  EXPECT_THAT(ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), StartsWith("HTTP/1.1 200 "));
}

TEST_F(Server, its_end_waits_for_no_client) {
  start();
  const UniqueFd idle = connect();
  for (int i = 0; i < 20; ++i) ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  const auto begin = std::chrono::steady_clock::now();
  server_.reset();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 4s);
}

}  // namespace
}  // namespace memspy::daemon
