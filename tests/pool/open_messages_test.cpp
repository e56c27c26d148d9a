// The program's own messages beside calls that nobody waits for.
#include "pool/gate.hpp"
#include "pool/mpi_program.hpp"

#include <cstddef>
#include <functional>
#include <vector>

#include <boost/mpi/collectives.hpp>
#include <boost/mpi/communicator.hpp>
#include <boost/mpi/nonblocking.hpp>

#include <mpi.h>

namespace {

namespace mpi = boost::mpi;
using namespace rankpool::test;  // NOLINT(google-build-using-namespace)
using rankpool::Future;
using rankpool::Pool;

constexpr int end_tag = 1000;

/// Sends numbers to a rank that is in no pool, and takes whatever comes back, changed, from anywhere.
void talk_to(const mpi::communicator& world, int partner, int count) {
  for (int i = 0; i < count; ++i) {
    int answer = 0;
    mpi::request received = world.irecv(mpi::any_source, mpi::any_tag, answer);
    mpi::request sent = world.isend(partner, i % 100, i);
    const mpi::status status = received.wait();
    sent.wait();
    ASSERT_EQ(status.source(), partner);
    ASSERT_EQ(status.tag(), i % 100);
    ASSERT_EQ(answer, i + 1);
  }
}

void answer_all(const mpi::communicator& world) {
  for (;;) {
    const mpi::status status = world.probe(mpi::any_source, mpi::any_tag);
    int number = 0;
    world.recv(status.source(), status.tag(), number);
    if (status.tag() == end_tag) return;
    world.send(status.source(), status.tag(), number + 1);
  }
}

TEST(OpenMessagesOnTwoRanks, of_the_master_travel_while_calls_are_open) {
  const mpi::communicator world;
  const int outsider = world.size() - 1;
  const mpi::communicator others = world.split(world.rank() == outsider ? 1 : 0);
  if (world.rank() == outsider) {
    answer_all(world);
  } else {
    with_pool(others, 0, [&](Pool& pool) {
      Gate gate;
      const auto held = gate.calls(pool);
      const auto all = pool.map_async(square, numbers(500), {.chunksize = 5});
      talk_to(world, outsider, 300);
      gate.open();
      talk_to(world, outsider, 300);
      EXPECT_EQ(all.get(), squares(500));
      expect_numbered(held);
      for (const int result : pool.imap(square, numbers(50), {.buffersize = 4})) talk_to(world, outsider, result % 5);
    });
    if (world.rank() == 0) world.send(outsider, end_tag, 0);
  }
  world.barrier();
}

using Master = std::function<void(Pool&)>;
using WithPool = void (*)(const Master& master);

void open_and_use(const Master& master) { with_pool(mpi::communicator(), 0, master); }
void run_and_use(const Master& master) { EXPECT_EQ(rankpool::run(0, nullptr, master), 0); }

void expect_found_by_master(WithPool with) {
  const mpi::communicator world;
  mpi::request sent;
  if (world.rank() != 0) sent = world.isend(0, world.rank(), 10 * world.rank());
  with([&](Pool& pool) {
    Gate gate;
    const auto held = gate.calls(pool);
    for (int left = world.size() - 1; left > 0; --left) {
      const mpi::status status = world.probe(mpi::any_source, mpi::any_tag);
      int number = 0;
      world.recv(status.source(), status.tag(), number);
      EXPECT_EQ(status.tag(), status.source());
      EXPECT_EQ(number, 10 * status.source());
    }
    EXPECT_FALSE(world.iprobe(mpi::any_source, mpi::any_tag));
    gate.open();
    expect_numbered(held);
  });
  if (world.rank() != 0) sent.wait();
  world.barrier();
}

void expect_none_of_the_pools(WithPool with) {
  const mpi::communicator world;
  int received = -1;
  mpi::request request = world.irecv(mpi::any_source, mpi::any_tag, received);
  with([&](Pool& pool) {
    const auto all = pool.map_async(square, numbers(500), {.chunksize = 1});
    EXPECT_FALSE(request.test());
    EXPECT_EQ(all.get(), squares(500));
  });
  EXPECT_FALSE(request.test());
  world.barrier();  // or a message might overtake the question
  world.send((world.rank() + 1) % world.size(), 5, world.rank());
  const mpi::status status = request.wait();
  EXPECT_EQ(status.source(), (world.rank() + world.size() - 1) % world.size());
  EXPECT_EQ(received, status.source());
}

TEST(OpenMessages, sent_before_a_pool_are_found_by_its_master) { expect_found_by_master(open_and_use); }

TEST(OpenMessages, awaited_from_anywhere_on_every_rank_are_none_of_the_pools) {
  expect_none_of_the_pools(open_and_use);
}

// run() is for programs whose every thread may call MPI.
TEST(RunMessages, sent_before_it_are_found_by_its_master) {
  if (threads_may_call()) expect_found_by_master(run_and_use);
}

TEST(RunMessages, awaited_from_anywhere_on_every_rank_are_none_of_its_own) {
  if (threads_may_call()) expect_none_of_the_pools(run_and_use);
}

TEST(OpenMessages, of_a_collective_begun_before_a_pool_arrive_after_it) {
  const mpi::communicator world;
  const int mine = world.rank() + 1;
  int sum = 0;
  MPI_Request request = MPI_REQUEST_NULL;
  MPI_Iallreduce(&mine, &sum, 1, MPI_INT, MPI_SUM, world, &request);
  with_pool(world, world.size() - 1, [](Pool& pool) {
    const auto all = pool.map_async(square, numbers(300), {.chunksize = 1});
    EXPECT_EQ(all.get(), squares(300));
  });
  MPI_Wait(&request, MPI_STATUS_IGNORE);
  EXPECT_EQ(sum, world.size() * (world.size() + 1) / 2);
}

TEST(OpenMessages, of_the_workers_collectives_travel_between_two_pools) {
  const mpi::communicator world;
  const mpi::communicator workers = world.split(world.rank() == 0 ? 0 : 1);
  for (int i = 0; i < 5; ++i) {
    with_pool(world, 0, [i](Pool& pool) {
      std::vector<Future<int>> futures;
      for (int n = 0; n < 20; ++n) futures.push_back(pool.submit(std::plus<>(), n, i));
      for (int n = 0; n < 20; ++n) EXPECT_EQ(futures.at(static_cast<std::size_t>(n)).get(), n + i);
    });
    EXPECT_EQ(mpi::all_reduce(workers, i, std::plus<>()), i * workers.size());
  }
}

}  // namespace
