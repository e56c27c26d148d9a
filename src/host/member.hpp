// A rank that shares a node with the rank that leads it: it forks and kills executors as the leader tells it by the
// slots' commands. The leader does the same for its own slots.
#pragma once

#include <cstdint>

#include "host/channel.hpp"
#include "host/zygote.hpp"

namespace rankpool::host {

/// Serves until the channel is closed. The zygote has the channel attached as `channel_id`; `member` is this rank's
/// number in the node. Throws std::runtime_error when the leader's process is gone.
void serve_as_member(Channel& channel, std::uint64_t channel_id, std::uint32_t member, Zygote& zygote);

/// Has the zygote do what the commands of the member's slots ask for. If the zygote is gone, its executors are reported
/// as killed (`exited`), and slots that should get one become `unforkable`.
void carry_out_commands(Channel& channel, std::uint64_t channel_id, std::uint32_t member, Zygote& zygote);

/// For a member without a zygote: its commands are void, and executors that had not been reported as dead are.
void bury_executors(Channel& channel, std::uint32_t member);

}  // namespace rankpool::host
