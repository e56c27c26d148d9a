#include <gtest/gtest.h>

#include <clocale>
#include <csignal>
#include <cstdlib>
#include <exception>
#include <new>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#include <sys/wait.h>
#include <unistd.h>

#include <rankpool/errors.hpp>

#include "task/death_report.hpp"

namespace {

using rankpool::Error;
using rankpool::RemoteError;
using rankpool::TaskPlace;
using rankpool::WorkerLost;
using rankpool::task::death_text;
using rankpool::task::DeathReport;
using rankpool::task::signal_name;

const TaskPlace here{3, "node07", 5, 17, 2};

template <class Caught, class Thrown>
bool is_caught_as(const Thrown& error) {
  try {
    throw error;
  } catch (const Caught&) {
    return true;
  } catch (...) {
  }
  return false;
}

// --- the pool's own errors ------------------------------------------------------------------------------------------

template <class E>
class PoolErrors : public testing::Test {};

using PoolErrorTypes = testing::Types<WorkerLost, rankpool::TaskTimeout, rankpool::TimeoutError, rankpool::PoolClosed,
                                      rankpool::CancelledError, rankpool::SerializationError, rankpool::BrokenPool,
                                      rankpool::BinaryMismatch, rankpool::PointerCapture>;
TYPED_TEST_SUITE(PoolErrors, PoolErrorTypes);

TYPED_TEST(PoolErrors, are_caught_by_every_clause_that_names_a_base) {
  const TypeParam error("text");
  EXPECT_TRUE((is_caught_as<TypeParam>(error)));
  EXPECT_TRUE((is_caught_as<std::runtime_error>(error)));
  EXPECT_TRUE((is_caught_as<std::exception>(error)));
  EXPECT_TRUE((is_caught_as<Error>(error)));
  constexpr bool of_a_task = std::is_same_v<TypeParam, WorkerLost> || std::is_same_v<TypeParam, rankpool::TaskTimeout>;
  EXPECT_EQ((is_caught_as<RemoteError>(error)), of_a_task);
}

TYPED_TEST(PoolErrors, give_their_text_through_every_base) {
  const TypeParam error("text");
  EXPECT_STREQ(error.what(), "text");
  EXPECT_STREQ(static_cast<const std::exception&>(error).what(), "text");
  EXPECT_STREQ(static_cast<const Error&>(error).what(), "text");
}

TYPED_TEST(PoolErrors, are_copied_without_throwing) { EXPECT_TRUE(std::is_nothrow_copy_constructible_v<TypeParam>); }

TEST(PoolClosed, says_pool_not_running_by_default) { EXPECT_STREQ(rankpool::PoolClosed().what(), "Pool not running"); }

// --- RemoteError ----------------------------------------------------------------------------------------------------

TEST(RemoteError, tells_where_the_task_ran) {
  const rankpool::Remote<std::out_of_range> error(std::out_of_range("row 9"),
                                                  {here, "std::out_of_range", "row 9", {"no such file"}});
  EXPECT_EQ(error.rank(), 3);
  EXPECT_EQ(error.host(), "node07");
  EXPECT_EQ(error.slot(), 5);
  EXPECT_EQ(error.task(), 17U);
  EXPECT_EQ(error.index(), 17U);
  EXPECT_EQ(error.attempt(), 2U);
  EXPECT_EQ(error.type_name(), "std::out_of_range");
  EXPECT_EQ(error.causes(), std::vector<std::string>{"no such file"});
}

TEST(RemoteError, describes_what_where_and_why_on_lines_of_their_own) {
  const rankpool::Remote<std::out_of_range> error(std::out_of_range("row 9"),
                                                  {here, "std::out_of_range", "row 9", {"bad input", "no such file"}});
  EXPECT_EQ(error.describe(),
            "std::out_of_range: row 9\n"
            "  in task 17, attempt 2\n"
            "  on rank 3, host node07, slot 5\n"
            "  caused by: bad input\n"
            "  caused by: no such file");
}

TEST(RemoteError, leaves_out_of_its_description_what_is_not_known) {
  EXPECT_EQ(rankpool::TaskTimeout("too slow").describe(),
            "rankpool::TaskTimeout: too slow\n"
            "  in task 0, attempt 1");
}

TEST(RemoteError, keeps_its_report_when_the_exception_is_moved) {
  WorkerLost first("gone", here);
  const WorkerLost second = std::move(first);
  EXPECT_EQ(first.host(), "node07");  // NOLINT(bugprone-use-after-move): this is what is tested
  EXPECT_EQ(second.host(), "node07");
}

// --- the death of an executor ---------------------------------------------------------------------------------------

template <class End>
int wait_status_of(End end) {
  const pid_t child = fork();
  if (child == 0) {
    end();
    _exit(99);
  }
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  return status;
}

WorkerLost lost(int wait_status, std::uint32_t attempt = 3, std::uint32_t allowed = 3) {
  try {
    std::rethrow_exception(rankpool::task::worker_lost({1, "node02", 4, 777, wait_status}, 12, attempt, allowed));
  } catch (const WorkerLost& error) {
    return error;
  }
}

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

TEST(DeathReport, of_a_task_that_took_too_long_tells_its_limit_and_place) {
  const DeathReport report{1, "node02", 4, 777, SIGKILL, std::chrono::milliseconds(2500)};
  try {
    std::rethrow_exception(rankpool::task::task_timed_out(report, 12, 2));
  } catch (const rankpool::TaskTimeout& error) {
    EXPECT_STREQ(error.what(),
                 "task 12 ran longer than its task_timeout of 2.5 s; its executor was killed on rank 1, host node02, "
                 "slot 4, pid 777 (attempt 2; a task that has timed out is not tried again)");
    EXPECT_EQ(error.rank(), 1);
    EXPECT_EQ(error.host(), "node02");
    EXPECT_EQ(error.slot(), 4);
    EXPECT_EQ(error.task(), 12U);
    EXPECT_EQ(error.attempt(), 2U);
  }
}

TEST(DeathReport, of_a_lost_node_tells_which_and_why) {
  try {
    std::rethrow_exception(rankpool::task::node_lost("its leader, rank 3, was killed", 3, "n1", 12, 2, 2));
  } catch (const WorkerLost& error) {
    EXPECT_EQ(std::string(error.what()),
              "the node to which task 12 was given is lost, on rank 3, host n1 (attempt 2 of 2, max_attempts used up): "
              "its leader, rank 3, was killed; that node's log (dmesg, the batch system's) may say why, and with a "
              "larger max_attempts the task would be tried again on another node");
    EXPECT_EQ(error.rank(), 3);
    EXPECT_EQ(error.slot(), -1);
    EXPECT_EQ(error.pid(), 0);
    EXPECT_EQ(error.host(), "n1");
    EXPECT_EQ(error.index(), 12U);
    EXPECT_EQ(error.attempt(), 2U);
    EXPECT_FALSE(error.signal());
    EXPECT_FALSE(error.exit_code());
  }
}

TEST(DeathReport, tells_the_memory_limit_where_there_was_one) {
  DeathReport report{1, "node02", 4, 777, SIGABRT};
  const auto text = [&report] {
    try {
      std::rethrow_exception(rankpool::task::worker_lost(report, 12, 1, 1));
    } catch (const WorkerLost& error) {
      return std::string(error.what());
    }
  };
  EXPECT_FALSE(contains(text(), "memory_limit"));
  report.memory_limit = 67108864;
  EXPECT_TRUE(contains(text(), "; the executor had a memory_limit of 67108864 bytes")) << text();
}

TEST(DeathReport, blames_no_lack_of_memory_where_the_pool_itself_has_killed_the_executor) {
  DeathReport report{1, "node02", 4, 777, SIGKILL};
  const auto text = [&report] {
    try {
      std::rethrow_exception(rankpool::task::worker_lost(report, 12, 1, 1));
    } catch (const WorkerLost& error) {
      return std::string(error.what());
    }
  };
  EXPECT_TRUE(contains(text(), "for lack of memory")) << text();
  report.is_ours = true;
  EXPECT_TRUE(contains(text(), "the pool killed it, for a task in it wrote to memory that is not its own")) << text();
  EXPECT_FALSE(contains(text(), "for lack of memory")) << text();
}

TEST(DeathReport, of_a_task_that_took_too_long_ends_with_its_last_lines) {
  DeathReport report{1, "node02", 4, 777, SIGKILL, std::chrono::seconds(2)};
  report.stderr_tail = "reading row 1\nreading row 2";
  try {
    std::rethrow_exception(rankpool::task::task_timed_out(report, 12, 1));
  } catch (const rankpool::TaskTimeout& error) {
    EXPECT_EQ(error.stderr_tail(), report.stderr_tail);
    EXPECT_TRUE(std::string(error.what()).ends_with("; last on stderr: 'reading row 2'")) << error.what();
    EXPECT_TRUE(error.describe().ends_with("\n  last lines on stderr:\n    reading row 1\n    reading row 2"))
        << error.describe();
  }
}

TEST(DeathReport, names_the_signal_that_killed_a_process) {
  const int status = wait_status_of([] { raise(SIGKILL); });
  EXPECT_EQ(death_text(status), "killed by SIGKILL (killed)");
  const int crash = wait_status_of([] {
    signal(SIGSEGV, SIG_DFL);
    raise(SIGSEGV);
  });
  EXPECT_TRUE(death_text(crash).starts_with("killed by SIGSEGV (segmentation fault)"));
}

TEST(DeathReport, names_the_status_of_a_process_that_ended_itself) {
  EXPECT_EQ(death_text(wait_status_of([] { _exit(3); })), "ended by exit(3)");
  EXPECT_EQ(death_text(wait_status_of([] { _exit(0); })), "ended by exit(0)");
}

TEST(DeathReport, has_a_name_for_every_signal_that_ends_a_process) {
  for (const int signal :
       {SIGHUP,  SIGINT,  SIGQUIT, SIGILL,    SIGTRAP, SIGABRT, SIGBUS,    SIGFPE,  SIGKILL, SIGUSR1, SIGSEGV, SIGUSR2,
        SIGPIPE, SIGALRM, SIGTERM, SIGSTKFLT, SIGXCPU, SIGXFSZ, SIGVTALRM, SIGPROF, SIGIO,   SIGPWR,  SIGSYS}) {
    EXPECT_TRUE(signal_name(signal).starts_with("SIG" + std::string(sigabbrev_np(signal)) + " (") || signal == SIGIO)
        << signal_name(signal);
  }
  EXPECT_EQ(signal_name(SIGIO), "SIGIO (I/O possible)");
  EXPECT_EQ(signal_name(SIGRTMIN + 3), "SIGRTMIN+3");
  EXPECT_EQ(signal_name(120), "signal 120");
}

TEST(WorkerLost, tells_what_happened_where_and_to_which_task) {
  const WorkerLost error = lost(SIGSEGV);
  const std::string text = error.what();
  EXPECT_TRUE(contains(text, "task 12 was killed by SIGSEGV (segmentation fault)")) << text;
  EXPECT_TRUE(contains(text, "on rank 1, host node02, slot 4, pid 777")) << text;
  EXPECT_TRUE(contains(text, "attempt 3 of 3, max_attempts used up")) << text;
  EXPECT_TRUE(contains(text, "RANKPOOL_INLINE=1 under a debugger")) << text;
  EXPECT_EQ(error.signal(), SIGSEGV);
  EXPECT_EQ(error.exit_code(), std::nullopt);
  EXPECT_EQ(error.pid(), 777);
  EXPECT_EQ(error.rank(), 1);
  EXPECT_EQ(error.slot(), 4);
  EXPECT_EQ(error.host(), "node02");
  EXPECT_EQ(error.task(), 12U);
  EXPECT_EQ(error.attempt(), 3U);
}

TEST(WorkerLost, tells_an_exit_from_a_signal) {
  const WorkerLost error = lost(3 << 8);
  EXPECT_EQ(error.signal(), std::nullopt);
  EXPECT_EQ(error.exit_code(), 3);
  EXPECT_TRUE(contains(error.what(), "ended by exit(3)")) << error.what();
  EXPECT_TRUE(contains(error.what(), "a task must return or throw")) << error.what();
}

TEST(WorkerLost, has_the_last_lines_and_the_backtrace_below_the_place) {
  DeathReport report{1, "node02", 4, 777, SIGSEGV};
  report.stderr_tail = "reading row 1\n" + std::string(300, 'x');
  report.stack = {{0, 0x1a2b, {"libsim.so"}}, {0, 0, {}}};
  try {
    std::rethrow_exception(rankpool::task::worker_lost(report, 12, 3, 3));
  } catch (const WorkerLost& error) {
    EXPECT_EQ(error.stderr_tail(), report.stderr_tail);
    EXPECT_EQ(error.backtrace(), (std::vector<std::string>{"libsim.so+0x1a2b", "0x0, where no code is"}));
    const std::string what = error.what();
    EXPECT_FALSE(contains(what, "\n")) << what;
    EXPECT_TRUE(what.ends_with("; describe() tells where; last on stderr: '" + std::string(200, 'x') + "...'")) << what;
    EXPECT_EQ(error.describe(), "rankpool::WorkerLost: " + what +
                                    "\n"
                                    "  in task 12, attempt 3\n"
                                    "  on rank 1, host node02, slot 4\n"
                                    "  last lines on stderr:\n"
                                    "    reading row 1\n"
                                    "    " +
                                    std::string(300, 'x') +
                                    "\n"
                                    "  backtrace:\n"
                                    "    #0 libsim.so+0x1a2b\n"
                                    "    #1 0x0, where no code is");
    const WorkerLost copy = error;
    EXPECT_EQ(copy.describe(), error.describe());
  }
}

TEST(WorkerLost, points_to_memory_when_the_kernel_may_have_killed) {
  EXPECT_TRUE(contains(lost(SIGKILL).what(), "fewer processes"));
  EXPECT_FALSE(contains(lost(SIGSEGV).what(), "fewer processes"));
}

TEST(WorkerLost, does_not_claim_attempts_that_were_not_made) {
  EXPECT_TRUE(contains(lost(SIGSEGV, 1, 1).what(), "attempt 1 of 1, max_attempts is 1"));
  EXPECT_FALSE(contains(lost(SIGSEGV, 1, 3).what(), "max_attempts"));
}

}  // namespace
