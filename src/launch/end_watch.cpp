#include "launch/end_watch.hpp"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <exception>
#include <locale>
#include <sstream>
#include <utility>

#include <rankpool/errors.hpp>

#include "launch/start.hpp"
#include "launch/status_note.hpp"
#include "support/signal_mask.hpp"
#include "support/stop_signals.hpp"
#include "task/death_report.hpp"
#include "transport/session.hpp"

namespace rankpool::launch {
namespace {

using namespace std::chrono_literals;
using master::Ending;

// squeue waits for the controller, which may be busy.
constexpr std::chrono::milliseconds patience = 10s;

// So often calls are looked at whose tasks may be too long for the time left.
constexpr std::chrono::milliseconds between_looks = 1s;

// Until somebody else has answered, or is done.
constexpr std::chrono::milliseconds short_pause = 20ms;

// After a signal only a second may be assumed: mpirun kills its ranks after two.
constexpr auto time_to_catch = 250ms;
constexpr auto time_to_exit = 900ms;

// MPI may be stuck with the dead; the program's own part is not.
constexpr auto time_after_loss = 5s;

constexpr auto never = std::chrono::milliseconds(-1);

/// A pipe that nobody reads, when it is full, takes as long as it likes.
bool stderr_takes_text() {
  pollfd file{STDERR_FILENO, POLLOUT, 0};
  return poll(&file, 1, 0) == 1 && (file.revents & POLLOUT) != 0;
}

std::string in_seconds(Seconds time) {
  std::ostringstream text;
  text.imbue(std::locale::classic());
  text << time.count() << " s";
  return text.str();
}

}  // namespace

std::unique_ptr<EndWatch> EndWatch::of(StartedPool& pool, Options options) {
  if (threads(pool.lifelines.get()) == 0) return nullptr;
  return std::make_unique<EndWatch>(pool.engine, std::move(pool.lifelines), std::move(options));
}

std::ptrdiff_t EndWatch::threads(const LifelineHub* lifelines) {
  constexpr std::ptrdiff_t own = 2;
  if (lifelines != nullptr) return own + 1;
  return is_in_job(look_up) ? own : 0;
}

EndWatch::Plan EndWatch::plan_for_end(Clock::time_point end, Seconds grace, std::string why) {
  const auto before = [&](int part) { return end - std::chrono::duration_cast<Clock::duration>(grace / part); };
  return {before(1), before(2), before(4), before(16), std::move(why)};
}

EndWatch::Plan EndWatch::plan_for_signal(Clock::time_point now, std::string why) {
  return {now, now, now + time_to_catch, now + time_to_exit, std::move(why)};
}

EndWatch::Plan EndWatch::plan_for_loss(Clock::time_point now, std::string why) {
  return {now, now, now, now + time_after_loss, std::move(why)};
}

EndWatch::EndWatch(std::weak_ptr<master::Engine> engine, std::unique_ptr<LifelineHub> lifelines, Options options)
    : options_(std::move(options)), engine_(std::move(engine)), lifelines_(std::move(lifelines)) {
  const support::SignalMask none(support::all_signals());  // they are for the program's threads
  begin_to_ask();
  try {
    acting_ = std::thread([this] { do_acts(); });
    watching_ = std::thread([this] { watch(); });
    if (lifelines_) watch_nodes();
  } catch (...) {
    stop_threads();
    throw;
  }
}

void EndWatch::watch_nodes() {
  lifelines_->watch([this](int rank, const std::string& why) { lose(rank, why); },
                    [this](const std::string& text) {
                      if (options_.log != support::LogLevel::quiet) support::print_notice(options_.name, text);
                    });
}

// Who watches is the last to go: the others may be stuck.
EndWatch::~EndWatch() {
  // Without a good-bye the other leaders, whom MPI may let wait for the lost one, leave too.
  if (has_lost_node_) lifelines_->end_without_good_bye();
  lifelines_.reset();
  stop_threads();
}

void EndWatch::stop_threads() {
  {
    const std::lock_guard lock(mutex_);
    acts_no_more_ = true;
  }
  change_.notify_all();
  if (acting_.joinable()) acting_.join();
  stop_.set();
  if (watching_.joinable()) watching_.join();
}

void EndWatch::forget_pool() {
  std::unique_lock lock(mutex_);
  engine_.reset();
  change_.wait(lock, [this] { return !is_acting_; });
}

// ----------------------------------------------------------------------------------------------------- who watches

void EndWatch::watch() {
  do {
    hear_answer();
    if (options_.owns_process) look_at_signals();
    look_at_losses();
    if (plan_) act(*plan_);
    hand_over_acts();
  } while (!is_to_stop(until_next_look()));
}

void EndWatch::begin_to_ask() {
  if (options_.grace <= Seconds::zero() || !is_in_job(look_up)) return;
  const auto ask = [stop = stop_.file(),
                    environment = environment_for_slurm()](const std::vector<std::string>& command) {
    return output_of(command, environment, patience, stop);
  };
  answer_ =
      std::async(std::launch::async, [question = EndQuestion::of(look_up), ask] { return end_of_job(question, ask); });
}

void EndWatch::hear_answer() {
  if (!answer_.valid() || answer_.wait_for(0s) != std::future_status::ready) return;
  std::optional<WallTime> end;
  try {
    end = answer_.get();
  } catch (const std::exception&) {
    // Without memory for it nobody knows.
  }
  std::string text = "when the job's time ends is not known, or it has no limit";
  if (end) {
    text = "the job's time ends at " + local_time_text(*end) + ", and in its last " + in_seconds(options_.grace) +
           " no task is started";
    const auto left = std::chrono::duration_cast<Clock::duration>(*end - std::chrono::system_clock::now());
    hasten(plan_for_end(Clock::now() + left, options_.grace, text));
  }
  if (options_.log == support::LogLevel::info) support::print_notice(options_.name, text);
}

void EndWatch::look_at_signals() {
  const int signal = support::stop_signal();
  if (signal == 0 || std::exchange(is_signalled_, true)) return;
  hasten(plan_for_signal(Clock::now(), "the job is going to be ended: " + task::signal_name(signal) + " has come"));
}

/// Without that node the job can't go on, unless the launcher promises that the other ranks can.
void EndWatch::look_at_losses() {
  std::vector<std::pair<int, std::string>> losses;
  {
    const std::lock_guard lock(mutex_);
    if (losses_.empty()) return;
    losses.swap(losses_);
    loss_.reset();
  }
  for (const auto& [rank, why] : losses) {
    if (transport::MpiSession::outlives_ranks()) {
      acts_.emplace_back([rank = rank, why = why](master::Engine& engine) { engine.lose_leader(rank, why); });
      continue;
    }
    const std::string text = "rank " + std::to_string(rank) + " on " +
                             options_.hosts.at(static_cast<std::size_t>(rank)) + " is lost: " + why +
                             "; the job can't go on without it, and ends";
    hasten(plan_for_loss(Clock::now(), text));
    acts_.emplace_back([rank = rank, text](master::Engine& engine) { engine.end_without_leader(rank, text); });
  }
}

void EndWatch::lose(int rank, const std::string& why) {
  has_lost_node_ = true;
  const std::lock_guard lock(mutex_);
  losses_.emplace_back(rank, why);
  loss_.set();
}

/// What comes first counts.
void EndWatch::hasten(const Plan& plan) {
  if (!plan_ || plan.exit < plan_->exit) plan_ = plan;
}

void EndWatch::act(const Plan& plan) {
  if (options_.owns_process && Clock::now() >= plan.exit) exit_now(plan);
  if (!acts_.empty()) return;  // first what is due
  acts_.emplace_back([plan](master::Engine& engine) {
    const auto now = Clock::now();
    if (now >= plan.at_once) return engine.end_job(Ending::at_once, plan.why);
    if (now >= plan.no_results) return engine.end_job(Ending::no_results, plan.why);
    if (now >= plan.no_new_tasks) return engine.end_job(Ending::no_new_tasks, plan.why);
    // Also those that would begin just before the next look.
    engine.stop_longer_than(plan.no_results - now - between_looks, plan.why);
  });
}

/// What can't be done yet waits for the next look.
void EndWatch::hand_over_acts() {
  if (acts_.empty()) return;
  const std::lock_guard lock(mutex_);
  if (is_acting_ || acts_no_more_) return;
  next_act_ = std::move(acts_.front());
  acts_.pop_front();
  is_acting_ = true;
  change_.notify_all();
}

std::chrono::milliseconds EndWatch::until_next_look() const {
  if (answer_.valid() || !acts_.empty()) return short_pause;
  if (!plan_) return never;
  const auto now = Clock::now();
  for (const auto next : {plan_->no_new_tasks, plan_->no_results, plan_->at_once, plan_->exit}) {
    if (next > now) return std::min(between_looks, std::chrono::ceil<std::chrono::milliseconds>(next - now));
  }
  return options_.owns_process ? 0ms : between_looks;
}

bool EndWatch::is_to_stop(std::chrono::milliseconds wait) {
  // One that has come is not waited for again.
  const int signals = options_.owns_process && !is_signalled_ ? support::stop_signal_file() : -1;
  std::array<pollfd, 3> files{{{stop_.file(), POLLIN, 0}, {signals, POLLIN, 0}, {loss_.file(), POLLIN, 0}}};
  poll(files.data(), files.size(), static_cast<int>(wait.count()));
  return (files[0].revents & POLLIN) != 0;
}

/// The program has had its time.
void EndWatch::exit_now(const Plan& plan) const {
  if (options_.log != support::LogLevel::quiet && stderr_takes_text()) {
    support::print_notice(options_.name, plan.why + "; the program has not ended by itself, and does now");
  }
  if (has_lost_node_) {
    end_without_lost_node(status_of_unfinished);
  } else {
    note_status(status_of_unfinished);
  }
  _exit(status_of_unfinished);
}

// -------------------------------------------------------------------------------------------------------- who acts

void EndWatch::do_acts() {
  std::unique_lock lock(mutex_);
  for (;;) {
    change_.wait(lock, [this] { return next_act_ || acts_no_more_; });
    if (!next_act_) return;
    const Act act = std::exchange(next_act_, nullptr);
    std::shared_ptr<master::Engine> engine = engine_.lock();
    lock.unlock();
    try {
      if (engine) act(*engine);
    } catch (...) {
      if (options_.log != support::LogLevel::quiet) {
        support::print_notice(options_.name,
                              "the pool can't be ended in order: " + detail::text_of(std::current_exception()));
      }
    }
    engine.reset();
    lock.lock();
    is_acting_ = false;
    change_.notify_all();
  }
}

}  // namespace rankpool::launch
