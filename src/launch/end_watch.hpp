// Watches for what will end the job, and has the pool end in time.
//
//   start ──► when does the job end? (walltime) ─┐             grace before it   no new tasks
//   SIGTERM, SIGUSR1 (stop_signals): at once ────┼► EndWatch   half of it left   tasks are asked to stop
//   a node is lost (lifeline): at once ──────────┘             a quarter         calls throw JobEnding
//                                                              a sixteenth       the process ends, status 75
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include <rankpool/options.hpp>

#include "launch/lifeline.hpp"
#include "launch/walltime.hpp"
#include "master/engine.hpp"
#include "support/notice.hpp"
#include "support/unique_fd.hpp"

namespace rankpool::launch {

/// A job's status that says: not done, go on later (EX_TEMPFAIL).
inline constexpr int status_of_unfinished = 75;

struct StartedPool;

class EndWatch {
 public:
  using Clock = std::chrono::steady_clock;

  /// What comes when.
  struct Plan {
    Clock::time_point no_new_tasks;
    Clock::time_point no_results;
    Clock::time_point at_once;
    Clock::time_point exit;
    std::string why;
  };

  struct Options {
    Seconds grace{};
    bool owns_process = false;  ///< heeds signals, and ends the process where the program doesn't in time
    support::LogLevel log = support::LogLevel::warning;
    std::string name = support::default_pool_name;
  };

  /// @returns one where this process is part of a job, or there are other machines; null otherwise.
  static std::unique_ptr<EndWatch> of(StartedPool& pool, Options options);
  /// Threads that of() starts.
  static std::ptrdiff_t threads(const LifelineHub* lifelines);

  static Plan plan_for_end(Clock::time_point end, Seconds grace, std::string why);
  static Plan plan_for_signal(Clock::time_point now, std::string why);
  static Plan plan_for_loss(Clock::time_point now, std::string why);

  EndWatch(std::weak_ptr<master::Engine> engine, std::unique_ptr<LifelineHub> lifelines, Options options);
  EndWatch(const EndWatch&) = delete;
  EndWatch& operator=(const EndWatch&) = delete;
  ~EndWatch();

  /// Whether a node is lost: its ranks will never answer.
  [[nodiscard]] bool has_lost_node() const { return has_lost_node_; }

 private:
  void watch();
  void lose(int rank, const std::string& why);
  void hasten(const Plan& plan);
  void look_at_losses();
  void ask_for_end();
  void look_at_signals();
  void act(const Plan& plan);
  [[nodiscard]] std::chrono::milliseconds until_next_act() const;
  [[nodiscard]] bool is_to_stop(std::chrono::milliseconds wait);
  [[noreturn]] void exit_now(const Plan& plan) const;

  std::weak_ptr<master::Engine> engine_;
  Options options_;
  std::optional<Plan> plan_;
  bool is_signalled_ = false;
  support::UniqueFd stop_;  ///< can be read as soon as this is to end
  support::UniqueFd loss_;  ///< can be read as soon as there is one
  std::mutex mutex_;
  std::optional<Plan> plan_for_loss_;  ///< under the mutex, until it is taken account of
  std::atomic<bool> has_lost_node_ = false;
  std::unique_ptr<LifelineHub> lifelines_;
  std::thread thread_;
};

}  // namespace rankpool::launch
