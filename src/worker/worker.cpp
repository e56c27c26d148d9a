#include "worker/worker.hpp"

#include <algorithm>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>

#include <rankpool/errors.hpp>

#include "host/last_words.hpp"
#include "support/interval.hpp"
#include "transport/backoff.hpp"
#include "transport/outbox.hpp"
#include "wire/codec.hpp"
#include "worker/lot_table.hpp"

namespace rankpool::worker {
namespace {

// The master asks for a stop when it has all it wants: what it does not collect by then is of no use.
constexpr std::chrono::seconds last_words{2};

// A longer report would be refused as nonsense. To the stack comes where a stray call led, to the text its abort's.
static_assert(host::CrashDump::most_frames + 1 <= wire::TaskDied::most_stack_frames);
static_assert(host::StderrTail::longest_text + host::CrashDump::longest_abort_message + 1 <=
              wire::TaskDied::most_tail_bytes);

/// Tells the master what happens on the host.
class Reporter final : public host::HostListener {
 public:
  Reporter(host::Host& host, transport::Transport& transport, int master, LotTable& lots)
      : host_(host), outbox_(transport), master_(master), lots_(lots) {}

  void on_results(host::LotId lot, std::uint64_t first, std::uint64_t count, std::int64_t nanoseconds,
                  detail::Bytes encoded) override {
    const wire::Results results{
        .lot = lot, .first = first, .count = count, .nanoseconds = nanoseconds, .encoded = encoded};
    if (transport::Outbox::is_large(results)) {
      outbox_.add_from_place(master_, results, host_.keep_results());
    } else {
      tell(results);
    }
    lots_.account(lot, count);
  }

  void on_task_failed(host::LotId lot, std::uint64_t task, std::int64_t nanoseconds, host::Place place,
                      detail::Bytes image) override {
    tell(wire::TaskFailed{
        .lot = lot, .task = task, .nanoseconds = nanoseconds, .rank = place.rank, .slot = place.slot, .image = image});
    lots_.account(lot, 1);
  }

  void on_task_died(host::LotId lot, std::uint64_t task, const task::DeathReport& report) override {
    tell(wire::TaskDied{.lot = lot,
                        .task = task,
                        .rank = report.rank,
                        .host = report.host,
                        .slot = report.slot,
                        .pid = report.pid,
                        .wait_status = report.wait_status,
                        .time_limit = report.time_limit.count(),
                        .is_ours = report.is_ours,
                        .stderr_tail = report.stderr_tail,
                        .stack = std::as_bytes(std::span(report.stack))});
    lots_.account(lot, 1);
  }

  void on_tasks_returned(host::LotId lot, std::uint64_t first, std::uint64_t count) override {
    tell(wire::TasksReturned{.lot = lot, .first = first, .count = count});
    lots_.account(lot, count);
  }

  void on_retracted(host::LotId lot) override { tell(wire::Retracted{.lot = lot}); }
  void on_initializer_failed(host::Place place, detail::Bytes image) override {
    tell(wire::InitializerFailed{.rank = place.rank, .slot = place.slot, .image = image});
  }

  void on_executors(std::uint32_t count, const std::string& why) override {
    tell(wire::Executors{.count = count, .why = why});
  }
  void on_rank_lost(const host::RankLoss& loss, std::uint32_t executors) override {
    tell(wire::RankLost{.rank = loss.rank, .host = loss.host, .pid = loss.pid, .executors = executors});
  }
  void on_question(const host::Question& question) override {
    tell(wire::Question{.slot = question.slot, .number = question.number, .bytes = question.bytes});
    asked_ = true;
  }
  void on_executor_gone(std::uint32_t slot) override { tell(wire::ExecutorGone{.slot = slot}); }
  void on_blocked(const host::Blocked& blocked) override {
    tell(wire::Blocked{.executors = blocked.executors, .all = blocked.all, .why = blocked.why});
  }
  void on_far_rung() override {}  // nobody is rung here: those who wait do so on the master's node
  void on_broken(const std::string& reason) override { broken(reason, !missed_reports_); }

  /// A report may have been lost on its way.
  void miss_reports() { missed_reports_ = true; }
  void broken(const std::string& reason, bool all_reported) {
    tell(wire::Broken{.reason = reason, .all_reported = all_reported});
    told_broken_ = true;
  }
  [[nodiscard]] bool told_broken() const { return told_broken_; }
  /// Whether an executor has asked something since the last look.
  [[nodiscard]] bool has_asked() { return std::exchange(asked_, false); }

  void stopped(wire::StopMode mode) { tell(wire::Stopped{.mode = mode}); }
  void flush() { outbox_.flush(); }

 private:
  template <class Message>
  void tell(const Message& message) {
    outbox_.add(master_, message);
  }

  host::Host& host_;
  transport::Outbox outbox_;
  int master_;
  LotTable& lots_;
  bool missed_reports_ = false;
  bool told_broken_ = false;
  bool asked_ = false;
};

class Worker {
 public:
  Worker(host::Host& host, transport::Transport& transport, int master, const support::ProcessWatch* master_process)
      : host_(host),
        transport_(transport),
        master_(master),
        master_process_(master_process),
        lots_(host),
        reporter_(host, transport, master, lots_) {
    transport.set_dock([this](std::size_t bytes) { return lots_.reserve(bytes); });
  }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  ~Worker() { transport_.set_dock(nullptr); }

  void run() {
    for (;;) {
      const bool active = step();
      if (state_ == State::stopping) break;
      if (active) backoff_.reset();
      if (!active || may_rest()) {
        look_after_master();
        sleep();
      }
    }
    stop();
  }

 private:
  enum class State {
    serving,
    breaking,  ///< takes no orders; the host ends its executors and reports what they did
    broken,    ///< the executors are dead and the master knows; waits for the stop
    stopping,  ///< the master said so
  };

  bool step() {
    const bool received = transport_.poll(
        [this](int source, detail::Bytes message, const transport::Cargo& cargo) { receive(source, message, cargo); });
    const bool reported = has_executors() && poll_host();
    reporter_.flush();
    transport_.progress();
    return received || reported;
  }

  bool poll_host() {
    bool any = true;
    try {
      any = host_.poll(reporter_);
      lots_.release_ended();
      if (reporter_.has_asked()) backoff_.expect_reply();
    } catch (...) {
      reporter_.miss_reports();
      if (state_ == State::serving) {
        break_down(what_is_thrown());
      } else {
        end_at_once(what_is_thrown());
      }
    }
    if (reporter_.told_broken()) state_ = State::broken;
    return any;
  }

  [[nodiscard]] bool has_executors() const { return state_ == State::serving || state_ == State::breaking; }

  void look_after_master() {
    if (master_process_ == nullptr || !glance_.is_over() || !master_process_->has_ended()) return;
    throw std::runtime_error("rankpool: the master, rank " + std::to_string(master_) + " (pid " +
                             std::to_string(master_process_->pid()) + "), is gone");
  }

  /// Whether executors have work for a while; they ring when they have much to tell or come to the end of what was
  /// posted.
  [[nodiscard]] bool may_rest() const { return has_executors() && host_.has_work_left() && !backoff_.is_attentive(); }

  [[nodiscard]] std::chrono::nanoseconds pause_while_sending(bool rest) const {
    if (transport_.bytes_under_way() >= transport::large_message) return transport::sending_pause;
    return rest ? transport::Backoff::calm_sleep : transport::Backoff::longest_sleep;
  }

  void sleep() {
    const bool rest = may_rest();
    std::chrono::nanoseconds limit =
        rest ? transport::Backoff::calm_sleep : backoff_.next(has_executors() && host_.has_idle_cpu());
    if (!transport_.all_sent()) limit = std::min(limit, pause_while_sending(rest));
    if (limit.count() <= 0) return std::this_thread::yield();
    if (rest) return host_.doze(limit);
    if (has_executors()) return host_.wait(limit);
    std::this_thread::sleep_for(limit);
  }

  void receive(int source, detail::Bytes message, const transport::Cargo& cargo) {
    if (source != master_) return;
    try {
      wire::for_each_to_leader(message, cargo.bytes, [&](const auto& order) {
        if constexpr (std::is_same_v<decltype(order), const wire::RunLot&>) {
          take(order, order.inputs.data() == cargo.bytes.data() ? cargo.owner : nullptr);
        } else {
          obey(order);
        }
      });
    } catch (...) {
      break_down(what_is_thrown());
    }
  }

  static std::string what_is_thrown() {
    const std::string text = detail::text_of(std::current_exception());
    return text.empty() ? "an unknown error" : text;
  }

  // What fails on this node fails on this node alone. Nothing of it may still run when the master hears of it and gives
  // the tasks to others.
  void break_down(const std::string& reason) {
    if (state_ != State::serving) return;
    state_ = State::breaking;
    try {
      host_.break_down(reason);
    } catch (...) {
      end_at_once(reason + "; and " + what_is_thrown());
    }
  }

  // The host can't even report what its executors did.
  void end_at_once(const std::string& reason) {
    state_ = State::broken;
    std::string all = reason;
    try {
      host_.kill();
    } catch (...) {
      all += "; and its executors could not be ended: " + what_is_thrown();
    }
    reporter_.broken(all, false);
  }

  void obey(const wire::OpenCall& order) {
    if (state_ != State::serving) return;
    lots_.open_call(order.call, order.input_stride);
    host::CallImage call;
    call.id = order.call;
    call.kernel = order.kernel;
    call.callable.assign(order.callable.begin(), order.callable.end());
    call.input_stride = order.input_stride;
    call.schedule = order.schedule;
    call.chunksize = order.chunksize;
    call.task_timeout = std::chrono::nanoseconds(order.task_timeout);
    call.random_numbers = order.random_numbers;
    host_.open_call(call);
    backoff_.expect_reply();
  }

  void obey(const wire::CloseCall& order) {
    if (state_ != State::serving) return;
    lots_.close_call(order.call);
    host_.close_call(order.call);
  }

  void obey(const wire::StopCall& order) {
    if (state_ == State::serving) host_.stop_call(order.call);
  }

  void take(const wire::RunLot& order, const std::shared_ptr<const void>& inputs) {
    if (state_ == State::serving) host_.post(lots_.admit(order, inputs));
  }

  void obey(const wire::RetractLot& order) {
    if (state_ != State::serving) return;
    backoff_.expect_reply();  // who has asked for tasks back waits for the answer, and may have more such questions
    if (lots_.contains(order.lot)) {
      host_.retract(order.lot);
    } else {
      reporter_.on_retracted(order.lot);  // it has ended, and the reports of that are before this one
    }
  }

  void obey(const wire::Answer& order) {
    if (state_ == State::serving) host_.answer(order.slot, order.number, order.bytes);
  }

  void obey(const wire::Stop& order) {
    executors_left_ = has_executors();
    how_to_stop_ = state_ == State::breaking ? wire::StopMode::kill : order.mode;
    state_ = State::stopping;
  }

  void stop() {
    if (executors_left_) {
      if (how_to_stop_ == wire::StopMode::kill) {
        host_.kill();
      } else {
        host_.shut_down();
        host_.poll(reporter_);
      }
    }
    reporter_.stopped(how_to_stop_);
    reporter_.flush();
    transport_.flush(last_words);
  }

  host::Host& host_;
  transport::Transport& transport_;
  int master_;
  const support::ProcessWatch* master_process_;
  transport::Backoff backoff_;
  support::Interval glance_{std::chrono::milliseconds(100)};  ///< at the master
  LotTable lots_;
  Reporter reporter_;
  State state_ = State::serving;
  bool executors_left_ = true;
  wire::StopMode how_to_stop_ = wire::StopMode::finish;
};

}  // namespace

void serve(host::Host& host, transport::Transport& transport, int master, const support::ProcessWatch* master_process) {
  try {
    Worker(host, transport, master, master_process).run();
  } catch (...) {
    host.kill();
    throw;
  }
}

}  // namespace rankpool::worker
