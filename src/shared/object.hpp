// Shared objects: locks, semaphores, queues in memory that several processes map.
//
//   caller ── Section: the object's latch ──► a copy of its State, changed ── commit(): one store makes it the State
//                                                │
//             who can't be served yet is enqueued┘   a later section lets the first of them in, and rings
//
// Each process may be killed between any two instructions. What it had not committed has not happened; what it had
// stands, and those let in by it are rung again. Whoever hears of the death, the master, buries the dead in each
// object: their latch, what they held, their place among the waiters.
//
// A state's meaning, and who is let in when, is the business of the objects' kinds: lock.hpp and its neighbours.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>

#include <rankpool/detail/shared.hpp>

#include "shared/participant.hpp"

namespace rankpool::shared {

inline constexpr std::size_t fields_of_state = 9;
inline constexpr std::uint32_t groups_of_waiters = 2;

struct State {
  std::uint64_t next_ticket = 1;
  /// Those who wait with tickets below are let in, by their group.
  std::array<std::uint64_t, groups_of_waiters> admitted_below{};
  /// Who was let in with this ticket has done by this very state what it was let in for.
  std::uint64_t used_ticket = 0;
  std::array<std::uint64_t, fields_of_state> fields{};
};

using Kind = detail::SharedKind;

/// Its waiters' bits follow it in memory, one for each participant.
struct alignas(64) Object {  // NOLINT(clang-analyzer-optin.performance.Padding): what is written often has its lines
  std::atomic<std::uint64_t> id{0};          ///< 0: there is no object here
  std::atomic<ParticipantId> latch{nobody};  ///< who is in a section
  std::atomic<std::uint32_t> current{0};     ///< which of the two states counts
  std::atomic<std::uint32_t> sections{0};    ///< that have begun: who is seen twice in one is told from who is in two
  Kind kind{};
  alignas(64) std::array<State, 2> states{};

  std::atomic<std::uint64_t>* waiters() { return reinterpret_cast<std::atomic<std::uint64_t>*>(this + 1); }
  [[nodiscard]] const State& state() const { return states[current.load(std::memory_order_acquire) % states.size()]; }

  static constexpr std::size_t bytes(std::uint32_t participants) {
    return sizeof(Object) + (participants / 64 + 1) * sizeof(std::uint64_t);
  }
};

/// A process's view of the participants and of the memory in which the objects are.
class Space {
 public:
  /// What stands at the beginning of the participants' table.
  struct Header {
    std::uint32_t participants;  ///< places in the table, which have numbers from 1
    std::uint32_t near;          ///< the first of them: processes that sleep on their own place
  };

  static constexpr std::size_t bytes(std::uint32_t participants) {
    return sizeof(Participant) * (participants + std::size_t{1});
  }
  /// Makes the table in memory of bytes(participants), aligned to 64.
  static void create(std::byte* table, const Header& header);

  /// Tells of a participant whether its process has ended, by looking at the process itself: the thread that would be
  /// told may be the one that asks. For the master alone, in one thread at a time.
  /// @param in the object in whose section the participant is.
  using IsGone = std::function<bool(ParticipantId, const Object& in)>;
  /// Wakes who looks after those that are not near.
  using RingFar = std::function<void()>;

  /// `table`: offset in the memory, as are objects.
  Space(std::span<std::byte> memory, std::uint64_t table, IsGone is_gone = {}, RingFar ring_far = {});

  /// Whether these bytes are of this memory, whatever a task has made of the numbers.
  [[nodiscard]] bool contains(std::uint64_t offset, std::uint64_t bytes) const {
    return offset <= size_ && bytes <= size_ - offset;
  }
  [[nodiscard]] std::byte* bytes_at(std::uint64_t offset) const {
    return reinterpret_cast<std::byte*>(base_ + offset);  // NOLINT(performance-no-int-to-ptr): the base may be 0
  }
  [[nodiscard]] std::uint32_t participants() const { return participants_; }
  [[nodiscard]] Participant& participant(ParticipantId id) { return table_[id]; }
  /// Also of one that isn't a participant, which a task has written there.
  [[nodiscard]] bool is_gone(ParticipantId id, const Object& in) const {
    return id != nobody && is_gone_ && (!is_participant(id) || is_gone_(id, in));
  }
  [[nodiscard]] bool is_participant(std::uint64_t id) const { return id != nobody && id <= participants_; }
  void ring(ParticipantId id);
  [[nodiscard]] Object& at(std::uint64_t offset) { return *reinterpret_cast<Object*>(bytes_at(offset)); }
  /// The object of this name; null where there is none any more.
  [[nodiscard]] Object* find(const detail::SharedHandle& handle);
  [[nodiscard]] std::uint64_t offset_of(const Object& object) const {
    return reinterpret_cast<std::uintptr_t>(&object) - base_;
  }
  /// Makes an object in memory of Object::bytes(participants()), aligned to 64.
  Object& make(std::uint64_t offset, std::uint64_t id, Kind kind);

  /// Whether the participant waits for this object, and with which group and ticket.
  [[nodiscard]] std::optional<WaitingPlace> place_of(const Object& object, ParticipantId id);

 private:
  std::uintptr_t base_;
  std::uint64_t size_;
  Participant* table_;
  std::uint32_t participants_;
  std::uint32_t near_;
  IsGone is_gone_;
  RingFar ring_far_;
};

/// The only way to an object's state: one participant at a time is in a section of an object. Others spin, for a
/// section takes well under a microsecond; where its participant is killed in it, until the master takes it over.
class Section {
 public:
  Section(Space& space, Object& object, ParticipantId me) : space_(space), object_(object), me_(me) { enter(); }
  Section(const Section&) = delete;
  Section& operator=(const Section&) = delete;
  ~Section() { object_.latch.store(nobody, std::memory_order_release); }

  /// To be changed, then committed.
  [[nodiscard]] State& state() { return state_; }
  [[nodiscard]] std::uint64_t& field(std::size_t i) { return state_.fields[i]; }
  [[nodiscard]] ParticipantId me() const { return me_; }

  /// The state is what state() shows from here on, and who was let in is rung.
  void commit();

  /// Queues up behind all others of the group. To be committed.
  void enqueue(std::uint32_t group = 0);
  /// Whether I have been let in since I was queued up.
  [[nodiscard]] bool is_admitted() const;
  /// Where I wait, if I do.
  [[nodiscard]] std::optional<WaitingPlace> my_place() const { return space_.place_of(object_, me_); }
  /// Leaves the queue at once.
  void withdraw() { remove(me_); }
  /// Leaves the queue by the next commit, which does what I was let in for: both have happened or neither, whenever
  /// this process is killed.
  void use_admission();

  /// The one who has waited longest in the group and has not been let in; nobody if there is none.
  [[nodiscard]] ParticipantId first_waiting(std::uint32_t group = 0);
  [[nodiscard]] std::uint64_t count_waiting(std::uint32_t group = 0);
  /// Lets the first in, or everyone. To be committed.
  void admit(ParticipantId first, std::uint32_t group = 0);
  void admit_all(std::uint32_t group = 0) { state_.admitted_below[group] = state_.next_ticket; }

  /// Removes the dead from the waiters. @returns the place, if it had been let in and had not gone on: what it was let
  /// in for is not done.
  std::optional<WaitingPlace> remove_dead(ParticipantId dead);
  /// Rings those who are let in and may not have heard of it: who let them in has died.
  void ring_admitted();
  /// Rings everyone who waits.
  void ring_all();

 private:
  void enter();
  [[nodiscard]] bool try_enter(ParticipantId instead_of);
  void clear_up_after(ParticipantId dead);
  template <class Visit>
  void for_each_waiter(Visit&& visit);
  void remove(ParticipantId id);

  Space& space_;
  Object& object_;
  ParticipantId me_;
  State state_;
  bool uses_admission_ = false;
};

/// How waiting ended.
enum class Waited : std::uint8_t {
  admitted,
  late,
  gone,    ///< the object is no more
  in_vain  ///< nobody is left who would let me in
};

using Deadline = std::optional<std::chrono::steady_clock::time_point>;  ///< none: for ever

/// What one who waits does when it is rung, and when its time is over.
/// @returns nothing while it is to go on waiting.
std::optional<Waited> look(Space& space, Object& object, ParticipantId me, bool late);

/// Waits until I am let in to the object, for which I was queued up, to do something there; leaves the queue when that
/// is done, by use_admission(). Until then I must not queue up elsewhere.
/// @param rest called with me, how often I had been rung, and the time I have: comes back when I am rung again, or
/// when it likes.
template <class Rest>
Waited wait_for_turn(Space& space, Object& object, ParticipantId me, Deadline deadline, const Rest& rest) {
  Participant& mine = space.participant(me);
  for (;;) {
    const std::uint32_t rings = mine.rings.load(std::memory_order_seq_cst);
    const auto now = std::chrono::steady_clock::now();
    const bool late = deadline && now >= *deadline;
    if (const auto waited = look(space, object, me, late)) return *waited;
    rest(mine, rings, deadline ? std::chrono::nanoseconds(*deadline - now) : std::chrono::nanoseconds::max());
  }
}

/// Leaves the queue after having been let in.
void leave_queue(Space& space, Object& object, ParticipantId id);

}  // namespace rankpool::shared
