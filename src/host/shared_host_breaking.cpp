// A host that can't go on: its executors are killed, and what they did is told before others get the rest.
#include <algorithm>

#include "host/shared_host.hpp"

namespace rankpool::host {

void SharedHost::break_down(const std::string& reason) {
  if (life_ != Life::running) return;
  life_ = Life::breaking;
  broken_because_ = reason;
  board_.take_back_all();  // nothing starts any more
  for (std::uint32_t slot = 0; slot < channel_.slots(); ++slot) order(slot, SlotCommand::kill);
  channel_.ring_leader();  // there may be none left whose end would
}

// By its end each executor has been looked at, and so has what it took to the grave.
bool SharedHost::has_broken_down() {
  if (life_ != Life::breaking || !audits_.empty()) return false;
  for (std::uint32_t slot = 0; slot < channel_.slots(); ++slot) {
    const SlotState state = channel_.slot(slot).state.load(std::memory_order_acquire);
    if (has_process(state) || state == SlotState::exited) return false;
  }
  life_ = Life::broken;
  return true;
}

}  // namespace rankpool::host
