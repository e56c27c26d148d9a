// How long arguments, results, callables, callbacks and exceptions live: here and in the executors, none longer than it
// is of use.
#include "pool/pool_test.hpp"

#include <atomic>
#include <chrono>
#include <functional>
#include <ranges>
#include <thread>
#include <utility>
#include <vector>

#include <unistd.h>

namespace {

using namespace std::chrono_literals;
using namespace rankpool::test;  // NOLINT(google-build-using-namespace)
using rankpool::CancelledError;
using rankpool::Future;
using rankpool::TimeoutError;

/// Counts the objects of its kind in this process.
template <class Kind>
class Counted {
 public:
  static inline std::atomic<int> live = 0;
  static inline std::atomic<int> most = 0;  ///< there were at a time

  explicit Counted(int number = 0) noexcept : number_(number) { count(); }
  Counted(const Counted& other) noexcept : number_(other.number_) { count(); }
  Counted(Counted&& other) noexcept : number_(other.number_) { count(); }
  Counted& operator=(const Counted&) noexcept = default;
  Counted& operator=(Counted&&) noexcept = default;
  ~Counted() { --live; }

  [[nodiscard]] int number() const noexcept { return number_; }

  template <class Archive>
  void serialize(Archive& archive, unsigned /*version*/) {
    archive& number_;
  }

 private:
  static void count() noexcept {
    const int now = ++live;
    int before = most;
    while (before < now && !most.compare_exchange_weak(before, now)) {
    }
  }

  int number_;
};

using Argument = Counted<struct ArgumentKind>;
using Result = Counted<struct ResultKind>;
using Bound = Counted<struct BoundKind>;
using CallbackState = Counted<struct CallbackKind>;
using ErrorState = Counted<struct ErrorKind>;

struct CountedError : std::runtime_error {
  explicit CountedError(const std::string& text) : std::runtime_error(text) {}
  ErrorState state{1};

  template <class Archive>
  void serialize(Archive& archive, unsigned /*version*/) {
    archive& state;
  }
};

/// How many objects of each kind there are in a process.
struct Census {
  int pid = 0;
  int arguments = 0;
  int results = 0;
  int bound = 0;
  int errors = 0;

  static Census take() {
    return {static_cast<int>(getpid()), Argument::live, Result::live, Bound::live, ErrorState::live};
  }
  [[nodiscard]] bool empty() const { return arguments + results + bound + errors == 0; }
};

std::ostream& operator<<(std::ostream& out, const Census& census) {
  return out << "pid " << census.pid << ": " << census.arguments << " arguments, " << census.results << " results, "
             << census.bound << " bound, " << census.errors << " errors";
}

bool eventually(const std::function<bool()>& holds) {
  for (int i = 0; i < 2000 && !holds(); ++i) std::this_thread::sleep_for(5ms);
  return holds();
}

/// For calls that have ended before: the thread that ended them may be about to drop what it held.
void expect_nothing_left() {
  EXPECT_TRUE(eventually([] { return Census::take().empty() && CallbackState::live == 0; }))
      << Census::take() << ", " << CallbackState::live << " callbacks";
}

std::vector<Census> census_of_executors() {
  const auto take = [](int) {
    std::this_thread::sleep_for(2ms);  // so that all take part
    return Census::take();
  };
  return pool().map(take, numbers(4 * pool().processes()), {.chunksize = 1});
}

/// Executors keep callables for a while: the call may go on.
void expect_nothing_left_in_executors() {
  for (const Census& census : census_of_executors()) {
    EXPECT_EQ(census.arguments, 0) << census;
    EXPECT_EQ(census.results, 0) << census;
    EXPECT_EQ(census.errors, 0) << census;
  }
  const bool forgotten = eventually([] {
    std::this_thread::sleep_for(200ms);
    return std::ranges::all_of(census_of_executors(), &Census::empty);
  });
  EXPECT_TRUE(forgotten) << "callables";
}

Result make(const Argument& argument) { return Result(argument.number()); }
Result make_with(const Bound& bound, const Argument& argument) { return Result(bound.number() + argument.number()); }
Result make_slowly(const Argument& argument) {
  std::this_thread::sleep_for(10ms);
  return Result(argument.number());
}
Result fail_at(int bad, const Argument& argument) {
  if (argument.number() == bad) throw CountedError("task " + std::to_string(bad));
  return Result(argument.number());
}
Result die_at(int bad, const Argument& argument) {
  if (argument.number() == bad) _exit(3);
  return Result(argument.number());
}

std::vector<Argument> arguments(int n) {
  std::vector<Argument> all;
  all.reserve(static_cast<std::size_t>(n));
  for (int i = 0; i < n; ++i) all.emplace_back(i);
  return all;
}

constexpr auto to_argument = [](int i) { return Argument(i); };
auto endless_arguments() { return std::views::iota(0) | std::views::transform(to_argument); }

/// Holds after each case, in this process.
class Lifetime : public testing::Test {
 protected:
  void TearDown() override { expect_nothing_left(); }
};

// --- calls that go well ----------------------------------------------------------------------------------------------

TEST_F(Lifetime, of_results_is_that_of_what_holds_them) {
  {
    const Result one = pool().apply(make, Argument(7));
    EXPECT_EQ(one.number(), 7);
    EXPECT_EQ(Result::live, 1);
  }
  EXPECT_EQ(Result::live, 0);
  const std::vector<Argument> inputs = arguments(100);
  for (const int chunksize : {0, 1, 30}) {
    {
      const auto all = pool().map(make, inputs, {.chunksize = chunksize});
      EXPECT_EQ(all.at(99).number(), 99);
      EXPECT_EQ(Result::live, 100);
    }
    EXPECT_EQ(Result::live, 0);
    {
      const auto outcomes = pool().map_outcomes(make, inputs, {.chunksize = chunksize});
      EXPECT_EQ(Result::live, 100);
    }
    EXPECT_EQ(Result::live, 0);
  }
  EXPECT_EQ(Argument::live, 100);
}

TEST_F(Lifetime, of_a_futures_result_is_that_of_its_handles) {
  auto future = pool().map_async(make, arguments(50));
  auto other = future;
  future.wait();
  EXPECT_TRUE(eventually([] { return Result::live == 50; }));
  future = {};
  EXPECT_EQ(other.get().size(), 50U);
  EXPECT_EQ(Result::live, 50);
  const auto moved_out = std::move(other).get();
  EXPECT_EQ(Result::live, 50);
}

TEST_F(Lifetime, of_arguments_and_callables_ends_here_when_the_call_has_begun) {
  std::vector<Future<void>> futures;
  for (int i = 0; i < 3 * pool().processes(); ++i) {
    futures.push_back(pool().submit([](const Argument&) { std::this_thread::sleep_for(5ms); }, Argument(i)));
    futures.push_back(pool().submit(rankpool::bind([](const Bound&) {}, Bound(1))));
  }
  EXPECT_EQ(Argument::live, 0);
  EXPECT_EQ(Bound::live, 0);
  const auto map = pool().map_async(rankpool::bind(make_with, Bound(1)), arguments(100));
  EXPECT_EQ(Argument::live, 0);
  EXPECT_EQ(Bound::live, 0);
  auto stream = pool().imap(rankpool::bind(make_with, Bound(1)), arguments(50), {.buffersize = 50});
  EXPECT_EQ(Argument::live, 0);
  EXPECT_EQ(Bound::live, 0);
  EXPECT_EQ(map.get().at(99).number(), 100);
  EXPECT_EQ(stream.next()->number(), 1);
}

TEST_F(Lifetime, in_an_executor_is_that_of_the_task) {
  const auto take = [](const Bound&, const Argument&) { return Census::take(); };
  for (const int chunksize : {0, 1, 40}) {
    for (const Census& census : pool().map(rankpool::bind(take, Bound(1)), arguments(200), {.chunksize = chunksize})) {
      EXPECT_EQ(census.arguments, 1) << census;
      EXPECT_EQ(census.results, 0) << census;
    }
    (void)pool().map(make, arguments(200), {.chunksize = chunksize});
    (void)pool().map_outcomes(rankpool::bind(fail_at, 5), arguments(20), {.chunksize = chunksize});
  }
  expect_nothing_left_in_executors();
}

TEST_F(Lifetime, of_a_callable_in_an_executor_ends_soon_after_the_call) {
  for (int i = 0; i < 20; ++i) (void)pool().map(rankpool::bind(make_with, Bound(i)), arguments(20));
  expect_nothing_left_in_executors();
}

// --- streams ---------------------------------------------------------------------------------------------------------

TEST_F(Lifetime, of_a_streams_results_is_short) {
  for (const int buffersize : {1, 8, 64}) {
    for (const int chunksize : {0, 1, 20}) {
      Argument::most = Result::most = 0;
      int read = 0;
      for (const Result& result :
           pool().imap(make, endless_arguments(), {.buffersize = buffersize, .chunksize = chunksize})) {
        EXPECT_EQ(result.number(), read);
        if (read % 100 == 0) std::this_thread::sleep_for(1ms);
        if (++read == 500) break;
      }
      // The one that is looked at, and those that are on the move.
      EXPECT_LE(Result::most, buffersize + 3) << "chunksize " << chunksize;
      EXPECT_LE(Argument::most, 2) << "chunksize " << chunksize;
      expect_nothing_left();
    }
  }
}

TEST_F(Lifetime, of_what_a_dropped_stream_held_ends_with_it) {
  for (const int read : {0, 1, 20}) {
    {
      auto stream = pool().imap(make, arguments(1000), {.buffersize = 50});
      for (int i = 0; i < read; ++i) EXPECT_EQ(stream.next()->number(), i);
      EXPECT_EQ(Argument::live, 1000);
    }
    EXPECT_EQ(Argument::live, 0);
    expect_nothing_left();
  }
  auto stream = pool().imap_unordered(make_slowly, arguments(100), {.buffersize = 100, .chunksize = 1});
  (void)stream.next();
  stream = {};
  expect_nothing_left();
}

TEST_F(Lifetime, of_a_streams_inputs_ends_when_all_are_drawn) {
  auto stream = pool().imap(make, arguments(100), {.buffersize = 10});
  EXPECT_EQ(Argument::live, 100);
  for (int i = 0; i < 95; ++i) EXPECT_EQ(stream.next()->number(), i);
  EXPECT_EQ(Argument::live, 0);
  for (int i = 95; i < 100; ++i) EXPECT_EQ(stream.next()->number(), i);
  EXPECT_FALSE(stream.next());
}

// --- calls that go wrong ---------------------------------------------------------------------------------------------

TEST_F(Lifetime, of_results_ends_with_the_call_where_a_task_fails) {
  const auto fails = rankpool::bind(fail_at, 61);
  for (const int chunksize : {0, 1, 30}) {
    EXPECT_THROW((void)pool().map(fails, arguments(100), {.chunksize = chunksize}), CountedError);
    expect_nothing_left();
    const auto outcomes = pool().map_outcomes(fails, arguments(100), {.chunksize = chunksize});
    EXPECT_EQ(Result::live, 99);
    EXPECT_TRUE(is_a<CountedError>(outcomes.at(61).exception()));
  }
  EXPECT_THROW((void)pool().apply(fails, Argument(61)), CountedError);
  auto stream = pool().imap(fails, arguments(100));
  for (int i = 0; i < 61; ++i) (void)stream.next();
  EXPECT_THROW((void)stream.next(), CountedError);
}

TEST_F(Lifetime, of_the_other_results_ends_when_a_future_has_an_error) {
  const auto future = pool().map_async(rankpool::bind(fail_at, 61), arguments(100));
  EXPECT_THROW((void)future.get(), CountedError);
  EXPECT_TRUE(eventually([] { return Result::live == 0; })) << Result::live;
}

TEST_F(Lifetime, of_results_ends_with_the_call_where_an_executor_dies) {
  const auto dies = rankpool::bind(die_at, 61);
  for (const int chunksize : {1, 30}) {
    EXPECT_THROW((void)pool().map(dies, arguments(100), {.chunksize = chunksize, .max_attempts = 1}),
                 rankpool::WorkerLost);
    expect_nothing_left();
  }
  expect_nothing_left_in_executors();
}

TEST_F(Lifetime, of_all_ends_when_the_range_throws) {
  const auto inputs = std::views::iota(0, 100) | std::views::transform([](int i) {
                        if (i == 70) throw std::length_error("drawn");
                        return Argument(i);
                      });
  EXPECT_THROW((void)pool().map(make, inputs, {.chunksize = 5}), std::length_error);
  expect_nothing_left();
  EXPECT_THROW((void)pool().map_async(make, inputs, {.chunksize = 5}), std::length_error);
  expect_nothing_left();
  auto stream = pool().imap(make, inputs, {.chunksize = 5});
  for (int i = 0; i < 70; ++i) (void)stream.next();
  EXPECT_THROW((void)stream.next(), std::length_error);
  expect_nothing_left();
  expect_nothing_left_in_executors();
}

TEST_F(Lifetime, of_results_ends_when_the_time_has_passed) {
  EXPECT_THROW((void)pool().map(make_slowly, arguments(10'000), {.chunksize = 1, .timeout = 50ms}), TimeoutError);
  expect_nothing_left();
  const auto future = pool().map_async(make_slowly, arguments(10'000), {.chunksize = 1, .timeout = 50ms});
  EXPECT_THROW((void)future.get(), TimeoutError);
  EXPECT_TRUE(eventually([] { return Result::live == 0; })) << Result::live;
  auto stream = pool().imap(make_slowly, endless_arguments(), {.chunksize = 1, .timeout = 50ms});
  EXPECT_THROW(for (;;)(void) stream.next(), TimeoutError);
  EXPECT_TRUE(eventually([] { return Result::live == 0; })) << Result::live;
}

TEST_F(Lifetime, of_results_ends_when_the_call_is_cancelled) {
  const auto future = pool().map_async(make_slowly, arguments(10'000), {.chunksize = 1});
  EXPECT_TRUE(eventually([] { return Result::live > 0; }));
  EXPECT_TRUE(future.cancel());
  EXPECT_TRUE(eventually([] { return Result::live == 0; })) << Result::live;
  EXPECT_THROW((void)future.get(), CancelledError);
}

TEST_F(Lifetime, of_a_result_whose_future_was_dropped_ends_at_once) {
  const ScratchFile file;
  const auto task = [](const std::string& path, const Argument& argument) {
    append_line(path, "1");
    return Result(argument.number());
  };
  for (int i = 0; i < 20; ++i) (void)pool().submit(rankpool::bind(task, file.path()), Argument(i));
  EXPECT_TRUE(eventually([&] { return file.numbers<std::vector<int>>().size() == 20; }));
}

// --- callbacks -------------------------------------------------------------------------------------------------------

auto counting_callback() {
  return [state = CallbackState(1)](const auto&...) { (void)state; };
}

TEST_F(Lifetime, of_callbacks_ends_when_one_of_them_has_run) {
  const auto both = [](const auto& future) {
    future.then(counting_callback(), counting_callback());
    future.then({}, counting_callback());
    future.wait();
    EXPECT_EQ(CallbackState::live, 0);
    future.then(counting_callback(), counting_callback());
    EXPECT_EQ(CallbackState::live, 0);
  };
  both(pool().submit(make, Argument(1)));
  both(pool().submit(rankpool::bind(fail_at, 1), Argument(1)));
  const auto slow = pool().map_async(make_slowly, arguments(1000));
  slow.then(counting_callback(), counting_callback());
  EXPECT_EQ(CallbackState::live, 2);
  EXPECT_TRUE(slow.cancel());
  both(slow);
}

TEST_F(Lifetime, of_callbacks_ends_also_where_the_future_was_dropped) {
  (void)pool().submit(make_slowly, Argument(1)).then(counting_callback(), counting_callback());
  (void)pool().submit(rankpool::bind(fail_at, 1), Argument(1)).then(counting_callback(), counting_callback());
}

TEST_F(Lifetime, of_a_future_ends_though_a_callback_of_its_own_holds_it) {
  // A future that a callback of its own holds would never be freed if the callback were not.
  const auto future = pool().submit(make_slowly, Argument(1));
  future.then([future](const Result& result) { EXPECT_EQ(&future.get(), &result); });
}

// --- the end ---------------------------------------------------------------------------------------------------------

TEST_F(Lifetime, ends_when_the_pool_is_terminated) {
  const auto map = pool().map_async(make_slowly, arguments(10'000), {.chunksize = 1});
  map.then(counting_callback(), counting_callback());
  auto stream = pool().imap(make_slowly, arguments(10'000), {.chunksize = 1});
  (void)stream.next();
  std::vector<Future<Result>> futures;
  for (int i = 0; i < 100; ++i) futures.push_back(pool().submit(make_slowly, Argument(i)));
  EXPECT_TRUE(eventually([] { return Result::live > 0; }));
  pool().terminate();
  EXPECT_THROW((void)map.get(), CancelledError);
  EXPECT_THROW(for (;;)(void) stream.next(), CancelledError);
  int ended_before = 0;
  for (const auto& future : futures) {
    if (!is_a<CancelledError>(future.exception())) ended_before += future.successful() ? 1 : 1000;
  }
  EXPECT_TRUE(eventually([&] { return Result::live == ended_before; })) << Result::live << " of " << ended_before;
  EXPECT_EQ(CallbackState::live, 0);
}

}  // namespace

int main(int argc, char** argv) {
  rankpool::register_exception<CountedError>();
  const int status = run_cases(argc, argv, "-*terminated");
  return status | run_cases(argc, argv, "*terminated");
}
