// How calls end that are cancelled, refused their cancellation, or left with inputs undrawn.
#include "pool/pool_test.hpp"

#include <atomic>
#include <chrono>
#include <csignal>
#include <ranges>
#include <string>
#include <thread>
#include <vector>

#include "pool/gate.hpp"
#include "pool/proc.hpp"

namespace {

using namespace std::chrono_literals;
using namespace rankpool::test;  // NOLINT(google-build-using-namespace)
using rankpool::CancelledError;

constexpr auto any = [](int) { return true; };

int nap(int i) {
  std::this_thread::sleep_for(1ms);
  return i;
}

int await_file(const std::string& path) {
  while (std::ifstream(path).peek() == EOF) std::this_thread::sleep_for(1ms);
  return 1;
}

/// Runs until the file "go" has been written to, and then dies, in its first attempt.
int die_first(const std::string& running, const std::string& go) {
  append_line(running, "running");
  await_file(go);
  if (rankpool::this_task::attempt() == 1) (void)raise(SIGKILL);
  return 7;
}

int nap_and_tell(const std::string& path, int i) {
  append_line(path, "begun");
  return nap(i);
}

// --- cancel() --------------------------------------------------------------------------------------------------------

TEST(RefusedCancel, leaves_the_task_its_further_attempts) {
  const ScratchFile running;
  const ScratchFile go;
  const auto future = pool().submit(die_first, running.path(), go.path());
  await_file(running.path());
  EXPECT_FALSE(future.cancel());
  append_line(go.path(), "go");
  EXPECT_EQ(future.get(), 7);
  EXPECT_FALSE(future.cancelled());
}

TEST(Cancel, works_while_a_callback_takes_its_time) {
  const ScratchFile go;
  std::vector<rankpool::Future<int>> busy;
  for (int i = 0; i < pool().processes(); ++i) busy.push_back(pool().submit(await_file, go.path()));
  std::atomic<bool> in_callback = false;
  std::atomic<bool> leave = false;
  const auto waiting = pool().submit(square, 3);
  std::jthread caller([&] {
    auto ended = pool().submit(square, 4).then({}, [&](const std::exception_ptr&) {
      in_callback = true;
      while (!leave) std::this_thread::sleep_for(1ms);
    });
    EXPECT_TRUE(ended.cancel());
  });
  while (!in_callback) std::this_thread::sleep_for(1ms);
  std::jthread canceller([&] {
    // Cancelled at once; that its handle hears of it waits for the callback.
    EXPECT_TRUE(waiting.cancel());
  });
  while (!waiting.cancelled()) std::this_thread::sleep_for(1ms);
  leave = true;
  caller.join();
  canceller.join();
  append_line(go.path(), "go");
  for (const auto& future : busy) EXPECT_EQ(future.get(), 1);
  EXPECT_THROW((void)waiting.get(), CancelledError);
}

TEST(Cancel, of_many_that_wait_cancels_each) {
  const ScratchFile go;
  std::vector<rankpool::Future<int>> busy;
  for (int i = 0; i < pool().processes(); ++i) busy.push_back(pool().submit(await_file, go.path()));
  std::vector<rankpool::Future<int>> waiting;
  for (int i = 0; i < 2000; ++i) waiting.push_back(pool().submit(square, i));
  for (const auto& future : waiting) EXPECT_TRUE(future.cancel());
  for (const auto& future : waiting) EXPECT_TRUE(future.cancelled());
  append_line(go.path(), "go");
  for (const auto& future : busy) EXPECT_EQ(future.get(), 1);
}

TEST(Submit, of_texts_takes_little_memory) {
  const ScratchFile go;
  std::vector<rankpool::Future<int>> busy;
  for (int i = 0; i < pool().processes(); ++i) busy.push_back(pool().submit(await_file, go.path()));
  const auto length = [](const std::string& text) { return text.size(); };
  std::vector<rankpool::Future<std::size_t>> waiting;
  const auto before = resident_megabytes();
  for (int i = 0; i < 2000; ++i) waiting.push_back(pool().submit(length, std::string("abc")));
  EXPECT_LT(resident_megabytes() - before, 50);
  append_line(go.path(), "go");
  for (const auto& future : waiting) EXPECT_EQ(future.get(), 3U);
  for (const auto& future : busy) EXPECT_EQ(future.get(), 1);  // while the file is there
}

// --- ends of the pool; each the last of its pool ---------------------------------------------------------------------

TEST(JoinLast, ends_the_inputs_of_a_stream_that_is_left) {
  auto stream = pool().imap(square, std::views::iota(0), {.buffersize = 20});
  pool().close();
  pool().join();
  std::vector<int> got;
  EXPECT_THROW(while (const auto item = stream.next()) got.push_back(*item), CancelledError);
  EXPECT_EQ(got, squares(static_cast<int>(got.size())));
  EXPECT_GE(got.size(), 1U);
  EXPECT_EQ(stream.next(), std::nullopt);
}

TEST(JoinLast, waits_for_a_stream_that_another_thread_reads) {
  std::vector<int> got;
  std::atomic<bool> begun = false;
  std::jthread reader([&] {
    for (const int item : pool().imap(nap, numbers(300), {.buffersize = 10})) {
      got.push_back(item);
      begun = true;
    }
  });
  while (!begun) std::this_thread::sleep_for(1ms);
  pool().close();
  pool().join();
  reader.join();
  EXPECT_EQ(got, numbers(300));
}

TEST(ShutdownLast, that_cancels_a_stream_of_unknown_length_says_so) {
  auto stream = pool().imap(nap, numbers(1000) | std::views::filter(any), {.buffersize = 8});
  pool().shutdown({.cancel_pending = true, .wait = false});
  EXPECT_THROW(while (stream.next()) continue, CancelledError);
}

TEST(ShutdownLast, that_cancels_a_map_of_unknown_length_says_so) {
  const ScratchFile begun;
  std::jthread other([&] {
    await_file(begun.path());
    pool().shutdown({.cancel_pending = true, .wait = false});
  });
  EXPECT_THROW((void)pool().map(rankpool::bind(nap_and_tell, begun.path()), numbers(100'000) | std::views::filter(any),
                                {.chunksize = 1}),
               CancelledError);
}

TEST(TerminateLast, does_not_wait_for_a_callback_of_another_thread) {
  std::atomic<bool> in_callback = false;
  std::atomic<bool> leave = false;
  Gate gate;  // or the callback might be this thread's
  gate.call(pool(), 2).then([&](int) {
    in_callback = true;
    while (!leave) std::this_thread::sleep_for(1ms);
  });
  gate.open();
  while (!in_callback) std::this_thread::sleep_for(1ms);
  pool().terminate();
  leave = true;
  pool().join();
}

}  // namespace

int main(int argc, char** argv) {
  int status = run_cases(argc, argv, "-*Last.*");
  for (const char* last : {"*stream_that_is_left", "*another_thread_reads", "*cancels_a_stream*", "*cancels_a_map*",
                           "*callback_of_another_thread"}) {
    status |= run_cases(argc, argv, last);
  }
  return status;
}
