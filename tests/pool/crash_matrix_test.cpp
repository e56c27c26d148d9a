// What happens to a task on its way there and back, at each step: each has a definite outcome and costs that task
// alone.
#include "pool/pool_test.hpp"

#include <chrono>
#include <csignal>
#include <cstdint>
#include <functional>
#include <ranges>
#include <thread>
#include <vector>

#include <sys/resource.h>
#include <unistd.h>

namespace {

using namespace std::chrono_literals;
using namespace rankpool::test;  // NOLINT(google-build-using-namespace)
using rankpool::RemoteError;
using rankpool::SerializationError;
using rankpool::WorkerLost;

/// Of a task's way. Executors take the three in the middle.
enum class Step : std::uint8_t { argument_saved, argument_loaded, run, result_saved, result_loaded };

enum class Deed : std::uint8_t { nothing, throws, exits, quick_exits, segmentation_fault, kill, abort };

// A null pointer is written to on purpose, which the sanitizers need not say.
[[gnu::noinline, gnu::no_sanitize("undefined")]] void commit(Deed deed) {
  if (deed > Deed::throws) {
    // A core file of each crash would only fill the disk.
    const rlimit no_core{0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
  }
  switch (deed) {
    case Deed::nothing:
      return;
    case Deed::throws:
      throw std::domain_error("thrown on the way");
    case Deed::exits:
      std::exit(0);
    case Deed::quick_exits:
      _exit(3);
    case Deed::segmentation_fault: {
      volatile int* volatile nowhere = nullptr;
      *nowhere = 1;
      break;
    }
    case Deed::kill:
      ::kill(getpid(), SIGKILL);
      break;
    case Deed::abort:
      std::abort();
  }
  std::this_thread::sleep_for(10s);  // a signal takes its time
  throw std::logic_error("still alive");
}

/// What a task is to do, where, and in how many attempts.
struct Plan {
  Step step = Step::run;
  Deed deed = Deed::nothing;
  std::uint32_t attempts = 1000;
  int number = 0;

  void reach(Step here) const {
    if (here == step && (deed <= Deed::throws || rankpool::this_task::attempt() <= attempts)) commit(deed);
  }
  template <class Archive>
  void travel(Archive& archive, Step saved, Step loaded) {
    archive& step& deed& attempts& number;
    reach(Archive::is_saving::value ? saved : loaded);
  }
};

struct Argument {
  Plan plan;
  template <class Archive>
  void serialize(Archive& archive, unsigned /*version*/) {
    plan.travel(archive, Step::argument_saved, Step::argument_loaded);
  }
};

struct Result {
  Plan plan;
  template <class Archive>
  void serialize(Archive& archive, unsigned /*version*/) {
    plan.travel(archive, Step::result_saved, Step::result_loaded);
  }
};

Result run_task(const Argument& argument) {
  argument.plan.reach(Step::run);
  return {argument.plan};
}

/// What the error of a task must be.
using Check = std::function<void(const std::exception_ptr&)>;

struct Death {
  Deed deed;
  const char* text;
  int signal;  ///< 0: an exit
  int exit_code;
};

const std::vector<Death>& deaths() {
  static const std::vector<Death> all{
      {Deed::exits, "ended by exit(0)", 0, 0},
      {Deed::quick_exits, "ended by exit(3)", 0, 3},
      {Deed::segmentation_fault, "killed by SIGSEGV", SIGSEGV, 0},
      {Deed::kill, "killed by SIGKILL", SIGKILL, 0},
      {Deed::abort, "killed by SIGABRT", SIGABRT, 0},
  };
  return all;
}

Check is_death(const Death& death) {
  return [&death](const std::exception_ptr& error) {
    const auto text = text_of_thrown<WorkerLost>([&] {
      if (error != nullptr) std::rethrow_exception(error);
    });
    EXPECT_TRUE(contains(text, death.text)) << text;
    if (!is_a<WorkerLost>(error)) return;
    try {
      std::rethrow_exception(error);
    } catch (const WorkerLost& lost) {
      EXPECT_EQ(lost.signal(), death.signal == 0 ? std::nullopt : std::optional(death.signal));
      EXPECT_EQ(lost.exit_code(), death.signal == 0 ? std::optional(death.exit_code) : std::nullopt);
    }
  };
}

/// An error of type E with this text, which came from an executor or not.
template <class E>
Check is_error(const std::string& expected, bool remote) {
  return [expected, remote](const std::exception_ptr& error) {
    const auto text = text_of_thrown<E>([&] {
      if (error != nullptr) std::rethrow_exception(error);
    });
    EXPECT_TRUE(contains(text, expected)) << text;
    EXPECT_EQ(is_a<RemoteError>(error), remote) << text;
  };
}

template <class Act>
std::exception_ptr thrown_by(const Act& act) {
  try {
    act();
  } catch (...) {
    return std::current_exception();
  }
  return nullptr;
}

constexpr std::size_t tasks = 12;
constexpr std::size_t bad = 6;

std::vector<Argument> arguments_with(const Plan& plan) {
  std::vector<Argument> arguments(tasks);
  for (std::size_t i = 0; i < tasks; ++i) arguments[i].plan.number = static_cast<int>(i);
  arguments[bad].plan = plan;
  return arguments;
}

void expect_usable() { EXPECT_EQ(pool().map(square, numbers(20), {.chunksize = 5}), squares(20)); }

void expect_only_one_lost(auto&& outcomes, const Check& check) {
  std::size_t i = 0;
  for (const auto& outcome : outcomes) {
    if (i == bad) {
      check(outcome.exception());
    } else {
      ASSERT_TRUE(outcome.has_value()) << i << ": " << outcome.error_text();
      EXPECT_EQ(outcome->plan.number, static_cast<int>(i));
    }
    ++i;
  }
  EXPECT_EQ(i, tasks);
}

/// Every kind of call gets the error for the task that does the deed, and for no other.
void expect_task_lost(const Plan& plan, const Check& check) {
  SCOPED_TRACE("step " + std::to_string(static_cast<int>(plan.step)) + ", deed " +
               std::to_string(static_cast<int>(plan.deed)));
  const std::vector<Argument> arguments = arguments_with(plan);
  check(thrown_by([&] { (void)pool().apply(run_task, arguments[bad]); }));
  check(pool().apply_async(run_task, arguments[bad]).exception());
  expect_only_one_lost(pool().map_outcomes(run_task, arguments, {.chunksize = 4}), check);
  expect_only_one_lost(pool().imap(run_task, arguments, {.chunksize = 4}).outcomes(), check);
  check(thrown_by([&] { (void)pool().map(run_task, arguments, {.chunksize = 4}); }));
  expect_usable();
}

TEST(CrashMatrix, death_at_each_step_in_an_executor_is_the_loss_of_that_task) {
  for (const Step step : {Step::argument_loaded, Step::run, Step::result_saved}) {
    for (const Death& death : deaths()) expect_task_lost({.step = step, .deed = death.deed}, is_death(death));
  }
}

TEST(CrashMatrix, death_at_each_step_is_tried_again) {
  for (const Step step : {Step::argument_loaded, Step::run, Step::result_saved}) {
    for (const Death& death : deaths()) {
      const auto arguments = arguments_with({.step = step, .deed = death.deed, .attempts = 1, .number = bad});
      const auto results = pool().map(run_task, arguments, {.chunksize = 4, .max_attempts = 2});
      ASSERT_EQ(results.size(), tasks);
      for (std::size_t i = 0; i < tasks; ++i) EXPECT_EQ(results[i].plan.number, static_cast<int>(i));
    }
  }
}

TEST(CrashMatrix, a_throw_while_an_executor_loads_an_argument_or_runs_is_the_tasks_error) {
  for (const Step step : {Step::argument_loaded, Step::run}) {
    expect_task_lost({.step = step, .deed = Deed::throws}, is_error<std::domain_error>("thrown on the way", true));
  }
}

TEST(CrashMatrix, a_throw_while_an_executor_saves_a_result_is_a_serialization_error) {
  const Plan plan{.step = Step::result_saved, .deed = Deed::throws};
  for (const char* part : {"could not be serialized", "std::domain_error", "thrown on the way"}) {
    expect_task_lost(plan, is_error<SerializationError>(part, true));
  }
}

TEST(CrashMatrix, a_throw_while_the_master_loads_a_result_is_that_tasks_error) {
  expect_task_lost({.step = Step::result_loaded, .deed = Deed::throws},
                   is_error<std::domain_error>("thrown on the way", false));
}

TEST(CrashMatrix, a_throw_while_the_master_saves_an_argument_is_the_callers_error) {
  const auto arguments = arguments_with({.step = Step::argument_saved, .deed = Deed::throws});
  const Check check = is_error<std::domain_error>("thrown on the way", false);
  check(thrown_by([&] { (void)pool().apply(run_task, arguments[bad]); }));
  check(thrown_by([&] { (void)pool().apply_async(run_task, arguments[bad]); }));
  for (const int chunksize : {1, 4}) {
    check(thrown_by([&] { (void)pool().map(run_task, arguments, {.chunksize = chunksize}); }));
    check(thrown_by([&] { (void)pool().map_outcomes(run_task, arguments, {.chunksize = chunksize}); }));
    check(thrown_by([&] { (void)pool().map_async(run_task, arguments, {.chunksize = chunksize}); }));
    // A stream gives what was drawn before.
    auto stream = pool().imap(run_task, arguments, {.chunksize = chunksize});
    for (std::size_t i = 0; i < bad; ++i) {
      const auto result = stream.next();
      ASSERT_TRUE(result);
      EXPECT_EQ(result->plan.number, static_cast<int>(i));
    }
    check(thrown_by([&] { (void)stream.next(); }));
    EXPECT_FALSE(stream.next());
    expect_usable();
  }
}

}  // namespace

int main(int argc, char** argv) { return run_cases(argc, argv, "*", {.max_attempts = 1}); }
