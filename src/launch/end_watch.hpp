// Watches for what will end the job, and has the pool end in time.
//
//   start ──► when does the job end? (walltime) ─┐             grace before it   no new tasks
//   SIGTERM, SIGUSR1 (stop_signals): at once ────┼► EndWatch   half of it left   tasks are asked to stop
//   a node is lost (lifeline): at once ──────────┘             a quarter         calls throw JobEnding
//                                                              a sixteenth       the process ends, status 75
//
// The watching thread decides, and never waits for the pool, the disk or Slurm: whoever does is another thread. So the
// process ends in time though all of them be stuck.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <rankpool/options.hpp>

#include "launch/lifeline.hpp"
#include "launch/walltime.hpp"
#include "master/engine.hpp"
#include "support/event.hpp"
#include "support/notice.hpp"

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
    std::vector<std::string> hosts = {};  ///< of the ranks
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

  /// The pool is going to be destroyed; nothing uses it any more when this returns.
  void forget_pool();

  /// Whether a node is lost: its ranks will never answer.
  [[nodiscard]] bool has_lost_node() const { return has_lost_node_; }

 private:
  using Act = std::function<void(master::Engine& engine)>;

  void watch();
  void begin_to_ask();
  void hear_answer();
  void look_at_signals();
  void look_at_losses();
  void lose(int rank, const std::string& why);
  void hasten(const Plan& plan);
  void act(const Plan& plan);
  void hand_over_acts();
  void do_acts();
  [[nodiscard]] std::chrono::milliseconds until_next_look() const;
  [[nodiscard]] bool is_to_stop(std::chrono::milliseconds wait);
  void watch_nodes();
  void stop_threads();
  [[noreturn]] void exit_now(const Plan& plan) const;

  Options options_;
  std::optional<Plan> plan_;
  bool is_signalled_ = false;
  std::deque<Act> acts_;  ///< that wait for the thread that acts
  support::Event stop_;
  support::Event loss_;
  std::atomic<bool> has_lost_node_ = false;
  std::mutex mutex_;  ///< for what follows
  std::weak_ptr<master::Engine> engine_;
  std::vector<std::pair<int, std::string>> losses_;  ///< ranks, and why, that are not yet acted upon
  Act next_act_;                                     ///< for the thread that acts
  bool is_acting_ = false;
  bool acts_no_more_ = false;
  std::condition_variable change_;

  std::future<std::optional<WallTime>> answer_;
  std::unique_ptr<LifelineHub> lifelines_;
  std::thread acting_;
  std::thread watching_;
};

}  // namespace rankpool::launch
