// What tasks print.
#include <array>
#include <cstddef>
#include <cstdio>
#include <iostream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include <rankpool/rankpool.hpp>

#include "heap_memory.hpp"
#include "serial_runner.hpp"
#include "task/this_task.hpp"
#include "tasks.hpp"

using namespace rankpool::test;  // NOLINT(google-build-using-namespace)

namespace {

/// Standard output is a pipe while it lives, and so is buffered by the block, as under mpirun.
class PipedOutput {
 public:
  PipedOutput() : saved_(dup(STDOUT_FILENO)) {
    std::fflush(stdout);
    if (pipe(ends_.data()) != 0) throw std::runtime_error("no pipe");
    dup2(ends_[1], STDOUT_FILENO);
    static std::array<char, 4096> buffer;
    std::setvbuf(stdout, buffer.data(), _IOFBF, buffer.size());
    fcntl(ends_[0], F_SETFL, O_NONBLOCK);
  }
  PipedOutput(const PipedOutput&) = delete;
  PipedOutput& operator=(const PipedOutput&) = delete;
  ~PipedOutput() {
    dup2(saved_, STDOUT_FILENO);
    for (const int fd : {ends_[0], ends_[1], saved_}) close(fd);
  }

  /// What has come through since the last time.
  std::string read() {
    std::array<char, 256> text;
    const ssize_t bytes = ::read(ends_[0], text.data(), text.size());
    return bytes < 0 ? "" : std::string(text.data(), static_cast<std::size_t>(bytes));
  }

 private:
  int saved_;
  std::array<int, 2> ends_{};
};

PipedOutput* piped = nullptr;

/// Prints in one task, and returns what came through of the tasks before it.
std::string print_with_c(int task) {
  std::string before = piped->read();
  std::printf("task %d\n", task);
  return before;
}
std::string print_with_cpp(int task) {
  std::string before = piped->read();
  std::cout << "task " << task << '\n';
  return before;
}
[[noreturn]] void print_and_throw(int task) {
  std::printf("task %d\n", task);
  throw std::runtime_error("thrown");
}

/// Keeps text until it is flushed.
struct Collecting : std::stringbuf {
  int sync() override {
    flushed += str();
    str("");
    return 0;
  }
  std::string flushed;
};

Collecting collected;
std::vector<std::string> flushed_before;  ///< each task

/// The first task gives std::cout a memory of its own, as its first output does where it isn't synchronised with C's.
void print_collecting(int task) {
  if (task == 1) {
    collected.sputn("x", 1);
    std::cout.rdbuf(&collected);
  }
  flushed_before.push_back(collected.flushed);
  std::cout << task;
}
std::string print_and_tell(int task) {
  print_collecting(task);
  return "told";
}
int print_and_throw_at_first(int task) {
  print_collecting(task);
  if (task == 1) throw std::runtime_error("thrown");
  return task;
}

/// Runs tasks 1 to 4 in one chunk, in a process that passes for an executor.
/// @returns whether each found the text of those before it flushed, but for the first's: nobody has looked for a
/// memory.
template <class R>
bool flushes_task_by_task(R (*task)(int)) {
  const pid_t pid = fork();
  if (pid == 0) {
    rankpool::task::mark_executor();
    (void)rankpool::detail::flush_output();  // as at the end of the chunk before
    const std::vector<int> numbers{1, 2, 3, 4};
    HeapResults results(0);
    const rankpool::detail::Chunk chunk{.inputs = reinterpret_cast<const std::byte*>(numbers.data()),
                                        .stride = sizeof(int),
                                        .offsets = nullptr,
                                        .count = numbers.size(),
                                        .results = &results};
    rankpool::detail::kernel_for<decltype(task), R, int>.run(&task, chunk);
    _exit(flushed_before == std::vector<std::string>{"", "", "x12", "x123"} ? 0 : 1);
  }
  int status = -1;
  waitpid(pid, &status, 0);
  return status == 0;
}

}  // namespace

TEST(TaskOutput, each_task_prints_before_the_next_one_runs) {
  PipedOutput output;
  piped = &output;
  const rankpool::MapOptions one_chunk{.chunksize = 3};
  EXPECT_EQ(serial_pool().map(print_with_c, {1, 2, 3}, one_chunk),
            (std::vector<std::string>{"", "task 1\n", "task 2\n"}));
  EXPECT_EQ(output.read(), "task 3\n");
  EXPECT_EQ(serial_pool().map(print_with_cpp, {1, 2, 3}, one_chunk),
            (std::vector<std::string>{"", "task 1\n", "task 2\n"}));
  EXPECT_EQ(output.read(), "task 3\n");
}

TEST(TaskOutput, a_task_that_throws_prints_too) {
  PipedOutput output;
  EXPECT_THROW(serial_pool().map(print_and_throw, {1}), std::runtime_error);
  EXPECT_EQ(output.read(), "task 1\n");
}

TEST(TaskOutput, cpp_streams_with_a_memory_of_their_own_are_flushed) {
  Collecting collecting;
  collecting.sputn("x", 1);  // has memory from now on
  std::streambuf* before = std::cout.rdbuf(&collecting);
  static const Collecting* seen;
  seen = &collecting;
  const auto print = [](int task) {
    std::string flushed = seen->flushed;
    std::cout << task;
    return flushed;
  };
  const auto results = serial_pool().map(print, {1, 2, 3}, {.chunksize = 3});
  std::cout.rdbuf(before);
  EXPECT_EQ(results, (std::vector<std::string>{"", "x1", "x12"}));
  EXPECT_EQ(collecting.flushed, "x123");
}

TEST(TaskOutput, of_an_executor_is_flushed_task_by_task_once_a_task_has_given_a_stream_a_memory) {
  EXPECT_TRUE(flushes_task_by_task(print_and_tell));
  EXPECT_TRUE(flushes_task_by_task(print_and_throw_at_first));
}
