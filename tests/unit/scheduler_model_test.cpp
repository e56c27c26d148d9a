/// Random events on small systems, checked task by task against an oracle that knows nothing of lots' sizes or order.
#include <algorithm>
#include <cstdint>
#include <map>
#include <random>
#include <set>
#include <variant>
#include <vector>

#include <gtest/gtest.h>

#include "scheduler/scheduler.hpp"

namespace rankpool::scheduler {
namespace {

enum class Place : std::uint8_t { pending, in_lot, done, given_up, dropped };

struct TaskModel {
  Place place = Place::pending;
  std::uint32_t attempt = 1;
  std::set<LotId> lots = {};  // that owe it, of speculative jobs also when it is done
  LotId last_lot = 0;         // that gave it up
  std::uint32_t gave_up_after = 0;
};

struct JobModel {
  JobOptions options;
  std::vector<TaskModel> tasks;
  std::vector<std::uint64_t> piece_ends;
  bool ended = false;
  bool cancelled = false;
  bool done = false;
};

struct LotModel {
  RunLot sent;
  bool host_lost = false;
  bool retracted = false;
};

class Oracle {
 public:
  explicit Oracle(std::uint64_t seed) : random_(seed) {}

  void run() {
    for (int step = 0; step < 150; ++step) {
      act();
      if (below(3) > 0) drain();
      if (::testing::Test::HasFatalFailure()) return;
    }
    settle();
  }

  [[nodiscard]] std::uint64_t copies() const { return copies_; }

 private:
  std::uint64_t below(std::uint64_t limit) { return random_() % limit; }

  void act() {
    switch (below(16)) {
      case 0:
        return add_host();
      case 1:
        return below(3) == 0 ? lose_host() : resize_host();
      case 2:
        return open_job();
      case 3:
      case 4:
        return add_tasks();
      case 5:
        return end_input();
      case 6:
        return below(4) == 0 ? cancel() : void();
      default:
        return report();
    }
  }

  void add_host() {
    if (hosts_.size() == 5) return;
    HostId id = 0;
    while (hosts_.contains(id)) ++id;  // also one that was lost before
    hosts_[id] = static_cast<std::uint32_t>(below(5));
    scheduler_.add_host(id, hosts_[id]);
  }

  HostId any_host() { return std::next(hosts_.begin(), static_cast<std::ptrdiff_t>(below(hosts_.size())))->first; }

  void resize_host() {
    if (hosts_.empty()) return;
    const HostId id = any_host();
    hosts_[id] = static_cast<std::uint32_t>(below(5));
    scheduler_.set_executors(id, hosts_[id]);
  }

  void lose_host() {
    if (hosts_.empty()) return;
    const HostId id = any_host();
    hosts_.erase(id);
    const bool started = below(2) == 0;
    scheduler_.lose_host(id, started ? Unreported::may_have_run : Unreported::never_started);
    for (auto& [lot_id, lot] : lots_) {
      if (lot.sent.host != id || lot.host_lost) continue;
      lot.host_lost = true;
      JobModel& job = jobs_[lot.sent.job];
      for (std::uint64_t task = lot.sent.tasks.first; task < lot.sent.tasks.end(); ++task) {
        if (!is_outstanding(job.tasks[task], lot_id)) continue;
        if (started) {
          charge(job, job.tasks[task], lot_id);
        } else {
          give_back(job, job.tasks[task], lot_id);
        }
      }
    }
  }

  void open_job() {
    if (open_jobs() == 4) return;
    JobModel job;
    job.options = {.schedule = static_cast<Schedule>(below(5)),
                   .chunksize = below(3) == 0 ? below(6) : 0,
                   .max_attempts = static_cast<std::uint32_t>(1 + below(3)),
                   .speculative = below(2) == 0};
    scheduler_.open_job(jobs_.size(), job.options);
    jobs_.push_back(job);
  }

  std::size_t open_jobs() const {
    return static_cast<std::size_t>(
        std::count_if(jobs_.begin(), jobs_.end(), [](const JobModel& job) { return !job.done; }));
  }

  void add_tasks() {
    if (jobs_.empty()) return;
    const JobId id = below(jobs_.size());
    JobModel& job = jobs_[id];
    if (job.ended) return;
    const std::uint64_t count = below(20);
    scheduler_.add_tasks(id, {job.tasks.size(), count});
    if (job.cancelled) return;
    job.tasks.resize(job.tasks.size() + count);
    job.piece_ends.push_back(job.tasks.size());
  }

  void end_input() {
    if (jobs_.empty()) return;
    const JobId id = below(jobs_.size());
    jobs_[id].ended = true;
    scheduler_.end_input(id);
  }

  void cancel() {
    if (jobs_.empty()) return;
    const JobId id = below(jobs_.size());
    scheduler_.cancel_job(id);
    JobModel& job = jobs_[id];
    if (job.done) return;
    job.cancelled = true;
    for (TaskModel& task : job.tasks) {
      if (task.place == Place::pending) task.place = Place::dropped;
    }
  }

  static bool is_outstanding(const TaskModel& task, LotId lot) { return task.lots.contains(lot); }

  /// Leaves the lot without a result. @returns whether it is in no other one, and has none from there.
  static bool is_forsaken(TaskModel& task, LotId lot) {
    task.lots.erase(lot);
    task.last_lot = lot;
    return task.place == Place::in_lot && task.lots.empty();
  }

  static void give_back(const JobModel& job, TaskModel& task, LotId lot) {
    if (is_forsaken(task, lot)) task.place = job.cancelled ? Place::dropped : Place::pending;
  }

  static void charge(const JobModel& job, TaskModel& task, LotId lot) {
    if (!is_forsaken(task, lot)) return;
    if (job.cancelled) {
      task.place = Place::dropped;
    } else if (task.attempt == job.options.max_attempts) {
      task.place = Place::given_up;
    } else {
      task.place = Place::pending;
      ++task.attempt;
    }
  }

  /// A reply, right or wrong, late or not; the scheduler must accept it exactly when the oracle does.
  void report() {
    if (lots_.empty()) return;
    auto& [id, lot] = *std::next(lots_.begin(), static_cast<std::ptrdiff_t>(below(lots_.size())));
    TaskRange range{lot.sent.tasks.first + below(lot.sent.tasks.count), 0};
    range.count = below(lot.sent.tasks.end() - range.first + (below(4) == 0 ? 2 : 1));
    JobModel& job = jobs_[lot.sent.job];
    const bool wrong_host = below(20) == 0;
    bool valid = !wrong_host && range.count > 0 && range.end() <= lot.sent.tasks.end();
    for (std::uint64_t task = range.first; valid && task < range.end(); ++task)
      valid = is_outstanding(job.tasks[task], id);
    const HostId host = lot.sent.host + (wrong_host ? 1 : 0);
    switch (below(5)) {
      case 0: {
        valid = !wrong_host && is_outstanding(job.tasks[range.first], id);
        ASSERT_EQ(scheduler_.task_died(host, id, range.first), valid);
        if (valid) charge(job, job.tasks[range.first], id);
        return;
      }
      case 1: {
        const bool nothing = range.count == 0;
        if (nothing) valid = !wrong_host && is_open(lot);
        ASSERT_EQ(scheduler_.tasks_returned(host, id, range), valid);
        if (!valid) return;
        for (std::uint64_t task = range.first; task < range.end(); ++task) give_back(job, job.tasks[task], id);
        return;
      }
      default: {
        if (valid) check_unsettled(lot, range);
        ASSERT_EQ(scheduler_.tasks_done(host, id, range, static_cast<Nanoseconds>(below(1'000'000))), valid);
        if (!valid) return;
        for (std::uint64_t task = range.first; task < range.end(); ++task) end(job.tasks[task], id);
        return;
      }
    }
  }

  static void end(TaskModel& task, LotId lot) {
    task.lots.erase(lot);
    task.place = Place::done;
  }

  void check_unsettled(const LotModel& lot, TaskRange range) {
    std::set<std::uint64_t> unsettled;
    for (const TaskRange& part : scheduler_.unsettled(lot.sent.host, lot.sent.lot, range)) {
      for (std::uint64_t task = part.first; task < part.end(); ++task) unsettled.insert(task);
    }
    const JobModel& job = jobs_[lot.sent.job];
    for (std::uint64_t task = range.first; task < range.end(); ++task) {
      ASSERT_EQ(unsettled.contains(task), job.tasks[task].place != Place::done);
    }
  }

  bool is_open(const LotModel& lot) const {
    const JobModel& job = jobs_[lot.sent.job];
    for (std::uint64_t task = lot.sent.tasks.first; task < lot.sent.tasks.end(); ++task) {
      if (is_outstanding(job.tasks[task], lot.sent.lot)) return true;
    }
    return false;
  }

  void drain() {
    time_ += static_cast<Nanoseconds>(below(100'000'000));
    scheduler_.tell_time(time_);
    while (const auto command = scheduler_.next()) {
      std::visit([this](const auto& one) { check(one); }, *command);
      if (::testing::Test::HasFatalFailure()) return;
    }
    for (JobId id = 0; id < jobs_.size(); ++id) {
      const JobModel& job = jobs_[id];
      const auto in = [&job](Place place) {
        return static_cast<std::uint64_t>(std::count_if(
            job.tasks.begin(), job.tasks.end(), [place](const TaskModel& task) { return task.place == place; }));
      };
      ASSERT_EQ(scheduler_.pending_tasks(id), in(Place::pending));
      const bool all_reported = std::ranges::all_of(job.tasks, &std::set<LotId>::empty, &TaskModel::lots);
      const bool over = (job.ended || job.cancelled) && in(Place::pending) == 0 && all_reported;
      ASSERT_EQ(job.done, over);
      ASSERT_EQ(scheduler_.is_open(id), !over);
      for (const TaskModel& task : job.tasks) {
        if (task.place == Place::given_up) {
          ASSERT_EQ(task.gave_up_after, job.options.max_attempts);
        }
      }
    }
  }

  void check(const RunLot& run) {
    ASSERT_TRUE(hosts_.contains(run.host));
    ASSERT_GT(hosts_[run.host], 0U);
    ASSERT_FALSE(lots_.contains(run.lot));
    ASSERT_LT(run.job, jobs_.size());
    JobModel& job = jobs_[run.job];
    ASSERT_FALSE(job.done || job.cancelled);
    ASSERT_GT(run.tasks.count, 0U);
    ASSERT_LE(run.tasks.end(), job.tasks.size());
    for (const std::uint64_t border : job.piece_ends)
      ASSERT_FALSE(run.tasks.first < border && border < run.tasks.end());
    for (std::uint64_t index = run.tasks.first; index < run.tasks.end(); ++index) {
      TaskModel& task = job.tasks[index];
      ASSERT_EQ(task.place, run.is_copy ? Place::in_lot : Place::pending);
      ASSERT_EQ(task.lots.empty(), !run.is_copy);
      ASSERT_EQ(task.attempt, run.attempt);
      ASSERT_LE(run.attempt, job.options.max_attempts);
      task.place = Place::in_lot;
      task.lots.insert(run.lot);
    }
    if (run.is_copy) {
      ASSERT_TRUE(job.options.speculative);
      ASSERT_EQ(std::ranges::count(job.tasks, Place::pending, &TaskModel::place), 0);
      ++copies_;
    }
    lots_[run.lot] = {.sent = run};
  }

  void check(const RetractLot& retract) {
    ASSERT_TRUE(lots_.contains(retract.lot));
    LotModel& lot = lots_[retract.lot];
    ASSERT_EQ(lot.sent.host, retract.host);
    ASSERT_FALSE(lot.retracted);
    lot.retracted = true;
  }

  void check(const GiveUp& give_up) {
    TaskModel& task = jobs_.at(give_up.job).tasks.at(give_up.task);
    ASSERT_EQ(task.place, Place::given_up);
    ASSERT_EQ(task.gave_up_after, 0U);
    const RunLot& lot = lots_.at(give_up.lot).sent;
    ASSERT_EQ(lot.host, give_up.host);
    ASSERT_TRUE(lot.tasks.first <= give_up.task && give_up.task < lot.tasks.end());
    // Of a host that is lost two lots may have it.
    if (!lots_.at(give_up.lot).host_lost) {
      ASSERT_EQ(task.last_lot, give_up.lot);
    }
    task.gave_up_after = give_up.attempts;
  }

  void check(const JobDone& job_done) {
    ASSERT_FALSE(jobs_.at(job_done.job).done);
    jobs_[job_done.job].done = true;
  }

  /// Whatever happened: with a host and no more trouble every job ends.
  void settle() {
    if (hosts_.empty()) add_host();
    for (auto& [id, executors] : hosts_) scheduler_.set_executors(id, executors = 2);
    for (JobId id = 0; id < jobs_.size(); ++id) {
      jobs_[id].ended = true;
      scheduler_.end_input(id);
    }
    drain();
    for (int round = 0; open_jobs() > 0; ++round) {
      ASSERT_LT(round, 10'000) << "a job does not end";
      for (auto& [id, lot] : lots_) {
        JobModel& job = jobs_[lot.sent.job];
        for (std::uint64_t task = lot.sent.tasks.first; task < lot.sent.tasks.end(); ++task) {
          if (!is_outstanding(job.tasks[task], id)) continue;
          check_unsettled(lot, {task, 1});
          ASSERT_TRUE(scheduler_.tasks_done(lot.sent.host, id, {task, 1}, 1000));
          end(job.tasks[task], id);
        }
      }
      drain();
      if (::testing::Test::HasFatalFailure()) return;
    }
    ASSERT_EQ(scheduler_.open_jobs(), 0U);
  }

  std::mt19937_64 random_;
  Scheduler scheduler_;
  Nanoseconds time_ = 0;
  std::uint64_t copies_ = 0;
  std::map<HostId, std::uint32_t> hosts_;
  std::vector<JobModel> jobs_;
  std::map<LotId, LotModel> lots_;
};

TEST(SchedulerModel, random_events_leave_each_task_in_its_place_and_each_job_ends) {
  std::uint64_t copies = 0;
  for (std::uint64_t seed = 0; seed < 3000; ++seed) {
    Oracle oracle(seed);
    oracle.run();
    copies += oracle.copies();
    ASSERT_FALSE(HasFatalFailure()) << "seed " << seed;
  }
  EXPECT_GT(copies, 1000U);
}

}  // namespace
}  // namespace rankpool::scheduler
