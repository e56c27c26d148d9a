/// @file
/// Who wants to hear of the end of a call without being its callback.
#pragma once

#include <cstdint>

namespace rankpool::detail {

/// Wants to hear of the end of one call; a link in that call's ring of observers.
class Observer {
 public:
  Observer() noexcept : before_(this), after_(this) {}
  Observer(const Observer&) = delete;
  Observer& operator=(const Observer&) = delete;
  virtual ~Observer() = default;

  /// Called once, under the call's lock, after the callbacks and just before the call is done().
  /// @param order grows from one end of a call to the next.
  virtual void finished(std::uint64_t order) noexcept = 0;

 private:
  friend class ObserverRing;
  Observer* before_;
  Observer* after_;
};

/// The observers of one call.
class ObserverRing {
 public:
  void add(Observer& observer) noexcept {
    observer.after_ = &head_;
    observer.before_ = head_.before_;
    head_.before_->after_ = &observer;
    head_.before_ = &observer;
  }

  /// Does nothing to an observer that is in no ring.
  static void remove(Observer& observer) noexcept {
    observer.before_->after_ = observer.after_;
    observer.after_->before_ = observer.before_;
    observer.before_ = observer.after_ = &observer;
  }

  /// Tells all, and lets them go.
  void tell(std::uint64_t order) noexcept {
    while (head_.after_ != &head_) {
      Observer& first = *head_.after_;
      remove(first);
      first.finished(order);
    }
  }

 private:
  struct Head final : Observer {
    void finished(std::uint64_t /*order*/) noexcept override {}
  };
  Head head_;
};

}  // namespace rankpool::detail
