#include "launch/end_watch.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <iostream>
#include <sstream>
#include <system_error>
#include <utility>
#include <vector>

#include "launch/start.hpp"
#include "launch/status_note.hpp"
#include "launch/stop_signals.hpp"
#include "support/signal_mask.hpp"
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

// After a signal only a second may be assumed: mpirun kills its ranks after two.
constexpr auto time_to_catch = 250ms;
constexpr auto time_to_exit = 900ms;

// MPI may be stuck with the dead; the program's own part is not.
constexpr auto time_after_loss = 5s;

constexpr auto never = std::chrono::milliseconds(-1);

support::UniqueFd make_event() {
  support::UniqueFd event(eventfd(0, EFD_CLOEXEC));
  if (!event) throw std::system_error(errno, std::generic_category(), "rankpool: eventfd");
  return event;
}

void set(const support::UniqueFd& event) {
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = write(event.get(), &one, sizeof one);
}

void reset(const support::UniqueFd& event) {
  std::uint64_t count = 0;
  [[maybe_unused]] const ssize_t taken = read(event.get(), &count, sizeof count);
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
  if (lifelines != nullptr) return 2;  // its own, too
  return is_in_job(look_up) ? 1 : 0;
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
    : engine_(std::move(engine)),
      options_(std::move(options)),
      stop_(make_event()),
      loss_(make_event()),
      lifelines_(std::move(lifelines)) {
  if (lifelines_) lifelines_->watch([this](int rank, const std::string& why) { lose(rank, why); });
  const support::SignalMask none(support::all_signals());  // they are for the program's threads
  thread_ = std::thread([this] { watch(); });
}

EndWatch::~EndWatch() {
  // Without a good-bye the other leaders, whom MPI may let wait for the lost one, leave too.
  if (has_lost_node_) lifelines_->end_without_good_bye();
  lifelines_.reset();
  set(stop_);
  thread_.join();
}

void EndWatch::watch() {
  if (options_.grace > Seconds::zero() && is_in_job(look_up)) ask_for_end();
  do {
    if (options_.owns_process) look_at_signals();
    look_at_losses();
    if (plan_) act(*plan_);
  } while (!is_to_stop(until_next_act()));
}

void EndWatch::ask_for_end() {
  const auto ask = [this](const std::vector<std::string>& command) {
    return output_of(command, patience, stop_.get());
  };
  const auto end = end_of_job(look_up, ask);
  const std::string grace = in_seconds(options_.grace);
  if (end) {
    const std::string when = local_time_text(*end);
    const auto left = std::chrono::duration_cast<Clock::duration>(*end - std::chrono::system_clock::now());
    plan_ = plan_for_end(Clock::now() + left, options_.grace,
                         "the job's time ends at " + when + ", and in its last " + grace + " no task is started");
  }
  if (options_.log != support::LogLevel::info) return;
  support::print_notice(options_.name, end ? plan_->why : "when the job's time ends is not known, or it has no limit");
}

void EndWatch::look_at_signals() {
  const int signal = stop_signal();
  if (signal == 0 || std::exchange(is_signalled_, true)) return;
  hasten(plan_for_signal(Clock::now(), "the job is going to be ended: " + task::signal_name(signal) + " has come"));
}

/// What comes first counts.
void EndWatch::hasten(const Plan& plan) {
  if (!plan_ || plan.exit < plan_->exit) plan_ = plan;
}

/// Without that node the job can't go on, unless the launcher promises that the other ranks can.
void EndWatch::lose(int rank, const std::string& why) {
  const std::shared_ptr<master::Engine> engine = engine_.lock();
  if (engine == nullptr) return;
  has_lost_node_ = true;
  const std::string text = engine->lose_leader(rank, why);
  if (transport::MpiSession::outlives_ranks()) return;
  const std::lock_guard lock(mutex_);
  plan_for_loss_ = plan_for_loss(Clock::now(), text + "; the job can't go on without it, and ends");
  set(loss_);
}

void EndWatch::look_at_losses() {
  const std::lock_guard lock(mutex_);
  if (!plan_for_loss_) return;
  reset(loss_);
  hasten(*std::exchange(plan_for_loss_, std::nullopt));
}

void EndWatch::act(const Plan& plan) {
  const auto now = Clock::now();
  if (options_.owns_process && now >= plan.exit) exit_now(plan);
  const std::shared_ptr<master::Engine> engine = engine_.lock();
  if (engine == nullptr) return;
  if (now >= plan.at_once) return engine->end_job(Ending::at_once, plan.why);
  if (now >= plan.no_results) return engine->end_job(Ending::no_results, plan.why);
  if (now >= plan.no_new_tasks) return engine->end_job(Ending::no_new_tasks, plan.why);
  engine->stop_longer_than(plan.no_results - now, plan.why);
}

std::chrono::milliseconds EndWatch::until_next_act() const {
  if (!plan_) return never;
  const auto now = Clock::now();
  for (const auto next : {plan_->no_new_tasks, plan_->no_results, plan_->at_once, plan_->exit}) {
    if (next > now) return std::min(between_looks, std::chrono::ceil<std::chrono::milliseconds>(next - now));
  }
  return options_.owns_process ? 0ms : never;
}

bool EndWatch::is_to_stop(std::chrono::milliseconds wait) {
  // One that has come is not waited for again.
  const int signals = options_.owns_process && !is_signalled_ ? stop_signal_file() : -1;
  std::array<pollfd, 3> files{{{stop_.get(), POLLIN, 0}, {signals, POLLIN, 0}, {loss_.get(), POLLIN, 0}}};
  poll(files.data(), files.size(), static_cast<int>(wait.count()));
  return files[0].revents != 0;
}

/// The program has had its time.
void EndWatch::exit_now(const Plan& plan) const {
  if (options_.log != support::LogLevel::quiet) {
    support::print_notice(options_.name, plan.why + "; the program has not ended by itself, and does now");
  }
  if (has_lost_node_) {
    end_without_lost_node(status_of_unfinished);
  } else {
    note_status(status_of_unfinished);
  }
  _exit(status_of_unfinished);
}

}  // namespace rankpool::launch
