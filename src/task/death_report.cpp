#include "task/death_report.hpp"

#include <algorithm>
#include <array>
#include <csignal>
#include <optional>
#include <sstream>
#include <string_view>
#include <utility>

#include <sys/wait.h>

#include <rankpool/errors.hpp>

#include "task/backtrace.hpp"

namespace rankpool::task {

namespace {

struct SignalName {
  int signal;
  const char* text;
};

// strsignal() speaks the user's language and the messages are searched for.
constexpr std::array known_signals{
    SignalName{SIGHUP, "SIGHUP (hangup)"},
    SignalName{SIGINT, "SIGINT (interrupt)"},
    SignalName{SIGQUIT, "SIGQUIT (quit)"},
    SignalName{SIGILL, "SIGILL (illegal instruction)"},
    SignalName{SIGTRAP, "SIGTRAP (trace trap)"},
    SignalName{SIGABRT, "SIGABRT (abort)"},
    SignalName{SIGBUS, "SIGBUS (bus error)"},
    SignalName{SIGFPE, "SIGFPE (arithmetic error)"},
    SignalName{SIGKILL, "SIGKILL (killed)"},
    SignalName{SIGUSR1, "SIGUSR1 (user signal 1)"},
    SignalName{SIGSEGV, "SIGSEGV (segmentation fault)"},
    SignalName{SIGUSR2, "SIGUSR2 (user signal 2)"},
    SignalName{SIGPIPE, "SIGPIPE (broken pipe)"},
    SignalName{SIGALRM, "SIGALRM (alarm clock)"},
    SignalName{SIGTERM, "SIGTERM (terminated)"},
    SignalName{SIGSTKFLT, "SIGSTKFLT (coprocessor stack fault)"},
    SignalName{SIGXCPU, "SIGXCPU (CPU time limit exceeded)"},
    SignalName{SIGXFSZ, "SIGXFSZ (file size limit exceeded)"},
    SignalName{SIGVTALRM, "SIGVTALRM (virtual timer)"},
    SignalName{SIGPROF, "SIGPROF (profiling timer)"},
    SignalName{SIGIO, "SIGIO (I/O possible)"},
    SignalName{SIGPWR, "SIGPWR (power failure)"},
    SignalName{SIGSYS, "SIGSYS (bad system call)"},
};

std::optional<int> killing_signal(int wait_status) {
  if (WIFSIGNALED(wait_status)) return WTERMSIG(wait_status);
  return std::nullopt;
}

std::optional<int> exit_code(int wait_status) {
  if (WIFEXITED(wait_status)) return WEXITSTATUS(wait_status);
  return std::nullopt;
}

const char* advice_for(int wait_status) {
  switch (killing_signal(wait_status).value_or(0)) {
    case 0:
      return "a task must return or throw: exit() ends its executor";
    case SIGKILL:
    case SIGTERM:
      return "it was killed from outside or, often, for lack of memory: use fewer processes";
    case SIGXCPU:
      return "the CPU time limit of the process (ulimit -t) is used up";
    case SIGXFSZ:
      return "the file size limit of the process (ulimit -f) was reached";
    case SIGABRT:
      return "often an uncaught exception in a thread or a noexcept function, or a failed assert";
    default:
      return nullptr;
  }
}

std::string advice_text(const DeathReport& report) {
  constexpr const char* known = "describe() tells where";
  const char* advice = report.is_ours ? "the pool killed it, for a task in it wrote to memory that is not its own; "
                                        "RANKPOOL_INLINE=1 and valgrind show where"
                                      : advice_for(report.wait_status);
  if (WIFSIGNALED(report.wait_status) && WTERMSIG(report.wait_status) == SIGSEGV && report.stack.size() >= deep_stack) {
    advice = "its calls were nested so deeply that its stack may have overflowed (ulimit -s gives it more)";
  }
  if (advice == nullptr)
    return report.stack.empty() ? "run it with RANKPOOL_INLINE=1 under a debugger to see where" : known;
  return report.stack.empty() ? std::string(advice) : std::string(advice) + "; " + known;
}

// "; last on stderr: the last line".
std::string last_line_text(std::string_view stderr_tail) {
  if (stderr_tail.empty()) return {};
  constexpr std::size_t longest = 200;
  std::string_view line = stderr_tail.substr(stderr_tail.rfind('\n') + 1);
  const bool cut = line.size() > longest;
  line = line.substr(0, longest);
  return "; last on stderr: '" + std::string(line) + (cut ? "...'" : "'");
}

std::string attempts_text(std::uint32_t attempt, std::uint32_t attempts_allowed) {
  std::string text = "attempt " + std::to_string(attempt) + " of " + std::to_string(attempts_allowed);
  if (attempt >= attempts_allowed) text += attempts_allowed > 1 ? ", max_attempts used up" : ", max_attempts is 1";
  return text;
}

std::string place_text(const DeathReport& report) {
  std::ostringstream text;
  text.imbue(std::locale::classic());
  text << "on rank " << report.rank << ", host " << report.host << ", slot " << report.slot << ", pid " << report.pid;
  return text.str();
}

detail::RemoteReport remote_report(const DeathReport& report, std::uint64_t task, std::uint32_t attempt,
                                   const char* type_name, std::string text) {
  return {.place = {report.rank, report.host, report.slot, task, attempt},
          .type_name = type_name,
          .text = std::move(text),
          .causes = {},
          .stderr_tail = report.stderr_tail,
          .stack = report.stack};
}

}  // namespace

std::string signal_name(int signal) {
  const auto known = std::ranges::find(known_signals, signal, &SignalName::signal);
  if (known != known_signals.end()) return known->text;
  if (signal >= SIGRTMIN && signal <= SIGRTMAX) return "SIGRTMIN+" + std::to_string(signal - SIGRTMIN);
  return "signal " + std::to_string(signal);
}

std::string death_text(int wait_status) {
  if (const auto signal = killing_signal(wait_status)) {
    return "killed by " + signal_name(*signal) + (WCOREDUMP(wait_status) ? ", core dumped" : "");
  }
  if (const auto code = exit_code(wait_status)) return "ended by exit(" + std::to_string(*code) + ")";
  return "ended with wait status " + std::to_string(wait_status);
}

std::string memory_limit_text(std::uint64_t bytes) {
  return bytes == 0 ? "" : "; the executor had a memory_limit of " + std::to_string(bytes) + " bytes";
}

std::exception_ptr worker_lost(const DeathReport& report, std::uint64_t task, std::uint32_t attempt,
                               std::uint32_t attempts_allowed) {
  std::ostringstream text;
  text.imbue(std::locale::classic());
  text << "the executor of task " << task << " was " << death_text(report.wait_status) << ' ' << place_text(report)
       << " (" << attempts_text(attempt, attempts_allowed) << "); " << advice_text(report)
       << memory_limit_text(report.memory_limit) << last_line_text(report.stderr_tail);
  return std::make_exception_ptr(WorkerLost(remote_report(report, task, attempt, "rankpool::WorkerLost", text.str()),
                                            killing_signal(report.wait_status), exit_code(report.wait_status),
                                            report.pid));
}

std::exception_ptr node_lost(const std::string& reason, int rank, const std::string& host, std::uint64_t task,
                             std::uint32_t attempt, std::uint32_t attempts_allowed) {
  std::ostringstream text;
  text.imbue(std::locale::classic());
  text << "the node to which task " << task << " was given is lost, on rank " << rank << ", host " << host << " ("
       << attempts_text(attempt, attempts_allowed) << "): " << reason
       << "; that node's log (dmesg, the batch system's) may say why, and with a larger max_attempts the task would be "
          "tried again on another node";
  DeathReport nobody;
  nobody.rank = rank;
  nobody.host = host;
  return std::make_exception_ptr(WorkerLost(remote_report(nobody, task, attempt, "rankpool::WorkerLost", text.str()),
                                            std::nullopt, std::nullopt, 0));
}

std::exception_ptr task_timed_out(const DeathReport& report, std::uint64_t task, std::uint32_t attempt) {
  std::ostringstream text;
  text.imbue(std::locale::classic());
  text << "task " << task << " ran longer than its task_timeout of "
       << std::chrono::duration<double>(report.time_limit).count() << " s; its executor was killed "
       << place_text(report) << " (attempt " << attempt << "; a task that has timed out is not tried again)"
       << last_line_text(report.stderr_tail);
  return std::make_exception_ptr(
      TaskTimeout(remote_report(report, task, attempt, "rankpool::TaskTimeout", text.str())));
}

}  // namespace rankpool::task
