// Base64 of RFC 4648, section 4, with padding.
#pragma once

#include <string>
#include <string_view>

namespace memspy {

std::string base64(std::string_view data);

}  // namespace memspy
