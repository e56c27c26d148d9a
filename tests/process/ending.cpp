// A program in a job that is going to be ended:
//
//   ending sweep JOURNAL LEDGER TASKS      a map of tasks of TASK_MS with a journal; prints the sum of its results
//   ending catches | catches_and_works     gets JobEnding and returns 0, or goes on without an end
//   ending works                           calls nothing while the end comes
//   ending asks LEDGER JOURNAL             a task that runs until it is asked to stop
#include <chrono>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <map>
#include <numeric>
#include <ranges>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

#include <rankpool/rankpool.hpp>

namespace {

using namespace std::chrono_literals;
using rankpool::Pool;

void append(const std::string& file_name, const std::string& line) {
  const int file = open(file_name.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  const std::string whole = line + '\n';
  if (write(file, whole.data(), whole.size()) < 0) std::abort();
  close(file);
}

int work(const std::string& ledger, int task) {
  append(ledger, std::to_string(task));
  std::this_thread::sleep_for(std::chrono::milliseconds(std::atoi(std::getenv("TASK_MS"))));
  return 3 * task;
}

void sweep(Pool& pool, const std::vector<std::string>& arguments) {
  const auto task = rankpool::bind(work, arguments.at(1));
  const auto results = pool.map(task, std::views::iota(0, std::stoi(arguments.at(2))), {.journal = arguments.at(0)});
  std::cout << std::accumulate(results.begin(), results.end(), 0L) << '\n';
}

int catch_it(Pool& pool) {
  try {
    for (;;) pool.map([](int) { std::this_thread::sleep_for(10ms); }, std::views::iota(0, 100));
  } catch (const rankpool::JobEnding& error) {
    std::cout << "caught " << error.what() << std::endl;
  }
  // A call whose tasks take too long is cut short a bit before; a task of no length may run until the grace begins.
  try {
    for (;;) pool.apply([] {});
  } catch (const rankpool::JobEnding&) {
    std::cout << "no other" << std::endl;
  }
  return 0;
}

[[noreturn]] void work_on() {
  std::cout << "working" << std::endl;
  for (;;) std::this_thread::sleep_for(1s);
}

void wait_to_be_asked(Pool& pool, const std::string& ledger, const std::string& journal) {
  const auto task = [](const std::string& file) {
    append(file, "begun");
    while (!rankpool::this_task::stop_requested()) std::this_thread::sleep_for(1ms);
    append(file, "asked");
    return 1;
  };
  pool.map(task, {ledger}, {.journal = journal});
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 2, argv + argc);
  const std::string what = argv[1];
  return rankpool::run(argc, argv, [&](Pool& pool) {
    if (what == "sweep") sweep(pool, arguments);
    if (what == "catches" || what == "catches_and_works") catch_it(pool);
    if (what == "works" || what == "catches_and_works") work_on();
    if (what == "asks") wait_to_be_asked(pool, arguments.at(0), arguments.at(1));
    return 0;
  });
}
