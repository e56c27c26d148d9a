#include "scheduler/scheduler.hpp"

#include <cstdint>
#include <map>
#include <set>
#include <stdexcept>
#include <vector>

#include <gtest/gtest.h>

#include "scheduler_helpers.hpp"

namespace rankpool::scheduler {
namespace {

// ----------------------------------------------------------------------------------------------------- life of a job

TEST(Scheduler, a_job_runs_and_ends) {
  Scheduler scheduler;
  scheduler.add_host(3, 2);
  add_job(scheduler, 9, 1);
  const RunLot lot = one_lot(scheduler);
  EXPECT_EQ(lot.host, 3U);
  EXPECT_EQ(lot.job, 9U);
  EXPECT_EQ(lot.tasks, (TaskRange{0, 1}));
  EXPECT_EQ(lot.attempt, 1U);
  finish(scheduler, lot);
  EXPECT_EQ(drain(scheduler), (std::vector<Command>{JobDone{9}}));
  EXPECT_FALSE(scheduler.is_open(9));
  EXPECT_EQ(scheduler.open_jobs(), 0U);
}

TEST(Scheduler, the_time_of_a_jobs_tasks_is_known_when_some_have_ended) {
  Scheduler scheduler;
  scheduler.add_host(3, 1);
  scheduler.open_job(9, {});
  scheduler.add_tasks(9, {0, 1});
  EXPECT_FALSE(scheduler.task_time(9));
  EXPECT_FALSE(scheduler.task_time(10));
  const RunLot lot = one_lot(scheduler);
  EXPECT_TRUE(scheduler.tasks_done(3, lot.lot, {0, 1}, 5000));
  EXPECT_EQ(scheduler.task_time(9), 5000);
}

TEST(Scheduler, a_job_without_tasks_is_done_at_the_end_of_its_input) {
  Scheduler scheduler;
  scheduler.open_job(1, {});
  EXPECT_TRUE(drain(scheduler).empty());
  scheduler.end_input(1);
  EXPECT_EQ(drain(scheduler), (std::vector<Command>{JobDone{1}}));
}

TEST(Scheduler, a_job_is_not_done_while_input_may_come) {
  Scheduler scheduler;
  scheduler.add_host(0, 1);
  scheduler.open_job(1, {});
  scheduler.add_tasks(1, {0, 1});
  finish(scheduler, one_lot(scheduler));
  EXPECT_TRUE(drain(scheduler).empty());
  scheduler.end_input(1);
  EXPECT_EQ(drain(scheduler).size(), 1U);
}

TEST(Scheduler, tasks_with_results_are_skipped) {
  Scheduler scheduler;
  scheduler.add_host(0, 4);
  scheduler.open_job(1, {.chunksize = 100});
  scheduler.skip_tasks(1, {0, 3});
  scheduler.add_tasks(1, {3, 2});
  scheduler.skip_tasks(1, {5, 4});
  scheduler.add_tasks(1, {9, 1});
  EXPECT_THROW(scheduler.skip_tasks(1, {11, 1}), std::logic_error);
  EXPECT_EQ(scheduler.pending_tasks(1), 3U);
  scheduler.end_input(1);
  std::vector<TaskRange> ran;
  for (const RunLot& lot : lots(scheduler)) {
    ran.push_back(lot.tasks);
    finish(scheduler, lot);
  }
  EXPECT_EQ(ran, (std::vector<TaskRange>{{3, 2}, {9, 1}}));
  EXPECT_EQ(drain(scheduler), (std::vector<Command>{JobDone{1}}));
  scheduler.open_job(2, {});
  scheduler.skip_tasks(2, {0, 7});
  scheduler.end_input(2);
  EXPECT_EQ(drain(scheduler), (std::vector<Command>{JobDone{2}}));
}

TEST(Scheduler, tasks_wait_for_a_host_with_executors) {
  Scheduler scheduler;
  add_job(scheduler, 1, 4);
  EXPECT_TRUE(drain(scheduler).empty());
  scheduler.add_host(0, 0);
  EXPECT_TRUE(drain(scheduler).empty());
  EXPECT_EQ(scheduler.pending_tasks(1), 4U);
  scheduler.set_executors(0, 2);
  EXPECT_EQ(scheduler.executors(), 2U);
  EXPECT_FALSE(lots(scheduler).empty());
}

TEST(Scheduler, misuse_is_a_logic_error) {
  Scheduler scheduler;
  scheduler.add_host(0, 1);
  EXPECT_THROW(scheduler.add_host(0, 1), std::logic_error);
  scheduler.open_job(1, {});
  EXPECT_THROW(scheduler.open_job(1, {}), std::logic_error);
  scheduler.add_tasks(1, {0, 5});
  EXPECT_THROW(scheduler.add_tasks(1, {6, 5}), std::logic_error);
  EXPECT_THROW(scheduler.add_tasks(1, {5, ~std::uint64_t{0}}), std::logic_error);
  scheduler.end_input(1);
  EXPECT_THROW(scheduler.add_tasks(1, {5, 1}), std::logic_error);
}

// ------------------------------------------------------------------------------------------------- reports are checked

TEST(Scheduler, reports_about_what_is_not_outstanding_are_refused) {
  Scheduler scheduler;
  scheduler.add_host(0, 4);
  scheduler.add_host(1, 4);
  add_job(scheduler, 1, 12, {.schedule = Schedule::dynamic, .chunksize = 1});
  const RunLot first = lots(scheduler).front();
  const std::uint64_t begin = first.tasks.first;
  ASSERT_EQ(first.tasks.count, 4U);
  const auto done = [&](TaskRange tasks) { return scheduler.tasks_done(first.host, first.lot, tasks, 1); };
  EXPECT_FALSE(scheduler.tasks_done(1 - first.host, first.lot, {begin, 1}, 1));          // another host's
  EXPECT_FALSE(scheduler.tasks_done(first.host, first.lot + 1'000'000, {begin, 1}, 1));  // no such lot
  EXPECT_FALSE(done({begin + 3, 2}));                                                    // past the lot
  EXPECT_FALSE(done({begin + 4, 1}));                                                    // another lot's
  EXPECT_FALSE(done({begin + 1, ~std::uint64_t{0}}));                                    // overflows
  EXPECT_FALSE(done({begin, 0}));                                                        // nothing
  EXPECT_TRUE(done({begin + 1, 1}));
  EXPECT_FALSE(done({begin + 1, 1}));  // twice
  EXPECT_FALSE(done({begin, 3}));      // over a settled one
  EXPECT_FALSE(scheduler.task_died(first.host, first.lot, begin + 1));
  EXPECT_FALSE(scheduler.tasks_returned(first.host, first.lot, {begin + 1, 1}));
  EXPECT_TRUE(done({begin + 2, 2}));
  EXPECT_TRUE(done({begin, 1}));
  EXPECT_FALSE(done({begin, 1}));  // the lot is closed
  EXPECT_FALSE(scheduler.tasks_returned(first.host, first.lot, {begin, 0}));
}

TEST(Scheduler, lot_ids_are_never_reused) {
  Scheduler scheduler;
  scheduler.add_host(0, 1);
  std::set<LotId> ids;
  for (JobId job = 0; job < 1000; ++job) {
    add_job(scheduler, job, 1);
    const RunLot lot = lots(scheduler).front();
    EXPECT_TRUE(ids.insert(lot.lot).second);
    finish(scheduler, lot);
  }
}

// ------------------------------------------------------------------------------------------------------------ attempts

TEST(Scheduler, a_died_task_is_charged_and_runs_again_alone_and_first) {
  Scheduler scheduler;
  scheduler.add_host(0, 2);
  add_job(scheduler, 1, 100, {.schedule = Schedule::dynamic, .chunksize = 10});
  const std::vector<RunLot> given = lots(scheduler);
  ASSERT_EQ(given.front().tasks, (TaskRange{0, 50}));
  ASSERT_GT(scheduler.pending_tasks(1), 0U);
  EXPECT_TRUE(scheduler.task_died(0, given.front().lot, 3));
  finish(scheduler, given.back());
  const RunLot again = lots(scheduler).front();
  EXPECT_EQ(again.tasks, (TaskRange{3, 1}));
  EXPECT_EQ(again.attempt, 2U);
  EXPECT_TRUE(scheduler.tasks_done(0, given.front().lot, {0, 3}, 1));  // the others of its lot go on there
  EXPECT_TRUE(scheduler.tasks_done(0, given.front().lot, {4, 46}, 1));
}

TEST(Scheduler, a_task_is_given_up_after_its_last_attempt) {
  Scheduler scheduler;
  scheduler.add_host(7, 1);
  add_job(scheduler, 1, 1, {.max_attempts = 3});
  RunLot lot = one_lot(scheduler);
  for (std::uint32_t attempt = 1; attempt < 3; ++attempt) {
    EXPECT_EQ(lot.attempt, attempt);
    EXPECT_TRUE(scheduler.task_died(7, lot.lot, 0));
    lot = one_lot(scheduler);
  }
  EXPECT_EQ(lot.attempt, 3U);
  EXPECT_TRUE(scheduler.task_died(7, lot.lot, 0));
  EXPECT_EQ(drain(scheduler), (std::vector<Command>{GiveUp{1, 0, 3, lot.lot, 7}, JobDone{1}}));
}

TEST(Scheduler, with_one_attempt_no_task_runs_twice) {
  Scheduler scheduler;
  scheduler.add_host(0, 2);
  scheduler.add_host(1, 2);
  add_job(scheduler, 1, 8, {.schedule = Schedule::static_, .max_attempts = 1});
  const std::vector<RunLot> given = lots(scheduler);
  ASSERT_EQ(given.size(), 2U);
  EXPECT_TRUE(scheduler.task_died(given[0].host, given[0].lot, given[0].tasks.first));
  EXPECT_EQ(only<GiveUp>(drain(scheduler)).size(), 1U);
  scheduler.lose_host(given[0].host, Unreported::may_have_run);
  const std::vector<Command> commands = drain(scheduler);
  EXPECT_EQ(only<GiveUp>(commands).size(), 3U);
  EXPECT_TRUE(only<RunLot>(commands).empty());
}

TEST(Scheduler, returned_tasks_go_first_and_uncharged) {
  Scheduler scheduler;
  scheduler.add_host(0, 1);
  add_job(scheduler, 1, 100, {.schedule = Schedule::dynamic});
  const std::vector<RunLot> given = lots(scheduler);
  EXPECT_TRUE(scheduler.tasks_returned(0, given.front().lot, {5, 3}));
  finish(scheduler, given.back());
  const RunLot again = lots(scheduler).front();
  EXPECT_EQ(again.tasks, (TaskRange{5, 3}));
  EXPECT_EQ(again.attempt, 1U);
}

TEST(Scheduler, a_lost_hosts_tasks_run_elsewhere_charged) {
  Scheduler scheduler;
  scheduler.add_host(0, 2);
  scheduler.add_host(1, 2);
  add_job(scheduler, 1, 8, {.schedule = Schedule::static_});
  const std::vector<RunLot> given = lots(scheduler);
  ASSERT_EQ(given.size(), 2U);
  EXPECT_TRUE(scheduler.tasks_done(given[0].host, given[0].lot, {given[0].tasks.first + 1, 1}, 1));
  scheduler.lose_host(given[0].host, Unreported::may_have_run);
  EXPECT_EQ(scheduler.executors(), 2U);
  std::map<std::uint64_t, std::uint32_t> attempts;
  finish(scheduler, given[1]);
  for (const RunLot& lot : lots(scheduler)) {
    EXPECT_EQ(lot.host, given[1].host);
    for (std::uint64_t task = lot.tasks.first; task < lot.tasks.end(); ++task)
      attempts[task - given[0].tasks.first] = lot.attempt;
  }
  EXPECT_EQ(attempts, (std::map<std::uint64_t, std::uint32_t>{{0, 2}, {2, 2}, {3, 2}}));
}

TEST(Scheduler, what_never_started_on_a_lost_host_runs_elsewhere_uncharged) {
  Scheduler scheduler;
  scheduler.add_host(0, 2);
  scheduler.add_host(1, 2);
  add_job(scheduler, 1, 8, {.schedule = Schedule::static_, .max_attempts = 1});
  const std::vector<RunLot> given = lots(scheduler);
  ASSERT_EQ(given.size(), 2U);
  const std::uint64_t first = given[0].tasks.first;
  EXPECT_TRUE(scheduler.task_died(given[0].host, given[0].lot, first + 1));
  scheduler.lose_host(given[0].host, Unreported::never_started);
  finish(scheduler, given[1]);
  const std::vector<Command> commands = drain(scheduler);
  ASSERT_EQ(only<GiveUp>(commands).size(), 1U);
  EXPECT_EQ(only<GiveUp>(commands)[0].task, first + 1);
  std::map<std::uint64_t, std::uint32_t> attempts;
  for (const RunLot& lot : only<RunLot>(commands)) {
    EXPECT_EQ(lot.host, given[1].host);
    for (std::uint64_t task = lot.tasks.first; task < lot.tasks.end(); ++task) attempts[task - first] = lot.attempt;
  }
  EXPECT_EQ(attempts, (std::map<std::uint64_t, std::uint32_t>{{0, 1}, {2, 1}, {3, 1}}));
}

TEST(Scheduler, a_lost_hosts_late_replies_are_refused_even_when_it_comes_back) {
  Scheduler scheduler;
  scheduler.add_host(0, 1);
  add_job(scheduler, 1, 1);
  const RunLot lost = one_lot(scheduler);
  scheduler.lose_host(0, Unreported::may_have_run);
  scheduler.lose_host(0, Unreported::may_have_run);  // no effect
  scheduler.add_host(0, 1);
  const RunLot again = one_lot(scheduler);
  EXPECT_EQ(again.attempt, 2U);
  EXPECT_FALSE(scheduler.tasks_done(0, lost.lot, lost.tasks, 1));
  EXPECT_FALSE(scheduler.task_died(0, lost.lot, 0));
  EXPECT_FALSE(scheduler.tasks_returned(0, lost.lot, lost.tasks));
  finish(scheduler, again);
}

// -------------------------------------------------------------------------------------------------------------- cancel

TEST(Scheduler, a_cancelled_job_starts_nothing_retracts_and_ends) {
  Scheduler scheduler;
  scheduler.add_host(0, 2);
  add_job(scheduler, 1, 100, {.schedule = Schedule::dynamic});
  const std::vector<RunLot> given = lots(scheduler);
  ASSERT_EQ(given.size(), 2U);
  scheduler.cancel_job(1);
  scheduler.cancel_job(1);  // no effect
  EXPECT_EQ(drain(scheduler), (std::vector<Command>{RetractLot{0, given[0].lot}, RetractLot{0, given[1].lot}}));
  EXPECT_EQ(scheduler.pending_tasks(1), 0U);
  scheduler.add_tasks(1, {100, 5});
  EXPECT_TRUE(scheduler.task_died(0, given[0].lot, 0));  // not tried again, not reported
  EXPECT_TRUE(scheduler.tasks_done(0, given[0].lot, {1, 1}, 1));
  EXPECT_TRUE(scheduler.tasks_returned(0, given[0].lot, {2, given[0].tasks.count - 2}));
  EXPECT_TRUE(drain(scheduler).empty());
  EXPECT_TRUE(scheduler.tasks_returned(0, given[1].lot, given[1].tasks));
  EXPECT_EQ(drain(scheduler), (std::vector<Command>{JobDone{1}}));
  scheduler.add_tasks(1, {105, 5});  // the job is over: ignored
  EXPECT_TRUE(drain(scheduler).empty());
}

TEST(Scheduler, a_held_job_starts_nothing_until_it_goes_on) {
  Scheduler scheduler;
  scheduler.add_host(0, 2);
  add_job(scheduler, 1, 100, {.schedule = Schedule::dynamic});
  const std::vector<RunLot> given = lots(scheduler);
  ASSERT_EQ(given.size(), 2U);
  scheduler.hold_job(1);
  scheduler.hold_job(1);  // no effect
  EXPECT_EQ(drain(scheduler), (std::vector<Command>{RetractLot{0, given[0].lot}, RetractLot{0, given[1].lot}}));
  const std::uint64_t pending = scheduler.pending_tasks(1);
  EXPECT_TRUE(scheduler.task_died(0, given[0].lot, 0));
  EXPECT_TRUE(scheduler.tasks_returned(0, given[0].lot, {1, given[0].tasks.count - 1}));
  EXPECT_EQ(scheduler.pending_tasks(1), pending + given[0].tasks.count);
  EXPECT_TRUE(drain(scheduler).empty());
  scheduler.resume_job(1);
  const RunLot again = lots(scheduler).at(0);
  EXPECT_EQ(again.tasks.first, 1U);  // what came back last
  scheduler.hold_job(1);
  drain(scheduler);
  scheduler.cancel_job(1);
  EXPECT_EQ(scheduler.pending_tasks(1), 0U);
}

TEST(Scheduler, a_held_job_ends_with_its_last_task) {
  Scheduler scheduler;
  scheduler.add_host(0, 1);
  add_job(scheduler, 1, 1);
  const RunLot lot = one_lot(scheduler);
  scheduler.hold_job(1);
  drain(scheduler);
  finish(scheduler, lot);
  EXPECT_EQ(drain(scheduler), (std::vector<Command>{JobDone{1}}));
}

TEST(Scheduler, a_cancelled_job_ends_with_its_lost_hosts) {
  Scheduler scheduler;
  scheduler.add_host(0, 2);
  add_job(scheduler, 1, 10, {.max_attempts = 1});
  drain(scheduler);
  scheduler.cancel_job(1);
  scheduler.lose_host(0, Unreported::may_have_run);
  const std::vector<Command> commands = drain(scheduler);
  EXPECT_TRUE(only<GiveUp>(commands).empty());
  EXPECT_EQ(only<JobDone>(commands).size(), 1U);
}

TEST(Scheduler, a_cancelled_job_ends_with_a_lost_host_that_had_not_started_it) {
  Scheduler scheduler;
  scheduler.add_host(0, 2);
  scheduler.add_host(1, 2);
  add_job(scheduler, 1, 10);
  drain(scheduler);
  scheduler.cancel_job(1);
  drain(scheduler);
  scheduler.lose_host(0, Unreported::never_started);
  scheduler.lose_host(1, Unreported::never_started);
  EXPECT_EQ(drain(scheduler), (std::vector<Command>{JobDone{1}}));
}

TEST(Scheduler, a_cancelled_job_with_nothing_in_flight_is_done_at_once) {
  Scheduler scheduler;
  add_job(scheduler, 1, 10);
  scheduler.cancel_job(1);
  EXPECT_EQ(drain(scheduler), (std::vector<Command>{JobDone{1}}));
}

}  // namespace
}  // namespace rankpool::scheduler
