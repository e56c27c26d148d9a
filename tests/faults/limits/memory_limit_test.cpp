// Executors whose memory is limited: what a task can't have is its error, no other task is harmed, and the executor
// serves on.
#include "pool/pool_test.hpp"

#include <array>
#include <cstdio>
#include <cstdlib>
#include <forward_list>
#include <fstream>
#include <map>
#include <memory>
#include <new>
#include <set>
#include <string>
#include <vector>

#include <sys/resource.h>
#include <unistd.h>
#include <boost/serialization/split_member.hpp>

namespace {

using namespace rankpool::test;  // NOLINT(google-build-using-namespace)
using rankpool::BrokenPool;
using rankpool::RemoteError;
using rankpool::SerializationError;
using rankpool::WorkerLost;

constexpr std::size_t megabyte = std::size_t{1} << 20U;
constexpr std::size_t limit = 64 * megabyte;
constexpr std::size_t far_too_much = 1024 * megabyte;
const std::string limit_in_words = "memory_limit of 67108864 bytes";

/// Keeps the compiler from leaving the memory out.
void use(const void* memory) { asm volatile("" : : "r"(memory) : "memory"); }

std::size_t allocate(std::size_t bytes) {
  const std::vector<char> memory(bytes, 'x');
  use(memory.data());
  return memory.size();
}

void write_no_core() {
  const rlimit none{0, 0};
  setrlimit(RLIMIT_CORE, &none);
}

template <class E>
void expect_only_task_3_has(auto&& outcomes) {
  for (std::size_t i = 0; i < outcomes.size(); ++i) {
    EXPECT_EQ(outcomes.at(i).has_value(), i != 3) << i << ": " << outcomes.at(i).error_text();
  }
  EXPECT_TRUE(is_a<E>(outcomes.at(3).exception())) << outcomes.at(3).error_text();
  EXPECT_TRUE(is_a<RemoteError>(outcomes.at(3).exception()));
}

// --- the task that asks for too much --------------------------------------------------------------------------------

TEST(MemoryLimit, a_runaway_allocation_is_that_tasks_bad_alloc) {
  const auto task = [](int i) { return allocate(i == 3 ? far_too_much : megabyte); };
  expect_only_task_3_has<std::bad_alloc>(pool().map_outcomes(task, numbers(20), {.chunksize = 5}));
  EXPECT_THROW((void)pool().apply(allocate, far_too_much), std::bad_alloc);
}

TEST(MemoryLimit, a_container_that_grows_without_end_is_that_tasks_bad_alloc) {
  const auto task = [](int i) {
    std::forward_list<std::array<char, 1000>> all;
    for (int n = 0; n < 10 || i == 3; ++n) use(&all.emplace_front());
    return i;
  };
  expect_only_task_3_has<std::bad_alloc>(pool().map_outcomes(task, numbers(20), {.chunksize = 5}));
}

TEST(MemoryLimit, is_tried_once_and_its_executor_serves_on) {
  const ScratchFile file;
  const auto task = [](const std::string& path, int) {
    append_line(path, std::to_string(getpid()));
    return allocate(far_too_much);
  };
  EXPECT_THROW((void)pool().map(rankpool::bind(task, file.path()), {0}, {.max_attempts = 3}), std::bad_alloc);
  const auto tried = file.numbers<std::vector<int>>();
  ASSERT_EQ(tried.size(), 1U);
  const auto who = [](int) {
    sleep_ms(1);
    return static_cast<int>(getpid());
  };
  EXPECT_TRUE(eventually([&] {
    const auto pids = pool().map(who, numbers(8), {.chunksize = 1});
    return std::ranges::count(pids, tried.front()) != 0;
  }));
}

TEST(MemoryLimit, memory_below_it_is_to_be_had_again_and_again) {
  const std::vector<std::size_t> sizes(20, limit - 8 * megabyte);
  EXPECT_EQ(pool().map(allocate, sizes), sizes);
}

// What the program had before the executors were forked is more than the limit.
std::vector<char> inherited;

TEST(MemoryLimit, counts_nothing_that_the_program_had) {
  ASSERT_GT(inherited.size(), limit);
  const auto task = [] { return inherited.size() + allocate(limit / 2); };
  EXPECT_EQ(pool().apply(task), inherited.size() + limit / 2);
}

TEST(MemoryLimit, of_a_task_that_does_not_look_is_its_lost_worker_who_had_a_limit) {
  const auto cannot_throw = [](int i) noexcept {
    write_no_core();
    return allocate(i == 3 ? far_too_much : megabyte);
  };
  const auto looks_at_nothing = [](int i) {
    write_no_core();
    const std::unique_ptr<char, void (*)(void*)> memory(static_cast<char*>(std::malloc(i == 3 ? far_too_much : 10)),
                                                        std::free);
    volatile char* first = memory.get();
    *first = 1;
    return i;
  };
  const auto aborted = pool().map_outcomes(cannot_throw, numbers(10), {.chunksize = 5, .max_attempts = 1});
  expect_only_task_3_has<WorkerLost>(aborted);
  EXPECT_TRUE(contains(aborted.at(3).error_text(), "SIGABRT")) << aborted.at(3).error_text();
  EXPECT_TRUE(contains(aborted.at(3).error_text(), limit_in_words)) << aborted.at(3).error_text();
  const auto crashed = pool().map_outcomes(looks_at_nothing, numbers(10), {.chunksize = 5, .max_attempts = 1});
  expect_only_task_3_has<WorkerLost>(crashed);
  EXPECT_TRUE(contains(crashed.at(3).error_text(), "SIGSEGV")) << crashed.at(3).error_text();
  EXPECT_TRUE(contains(crashed.at(3).error_text(), limit_in_words)) << crashed.at(3).error_text();
}

TEST(MemoryLimit, holds_for_an_executor_that_replaces_another) {
  const auto die_first = [](int i) {
    if (rankpool::this_task::attempt() == 1) _exit(1);
    return allocate(i % 2 == 0 ? far_too_much : megabyte);
  };
  const auto outcomes = pool().map_outcomes(die_first, numbers(6), {.chunksize = 1, .max_attempts = 2});
  for (std::size_t i = 0; i < 6; ++i) {
    EXPECT_EQ(outcomes.at(i).has_value(), i % 2 == 1) << i << ": " << outcomes.at(i).error_text();
    EXPECT_EQ(is_a<std::bad_alloc>(outcomes.at(i).exception()), i % 2 == 0) << outcomes.at(i).error_text();
  }
}

TEST(MemoryLimit, a_process_that_a_task_starts_has_it_too) {
  const auto task = [] {
    std::array<char, 100> text{};
    FILE* shell = popen("ulimit -d", "r");
    if (std::fgets(text.data(), text.size(), shell) == nullptr) return std::string("nothing");
    pclose(shell);
    return std::string(text.data());
  };
  const long kilobytes = std::strtol(pool().apply(task).c_str(), nullptr, 10);
  EXPECT_GT(kilobytes, static_cast<long>(limit >> 10U)) << "beside what the program had";
  EXPECT_LT(kilobytes, static_cast<long>(far_too_much >> 10U));
}

TEST(MemoryLimit, leaves_the_master_alone) { EXPECT_EQ(allocate(2 * limit), 2 * limit); }

// --- arguments and results ------------------------------------------------------------------------------------------

TEST(MemoryLimit, an_argument_that_does_not_fit_is_that_tasks_bad_alloc) {
  std::vector<std::vector<char>> arguments(6, std::vector<char>(100));
  arguments[3].resize(limit + megabyte);
  const auto task = [](const std::vector<char>& argument) { return argument.size(); };
  expect_only_task_3_has<std::bad_alloc>(pool().map_outcomes(task, arguments, {.chunksize = 3}));
}

TEST(MemoryLimit, a_result_is_counted_once) {
  const auto task = [](int) { return std::vector<char>(limit - 16 * megabyte, 'r'); };
  for (const auto& result : pool().map(task, numbers(2))) EXPECT_EQ(result.size(), limit - 16 * megabyte);
}

struct Text {
  std::string text;
  template <class Archive>
  void serialize(Archive& archive, unsigned /*version*/) {
    const std::string again(text.size(), 'y');  // what some classes need to save themselves
    use(again.data());
    archive& text;
  }
};

TEST(MemoryLimit, a_result_there_is_no_memory_to_serialize_is_that_tasks_error) {
  const auto task = [](int i) { return Text{std::string(i == 3 ? limit - 16 * megabyte : 100, 'x')}; };
  const auto outcomes = pool().map_outcomes(task, numbers(10), {.chunksize = 5});
  expect_only_task_3_has<SerializationError>(outcomes);
  EXPECT_TRUE(contains(outcomes.at(3).error_text(), "bad_alloc")) << outcomes.at(3).error_text();
}

// --- tasks that keep what they take ----------------------------------------------------------------------------------

/// Memory that lives on when its task has ended, in pieces so small that nothing else is to be had.
std::forward_list<std::array<char, 24>> leaked;

void leak_all() {
  for (;;) use(&leaked.emplace_front());
}

TEST(KeptMemory, costs_its_task_and_no_other_of_its_chunk) {
  const auto task = [](int i) {
    if (i % 10 == 3) leak_all();
    return allocate(limit / 2) + static_cast<std::size_t>(i);
  };
  const auto outcomes = pool().map_outcomes(task, numbers(40), {.chunksize = 10, .max_attempts = 1});
  for (std::size_t i = 0; i < 40; ++i) {
    EXPECT_EQ(outcomes.at(i).has_value(), i % 10 != 3) << i << ": " << outcomes.at(i).error_text();
    EXPECT_EQ(is_a<std::bad_alloc>(outcomes.at(i).exception()), i % 10 == 3) << i;
  }
}

TEST(KeptMemory, is_given_back_with_its_executor) {
  const int pid = pool().apply(getpid);
  EXPECT_THROW(pool().apply(leak_all), std::bad_alloc);
  EXPECT_NE(pool().apply(getpid), pid);
  EXPECT_EQ(pool().apply(allocate, limit / 2), limit / 2);
}

TEST(KeptMemory, that_is_little_leaves_the_executor_in_place) {
  const int pid = pool().apply(getpid);
  const auto task = [] {
    static std::vector<char> cache;
    cache.assign(limit / 4, 'c');
    return allocate(far_too_much);
  };
  EXPECT_THROW((void)pool().apply(task), std::bad_alloc);
  EXPECT_EQ(pool().apply(getpid), pid);
}

struct Full : std::exception {
  [[nodiscard]] const char* what() const noexcept override {
    static const std::string text(60'000, 't');
    return text.c_str();
  }
};

TEST(KeptMemory, lets_other_exceptions_through) {
  const auto task = [](int i) {
    use(Full().what());
    if (i != 3) return i;
    try {
      leak_all();
    } catch (const std::bad_alloc&) {
    }
    throw Full();
  };
  const auto outcomes = pool().map_outcomes(task, numbers(10), {.chunksize = 5, .max_attempts = 1});
  expect_only_task_3_has<RemoteError>(outcomes);
  EXPECT_FALSE(is_a<WorkerLost>(outcomes.at(3).exception())) << outcomes.at(3).error_text();
  EXPECT_EQ(pool().map(square, numbers(100)), squares(100));
  pool().apply([] { leaked.clear(); });
}

TEST(KeptMemory, of_a_call_whose_callable_does_not_fit_is_none) {
  const int pid = pool().apply(getpid);
  const std::vector<char> state(limit + megabyte);
  const auto task = [](const std::vector<char>& with, int i) { return with.size() + static_cast<std::size_t>(i); };
  for (const auto& outcome : pool().map_outcomes(rankpool::bind(task, state), numbers(20), {.max_attempts = 1})) {
    EXPECT_TRUE(is_a<std::bad_alloc>(outcome.exception())) << outcome.error_text();
  }
  EXPECT_EQ(pool().apply(getpid), pid);
}

/// Loses what it has got of its memory when it does not get all.
struct Leaking {
  std::size_t bytes = 0;
  char* first = nullptr;
  char* second = nullptr;
  template <class Archive>
  void save(Archive& archive, unsigned /*version*/) const {
    archive << bytes;
  }
  template <class Archive>
  void load(Archive& archive, unsigned /*version*/) {
    archive >> bytes;
    use(first = new char[bytes]);
    use(second = new char[bytes]);
  }
  BOOST_SERIALIZATION_SPLIT_MEMBER()
};

TEST(KeptMemory, of_a_callable_that_never_fits_ends_its_call) {
  const auto task = [](const Leaking& with, int i) { return with.bytes + static_cast<std::size_t>(i); };
  const Leaking state{limit / 3 * 2};
  for (const int attempts : {1, 3}) {
    for (const auto& outcome :
         pool().map_outcomes(rankpool::bind(task, state), numbers(5), {.chunksize = 1, .max_attempts = attempts})) {
      EXPECT_TRUE(is_a<std::bad_alloc>(outcome.exception())) << outcome.error_text();
    }
    EXPECT_EQ(pool().map(square, numbers(100)), squares(100));
  }
}

TEST(KeptMemory, of_calls_that_were_served_before_does_not_harm_the_next) {
  const std::vector<char> state(limit / 3);
  const auto task = [](const std::vector<char>& with, int i) { return with.size() + static_cast<std::size_t>(i); };
  std::vector<std::vector<std::size_t>> results;
  for (int call = 0; call < 6; ++call) {
    results.push_back(pool().map(rankpool::bind(task, state), {1, 2, 3}, {.max_attempts = 1}));
    EXPECT_EQ(results.back().at(2), state.size() + 3);
  }
}

// --- pools ----------------------------------------------------------------------------------------------------------

std::vector<std::vector<char>> kept;

TEST(LeakingTasks, get_a_fresh_executor_by_max_tasks_per_child) {
  const auto leak = [](int i) {
    use(kept.emplace_back(limit / 2).data());
    return i;
  };
  EXPECT_EQ(pool().map(leak, numbers(6), {.max_attempts = 1}), numbers(6));
}

void prepare_too_much() { allocate(far_too_much); }

TEST(InitializerWithoutMemory, breaks_the_pool_and_tells_the_limit) {
  const auto text = text_of_thrown<BrokenPool>([] { (void)pool().map(square, numbers(10)); });
  EXPECT_TRUE(contains(text, "the initializer failed on ")) << text;
  EXPECT_TRUE(contains(text, "): std::bad_alloc")) << text;
  EXPECT_TRUE(contains(text, limit_in_words)) << text;
}

void die_of_too_much() noexcept {
  write_no_core();
  allocate(far_too_much);
}

TEST(InitializerThatDiesOfIt, breaks_the_pool_and_tells_the_limit) {
  const auto text = text_of_thrown<BrokenPool>([] { (void)pool().map(square, numbers(10)); });
  EXPECT_TRUE(contains(text, "SIGABRT")) << text;
  EXPECT_TRUE(contains(text, limit_in_words)) << text;
}

TEST(LeastMemoryLimit, is_enough_for_tasks_that_need_none) {
  EXPECT_EQ(pool().map(square, numbers(1000)), squares(1000));
  EXPECT_THROW((void)pool().apply(allocate, 2 * megabyte), std::bad_alloc);
  EXPECT_EQ(pool().map(square, numbers(1000)), squares(1000));
}

}  // namespace

int main(int argc, char** argv) {
  inherited.assign(limit + limit / 2, 'i');
  int status = run_cases(argc, argv, "MemoryLimit.*", {.memory_limit = limit});
  status |= run_cases(argc, argv, "KeptMemory.*", {.memory_limit = limit, .processes = 1});
  status |= run_cases(argc, argv, "LeakingTasks.*", {.max_tasks_per_child = 1, .memory_limit = limit, .processes = 1});
  status |=
      run_cases(argc, argv, "InitializerWithoutMemory.*", {.initializer = prepare_too_much, .memory_limit = limit});
  status |= run_cases(argc, argv, "InitializerThatDiesOfIt.*", {.initializer = die_of_too_much, .memory_limit = limit});
  status |= run_cases(argc, argv, "LeastMemoryLimit.*", {.memory_limit = megabyte});
  return status;
}
