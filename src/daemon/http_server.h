// A small HTTP server for a few clients: GET only, one request a connection, everything bounded:
// how long a request is, how long it may take to come and its answer to go, how many there are at
// once. docs/design/0006-daemon.md says why it is none from a library.
//
// A thread that accepts, and a few that answer.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "base/unique_fd.h"
#include "base/wake_fd.h"
#include "daemon/http_request.h"
#include "memspy/result.h"

namespace memspy::daemon {

struct HttpAnswer {
  int status = 200;
  std::string type = "text/plain; charset=utf-8";
  std::string body;
  std::string file_name;  // offered to who saves it; "" none
  std::string policy;     // the content security policy of a page; "": nothing is a page
};

struct HttpLimits {
  std::chrono::milliseconds request_time = std::chrono::seconds(5);
  std::chrono::milliseconds answer_time = std::chrono::seconds(30);
  unsigned threads = 4;
  unsigned waiting = 8;  // connections that no thread has time for yet; more are told 503
};

// "127.0.0.1:9464", "[::1]:9464", "localhost:9464". kUsage when it is none; names are not looked
// up, so that nothing but an address decides who can connect.
struct HttpAddress {
  std::string host;
  unsigned short port = 0;
  bool loopback = false;
};
Result<HttpAddress> parse_http_address(const std::string& text);

class HttpServer {
 public:
  // Called on any of the server's threads.
  using Handler = std::function<HttpAnswer(const HttpRequest&)>;

  // kOutput: the address cannot be had. Port 0: any free one.
  static Result<std::unique_ptr<HttpServer>> start(const HttpAddress& address, Handler handler,
                                                   HttpLimits limits = {});
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  unsigned short port() const { return port_; }

 private:
  HttpServer(UniqueFd fd, unsigned short port, Handler handler, HttpLimits limits);
  void accept_all();
  void accept_one();
  void answer_all();
  void serve(int fd);

  UniqueFd fd_;
  unsigned short port_;
  Handler handler_;
  HttpLimits limits_;
  WakeFd ending_wake_;
  std::mutex mutex_;
  std::condition_variable news_;
  std::deque<UniqueFd> waiting_;
  std::set<int> served_;
  bool ending_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace memspy::daemon
