// A crash's stack in words.
#include "task/backtrace.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "task/code_location.hpp"

[[gnu::noinline]] const void* where_am_i() {
  const void* here = __builtin_return_address(0);
  asm volatile("");
  return here;
}

/// Gives an address within itself.
[[gnu::noinline]] const void* stands_in_the_grid(int step) {
  const void* here = where_am_i();
  asm volatile("" : : "r"(step));
  return here;
}

namespace {

using rankpool::task::backtrace_lines;
using rankpool::task::Call;

Call call(std::string function, std::string module = "app", std::string file = {}) {
  return {.function = std::move(function), .file = std::move(file), .line = 1, .module = std::move(module)};
}

std::vector<std::string> kept(std::vector<Call> calls) {
  rankpool::task::keep_tasks_own(calls);
  std::vector<std::string> functions;
  for (const Call& c : calls) functions.push_back(c.function);
  return functions;
}

using Functions = std::vector<std::string>;

const Call door = call("rankpool::detail::KernelFunctions<double (*)(int), double, int>::run(void*, Chunk const&)");

TEST(Backtrace, begins_with_the_function_of_an_address) {
  auto address = rankpool::task::locate(stands_in_the_grid(3));
  ASSERT_TRUE(address.has_value());
  --address->offset;
  const auto lines = backtrace_lines({&*address, 1});
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_TRUE(lines[0].starts_with("stands_in_the_grid(int)")) << lines[0];
#if defined(__OPTIMIZE__) || defined(__SANITIZE_ADDRESS__)
  EXPECT_NE(lines[0].find("backtrace_test.cpp:"), std::string::npos) << lines[0];
#endif
}

TEST(Backtrace, gives_module_and_offset_where_there_is_no_name) {
  const std::vector<rankpool::detail::CodeAddress> stack{{.module = 0, .offset = 0, .name = {}},
                                                         {.module = 0, .offset = 0x1a2b, .name = {"libplugin.so"}},
                                                         {.module = 77, .offset = 0x10, .name = {"libother.so"}}};
  EXPECT_EQ(backtrace_lines(stack), (Functions{"0x0, where no code is", "libplugin.so+0x1a2b", "libother.so+0x10"}));
}

TEST(Backtrace, of_nothing_is_empty) { EXPECT_TRUE(backtrace_lines({}).empty()); }

TEST(Backtrace, leaves_out_how_the_pool_came_to_the_task) {
  EXPECT_EQ(kept({call("overrun(int)"), call("simulate(double)"), call("double std::__invoke_impl<double>(x)"),
                  call("decltype(auto) rankpool::Fn<&(sim(int))>::operator()<int>(int&&) const"),
                  call("operator()<int>", "app", "/usr/include/rankpool/bind.hpp"), door,
                  call("rankpool::host::Executor::serve()"), call("main")}),
            (Functions{"overrun(int)", "simulate(double)"}));
}

TEST(Backtrace, knows_the_pools_door_without_its_whole_name) {
  EXPECT_EQ(kept({call("overrun(int)"), call("invoke", "app", "/usr/include/c++/12/bits/invoke.h"),
                  call("call", "app", "/x/include/rankpool/detail/kernel.hpp"), call("main")}),
            (Functions{"overrun(int)"}));
}

TEST(Backtrace, keeps_the_door_where_the_task_was_made_one_with_it) {
  EXPECT_EQ(kept({door, call("rankpool::host::LoadedCall::run()"), call("main")}), (Functions{door.function}));
}

TEST(Backtrace, does_not_take_a_template_that_returns_a_vector_for_a_part_of_std) {
  const std::string task = "std::vector<double, std::allocator<double> > simulate<float>(std::span<float>)";
  EXPECT_EQ(kept({call("overrun(int)"), call(task), door}), (Functions{"overrun(int)", task}));
  const std::string lambda = "main::{lambda(rankpool::Pool&)#1}::operator()(rankpool::Pool&) const::{lambda(int)#1}";
  EXPECT_EQ(kept({call(lambda), door}), (Functions{lambda}));
  const std::string unnamed = "decltype(auto) (anonymous namespace)::std_like<int>(int)";
  EXPECT_EQ(kept({call(unnamed), door}), (Functions{unnamed}));
}

TEST(Backtrace, leaves_out_how_a_thread_came_to_its_function) {
  EXPECT_EQ(kept({call("work()"), call("void std::__invoke_impl<void, void (*)()>(std::__invoke_other, void (*&&)())"),
                  call("std::thread::_State_impl<x>::_M_run()"), call("libstdc++.so.6+0xd44a3", "libstdc++.so.6"),
                  call("libc.so.6+0x89134", "libc.so.6"), call("clone", "libc.so.6")}),
            (Functions{"work()"}));
}

TEST(Backtrace, leaves_out_how_the_program_was_aborted) {
  EXPECT_EQ(kept({call("libc.so.6+0x8ad3c", "libc.so.6"), call("raise", "libc.so.6"), call("abort", "libc.so.6"),
                  call("libstdc++.so.6+0x9d916", "libstdc++.so.6"), call("std::terminate()", "libstdc++.so.6"),
                  call("check_the_grid()"), call("simulate(int)"), door}),
            (Functions{"check_the_grid()", "simulate(int)"}));
}

TEST(Backtrace, knows_an_abort_that_is_a_sanitizers) {
  EXPECT_EQ(kept({call("abort", "app", "tsan_interceptors_posix.cpp"), call("libstdc++.so.6+0x9d916", "libstdc++.so.6"),
                  call("check_the_grid()"), door}),
            (Functions{"check_the_grid()"}));
}

TEST(Backtrace, keeps_the_library_function_that_crashed) {
  EXPECT_EQ(kept({call("libc.so.6+0x15d3c1", "libc.so.6"), call("simulate(int)"), door}),
            (Functions{"libc.so.6+0x15d3c1", "simulate(int)"}));
}

TEST(Backtrace, is_cut_where_a_screen_ends) {
  const std::vector<rankpool::detail::CodeAddress> stack(40, {.module = 0, .offset = 1, .name = {"libplugin.so"}});
  const auto lines = backtrace_lines(stack);
  ASSERT_EQ(lines.size(), 16U);
  EXPECT_EQ(lines.back(), "... and 25 more calls");
  const std::vector<rankpool::detail::CodeAddress> overflow(60, stack.front());
  EXPECT_EQ(backtrace_lines(overflow).back(), "... and at least 45 more calls");
}

}  // namespace
