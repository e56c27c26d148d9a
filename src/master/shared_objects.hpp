// The book of a pool's shared objects: makes and ends them, buries the dead in them, and does for the executors of
// other nodes what those ask for. Everything is under the engine's mutex.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "host/host.hpp"
#include "master/deadlock_watch.hpp"
#include "scheduler/commands.hpp"
#include "shared/object.hpp"
#include "shared/operation.hpp"

namespace rankpool::master {

class SharedObjects {
 public:
  using Clock = std::chrono::steady_clock;
  using HostId = scheduler::HostId;
  using ParticipantId = shared::ParticipantId;
  using Answer = std::function<void(HostId host, std::uint32_t slot, std::uint64_t number, detail::Bytes bytes)>;

  /// @param slots executors that each host may have, the master's own node's first.
  /// @param answer sends an answer to an executor.
  SharedObjects(host::Host& host, std::uint64_t pool, std::span<const std::uint32_t> slots, Answer answer);
  SharedObjects(const SharedObjects&) = delete;
  SharedObjects& operator=(const SharedObjects&) = delete;
  ~SharedObjects() = default;

  /// Throws std::system_error when there is no memory.
  detail::SharedHandle make(const detail::SharedSpec& spec);
  /// Who waits for it is told. @returns false where there is no such object.
  bool destroy(const detail::SharedHandle& handle);
  /// To be called when no task runs and nobody waits: one might still touch what was destroyed.
  void release_destroyed();

  /// Whether one was ever made; only then there is a space.
  [[nodiscard]] bool any() const { return space_.has_value(); }
  [[nodiscard]] shared::Space& space() { return *space_; }
  /// Whether one was ever made that can be waited for.
  [[nodiscard]] bool any_to_wait_for() const { return any_to_wait_for_; }
  /// Those that wait as long as it takes.
  [[nodiscard]] std::vector<DeadlockWatch::Wait> waits();
  /// Lets them give up. @param why for all of them.
  void refuse(const std::vector<DeadlockWatch::Wait>& in_vain, const std::string& why);
  /// Who that is, of the host's executors; nothing where it is a thread of the master.
  [[nodiscard]] std::optional<std::pair<HostId, std::uint32_t>> executor_of(ParticipantId id) const;
  /// Whether the objects that it names are there.
  [[nodiscard]] bool has_all_of(const detail::SharedRequest& request) const;
  /// The object, for one who doesn't have the mutex; null where there is none, or where that can't be told.
  [[nodiscard]] shared::Object* find_unlocked(const detail::SharedHandle& handle);

  /// A place for a thread of the master. Throws std::runtime_error where there are too many.
  ParticipantId admit_thread();
  void dismiss_thread(ParticipantId id);

  /// @returns whether the operation has come to its end; if not, it waits.
  bool start(shared::Operation& operation) { return has_ended(operation, operation.start()); }
  /// As Operation::go_on().
  bool go_on(shared::Operation& operation, shared::Waited waited) {
    return has_ended(operation, operation.go_on(waited));
  }

  void ask(HostId host, const host::Question& question);
  /// Those who wait here for others may have been let in.
  void look_at_waiting();
  /// Those who have waited long enough go on.
  void end_late_waits();
  /// When one of those will have waited long enough, at the earliest.
  [[nodiscard]] std::optional<std::chrono::steady_clock::time_point> next_deadline() const;

  /// Nobody waits for the answers any more.
  void forget_questions() { waiting_.clear(); }
  void bury_executor(HostId host, std::uint32_t slot);
  void lose_host(HostId host);

 private:
  using Block = std::optional<std::uint64_t>;  ///< of the host's memory

  struct Made {
    detail::SharedKind kind{};
    std::uint64_t block = 0;
    std::uint64_t id = 0;
    Block ring;  ///< a queue's, once it has moved
  };
  /// What an executor has asked for.
  struct Asked {
    Asked(HostId from, const host::Question& question, shared::Space& space, ParticipantId me,
          const detail::SharedRequest& asked);
    HostId host;
    std::uint32_t slot;
    std::uint64_t number;
    std::vector<std::byte> payload;
    detail::SharedRequest request;
    shared::Operation operation;
  };

  /// One that is in a section, where it should be for less than a microsecond.
  struct Suspect {
    ParticipantId id = shared::nobody;
    const shared::Object* in = nullptr;
    std::uint32_t section = 0;  ///< which of the object's it is
    Clock::time_point since{};
    Clock::time_point seen{};
  };

  /// Its own place among the participants: for what it does for nobody.
  [[nodiscard]] ParticipantId master() const { return near_ + 1; }
  void make_table();
  void fill(shared::Object& object, const detail::SharedSpec& spec, std::uint64_t bytes);
  [[nodiscard]] ParticipantId executor(HostId host, std::uint32_t slot) const;
  [[nodiscard]] bool is_gone(ParticipantId id, const shared::Object& in);
  bool has_ended(shared::Operation& operation, shared::Operation::Next next);
  /// @returns why there is none, if so.
  std::optional<std::string> make_room(const detail::SharedHandle& queue, std::uint64_t item);
  std::vector<std::byte> take_why(ParticipantId id);
  [[nodiscard]] bool has(const detail::SharedHandle& handle) const;
  void answer(const Asked& asked, const detail::SharedReply& reply);
  template <class Step>
  bool take_step(Asked& asked, const Step& step);
  void bury(ParticipantId dead);
  void bury(shared::Object& object, detail::SharedKind kind, ParticipantId dead);
  void release(const Made& made);

  host::Host& host_;
  std::uint64_t pool_;
  std::vector<ParticipantId> first_of_host_;
  std::vector<std::uint32_t> slots_;
  std::uint32_t near_;
  std::uint32_t participants_;
  Answer answer_;
  std::optional<shared::Space> space_;
  std::vector<ParticipantId> free_threads_;
  std::map<std::uint64_t, Made> objects_;  ///< by offset
  std::vector<Made> destroyed_;
  std::list<Asked> waiting_;
  std::uint64_t last_id_ = 0;
  bool any_to_wait_for_ = false;
  std::map<ParticipantId, std::string> why_in_vain_;
  Suspect suspect_;
};

}  // namespace rankpool::master
