// What an executor keeps of stderr: in a process of its own each time.
#include "host/stderr_tail.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <cwchar>
#include <iostream>
#include <streambuf>
#include <string>
#include <vector>

#include <rankpool/detail/task_output.hpp>

#include "executor_life.hpp"

namespace {

using namespace rankpool::test;  // NOLINT(google-build-using-namespace)
using rankpool::detail::flush_output;

// --- what is kept ----------------------------------------------------------------------------------------------------

TEST(KeptStderr, is_what_the_c_and_the_cpp_streams_write_each_line_at_once) {
  const Life life([] {
    std::fprintf(stderr, "%s", "a");
    std::fprintf(stderr, "%d\n", 1);
    std::cerr << "b" << 2 << '\n';
    std::clog << "c" << 3 << '\n';
    std::fputs("d\ne\n", stderr);
  });
  EXPECT_EQ(life.writes, (Writes{"a1\n", "b2\n", "c3\n", "d\ne\n"}));
  EXPECT_EQ(life.tail, "a1\nb2\nc3\nd\ne");
}

TEST(KeptStderr, keeps_its_place_among_what_goes_to_stdout) {
  const Life life([] {
    std::printf("1\n");
    std::fprintf(stderr, "2\n");
    std::cout << "3\n";
    std::cerr << "4\n";
    std::printf("5\n");
  });
  EXPECT_EQ(life.writes, (Writes{"1\n", "2\n", "3\n", "4\n", "5\n"}));
  EXPECT_EQ(life.tail, "2\n4");
}

TEST(KeptStderr, is_also_of_cpp_streams_that_were_taken_off_stdio) {
  const Life life([] { std::cerr << "x" << 1 << '\n'; }, [] { std::ios_base::sync_with_stdio(false); });
  EXPECT_EQ(life.writes, (Writes{"x1\n"}));
  EXPECT_EQ(life.tail, "x1");
}

TEST(KeptStderr, leaves_a_buffer_of_the_programs_own_alone) {
  struct Swallowing : std::streambuf {
    int overflow(int c) override { return c; }
  };
  static Swallowing swallowing;
  const Life life([] { std::cerr << "swallowed\n"; }, [] { std::cerr.rdbuf(&swallowing); });
  EXPECT_TRUE(life.writes.empty());
  EXPECT_EQ(life.tail, "");
}

TEST(KeptStderr, includes_what_perror_says) {
  const Life life([] {
    errno = ENOENT;
    std::perror("grid.txt");
  });
  EXPECT_EQ(life.tail, "grid.txt: No such file or directory");
}

TEST(KeptStderr, a_line_without_an_end_leaves_when_the_task_ends) {
  const Life life([] {
    std::cerr << "no newline";
    flush_output();
    std::_Exit(0);
  });
  EXPECT_EQ(life.writes, (Writes{"no newline"}));
  EXPECT_EQ(life.tail, "no newline");
}

TEST(KeptStderr, is_the_same_stream_to_whoever_asks) {
  const Life life([] { _exit(fileno(stderr) == STDERR_FILENO && isatty(fileno(stderr)) == 0 ? 0 : 1); });
  EXPECT_TRUE(life.ended_well());
}

TEST(KeptStderr, follows_a_descriptor_that_a_task_puts_elsewhere) {
  const Life life([] {
    const int null = open("/dev/null", O_WRONLY);
    dup2(null, STDERR_FILENO);
    std::cerr << "into nothing\n";
  });
  EXPECT_TRUE(life.writes.empty());
  EXPECT_EQ(life.tail, "into nothing");
}

TEST(KeptStderr, wide_characters_come_through_by_either_face) {
  const Life cpp([] {
    std::wclog << L"wide " << 1 << L'\n';
    std::wcerr << L"no newline";
  });
  EXPECT_EQ(cpp.writes, (Writes{"wide 1\n", "no newline"}));
  const Life c([] {
    std::fwprintf(stderr, L"wide %d\n", 1);
    std::fputws(L"no newline", stderr);
  });
  EXPECT_EQ(c.writes, (Writes{"wide 1\n", "no newline"}));
}

TEST(KeptStderr, is_none_of_a_forked_process) {
  const Life life([] {
    std::cerr << "parent\n";
    if (const pid_t child = fork(); child == 0) {
      std::cerr << "child\n";
      _exit(0);
    } else {
      waitpid(child, nullptr, 0);
    }
  });
  EXPECT_EQ(life.writes, (Writes{"parent\n", "child\n"}));
  EXPECT_EQ(life.tail, "parent");
}

// --- a stream that a task closes, or opens anew ----------------------------------------------------------------------

TEST(KeptStderr, may_be_closed) {
  const Life life([] {
    std::fputs("before", stderr);
    const bool closed = std::fclose(stderr) == 0 && fcntl(STDERR_FILENO, F_GETFD) < 0;
    std::fputs("lost", stderr);
    std::cerr << "lost" << std::flush;
    std::clog << "lost" << std::flush;
    flush_output();
    _exit(closed ? 0 : 1);
  });
  EXPECT_TRUE(life.ended_well());
  EXPECT_EQ(life.writes, (Writes{"before"}));
}

TEST(KeptStderr, may_be_opened_anew_as_a_file) {
  const Life life([] {
    char name[] = "/tmp/stderr-of-a-test-XXXXXX";
    close(mkstemp(name));
    bool right = std::freopen(name, "w", stderr) == stderr && fileno(stderr) == STDERR_FILENO;
    std::fputs("one ", stderr);
    std::cerr << "two";
    flush_output();
    std::array<char, 32> text{};
    if (FILE* file = std::fopen(name, "r")) {
      right = right && std::fgets(text.data(), text.size(), file) != nullptr && std::string(text.data()) == "one two";
      std::fclose(file);
    }
    std::remove(name);
    _exit(right ? 0 : 1);
  });
  EXPECT_TRUE(life.ended_well());
  EXPECT_TRUE(life.writes.empty());
}

TEST(KeptStderr, may_be_opened_anew_for_wide_characters) {
  const Life life([] {
    const bool right = std::freopen("/dev/stdout", "w", stderr) == stderr && std::fwide(stderr, 1) > 0;
    std::fputws(L"wide\n", stderr);
    flush_output();
    _exit(right ? 0 : 1);
  });
  EXPECT_TRUE(life.ended_well());
  EXPECT_EQ(life.writes, (Writes{"wide\n"}));
}

TEST(KeptStderr, may_be_opened_anew_and_closed_by_task_after_task) {
  const Life life([] {
    for (int task = 0; task < 5; ++task) {
      if (std::freopen("/dev/null", "w", stderr) == nullptr) _exit(2);
      std::fputs("lost", stderr);
      std::fclose(stderr);
      // Somebody else's memory from here on.
      std::vector<std::string> others(64, std::string(460, '\xff'));
      flush_output();
      if (stderr->_fileno == STDERR_FILENO && others.empty()) _exit(3);
    }
  });
  EXPECT_TRUE(life.ended_well());
}

TEST(KeptStderr, may_be_given_another_buffer) {
  const Life life([] {
    std::setvbuf(stderr, nullptr, _IONBF, 0);
    std::fputs("a", stderr);
    std::fputs("b\n", stderr);
    static std::array<char, 64> mine;
    std::setvbuf(stderr, mine.data(), _IOFBF, mine.size());
    std::fputs("c\n", stderr);
    std::fputs("d\n", stderr);
    flush_output();
  });
  EXPECT_EQ(life.writes.at(0), "a");
  EXPECT_EQ(life.tail, "ab\nc\nd");
}

}  // namespace
