// A call in progress, as the engine keeps it.
#pragma once

#include <chrono>
#include <cstdint>
#include <exception>
#include <map>
#include <memory>
#include <memory_resource>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <rankpool/detail/call_spec.hpp>

#include "host/lot.hpp"
#include "journal/call_log.hpp"
#include "master/piece_builder.hpp"
#include "scheduler/commands.hpp"
#include "task/death_report.hpp"

namespace rankpool::master {

using Deadline = std::chrono::steady_clock::time_point;

/// Drawn tasks in the channel's memory, kept until each has ended: a task may have to run again.
struct KeptPiece {
  BuiltPiece built;
  std::uint64_t outstanding = 0;
  std::vector<journal::Hash> inputs = {};  ///< of a call with a journal
};

/// What a journal has of a piece.
struct LoggedPiece {
  std::vector<journal::Hash> inputs;
  std::vector<journal::KeptResults> kept;
};

/// How an attempt at a task ended with its executor's death.
struct Death {
  std::uint32_t attempt = 1;
  task::DeathReport report;
};

struct Call {
  enum class State {
    drawing,    ///< inputs are left
    drained,    ///< all inputs are drawn
    cancelled,  ///< nothing of it starts any more; what runs is let finish
    stopping,   ///< the same, because the job ends
    abandoned,  ///< its caller has left; what is in flight is let run and dropped
    ended
  };

  explicit Call(std::pmr::memory_resource* nodes) : pieces(nodes), deaths(nodes), informed(nodes) {}

  host::CallImage image;
  std::string_view what;
  std::uint32_t max_attempts = 0;
  std::size_t result_stride = 0;
  std::vector<std::uint64_t> copied_pieces;  ///< by first task: some of their tasks run twice
  State state = State::drawing;
  detail::ResultSink* sink = nullptr;         ///< null when the caller has left
  std::shared_ptr<detail::AsyncCall> handle;  ///< of a call that nobody waits for; null otherwise
  std::shared_ptr<PieceBuilder> builder;      ///< of such a call
  std::optional<Deadline> deadline;           ///< of such a call
  std::thread::id reader;                     ///< of such a call: the thread that drew inputs last
  std::shared_ptr<journal::CallLog> log;      ///< of a call with a journal; null otherwise
  std::exception_ptr failure;                 ///< of the call as a whole
  std::optional<std::uint64_t> total;         ///< where the input tells, or has ended
  std::uint64_t tasks = 0;                    ///< drawn
  std::uint64_t bytes = 0;                    ///< the same, encoded
  std::uint64_t settled = 0;
  std::pmr::map<std::uint64_t, KeptPiece> pieces;  ///< by first task
  std::pmr::map<std::uint64_t, Death> deaths;      ///< the last one of each task that was or is to be tried again
  std::pmr::set<scheduler::HostId> informed;       ///< hosts that know the call

  /// The piece that holds a task.
  std::pmr::map<std::uint64_t, KeptPiece>::iterator piece_of(std::uint64_t task) {
    return std::prev(pieces.upper_bound(task));
  }
  [[nodiscard]] bool is_open() const { return state == State::drawing || state == State::drained; }
  [[nodiscard]] bool is_settled() const { return total && settled == *total; }
  [[nodiscard]] bool is_racing() const { return !copied_pieces.empty(); }
  /// Its results are complete, and late executors are not waited for.
  [[nodiscard]] bool is_won() const { return is_racing() && state != State::drawing && is_settled(); }
  /// "312 of 6000 tasks".
  [[nodiscard]] std::string progress() const {
    return std::to_string(settled) + " of " + (total ? "" : "more than ") + std::to_string(total.value_or(tasks)) +
           " tasks";
  }
  [[nodiscard]] std::uint64_t unsettled_bytes() const {
    return tasks == 0 ? 0 : (tasks - settled) * (bytes / tasks + 1);
  }
};

/// A call that nobody waits for has ended: its handle is to be told.
struct EndedCall {
  std::shared_ptr<detail::AsyncCall> handle;
  std::shared_ptr<PieceBuilder> builder;  ///< takes the engine's lock where it ends with a piece in hand
  std::exception_ptr failure;
};

/// A lot in flight.
struct OpenLot {
  host::CallId call = 0;
  scheduler::HostId host = 0;
  std::uint32_t attempt = 1;
  std::uint64_t outstanding = 0;
  std::uint64_t piece = 0;  ///< its first task
  bool begun = false;       ///< the lot was asked for, and all that is left of it had been claimed
};

}  // namespace rankpool::master
