#include <chrono>
#include <cstdint>
#include <deque>
#include <iostream>
#include <variant>
#include <vector>

#include <gtest/gtest.h>

#include "scheduler/scheduler.hpp"
#include "scheduler_virtual_cluster.hpp"

namespace rankpool::scheduler {
namespace {

/// Tells a fresh scheduler the same again. @returns events (calls and commands) per second.
double replay(const Setting& setting, const std::vector<Told>& all, CommandHash& hash) {
  Scheduler scheduler;
  std::uint64_t calls = 0;
  const auto begin = std::chrono::steady_clock::now();
  for (const Told& told : all) {
    if (told.what != Told::What::drain) {
      ++calls;
      tell(scheduler, setting, told);
      continue;
    }
    while (const auto command = scheduler.next()) hash.add(*command);
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  return static_cast<double>(calls + hash.commands()) / took.count();
}

void report(const char* name, const Cluster& cluster) {
  std::cout << name << ": makespan " << cluster.makespan() / 1e9 << " s, " << cluster.makespan() / cluster.bound()
            << " of the bound; " << cluster.commands().commands() << " commands, " << cluster.retractions()
            << " retractions, " << cluster.deaths() << " deaths, " << cluster.late_replies() << " late replies\n";
}

#if defined(__OPTIMIZE__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
constexpr double least_events_per_second = 1e6;
constexpr std::uint64_t big_map = 1'500'000;
#else
constexpr double least_events_per_second = 5e4;
constexpr std::uint64_t big_map = 300'000;
#endif

constexpr Setting big_cluster{.seed = 20,
                              .hosts = 2000,
                              .executors_per_host = 50,
                              .map_tasks = big_map,
                              .apply_jobs = 5000,
                              .shortest_task = 20 * millisecond,
                              .tail = 4};

TEST(SchedulerVirtualTime, a_hundred_thousand_executors_work_to_the_end) {
  Cluster cluster(big_cluster);
  cluster.run();
  report("100,000 executors", cluster);
  EXPECT_TRUE(cluster.every_task_ended_once());
  EXPECT_LT(cluster.makespan(), 1.15 * cluster.bound());
}

TEST(SchedulerVirtualTime, a_hundred_thousand_mortal_executors_end_each_task_once_at_a_million_events_a_second) {
  Setting setting = big_cluster;
  setting.lost_hosts = 40;
  setting.deadly_one_in = 500;
  Cluster cluster(setting);
  cluster.run();
  report("100,000 mortal executors", cluster);
  EXPECT_TRUE(cluster.every_task_ended_once());
  EXPECT_EQ(cluster.jobs_done(), 1 + setting.apply_jobs);
  EXPECT_GT(cluster.late_replies(), 0U);
  EXPECT_GT(cluster.deaths(), 0U);
  EXPECT_LT(cluster.makespan(), 1.15 * cluster.bound());

  CommandHash again;
  const double rate = replay(setting, cluster.told(), again);
  std::cout << "scheduler events per second: " << static_cast<std::uint64_t>(rate) << '\n';
  EXPECT_EQ(again.value(), cluster.commands().value());
  EXPECT_GE(rate, least_events_per_second);
}

TEST(SchedulerVirtualTime, single_task_jobs_reach_a_million_events_a_second_too) {
  Scheduler scheduler;
  for (HostId host = 0; host < big_cluster.hosts; ++host) scheduler.add_host(host, big_cluster.executors_per_host);
  std::deque<RunLot> running;
  std::uint64_t done = 0;
  std::uint64_t events = 0;
  const auto begin = std::chrono::steady_clock::now();
  for (JobId job = 0; done < big_map / 5;) {
    if (job < big_map / 5) {
      scheduler.open_job(job, {});
      scheduler.add_tasks(job, {0, 1});
      scheduler.end_input(job++);
      events += 3;
    }
    if (running.size() == 100'000 || job == big_map / 5) {
      const RunLot lot = running.front();
      running.pop_front();
      ASSERT_TRUE(scheduler.tasks_done(lot.host, lot.lot, lot.tasks, microsecond));
      ++events;
    }
    while (const auto command = scheduler.next()) {
      ++events;
      if (const auto* lot = std::get_if<RunLot>(&*command)) {
        running.push_back(*lot);
      } else if (std::holds_alternative<JobDone>(*command)) {
        ++done;
      }
    }
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  const double rate = static_cast<double>(events) / took.count();
  std::cout << "scheduler events per second, single-task jobs: " << static_cast<std::uint64_t>(rate) << '\n';
  EXPECT_GE(rate, least_events_per_second);
}

TEST(SchedulerVirtualTime, the_same_seed_gives_the_same_run_and_another_seed_another) {
  Setting setting{.seed = 1,
                  .hosts = 100,
                  .executors_per_host = 8,
                  .map_tasks = 20'000,
                  .apply_jobs = 300,
                  .lost_hosts = 10,
                  .deadly_one_in = 50,
                  .shortest_task = millisecond,
                  .tail = 6};
  Cluster first(setting);
  Cluster same(setting);
  setting.seed = 2;
  Cluster other(setting);
  for (Cluster* cluster : {&first, &same, &other}) {
    cluster->run();
    EXPECT_TRUE(cluster->every_task_ended_once());
  }
  EXPECT_EQ(first.commands().value(), same.commands().value());
  EXPECT_EQ(first.makespan(), same.makespan());
  EXPECT_NE(first.commands().value(), other.commands().value());
}

TEST(SchedulerVirtualTime, long_runs_come_close_to_the_ideal_whatever_the_task_length) {
  for (const Nanoseconds shortest : {2 * microsecond, 200 * microsecond, 20 * millisecond}) {
    const Setting setting{
        .seed = 5, .hosts = 20, .executors_per_host = 8, .map_tasks = 200'000, .shortest_task = shortest, .tail = 6};
    Cluster cluster(setting);
    cluster.run();
    report("160 executors", cluster);
    EXPECT_TRUE(cluster.every_task_ended_once());
    // Beside the ideal: a first round trip unmeasured, a last one of retraction.
    EXPECT_LT(cluster.makespan(), 1.05 * cluster.bound() + static_cast<double>(2 * millisecond));
  }
}

TEST(SchedulerVirtualTime, every_schedule_ends_each_task_once) {
  for (const Schedule schedule : {Schedule::static_, Schedule::dynamic, Schedule::guided, Schedule::factoring}) {
    const Setting setting{.seed = 3,
                          .hosts = 50,
                          .executors_per_host = 4,
                          .map_tasks = 20'000,
                          .apply_jobs = 100,
                          .lost_hosts = 5,
                          .deadly_one_in = 50,
                          .shortest_task = millisecond,
                          .tail = 6,
                          .schedule = schedule};
    Cluster cluster(setting);
    cluster.run();
    EXPECT_TRUE(cluster.every_task_ended_once());
    EXPECT_EQ(cluster.jobs_done(), 101U);
  }
}

}  // namespace
}  // namespace rankpool::scheduler
