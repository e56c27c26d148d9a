// The ways in which a program with a pool ends.
#include <sys/types.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <boost/serialization/split_member.hpp>

#include <rankpool/rankpool.hpp>

namespace {

using namespace std::chrono_literals;

void leave_mark(const std::string& directory, const std::string& kind) {
  std::ofstream(directory + "/" + kind + "." + std::to_string(getpid()));
}

std::ptrdiff_t marks(const std::string& directory) {
  return std::distance(std::filesystem::directory_iterator(directory), std::filesystem::directory_iterator());
}

int twice(int x) { return 2 * x; }

void last_long(const std::string& directory) {
  leave_mark(directory, "task");
  std::this_thread::sleep_for(100s);
}

[[noreturn]] void ignore_all_signals() {
  for (int signal = 1; signal < NSIG; ++signal) std::signal(signal, SIG_IGN);
  for (volatile unsigned turns = 0;;) turns = turns + 1;
}

/// With a child that ignores them too, out of the executor's process group.
void ignore_all_signals_with_child(const std::string& directory) {
  if (fork() == 0) {
    setpgid(0, 0);
    ignore_all_signals();
  }
  leave_mark(directory, "task");
  ignore_all_signals();
}

/// Every executor has such a task, and others wait.
void map_long_tasks(rankpool::Pool& pool, const std::string& directory, void (*task)(const std::string&) = last_long) {
  const std::vector<std::string> inputs(static_cast<std::size_t>(3 * pool.processes()), directory);
  pool.map(task, inputs, {.chunksize = 1});
}

/// Ends the program from another thread as soon as `ready` holds.
template <class Ready>
std::thread exit_in_a_thread(const Ready& ready) {
  return std::thread([ready] {
    while (!ready()) std::this_thread::sleep_for(10ms);
    std::exit(5);
  });
}

/// What the end of the pool does to the call is nothing for the master to see.
int thread_exits_during_a_map(rankpool::Pool& pool, const std::string& directory) {
  std::thread exits = exit_in_a_thread([&] { return marks(directory) >= pool.processes(); });
  try {
    map_long_tasks(pool, directory);
  } catch (const std::exception& error) {
    std::cerr << "the master saw: " << error.what() << std::endl;
    std::exit(1);
  }
  exits.join();
  return 1;
}

int thread_exits_while_the_master_sleeps() {
  exit_in_a_thread([] { return true; }).join();
  return 1;
}

/// Ends the program that it is brought into.
struct Exits {
  template <class Archive>
  void save(Archive& archive, unsigned) const {
    const int status = 5;
    archive << status;
  }
  template <class Archive>
  void load(Archive& archive, unsigned) {
    int status = 0;
    archive >> status;
    std::exit(status);
  }
  BOOST_SERIALIZATION_SPLIT_MEMBER()
};

Exits make_exits(int) { return {}; }

/// A task that runs in the master's process ends it.
int exit_in_a_task(int x) { std::exit(x); }

std::optional<rankpool::Pool> kept;

struct MovesThePool {
  rankpool::Pool& pool;
  int drops() const {
    const rankpool::Pool mine = std::move(pool);
    return 7;
  }
  int drops_and_exits() const {
    (void)drops();
    std::exit(7);
  }
  int drops_and_throws() const {
    (void)drops();
    throw std::runtime_error("the master gives up");
  }
  int keeps() const {
    kept = std::move(pool);
    return kept->apply(twice, 3) + 1;
  }
  int keeps_and_exits() const { std::exit(keeps()); }
  int keeps_and_throws() const {
    (void)keeps();
    throw std::runtime_error("the master gives up");
  }
};

/// A pool that outlives run() is one that has ended.
int use_kept_pool(int status) {
  if (!kept) return status;
  try {
    (void)kept->apply(twice, 1);
    return 1;
  } catch (const rankpool::PoolClosed&) {  // as it must be
  }
  kept->join();
  kept->terminate();
  return kept->state() == rankpool::PoolState::closed && kept->processes() > 0 ? status : 1;
}

int exit_during_a_map(rankpool::Pool& pool, const std::string& directory) {
  std::thread([&pool, &directory] {
    try {
      map_long_tasks(pool, directory);
    } catch (const std::exception&) {  // the end of the program cancels it
    }
    for (;;) std::this_thread::sleep_for(1h);
  }).detach();
  while (marks(directory) < pool.processes()) std::this_thread::sleep_for(10ms);
  std::exit(7);
}

int end_moved(rankpool::Pool& pool, const std::string& how) {
  const MovesThePool moves{pool};
  if (how == "drop") return moves.drops();
  if (how == "drop_exit") return moves.drops_and_exits();
  if (how == "drop_throw") return moves.drops_and_throws();
  if (how == "keep") return moves.keeps();
  if (how == "keep_exit") return moves.keeps_and_exits();
  return moves.keeps_and_throws();
}

int end(rankpool::Pool& pool, const std::string& how, const std::string& directory) {
  pool.map(twice, {1, 2, 3, 4});
  if (how == "throw") throw std::runtime_error("the master gives up");
  if (how == "throw_int") throw 5;  // NOLINT(hicpp-exception-baseclass): that is the point
  if (how == "return") return 7;
  if (how == "exit") std::exit(7);
  if (how == "exit_during_a_map") return exit_during_a_map(pool, directory);
  if (how == "thread_exits_during_a_map") return thread_exits_during_a_map(pool, directory);
  if (how == "thread_exits_while_the_master_sleeps") return thread_exits_while_the_master_sleeps();
  if (how == "exit_in_a_result") pool.map(make_exits, {1, 2, 3});
  if (how == "exit_in_a_futures_result") pool.map_async(make_exits, {1, 2, 3}).get();
  if (how == "exit_in_a_task") pool.apply(exit_in_a_task, 5);
  if (how == "last") map_long_tasks(pool, directory);
  if (how == "last_stubborn") map_long_tasks(pool, directory, ignore_all_signals_with_child);
  if (how.starts_with("drop") || how.starts_with("keep")) return end_moved(pool, how);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string how = argc > 1 ? argv[1] : "";
  const std::string directory = argc > 2 ? argv[2] : "";
  const char* rank = std::getenv("OMPI_COMM_WORLD_RANK");
  if (how.starts_with("last") && rank != nullptr) leave_mark(directory, std::string("rank") + rank);
  return use_kept_pool(rankpool::run(argc, argv, [&](rankpool::Pool& pool) { return end(pool, how, directory); }));
}
