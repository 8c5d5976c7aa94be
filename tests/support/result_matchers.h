#pragma once

#include <gmock/gmock.h>

#include "memspy/result.h"

namespace memspy::testing {

MATCHER(IsOk, "is a value") {
  if (arg.has_value()) return true;
  *result_listener << "error: " << describe(arg.error());
  return false;
}
MATCHER_P(HasErrc, code, "is an error with the code") {
  if (arg.has_value()) {
    *result_listener << "a value";
    return false;
  }
  *result_listener << "error: " << describe(arg.error());
  return arg.error().code == code;
}

}  // namespace memspy::testing
