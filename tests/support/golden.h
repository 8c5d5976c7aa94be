// Expected texts in tests/golden. MEMSPY_UPDATE_GOLDEN=1 rewrites them; the difference is reviewed.
#pragma once

#include <string>

namespace memspy::testing {

// Fails with both texts when `text` differs from the file `name` of tests/golden.
void expect_golden(const std::string& name, const std::string& text);

}  // namespace memspy::testing
