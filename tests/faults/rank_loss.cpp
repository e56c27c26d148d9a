// Maps 60 KB payloads while worker ranks are killed at random times:
//
//   rank_loss SEED KILLS SECONDS
//
// Status 3: a result is wrong; 7: there are not so many worker ranks.
// The same seed kills after the same pauses. The ranks are found as the other children of whoever started this one.
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <rankpool/rankpool.hpp>

namespace {

using Clock = std::chrono::steady_clock;
using Payload = std::vector<double>;

constexpr std::size_t payload_length = 7500;  // 60 KB
constexpr int tasks_per_map = 400;

double value_at(int task, std::size_t i) { return task * 0.5 + static_cast<double>(i); }

Payload payload(int task) {
  Payload made(payload_length);
  for (std::size_t i = 0; i < made.size(); ++i) made[i] = value_at(task, i);
  return made;
}

Payload twice(const Payload& input) {
  std::this_thread::sleep_for(std::chrono::milliseconds(1));
  Payload result = input;
  for (double& value : result) value *= 2;
  return result;
}

bool is_right(int task, const Payload& result) {
  if (result.size() != payload_length) return false;
  for (std::size_t i = 0; i < result.size(); ++i) {
    if (result[i] != 2 * value_at(task, i)) return false;
  }
  return true;
}

std::vector<pid_t> worker_ranks() {
  const std::string launcher = std::to_string(getppid());
  std::ifstream children("/proc/" + launcher + "/task/" + launcher + "/children");
  std::vector<pid_t> ranks;
  for (pid_t child = 0; children >> child;) {
    if (child != getpid()) ranks.push_back(child);
  }
  return ranks;
}

/// Kills so many of the ranks one after the other, at times that the seed alone decides.
void kill_ranks(std::vector<pid_t> ranks, unsigned seed, std::size_t kills, double seconds, std::atomic<int>& killed) {
  std::mt19937 random(seed);
  std::shuffle(ranks.begin(), ranks.end(), random);
  std::uniform_real_distribution<double> pause(0, seconds / static_cast<double>(kills));
  for (std::size_t i = 0; i < kills; ++i) {
    std::this_thread::sleep_for(std::chrono::duration<double>(pause(random)));
    if (kill(ranks[i], SIGKILL) == 0) ++killed;
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 64;
  const auto seed = static_cast<unsigned>(std::atoi(argv[1]));
  const auto kills = static_cast<std::size_t>(std::atoi(argv[2]));
  const double seconds = std::atof(argv[3]);
  return rankpool::run(argc, argv, [=](rankpool::Pool& pool) {
    const std::vector<pid_t> ranks = worker_ranks();
    if (kills > ranks.size()) return 7;
    std::vector<Payload> inputs;
    for (int task = 0; task < tasks_per_map; ++task) inputs.push_back(payload(task));
    std::atomic<int> killed = 0;
    std::jthread killer([&] { kill_ranks(ranks, seed, kills, seconds, killed); });

    long tasks = 0;
    const auto end = Clock::now() + std::chrono::duration<double>(seconds);
    while (Clock::now() < end || killed < static_cast<int>(kills)) {
      const std::vector<Payload> results = pool.map(twice, inputs);
      for (int task = 0; task < tasks_per_map; ++task, ++tasks) {
        if (is_right(task, results.at(static_cast<std::size_t>(task)))) continue;
        std::cerr << "task " << task << " has a wrong result\n";
        return 3;
      }
    }
    std::cout << tasks << " tasks right, " << killed << " ranks killed, seed " << seed << '\n';
    return 0;
  });
}
