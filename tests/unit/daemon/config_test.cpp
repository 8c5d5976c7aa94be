#include "daemon/config.h"

#include "support/result_matchers.h"
#include "support/temp_dir.h"

namespace memspy::daemon {
namespace {

using memspy::testing::HasErrc;
using memspy::testing::IsOk;
using ::testing::HasSubstr;

TEST(Config, the_smallest_one_has_the_defaults) {
  const auto config = parse_config("[[target]]\nname = \"web\"\n", "x.toml");
  ASSERT_THAT(config, IsOk());
  EXPECT_EQ(config->recorder.keep, std::chrono::minutes(30));
  EXPECT_EQ(config->budget.cpu_percent, 3);
  EXPECT_EQ(config->http.listen, "");
  ASSERT_EQ(config->rules.size(), 1U);
  EXPECT_EQ(config->rules[0].name, "web");
}

TEST(Config, segments_are_as_long_as_what_is_kept_asks_for) {
  const auto segment = [](const std::string& keep) {
    return parse_config("[recorder]\nkeep = \"" + keep + "\"\n[[target]]\nname = \"x\"\n", "x")
        ->recorder.segment;
  };
  EXPECT_EQ(segment("30m"), std::chrono::minutes(5));
  EXPECT_EQ(segment("1m"), std::chrono::seconds(10));
  EXPECT_EQ(segment("7d"), std::chrono::hours(1));
}

TEST(Config, every_key_is_taken) {
  const auto config = parse_config(R"(
state_dir = "/s"
socket = "/r/s"
interval = "2s"
events = false
alert_log = "/l"
[recorder]
keep = "1h"
segment = "1m"
per_target = "8MiB"
total = "100MiB"
reserve = "1MiB"
[budget]
cpu_percent = 1.5
memory = "40MiB"
stopped_percent = 0.5
[tracing]
settle = "1s"
calm = "30s"
step = "64KiB"
step_percent = 2
most = 3
[http]
listen = "127.0.0.1:1"
token_file = "/t"
[push]
url = "http://127.0.0.1:4040"
interval = "15s"
service = "web*"
labels = { env = "test" }
tenant = "team"
user = "memspy"
password_file = "/p"
[[target]]
name = "web"
process = "python*"
command = "*gunicorn*"
executable = "/usr/*"
user = "www-data"
cgroup = "/system.slice/*"
container = "abc"
trace_always = true
[[alert]]
name = "big"
when = "rss > 1GiB"
service = "web"
labels = { severity = "page" }
cool_down = "5m"
hook = ["/bin/cat", "-"]
post = "http://127.0.0.1/x"
evidence = false
)",
                                   "x.toml");
  ASSERT_THAT(config, IsOk());
  EXPECT_EQ(config->interval, std::chrono::seconds(2));
  EXPECT_FALSE(config->events);
  EXPECT_EQ(config->recorder.per_target_bytes, 8U << 20);
  EXPECT_EQ(config->tracing.most, 3U);
  EXPECT_TRUE(config->rules.at(0).trace_always);
  EXPECT_EQ(config->rules.at(0).container, "abc");
  EXPECT_EQ(config->alerts.at(0).hook.size(), 2U);
  EXPECT_EQ(config->push.interval, std::chrono::seconds(15));
  EXPECT_EQ(config->push.password_file, "/p");
  EXPECT_EQ(config->alerts.at(0).labels.at(0).second, "page");
}

struct Mistake {
  const char* text;
  const char* said;
};

class Mistakes : public ::testing::TestWithParam<Mistake> {};

TEST_P(Mistakes, are_refused_with_their_place) {
  const auto config = parse_config(GetParam().text, "x.toml");
  ASSERT_THAT(config, HasErrc(Errc::kUsage));
  EXPECT_THAT(config.error().message + config.error().why, HasSubstr(GetParam().said));
  EXPECT_THAT(config.error().why, HasSubstr("line "));
}

INSTANTIATE_TEST_SUITE_P(
    , Mistakes,
    ::testing::Values(
        Mistake{"", "nothing would be watched"}, Mistake{"[[target]\n", "is not TOML"},
        Mistake{"colour = 1\n[[target]]\nname='x'\n", "does not know"},
        Mistake{"interval = 5\n[[target]]\nname='x'\n", "not a time"},
        Mistake{"interval = \"5\"\n[[target]]\nname='x'\n", "no time"},
        Mistake{"interval = \"1us\"\n[[target]]\nname='x'\n", "less than"},
        Mistake{"[recorder]\nkeep = \"2m\"\nsegment = \"90s\"\n[[target]]\nname='x'\n",
                "more than half of keep"},
        Mistake{"[recorder]\ntotal = \"lots\"\n[[target]]\nname='x'\n", "no size"},
        Mistake{"[budget]\ncpu_percent = 0\n[[target]]\nname='x'\n", "not a number from"},
        Mistake{"[tracing]\nmost = -1\n[[target]]\nname='x'\n", "not a whole number"},
        Mistake{"[[target]]\nname='../x'\n", "is not a name"},
        Mistake{"[[target]]\nnames='x'\n", "is not a name"},
        Mistake{"[target]\nname='x'\n", "[[target]]"},
        Mistake{"state_dir = \"here\"\n[[target]]\nname='x'\n", "not an absolute path"},
        Mistake{"[[target]]\nname='x'\n[[alert]]\nname='a'\n", "is missing"},
        Mistake{"[[target]]\nname='x'\n[[alert]]\nname='a'\nwhen='cpu > 5'\n", "at \"cpu\""},
        Mistake{"[[target]]\nname='x'\n[[alert]]\nname='a'\nwhen='rss > 1k'\npost='https://x'\n",
                "a hook"},
        Mistake{"[http]\nlisten='0.0.0.0:80'\n[[target]]\nname='x'\n", "takes a token_file"},
        Mistake{"[push]\nurl='https://x'\n[[target]]\nname='x'\n", "an agent on this host"},
        Mistake{"[push]\nurl='http://x/?a=b'\n[[target]]\nname='x'\n", "no URL"},
        Mistake{"[push]\nurl='http://x'\nuser='u'\n[[target]]\nname='x'\n", "go together"},
        Mistake{"[push]\nurl='http://x'\nlabels={pid='1'}\n[[target]]\nname='x'\n", "pid"},
        Mistake{"[push]\nurl='http://x'\ntenant=\"a\\nb\"\n[[target]]\nname='x'\n", "tenant"},
        Mistake{"[http]\nlisten='here'\n[[target]]\nname='x'\n", "no address"}));

TEST(Config, a_file_that_is_not_there_is_named) {
  const auto config = read_config("/nonexistent/memspy.toml");
  ASSERT_THAT(config, HasErrc(Errc::kUsage));
  EXPECT_THAT(config.error().message, HasSubstr("/nonexistent/memspy.toml"));
}

}  // namespace
}  // namespace memspy::daemon
