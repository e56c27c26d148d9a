// Under RANKPOOL_INLINE=1 other threads may end the pool, or a call, while a task runs. Each case has a pool of its
// own.
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <future>
#include <iostream>
#include <ranges>
#include <string>
#include <thread>

#include <rankpool/rankpool.hpp>

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

// Tasks see them: they run in this very process.
std::atomic<int> started = 0;
std::atomic<bool> may_end = false;

int failures = 0;

void check(bool holds, const std::string& what) {
  if (holds) return;
  std::cout << "FAILED: " << what << std::endl;
  ++failures;
}

/// Lets no test hang when what it waits for never comes.
void await(const std::function<bool()>& condition) {
  const auto deadline = Clock::now() + 5s;
  while (!condition() && Clock::now() < deadline) std::this_thread::sleep_for(1ms);
}

bool wait_for_master(int /*task*/) {
  ++started;
  await([] { return may_end.load(); });
  return may_end;
}

void take_a_while(int /*task*/) {
  ++started;
  std::this_thread::sleep_for(100ms);
}

template <class F>
auto start_map(rankpool::Pool& pool, const F& f) {
  started = 0;
  auto call = std::async(std::launch::async, [&pool, f] { return pool.map(f, std::views::iota(0, 20)); });
  await([] { return started > 0; });
  return call;
}

template <class Error, class Act>
bool throws(const Act& act) {
  try {
    act();
  } catch (const Error&) {
    return true;
  }
  return false;
}

void close(rankpool::Pool& pool) {
  auto call = start_map(pool, wait_for_master);
  pool.close();
  check(pool.state() == rankpool::PoolState::closed, "close() takes effect while a task runs");
  may_end = true;
  pool.join();
  bool met = true;
  for (const bool one : call.get()) met = met && one;
  check(met, "close() returns while a task runs");
  check(started == 20, "a closed pool finishes its calls");
}

void terminate(rankpool::Pool& pool) {
  auto call = start_map(pool, take_a_while);
  pool.terminate();
  check(throws<rankpool::CancelledError>([&] { call.get(); }), "terminate() cancels the call");
  check(started < 20, "terminate() lets no task run but the one that runs");
  const int ran = started;
  pool.join();
  check(started == ran, "a terminated pool runs nothing");
}

void time_out(rankpool::Pool& pool) {
  started = 0;
  check(throws<rankpool::TimeoutError>(
            [&] { pool.map(take_a_while, std::views::iota(0, 20), {.timeout = rankpool::Seconds(0.15)}); }),
        "a call times out");
  const int ran = started;
  check(ran < 20, "a time-out comes before the last task");
  pool.apply(take_a_while, 1);
  pool.close();
  pool.join();
  check(started == ran + 1, "the tasks of a call that has timed out do not run");
}

}  // namespace

int main(int argc, char** argv) {
  for (const auto& use : {close, terminate, time_out}) {
    const int status = rankpool::run(argc, argv, use);
    check(status == EXIT_SUCCESS, "run() ends well");
  }
  return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
