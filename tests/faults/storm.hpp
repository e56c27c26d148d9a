/// @file
/// The tasks of a chaos run, and what checks their outcomes.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <ranges>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <unistd.h>

#include "faults/chaos_plan.hpp"
#include "faults/killer.hpp"
#include "faults/ledger.hpp"
#include "pool/pool_test.hpp"

namespace rankpool::test {

inline constexpr std::uint32_t max_attempts = 20;

inline std::uint64_t number_from(const char* variable, std::uint64_t otherwise) {
  const char* text = std::getenv(variable);
  return text != nullptr ? std::stoull(text) : otherwise;
}

inline std::uint64_t first_seed() { return number_from("CHAOS_SEED", 1); }
inline std::uint64_t seeds() { return number_from("CHAOS_SEEDS", 1); }
inline std::uint64_t all_tasks() { return number_from("CHAOS_TASKS", 20'000); }

/// With sanitizers everything takes longer.
inline std::uint64_t slowness() { return number_from("CHAOS_SLOWNESS", 1); }

/// A task that hangs is killed from outside before its time is over, too, so that some of them use up their attempts.
inline std::chrono::milliseconds time_limit() { return slowness() * std::chrono::milliseconds(50); }

/// The short one strikes where an executor is between two quick tasks.
inline std::chrono::milliseconds kill_interval(Mix mix) {
  return slowness() * std::chrono::milliseconds(mix == Mix::quick ? 5 : 20);
}

// --- the tasks -------------------------------------------------------------------------------------------------------

/// What the tasks of a run know.
struct Run {
  std::uint64_t seed = 0;
  Mix mix = Mix::calm;
  std::string ledger;
  template <class Archive>
  void serialize(Archive& archive, unsigned /*version*/) {
    archive& seed& mix& ledger;
  }
};

struct Answer {
  std::uint64_t index = 0;
  std::uint64_t value = 0;
  std::uint64_t attempt = 0;
};

/// A task's argument or result that may be large.
struct Parcel {
  Answer answer;
  std::vector<std::uint64_t> load;
  template <class Archive>
  void serialize(Archive& archive, unsigned /*version*/) {
    archive& answer& load;
  }
};

inline constexpr std::size_t words_of_a_megabyte = 131'072;

inline std::vector<std::uint64_t> load_of(const Plan& plan) {
  if (plan.deed != Deed::ships) return {};
  std::vector<std::uint64_t> load(words_of_a_megabyte);
  for (std::size_t i = 0; i < load.size(); ++i) load[i] = plan.value + i;
  return load;
}

inline void spend(const Plan& plan) {
  const auto time = std::chrono::microseconds(plan.microseconds);
  if (plan.deed == Deed::sleeps) return std::this_thread::sleep_for(time);
  for (const auto end = std::chrono::steady_clock::now() + time; std::chrono::steady_clock::now() < end;) {
  }
}

inline void misbehave(const Plan& plan, std::uint64_t index) {
  switch (plan.deed) {
    case Deed::exits:
      if (rankpool::this_task::attempt() > plan.exits) return;
      if (plan.value % 2 == 0) std::exit(3);
      _exit(4);
    case Deed::throws:
      throw std::domain_error("task " + std::to_string(index));
    case Deed::hangs:
      std::this_thread::sleep_for(std::chrono::hours(1));
      return;
    case Deed::computes:
    case Deed::sleeps:
    case Deed::ships:
      return;
  }
}

inline Answer carry_out(const Run& run, std::uint64_t index) {
  ledger_at(run.ledger).note_start(index);
  const Plan plan = plan_of(run.seed, index, run.mix);
  spend(plan);
  misbehave(plan, index);
  return {index, plan.value, rankpool::this_task::attempt()};
}

inline Parcel carry_out_parcel(const Run& run, const Parcel& parcel) {
  const std::uint64_t index = parcel.answer.index;
  const Answer answer = carry_out(run, index);
  auto load = load_of(plan_of(run.seed, index, run.mix));
  if (parcel.load != load) throw std::logic_error("task " + std::to_string(index) + " got a wrong argument");
  return {answer, std::move(load)};
}

// --- a run -----------------------------------------------------------------------------------------------------------

/// One call's tasks under fire: kills while it lives, and checks what is delivered against the plan and against what
/// the tasks said of themselves.
class Storm {
 public:
  Storm(std::uint64_t seed, std::uint64_t tasks, Mix mix)
      : ledger_(tasks),
        run_{seed, mix, ledger_.path()},
        delivered_(tasks),
        killer_(seed, kill_interval(mix), [this](int pid) { return ledger_.works(pid); }) {}

  [[nodiscard]] const Run& run() const { return run_; }
  [[nodiscard]] std::uint64_t tasks() const { return delivered_.size(); }
  [[nodiscard]] auto indices() const { return std::views::iota(std::uint64_t{0}, tasks()); }
  /// The inputs of carry_out_parcel(), made as they are drawn.
  [[nodiscard]] auto parcels() const {
    return indices() | std::views::transform([run = run_](std::uint64_t i) {
             return Parcel{{i, 0, 0}, load_of(plan_of(run.seed, i, run.mix))};
           });
  }
  [[nodiscard]] rankpool::MapOptions options() const {
    constexpr std::array<int, 4> chunksizes{0, 1, 7, 50};
    rankpool::MapOptions options{.chunksize = chunksizes[run_.seed % chunksizes.size()], .max_attempts = max_attempts};
    if (run_.mix == Mix::wild) options.task_timeout = time_limit();
    return options;
  }

  void deliver(const Answer& answer) {
    ASSERT_LT(answer.index, tasks());
    const Plan plan = plan_of(run_.seed, answer.index, run_.mix);
    count(answer.index);
    EXPECT_EQ(answer.value, plan.value) << answer.index;
    EXPECT_TRUE(plan.deed != Deed::throws && plan.deed != Deed::hangs) << answer.index;
    EXPECT_GT(answer.attempt, plan.exits) << answer.index;
    EXPECT_LE(answer.attempt, max_attempts) << answer.index;
    // An executor may die before it has begun with what it is charged with, but nothing runs more often.
    const std::uint32_t starts = ledger_[answer.index].starts;
    EXPECT_GE(starts, 1U) << answer.index;
    EXPECT_LE(starts, answer.attempt) << answer.index;
    struck_ += answer.attempt - 1 - plan.exits;
  }

  void deliver(const Parcel& parcel) {
    deliver(parcel.answer);
    EXPECT_EQ(parcel.load, load_of(plan_of(run_.seed, parcel.answer.index, run_.mix))) << parcel.answer.index;
  }

  void deliver(const std::exception_ptr& error) {
    try {
      std::rethrow_exception(error);
    } catch (const TaskTimeout& late) {
      check_lateness(late);
    } catch (const WorkerLost& lost) {
      check_loss(lost);
    } catch (const rankpool::RemoteError& thrown) {
      count(thrown.task());
      EXPECT_EQ(plan_of(thrown).deed, Deed::throws) << thrown.describe();
      EXPECT_EQ(rankpool::detail::text_of(error), "task " + std::to_string(thrown.task()));
    } catch (...) {
      ADD_FAILURE() << rankpool::detail::text_of(error);
    }
  }

  template <class R>
  void deliver(const rankpool::Outcome<R>& outcome) {
    if (outcome.has_value()) {
      deliver(*outcome);
    } else {
      deliver(outcome.exception());
    }
  }

  /// Ends the kills and checks that nothing is missing. @returns how many executors were killed.
  std::size_t finish() {
    const std::size_t kills = killer_.stop();
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start_;
    const auto wrong = std::ranges::count_if(delivered_, [](std::uint32_t times) { return times != 1; });
    EXPECT_EQ(wrong, 0) << "tasks were not delivered once";
    EXPECT_EQ(pool().map(square, numbers(100)), squares(100));
    std::cout << testing::UnitTest::GetInstance()->current_test_info()->name() << ": seed " << run_.seed << ", "
              << tasks() << " tasks, " << kills << " executors killed, " << struck_ << " of them in a task, "
              << time_outs_ << " time limits, " << losses_ << " hung or large tasks without attempts left, "
              << elapsed.count() << " s" << std::endl;
    EXPECT_GE(kills, static_cast<std::size_t>(elapsed / kill_interval(run_.mix) / 3)) << "the killer hit too few";
    return kills;
  }

 private:
  [[nodiscard]] Plan plan_of(const rankpool::RemoteError& error) const {
    return rankpool::test::plan_of(run_.seed, error.task(), run_.mix);
  }
  [[nodiscard]] static Plan plan_of(std::uint64_t seed, std::uint64_t index, Mix mix) {
    return rankpool::test::plan_of(seed, index, mix);
  }

  void count(std::uint64_t index) {
    ASSERT_LT(index, tasks());
    ++delivered_[index];
  }

  // A task that doesn't hang may be late, too, where it doesn't get a CPU: but then it is. Its time began somewhat
  // before its function, when the executor turned to it.
  void check_lateness(const TaskTimeout& late) {
    count(late.task());
    ++time_outs_;
    const std::chrono::nanoseconds elapsed(now_ns() - ledger_[late.task()].started_ns);
    EXPECT_GE(elapsed, time_limit() / 2) << late.describe();
    EXPECT_LE(ledger_[late.task()].starts, late.attempt()) << late.describe();
  }

  void check_loss(const WorkerLost& lost) {
    count(lost.task());
    ++losses_;
    EXPECT_TRUE(plan_of(lost).deed == Deed::hangs || plan_of(lost).deed == Deed::ships) << lost.describe();
    EXPECT_EQ(lost.attempt(), max_attempts) << lost.describe();
    EXPECT_EQ(lost.signal(), SIGKILL) << lost.describe();
    EXPECT_LE(ledger_[lost.task()].starts, max_attempts) << lost.describe();
  }

  Ledger ledger_;
  Run run_;
  std::vector<std::uint32_t> delivered_;  ///< times, by task
  std::uint64_t struck_ = 0;
  std::uint64_t time_outs_ = 0;
  std::uint64_t losses_ = 0;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  Killer killer_;
};

}  // namespace rankpool::test
