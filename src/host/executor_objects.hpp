// An executor's way to the shared objects of its pool: in the channel's memory on the master's node, elsewhere by
// asking the master, who does it for it.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <rankpool/detail/home_process.hpp>

#include "host/channel.hpp"
#include "shared/access.hpp"
#include "shared/holdings.hpp"
#include "shared/object.hpp"
#include "support/spin.hpp"
#include "task/this_task.hpp"

namespace rankpool::host {

class ExecutorObjects final : public shared::Access {
 public:
  /// What happens inside a task.
  struct Hooks {
    std::function<bool()> on_blocked;  ///< it has been waiting for others for long; again, until it returns true
    std::function<void()> on_held;     ///< it holds a lock
  };
  ExecutorObjects(Channel& channel, std::uint32_t slot, Hooks hooks);

  detail::SharedReply perform(const detail::SharedRequest& request) override;
  void destroy(const detail::SharedHandle& object) override;
  void end_task() noexcept override;

 private:
  [[nodiscard]] shared::Space* space();
  detail::SharedReply perform_here(shared::Space& space, const detail::SharedRequest& request);
  std::string ask_for_room(const detail::SharedRequest& request);
  detail::SharedReply ask_master(const detail::SharedRequest& request);
  void put_question(detail::Bytes question);
  std::vector<std::byte> take_answer();
  class Waiting;
  void pass_turn(Mailbox::Turn turn);
  void await_turn_of_mine();
  template <class Awaited>
  bool spin(const Awaited& awaited);
  void give_back_held();
  [[nodiscard]] bool in_own_thread() const { return std::this_thread::get_id() == thread_; }

  Channel& channel_;
  std::uint32_t slot_number_;
  ExecutorSlot& slot_;
  Mailbox& mailbox_;
  Hooks hooks_;
  detail::HomeProcess home_;
  std::thread::id thread_ = std::this_thread::get_id();
  std::once_flag space_found_;
  std::optional<shared::Space> space_;
  Mailbox::Turn passed_ = Mailbox::Turn::nothing;  ///< with what it was given away
  std::mutex mutex_;                               ///< of the mailbox: a task's threads may ask for values at once
  shared::Holdings<task::TaskNumber> holdings_;
  support::SpinTrust trust_;
};

}  // namespace rankpool::host
