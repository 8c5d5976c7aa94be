#include "daemon/evidence.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "base/file.h"
#include "daemon/evidence_shelf.h"
#include "procfs/proc_dir.h"
#include "support/result_matchers.h"
#include "support/temp_dir.h"
#include "unit/daemon/common.h"

namespace memspy::daemon {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using memspy::testing::IsOk;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

EarlierVerdict said(const std::string& alert, const std::string& text) {
  return {"/e/" + alert, alert, 1700000000s, text};
}

TEST(VerdictText, of_what_lives_there_is_only_its_own) {
  EXPECT_EQ(verdict_text("heap.json: a\ngrowth.memspy: b\n", {}),
            "heap.json: a\ngrowth.memspy: b\n");
}

TEST(VerdictText, of_what_has_ended_the_last_look_comes_first) {
  const std::string text =
      verdict_text("growth.memspy: touched\n",
                   {said("dead", "growth.memspy: late\n"),
                    said("new", "heap.json: owner\nlive.memspy: keeper\ngrowth.memspy: x\n"),
                    said("old", "heap.json: less\n\n/e/older, for the alert older:\nno\n")});
  EXPECT_EQ(text,
            "heap.json: owner\nlive.memspy: keeper\ngrowth.memspy: touched\n"
            "\nThe last look at its heap is of /e/new, for the alert new at "
            "2023-11-14T22:13:20.000Z\n"
            "\n/e/dead, for the alert dead at 2023-11-14T22:13:20.000Z:\ngrowth.memspy: late\n"
            "\n/e/old, for the alert old at 2023-11-14T22:13:20.000Z:\nheap.json: less\n");
}

TEST(VerdictText, does_not_grow_with_each_alert_before) {
  std::vector<EarlierVerdict> many;
  for (int i = 0; i < 100; ++i) many.push_back(said(std::to_string(i), "heap.json: x\n"));
  EXPECT_LT(verdict_text("growth.memspy: y\n", many).size(), 500U);
}

KeptBundle kept(int hour, const std::string& service, const std::string& alert,
                std::uint64_t bytes = 100) {
  return {service + std::to_string(hour), alert, service, alert == "oom-killed",
          std::chrono::hours(hour),       bytes};
}

TEST(KeptBundles, one_that_comes_and_goes_takes_no_room_from_others) {
  std::vector<KeptBundle> bundles = {kept(1, "db", "leak")};
  for (int hour = 2; hour <= 6; ++hour) bundles.push_back(kept(hour, "web", "flaps"));
  EXPECT_THAT(bundles_to_remove(bundles, 600, 7h), ElementsAre());
  EXPECT_THAT(bundles_to_remove(bundles, 400, 7h), ElementsAre("web2", "web3"));
  for (int hour = 7; hour <= 34; ++hour) bundles.push_back(kept(hour, "web", "flaps"));
  EXPECT_THAT(bundles_to_remove(bundles, 1 << 20, 35h), ElementsAre("web2", "web3"));
}

TEST(KeptBundles, who_was_killed_a_while_ago_goes_last_and_the_newest_never) {
  const std::vector<KeptBundle> bundles = {kept(1, "web", "oom-killed"), kept(2, "web", "leak"),
                                           kept(3, "db", "leak"), kept(4, "db", "huge", 9000)};
  EXPECT_THAT(bundles_to_remove(bundles, 9200, 5h), ElementsAre("web2"));
  EXPECT_THAT(bundles_to_remove(bundles, 1000, 5h), ElementsAre("web2", "db3", "web1"));
  EXPECT_THAT(bundles_to_remove(bundles, 9200, 30h), ElementsAre("web1"));
}

// memspy as a script, which tells what it was asked for.
class Gathering : public ::testing::Test {
 protected:
  Gathering() {
    std::ofstream(folder_.file("memspy"))
        << "echo \"$1 $3\" >> " << folder_.file("asked") << "; "
        << "while [ ! -e " << folder_.file("go") << " ]; do sleep 0.01; done; echo '{}'\n";
    evidence_ = std::move(*Evidence::open(folder_.path(), {"/bin/sh", folder_.file("memspy")},
                                          history_, [](const std::string&) {}));
  }
  // `usage` of 100 MiB, and how much that grows in a minute.
  EvidenceOrder order(const std::string& id, double usage, double rate) {
    EvidenceOrder order;
    auto facts = std::make_shared<TargetFacts>();
    facts->identity = *procfs::ProcDir().identity(Pid{::getpid()});
    order.event.id = id;
    order.event.evidence = evidence_->folder_of(id);
    order.event.state = "firing";
    order.event.target.facts = facts;
    order.event.target.figures[SeriesColumn::kCgroupLimitBytes] = 100 * kMiB;
    order.event.target.group_bytes = usage * kMiB;
    order.event.target.group_growth_per_minute = rate * kMiB;
    return order;
  }
  void go() { std::ofstream(folder_.file("go")) << "\n"; }
  void until_there(const std::string& id) {
    while (!fs::exists(evidence_->folder_of(id))) std::this_thread::sleep_for(5ms);
  }
  memspy::testing::TempDir folder_;
  AlertHistory history_;
  std::unique_ptr<Evidence> evidence_;
};

TEST_F(Gathering, who_has_the_least_time_left_comes_first) {
  EXPECT_TRUE(evidence_->add(order("under-way", 10, 1)));
  while (!fs::exists(folder_.file("asked"))) std::this_thread::sleep_for(5ms);
  const ProcessIdentity self = order("", 1, 1).event.target.facts->identity;
  EvidenceOrder dead = order("dead", 99, 100);
  dead.alive = false;
  EXPECT_TRUE(evidence_->add(dead));
  EXPECT_TRUE(evidence_->add(order("calm", 99, 0)));
  EXPECT_TRUE(evidence_->add(order("an-hour", 40, 1)));
  EXPECT_TRUE(evidence_->add(order("a-minute", 40, 60)));
  EXPECT_TRUE(evidence_->wants(self));
  go();
  until_there("dead");
  EXPECT_FALSE(evidence_->wants(self));
  std::vector<std::pair<fs::file_time_type, std::string>> found;
  for (const auto& entry : fs::directory_iterator(folder_.file("evidence")))
    found.emplace_back(fs::last_write_time(entry.path() / "alert.json"),
                       entry.path().filename().string());
  std::sort(found.begin(), found.end());
  std::vector<std::string> names;
  for (const auto& [time, name] : found) names.push_back(name);
  EXPECT_THAT(names, ElementsAre("under-way", "a-minute", "an-hour", "calm", "dead"));
}

TEST_F(Gathering, what_ended_before_it_was_looked_at_is_said_to_have) {
  EvidenceOrder gone = order("gone", 50, 1);
  auto facts = std::make_shared<TargetFacts>(*gone.event.target.facts);
  ++facts->identity.start_ticks;  // its PID is another's by now
  gone.event.target.facts = facts;
  go();
  EXPECT_TRUE(evidence_->add(gone));
  until_there("gone");
  const auto missing = read_file(evidence_->folder_of("gone") + "/missing.txt");
  EXPECT_THAT(missing.value_or(""),
              AllOf(HasSubstr("dump.json: the process ended before it could be made\n"),
                    HasSubstr("live.memspy: the process ended"), Not(HasSubstr("exit"))));
}

}  // namespace
}  // namespace memspy::daemon
