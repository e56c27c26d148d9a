// An MPI program: every rank runs every test, in step.
#include "transport/transport.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <ctime>
#include <iostream>
#include <numeric>
#include <string>
#include <thread>

#include <gtest/gtest.h>
#include <boost/mpi/collectives.hpp>

#include "transport/backoff.hpp"
#include "transport/collectives.hpp"
#include "transport/outbox.hpp"
#include "transport/session.hpp"

namespace {

using namespace rankpool::transport;  // NOLINT(google-build-using-namespace)
namespace wire = rankpool::wire;
using namespace std::chrono_literals;
using Buffer = std::vector<std::byte>;
using Clock = std::chrono::steady_clock;

const boost::mpi::communicator& world() { return MpiSession::start().world(); }
boost::mpi::communicator own_communicator() { return {world(), boost::mpi::comm_duplicate}; }

Buffer pattern(std::size_t size, unsigned seed) {
  Buffer bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>((i * 31 + i / 4096 + seed) & 0xff);
  return bytes;
}

/// Polls until `done`, which a hang in the transport never reaches.
template <class Done>
bool poll_until(Transport& transport, const Transport::Receiver& receive, const Done& done) {
  const auto deadline = Clock::now() + 30s;
  while (!done()) {
    if (!transport.poll(receive)) std::this_thread::yield();
    if (Clock::now() > deadline) return false;
  }
  return true;
}

/// Sends `messages` from every rank to every rank, itself included, and checks that all arrive, whole and in order.
using Sizes = std::vector<std::size_t>;

void all_to_all(const Sizes& sizes, TransportLimits limits = {}) {
  Transport transport(own_communicator(), limits);
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    for (int peer = 0; peer < transport.size(); ++peer) {
      transport.send(peer,
                     pattern(sizes[i], static_cast<unsigned>(i + 7 * static_cast<std::size_t>(transport.rank()))));
    }
  }
  std::vector<std::size_t> received(static_cast<std::size_t>(transport.size()));
  const auto receive = [&](int source, std::span<const std::byte> message, const Cargo&) {
    const std::size_t i = received[static_cast<std::size_t>(source)]++;
    ASSERT_LT(i, sizes.size());
    const Buffer expected = pattern(sizes[i], static_cast<unsigned>(i + 7 * static_cast<std::size_t>(source)));
    ASSERT_TRUE(std::ranges::equal(message, expected)) << "message " << i << " from rank " << source;
  };
  EXPECT_TRUE(poll_until(transport, receive, [&] {
    return transport.all_sent() && std::ranges::all_of(received, [&](std::size_t n) { return n == sizes.size(); });
  }));
  world().barrier();
}

MPI_Errhandler handler_of(const boost::mpi::communicator& communicator) {
  MPI_Errhandler handler = MPI_ERRHANDLER_NULL;
  MPI_Comm_get_errhandler(communicator, &handler);
  return handler;
}

TEST(Transport, leaves_the_communicator_its_own_handler_of_errors) {
  const boost::mpi::communicator own = own_communicator();
  MPI_Comm_set_errhandler(own, MPI_ERRORS_ARE_FATAL);
  {
    const Transport transport(own);
    EXPECT_EQ(handler_of(own), MPI_ERRORS_RETURN);
  }
  EXPECT_EQ(handler_of(own), MPI_ERRORS_ARE_FATAL);
  world().barrier();
}

TEST(Transport, small_messages_arrive_in_order) { all_to_all(Sizes{1, 2, 0, 64, 100, 0, 4000, 5}); }

TEST(Transport, large_messages_arrive_whole_and_in_order_with_small_ones) {
  all_to_all(Sizes{3, 20'000'000, 5, 300'000, 1});
}

TEST(Transport, messages_over_the_limit_travel_in_parts) {
  all_to_all(Sizes{10, 1000, 1001, 5, 999'999, 2, 4'000, 250'000}, TransportLimits{.part_bytes = 1000});
}

TEST(Transport, parts_of_a_rendezvous_size_are_joined) {
  all_to_all(Sizes{1, 5'000'000, 2, 2'000'001, 1'000'000},
             TransportLimits{.part_bytes = 1'000'000, .sends_per_peer = 2});
}

TEST(Transport, many_messages_wait_for_their_turn_in_order) {
  std::vector<std::size_t> sizes(3000);
  for (std::size_t i = 0; i < sizes.size(); ++i) sizes[i] = i % 7 == 0 ? 9000 : i % 50;
  all_to_all(sizes, TransportLimits{.sends_per_peer = 3});
}

/// Lends cargo, and counts what is let go of.
struct CargoLog {
  std::size_t released = 0;

  Cargo lend(Buffer& bytes) {
    return {.bytes = bytes, .owner = std::shared_ptr<const void>(bytes.data(), [this](const void*) { ++released; })};
  }
};

/// Every rank sends each message with cargo to every rank, and small ones between.
void all_to_all_with_cargo(const Sizes& sizes, TransportLimits limits, const Transport::Dock& dock) {
  CargoLog log;
  std::vector<Buffer> lent;
  for (std::size_t i = 0; i < sizes.size(); ++i) lent.push_back(pattern(sizes[i], static_cast<unsigned>(i)));
  std::vector<Cargo> kept;
  Transport transport(own_communicator(), limits);
  transport.set_dock(dock);
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    for (int peer = 0; peer < transport.size(); ++peer) {
      transport.send(peer, pattern(i % 3 * 700, 1), log.lend(lent[i]));
      transport.send(peer, pattern(5, 2));
    }
  }
  std::vector<std::size_t> received(static_cast<std::size_t>(transport.size()));
  const auto receive = [&](int source, std::span<const std::byte> message, const Cargo& cargo) {
    const std::size_t n = received[static_cast<std::size_t>(source)]++;
    const std::size_t i = n / 2;
    ASSERT_LT(i, sizes.size());
    if (n % 2 == 1) {
      EXPECT_TRUE(cargo.bytes.empty());
      EXPECT_TRUE(std::ranges::equal(message, pattern(5, 2)));
      return;
    }
    EXPECT_TRUE(std::ranges::equal(message, pattern(i % 3 * 700, 1))) << "message " << i << " from rank " << source;
    EXPECT_TRUE(std::ranges::equal(cargo.bytes, lent[i])) << "cargo " << i << " from rank " << source;
    if (cargo.owner) kept.push_back(cargo);
  };
  const std::size_t all = 2 * sizes.size();
  EXPECT_TRUE(poll_until(transport, receive, [&] {
    return transport.all_sent() && std::ranges::all_of(received, [&](std::size_t n) { return n == all; });
  }));
  EXPECT_EQ(log.released, sizes.size() * static_cast<std::size_t>(transport.size()));
  const std::size_t with_owner = dock ? sizes.size() * static_cast<std::size_t>(transport.size()) : 0;
  EXPECT_EQ(kept.size(), with_owner);
  for (std::size_t i = 0; i < kept.size(); ++i) {
    EXPECT_TRUE(std::ranges::any_of(lent, [&](const Buffer& b) { return std::ranges::equal(b, kept[i].bytes); }));
  }
  world().barrier();
}

std::shared_ptr<std::byte[]> any_memory(std::size_t bytes) { return std::make_shared<std::byte[]>(bytes); }

TEST(Transport, cargo_arrives_with_its_message_and_is_let_go_of_when_it_is_sent) {
  all_to_all_with_cargo(Sizes{1, 100, 70'000, 3'000'000, 5}, {}, nullptr);
}

TEST(Transport, cargo_is_put_where_the_dock_says_and_outlives_the_receiver) {
  all_to_all_with_cargo(Sizes{1, 70'000, 3'000'000}, {}, any_memory);
}

TEST(Transport, cargo_and_its_message_travel_in_parts) {
  all_to_all_with_cargo(Sizes{999, 1000, 1001, 250'000, 3}, {.part_bytes = 500, .sends_per_peer = 3}, any_memory);
}

TEST(Transport, cargo_for_which_the_dock_has_no_memory_arrives_all_the_same) {
  int asked = 0;
  CargoLog log;
  Transport transport(own_communicator());
  transport.set_dock([&asked](std::size_t) {
    ++asked;
    return nullptr;
  });
  Buffer bytes = pattern(100'000, 4);
  transport.send(transport.rank(), {}, log.lend(bytes));
  bool right = false;
  const auto receive = [&](int, std::span<const std::byte> message, const Cargo& cargo) {
    right = message.empty() && cargo.owner == nullptr && std::ranges::equal(cargo.bytes, bytes);
  };
  EXPECT_TRUE(poll_until(transport, receive, [&] { return right && transport.all_sent(); }));
  EXPECT_EQ(asked, 1);
  EXPECT_EQ(log.released, 1U);
  world().barrier();
}

TEST(Transport, an_unknown_peer_is_refused) {
  Transport transport(own_communicator());
  EXPECT_THROW(transport.send(transport.size(), Buffer{}), std::invalid_argument);
  EXPECT_THROW(transport.send(-1, Buffer{}), std::invalid_argument);
}

TEST(Transport, a_receiver_may_send) {
  Transport transport(own_communicator());
  const int next = (transport.rank() + 1) % transport.size();
  constexpr std::size_t laps = 100;
  const std::size_t hops = laps * static_cast<std::size_t>(transport.size());
  std::size_t received = 0;
  // The message grows by a byte with each hop.
  const auto pass_on = [&](int /*source*/, std::span<const std::byte> message, const Cargo&) {
    ++received;
    if (message.size() < hops) transport.send(next, Buffer(message.size() + 1));
  };
  if (transport.rank() == 0) transport.send(next, Buffer(1));
  EXPECT_TRUE(poll_until(transport, pass_on, [&] { return received == laps && transport.all_sent(); }));
  world().barrier();
}

TEST(Transport, flush_waits_for_a_slow_receiver_or_gives_up) {
  Transport transport(own_communicator());
  bool arrived = false;
  const auto receive = [&](int, std::span<const std::byte> message, const Cargo&) {
    arrived = message.size() == 20'000'000;
  };
  if (transport.rank() == 0) {
    transport.send(1, pattern(20'000'000, 3));
    EXPECT_FALSE(transport.flush(20ms));
    world().barrier();  // only now does the peer receive
    EXPECT_TRUE(transport.flush(20s));
  } else {
    world().barrier();
    if (transport.rank() == 1) {
      EXPECT_TRUE(poll_until(transport, receive, [&] { return arrived; }));
    }
  }
  world().barrier();
}

// The others don't receive at first: what is given up is left on its way.
TEST(Transport, a_peer_given_up_is_sent_no_more_and_not_waited_for) {
  constexpr std::size_t rendezvous = std::size_t{4} << 20;
  // Never ends: what is on its way would turn up in the next communicator with this one's number.
  auto& transport = *new Transport(own_communicator());  // NOLINT(cppcoreguidelines-owning-memory)
  if (transport.rank() == 0) {
    for (int peer = 1; peer < transport.size(); ++peer) {
      for (unsigned i = 0; i < 40; ++i) transport.send(peer, pattern(rendezvous, i));
    }
    EXPECT_FALSE(transport.all_sent());
    for (int peer = 1; peer < transport.size(); ++peer) transport.give_up(peer);
    EXPECT_TRUE(transport.all_sent());
    EXPECT_TRUE(transport.is_given_up(1));
    EXPECT_FALSE(transport.is_given_up(0));
    transport.send(1, pattern(1, 0));
    EXPECT_TRUE(transport.flush(0s));
    transport.send(0, pattern(3, 0));
    bool received = false;
    EXPECT_TRUE(poll_until(
        transport, [&](int source, auto message, const Cargo&) { received = source == 0 && message.size() == 3; },
        [&] { return received; }));
  }
  world().barrier();
}

// A peer that was taken for dead speaks all the same, also in the middle of a message.
TEST(Transport, what_a_peer_given_up_still_sends_is_dropped) {
  auto& transport =
      *new Transport(own_communicator(), {.part_bytes = 1000});  // NOLINT(cppcoreguidelines-owning-memory)
  constexpr int speaker = 1;
  if (transport.rank() == speaker) {
    transport.send(0, pattern(5, 0));
    EXPECT_TRUE(transport.flush(5s));
  }
  world().barrier();
  if (transport.rank() == 0) {
    bool received = false;
    EXPECT_TRUE(poll_until(
        transport, [&](int source, auto message, const Cargo&) { received = source == speaker && message.size() == 5; },
        [&] { return received; }));
    transport.give_up(speaker);
  }
  world().barrier();
  if (transport.rank() == speaker) {
    transport.send(0, pattern(10, 0));
    transport.send(0, pattern(5000, 0));
    transport.send(0, pattern(10, 0));
    EXPECT_TRUE(transport.flush(5s));
  }
  world().barrier();
  if (transport.rank() == 0) {
    transport.send(0, pattern(3, 0));
    int from_speaker = 0;
    bool received = false;
    for (int i = 0; i < 100 || !received; ++i) {
      transport.poll([&](int source, auto message, const Cargo&) {
        received |= source == 0 && message.size() == 3;
        from_speaker += source == speaker ? 1 : 0;
      });
    }
    EXPECT_EQ(from_speaker, 0);
  }
  world().barrier();
}

TEST(Outbox, wire_messages_arrive_in_order_however_they_are_batched) {
  Transport transport(own_communicator());
  Outbox outbox(transport);
  constexpr std::uint64_t messages = 5000;
  const Buffer large = pattern(Outbox::alone_bytes + 1, 9);
  std::uint64_t seen = 0;
  std::uint64_t transport_messages = 0;
  if (transport.rank() == 0) {
    for (std::uint64_t i = 0; i < messages; ++i) {
      if (i % 1000 == 999) {
        const wire::Results results{.lot = i, .first = 0, .count = 1, .nanoseconds = 1, .encoded = large};
        outbox.add_from_place(1, results, i < messages / 2 ? nullptr : std::make_shared<int>());
      } else {
        outbox.add(1, wire::Retracted{.lot = i});
      }
    }
    outbox.flush();
    EXPECT_TRUE(transport.flush(20s));
  } else if (transport.rank() == 1) {
    const auto receive = [&](int, std::span<const std::byte> bytes, const Cargo& cargo) {
      ++transport_messages;
      wire::for_each_to_master(bytes, cargo.bytes, [&](const auto& message) {
        if constexpr (requires { message.lot; }) {
          EXPECT_EQ(message.lot, seen++);
        }
        if constexpr (requires { message.encoded; }) {
          EXPECT_TRUE(std::ranges::equal(message.encoded, large));
        }
      });
    };
    EXPECT_TRUE(poll_until(transport, receive, [&] { return seen == messages; }));
    EXPECT_LE(transport_messages, 12U);
  }
  world().barrier();
}

TEST(Collectives, every_rank_learns_everybodys_facts) {
  RankFacts mine = facts_of_this_process();
  mine.executable_id = 1000 + static_cast<std::uint64_t>(world().rank());
  const std::vector<RankFacts> all = gather_facts(world(), mine);
  ASSERT_EQ(all.size(), static_cast<std::size_t>(world().size()));
  for (std::size_t rank = 0; rank < all.size(); ++rank) {
    EXPECT_EQ(all[rank].executable_id, 1000 + rank);
    EXPECT_FALSE(all[rank].host.empty());
    EXPECT_FALSE(all[rank].cpus.empty());
    EXPECT_GE(all[rank].cpus_online, 1U);
    EXPECT_LE(all[rank].node_group, static_cast<int>(rank));
  }
  EXPECT_EQ(all[static_cast<std::size_t>(world().rank())].process, mine.process);
}

TEST(Collectives, bytes_of_the_root_reach_all) {
  const int root = world().size() - 1;
  for (const std::size_t size : {std::size_t{0}, std::size_t{5}, std::size_t{100'000}}) {
    const bool is_root = world().rank() == root;
    EXPECT_EQ(broadcast_bytes(world(), is_root ? pattern(size, 4) : Buffer{}, root), pattern(size, 4));
    constexpr std::size_t part = 10;
    EXPECT_EQ(broadcast_bytes(world(), is_root ? pattern(size, 4) : Buffer{}, root, part), pattern(size, 4));
  }
}

TEST(Collectives, bytes_of_all_reach_all) {
  const auto all = gather_bytes_everywhere(world(), Buffer(static_cast<std::size_t>(world().rank())));
  ASSERT_EQ(all.size(), static_cast<std::size_t>(world().size()));
  for (std::size_t rank = 0; rank < all.size(); ++rank) EXPECT_EQ(all[rank].size(), rank);
}

TEST(Collectives, ranks_without_a_colour_get_no_communicator) {
  const bool in = world().rank() != 0;
  const auto part = split(world(), in ? std::optional(3) : std::nullopt);
  ASSERT_EQ(part.has_value(), in);
  if (part) {
    EXPECT_EQ(part->size(), world().size() - 1);
    EXPECT_EQ(part->rank(), world().rank() - 1);
  }
}

double cpu_seconds() {
  timespec time{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

TEST(Collectives, the_sleeping_barrier_waits_for_all_and_sleeps) {
  world().barrier();
  const auto start = Clock::now();
  const double cpu = cpu_seconds();
  if (world().rank() == 0) std::this_thread::sleep_for(1500ms);
  sleeping_barrier(world());
  const double share = (cpu_seconds() - cpu) / std::chrono::duration<double>(Clock::now() - start).count();
  EXPECT_GE(Clock::now() - start, 1400ms);
  EXPECT_LT(share, 0.2);
  std::cout << "sleeping_barrier, rank " << world().rank() << ": " << share * 100 << " % of a core\n";
}

TEST(Transport, waiting_with_backoff_leaves_the_cpu_alone) {
  Transport transport(own_communicator());
  Backoff backoff;
  const auto start = Clock::now();
  const double cpu = cpu_seconds();
  while (Clock::now() - start < 2s) {
    EXPECT_FALSE(transport.poll([](int, auto, const Cargo&) {}));
    if (const auto sleep = backoff.next(); sleep.count() > 0) std::this_thread::sleep_for(sleep);
  }
  const double share = (cpu_seconds() - cpu) / 2;
  EXPECT_LT(share, 0.2);
  std::cout << "idle transport, rank " << world().rank() << ": " << share * 100 << " % of a core\n";
  world().barrier();
}

TEST(Transport, latency) {
  Transport transport(own_communicator());
  constexpr int rounds = 2000;
  int received = 0;
  const auto receive = [&](int source, std::span<const std::byte> message, const Cargo&) {
    ++received;
    if (transport.rank() == 1 || received < rounds) {
      Buffer reply = transport.buffer();
      reply.assign(message.begin(), message.end());
      transport.send(source, std::move(reply));
    }
  };
  const auto start = Clock::now();
  if (transport.rank() == 0) transport.send(1, pattern(64, 0));
  if (transport.rank() <= 1) {
    EXPECT_TRUE(poll_until(transport, receive, [&] { return received == rounds && transport.all_sent(); }));
  }
  if (transport.rank() == 0) {
    std::cout << "round trip of 64 bytes: "
              << std::chrono::duration<double, std::micro>(Clock::now() - start).count() / rounds << " us\n";
  }
  world().barrier();
}

}  // namespace

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  MpiSession& session = MpiSession::start();
  session.require_thread_multiple();
  if (session.world().size() < 2) {
    std::cerr << "start with mpirun on at least 2 ranks\n";
    return 1;
  }
  if (session.world().rank() != 0) {
    auto& listeners = ::testing::UnitTest::GetInstance()->listeners();
    // Failures only: rank 0 prints the course of events.
    class Failures final : public ::testing::EmptyTestEventListener {
      void OnTestPartResult(const ::testing::TestPartResult& result) override {
        if (result.failed()) std::cerr << "rank " << world().rank() << ": " << result.summary() << '\n';
      }
    };
    delete listeners.Release(listeners.default_result_printer());
    listeners.Append(new Failures);
  }
  const int mine = RUN_ALL_TESTS();
  return boost::mpi::all_reduce(session.world(), mine, boost::mpi::maximum<int>());
}
