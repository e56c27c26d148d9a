#include "host/crash_handler.hpp"

#include <dlfcn.h>
#include <link.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <ctime>
#include <optional>
#include <string_view>

#include <boost/stacktrace/safe_dump_to.hpp>

#include "host/stderr_tail.hpp"

namespace rankpool::host {
namespace {

constexpr std::array crash_signals{SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGSYS, SIGTRAP};

// Far above what a dump takes, and more than the unwinder ever waits for the loader's lock when there is nobody who
// crashed with it.
constexpr timespec patience{.tv_sec = 2, .tv_nsec = 0};

// Room for the kernel's frame with the widest registers, for the unwinder and for a sanitizer.
constexpr std::size_t stack_bytes = std::size_t{64} << 10U;

enum class Dump {
  none,
  begun,
  written  ///< the process is to die next, but a handler of the program's own that has called ours may see to it
           ///< otherwise
};

struct Executor {
  CrashDump* dump = nullptr;
  pid_t pid = 0;
  std::atomic<pid_t> thread{0};  ///< the first one to crash
  std::atomic<int> signal{0};    ///< its signal
  std::atomic<Dump> state{Dump::none};
};

// NOLINTBEGIN(cppcoreguidelines-avoid-non-const-global-variables): handlers get no argument
Executor executor;
const char* const* abort_message = nullptr;
// NOLINTEND(cppcoreguidelines-avoid-non-const-global-variables)

pid_t this_thread() noexcept { return static_cast<pid_t>(syscall(SYS_gettid)); }

using Register = long long;

/// Where a signal has interrupted its thread; null where that can't be known or changed.
struct Interrupted {
  Register* instruction = nullptr;
  Register* stack = nullptr;
};

Interrupted interrupted([[maybe_unused]] void* context) noexcept {
#ifdef __x86_64__
  auto& registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  return {&registers[REG_RIP], &registers[REG_RSP]};
#elif defined(__aarch64__)
  return {reinterpret_cast<Register*>(&static_cast<ucontext_t*>(context)->uc_mcontext.pc), nullptr};
#else
  return {};
#endif
}

#ifdef DLFO_STRUCT_HAS_EH_DBASE  // with _dl_find_object(), new in glibc 2.35
/// The module of an address, found without a lock.
struct Module {
  explicit Module(const void* address) noexcept
      : found(_dl_find_object(const_cast<void*>(address), &object) == 0) {}  // NOLINT: as C has it
  dl_find_object object{};
  bool found;
};

bool is_code(Register address) noexcept {
  return Module(reinterpret_cast<const void*>(address)).found;  // NOLINT(performance-no-int-to-ptr): a register
}

void name_modules(CrashDump& dump) noexcept {
  for (std::size_t i = 0; i < CrashDump::most_frames && dump.frames()[i] != nullptr; ++i) {
    const Module module(dump.frames()[i]);
    if (!module.found || module.object.dlfo_link_map == nullptr) continue;
    const link_map& map = *module.object.dlfo_link_map;
    if (map.l_name == nullptr) continue;
    dump.name_module(i, map.l_name, reinterpret_cast<std::uintptr_t>(dump.frames()[i]) - map.l_addr);
  }
}
#else
bool is_code(Register) noexcept { return true; }
void name_modules(CrashDump&) noexcept {}
#endif

/// A call through a bad pointer has left no frame, and there the unwinder would stop, or fall: while this lives the
/// caller's is the innermost one.
class StepBack {
 public:
  explicit StepBack(const Interrupted& at, CrashDump& dump) noexcept : at_(at) {
    if (at.stack == nullptr || is_code(*at.instruction)) return;
    // NOLINTNEXTLINE(performance-no-int-to-ptr): a register
    const Register caller = *reinterpret_cast<const Register*>(*at.stack);
    if (!is_code(caller)) return;
    target_ = *at.instruction;
    *at.instruction = caller - 1;  // within the call
    dump.set_stray_call(static_cast<std::uint64_t>(*target_), static_cast<std::uint64_t>(*at.instruction));
    *at.stack += static_cast<Register>(sizeof(Register));
  }
  StepBack(const StepBack&) = delete;
  StepBack& operator=(const StepBack&) = delete;
  ~StepBack() {
    if (!target_) return;
    *at_.instruction = *target_;
    *at_.stack -= static_cast<Register>(sizeof(Register));
  }

 private:
  Interrupted at_;
  std::optional<Register> target_;  ///< of the bad call, if that is what it was
};

/// While it lives time is limited: when that is over the signal comes again, and ends the process. Not by
/// timer_create(), which may take a lock for other kinds of timers.
class TimeLimit {
 public:
  explicit TimeLimit(int signal) noexcept {
    sigevent event{};
    event.sigev_notify = SIGEV_SIGNAL;
    event.sigev_signo = signal;
    event.sigev_value.sival_ptr = &executor;
    if (syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &timer_) != 0) return;
    armed_ = true;
    const itimerspec once{.it_interval = {}, .it_value = patience};
    syscall(SYS_timer_settime, timer_, 0, &once, nullptr);
  }
  TimeLimit(const TimeLimit&) = delete;
  TimeLimit& operator=(const TimeLimit&) = delete;
  ~TimeLimit() {
    if (armed_) syscall(SYS_timer_delete, timer_);
  }

  /// Whether the signal is that of a limit.
  static bool has_sent(const siginfo_t& info) noexcept {
    return info.si_code == SI_TIMER && info.si_value.sival_ptr == &executor;
  }

 private:
  int timer_ = 0;
  bool armed_ = false;
};

/// The C library's last words, as glibc keeps them for debuggers: {size, text}.
void keep_abort_message(CrashDump& dump) noexcept {
  if (abort_message == nullptr || *abort_message == nullptr) return;
  const char* message = *abort_message;
  unsigned size = 0;
  std::memcpy(&size, message, sizeof size);
  const char* text = message + sizeof size;
  dump.set_abort_message({text, strnlen(text, size)});
}

void write_dump(CrashDump& dump, int signal, void* context) noexcept {
  executor.signal = signal;
  if (executor.state.exchange(Dump::begun) == Dump::written) dump.clear();
  const TimeLimit limit(signal);
  const Interrupted at = interrupted(context);
  dump.begin(signal, at.instruction == nullptr ? 0 : static_cast<std::uint64_t>(*at.instruction));
  {
    const StepBack step(at, dump);
    boost::stacktrace::safe_dump_to(dump.frames().data(), sizeof(CrashDump::Frames));
  }
  name_modules(dump);
  if (signal == SIGABRT) keep_abort_message(dump);
  give_unwritten_stderr();
  executor.state = Dump::written;
}

enum class Crash {
  first,    ///< to be dumped
  nested,   ///< of the handler itself, or the handler has taken too long
  late,     ///< no crash: the dump was written just before its time was over
  foreign,  ///< of a process that the task has forked
};

/// Another thread has crashed, and the process dies of that; unless its handler has left the crash behind. @returns if
/// it does not die.
void await_death() noexcept {
  do {
    nanosleep(&patience, nullptr);
  } while (executor.state == Dump::begun);
}

Crash kind_of(const siginfo_t& info) noexcept {
  if (getpid() != executor.pid) return Crash::foreign;
  const pid_t here = this_thread();
  if (TimeLimit::has_sent(info)) return executor.state == Dump::begun ? Crash::nested : Crash::late;
  for (;;) {
    pid_t first = 0;
    if (executor.thread.compare_exchange_strong(first, here)) return Crash::first;
    if (first == here) return executor.state == Dump::begun ? Crash::nested : Crash::first;
    await_death();
    executor.thread.compare_exchange_strong(first, 0);
  }
}

void have_default(int signal) noexcept {
  struct sigaction action {};
  action.sa_handler = SIG_DFL;
  sigaction(signal, &action, nullptr);
}

void die_now(int signal) noexcept {
  have_default(signal);
  syscall(SYS_tgkill, getpid(), this_thread(), signal);
}

void handle(int signal) noexcept;
bool is_handled(int signal) noexcept;

/// A fault comes again by itself, which gives a core file that shows it; everything else is sent again. Where another
/// handler has called ours it may jump out of the crash: then what comes next is to be dumped, too.
void die_on_return(int signal, const siginfo_t& info) noexcept {
  const bool fault = signal == SIGSEGV || signal == SIGBUS || signal == SIGFPE || signal == SIGILL;
  if (!fault || info.si_code <= 0) return die_now(signal);
  if (executor.pid == getpid() && !is_handled(signal)) return handle(signal);
  have_default(signal);
}

void on_crash(int signal, siginfo_t* info, void* context) noexcept {
  const int error = errno;
  switch (kind_of(*info)) {
    case Crash::first:
      write_dump(*executor.dump, signal, context);
      die_on_return(signal, *info);
      break;
    case Crash::nested:
      die_now(executor.signal);
      break;
    case Crash::late:
      break;
    case Crash::foreign:
      die_on_return(signal, *info);
      break;
  }
  errno = error;
}

/// A stack overflow leaves no other.
void make_alternate_stack() noexcept {
  stack_t current{};
  // A sanitizer has made one.
  if (sigaltstack(nullptr, &current) == 0 && (current.ss_flags & SS_DISABLE) == 0) return;
  alignas(std::max_align_t) static std::array<std::byte, stack_bytes> stack;
  const stack_t ours{.ss_sp = stack.data(), .ss_flags = 0, .ss_size = stack.size()};
  sigaltstack(&ours, nullptr);
}

bool is_handled(int signal) noexcept {
  struct sigaction action {};
  sigaction(signal, nullptr, &action);
  return (action.sa_flags & SA_SIGINFO) != 0 && action.sa_sigaction == on_crash;
}

void handle(int signal) noexcept {
  struct sigaction action {};
  action.sa_sigaction = on_crash;
  // Not blocked while it is handled: a fault of the handler's own is to end the process, and so is the timer.
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
  sigfillset(&action.sa_mask);
  for (const int other : crash_signals) sigdelset(&action.sa_mask, other);
  sigaction(signal, &action, nullptr);
}

bool has_default(int signal) noexcept {
  struct sigaction action {};
  sigaction(signal, nullptr, &action);
  return (action.sa_flags & SA_SIGINFO) == 0 && action.sa_handler == SIG_DFL;
}

}  // namespace

void warm_up_crash_handler() noexcept {
  std::array<const void*, 4> frames{};
  boost::stacktrace::safe_dump_to(frames.data(), sizeof frames);
  abort_message = static_cast<const char* const*>(dlsym(RTLD_DEFAULT, "__abort_msg"));
}

void dump_crashes_to(CrashDump& crash) noexcept {
  executor.dump = &crash;
  executor.pid = getpid();
  executor.thread = 0;
  executor.state = Dump::none;
  make_alternate_stack();
  for (const int signal : crash_signals) {
    if (has_default(signal)) handle(signal);
  }
}

}  // namespace rankpool::host
