// Calls that nobody waits for, on pools in a program that starts MPI itself, at every level of threads.
#include "pool/gate.hpp"
#include "pool/mpi_program.hpp"

#include <atomic>
#include <chrono>
#include <filesystem>
#include <functional>
#include <future>
#include <iterator>
#include <memory>
#include <optional>
#include <ranges>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <boost/mpi/collectives.hpp>
#include <boost/mpi/communicator.hpp>

namespace {

using namespace std::chrono_literals;
namespace mpi = boost::mpi;
using namespace rankpool::test;  // NOLINT(google-build-using-namespace)
using rankpool::CancelledError;
using rankpool::Future;
using rankpool::Pool;

// --- the calls -------------------------------------------------------------------------------------------------------

TEST(OpenAsync, takes_any_root) {
  const mpi::communicator world;
  for (int root = 0; root < world.size(); ++root) {
    with_pool(world, root, [root](Pool& pool) {
      const auto one = pool.submit(square, root + 3);
      const auto two = pool.apply_async(power, 2.0, 5);
      const auto all = pool.map_async(square, numbers(300), {.chunksize = 1});
      const auto pairs = pool.starmap_async(power, {{2.0, 3}, {3.0, 2}});
      EXPECT_EQ(pairs.get(), (std::vector{8.0, 9.0}));
      EXPECT_EQ(all.get(), squares(300));
      EXPECT_EQ(two.get(), 32.0);
      EXPECT_EQ(one.get(), square(root + 3));
    });
  }
}

TEST(OpenAsync, works_on_parts_of_the_world_at_once) {
  const mpi::communicator world;
  // Every other rank, counted backwards.
  const mpi::communicator part = world.split(world.rank() % 2, -world.rank());
  for (int i = 0; i < 3; ++i) {
    with_pool(part, part.size() - 1, [&](Pool& pool) {
      std::vector<Future<int>> futures;
      for (int n = 0; n < 50; ++n) futures.push_back(pool.submit(std::plus<>(), n, world.rank()));
      std::set<int> sums;
      for (const auto& future : rankpool::as_completed(futures)) sums.insert(future.get());
      EXPECT_EQ(sums.size(), 50U);
      EXPECT_EQ(*sums.begin(), world.rank());
      EXPECT_EQ(*sums.rbegin(), world.rank() + 49);
    });
  }
}

TEST(OpenAsync, futures_are_waited_for_together) {
  with_pool(mpi::communicator(), 0, [](Pool& pool) {
    Gate gate;
    const Future<int> free = pool.submit(square, 3);
    const Future<int> held = gate.call(pool, 7);
    const auto first = rankpool::wait({free, held}, rankpool::When::first_completed, 20s);
    EXPECT_EQ(first.done, std::vector{free});
    EXPECT_EQ(first.not_done, std::vector{held});
    EXPECT_THROW((void)held.get(20ms), rankpool::TimeoutError);
    gate.open();
    EXPECT_TRUE(rankpool::wait({free, held}, rankpool::When::all_completed, 20s).not_done.empty());
    EXPECT_EQ(held.get(), 7);
  });
}

TEST(OpenAsync, streams_give_their_results) {
  with_pool(mpi::communicator(), 0, [](Pool& pool) {
    std::vector<int> ordered;
    for (const int result : pool.imap(square, numbers(500), {.buffersize = 20})) ordered.push_back(result);
    EXPECT_EQ(ordered, squares(500));
    std::multiset<int> unordered;
    for (const int result : pool.imap_unordered(square, numbers(500))) unordered.insert(result);
    const auto all = squares(500);
    EXPECT_EQ(unordered, std::multiset<int>(all.begin(), all.end()));
    int last = 0;
    for (const int result : pool.imap(square, std::views::iota(0), {.buffersize = 16})) {
      last = result;
      if (result >= 100 * 100) break;
    }
    EXPECT_EQ(last, 100 * 100);
  });
  mpi::communicator().barrier();
}

TEST(OpenAsync, calls_are_cancelled) {
  with_pool(mpi::communicator(), 0, [](Pool& pool) {
    Gate gate;
    const auto held = gate.calls(pool);
    const Future<int> pending = pool.submit(square, 3);
    const auto many = pool.map_async(square, numbers(100));
    EXPECT_TRUE(pending.cancel());
    EXPECT_TRUE(many.cancel());
    EXPECT_THROW((void)pending.get(), CancelledError);
    EXPECT_THROW((void)many.get(), CancelledError);
    gate.open();
    expect_numbered(held);
  });
}

// --- the pool's end --------------------------------------------------------------------------------------------------

TEST(OpenAsync, a_pool_that_closes_ends_its_calls_and_their_callbacks_first) {
  const mpi::communicator world;
  Future<int> one;
  Future<std::vector<int>> many;
  int heard = 0;
  with_pool(world, 0, [&](Pool& pool) {
    one = pool.submit(square, 5).then([&](int value) { heard += value; });
    many = pool.map_async(square, numbers(200)).then([&](const std::vector<int>& all) { heard += all.back(); });
  });
  if (world.rank() == 0) {
    EXPECT_TRUE(one.ready() && many.ready());
    EXPECT_EQ(heard, square(5) + square(199));
    EXPECT_EQ(many.get(), squares(200));
  }
  world.barrier();
}

TEST(OpenAsync, a_pool_that_is_terminated_cancels_its_calls) {
  const mpi::communicator world;
  for (int i = 0; i < 3; ++i) {
    with_pool(world, 0, [](Pool& pool) {
      const Gate gate;
      const auto futures = gate.calls(pool);
      pool.terminate();
      for (const auto& future : futures) EXPECT_THROW((void)future.get(), CancelledError);
    });
    EXPECT_EQ(mpi::all_reduce(world, 1, std::plus<>()), world.size());
  }
}

// --- callbacks -------------------------------------------------------------------------------------------------------

int square_and_tell(const std::string& file, int x) {
  append_line(file, "1");
  return square(x);
}

TEST(OpenCallbacks, run_while_the_master_is_elsewhere_or_below_multiple_in_its_next_calls) {
  with_pool(mpi::communicator(), 0, [](Pool& pool) {
    const ScratchFile file;
    const auto master = std::this_thread::get_id();
    std::atomic<int> heard = 0;
    std::atomic<bool> heard_here = true;
    constexpr int calls = 10;
    for (int i = 0; i < calls; ++i) {
      pool.submit(square_and_tell, file.path(), i).then([&](int) {
        if (std::this_thread::get_id() != master) heard_here = false;
        ++heard;
      });
    }
    if (threads_may_call()) {
      EXPECT_TRUE(eventually([&] { return heard == calls; }));
      EXPECT_FALSE(heard_here);
      return;
    }
    // The tasks of this node run without the master. It hears of none before it calls again.
    EXPECT_TRUE(eventually([&] { return !file.content().empty(); }));
    std::this_thread::sleep_for(20ms);
    EXPECT_EQ(heard, 0);
    EXPECT_TRUE(eventually([&] {
      pool.apply(square, 1);
      return heard == calls;
    }));
    EXPECT_TRUE(heard_here);
  });
}

TEST(OpenCallbacks, may_start_calls_and_must_not_wait_for_them) {
  with_pool(mpi::communicator(), 0, [](Pool& pool) {
    std::vector<int> heard;
    std::string refused;
    std::promise<void> over;
    pool.submit(square, 3).then([&](int first) {
      heard.push_back(first);
      refused = text_of_thrown<std::logic_error>([&] { (void)pool.submit(square, 1).get(); });
      pool.map_async(square, {first, first + 1}).then([&](const std::vector<int>& next) {
        heard.insert(heard.end(), next.begin(), next.end());
        over.set_value();
      });
    });
    auto end = over.get_future();
    EXPECT_TRUE(eventually([&] {
      if (!threads_may_call()) pool.apply(square, 1);
      return end.wait_for(0s) == std::future_status::ready;
    }));
    EXPECT_EQ(heard, (std::vector{9, 81, 100}));
    EXPECT_TRUE(contains(refused, "in a callback")) << refused;
  });
}

TEST(OpenCallbacks, need_a_thread_of_the_pools_only_where_it_may_call_mpi) {
  with_pool(mpi::communicator(), 0, [](Pool& pool) {
    const auto threads = [] { return std::distance(std::filesystem::directory_iterator("/proc/self/task"), {}); };
    pool.apply(square, 1);
    const auto before = threads();
    Gate gate;
    const auto held = gate.calls(pool);
    EXPECT_EQ(threads() - before, threads_may_call() ? 1 : 0);
    gate.open();
    expect_numbered(held);
  });
}

// Below MULTIPLE nobody would run it.
TEST(OpenCallbacks, may_own_the_pool_last) {
  if (!threads_may_call()) return;
  const mpi::communicator world;
  std::atomic<int> got = 0;
  if (std::optional<Pool> opened = Pool::open(world)) {
    const auto pool = std::make_shared<Pool>(std::move(*opened));
    pool->submit(square, 3).then([pool, &got](int value) { got = value; });
  }
  world.barrier();  // which the other ranks reach when the pool has ended
  while (world.rank() == 0 && got == 0) std::this_thread::sleep_for(1ms);
}

TEST(OpenCallbacks, that_own_the_pool_last_end_what_is_in_flight) {
  if (!threads_may_call()) return;
  const mpi::communicator world;
  const std::vector<int> many(20'000, 1);
  for (int round = 0; round < 5; ++round) {
    if (std::optional<Pool> opened = Pool::open(world)) {
      auto pool = std::make_shared<Pool>(std::move(*opened));
      const auto in_flight = pool->map_async(square, many, {.chunksize = 1});
      pool->submit(square, 3).then([owner = pool](int) mutable { owner.reset(); });
      pool.reset();
      EXPECT_TRUE(in_flight.wait(20s)) << round;
    }
    world.barrier();
  }
}

}  // namespace

int main(int argc, char** argv) { return rankpool::test::run_mpi_cases(argc, argv); }
