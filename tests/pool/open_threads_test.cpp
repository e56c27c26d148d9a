// Several threads and the pool of a program that starts MPI itself: which of them may do what, at every level of
// threads.
#include "pool/mpi_program.hpp"

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <boost/mpi/collectives.hpp>
#include <boost/mpi/communicator.hpp>

namespace {

using namespace std::chrono_literals;
namespace mpi = boost::mpi;
using rankpool::Future;
using rankpool::Pool;
using rankpool::PoolState;
using rankpool::test::contains;
using rankpool::test::numbers;
using rankpool::test::square;
using rankpool::test::squares;
using rankpool::test::text_of_thrown;
using rankpool::test::threads_may_call;
using rankpool::test::with_pool;

/// In another thread, while this one waits for it.
void elsewhere(const std::function<void()>& work) { std::jthread(work).join(); }

void expect_refused(const char* what, const std::function<void()>& act) {
  const auto text = text_of_thrown<std::logic_error>(act);
  EXPECT_TRUE(contains(text, "MPI_THREAD_MULTIPLE")) << what << ": " << text;
}

void use(Pool& pool) {
  EXPECT_EQ(pool.apply(square, 7), 49);
  EXPECT_EQ(pool.map_async(square, numbers(100)).get(), squares(100));
  std::vector<int> results;
  for (const int result : pool.imap(square, numbers(100), {.buffersize = 8})) results.push_back(result);
  EXPECT_EQ(results, squares(100));
}

/// Every way to make the pool work.
void expect_all_refused(Pool& pool) {
  expect_refused("apply", [&] { (void)pool.apply(square, 1); });
  expect_refused("map", [&] { (void)pool.map(square, numbers(10)); });
  expect_refused("submit", [&] { (void)pool.submit(square, 1); });
  expect_refused("apply_async", [&] { (void)pool.apply_async(square, 1); });
  expect_refused("map_async", [&] { (void)pool.map_async(square, numbers(10)); });
  expect_refused("imap", [&] { (void)pool.imap(square, numbers(10)); });
}

/// Every way to wait for a call that has not ended, or to end it.
void expect_all_refused(const Future<std::vector<int>>& open) {
  expect_refused("get", [&] { (void)open.get(); });
  expect_refused("get with a timeout", [&] { (void)open.get(1s); });
  expect_refused("wait", [&] { open.wait(); });
  expect_refused("exception", [&] { (void)open.exception(); });
  expect_refused("cancel", [&] { (void)open.cancel(); });
  expect_refused("wait for several", [&] { (void)rankpool::wait({open}); });
  expect_refused("as_completed", [&] {
    for ([[maybe_unused]] const auto& future : rankpool::as_completed({open})) FAIL();
  });
}

TEST(OpenThreads, other_than_the_pools_use_it_under_multiple_alone) {
  with_pool(mpi::communicator(), 0, [](Pool& pool) {
    const auto open = pool.map_async(square, numbers(1000), {.chunksize = 1});
    elsewhere([&] {
      if (threads_may_call()) {
        use(pool);
        EXPECT_EQ(open.get(), squares(1000));
      } else {
        expect_all_refused(pool);
        expect_all_refused(open);
      }
    });
    EXPECT_EQ(open.get(), squares(1000));
    use(pool);
  });
}

TEST(OpenThreads, use_the_pool_at_once_under_multiple) {
  with_pool(mpi::communicator(), 0, [](Pool& pool) {
    if (!threads_may_call()) return;
    std::vector<std::jthread> threads;
    for (int i = 0; i < 3; ++i) threads.emplace_back([&pool] { use(pool); });
    use(pool);
  });
}

TEST(OpenThreads, read_a_stream_where_they_may_call_mpi) {
  with_pool(mpi::communicator(), 0, [](Pool& pool) {
    auto stream = pool.imap(square, numbers(200), {.buffersize = 10});
    std::vector<int> results;
    elsewhere([&] {
      if (threads_may_call()) {
        results.push_back(*stream.next());
      } else {
        expect_refused("next", [&] { (void)stream.next(); });
      }
    });
    for (const int result : stream) results.push_back(result);
    EXPECT_EQ(results, squares(200)) << "a refusal costs no result";
  });
}

TEST(OpenThreads, may_always_look_at_what_is_there_and_drop_it) {
  with_pool(mpi::communicator(), 0, [](Pool& pool) {
    const Future<int> ready = pool.submit(square, 3);
    ready.wait();
    auto open = pool.map_async(square, numbers(1000), {.chunksize = 1});
    auto stream = pool.imap(square, numbers(1000));
    int heard = 0;
    elsewhere([&] {
      EXPECT_EQ(ready.get(), 9);
      EXPECT_TRUE(ready.wait(1s));
      EXPECT_EQ(rankpool::wait({ready}).done, std::vector{ready});
      ready.then([&](int value) { heard = value; });
      EXPECT_EQ(heard, 9);
      (void)open.ready();
      (void)open.running();
      open.then([&](const std::vector<int>& all) { heard = all.back(); });
      { const auto dropped = std::move(stream); }
      EXPECT_EQ(pool.state(), PoolState::running);
      EXPECT_GE(pool.processes(), 1);
      EXPECT_FALSE(pool.name().empty());
    });
    open.wait();
    EXPECT_EQ(heard, square(999));
    use(pool);
  });
}

TEST(OpenThreads, other_than_the_pools_end_it_under_multiple_alone) {
  const mpi::communicator world;
  for (const bool at_once : {false, true}) {
    with_pool(world, 0, [at_once](Pool& pool) {
      const auto open = pool.map_async(square, numbers(1000), {.chunksize = 1});
      const auto end = [&pool, at_once] {
        if (at_once) {
          pool.terminate();
        } else {
          pool.shutdown({.cancel_pending = true, .wait = false});
        }
      };
      elsewhere([&] {
        if (threads_may_call()) {
          end();
          pool.join();
        } else {
          expect_refused(at_once ? "terminate" : "shutdown", end);
          pool.close();
          expect_refused("join", [&pool] { pool.join(); });
        }
      });
      // Where the thread was refused, all that was asked for is still done.
      if (threads_may_call()) {
        EXPECT_TRUE(open.ready());
      } else {
        EXPECT_EQ(open.get(), squares(1000));
      }
    });
    EXPECT_EQ(mpi::all_reduce(world, 1, std::plus<>()), world.size());
  }
}

TEST(OpenThreads, other_than_mpis_own_open_no_pool_below_serialized) {
  if (rankpool::test::thread_level >= mpi::threading::serialized) return;
  elsewhere([] {
    const auto text = text_of_thrown<std::logic_error>([] { (void)Pool::open(mpi::communicator()); });
    EXPECT_TRUE(contains(text, "another thread than the one that started MPI")) << text;
  });
}

// --- by turns --------------------------------------------------------------------------------------------------------

// Every rank opens the pool in a second thread, while its first one waits: MPI_THREAD_SERIALIZED allows that.
TEST(OpenInTurns, the_pool_belongs_to_the_thread_that_opened_it) {
  const mpi::communicator world;
  std::optional<Pool> pool;
  elsewhere([&] {
    pool = Pool::open(world);
    EXPECT_EQ(pool.has_value(), world.rank() == 0);
    if (!pool) return;
    use(*pool);
    const auto open = pool->map_async(square, numbers(500), {.chunksize = 1});
    // The first thread's turn is over; a third one gets it.
    elsewhere([&] {
      if (threads_may_call()) {
        use(*pool);
      } else {
        expect_all_refused(*pool);
        expect_all_refused(open);
      }
    });
    EXPECT_EQ(open.get(), squares(500));
    pool.reset();
  });
  EXPECT_EQ(mpi::all_reduce(world, 1, std::plus<>()), world.size());
}

// It can only be ended then: a destructor can't refuse, and takes its turn.
TEST(OpenInTurns, a_pool_dropped_by_another_thread_ends) {
  const mpi::communicator world;
  Future<std::vector<int>> open;
  with_pool(world, 0, [&open](Pool& pool) {
    open = pool.map_async(square, numbers(1000), {.chunksize = 1});
    elsewhere([&pool] { const Pool dropped = std::move(pool); });
    EXPECT_TRUE(open.ready());
    EXPECT_EQ(open.cancelled(), !threads_may_call());
  });
  EXPECT_EQ(mpi::all_reduce(world, 1, std::plus<>()), world.size());
}

TEST(OpenInTurns, the_programs_other_threads_call_mpi_while_calls_are_open) {
  const mpi::communicator world;
  with_pool(world, 0, [&world](Pool& pool) {
    const mpi::communicator self(MPI_COMM_SELF, mpi::comm_attach);
    for (int i = 0; i < 20; ++i) {
      const auto open = pool.map_async(square, numbers(100), {.chunksize = 1});
      elsewhere([&] {
        int received = 0;
        mpi::request request = self.irecv(mpi::any_source, mpi::any_tag, received);
        self.send(0, 1, i);
        request.wait();
        EXPECT_EQ(received, i);
        EXPECT_FALSE(world.iprobe(mpi::any_source, mpi::any_tag));
      });
      EXPECT_EQ(open.get(), squares(100));
    }
  });
  world.barrier();
}

}  // namespace

int main(int argc, char** argv) { return rankpool::test::run_mpi_cases(argc, argv); }
