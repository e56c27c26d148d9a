// A sweep that keeps its results, and tells of each task that it runs:
//
//   journal_resume JOURNAL LEDGER TASKS
//
// Each task adds its number to the file LEDGER. What is printed depends on all results, and on nothing else.
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <random>
#include <ranges>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

#include <rankpool/rankpool.hpp>

namespace {

using namespace std::chrono_literals;

/// As many numbers as the task's own number says.
std::vector<double> draw(const std::string& ledger, int task) {
  const int file = open(ledger.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  const std::string line = std::to_string(task) + '\n';
  if (write(file, line.data(), line.size()) < 0) std::abort();
  close(file);
  std::this_thread::sleep_for(5ms);
  std::vector<double> numbers(static_cast<std::size_t>(task % 7));
  for (double& number : numbers) number = std::uniform_real_distribution()(rankpool::this_task::rng());
  return numbers;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 64;
  const std::string ledger = argv[2];
  return rankpool::run(argc, argv, [&](rankpool::Pool& pool) {
    const auto task = rankpool::bind(draw, ledger);
    double sum = 0;
    int place = 0;
    // Two calls, told apart by their order.
    for (int call = 0; call < 2; ++call) {
      for (const auto& numbers : pool.map(task, std::views::iota(0, std::atoi(argv[3]) / 2), {.journal = argv[1]})) {
        for (const double number : numbers) sum += number * (1 + ++place % 11);
      }
    }
    std::cout.precision(17);
    std::cout << sum << '\n';
  });
}
