// The messages between the master and the leader rank of each other node.
//
//   master ──► leader   OpenCall, CloseCall, StopCall, RunLot, RetractLot, Answer, Stop
//   leader ──► master   Results, TaskFailed, TaskDied, TasksReturned, Retracted, InitializerFailed,
//                       Executors, RankLost, Question, ExecutorGone, Blocked, Broken, Stopped
//
// Payloads are views: of the sender's memory while encoding, of the received buffer after decoding. Numbers travel in
// the machine's own byte order: all ranks run the same executable.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <tuple>
#include <variant>

#include <rankpool/detail/call.hpp>
#include <rankpool/detail/code_address.hpp>
#include <rankpool/options.hpp>

namespace rankpool::wire {

using detail::Bytes;

/// Offsets of encoded tasks, perhaps unaligned: a view of the sender's table or of a received message. They travel
/// relative to the first one.
class Offsets {
 public:
  Offsets() = default;
  explicit Offsets(std::span<const std::uint64_t> table) : raw_(std::as_bytes(table)) {}
  explicit Offsets(Bytes raw) : raw_(raw) {}

  [[nodiscard]] std::size_t size() const { return raw_.size() / sizeof(std::uint64_t); }
  [[nodiscard]] bool empty() const { return raw_.empty(); }
  [[nodiscard]] Bytes raw() const { return raw_; }
  [[nodiscard]] std::uint64_t operator[](std::size_t i) const {
    std::uint64_t value = 0;
    std::memcpy(&value, raw_.data() + i * sizeof value, sizeof value);
    return value;
  }

 private:
  Bytes raw_;
};

struct OpenCall {
  std::uint64_t call = 0;
  detail::CodeAddress kernel;
  Bytes callable;
  std::uint64_t input_stride = 0;
  Schedule schedule = Schedule::automatic;
  std::uint64_t chunksize = 0;
  std::int64_t task_timeout = 0;  ///< nanoseconds one task may take; 0: no limit
  std::uint64_t random_numbers = 0;
};

struct CloseCall {
  std::uint64_t call = 0;
};

/// Tasks of the call that ask are to be told that nobody waits for them any more.
struct StopCall {
  std::uint64_t call = 0;
};

struct RunLot {
  std::uint64_t lot = 0;
  std::uint64_t call = 0;
  std::uint64_t first = 0;
  std::uint64_t count = 0;
  std::uint32_t attempt = 1;
  std::uint32_t executors = 1;
  std::uint64_t total = 0;
  Offsets offsets;  ///< variable stride: count + 1 of them, the first being that of inputs.data(); else none
  Bytes inputs;
};

struct RetractLot {
  std::uint64_t lot = 0;
};

/// To a Question.
struct Answer {
  std::uint32_t slot = 0;
  std::uint64_t number = 0;
  Bytes bytes;
};

enum class StopMode : std::uint8_t { finish, kill };

struct Stop {
  StopMode mode = StopMode::finish;
};

struct Results {
  std::uint64_t lot = 0;
  std::uint64_t first = 0;
  std::uint64_t count = 0;
  std::int64_t nanoseconds = 0;
  Bytes encoded;
};

struct TaskFailed {
  std::uint64_t lot = 0;
  std::uint64_t task = 0;
  std::int64_t nanoseconds = 0;
  std::int32_t rank = 0;
  std::int32_t slot = 0;
  Bytes image;
};

struct TaskDied {
  std::uint64_t lot = 0;
  std::uint64_t task = 0;
  std::int32_t rank = 0;
  std::string host;
  std::int32_t slot = 0;
  std::int32_t pid = 0;
  std::int32_t wait_status = 0;
  std::int64_t time_limit = 0;   ///< nanoseconds the task had and exceeded; 0: it was not killed for that
  bool is_ours = false;          ///< the pool killed it
  std::string stderr_tail = {};  ///< at most most_tail_bytes
  Bytes stack = {};              ///< detail::CodeAddress after detail::CodeAddress, at most most_stack_frames

  static constexpr std::size_t most_tail_bytes = 4096;
  static constexpr std::size_t most_stack_frames = 128;
};

struct TasksReturned {
  std::uint64_t lot = 0;
  std::uint64_t first = 0;
  std::uint64_t count = 0;
};

struct Retracted {
  std::uint64_t lot = 0;
};

struct InitializerFailed {
  std::int32_t rank = 0;
  std::int32_t slot = 0;
  Bytes image;
};

struct Executors {
  std::uint32_t count = 0;
  std::string why = {};  ///< there are fewer than planned; empty if not
};

/// A rank of the leader's node was killed.
struct RankLost {
  std::int32_t rank = 0;
  std::string host;
  std::int32_t pid = 0;
  std::uint32_t executors = 0;  ///< left to the node
};

/// Of an executor, to the master; what its bytes mean is for those two to know.
struct Question {
  std::uint32_t slot = 0;
  std::uint64_t number = 0;
  Bytes bytes;
};

/// What its slot asks from here on is asked by another executor.
struct ExecutorGone {
  std::uint32_t slot = 0;
};

/// See host::Blocked.
struct Blocked {
  std::uint32_t executors = 0;
  bool all = false;
  std::string why;
};

/// The leader's last message.
struct Stopped {
  StopMode mode = StopMode::finish;
};

/// The node's executors are gone, and it takes no more lots.
struct Broken {
  std::string reason;
  bool all_reported = false;  ///< all that ran has been: the rest of what it was given never started
};

using ToLeader = std::variant<OpenCall, CloseCall, StopCall, RunLot, RetractLot, Answer, Stop>;
using ToMaster = std::variant<Results, TaskFailed, TaskDied, TasksReturned, Retracted, InitializerFailed, Executors,
                              RankLost, Question, ExecutorGone, Blocked, Broken, Stopped>;

}  // namespace rankpool::wire
