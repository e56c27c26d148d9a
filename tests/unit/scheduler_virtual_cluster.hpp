/// @file
/// A whole cluster in virtual time: hosts, executors and messages are events on a heap, only the scheduler is real.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <deque>
#include <queue>
#include <random>
#include <variant>
#include <vector>

#include "scheduler/scheduler.hpp"

namespace rankpool::scheduler {
inline constexpr Nanoseconds microsecond = 1'000;
inline constexpr Nanoseconds millisecond = 1'000'000;

/// A good integer hash: what a task costs depends on the task alone, not on the order of events.
constexpr std::uint64_t mix(std::uint64_t x) {
  x = (x ^ (x >> 31)) * 0x7fb5d329728ea185U;
  x = (x ^ (x >> 27)) * 0x81dadef4bc2dd44dU;
  return x ^ (x >> 33);
}

struct Setting {
  std::uint64_t seed = 1;
  std::uint32_t hosts = 0;
  std::uint32_t executors_per_host = 0;
  std::uint64_t map_tasks = 0;
  std::uint64_t apply_jobs = 0;
  std::uint32_t lost_hosts = 0;
  std::uint64_t deadly_one_in = 0;  ///< an attempt of a task in so many kills its executor; 0 none
  Nanoseconds shortest_task = 0;
  unsigned tail = 0;  ///< the longest task is about 2^(tail + 1) times the shortest
  Schedule schedule = Schedule::automatic;
};

/// What the scheduler was told, in order, so that it can be told again, with nothing else around, against the clock.
struct Told {
  enum class What : std::uint8_t { host, lose, open, add, end, done, died, returned, drain };
  What what;
  HostId host;
  std::uint64_t id;  ///< job or lot
  TaskRange tasks;
  Nanoseconds busy;
};

class CommandHash {
 public:
  void add(const Command& command) {
    ++commands_;
    fold(command.index());
    std::visit([this](const auto& one) { fold_all(one); }, command);
  }
  [[nodiscard]] std::uint64_t value() const { return hash_; }
  [[nodiscard]] std::uint64_t commands() const { return commands_; }

 private:
  void fold(std::uint64_t word) { hash_ = mix(hash_ ^ word) + word; }
  void fold_all(const RunLot& c) {
    fold(c.host), fold(c.lot), fold(c.tasks.first), fold(c.tasks.count), fold(c.attempt);
  }
  void fold_all(const RetractLot& c) { fold(c.host), fold(c.lot); }
  void fold_all(const GiveUp& c) { fold(c.job), fold(c.task), fold(c.lot); }
  void fold_all(const JobDone& c) { fold(c.job); }

  std::uint64_t hash_ = 0;
  std::uint64_t commands_ = 0;
};

inline JobOptions job_options(const Setting& setting, JobId job, std::uint64_t tasks) {
  return {.schedule = job == 0 ? setting.schedule : Schedule::automatic, .max_attempts = 3, .total = tasks};
}

/// Tells a scheduler one thing. @returns what a report returned, else true.
inline bool tell(Scheduler& scheduler, const Setting& setting, const Told& told) {
  switch (told.what) {
    case Told::What::host:
      scheduler.add_host(told.host, setting.executors_per_host);
      break;
    case Told::What::lose:
      scheduler.lose_host(told.host, Unreported::may_have_run);
      break;
    case Told::What::open:
      scheduler.open_job(told.id, job_options(setting, told.id, told.tasks.count));
      break;
    case Told::What::add:
      scheduler.add_tasks(told.id, told.tasks);
      break;
    case Told::What::end:
      scheduler.end_input(told.id);
      break;
    case Told::What::done:
      return scheduler.tasks_done(told.host, told.id, told.tasks, told.busy);
    case Told::What::died:
      return scheduler.task_died(told.host, told.id, told.tasks.first);
    case Told::What::returned:
      return scheduler.tasks_returned(told.host, told.id, told.tasks);
    case Told::What::drain:
      break;
  }
  return true;
}

class Cluster {
 public:
  explicit Cluster(const Setting& setting) : setting_(setting), random_(setting.seed), hosts_(setting.hosts) {}

  void run() {
    settled_.assign(setting_.map_tasks + setting_.apply_jobs, 0);
    for (HostId host = 0; host < setting_.hosts; ++host) {
      hosts_[host].idle = setting_.executors_per_host;
      hosts_[host].timers.resize(setting_.executors_per_host);
      master({Told::What::host, host, 0, {}, 0});
    }
    open(0, setting_.map_tasks);
    const Nanoseconds ideal = total_work() / (setting_.hosts * setting_.executors_per_host);
    for (std::uint64_t job = 1; job <= setting_.apply_jobs; ++job) at(below(ideal), {.kind = Kind::apply, .lot = job});
    std::vector<HostId> victims(setting_.hosts);
    for (HostId host = 0; host < setting_.hosts; ++host) victims[host] = host;
    for (std::uint32_t lost = 0; lost < setting_.lost_hosts; ++lost) {
      std::swap(victims[lost], victims[lost + below(setting_.hosts - lost)]);
      at(below(ideal), {.kind = Kind::vanish, .host = victims[lost]});
    }
    drain();
    while (!events_.empty()) {
      const Event event = events_.top();
      events_.pop();
      now_ = event.time;
      happen(event);
    }
  }

  [[nodiscard]] Nanoseconds length(std::uint64_t task) const {
    const std::uint64_t h = mix(task * 0x9e3779b97f4a7c15U + setting_.seed);
    const auto doublings =
        std::min(static_cast<unsigned>(std::countr_zero(h | (std::uint64_t{1} << 40))), setting_.tail);
    const auto jitter =
        static_cast<Nanoseconds>(((h >> 40) % 1024) * static_cast<std::uint64_t>(setting_.shortest_task) / 1024);
    return (setting_.shortest_task + jitter) << doublings;
  }

  /// No schedule can be sure to beat this by much: the work spread evenly over the executors that stay, and then the
  /// longest task alone; where executors or hosts die, that one dies at its very end and starts again.
  [[nodiscard]] double bound() const {
    Nanoseconds longest = 0;
    for (std::uint64_t task = 0; task < settled_.size(); ++task) longest = std::max(longest, length(task));
    const bool faults = setting_.lost_hosts > 0 || setting_.deadly_one_in > 0;
    const auto left = static_cast<double>((setting_.hosts - setting_.lost_hosts) * setting_.executors_per_host);
    return static_cast<double>(total_work()) / left + static_cast<double>(longest) * (faults ? 2 : 1);
  }

  [[nodiscard]] double makespan() const { return static_cast<double>(finished_at_); }
  [[nodiscard]] bool every_task_ended_once() const {
    return std::all_of(settled_.begin(), settled_.end(), [](std::uint8_t times) { return times == 1; });
  }
  [[nodiscard]] std::uint64_t jobs_done() const { return jobs_done_; }
  [[nodiscard]] std::uint64_t late_replies() const { return late_replies_; }
  [[nodiscard]] std::uint64_t deaths() const { return deaths_; }
  [[nodiscard]] std::uint64_t retractions() const { return retractions_; }
  [[nodiscard]] const CommandHash& commands() const { return hash_; }
  [[nodiscard]] const std::vector<Told>& told() const { return told_; }

 private:
  enum class Kind : std::uint8_t { apply, vanish, stop, lot, retract, chunk_end, reply };
  struct Event {
    Nanoseconds time = 0;
    std::uint64_t order = 0;
    Kind kind = Kind::apply;
    Told::What what = Told::What::done;
    HostId host = 0;
    std::uint32_t executor_or_attempt = 0;
    std::uint64_t lot = 0;
    JobId job = 0;
    TaskRange tasks{};
    std::uint64_t unfinished = 0;  ///< of a chunk whose executor died: the task it died on and those behind it
    Nanoseconds busy = 0;
    bool operator<(const Event& other) const { return time != other.time ? time > other.time : order > other.order; }
  };
  struct OpenLot {
    LotId lot;
    JobId job;
    std::uint64_t next, end;
    std::uint32_t attempt;
  };
  struct HostModel {
    bool running = true;
    std::uint32_t idle = 0;
    std::deque<OpenLot> lots;  ///< with unclaimed tasks
    std::vector<ChunkTimer> timers;
    Nanoseconds last_arrival = 0;
  };

  std::uint64_t below(std::uint64_t limit) { return random_() % limit; }
  Nanoseconds below(Nanoseconds limit) {
    return static_cast<Nanoseconds>(random_() % static_cast<std::uint64_t>(limit));
  }
  std::uint32_t below(std::uint32_t limit) { return static_cast<std::uint32_t>(random_() % limit); }
  Nanoseconds latency() { return 20 * microsecond + below(100 * microsecond); }

  [[nodiscard]] Nanoseconds total_work() const {
    Nanoseconds work = 0;
    for (std::uint64_t task = 0; task < settled_.size(); ++task) work += length(task);
    return work;
  }
  [[nodiscard]] std::uint64_t global(JobId job, std::uint64_t task) const {
    return job == 0 ? task : setting_.map_tasks + job - 1;
  }
  [[nodiscard]] bool deadly(std::uint64_t task, std::uint32_t attempt) const {
    return setting_.deadly_one_in > 0 &&
           mix(task ^ (std::uint64_t{attempt} << 50) ^ setting_.seed) % setting_.deadly_one_in == 0;
  }

  void at(Nanoseconds time, Event event) {
    event.time = time;
    event.order = ++order_;
    events_.push(event);
  }

  bool master(const Told& told) {
    told_.push_back(told);
    return tell(scheduler_, setting_, told);
  }

  void open(JobId job, std::uint64_t tasks) {
    constexpr std::uint64_t piece = 100'000;
    master({Told::What::open, 0, job, {0, tasks}, 0});
    for (std::uint64_t first = 0; first < tasks; first += piece) {
      master({Told::What::add, 0, job, {first, std::min(piece, tasks - first)}, 0});
    }
    master({Told::What::end, 0, job, {}, 0});
  }

  void drain() {
    master({Told::What::drain, 0, 0, {}, 0});
    while (const auto command = scheduler_.next()) {
      hash_.add(*command);
      if (const auto* run = std::get_if<RunLot>(&*command)) {
        send(run->host, {.kind = Kind::lot,
                         .host = run->host,
                         .executor_or_attempt = run->attempt,
                         .lot = run->lot,
                         .job = run->job,
                         .tasks = run->tasks});
      } else if (const auto* retract = std::get_if<RetractLot>(&*command)) {
        ++retractions_;
        send(retract->host, {.kind = Kind::retract, .host = retract->host, .lot = retract->lot});
      } else if (const auto* give_up = std::get_if<GiveUp>(&*command)) {
        ++settled_[global(give_up->job, give_up->task)];
      } else {
        ++jobs_done_;
        finished_at_ = now_;
      }
    }
  }

  /// Messages of a pair of ranks do not overtake each other.
  void send(HostId host, const Event& event) {
    hosts_[host].last_arrival = std::max(hosts_[host].last_arrival, now_ + latency());
    at(hosts_[host].last_arrival, event);
  }
  void reply(const Event& about, Told::What what, TaskRange tasks, Nanoseconds busy) {
    send(about.host, {.kind = Kind::reply,
                      .what = what,
                      .host = about.host,
                      .lot = about.lot,
                      .job = about.job,
                      .tasks = tasks,
                      .busy = busy});
  }

  void happen(const Event& event) {
    HostModel& host = hosts_[event.host];
    switch (event.kind) {
      case Kind::apply:
        open(event.lot, 1);
        return drain();
      case Kind::vanish:  // the master gives it up; it goes on for a while, and so do its replies
        master({Told::What::lose, event.host, 0, {}, 0});
        at(now_ + 300 * millisecond, {.kind = Kind::stop, .host = event.host});
        return drain();
      case Kind::stop:
        host.running = false;
        return;
      case Kind::lot:
        host.lots.push_back({event.lot, event.job, event.tasks.first, event.tasks.end(), event.executor_or_attempt});
        while (host.idle > 0 && !host.lots.empty()) claim(event.host, --host.idle);
        return;
      case Kind::retract:
        return give_back(host, event);
      case Kind::chunk_end:
        return end_chunk(host, event);
      case Kind::reply:
        return receive(event);
    }
  }

  void claim(HostId id, std::uint32_t executor) {
    HostModel& host = hosts_[id];
    OpenLot& lot = host.lots.front();
    const ChunkPolicy policy{.schedule = lot.job == 0 ? setting_.schedule : Schedule::automatic,
                             .total = lot.job == 0 ? setting_.map_tasks : 1,
                             .executors = setting_.hosts * setting_.executors_per_host,
                             .measured = host.timers[executor].tasks()};
    Event end{.kind = Kind::chunk_end,
              .host = id,
              .executor_or_attempt = executor,
              .lot = lot.lot,
              .job = lot.job,
              .tasks = {lot.next, next_chunk(policy, lot.next, lot.end)}};
    lot.next = end.tasks.end();
    for (std::uint64_t task = end.tasks.first; task < end.tasks.end(); ++task) {
      end.busy += length(global(lot.job, task));
      if (!deadly(global(lot.job, task), lot.attempt)) continue;
      end.unfinished = end.tasks.end() - task;
      break;
    }
    if (lot.next == lot.end) host.lots.pop_front();
    at(now_ + end.busy + microsecond, end);
  }

  void end_chunk(HostModel& host, const Event& event) {
    if (!host.running) return;
    const std::uint64_t finished = event.tasks.count - event.unfinished;
    if (finished > 0) {
      host.timers[event.executor_or_attempt].record(finished, event.busy);
      reply(event, Told::What::done, {event.tasks.first, finished}, event.busy);
    }
    if (event.unfinished > 0) {
      ++deaths_;
      const std::uint64_t died = event.tasks.first + finished;
      if (event.unfinished > 1) reply(event, Told::What::returned, {died + 1, event.unfinished - 1}, 0);
      reply(event, Told::What::died, {died, 1}, 0);
    }
    if (host.lots.empty()) {
      // Executor numbers matter to the timers alone: the idle ones are numbered from 0.
      std::swap(host.timers[event.executor_or_attempt], host.timers[host.idle]);
      ++host.idle;
    } else {
      claim(event.host, event.executor_or_attempt);
    }
  }

  void give_back(HostModel& host, const Event& event) {
    if (!host.running) return;
    const auto lot =
        std::find_if(host.lots.begin(), host.lots.end(), [&](const OpenLot& one) { return one.lot == event.lot; });
    if (lot == host.lots.end()) return reply(event, Told::What::returned, {}, 0);
    reply(event, Told::What::returned, {lot->next, lot->end - lot->next}, 0);
    host.lots.erase(lot);
  }

  void receive(const Event& event) {
    if (!master({event.what, event.host, event.lot, event.tasks, event.busy})) {
      ++late_replies_;
    } else if (event.what == Told::What::done) {
      for (std::uint64_t task = event.tasks.first; task < event.tasks.end(); ++task)
        ++settled_[global(event.job, task)];
    }
    drain();
  }

  Setting setting_;
  std::mt19937_64 random_;
  Scheduler scheduler_;
  std::vector<HostModel> hosts_;
  std::priority_queue<Event> events_;
  std::vector<std::uint8_t> settled_;
  std::vector<Told> told_;
  CommandHash hash_;
  Nanoseconds now_ = 0;
  Nanoseconds finished_at_ = 0;
  std::uint64_t order_ = 0;
  std::uint64_t jobs_done_ = 0;
  std::uint64_t late_replies_ = 0;
  std::uint64_t deaths_ = 0;
  std::uint64_t retractions_ = 0;
};

}  // namespace rankpool::scheduler
