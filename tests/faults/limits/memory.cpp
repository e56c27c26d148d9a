// Where memory is short for the whole program: tasks that ask for too much have that as their error, the others run.
//
//   memory [KILOBYTES [fill]]      that each rank may allocate beyond what it has when main() starts
//
// With `fill` the master uses up all but a little before it calls the pool: the call has its result or std::bad_alloc,
// and the next one, with memory again, is right.
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <exception>
#include <forward_list>
#include <fstream>
#include <iostream>
#include <new>
#include <ranges>
#include <stdexcept>
#include <string>
#include <vector>

#include <rankpool/rankpool.hpp>

namespace {

constexpr rlim_t kilobyte = 1024;

rlim_t kilobytes_of_this_process() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    if (word == "VmData:" && status >> word) return std::stoul(word);
  }
  throw std::runtime_error("no VmData in /proc/self/status");
}

void limit_data(rlim_t kilobytes) {
  rlimit data{};
  getrlimit(RLIMIT_DATA, &data);
  data.rlim_cur = std::min(data.rlim_max, kilobytes * kilobyte);
  if (setrlimit(RLIMIT_DATA, &data) != 0) throw std::runtime_error("setrlimit failed");
}

std::size_t allocate(std::size_t bytes) {
  const std::vector<char> memory(bytes);
  asm volatile("" : : "r"(memory.data()) : "memory");
  return memory.size();
}

bool is_lack_of_memory(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const std::bad_alloc&) {
    return true;
  }
}

void play(rankpool::Pool& pool) {
  constexpr std::size_t far_too_much = std::size_t{1} << 42U;
  constexpr int tasks = 100;
  const auto task = [](int i) { return allocate(i % 10 == 3 ? far_too_much : static_cast<std::size_t>(i)); };
  for (int turn = 0; turn < 3; ++turn) {
    const auto outcomes = pool.map_outcomes(task, std::views::iota(0, tasks));
    for (int i = 0; i < tasks; ++i) {
      const auto& outcome = outcomes.at(static_cast<std::size_t>(i));
      if (outcome.has_value() != (i % 10 != 3)) throw std::runtime_error("a task has what another should have");
      if (!outcome.has_value() && !is_lack_of_memory(outcome.exception())) throw std::runtime_error("a wrong error");
    }
  }
  std::cout << "right" << std::endl;
}

void fill_and_play(rankpool::Pool& pool) {
  constexpr std::size_t block = 1000;
  int refused = 0;
  play(pool);
  for (std::size_t blocks_left = 0; blocks_left < 100; blocks_left += 1 + blocks_left / 8) {
    std::forward_list<std::array<char, block>> filling;
    try {
      for (;;) filling.emplace_front();
    } catch (const std::bad_alloc&) {
    }
    for (std::size_t i = 0; i < blocks_left; ++i) filling.pop_front();
    try {
      (void)pool.map_outcomes([](int i) { return i; }, std::views::iota(0, 1000), {.chunksize = 10});
    } catch (const std::bad_alloc&) {
      ++refused;
    }
    filling.clear();
    play(pool);
  }
  std::cout << refused << " calls had no memory" << std::endl;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1) limit_data(kilobytes_of_this_process() + std::stoul(argv[1]));
  return rankpool::run(argc, argv, argc > 2 ? fill_and_play : play, {.processes = 3});
}
