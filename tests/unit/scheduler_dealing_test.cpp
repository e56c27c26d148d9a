/// Which host gets how much of which job, and what is taken back.
#include "scheduler/scheduler.hpp"

#include <algorithm>
#include <cstdint>
#include <map>
#include <vector>

#include <gtest/gtest.h>

#include "scheduler_helpers.hpp"

namespace rankpool::scheduler {
namespace {

/// Host 0 has all ten tasks of job 1 in two lots; host 1 has just come.
struct Uneven {
  explicit Uneven(std::uint64_t tasks = 10, JobOptions options = {.schedule = Schedule::dynamic}) {
    scheduler.add_host(0, 1);
    add_job(scheduler, 1, tasks, options);
    given = lots(scheduler);
  }
  Scheduler scheduler;
  std::vector<RunLot> given;
};

// ---------------------------------------------------------------------------------------------------------- lot sizing

TEST(Scheduler, a_lot_is_a_share_of_what_is_left) {
  Scheduler scheduler;
  scheduler.add_host(0, 10);
  scheduler.add_host(1, 30);
  add_job(scheduler, 1, 8000, {.schedule = Schedule::dynamic});
  const std::vector<RunLot> given = lots(scheduler);
  EXPECT_EQ(given[0].tasks.count, given[0].host == 0 ? 1000U : 3000U);  // 8000 · E / (2 · 40)
  EXPECT_EQ(given[1].tasks.count, given[1].host == 0 ? 625U : 2625U);   // of what the first left
  EXPECT_EQ(given.size(), 4U);                                          // two lots each
}

TEST(Scheduler, a_lot_has_a_chunk_for_each_executor) {
  Scheduler scheduler;
  scheduler.add_host(0, 4);
  scheduler.add_host(1, 4);
  add_job(scheduler, 1, 80, {.schedule = Schedule::dynamic, .chunksize = 10});
  EXPECT_EQ(lots(scheduler).front().tasks.count, 40U);  // its share would be 20
}

// Its executors and its leader are still awake, and the others' sleep on.
TEST(Scheduler, tasks_that_come_one_by_one_go_to_the_same_host) {
  Scheduler scheduler;
  for (const HostId host : {3U, 1U, 2U}) scheduler.add_host(host, 4);
  for (JobId job = 1; job <= 20; ++job) {
    add_job(scheduler, job, 1);
    std::vector<RunLot> given = lots(scheduler);
    ASSERT_EQ(given.size(), 1U);
    EXPECT_EQ(given.front().host, 1U);
    finish(scheduler, given.front());
    drain(scheduler);
  }
}

TEST(Scheduler, a_lot_never_crosses_a_pieces_border) {
  Scheduler scheduler;
  scheduler.add_host(0, 50);
  scheduler.open_job(1, {.schedule = Schedule::static_, .total = 100});
  for (const TaskRange piece : {TaskRange{0, 7}, TaskRange{7, 50}, TaskRange{57, 43}}) scheduler.add_tasks(1, piece);
  std::uint64_t covered = 0;
  for (const RunLot& lot : lots(scheduler)) {
    EXPECT_EQ(lot.tasks.first, covered);
    covered += lot.tasks.count;
    for (const std::uint64_t border : {7U, 57U}) EXPECT_FALSE(lot.tasks.first < border && border < lot.tasks.end());
  }
  EXPECT_EQ(covered, 100U);
}

TEST(Scheduler, user_chunks_stay_whole_counted_from_the_pieces_start) {
  Scheduler scheduler;
  scheduler.add_host(0, 2);
  scheduler.add_host(1, 3);
  scheduler.open_job(1, {.schedule = Schedule::dynamic, .chunksize = 7});
  scheduler.add_tasks(1, {0, 5});
  scheduler.add_tasks(1, {5, 1000});
  scheduler.end_input(1);
  std::uint64_t settled = 0;
  while (scheduler.is_open(1)) {
    for (const RunLot& lot : lots(scheduler)) {
      const bool first_piece = lot.tasks == TaskRange{0, 5};
      EXPECT_TRUE(first_piece || (lot.tasks.first - 5) % 7 == 0);
      EXPECT_TRUE(first_piece || (lot.tasks.end() - 5) % 7 == 0 || lot.tasks.end() == 1005);
      finish(scheduler, lot);
      settled += lot.tasks.count;
    }
  }
  EXPECT_EQ(settled, 1005U);
}

TEST(Scheduler, a_chunk_that_came_back_in_part_is_not_joined_with_the_next) {
  Scheduler scheduler;
  scheduler.add_host(0, 1);
  add_job(scheduler, 1, 100, {.schedule = Schedule::dynamic, .chunksize = 10});
  const std::vector<RunLot> given = lots(scheduler);
  ASSERT_EQ(given[0].tasks, (TaskRange{0, 50}));
  EXPECT_TRUE(scheduler.tasks_returned(0, given[0].lot, {23, 27}));
  finish(scheduler, given[1]);
  EXPECT_EQ(lots(scheduler).front().tasks, (TaskRange{23, 7}));
}

TEST(Scheduler, static_gives_each_executor_one_chunk) {
  Scheduler scheduler;
  scheduler.add_host(0, 2);
  scheduler.add_host(1, 3);
  add_job(scheduler, 1, 100, {.schedule = Schedule::static_});
  const std::vector<RunLot> given = lots(scheduler);
  ASSERT_EQ(given.size(), 2U);
  for (const RunLot& lot : given) EXPECT_EQ(lot.tasks.count, lot.host == 0 ? 40U : 60U);
}

TEST(Scheduler, automatic_starts_small_on_several_hosts) {
  Scheduler scheduler;
  scheduler.add_host(0, 10);
  scheduler.add_host(1, 10);
  add_job(scheduler, 1, 1'000'000);
  for (const RunLot& lot : lots(scheduler)) EXPECT_EQ(lot.tasks.count, 20U);
}

TEST(Scheduler, automatic_deals_half_at_once_to_a_single_host) {
  Scheduler scheduler;
  scheduler.add_host(0, 10);
  add_job(scheduler, 1, 1'000'000);
  EXPECT_EQ(lots(scheduler).front().tasks.count, 500'000U);
}

TEST(Scheduler, a_measured_lot_lasts_forty_milliseconds) {
  Scheduler scheduler;
  scheduler.add_host(0, 10);
  scheduler.add_host(1, 10);
  add_job(scheduler, 1, 100'000'000);
  for (const RunLot& lot : lots(scheduler)) finish(scheduler, lot, 10'000);
  for (const RunLot& lot : lots(scheduler)) EXPECT_EQ(lot.tasks.count, 40'000U);  // 40 ms · 10 executors / 10 us
}

TEST(Scheduler, a_measured_lot_of_long_tasks_has_one_for_each_executor) {
  Scheduler scheduler;
  scheduler.add_host(0, 10);
  scheduler.add_host(1, 10);
  add_job(scheduler, 1, 1'000'000);
  for (const RunLot& lot : lots(scheduler)) finish(scheduler, lot, 1'000'000'000);
  for (const RunLot& lot : lots(scheduler)) EXPECT_EQ(lot.tasks.count, 10U);
}

TEST(Scheduler, a_slow_host_gets_smaller_lots) {
  Scheduler scheduler;
  scheduler.add_host(0, 10);
  scheduler.add_host(1, 10);
  add_job(scheduler, 1, 1'000'000'000);
  std::map<HostId, std::uint64_t> last;
  for (int round = 0; round < 100; ++round) {
    for (const RunLot& lot : lots(scheduler)) {
      finish(scheduler, lot, lot.host == 0 ? 10'000 : 40'000);
      last[lot.host] = lot.tasks.count;
    }
  }
  EXPECT_GT(last[0], 3 * last[1]);
  EXPECT_LT(last[0], 6 * last[1]);
}

TEST(Scheduler, a_host_keeps_two_chunks_an_executor_or_two_lots) {
  Scheduler scheduler;
  scheduler.add_host(0, 4);
  add_job(scheduler, 1, 1000, {.schedule = Schedule::dynamic});
  std::vector<RunLot> given = lots(scheduler);
  ASSERT_EQ(given.size(), 2U);
  finish(scheduler, given[0], 1'000'000);
  EXPECT_EQ(lots(scheduler).size(), 1U);  // one lot left: it wants a second
}

TEST(Scheduler, a_host_keeps_chunks_for_a_millisecond) {
  Scheduler scheduler;
  scheduler.add_host(0, 1);
  scheduler.open_job(1, {.schedule = Schedule::dynamic, .chunksize = 100});
  constexpr std::uint64_t pieces = 14;
  for (std::uint64_t piece = 0; piece < pieces; ++piece) scheduler.add_tasks(1, {100 * piece, 100});
  const std::vector<RunLot> given = lots(scheduler);
  ASSERT_EQ(given.size(), 2U) << "a lot is no more than a piece";
  EXPECT_TRUE(scheduler.tasks_done(0, given[0].lot, given[0].tasks, 100'000));  // 0.1 ms
  EXPECT_EQ(lots(scheduler).size(), 10U);  // beside the other, of which nothing is measured yet
}

// ------------------------------------------------------------------------------------------------- many jobs, fairness

TEST(Scheduler, single_task_jobs_fill_a_host_to_its_limit_in_order) {
  for (const std::uint32_t executors : {1U, 50U}) {
    Scheduler scheduler;
    scheduler.add_host(0, executors);
    for (JobId job = 0; job < 1000; ++job) add_job(scheduler, job, 1);
    const std::vector<RunLot> given = lots(scheduler);
    EXPECT_EQ(given.size(), executors == 1 ? 16U : 100U);
    for (std::size_t i = 0; i < given.size(); ++i) EXPECT_EQ(given[i].job, i);
    finish(scheduler, given.front());
    const std::vector<RunLot> more = lots(scheduler);
    ASSERT_EQ(more.size(), 1U);
    EXPECT_EQ(more.front().job, given.size());
  }
}

TEST(Scheduler, single_task_jobs_spread_over_the_hosts) {
  Scheduler scheduler;
  for (HostId host = 0; host < 10; ++host) scheduler.add_host(host, 2);
  for (JobId job = 0; job < 20; ++job) add_job(scheduler, job, 1);
  std::map<HostId, int> tasks;
  for (const RunLot& lot : lots(scheduler)) ++tasks[lot.host];
  for (HostId host = 0; host < 10; ++host) EXPECT_EQ(tasks[host], 2);
}

TEST(Scheduler, a_long_job_does_not_keep_a_later_small_one_waiting) {
  Scheduler scheduler;
  scheduler.add_host(0, 4);
  add_job(scheduler, 1, 1'000'000);
  drain(scheduler);
  add_job(scheduler, 2, 1);
  EXPECT_EQ(one_lot(scheduler).job, 2U);
}

TEST(Scheduler, jobs_with_pending_tasks_take_turns) {
  Scheduler scheduler;
  for (const JobId job : {0U, 1U, 2U}) add_job(scheduler, job, 10'000, {.schedule = Schedule::dynamic});
  std::vector<JobId> turns;
  for (HostId host = 0; host < 6; ++host) {
    scheduler.add_host(host, 4);
    for (const RunLot& lot : lots(scheduler)) turns.push_back(lot.job);
  }
  ASSERT_GE(turns.size(), 12U);
  for (std::size_t i = 0; i < turns.size(); ++i) EXPECT_EQ(turns[i], i % 3);
}

// --------------------------------------------------------------------------------------------------------- retraction

TEST(Scheduler, a_dry_host_gets_the_newest_lot_of_the_most_loaded) {
  Uneven uneven;
  uneven.scheduler.add_host(1, 1);
  // What is pending goes out first; only then is anything retracted.
  std::vector<RunLot> all = uneven.given;
  std::vector<RetractLot> asked;
  while (asked.empty()) {
    const std::vector<Command> commands = drain(uneven.scheduler);
    for (const RunLot& lot : only<RunLot>(commands)) all.push_back(lot);
    asked = only<RetractLot>(commands);
    if (!asked.empty()) break;
    const auto mine = std::find_if(all.begin(), all.end(), [](const RunLot& lot) { return lot.host == 1; });
    ASSERT_NE(mine, all.end());
    finish(uneven.scheduler, *mine);
    all.erase(mine);
  }
  ASSERT_EQ(asked.size(), 1U);
  RunLot newest;
  for (const RunLot& lot : all) newest = lot.host == 0 ? lot : newest;
  EXPECT_EQ(asked.front(), (RetractLot{0, newest.lot}));
  EXPECT_TRUE(uneven.scheduler.tasks_returned(0, newest.lot, newest.tasks));
  const std::vector<RunLot> dealt = lots(uneven.scheduler);
  ASSERT_FALSE(dealt.empty());
  EXPECT_EQ(dealt.front().host, 1U);
  EXPECT_EQ(dealt.front().attempt, 1U);
}

/// One executor has `first` tasks in one lot and `second` in another; a host without work comes.
struct TwoLots {
  TwoLots(std::uint64_t first, std::uint64_t second, std::uint32_t executors = 1) {
    scheduler.add_host(0, executors);
    scheduler.open_job(1, {.schedule = Schedule::dynamic});
    scheduler.add_tasks(1, {0, first});
    if (second > 0) scheduler.add_tasks(1, {first, second});
    given = lots(scheduler);
    scheduler.add_host(1, 1);
  }
  Scheduler scheduler;
  std::vector<RunLot> given;
};

TEST(Scheduler, a_retraction_that_cannot_help_is_not_made) {
  for (const std::uint32_t executors : {1U, 4U}) {
    TwoLots system(executors, 0, executors);  // all of it runs
    EXPECT_TRUE(drain(system.scheduler).empty());
  }
}

TEST(Scheduler, a_lot_is_retracted_once_at_most) {
  TwoLots system(1, 1);
  ASSERT_EQ(system.given.size(), 2U);
  EXPECT_EQ(drain(system.scheduler), (std::vector<Command>{RetractLot{0, system.given[1].lot}}));
  EXPECT_TRUE(drain(system.scheduler).empty());
  EXPECT_TRUE(
      system.scheduler.tasks_returned(0, system.given[1].lot, {1, 0}));  // too late, it runs: then the other waits
  EXPECT_EQ(drain(system.scheduler), (std::vector<Command>{RetractLot{0, system.given[0].lot}}));
  EXPECT_TRUE(system.scheduler.tasks_returned(0, system.given[0].lot, {0, 0}));
  EXPECT_TRUE(drain(system.scheduler).empty());
}

TEST(Scheduler, a_dry_host_awaits_one_retraction_at_a_time) {
  Scheduler scheduler;
  scheduler.add_host(0, 1);
  for (JobId job = 0; job < 10; ++job) add_job(scheduler, job, 1);
  const std::vector<RunLot> given = lots(scheduler);
  ASSERT_EQ(given.size(), 10U);
  scheduler.add_host(1, 1);
  EXPECT_EQ(drain(scheduler), (std::vector<Command>{RetractLot{0, given[9].lot}}));
  scheduler.add_host(2, 1);
  EXPECT_EQ(drain(scheduler), (std::vector<Command>{RetractLot{0, given[8].lot}}));
  EXPECT_TRUE(scheduler.tasks_returned(0, given[9].lot, {0, 0}));
  EXPECT_EQ(drain(scheduler), (std::vector<Command>{RetractLot{0, given[7].lot}}));  // an answer of nothing: the next
}

TEST(Scheduler, a_host_is_hungry_when_what_it_has_would_not_last_until_the_next_look) {
  constexpr Nanoseconds task_time = 1'000'000;
  Scheduler scheduler;
  scheduler.add_host(0, 1);
  add_job(scheduler, 1, 100, {.schedule = Schedule::dynamic});
  std::vector<RunLot> given = lots(scheduler);
  EXPECT_TRUE(scheduler.any_host_is_hungry()) << "for all that is known";
  const auto run = [&](std::uint64_t tasks) {
    for (; tasks != 0; --tasks) {
      RunLot& lot = given.front();
      EXPECT_TRUE(scheduler.tasks_done(0, lot.lot, {lot.tasks.first, 1}, task_time));
      lot.tasks = {lot.tasks.first + 1, lot.tasks.count - 1};
      if (lot.tasks.count == 0) given.erase(given.begin());
      for (const RunLot& next : lots(scheduler)) given.push_back(next);
    }
  };
  run(1);
  EXPECT_FALSE(scheduler.any_host_is_hungry()) << "it has work for 70 ms at least";
  scheduler.add_host(1, 0);
  EXPECT_FALSE(scheduler.any_host_is_hungry()) << "who has no executors needs no work";
  run(90);
  EXPECT_TRUE(scheduler.any_host_is_hungry()) << "it has work for 9 ms";
}

TEST(Scheduler, equally_loaded_hosts_take_nothing_from_each_other) {
  Scheduler scheduler;
  scheduler.add_host(0, 4);
  scheduler.add_host(1, 4);
  for (JobId job = 0; job < 16; ++job) add_job(scheduler, job, 1);
  const std::vector<Command> commands = drain(scheduler);
  EXPECT_EQ(only<RunLot>(commands).size(), 16U);
  EXPECT_TRUE(only<RetractLot>(commands).empty());
}

TEST(Scheduler, a_busy_host_takes_ahead_of_need_only_from_one_far_behind) {
  for (const bool far : {false, true}) {
    Scheduler scheduler;
    scheduler.add_host(0, 1);
    for (JobId job = 0; job < (far ? 4U : 3U); ++job) add_job(scheduler, job, 1);
    drain(scheduler);
    scheduler.add_host(1, 1);
    const std::vector<RetractLot> first = only<RetractLot>(drain(scheduler));
    ASSERT_EQ(first.size(), 1U);
    EXPECT_TRUE(scheduler.tasks_returned(0, first[0].lot, {0, 1}));
    // Host 1 is busy with the task it got; host 0 has one or two waiting behind the one that runs.
    EXPECT_EQ(only<RetractLot>(drain(scheduler)).size(), far ? 1U : 0U);
  }
}

TEST(Scheduler, a_host_without_executors_is_relieved_of_its_lots) {
  Scheduler scheduler;
  scheduler.add_host(0, 1);
  add_job(scheduler, 1, 1);
  const RunLot lot = one_lot(scheduler);
  scheduler.set_executors(0, 0);
  scheduler.add_host(1, 1);
  EXPECT_EQ(drain(scheduler), (std::vector<Command>{RetractLot{0, lot.lot}}));
}

TEST(Scheduler, a_retraction_survives_the_loss_of_either_host) {
  for (const HostId lost : {0U, 1U}) {
    TwoLots system(1, 1);
    ASSERT_EQ(drain(system.scheduler).size(), 1U);
    system.scheduler.lose_host(lost, Unreported::may_have_run);
    for (const RunLot& lot : lots(system.scheduler)) finish(system.scheduler, lot);
    for (const RunLot& lot : system.given) {
      EXPECT_EQ(system.scheduler.tasks_done(0, lot.lot, lot.tasks, 1), lost == 1);
    }
    for (const RunLot& lot : lots(system.scheduler)) finish(system.scheduler, lot);
    system.scheduler.end_input(1);
    EXPECT_EQ(drain(system.scheduler), (std::vector<Command>{JobDone{1}}));
  }
}

}  // namespace
}  // namespace rankpool::scheduler
