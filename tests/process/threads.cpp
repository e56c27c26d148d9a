// A program that starts a thread before run().
#include <chrono>
#include <iostream>
#include <stop_token>
#include <thread>

#include <rankpool/rankpool.hpp>

namespace {

int square(int x) { return x * x; }

}  // namespace

int main(int argc, char** argv) {
  const std::jthread thread([](const std::stop_token& stop) {
    while (!stop.stop_requested()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  });
  const auto report = [](rankpool::Pool& pool) { std::cout << pool.apply(square, 4) << '\n'; };
  const int status = rankpool::run(argc, argv, report, {.name = "first"});
  return status != 0 ? status : rankpool::run(argc, argv, report, {.name = "second"});
}
