// Who dies of SIGTERM and SIGUSR1 in a job, and who leaves them to the master.
#include "support/stop_signals.hpp"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <functional>

namespace {

using namespace rankpool::support;  // NOLINT(google-build-using-namespace)

/// How a child ends that does this.
int status_of(const std::function<void()>& work) {
  const pid_t child = fork();
  if (child == 0) {
    work();
    _exit(7);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return status;
}

bool is_killed_by(int status, int signal) { return WIFSIGNALED(status) && WTERMSIG(status) == signal; }
bool goes_on(int status) { return WIFEXITED(status) && WEXITSTATUS(status) == 7; }

TEST(StopSignals, are_noted_while_they_are_heeded_and_kill_before_and_after) {
  for (const int signal : {SIGTERM, SIGUSR1}) {
    const auto before = [signal] {
      catch_stop_signals();
      raise(signal);
    };
    EXPECT_TRUE(is_killed_by(status_of(before), signal));
    const auto meanwhile = [signal] {
      catch_stop_signals();
      const HeedingStopSignals heeding;
      raise(signal);
      pollfd file{stop_signal_file(), POLLIN, 0};
      if (stop_signal() != signal || poll(&file, 1, 0) != 1) _exit(1);
    };
    EXPECT_TRUE(goes_on(status_of(meanwhile)));
    const auto after = [signal] {
      catch_stop_signals();
      { const HeedingStopSignals heeding; }
      raise(signal);
    };
    EXPECT_TRUE(is_killed_by(status_of(after), signal));
  }
}

TEST(StopSignals, do_nothing_to_an_executor_and_kill_what_that_forks) {
  const auto executor = [] {
    catch_stop_signals();
    const HeedingStopSignals heeding;
    const auto in_fork = [] {
      leave_stop_signals_to_master();
      raise(SIGTERM);
      if (!is_killed_by(status_of([] { raise(SIGTERM); }), SIGTERM)) _exit(1);
    };
    if (!goes_on(status_of(in_fork))) _exit(2);
    if (!is_killed_by(status_of([] { raise(SIGTERM); }), SIGTERM)) _exit(3);
  };
  EXPECT_TRUE(goes_on(status_of(executor)));
}

TEST(StopSignals, that_the_program_handles_or_ignores_are_left_alone) {
  const auto ignoring = [] {
    std::signal(SIGTERM, SIG_IGN);
    catch_stop_signals();
    raise(SIGTERM);
  };
  EXPECT_TRUE(goes_on(status_of(ignoring)));
}

}  // namespace
