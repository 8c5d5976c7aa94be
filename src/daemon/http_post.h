// One POST over plain HTTP/1.1, every step of it with a deadline.
#pragma once

#include <chrono>
#include <string>

#include "memspy/result.h"

namespace memspy::daemon {

struct HttpUrl {
  std::string host, port, path;
};
// kUsage: it is no http:// URL. https is not spoken: a hook with curl does that.
Result<HttpUrl> parse_http_url(const std::string& text);

struct HttpPost {
  std::string path;     // with its query, in place of the URL's
  std::string type;     // of the body
  std::string headers;  // more of them, whole lines
  std::string body;
};

// The status of the answer. kTimeout, kOutput: none came.
Result<int> http_post(const HttpUrl& url, const HttpPost& post, std::chrono::milliseconds patience);

// The status of the answer. kTimeout, kOutput: none came.
Result<int> post_json(const HttpUrl& url, const std::string& body,
                      std::chrono::milliseconds patience);

}  // namespace memspy::daemon
