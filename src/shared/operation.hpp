// What is asked of an object, done for a participant; by whom and where doesn't matter. Whoever does it waits between
// its steps.
#pragma once

#include <cstdint>
#include <string_view>

#include "shared/object.hpp"

namespace rankpool::shared {

class Operation {
 public:
  enum class Next : std::uint8_t {
    done,      ///< see reply()
    wait,      ///< until let in to awaited(), and then go_on()
    make_room  ///< in the queue, for room_wanted() bytes, and then try_again()
  };

  /// Both must live as long as this.
  Operation(Space& space, ParticipantId me, const detail::SharedRequest& request);

  Next start();
  Next go_on(Waited waited);
  Next try_again();
  /// There is no room to be had.
  Next go_without_room(std::string_view why);

  /// The one that I wait for.
  [[nodiscard]] Object& awaited() const { return *awaited_; }
  [[nodiscard]] const Deadline& deadline() const { return deadline_; }
  [[nodiscard]] ParticipantId me() const { return me_; }
  [[nodiscard]] const detail::SharedRequest& request() const { return request_; }
  [[nodiscard]] detail::SharedReply& reply() { return reply_; }

 private:
  using Answer = detail::SharedAnswer;
  using Verb = detail::SharedVerb;

  /// Which part of it is under way.
  enum class Stage : std::uint8_t {
    first,
    waits,      ///< for the object
    takes_part  ///< of a condition: waits for its lock
  };

  Next answer(Answer answer, std::uint64_t word = 0);
  Next await(Object& object);
  Next use_lock(bool recursive);
  Next use_semaphore();
  Next use_condition();
  Next use_event();
  Next use_barrier();
  Next use_queue();
  Next put();
  Next get();
  Next take_lock_again(Answer answer);
  Next has_lock_again();

  Space& space_;
  ParticipantId me_;
  const detail::SharedRequest& request_;
  Object* object_ = nullptr;
  Object* lock_ = nullptr;  ///< of a condition
  Object* awaited_ = nullptr;
  Deadline deadline_;
  Stage stage_ = Stage::first;
  std::uint64_t depth_ = 0;  ///< of the condition's lock
  detail::SharedReply reply_;
};

}  // namespace rankpool::shared
