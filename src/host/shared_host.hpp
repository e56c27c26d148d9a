// The host of a real node: its channel, and executors in processes of their own.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <memory_resource>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "host/arena.hpp"
#include "host/channel.hpp"
#include "host/host.hpp"
#include "host/lot_board.hpp"
#include "host/node_ranks.hpp"
#include "host/record_reader.hpp"
#include "host/start_retry.hpp"
#include "host/task_watch.hpp"
#include "host/zygote.hpp"
#include "support/interval.hpp"
#include "support/node_recycler.hpp"
#include "support/spin.hpp"

namespace rankpool::host {

/// As an administrator, a batch system or a kernel short of memory does it: no fault of what the process ran.
[[nodiscard]] bool killed_from_outside(int wait_status);

class SharedHost final : public Host {
 public:
  struct Config {
    Channel::Config channel;
    std::string host_name;
    std::optional<CallImage> initializer;
    std::uint64_t channel_id = 0;  ///< names the channel to the zygotes of the node's ranks
    bool quiet = false;            ///< no warnings
  };

  /// Makes the channel and attaches this rank's zygote to it; nothing is forked before start(). Throws
  /// std::system_error.
  SharedHost(const Config& config, Zygote& zygote);
  ~SharedHost() override;

  [[nodiscard]] Channel& channel() { return channel_; }
  /// Has the executors of all ranks of the node forked; those of the `others` once they serve_as_member().
  void start(const std::vector<NodeRank>& others = {});

  void open_call(const CallImage& call) override;
  void close_call(CallId call) override;
  void stop_call(CallId call) override;
  std::uint64_t allocate(std::size_t bytes) override { return arena_.allocate(bytes); }
  void release(std::uint64_t offset) override { arena_.release(offset); }
  std::byte* at(std::uint64_t offset) override { return channel_.at(offset); }
  [[nodiscard]] std::shared_ptr<const void> hold_memory() override { return channel_.memory().hold(); }
  [[nodiscard]] std::shared_ptr<const void> keep_results() override;
  void post(const Lot& lot) override {
    if (life_ != Life::running) return;
    board_.post(lot, calls_.at(lot.call));
    rouse_spares();
  }
  void retract(LotId lot) override;
  [[nodiscard]] bool has_begun(LotId lot) const override { return board_.has_begun(lot); }
  bool poll(HostListener& listener) override;
  void wait(std::chrono::nanoseconds timeout) override;
  void doze(std::chrono::nanoseconds timeout) override;
  [[nodiscard]] bool has_idle_cpu() override;
  [[nodiscard]] bool has_work_left() override {
    return channel_.header().open_lots.load(std::memory_order_relaxed) != 0;
  }
  void ring() noexcept override { channel_.ring_leader(); }
  [[nodiscard]] std::span<std::byte> memory() override { return {channel_.at(0), channel_.memory().size()}; }
  void show_participants(std::uint64_t table) override { channel_.header().participants.store(table); }
  [[nodiscard]] bool executor_is_gone(std::uint32_t slot) override;
  void ring_far() noexcept override { channel_.ring_far(); }
  void distrust_executor(std::uint32_t slot) override { disbelieve(slot); }
  void answer(std::uint32_t slot, std::uint64_t number, detail::Bytes bytes) override;
  void break_down(const std::string& reason) override;
  void shut_down() override;
  void kill() override;

 private:
  enum class Life {
    running,
    breaking,  ///< its executors are being killed, and what they did is reported
    broken,
    ended
  };
  static constexpr std::uint32_t leader_member = 0;  ///< the leader's slots are those of member 0
  static constexpr std::chrono::milliseconds glance_interval{100};

  /// An executor is to be killed because its task has exceeded its time.
  struct Expiry {
    Progress progress;
    std::chrono::nanoseconds limit{0};
  };

  /// Whether what an executor says of itself in the channel can be believed.
  enum class Sense {
    sound,
    astray  ///< a task has written where it must not: ordered to be killed, and not listened to any more
  };

  /// What has become of the last order to start an executor.
  enum class Process {
    none,
    coming,
    serves  ///< has passed its initializer; or did, and its end has yet to be looked at
  };

  /// The block that holds the results being delivered.
  struct Payload {
    std::uint32_t slot = 0;
    LentBlock block;
  };

  /// A question that comes or is open, and an answer that goes.
  struct Correspondence {
    std::vector<std::byte> question;
    std::uint64_t number = 0;  ///< of the open question; 0: none is
    std::vector<std::byte> answer;
    std::size_t sent = 0;  ///< of the answer
  };

  /// What the leader knows of an executor; the channel's word for it may be overwritten by a task.
  struct Executor {
    std::uint32_t member = 0;  ///< as in ExecutorSlot
    std::int32_t rank = 0;
    pid_t pid = 0;                ///< since it serves
    std::uint64_t head = 0;       ///< its outbox is read up to here
    std::vector<LentBlock> lent;  ///< for large results; few
    Sense sense = Sense::sound;
    std::uint64_t answered = 0;  ///< questions for a block
    Process process = Process::none;
    std::uint32_t early_deaths = 0;  ///< in a row, before it served
    std::string missing_because;     ///< why it could not be started; empty: it serves, or soon will
    std::optional<Expiry> expiry;
    Correspondence mail;
  };

  /// Tasks of a lot may have gone to the grave with an executor.
  struct Audit {
    std::uint32_t lot_slot = 0;               ///< the lot's
    std::optional<task::DeathReport> blamed;  ///< an executor whose word doesn't explain its death
  };

  class LetGo;
  enum class Ending { in_order, by_force };

  std::uint64_t store_image(const CallImage& call);
  void listen(HostListener& listener);

  // Outboxes (shared_host.cpp).
  void drain(std::uint32_t slot, HostListener& listener);
  void drain_open_run(std::uint32_t slot, HostListener& listener);
  [[nodiscard]] OutboxView outbox(std::uint32_t slot);
  [[nodiscard]] bool deliver(std::uint32_t slot, const Record& record, HostListener& listener);
  [[nodiscard]] bool report_failure(std::uint32_t slot, const Record& record, HostListener& listener);
  void disbelieve(std::uint32_t slot);
  void grant_block(std::uint32_t slot);
  [[nodiscard]] LentBlock reclaim(std::uint32_t slot, std::uint64_t block);
  void lend_again_or_release(std::uint32_t slot, const LentBlock& block);
  [[nodiscard]] bool spinning_pays();
  [[nodiscard]] bool is_spare(std::uint32_t slot) const { return channel_.is_spare(slot); }
  [[nodiscard]] bool is_called() { return channel_.header().attention.load(std::memory_order_seq_cst) != 0; }

  // Questions of executors (shared_host_mail.cpp).
  void look_at_mail(std::uint32_t slot, HostListener& listener);
  void send_answer(std::uint32_t slot);
  void dismiss_question(std::uint32_t slot);

  // Tasks that wait for others (shared_host_spares.cpp).
  void take_returned(std::uint32_t slot, HostListener& listener);
  void look_at_blocked(HostListener& listener);
  void rouse_spares();
  [[nodiscard]] bool rouse(std::uint32_t spare);
  [[nodiscard]] bool fork_spare(std::uint32_t slot);
  void postpone_spares(const std::string& why);
  [[nodiscard]] bool can_start_none() const;
  [[nodiscard]] bool everyone_is_blocked();

  // Tasks of limited time (shared_host_limits.cpp).
  void watch_tasks();
  [[nodiscard]] std::optional<std::chrono::nanoseconds> limit_of_task(std::uint32_t slot);
  void expire(std::uint32_t slot, const Expiry& expiry);
  [[nodiscard]] std::chrono::nanoseconds exceeded_limit(std::uint32_t slot);

  // Executors' lives (shared_host_lives.cpp).
  void order(std::uint32_t slot, SlotCommand command);
  void look_at(std::uint32_t slot, HostListener& listener);
  void handle_exit(std::uint32_t slot, HostListener& listener);
  void clear_slot(std::uint32_t slot);
  void start_anew(std::uint32_t slot, int wait_status, HostListener& listener);
  [[nodiscard]] std::string end_text(int wait_status);
  [[nodiscard]] std::string initializer_text(std::uint32_t slot, int wait_status);
  [[nodiscard]] bool is_glance_due();
  void look_after_ranks(HostListener& listener);
  [[nodiscard]] std::vector<std::uint32_t> bury_the_lost();

  // What the dead leave (shared_host_dead.cpp).
  void settle_estate(std::uint32_t slot, HostListener& listener);
  [[nodiscard]] task::DeathReport report_of_dead(std::uint32_t slot);
  [[nodiscard]] bool settle_chunk_of_dead(std::uint32_t slot, const task::DeathReport& report, HostListener& listener);
  void order_audits(const std::optional<task::DeathReport>& blamed);
  bool audit_lots(HostListener& listener);
  [[nodiscard]] bool may_still_tell(std::uint32_t slot, LotId lot, std::uint32_t lot_slot);
  [[nodiscard]] std::vector<TaskRange> lost_of(LotId lot);
  void settle_lost(LotId lot, const std::vector<TaskRange>& lost, const std::optional<task::DeathReport>& blamed,
                   HostListener& listener);

  // Executors that could not be started (shared_host_missing.cpp).
  void handle_unforkable(std::uint32_t slot, HostListener& listener);
  void miss(std::uint32_t slot, const std::string& why, HostListener& listener);
  void note_serving(std::uint32_t slot, HostListener& listener);
  void note_gone(std::uint32_t slot);
  void see_who_is_left(HostListener& listener);
  [[nodiscard]] std::string why_missing() const;
  [[nodiscard]] std::string why_none_is_left();
  [[nodiscard]] bool any_process();
  [[nodiscard]] bool may_be_tried(std::uint32_t slot);
  [[nodiscard]] bool any_to_try();
  [[nodiscard]] std::uint32_t count_present();
  void retry_missing(HostListener& listener);
  void report_executors(HostListener& listener);

  // The end (shared_host_end.cpp).
  [[nodiscard]] bool has_broken_down();
  void end(Ending ending);
  void ring_everyone();
  void wait_until_vacant(Ending ending);
  void kill_directly(std::uint32_t slot);

  Zygote& zygote_;
  std::string host_name_;
  std::uint64_t channel_id_;
  Channel channel_;
  Arena arena_;
  LotBoard board_;
  RecordReader reader_;
  std::optional<Payload> delivered_;
  Life life_ = Life::running;
  std::string broken_because_;
  support::NodeRecycler nodes_;
  std::pmr::unordered_map<CallId, std::uint64_t> calls_{&nodes_};  ///< offsets of their images
  std::vector<Executor> executors_;
  TaskWatch watch_;
  StartRetry retry_;
  std::deque<std::pair<LotId, TaskRange>> retracted_;  ///< to be reported by the next poll()
  std::map<LotId, Audit> audits_;                      ///< few
  bool has_initializer_;
  bool quiet_;
  NodeRanks others_;
  support::SpinTrust trust_;
  support::Spinner spinner_;
  support::Interval glance_{glance_interval};  ///< at what can't ring: a process that was killed
  std::uint32_t polls_ = 0;
  std::uint64_t questions_ = 0;
  Blocked blocked_;                                       ///< as last reported
  std::chrono::steady_clock::time_point spares_again_{};  ///< none is forked before
  std::uint32_t spares_in_vain_ = 0;                      ///< times that some could not be had, since one could
  std::uint32_t next_spare_ = 0;                          ///< where to begin to look for one
  std::string why_no_spare_;
  std::uint32_t present_;  ///< executors, as last reported
  /// What still holds results when the host is gone finds it gone.
  std::shared_ptr<SharedHost> self_{this, [](SharedHost*) {}};
};

}  // namespace rankpool::host
