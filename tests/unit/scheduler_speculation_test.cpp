/// What is late at a job's end runs a second time.
#include <algorithm>
#include <cstdint>
#include <iterator>
#include <vector>

#include <gtest/gtest.h>

#include "unit/scheduler_helpers.hpp"

namespace rankpool::scheduler {
namespace {

constexpr Nanoseconds ms = 1'000'000;

/// Two hosts with an executor each have a task of one job each; the first one's has ended after 10 ms.
class Late {
 public:
  explicit Late(JobOptions options = {}) {
    options.speculative = true;
    options.chunksize = 1;
    scheduler.tell_time(0);
    scheduler.add_host(0, 1);
    scheduler.add_host(1, 1);
    add_job(scheduler, 1, 2, options);
    const std::vector<RunLot> given = lots(scheduler);
    EXPECT_EQ(given.size(), 2U);
    late = given[0].host == 0 ? given[1] : given[0];
    scheduler.tell_time(10 * ms);
    finish(scheduler, given[0].host == 0 ? given[0] : given[1], 10 * ms);
    EXPECT_TRUE(drain_but_retractions().empty());
  }

  std::vector<RunLot> drain_but_retractions() { return only<RunLot>(drain(scheduler)); }
  RunLot copy_at(Nanoseconds time) {
    scheduler.tell_time(time);
    const std::vector<RunLot> copies = drain_but_retractions();
    EXPECT_EQ(copies.size(), 1U);
    return copies.empty() ? RunLot{} : copies.front();
  }

  Scheduler scheduler;
  RunLot late;
};

TEST(SchedulerSpeculation, a_task_that_is_late_is_copied_to_an_idle_host) {
  Late system;
  system.scheduler.tell_time(39 * ms);
  EXPECT_TRUE(system.drain_but_retractions().empty());
  const RunLot copy = system.copy_at(41 * ms);
  EXPECT_TRUE(copy.is_copy);
  EXPECT_EQ(copy.host, 0U);
  EXPECT_EQ(copy.tasks, system.late.tasks);
  EXPECT_EQ(copy.attempt, 1U);
  system.scheduler.tell_time(1000 * ms);
  EXPECT_TRUE(system.drain_but_retractions().empty());  // one copy is enough
}

TEST(SchedulerSpeculation, the_first_result_counts_and_the_job_ends_with_the_last) {
  for (const bool copy_wins : {true, false}) {
    Late system;
    const RunLot copy = system.copy_at(41 * ms);
    const RunLot& first = copy_wins ? copy : system.late;
    const RunLot& second = copy_wins ? system.late : copy;
    EXPECT_EQ(system.scheduler.unsettled(first.host, first.lot, first.tasks), std::vector{first.tasks});
    finish(system.scheduler, first);
    EXPECT_TRUE(only<JobDone>(drain(system.scheduler)).empty());
    EXPECT_TRUE(system.scheduler.unsettled(second.host, second.lot, second.tasks).empty());
    finish(system.scheduler, second);
    EXPECT_EQ(only<JobDone>(drain(system.scheduler)).size(), 1U);
  }
}

TEST(SchedulerSpeculation, a_copy_that_dies_is_not_made_again_and_charges_nothing) {
  Late system({.max_attempts = 2});
  const RunLot copy = system.copy_at(41 * ms);
  EXPECT_TRUE(system.scheduler.forsaken(copy.host, copy.lot, copy.tasks).empty());
  EXPECT_TRUE(system.scheduler.task_died(copy.host, copy.lot, copy.tasks.first));
  system.scheduler.tell_time(1000 * ms);
  EXPECT_TRUE(drain(system.scheduler).empty());
  EXPECT_TRUE(system.scheduler.task_died(system.late.host, system.late.lot, system.late.tasks.first));
  EXPECT_EQ(lots(system.scheduler).front().attempt, 2U);
}

TEST(SchedulerSpeculation, a_task_that_dies_where_it_was_late_is_left_to_the_copy) {
  Late system({.max_attempts = 2});
  const RunLot copy = system.copy_at(41 * ms);
  system.scheduler.lose_host(system.late.host, Unreported::may_have_run);
  EXPECT_TRUE(drain(system.scheduler).empty());
  EXPECT_EQ(system.scheduler.unsettled(copy.host, copy.lot, copy.tasks), std::vector{copy.tasks});
  finish(system.scheduler, copy);
  EXPECT_EQ(drain(system.scheduler), (std::vector<Command>{JobDone{1}}));
}

TEST(SchedulerSpeculation, a_copy_that_comes_back_may_be_made_again) {
  Late system;
  const RunLot copy = system.copy_at(41 * ms);
  EXPECT_TRUE(system.scheduler.tasks_returned(copy.host, copy.lot, copy.tasks));
  EXPECT_TRUE(system.copy_at(42 * ms).is_copy);
}

/// Three hosts with an executor each; the task of one of them is late, and has a copy on another one.
struct Copied {
  Copied() {
    for (HostId host = 0; host < 3; ++host) scheduler.add_host(host, 1);
    add_job(scheduler, 1, 3, {.chunksize = 1, .speculative = true});
    const std::vector<RunLot> given = lots(scheduler);
    scheduler.tell_time(10 * ms);
    finish(scheduler, given.at(0), 10 * ms);
    finish(scheduler, given.at(1), 10 * ms);
    late = given.at(2);
    drain(scheduler);
    copies = copies_until(100 * ms);
  }
  /// Those that are made until then.
  std::vector<RunLot> copies_until(Nanoseconds time) {
    std::vector<RunLot> made;
    for (; now <= time; now += 10 * ms) {
      scheduler.tell_time(now);
      std::ranges::copy(lots(scheduler), std::back_inserter(made));
    }
    return made;
  }

  Scheduler scheduler;
  Nanoseconds now = 20 * ms;
  RunLot late;
  std::vector<RunLot> copies;
};

TEST(SchedulerSpeculation, a_copy_that_is_late_is_copied_too_where_neither_is) {
  Copied system;
  ASSERT_EQ(system.copies.size(), 1U);
  const std::vector<RunLot> more = system.copies_until(10'000 * ms);
  ASSERT_EQ(more.size(), 1U);
  EXPECT_NE(more.front().host, system.late.host);
  EXPECT_NE(more.front().host, system.copies.front().host);
}

TEST(SchedulerSpeculation, a_copy_that_is_left_alone_is_copied_when_it_is_late) {
  Copied system;
  system.scheduler.lose_host(system.late.host, Unreported::may_have_run);
  EXPECT_EQ(system.copies_until(10'000 * ms).size(), 1U);
}

TEST(SchedulerSpeculation, a_copy_lost_with_its_host_is_made_again) {
  Copied system;
  system.scheduler.lose_host(system.copies.front().host, Unreported::may_have_run);
  EXPECT_EQ(system.copies_until(10'000 * ms).size(), 1U);
}

// One executor runs a chunk, however many others there are.
TEST(SchedulerSpeculation, a_chunk_that_takes_as_long_as_its_tasks_is_not_late) {
  Scheduler scheduler;
  scheduler.add_host(0, 8);
  add_job(scheduler, 1, 100, {.chunksize = 50, .speculative = true});
  const std::vector<RunLot> given = lots(scheduler);
  scheduler.tell_time(10 * ms);
  ASSERT_TRUE(scheduler.tasks_done(0, given.front().lot, {given.front().tasks.first, 1}, 10 * ms));
  scheduler.tell_time(500 * ms);
  EXPECT_TRUE(lots(scheduler).empty());
  scheduler.tell_time(1100 * ms);
  EXPECT_FALSE(lots(scheduler).empty());
}

TEST(SchedulerSpeculation, a_set_of_neighbouring_tasks_is_one_run) {
  RunSet set;
  for (const std::uint64_t task : {2U, 0U, 4U, 3U, 1U}) set.add({task, 1});
  EXPECT_EQ(set.runs(), (std::vector<TaskRange>{{0, 5}}));
  EXPECT_EQ(set.count(), 5U);
}

TEST(SchedulerSpeculation, jobs_that_did_not_ask_for_it_wait) {
  Scheduler scheduler;
  scheduler.add_host(0, 1);
  scheduler.add_host(1, 1);
  add_job(scheduler, 1, 2, {.chunksize = 1});
  finish(scheduler, lots(scheduler).front(), 10 * ms);
  EXPECT_FALSE(scheduler.needs_time());
  EXPECT_FALSE(scheduler.any_may_be_late());
  scheduler.tell_time(1000 * ms);
  EXPECT_TRUE(lots(scheduler).empty());
}

}  // namespace
}  // namespace rankpool::scheduler
