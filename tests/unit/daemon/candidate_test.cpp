#include "daemon/candidate.h"

#include <gtest/gtest.h>

#include "support/fake_proc_dir.h"

namespace memspy::daemon {
namespace {

Candidate gunicorn() {
  Candidate candidate;
  candidate.identity = {Pid{42}, 1};
  candidate.uid = 33;
  candidate.user = "www-data";
  candidate.process = "gunicorn";
  candidate.command = "gunicorn: worker [app]";
  candidate.executable = "/usr/bin/python3.11";
  candidate.cgroup = "/system.slice/docker-0123.scope";
  candidate.container = std::string(64, 'a');
  return candidate;
}

TEST(Rules, an_empty_rule_fits_everything) { EXPECT_TRUE(fits(Rule{}, gunicorn())); }

TEST(Rules, each_pattern_is_about_its_own_fact) {
  const auto with = [](std::string Rule::*field, const char* pattern) {
    Rule rule;
    rule.*field = pattern;
    return fits(rule, gunicorn());
  };
  EXPECT_TRUE(with(&Rule::process, "guni*"));
  EXPECT_FALSE(with(&Rule::process, "guni"));
  EXPECT_TRUE(with(&Rule::command, "*: worker ?app?"));
  EXPECT_FALSE(with(&Rule::command, "*master*"));
  EXPECT_TRUE(with(&Rule::executable, "*/python3.1[01]"));
  EXPECT_TRUE(with(&Rule::user, "www-data"));
  EXPECT_TRUE(with(&Rule::user, "33"));
  EXPECT_FALSE(with(&Rule::user, "root"));
  EXPECT_TRUE(with(&Rule::cgroup, "/system.slice/*"));
  EXPECT_TRUE(with(&Rule::container, "aaaa"));
  EXPECT_TRUE(with(&Rule::container, "*"));
  EXPECT_FALSE(with(&Rule::container, "b"));
}

TEST(Rules, a_process_outside_of_containers_is_in_none) {
  Candidate outside = gunicorn();
  outside.container.clear();
  Rule rule;
  rule.container = "*";
  EXPECT_FALSE(fits(rule, outside));
}

TEST(Rules, all_patterns_of_a_rule_must_fit_and_the_first_rule_wins) {
  Rule other, both, any;
  other.process = "gunicorn";
  other.user = "root";
  both.process = "gunicorn";
  both.user = "www-data";
  EXPECT_EQ(find_rule({other, both, any}, gunicorn()), 1U);
  EXPECT_EQ(find_rule({other}, gunicorn()), std::nullopt);
}

TEST(Rules, hostile_names_are_only_text) {
  Candidate hostile = gunicorn();
  hostile.command = std::string(4096, '[') + "\xff\\*";
  hostile.process = "*";
  Rule rule;
  rule.command = "*a*a*a*a*a*b";
  EXPECT_FALSE(fits(rule, hostile));
  rule = {};
  rule.process = "gunicorn";
  EXPECT_FALSE(fits(rule, hostile));
}

TEST(Candidate, of_a_process_that_is_python) {
  memspy::testing::FakeProcDir proc;
  proc.write_host("/etc/passwd", "alice:x:1000:1000::/:/bin/sh\n");
  memspy::testing::FakeProcDir::Process process;
  process.cmdline = std::string("python3\0app.py\0--x\0", 19);
  proc.add(70, process);
  proc.link(70, "exe", "/usr/bin/python3.11");
  const procfs::ProcDir dir(proc.root(), proc.host_root());
  const procfs::UserNames users(dir);
  const auto found = read_candidate(dir, users, Pid{70});
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->command, "python3 app.py --x");
  EXPECT_EQ(found->user, "alice");
  EXPECT_EQ(found->version, "3.11");
  EXPECT_EQ(read_candidate(dir, users, Pid{71}), std::nullopt);
}

}  // namespace
}  // namespace memspy::daemon
