// Pools in a program that starts MPI itself, and their blocking calls.
#include "pool/mpi_program.hpp"

#include <algorithm>
#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <boost/mpi/collectives.hpp>
#include <boost/mpi/communicator.hpp>
#include <boost/mpi/intercommunicator.hpp>
#include <boost/mpi/nonblocking.hpp>

#include <unistd.h>

namespace {

namespace mpi = boost::mpi;
using rankpool::Pool;
using rankpool::PoolOptions;
using rankpool::test::contains;
using rankpool::test::numbers;
using rankpool::test::square;
using rankpool::test::text_of_thrown;
using rankpool::test::threads_may_call;
using rankpool::test::with_pool;

int negate(int x) { return -x; }

template <class F>
std::vector<int> applied(F f, int n) {
  std::vector<int> all = numbers(n);
  std::ranges::transform(all, all.begin(), f);
  return all;
}

TEST(Open, gives_the_root_a_pool_and_the_others_nothing) {
  const mpi::communicator world;
  with_pool(world, 0, [](Pool& pool) {
    EXPECT_GE(pool.processes(), 1);
    EXPECT_EQ(pool.map(square, numbers(1000)), applied(square, 1000));
    EXPECT_EQ(pool.apply(square, 7), 49);
  });
  world.barrier();
}

TEST(Open, takes_any_root) {
  const mpi::communicator world;
  for (int root = 0; root < world.size(); ++root) {
    with_pool(world, root, [root](Pool& pool) {
      const int offset = root;
      const auto add = [offset](int x) { return x + offset; };
      EXPECT_EQ(pool.map(add, numbers(300), {.chunksize = 1}), applied(add, 300));
    });
  }
}

TEST(Open, lets_the_root_close_the_pool_and_go_on) {
  const mpi::communicator world;
  std::optional<Pool> pool = Pool::open(world);
  if (pool) {
    EXPECT_EQ(pool->map(square, numbers(50)), applied(square, 50));
    pool->close();
    pool->join();
    EXPECT_THROW((void)pool->apply(square, 1), rankpool::PoolClosed);
  }
  // The workers are here already; the root still has its closed pool.
  EXPECT_EQ(mpi::all_reduce(world, 1, std::plus<>()), world.size());
}

TEST(Open, lets_the_root_terminate_the_pool) {
  const mpi::communicator world;
  with_pool(world, 0, [](Pool& pool) {
    EXPECT_EQ(pool.apply(square, 2), 4);
    pool.terminate();
  });
  EXPECT_EQ(mpi::all_reduce(world, 1, std::plus<>()), world.size());
}

TEST(Open, again_with_other_options_works) {
  const mpi::communicator world;
  for (const int processes : {1, 3, 2}) {
    with_pool(world, 0,
              [processes](Pool& pool) {
                EXPECT_EQ(pool.processes(), processes);
                EXPECT_EQ(pool.name(), "pool " + std::to_string(processes));
                EXPECT_EQ(pool.map(square, numbers(200)), applied(square, 200));
              },
              {.name = "pool " + std::to_string(processes), .processes = processes});
  }
}

TEST(Open, survives_a_crash_of_a_task) {
  with_pool(mpi::communicator(), 0, [](Pool& pool) {
    const auto outcomes = pool.map_outcomes(
        [](int i) {
          if (i == 5) _exit(3);
          return i;
        },
        numbers(20), {.max_attempts = 1});
    for (int i = 0; i < 20; ++i) EXPECT_EQ(outcomes.at(static_cast<std::size_t>(i)).has_value(), i != 5);
  });
}

// --- refusals --------------------------------------------------------------------------------------------------------

/// Every rank throws, and all of them can go on together.
template <class Act>
void expect_refused_on_every_rank(const std::string& part, const Act& act) {
  const auto text = text_of_thrown<std::invalid_argument>(act);
  EXPECT_TRUE(contains(text, part)) << text;
  const mpi::communicator world;
  EXPECT_EQ(mpi::all_reduce(world, text.empty() ? 0 : 1, std::plus<>()), world.size());
}

TEST(Open, refuses_a_root_out_of_range_on_every_rank) {
  const mpi::communicator world;
  expect_refused_on_every_rank("root", [&] { (void)Pool::open(world, {}, world.size()); });
  expect_refused_on_every_rank("root", [&] { (void)Pool::open(world, {}, -1); });
}

TEST(OpenOnTwoRanks, refuses_an_intercommunicator_on_every_rank) {
  const mpi::communicator world;
  const bool left = world.rank() < world.size() / 2;
  const mpi::communicator half = world.split(left ? 0 : 1);
  const mpi::intercommunicator between(half, 0, world, left ? world.size() / 2 : 0);
  expect_refused_on_every_rank("intercommunicator", [&] { (void)Pool::open(between); });
}

TEST(Open, refuses_the_null_communicator) {
  expect_refused_on_every_rank("communicator",
                               [] { (void)Pool::open(mpi::communicator(MPI_COMM_NULL, mpi::comm_attach)); });
}

TEST(Open, refuses_the_roots_bad_options_on_every_rank) {
  const mpi::communicator world;
  const int root = world.size() - 1;
  expect_refused_on_every_rank("processes", [&] {
    PoolOptions options;
    if (world.rank() == root) options.processes = -2;
    (void)Pool::open(world, options, root);
  });
  with_pool(world, root, [](Pool& pool) { EXPECT_EQ(pool.apply(square, 3), 9); });
}

TEST(Open, inside_a_task_is_refused) {
  with_pool(mpi::communicator(), 0, [](Pool& pool) {
    const auto text = text_of_thrown<std::logic_error>([&] {
      // Nothing of MPI may be touched before the refusal: an executor is no rank.
      (void)pool.apply([] { return Pool::open(mpi::communicator(MPI_COMM_NULL, mpi::comm_attach)).has_value(); });
    });
    EXPECT_TRUE(contains(text, "inside a task")) << text;
  });
}

// --- parts of the world ----------------------------------------------------------------------------------------------

TEST(Open, on_one_rank_works_like_a_program_by_itself) {
  const mpi::communicator self(MPI_COMM_SELF, mpi::comm_attach);
  with_pool(self, 0, [](Pool& pool) { EXPECT_EQ(pool.map(square, numbers(100)), applied(square, 100)); });
  mpi::communicator().barrier();
}

TEST(Open, on_disjoint_communicators_gives_pools_that_work_at_once) {
  const mpi::communicator world;
  const int color = world.rank() % 2;
  const mpi::communicator part = world.split(color);
  for (int i = 0; i < 5; ++i) {
    with_pool(part, part.size() - 1, [color](Pool& pool) {
      for (int n = 1; n < 200; n += 50) {
        if (color == 0) {
          EXPECT_EQ(pool.map(square, numbers(n), {.chunksize = 2}), applied(square, n));
        } else {
          EXPECT_EQ(pool.map(negate, numbers(n), {.chunksize = 3}), applied(negate, n));
        }
      }
    });
  }
  world.barrier();
}

// --- the program's own messages --------------------------------------------------------------------------------------

TEST(OwnMessages, on_their_way_while_a_pool_works_arrive_after_it) {
  const mpi::communicator world;
  std::vector<int> received(static_cast<std::size_t>(world.size()), -1);
  std::vector<mpi::request> requests;
  // Any tag: a message of the pool's on this communicator would be taken for one of these.
  for (int rank = 1; rank < world.size() && world.rank() == 0; ++rank) {
    requests.push_back(world.irecv(rank, mpi::any_tag, received[static_cast<std::size_t>(rank)]));
  }
  with_pool(world, 0, [](Pool& pool) { EXPECT_EQ(pool.map(square, numbers(500)), applied(square, 500)); });
  if (world.rank() != 0) world.send(0, world.rank(), 10 * world.rank());
  mpi::wait_all(requests.begin(), requests.end());
  for (int rank = 1; rank < world.size() && world.rank() == 0; ++rank) {
    EXPECT_EQ(received[static_cast<std::size_t>(rank)], 10 * rank);
  }
}

/// Passes numbers to a rank that is in no pool and takes them back, changed.
void talk_to(const mpi::communicator& world, int partner, int count) {
  for (int i = 0; i < count; ++i) {
    int answer = 0;
    world.send(partner, i % 100, i);
    world.recv(partner, i % 100, answer);
    ASSERT_EQ(answer, i + 1);
  }
  world.send(partner, 100, -1);
}

void answer_rank(const mpi::communicator& world, int partner) {
  int number = 0;
  for (;;) {
    const mpi::status status = world.recv(partner, mpi::any_tag, number);
    if (number < 0) return;
    world.send(partner, status.tag(), number + 1);
  }
}

TEST(OwnMessagesOnTwoRanks, of_the_master_travel_while_its_pool_works) {
  const mpi::communicator world;
  const int outsider = world.size() - 1;
  const mpi::communicator others = world.split(world.rank() == outsider ? 1 : 0);
  if (world.rank() == outsider) {
    answer_rank(world, 0);
  } else {
    with_pool(others, 0, [&](Pool& pool) {
      const auto work = [&pool] {
        for (int i = 0; i < 20; ++i) EXPECT_EQ(pool.map(square, numbers(300), {.chunksize = 5}), applied(square, 300));
      };
      if (threads_may_call()) {
        const std::jthread worker(work);
        talk_to(world, outsider, 2000);
      } else {
        work();
        talk_to(world, outsider, 200);
        work();
      }
    });
  }
  world.barrier();
}

TEST(OwnMessages, of_workers_travel_between_two_pools) {
  const mpi::communicator world;
  for (int i = 0; i < 3; ++i) {
    with_pool(world, 0, [](Pool& pool) { EXPECT_EQ(pool.apply(square, 3), 9); });
    std::vector<int> all;
    mpi::all_gather(world, world.rank() + i, all);
    for (int rank = 0; rank < world.size(); ++rank) EXPECT_EQ(all.at(static_cast<std::size_t>(rank)), rank + i);
  }
}

// --- threads ---------------------------------------------------------------------------------------------------------

TEST(Threads, may_use_the_pool_when_mpi_allows_it) {
  with_pool(mpi::communicator(), 0, [](Pool& pool) {
    std::jthread([&pool] {
      if (threads_may_call()) {
        EXPECT_EQ(pool.map(square, numbers(100)), applied(square, 100));
      } else {
        const auto text = text_of_thrown<std::logic_error>([&pool] { (void)pool.apply(square, 1); });
        EXPECT_TRUE(contains(text, "MPI_THREAD_MULTIPLE")) << text;
      }
    }).join();
    EXPECT_EQ(pool.apply(square, 4), 16);
  });
}

}  // namespace

int main(int argc, char** argv) { return rankpool::test::run_mpi_cases(argc, argv); }
