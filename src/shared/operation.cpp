#include "shared/operation.hpp"

#include "shared/cells.hpp"
#include "shared/lock.hpp"
#include "shared/queue.hpp"
#include "shared/semaphore.hpp"
#include "shared/signals.hpp"
#include "support/text.hpp"

namespace rankpool::shared {

using detail::SharedRequest;

namespace {

detail::SharedAnswer answer_for(Waited waited) {
  switch (waited) {
    case Waited::admitted:
      return detail::SharedAnswer::done;
    case Waited::late:
      return detail::SharedAnswer::late;
    case Waited::gone:
      return detail::SharedAnswer::gone;
    case Waited::in_vain:
      break;
  }
  return detail::SharedAnswer::in_vain;
}

}  // namespace

Operation::Operation(Space& space, ParticipantId me, const SharedRequest& request)
    : space_(space), me_(me), request_(request), deadline_(request.deadline) {}

Operation::Next Operation::answer(Answer answer, std::uint64_t word) {
  reply_.answer = answer;
  reply_.word = word;
  return Next::done;
}

Operation::Next Operation::await(Object& object) {
  awaited_ = &object;
  Participant& mine = space_.participant(me_);
  mine.task.store(request_.task, std::memory_order_relaxed);
  mine.rank.store(request_.rank, std::memory_order_relaxed);
  mine.for_ever.store(deadline_ ? 0 : 1, std::memory_order_release);
  if (stage_ == Stage::first) stage_ = Stage::waits;
  return Next::wait;
}

Operation::Next Operation::start() {
  object_ = space_.find(request_.object);
  if (object_ == nullptr) return answer(Answer::gone);
  switch (object_->kind) {
    case Kind::cells:
      reply_ = Cells(space_, *object_).perform(request_, me_);
      return Next::done;
    case Kind::lock:
      return use_lock(false);
    case Kind::recursive_lock:
      return use_lock(true);
    case Kind::semaphore:
      return use_semaphore();
    case Kind::condition:
      return use_condition();
    case Kind::event:
      return use_event();
    case Kind::barrier:
      return use_barrier();
    case Kind::queue:
      return use_queue();
  }
  return answer(Answer::damaged);
}

Operation::Next Operation::go_on(Waited waited) {
  if (stage_ == Stage::takes_part) return waited == Waited::admitted ? has_lock_again() : answer(answer_for(waited));
  if (object_->kind == Kind::condition) {
    if (waited == Waited::admitted) leave_queue(space_, *object_, me_);
    return take_lock_again(answer_for(waited));
  }
  if (waited != Waited::admitted) return answer(answer_for(waited));
  if (object_->kind == Kind::queue) return try_again();
  leave_queue(space_, *object_, me_);
  return answer(Answer::done);
}

Operation::Next Operation::try_again() { return request_.verb == Verb::get ? get() : put(); }

Operation::Next Operation::go_without_room(std::string_view why) {
  if (stage_ == Stage::waits) QueueSection(space_, *object_, me_).give_up();
  if (object_->id.load(std::memory_order_acquire) == 0) return answer(Answer::gone);
  reply_.bytes = support::bytes_of(why);
  return answer(Answer::failed);
}

Operation::Next Operation::use_lock(bool recursive) {
  LockSection section(space_, *object_, me_);
  switch (request_.verb) {
    case Verb::lock:
      switch (section.acquire(recursive)) {
        case Acquired::now:
          return answer(Answer::done);
        case Acquired::waits:
          return await(*object_);
        case Acquired::mine_already:
          if (!request_.deadline) return answer(Answer::mine_already);
          section.queue_up();
          return await(*object_);
      }
      return answer(Answer::damaged);
    case Verb::try_lock:
      return answer(section.try_acquire(recursive) ? Answer::done : Answer::refused);
    case Verb::unlock:
      return answer(section.release() ? Answer::done : Answer::not_mine);
    case Verb::give_back:
      return answer(section.abandon() ? Answer::done : Answer::not_mine);
    case Verb::owner_died:
      return answer(Answer::done, section.owner_died() ? 1 : 0);
    case Verb::mark_consistent:
      if (section.owner() != me_) return answer(Answer::not_mine);
      section.mark_consistent();
      return answer(Answer::done);
    default:
      return answer(Answer::wrong_kind);
  }
}

Operation::Next Operation::use_semaphore() {
  SemaphoreSection section(space_, *object_, me_);
  switch (request_.verb) {
    case Verb::acquire:
      return section.acquire() ? answer(Answer::done) : await(*object_);
    case Verb::try_acquire:
      return answer(section.try_acquire() ? Answer::done : Answer::refused);
    case Verb::release:
      return answer(section.release(request_.words[0]) ? Answer::done : Answer::too_many);
    case Verb::permits:
      return answer(Answer::done, section.permits());
    default:
      return answer(Answer::wrong_kind);
  }
}

Operation::Next Operation::use_condition() {
  switch (request_.verb) {
    case Verb::notify:
      ConditionSection(space_, *object_, me_).notify(request_.words[0]);
      return answer(Answer::done);
    case Verb::notify_all:
      ConditionSection(space_, *object_, me_).notify_all();
      return answer(Answer::done);
    case Verb::wait:
      break;
    default:
      return answer(Answer::wrong_kind);
  }
  lock_ = space_.find(request_.lock);
  if (lock_ == nullptr) return answer(Answer::gone);
  if (lock_->kind != Kind::lock && lock_->kind != Kind::recursive_lock) return answer(Answer::wrong_kind);
  if (LockSection(space_, *lock_, me_).owner() != me_) return answer(Answer::not_mine);
  ConditionSection(space_, *object_, me_).wait();
  depth_ = LockSection(space_, *lock_, me_).release_fully();
  return await(*object_);
}

Operation::Next Operation::take_lock_again(Answer outcome) {
  reply_.answer = outcome;
  stage_ = Stage::takes_part;
  deadline_.reset();
  if (LockSection(space_, *lock_, me_).acquire(false) == Acquired::waits) return await(*lock_);
  return has_lock_again();
}

Operation::Next Operation::has_lock_again() {
  if (awaited_ == lock_) leave_queue(space_, *lock_, me_);
  if (depth_ > 1) LockSection(space_, *lock_, me_).set_depth(depth_);
  return Next::done;
}

Operation::Next Operation::use_event() {
  EventSection section(space_, *object_, me_);
  switch (request_.verb) {
    case Verb::wait:
      return section.wait() ? answer(Answer::done) : await(*object_);
    case Verb::set:
      section.set();
      return answer(Answer::done);
    case Verb::clear:
      section.clear();
      return answer(Answer::done);
    case Verb::is_set:
      return answer(Answer::done, section.is_set() ? 1 : 0);
    default:
      return answer(Answer::wrong_kind);
  }
}

Operation::Next Operation::use_barrier() {
  if (request_.verb != Verb::wait) return answer(Answer::wrong_kind);
  return BarrierSection(space_, *object_, me_).arrive() ? answer(Answer::done, 1) : await(*object_);
}

Operation::Next Operation::use_queue() {
  switch (request_.verb) {
    case Verb::put:
    case Verb::try_put:
      return put();
    case Verb::get:
    case Verb::try_get:
      return get();
    case Verb::close:
      QueueSection(space_, *object_, me_).close();
      return answer(Answer::done);
    case Verb::size:
      return answer(Answer::done, QueueSection(space_, *object_, me_).size());
    default:
      return answer(Answer::wrong_kind);
  }
}

Operation::Next Operation::put() {
  QueueSection section(space_, *object_, me_);
  const auto bring = [&] {
    if (stage_ == Stage::waits) return section.put_admitted(request_.payload);
    return request_.verb == Verb::try_put ? section.try_put(request_.payload) : section.put(request_.payload);
  };
  switch (bring()) {
    case Put::done:
      return answer(Answer::done);
    case Put::refused:
      return answer(Answer::refused);
    case Put::waits:
      return await(*object_);
    case Put::needs_room:
      return Next::make_room;
    case Put::closed:
      return answer(Answer::closed);
    case Put::damaged:
      break;
  }
  return answer(Answer::damaged);
}

Operation::Next Operation::get() {
  QueueSection section(space_, *object_, me_);
  const auto take = [&] {
    if (stage_ == Stage::waits) return section.get_admitted(reply_.bytes);
    return request_.verb == Verb::try_get ? section.try_get(reply_.bytes) : section.get(reply_.bytes);
  };
  Got got{};
  try {
    got = take();
  } catch (...) {  // no memory for the item
    if (stage_ == Stage::waits) section.give_up();
    throw;
  }
  switch (got) {
    case Got::item:
      return answer(Answer::done);
    case Got::refused:
      return answer(Answer::refused);
    case Got::waits:
      return await(*object_);
    case Got::closed:
      return answer(Answer::closed);
    case Got::damaged:
      break;
  }
  return answer(Answer::damaged);
}

}  // namespace rankpool::shared
