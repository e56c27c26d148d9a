/// @file
/// What an executor does for a call of `F(Args...)`: decode a task's arguments, run it, encode its result.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <tuple>
#include <type_traits>
#include <utility>

#include <rankpool/detail/call.hpp>
#include <rankpool/detail/callable.hpp>
#include <rankpool/detail/codec.hpp>
#include <rankpool/detail/home_process.hpp>
#include <rankpool/detail/task_output.hpp>

namespace rankpool::detail {

static_assert(not_fixed == variable_stride, "codec and call have one name for sizes that vary");

/// Bytes per encoded result of type R. Results of varying size have their length, a std::uint64_t, before them.
template <class R>
inline constexpr std::size_t result_stride = fixed_bytes<R>;
template <>
inline constexpr std::size_t result_stride<void> = 0;

/// Encodes a result into memory of the writer.
/// @returns the bytes to commit. Throws what R's serialization throws.
template <class R>
std::size_t encode_result(const R& result, ResultWriter& results) {
  if constexpr (fixed_size<R>) {
    encode_fixed(result, results.reserve(fixed_bytes<R>));
    return fixed_bytes<R>;
  } else {
    constexpr std::size_t header = sizeof(std::uint64_t);
    const auto reserve_framed = [&results](std::size_t bytes) {
      std::byte* to = results.reserve(header + bytes);
      const std::uint64_t length = bytes;
      std::memcpy(to, &length, header);
      return to + header;
    };
    return header + encode(reserve_framed, result);
  }
}

/// @tparam R the decayed result; void also where a result is to be dropped.
template <class F, class R, class... Args>
class KernelFunctions {
 public:
  static void* load(Bytes state) { return new F(Shipped<F>::decode(state)); }

  static void unload(void* callable) noexcept { delete static_cast<F*>(callable); }

  static void run(void* callable, const Chunk& chunk) {
    F& f = *static_cast<F*>(callable);
    const HomeProcess home;
    const ChunkOutput rest;
    for (std::uint64_t i = 0; i < chunk.count && i < chunk.results->tasks();) {
      if constexpr (small_and_fixed) {
        i = run_tasks(f, chunk, i, home);
      } else {
        run_task(f, input(chunk, i++), home, *chunk.results);
      }
      chunk.results->end_task();
    }
  }

 private:
  using Arguments = std::tuple<Args...>;

  // Larger results may need memory that there is not: the error of the task whose result it is, once it has run.
  static constexpr std::size_t most_bytes_in_row = 4096;
  static constexpr bool small_and_fixed = std::is_void_v<R> || result_stride<R> <= most_bytes_in_row;

  static Bytes input(const Chunk& chunk, std::uint64_t i) {
    constexpr std::size_t stride = args_stride<Args...>;
    if constexpr (stride == not_fixed)
      return chunk.input(i);
    else
      return {chunk.inputs + i * stride, stride};
  }

  static decltype(auto) call(F& f, Bytes input) {
    return std::apply([&f](Args&&... args) -> decltype(auto) { return invoke(f, std::move(args)...); },
                      decode_args<Arguments>(input));
  }

  static decltype(auto) invoke(F& f, Args&&... args) requires(!std::is_member_function_pointer_v<F>) {
    return std::invoke(f, std::move(args)...);
  }

  // Inlined, GCC takes the pointer for a virtual one and warns that a small object has no room for a vtable.
  [[gnu::noinline]] static decltype(auto) invoke(F& f, Args&&... args) requires std::is_member_function_pointer_v<F> {
    return std::invoke(f, std::move(args)...);
  }

  static void leave_if_forked(HomeProcess home) noexcept {
    if (!home.is_here()) [[unlikely]]
      leave_forked_task();
  }

  /// Runs tasks from the `first` on, up to one that throws or as there is room for their results.
  /// @returns one past the last.
  static std::uint64_t run_tasks(F& f, const Chunk& chunk, std::uint64_t first,
                                 HomeProcess home) requires small_and_fixed {
    const Chunk local = chunk;  // where no store of a result can change it
    TaskOutput output(first == 0 ? TaskOutput::Since::chunk_began : TaskOutput::Since::other_tasks_ran);
    std::uint64_t i = first;
    try {
      FixedResults<result_stride<R>> results(*local.results, std::min(local.count, local.results->tasks()) - first);
      for (bool goes_on = true; goes_on; ++i) {
        if constexpr (std::is_void_v<R>) {
          static_cast<void>(call(f, input(local, i)));
          leave_if_forked(home);
        } else {
          const R result = call(f, input(local, i));
          leave_if_forked(home);
          encode_fixed(result, results.place(i - first));
        }
        // What the task printed leaves before its result does: who has the result sees the text.
        output.flush();
        goes_on = results.commit(i - first);
      }
      return i;
    } catch (...) {
      leave_if_forked(home);
      output.flush();
      local.results->fail();
      return i + 1;
    }
  }

  static void run_task(F& f, Bytes input, HomeProcess home, ResultWriter& results) requires(!small_and_fixed) {
    TaskOutput output(TaskOutput::Since::other_tasks_ran);
    bool returned = false;
    try {
      const R result = call(f, input);
      leave_if_forked(home);
      returned = true;
      const std::size_t bytes = encode_result(result, results);
      output.flush();
      results.commit(bytes);
    } catch (...) {
      leave_if_forked(home);
      output.flush();
      if (returned)
        results.fail_encoding();
      else
        results.fail();
    }
  }
};

/// The object whose address names this kind of call in all processes of the program.
template <class F, class R, class... Args>
inline constexpr Kernel kernel_for{KernelFunctions<F, R, Args...>::load, KernelFunctions<F, R, Args...>::unload,
                                   KernelFunctions<F, R, Args...>::run, result_stride<R>, &typeid(R)};

}  // namespace rankpool::detail
