// The page without data: web/dist/page.html, inside the program. Private to sinks.
#pragma once

#include <string_view>

namespace memspy::sinks {

std::string_view page_asset();

}  // namespace memspy::sinks
