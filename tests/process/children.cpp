// Processes that tasks and the master start themselves.
//
//   children sleepers DIRECTORY COMMAND | launches COMMAND | forks | comes_back | uses_pool | runs | kills_zygote
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <ranges>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

#include <rankpool/rankpool.hpp>

namespace {

using namespace std::chrono_literals;

int run_command(const std::string& directory, const std::string& command) {
  std::ofstream(directory + "/task." + std::to_string(getpid()));
  return std::system(command.c_str());
}

/// @returns what the command prints, and its status.
std::pair<std::string, int> output_of(const std::string& command) {
  std::string text;
  FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return {"popen failed", -1};
  std::array<char, 256> line{};
  while (std::fgets(line.data(), static_cast<int>(line.size()), pipe) != nullptr) text += line.data();
  return {text, pclose(pipe)};
}

int square(int x) { return x * x; }

void killed_with_children(rankpool::Pool& pool, const std::string& directory, const std::string& command) {
  for (const auto& outcome : pool.starmap_outcomes(run_command, {{directory, command}}, {.max_attempts = 1})) {
    try {
      const int status = outcome.value();
      std::cout << "the command ended with " << status << '\n';
    } catch (const rankpool::WorkerLost& lost) {
      std::cout << "lost: " << lost.what() << '\n';
    }
  }
  std::cout << "the pool goes on: " << pool.apply(square, 4) << '\n';
}

int wait_for(pid_t child) {
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void fork_in_master(rankpool::Pool& pool) {
  pool.map(square, std::views::iota(0, 10));
  std::cout.flush();
  if (const pid_t child = fork(); child == 0) {
    execlp("sh", "sh", "-c", "echo another program; exit 5", nullptr);
    _exit(EXIT_FAILURE);
  } else {
    std::cout << "it ended with " << wait_for(child) << '\n';
  }
  std::cout.flush();
  // The run isn't this process's: its exit must not end it.
  if (const pid_t child = fork(); child == 0) {
    std::exit(6);
  } else {
    std::cout << "the fork ended with " << wait_for(child) << '\n';
  }
  std::cout << "the pool goes on: " << pool.map(square, std::views::iota(0, 5)).back() << '\n';
}

/// A child that runs on where the task was called.
int fork_and_return(int task) {
  std::cout << "task " << task;  // stands in the child's buffer too
  const pid_t child = fork();
  if (child == 0) return -1;
  std::cout << (wait_for(child) == EXIT_FAILURE ? " is alone" : " has company") << std::endl;
  return task;
}

int fork_and_throw(int task) {
  const pid_t child = fork();
  if (child == 0) throw std::runtime_error("no such program");
  return wait_for(child) == EXIT_FAILURE ? task : -1;
}

void come_back_out_of_tasks(rankpool::Pool& pool) {
  int right = 0;
  for (const int x : pool.map(fork_and_return, std::views::iota(0, 4))) right += x;
  for (const int x : pool.map(fork_and_throw, std::views::iota(0, 4))) right += x;
  std::cout << right << " of 12 are right\n";
  std::cout << "the pool goes on: " << pool.apply(square, 4) << std::endl;
}

/// @returns in the child too, as programs do whose exec fails.
int use_in_child(rankpool::Pool& pool) {
  const auto future = pool.submit([] { std::this_thread::sleep_for(1s); });
  auto stream = pool.imap(square, std::views::iota(0));
  std::cout.flush();
  if (const pid_t child = fork(); child == 0) {
    try {
      pool.map(square, std::views::iota(0, 10));
    } catch (const std::logic_error& error) {
      std::cout << "refused: " << error.what() << '\n';
    }
    try {
      future.get();
    } catch (const std::logic_error& error) {
      std::cout << "refused: " << error.what() << '\n';
    }
    try {
      while (stream.next()) continue;
    } catch (const std::logic_error& error) {
      std::cout << "refused: " << error.what() << '\n';
    }
    if (!future.running()) std::cout << "the child's future does not run\n";
    pool.terminate();
    pool.join();
    return 9;
  } else {
    std::cout << "the child ended with " << wait_for(child) << '\n';
  }
  std::cout.flush();
  if (const pid_t child = fork(); child == 0) {
    throw std::runtime_error("the child gives up");
  } else {
    std::cout << "the other one ended with " << wait_for(child) << '\n';
  }
  future.get();
  std::cout << "the stream goes on: " << *stream.next() << *stream.next() << *stream.next() << '\n';
  std::cout << "the pool goes on: " << pool.map(square, std::views::iota(0, 5)).back() << '\n';
  return 0;
}

/// Parent and child have a pool each.
int run_in_child(int argc, char** argv) {
  const auto report = [](rankpool::Pool& pool) {
    return pool.map(square, std::views::iota(0, 1000), {.chunksize = 1}).back() == 999 * 999 ? 7 : 1;
  };
  rankpool::prefork();
  const pid_t child = fork();
  const int status = rankpool::run(argc, argv, report);
  if (child != 0) std::cout << "the child's run gave " << wait_for(child) << ", the parent's " << status << '\n';
  return status;
}

/// One task kills the zygote, their parent; none ends before its executor dies of that.
int kill_zygote(int task) {
  if (task == 0) kill(getppid(), SIGKILL);
  sleep(60);
  return task;
}

void lose_zygote(rankpool::Pool& pool) {
  try {
    pool.map(kill_zygote, std::views::iota(0, 10));
  } catch (const rankpool::BrokenPool& error) {
    std::cout << "broken: " << error.what() << '\n';
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::string what = argc > 1 ? argv[1] : "";
  const std::string last = argv[argc - 1];
  if (what == "runs") return run_in_child(argc, argv);
  return rankpool::run(argc, argv, [&](rankpool::Pool& pool) {
    if (what == "uses_pool") return use_in_child(pool);
    if (what == "sleepers") killed_with_children(pool, argv[2], last);
    if (what == "forks") fork_in_master(pool);
    if (what == "comes_back") come_back_out_of_tasks(pool);
    if (what == "kills_zygote") lose_zygote(pool);
    if (what == "launches") {
      const auto [text, status] = pool.apply(output_of, last);
      std::cout << text << "status " << status << '\n';
    }
    return 0;
  });
}
