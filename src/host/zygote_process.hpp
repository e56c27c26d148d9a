// The zygote: a single-threaded process, forked before MPI starts, that forks a rank's executors and reaps them.
//
//   rank ──requests──► zygote ──fork──► executors
//        ◄──replies──         ◄─SIGCHLD─
//
// It serves several channels at once. What becomes of an executor stands in its slot of the channel. It lives exactly
// as long as its rank: at the end of the requests, or when the rank dies, it kills all that is left and goes.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>

#include "host/channel.hpp"
#include "host/surroundings.hpp"
#include "support/unique_fd.hpp"

namespace rankpool::host {

/// What an executor runs. It isn't meant to return; if it does, the executor leaves with status 0.
using ExecutorMain = void (*)(Channel& channel, std::uint32_t slot);

enum class RequestKind : std::uint32_t { attach, detach, spawn, kill, expire };

/// One packet of the socket; with `attach` comes the descriptor of the channel's memory. The zygote replies to `attach`
/// and `detach`.
struct ZygoteRequest {
  RequestKind kind;
  std::uint32_t slot;
  std::uint64_t channel;
};

struct ZygoteReply {
  std::array<char, 512> problem;  ///< empty: done
};

/// Serves requests from `socket`, whose other end is with process `rank`, the parent. All signals are blocked;
/// `signals` is what the executors get.
[[noreturn]] void run_zygote(support::UniqueFd socket, pid_t rank, const SavedSignals& signals,
                             ExecutorMain main) noexcept;

}  // namespace rankpool::host
