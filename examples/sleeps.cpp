// Tasks that wait rather than compute: four sleeps of 2 s at the same time take 2 s, on however few cores.
// What a task prints appears on the master's terminal.
#include <chrono>
#include <iostream>
#include <ranges>
#include <thread>

#include <CLI/CLI.hpp>

#include <rankpool/rankpool.hpp>

using namespace std::chrono_literals;

void sleep_for_2_s(int task) {
  std::cout << "task " << task << " sleeps" << std::endl;
  std::this_thread::sleep_for(2s);
  std::cout << "task " << task << " is awake" << std::endl;
}

int main(int argc, char** argv) {
  // The options of the pool are needed before run(), hence parsed on every rank.
  int executors = 4;
  CLI::App app("Four sleeps of 2 s, at the same time");
  app.add_option("executors", executors, "number of executors")->check(CLI::Range(1, 64))->capture_default_str();
  CLI11_PARSE(app, argc, argv)

  const auto master = [](rankpool::Pool& pool) {
    const auto start = std::chrono::steady_clock::now();
    pool.map(sleep_for_2_s, std::views::iota(0, 4), {.chunksize = 1});
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    std::cout << "4 sleeps of 2 s on " << pool.processes() << " executors: " << elapsed.count() << " s\n";
  };
  return rankpool::run(argc, argv, master, {.processes = executors});
}
