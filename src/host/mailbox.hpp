// What an executor asks of the master, and the answer: one question at a time, in parts where it is long.
//
//   executor ──question──► leader of the node ──(MPI)──► master's engine
//   executor ◄──answer──── leader of the node ◄──(MPI)──┘
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace rankpool::host {

struct alignas(64) Mailbox {
  /// What is in it, and so whose turn it is.
  enum class Turn : std::uint32_t {
    nothing,
    part_of_question,
    question,  ///< its last part; the leader's turn until there is an answer
    taken,     ///< the part before; more is to come
    part_of_answer,
    answer  ///< its last part
  };
  static constexpr std::size_t bytes = 16384;
  static constexpr std::size_t capacity = bytes - 64;

  std::atomic<Turn> turn{Turn::nothing};
  std::atomic<std::uint32_t> length{0};
  alignas(64) std::array<std::byte, capacity> data;  // NOLINT: written before it is read
};
static_assert(sizeof(Mailbox) == Mailbox::bytes);

}  // namespace rankpool::host
