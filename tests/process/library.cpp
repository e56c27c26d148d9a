// A library of which there are two builds, told apart by BUILD.
#include <chrono>
#include <thread>

// Lasts, so that no rank comes too late for a task, however busy the machine.
int build_of_library(int task) {
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  return 1000 * BUILD + task;
}
