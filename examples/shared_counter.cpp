// The classic of the tutorials on sharing state: four tasks add 10,000 times 1 to one counter.
#include <iostream>
#include <mutex>
#include <ranges>

#include <rankpool/rankpool.hpp>

constexpr int tasks = 4;
constexpr int steps = 10'000;

// In two steps, between which others must not come: the lock sees to that.
void count_with_lock(rankpool::Value<int> counter, rankpool::Lock lock) {
  for (int i = 0; i < steps; ++i) {
    const std::scoped_lock held(lock);
    counter.set(counter.get() + 1);
  }
}

int main(int argc, char** argv) {
  return rankpool::run(argc, argv, [](rankpool::Pool& pool) {
    const auto counter = pool.value(0);
    const auto lock = pool.lock();
    pool.map([=](int) { count_with_lock(counter, lock); }, std::views::iota(0, tasks));
    std::cout << "with a lock: " << counter.get() << '\n';

    // In one step, which needs no lock and is much faster.
    counter.set(0);
    const auto count = [counter](int) {
      for (int i = 0; i < steps; ++i) counter.fetch_add(1);
    };
    pool.map(count, std::views::iota(0, tasks));
    std::cout << "with fetch_add: " << counter.get() << '\n';
  });
}
