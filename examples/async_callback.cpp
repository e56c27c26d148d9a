// A result that announces itself: the callback prints while the main flow is still busy with something else.
#include <chrono>
#include <cmath>
#include <exception>
#include <iostream>
#include <stdexcept>
#include <thread>

#include <rankpool/rankpool.hpp>

using namespace std::chrono_literals;

double area_under_sine(int steps) {
  if (steps <= 0) throw std::invalid_argument("a sum needs at least one step");
  double sum = 0;
  const double width = 3.14159265358979 / steps;
  for (int i = 0; i < steps; ++i) sum += std::sin((i + 0.5) * width) * width;
  return sum;
}

int main(int argc, char** argv) {
  return rankpool::run(argc, argv, [](rankpool::Pool& pool) {
    const auto print = [](double area) { std::cout << "callback: the area is " << area << std::endl; };
    const auto complain = [](const std::exception_ptr& error) {
      try {
        std::rethrow_exception(error);
      } catch (const std::exception& caught) {
        std::cout << "callback: no area: " << caught.what() << std::endl;
      }
    };
    const auto good = pool.apply_async(area_under_sine, 1'000'000).then(print, complain);
    const auto bad = pool.apply_async(area_under_sine, 0).then(print, complain);

    std::this_thread::sleep_for(300ms);  // the main flow has work of its own
    std::cout << "main flow: ready " << good.ready() << ", successful " << bad.successful() << std::endl;
    std::cout << "main flow: the area is " << good.get() << std::endl;
  });
}
