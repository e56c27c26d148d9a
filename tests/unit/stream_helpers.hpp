/// @file
/// Streams of results for tests, and who runs their tasks.
#pragma once

#include <atomic>
#include <memory>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <rankpool/rankpool.hpp>

#include "stream_pool.hpp"

namespace rankpool::test {

/// A pool, and the view of it that only tests have.
struct Streams {
  explicit Streams(Choice choice = oldest_first(), Driver driver = Driver::waiter)
      : core(std::make_shared<StreamPool>(std::move(choice), driver)), pool(core) {}
  std::shared_ptr<StreamPool> core;
  Pool pool;
};

/// Runs tasks until it is destroyed.
class Worker {
 public:
  explicit Worker(StreamPool& pool)
      : thread_([this, &pool] {
          while (!stop_) {
            if (!pool.step()) std::this_thread::yield();
          }
        }) {}
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  ~Worker() {
    stop_ = true;
    thread_.join();
  }

 private:
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

template <class Stream>
auto rest_of(Stream&& stream) {
  std::vector<typename std::remove_cvref_t<Stream>::value_type> items;
  for (auto& item : stream) items.push_back(std::move(item));
  return items;
}

template <class R>
inline void expect_end(ResultStream<R>& stream) {
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(stream.next());
  EXPECT_FALSE(stream.next(Seconds(0)));
  EXPECT_EQ(stream.begin(), stream.end());
}

}  // namespace rankpool::test
