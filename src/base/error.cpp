#include "memspy/error.h"

#include <cstring>

namespace memspy {

std::string describe(const Error& error) {
  std::string text = error.message;
  if (error.sys != 0)
    text += std::string(": ") + std::strerror(error.sys);  // NOLINT(concurrency-mt-unsafe)
  for (const auto& noun : error.context) text += "; while " + noun;
  return text;
}

}  // namespace memspy
