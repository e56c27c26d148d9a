#include "task/backtrace.hpp"

#include <cxxabi.h>
#include <dlfcn.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <iterator>
#include <memory>
#include <mutex>
#include <string_view>
#include <utility>

#include "task/code_location.hpp"
#include "task/hex.hpp"

#ifdef RANKPOOL_HAS_LIBBACKTRACE
// What is used of libbacktrace; its header lies in GCC's own folder, where other compilers and tools don't look.
extern "C" {
struct backtrace_state;
using backtrace_error = void (*)(void* data, const char* message, int error);
using backtrace_call = int (*)(void* data, std::uintptr_t pc, const char* file, int line, const char* function);
using backtrace_symbol = void (*)(void* data, std::uintptr_t pc, const char* name, std::uintptr_t value,
                                  std::uintptr_t size);
backtrace_state* backtrace_create_state(const char* program, int threaded, backtrace_error on_error, void* data);
int backtrace_pcinfo(backtrace_state* state, std::uintptr_t pc, backtrace_call on_call, backtrace_error on_error,
                     void* data);
int backtrace_syminfo(backtrace_state* state, std::uintptr_t pc, backtrace_symbol on_symbol, backtrace_error on_error,
                      void* data);
}
#endif

namespace rankpool::task {
namespace {

// As much as tells where it was and fits on a screen.
constexpr std::size_t most_lines = 16;

// A template's name may fill a page.
constexpr std::size_t longest_function = 200;

std::string demangled(const char* symbol) {
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> name(abi::__cxa_demangle(symbol, nullptr, nullptr, &status), std::free);
  return status == 0 && name != nullptr ? name.get() : symbol;
}

// A C function's name may happen to be the code of a type: "f" is "float".
std::string readable(const char* symbol) {
  return std::string_view(symbol).starts_with("_Z") ? demangled(symbol) : std::string(symbol);
}

#ifdef RANKPOOL_HAS_LIBBACKTRACE

/// Names by the debug information and the symbol tables of this process's modules. Not Boost.Stacktrace's, which
/// forgets the functions that the compiler has made one of, where the task's own is often the inner one, and keeps the
/// debug information once for each thread.
class Symbols {
 public:
  /// The functions that contain the address, the innermost first.
  static std::vector<Call> at(const void* address) {
    static Symbols symbols;
    const auto number = reinterpret_cast<std::uintptr_t>(address);
    const std::lock_guard lock(symbols.mutex_);
    std::vector<Call> calls;
    if (symbols.state_ == nullptr) return calls;
    backtrace_pcinfo(symbols.state_, number, add_call, ignore_error, &calls);
    // The debug information names a function without its arguments, and may be missing.
    std::string whole;
    backtrace_syminfo(symbols.state_, number, set_name, ignore_error, &whole);
    if (calls.empty()) calls.emplace_back();
    if (!whole.empty()) calls.back().function = whole;
    return calls;
  }

 private:
  static int add_call(void* calls, std::uintptr_t /*pc*/, const char* file, int line, const char* function) noexcept {
    if (file == nullptr && function == nullptr) return 0;
    try {
      static_cast<std::vector<Call>*>(calls)->push_back({.function = function == nullptr ? "" : readable(function),
                                                         .file = file == nullptr ? "" : file,
                                                         .line = line,
                                                         .module = {}});
      return 0;
    } catch (const std::exception&) {  // not through the C library
      return 1;
    }
  }
  static void set_name(void* name, std::uintptr_t /*pc*/, const char* symbol, std::uintptr_t /*value*/,
                       std::uintptr_t /*size*/) noexcept {
    try {
      if (symbol != nullptr) *static_cast<std::string*>(name) = readable(symbol);
    } catch (const std::exception&) {  // NOLINT(bugprone-empty-catch): then it stays without a name
    }
  }
  static void ignore_error(void* /*data*/, const char* /*message*/, int /*error*/) noexcept {}

  std::mutex mutex_;
  // Can't be given back.
  backtrace_state* state_ = backtrace_create_state(nullptr, 0, ignore_error, nullptr);
};

#else

/// Names by what the loader knows: functions that a library offers.
class Symbols {
 public:
  static std::vector<Call> at(const void* address) {
    std::vector<Call> calls(1);
    Dl_info info{};
    if (dladdr(address, &info) != 0 && info.dli_sname != nullptr) calls.back().function = readable(info.dli_sname);
    return calls;
  }
};

#endif

/// Where there is no name for it.
std::string nameless(const detail::CodeAddress& address) {
  const std::string module(address.name.data());
  return module.empty() ? hex(address.offset) + ", where no code is" : module + "+" + hex(address.offset);
}

std::vector<Call> calls_at(const detail::CodeAddress& address) {
  std::vector<Call> calls;
  if (const void* here = find_here(address)) calls = Symbols::at(here);
  if (calls.empty()) calls.emplace_back();
  for (Call& call : calls) call.module = address.name.data();
  if (calls.back().function.empty()) calls.back().function = nameless(address);
  return calls;
}

/// Without the type it returns, which a template's symbol begins with.
std::string_view qualified_name(std::string_view function) {
  constexpr std::string_view unnamed = "(anonymous namespace)";
  std::size_t start = 0;
  int depth = 0;
  for (std::size_t i = 0; i < function.size(); ++i) {
    const std::string_view before = function.substr(start, i - start);
    switch (function[i]) {
      case '(':
        if (depth == 0 && function.substr(i).starts_with(unnamed)) {
          i += unnamed.size() - 1;
        } else if (depth == 0 && before != "decltype" && !before.ends_with("operator")) {
          return function.substr(start);
        } else {
          ++depth;
        }
        break;
      case '<':
      case '{':
        ++depth;
        break;
      case ')':
      case '>':
      case '}':
        --depth;
        break;
      case ' ':
        if (depth == 0) start = i + 1;
        break;
      default:
        break;
    }
  }
  return function.substr(start);
}

template <std::size_t size>
bool begins_with_one_of(std::string_view text, const std::array<std::string_view, size>& prefixes) {
  return std::ranges::any_of(prefixes, [text](std::string_view prefix) { return text.starts_with(prefix); });
}

bool is_runtimes(const Call& call) {
  constexpr std::array<std::string_view, 4> libraries{"libc.so", "libpthread", "libstdc++.so", "libgcc_s.so"};
  constexpr std::array<std::string_view, 5> functions{"std::terminate(", "__cxxabiv1::", "__gnu_cxx::__verbose_term",
                                                      "__cxa_", "_Unwind_"};
  return begins_with_one_of(call.module, libraries) || begins_with_one_of(call.function, functions);
}

/// Where a process signals itself.
bool is_raise(const Call& call) {
  constexpr std::array<std::string_view, 4> functions{"abort", "raise", "gsignal", "pthread_kill"};
  return std::ranges::find(functions, call.function) != functions.end();
}

/// Where the pool calls the task; what is outside of it is the pool's and main()'s.
bool is_pools_door(const Call& call) {
  constexpr std::array<std::string_view, 2> functions{"rankpool::detail::KernelFunctions<", "rankpool::host::"};
  return begins_with_one_of(qualified_name(call.function), functions) ||
         call.file.ends_with("/rankpool/detail/kernel.hpp");
}

/// Between the pool, or a thread's start, and the function that was given to it.
bool is_plumbing(const Call& call) {
  constexpr std::array<std::string_view, 6> libraries{"libc.so",    "libpthread", "libstdc++.so",
                                                      "libgomp.so", "libasan.so", "libtsan.so"};
  constexpr std::array<std::string_view, 6> functions{
      "std::",         "__gnu_cxx::",        "rankpool::detail::",
      "rankpool::Fn<", "rankpool::Binding<", "execute_native_thread_routine"};
  return begins_with_one_of(call.module, libraries) || begins_with_one_of(qualified_name(call.function), functions) ||
         call.file.find("/include/c++/") != std::string::npos ||
         call.file.find("/rankpool/detail/") != std::string::npos || call.file.ends_with("/rankpool/bind.hpp");
}

void drop_abort(std::vector<Call>& calls) {
  constexpr std::ptrdiff_t deepest_raise = 8;
  const auto from = calls.begin();
  const auto looked_at = std::next(from, std::min(deepest_raise, std::ssize(calls)));
  auto first = from;
  for (auto call = from; call != looked_at && (is_runtimes(*call) || is_raise(*call)); ++call) {
    if (is_raise(*call)) first = std::next(call);
  }
  if (first == from) return;
  first = std::find_if_not(first, calls.end(), is_runtimes);
  if (first != calls.end()) calls.erase(from, first);
}

std::string line_of(Call call) {
  if (call.function.size() > longest_function) {
    call.function.resize(longest_function);
    call.function += "...";
  }
  std::string line = call.function.empty() ? "a function" : call.function;
  if (!call.file.empty()) {
    line += " at " + call.file;
    if (call.line > 0) line += ":" + std::to_string(call.line);
  } else if (!call.module.empty() && !line.starts_with(call.module)) {
    line += " in " + call.module;
  }
  return line;
}

}  // namespace

void keep_tasks_own(std::vector<Call>& calls) {
  drop_abort(calls);
  const auto door = std::ranges::find_if(calls, is_pools_door);
  auto end = door;
  while (end != calls.begin() && is_plumbing(*std::prev(end))) --end;
  // The door's name has the task's type in it.
  if (end == calls.begin()) end = door == calls.end() ? door : std::next(door);
  calls.erase(end, calls.end());
}

std::vector<std::string> backtrace_lines(std::span<const detail::CodeAddress> stack) {
  std::vector<Call> calls;
  for (const detail::CodeAddress& address : stack) std::ranges::move(calls_at(address), std::back_inserter(calls));
  keep_tasks_own(calls);
  std::vector<std::string> lines;
  for (const Call& call : calls) {
    if (lines.size() == most_lines - 1 && calls.size() > most_lines) {
      const char* at_least = stack.size() >= deep_stack ? "at least " : "";
      lines.push_back("... and " + (at_least + std::to_string(calls.size() - lines.size())) + " more calls");
      break;
    }
    lines.push_back(line_of(call));
  }
  return lines;
}

}  // namespace rankpool::task
