// How long arguments, results, callables and callbacks live: here and in the executors, none longer than it is of use.
#include "pool/lifetimes.hpp"

#include <chrono>
#include <thread>
#include <utility>
#include <vector>

namespace {

using namespace std::chrono_literals;
using namespace rankpool::test;             // NOLINT(google-build-using-namespace)
using namespace rankpool::test::lifetimes;  // NOLINT(google-build-using-namespace)
using rankpool::CancelledError;
using rankpool::Future;

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
  EXPECT_EQ(Bound::live, 0);  // of its arguments, all are drawn by now only if that took no time
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
    (void)pool().map_outcomes(rankpool::bind(fail_on, 5), arguments(20), {.chunksize = chunksize});
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
  both(pool().submit(rankpool::bind(fail_on, 1), Argument(1)));
  const auto slow = pool().map_async(make_slowly, arguments(1000));
  slow.then(counting_callback(), counting_callback());
  EXPECT_EQ(CallbackState::live, 2);
  EXPECT_TRUE(slow.cancel());
  both(slow);
}

TEST_F(Lifetime, of_callbacks_ends_also_where_the_future_was_dropped) {
  (void)pool().submit(make_slowly, Argument(1)).then(counting_callback(), counting_callback());
  (void)pool().submit(rankpool::bind(fail_on, 1), Argument(1)).then(counting_callback(), counting_callback());
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
