// What an executor leaves behind.
#include "host/last_words.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "task/code_location.hpp"

namespace {

using rankpool::host::CrashDump;
using rankpool::host::LastWords;
using rankpool::host::Progress;
using rankpool::host::StderrTail;

constexpr Progress first{.tail = 0, .finished = 0};
constexpr Progress second{.tail = 0, .finished = 1};

TEST(StderrTail, tells_what_was_written_at_a_progress_and_nothing_of_another) {
  StderrTail tail;
  EXPECT_EQ(tail.written_at(first), "");
  tail.append("one\n", first);
  tail.append("two\n", first);
  EXPECT_EQ(tail.written_at(first), "one\ntwo");
  EXPECT_EQ(tail.written_at(second), "");
  tail.append("three\n", second);
  EXPECT_EQ(tail.written_at(second), "three");
  EXPECT_EQ(tail.written_at(first), "");
}

TEST(StderrTail, tells_nothing_of_the_executor_before) {
  StderrTail tail;
  tail.append("of the one before\n", first);
  tail.clear();
  EXPECT_EQ(tail.written_at(first), "");
  tail.append("mine\n", first);
  EXPECT_EQ(tail.written_at(first), "mine");
}

TEST(StderrTail, keeps_the_last_whole_lines_of_many) {
  StderrTail tail;
  std::string all;
  for (int i = 0; i < 1000; ++i) {
    const std::string line = "line " + std::to_string(i) + "\n";
    all += line;
    tail.append(line, first);
    const std::string kept = tail.written_at(first);
    EXPECT_TRUE(kept.starts_with("line ")) << kept;
    ASSERT_TRUE(all.ends_with(kept + "\n"));
    ASSERT_LE(kept.size(), StderrTail::most_bytes);
    // No line is given up while there is room for it.
    ASSERT_GE(kept.size() + 1 + line.size(), std::min<std::size_t>(all.size(), StderrTail::most_bytes));
  }
}

TEST(StderrTail, keeps_the_end_of_a_line_that_is_too_long) {
  StderrTail tail;
  std::string line(5000, 'x');
  line.replace(line.size() - 4, 4, "end\n");
  tail.append(line, first);
  const std::string kept = tail.written_at(first);
  EXPECT_TRUE(kept.starts_with("...x")) << kept.substr(0, 10);
  EXPECT_TRUE(kept.ends_with("xend"));
  EXPECT_LE(kept.size(), StderrTail::most_bytes + 3);
}

TEST(StderrTail, shows_control_characters_as_question_marks) {
  StderrTail tail;
  tail.append(std::string_view("\x1b[31mred\tand\r\a\x7f\0 gr\xc3\xbcn\n\n", 24), first);
  EXPECT_EQ(tail.written_at(first), "?[31mred\tand???? gr\xc3\xbcn");
}

TEST(StderrTail, is_bounded_and_printable_whatever_stands_in_its_memory) {
  std::mt19937_64 random(5);
  const auto tail = std::make_unique<StderrTail>();
  for (int round = 0; round < 20000; ++round) {
    auto* bytes = reinterpret_cast<unsigned char*>(tail.get());
    const std::size_t scribbled = round % 3 == 0 ? 40 : sizeof(StderrTail);
    for (std::size_t i = 0; i < scribbled; ++i) bytes[i] = static_cast<unsigned char>(random());
    // The numbers small now and then, or nothing would ever fit.
    if (round % 2 == 0) {
      for (std::size_t i = 0; i < 40; i += 8) {
        const std::uint64_t small = random() % 5000;
        std::memcpy(bytes + i, &small, sizeof small);
      }
    }
    Progress written;
    std::memcpy(&written.tail, bytes, 8);
    std::memcpy(&written.finished, bytes + 8, 8);
    const std::string kept = tail->written_at(written);
    ASSERT_LE(kept.size(), StderrTail::most_bytes + 3);
    for (const char c : kept) ASSERT_TRUE(c == '\n' || c == '\t' || static_cast<unsigned char>(c) >= 0x20);
  }
}

const void* code(std::size_t offset) { return reinterpret_cast<const std::byte*>(&rankpool::task::locate) + offset; }

std::uint64_t number(const void* address) { return reinterpret_cast<std::uintptr_t>(address); }

TEST(CrashDump, gives_the_frames_from_the_crash_on_with_their_modules) {
  CrashDump dump;
  dump.begin(SIGSEGV, number(code(4)));
  std::size_t i = 0;
  for (const std::size_t offset : {1, 2, 4, 8}) dump.frames()[i++] = code(offset);
  dump.name_known_modules();
  const auto stack = dump.stack(SIGSEGV);
  ASSERT_EQ(stack.size(), 2U);
  EXPECT_EQ(rankpool::task::find_here(stack[0]), code(4)) << "the instruction itself";
  EXPECT_EQ(rankpool::task::find_here(stack[1]), code(7)) << "the call, not what comes after it";
  EXPECT_TRUE(dump.stack(SIGABRT).empty()) << "died of something else";
}

TEST(CrashDump, keeps_the_place_of_a_crash_whose_stack_can_not_be_had) {
  CrashDump dump;
  dump.begin(SIGBUS, number(code(4)));
  dump.name_known_modules();
  ASSERT_EQ(dump.stack(SIGBUS).size(), 1U);
  EXPECT_EQ(rankpool::task::find_here(dump.stack(SIGBUS)[0]), code(4));
}

TEST(CrashDump, names_a_library_that_only_the_executor_knows) {
  CrashDump dump;
  const auto* nowhere = reinterpret_cast<const void*>(0x1000);  // NOLINT(performance-no-int-to-ptr)
  dump.begin(SIGSEGV, number(nowhere));
  dump.name_module(0, "/opt/plugins/libplugin.so", 0x234);
  dump.name_known_modules();
  const auto stack = dump.stack(SIGSEGV);
  ASSERT_EQ(stack.size(), 1U);
  EXPECT_STREQ(stack[0].name.data(), "libplugin.so");
  EXPECT_EQ(stack[0].offset, 0x234U);
}

TEST(CrashDump, puts_a_stray_call_first) {
  CrashDump dump;
  dump.begin(SIGSEGV, 0x10);
  dump.set_stray_call(0x10, number(code(4)));
  dump.frames()[0] = code(1);
  dump.frames()[1] = code(2);
  dump.frames()[2] = code(4);
  dump.name_known_modules();
  const auto stack = dump.stack(SIGSEGV);
  ASSERT_EQ(stack.size(), 2U);
  EXPECT_EQ(stack[0].module, 0U);
  EXPECT_EQ(stack[0].offset, 0x10U);
  EXPECT_EQ(rankpool::task::find_here(stack[1]), code(4));
}

TEST(CrashDump, leaves_out_the_handlers_frames_where_the_instruction_is_not_known) {
  CrashDump dump;
  dump.begin(SIGSEGV, 0);
  for (std::size_t i = 0; i < 3; ++i) dump.frames()[i] = code(i + 1);
  dump.name_known_modules();
  ASSERT_EQ(dump.stack(SIGSEGV).size(), 1U);
  EXPECT_EQ(rankpool::task::find_here(dump.stack(SIGSEGV)[0]), code(3));
}

TEST(CrashDump, is_forgotten_with_the_executor) {
  LastWords words;
  words.crash.begin(SIGABRT, number(code(4)));
  words.crash.set_abort_message("free(): invalid pointer\n");
  EXPECT_EQ(words.crash.abort_message(SIGABRT), "free(): invalid pointer");
  EXPECT_EQ(words.crash.abort_message(SIGSEGV), "");
  words.clear();
  EXPECT_TRUE(words.crash.stack(SIGABRT).empty());
  EXPECT_EQ(words.crash.abort_message(SIGABRT), "");
}

TEST(CrashDump, is_bounded_whatever_stands_in_its_memory) {
  std::mt19937_64 random(6);
  const auto dump = std::make_unique<CrashDump>();
  std::size_t longest = 0;
  for (int round = 0; round < 2000; ++round) {
    auto* bytes = reinterpret_cast<unsigned char*>(dump.get());
    for (std::size_t i = 0; i < sizeof(CrashDump); ++i) bytes[i] = static_cast<unsigned char>(random());
    const int signal = SIGABRT;
    std::memcpy(bytes, &signal, sizeof signal);
    std::memcpy(bytes + 8, dump->frames().data() + random() % 40, 8);
    dump->name_known_modules();
    const auto stack = dump->stack(SIGABRT);
    longest = std::max(longest, stack.size());
    ASSERT_LE(stack.size(), CrashDump::most_frames + 1);
    for (const auto& frame : stack) ASSERT_EQ(frame.name.back(), '\0');
    ASSERT_LE(dump->abort_message(SIGABRT).size(), 256U);
  }
  EXPECT_GT(longest, 20U) << "nothing was read";
}

}  // namespace
