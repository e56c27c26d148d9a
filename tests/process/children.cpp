// Processes that tasks and the master start themselves.
//
//   children sleepers DIRECTORY COMMAND | launches COMMAND | forks
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <ranges>
#include <string>
#include <utility>

#include <rankpool/rankpool.hpp>

namespace {

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

}  // namespace

int main(int argc, char** argv) {
  const std::string what = argc > 1 ? argv[1] : "";
  const std::string last = argv[argc - 1];
  return rankpool::run(argc, argv, [&](rankpool::Pool& pool) {
    if (what == "sleepers") killed_with_children(pool, argv[2], last);
    if (what == "forks") fork_in_master(pool);
    if (what == "launches") {
      const auto [text, status] = pool.apply(output_of, last);
      std::cout << text << "status " << status << '\n';
    }
  });
}
