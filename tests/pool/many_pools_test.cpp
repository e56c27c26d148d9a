// A thousand pools one after another in one program: by run(), or with the argument `open` by Pool::open. Every rank
// runs every case, in step, and looks at what it has left.
#include "pool/pool_test.hpp"
#include "pool/proc.hpp"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/mpi/communicator.hpp>
#include <boost/mpi/environment.hpp>

#include <unistd.h>

namespace {

namespace mpi = boost::mpi;
using rankpool::Pool;
using rankpool::PoolOptions;
using rankpool::test::entries;
using rankpool::test::family_of;
using rankpool::test::lines;
using rankpool::test::numbers;
using rankpool::test::resident_megabytes;
using rankpool::test::square;
using rankpool::test::squares;

/// Makes a pool, has the master use it, and ends it; on all ranks alike.
std::function<void(PoolOptions, const std::function<void(Pool&)>&)> with_pool;

/// @returns the number of files in /dev/shm, but for those that each MPI program of the machine makes and removes.
std::size_t shared_files() {
  const auto is_ours = [](const std::filesystem::directory_entry& entry) {
    return !entry.path().filename().string().starts_with("vader_segment");
  };
  const std::filesystem::directory_iterator files("/dev/shm");
  return static_cast<std::size_t>(std::count_if(begin(files), end(files), is_ours));
}

/// What this process and those that it has started hold.
struct Holdings {
  std::size_t processes = 0;
  std::size_t descriptors = 0;
  std::size_t mappings = 0;
  std::size_t threads = 0;
  double megabytes = 0;
  std::size_t shared_memory = shared_files();

  static Holdings now() {
    Holdings all;
    for (const std::string& pid : family_of(std::to_string(getpid()))) {
      ++all.processes;
      all.descriptors += entries("/proc/" + pid + "/fd");
      all.mappings += lines("/proc/" + pid + "/maps");
      all.threads += entries("/proc/" + pid + "/task");
      all.megabytes += resident_megabytes(pid);
    }
    return all;
  }
};

std::ostream& operator<<(std::ostream& out, const Holdings& all) {
  return out << all.descriptors << " descriptors, " << all.mappings << " mappings, " << all.threads << " threads, "
             << all.processes << " processes, " << all.shared_memory << " in /dev/shm, " << all.megabytes << " MB";
}

PoolOptions options_of(int turn) {
  PoolOptions options{.name = "pool " + std::to_string(turn), .processes = 1 + turn % 2};
  if (turn % 4 == 1) options.max_tasks_per_child = 5;
  if (turn % 4 == 2) options.initializer = [] {};
  return options;
}

/// One of the thousand; they differ in what they do and how they end.
void use_pool(Pool& pool, int turn) {
  EXPECT_EQ(pool.processes(), 1 + turn % 2);
  EXPECT_EQ(pool.name(), "pool " + std::to_string(turn));
  EXPECT_EQ(pool.map(square, numbers(20), {.chunksize = 2}), squares(20));
  switch (turn % 5) {
    case 0:
      pool.submit(square, turn).then([](int) {});
      break;
    case 1:
      EXPECT_THROW(pool.apply([] { _exit(3); }), rankpool::WorkerLost);
      break;
    case 2: {
      auto stream = pool.imap(square, numbers(100));
      EXPECT_EQ(stream.next(), 0);
      break;
    }
    case 3:
      pool.terminate();
      break;
    default:
      break;
  }
}

TEST(ThousandPools, leave_nothing_behind) {
  constexpr int warm_up = 60;  // every mixture of options and uses
  constexpr int pools = 1000;
  std::optional<Holdings> before;
  const auto start = std::chrono::steady_clock::now();
  for (int turn = 0; turn < pools && !HasFailure(); ++turn) {
    if (turn == warm_up) before = Holdings::now();
    with_pool(options_of(turn), [turn](Pool& pool) { use_pool(pool, turn); });
  }
  ASSERT_TRUE(before);
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  const Holdings after = Holdings::now();
  std::cout << elapsed.count() << " s; before: " << *before << "; after: " << after << std::endl;
  EXPECT_EQ(after.descriptors, before->descriptors);
  EXPECT_EQ(after.threads, before->threads);
  EXPECT_EQ(after.processes, before->processes);
  EXPECT_LE(after.shared_memory, before->shared_memory);
  EXPECT_LT(after.mappings, before->mappings + 20);  // the heap may be in more parts
  EXPECT_LT(after.megabytes, before->megabytes + 10);
}

TEST(TwoPools, with_different_options_know_nothing_of_each_other) {
  const auto executors = [](Pool& pool) {
    EXPECT_EQ(pool.map(square, numbers(100), {.chunksize = 1}), squares(100));
    return pool.processes();
  };
  with_pool({.max_attempts = 1, .name = "first", .processes = 1}, [&](Pool& pool) {
    EXPECT_EQ(executors(pool), 1);
    EXPECT_EQ(pool.name(), "first");
    EXPECT_THROW(pool.apply([] {
      if (rankpool::this_task::attempt() == 1) _exit(3);
    }),
                 rankpool::WorkerLost);
  });
  with_pool({.max_attempts = 2, .name = "second", .processes = 2}, [&](Pool& pool) {
    EXPECT_EQ(executors(pool), 2);
    EXPECT_EQ(pool.name(), "second");
    EXPECT_EQ(pool.apply([] {
      if (rankpool::this_task::attempt() == 1) _exit(3);
      return rankpool::this_task::attempt();
    }),
              2U);
  });
}

}  // namespace

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (std::find(argv + 1, argv + argc, std::string_view("open")) == argv + argc) {
    with_pool = [&](PoolOptions options, const auto& use) {
      EXPECT_EQ(rankpool::run(argc, argv, use, std::move(options)), 0);
    };
    return RUN_ALL_TESTS();
  }
  rankpool::prefork();
  const mpi::environment environment(argc, argv, mpi::threading::multiple);
  with_pool = [world = mpi::communicator()](PoolOptions options, const auto& use) {
    if (auto pool = Pool::open(world, std::move(options))) use(*pool);
  };
  const int status = RUN_ALL_TESTS();
  with_pool = {};
  return status;
}
