// The run of support/sample_run.h as a profile that has kept its timeline.
#pragma once

#include <gmock/gmock.h>

#include "recording/profile.h"
#include "support/result_matchers.h"
#include "support/sample_run.h"

namespace memspy::sinks {

inline recording::Profile sample_profile() {
  recording::Profile profile;
  profile.keep_timeline = true;
  EXPECT_THAT(memspy::testing::tell_sample_run(profile), memspy::testing::IsOk());
  return profile;
}

}  // namespace memspy::sinks
