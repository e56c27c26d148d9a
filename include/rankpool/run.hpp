/// @file
/// Starting: one `run()` makes a program parallel, on a laptop as in a Slurm job.
#pragma once

#include <functional>
#include <type_traits>
#include <utility>

#include <rankpool/detail/initializer.hpp>
#include <rankpool/export.hpp>
#include <rankpool/options.hpp>
#include <rankpool/pool.hpp>

namespace rankpool {

namespace detail {

RANKPOOL_API int run(int argc, char** argv, const std::function<int(Pool&)>& master, PoolOptions options);

template <class Master>
consteval bool explain_master() {
  constexpr bool callable = std::is_invocable_v<Master&, Pool&>;
  static_assert(callable,
                "rankpool: run() calls its master with a rankpool::Pool&: give a function or a lambda like "
                "`[](rankpool::Pool& pool) { ... }`.");
  if constexpr (callable) {
    using Result = std::invoke_result_t<Master&, Pool&>;
    static_assert(std::is_void_v<Result> || std::is_convertible_v<Result, int>,
                  "rankpool: run()'s master returns the program's status as int, or nothing.");
    return std::is_void_v<Result> || std::is_convertible_v<Result, int>;
  }
  return callable;
}

}  // namespace detail

/// Runs a program with a pool: forks the executors, starts MPI if a launcher (mpirun, srun) started the program, serves
/// tasks on all ranks but the first, calls `master` on the first, and shuts everything down. Mirrors the
/// `if __name__ == "__main__": with Pool() as pool:` of a Python program.
///
/// Call it from the main thread, before the program starts threads of its own; code before and after it runs on every
/// rank. It may be called again, on all ranks alike, but not inside a task.
///
/// @param argc, argv those of main().
/// @param master called with the pool on rank 0 only; returns the program's status as int, or nothing for 0. An
///   exception that leaves it is printed, the pool terminated, and the status is 1. `std::exit()` in any of its threads
///   terminates the pool too, and the program ends with that status. It may move the pool away: a pool that outlives
///   run() is a closed one.
/// @param options of the pool; rank 0's count.
/// @returns the master's status on rank 0, 0 on the other ranks; to be returned from main().
/// @throws std::logic_error inside a task. All that keeps a pool from starting is printed and gives a status other
///   than 0.
template <class Master>
[[nodiscard("return run()'s status from main()")]] int run(int argc, char** argv, Master&& master,
                                                           PoolOptions options = {}) {
  if constexpr (detail::explain_master<Master>()) {
    const auto status_of = [&master](Pool& pool) -> int {
      if constexpr (std::is_void_v<std::invoke_result_t<Master&, Pool&>>) {
        std::invoke(master, pool);
        return 0;
      } else {
        return std::invoke(master, pool);
      }
    };
    return detail::run(argc, argv, status_of, std::move(options));
  } else {
    return 1;
  }
}

/// Forks the process that will start the executors, for a program that starts MPI itself: call it before MPI_Init, and
/// Pool::open after. Without it Pool::open forks after MPI_Init, which InfiniBand does not like. Calling it again does
/// nothing.
/// @throws std::logic_error inside a task, std::system_error when the process can't be forked.
RANKPOOL_API void prefork();

}  // namespace rankpool
