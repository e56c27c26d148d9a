// Of executors that have ended or are lost: what they held is given back, and they wait no more.
#include <chrono>

#include "master/shared_objects.hpp"
#include "shared/lock.hpp"
#include "shared/queue.hpp"
#include "shared/semaphore.hpp"
#include "shared/signals.hpp"

namespace rankpool::master {

using detail::SharedKind;

/// Others than the near ones enter sections under the engine's mutex, as who asks here does: it is not one of them.
bool SharedObjects::is_gone(ParticipantId id, const shared::Object& in) {
  if (id > near_ || host_.executor_is_gone(id - 1)) return true;
  // One that is stopped there, or has been written there by a stray task, would hold up everybody.
  constexpr auto patience = std::chrono::seconds(1);
  constexpr auto same_look = std::chrono::milliseconds(100);
  const auto now = Clock::now();
  const std::uint32_t section = in.sections.load(std::memory_order_relaxed);
  const bool same = suspect_.id == id && suspect_.in == &in && suspect_.section == section;
  if (!same || now - suspect_.seen > same_look) suspect_ = {.id = id, .in = &in, .section = section, .since = now};
  suspect_.seen = now;
  if (now - suspect_.since > patience) host_.distrust_executor(id - 1);
  return false;
}

void SharedObjects::bury_executor(HostId host, std::uint32_t slot) {
  if (!space_ || executor(host, slot) == shared::nobody) return;
  waiting_.remove_if([&](const Asked& asked) { return asked.host == host && asked.slot == slot; });
  bury(executor(host, slot));
  look_at_waiting();
}

// What is handed on to one that is lost, too, is taken back when that is buried.
void SharedObjects::lose_host(HostId host) {
  if (!space_) return;
  waiting_.remove_if([&](const Asked& asked) { return asked.host == host; });
  for (std::uint32_t slot = 0; slot < slots_[host]; ++slot) bury(executor(host, slot));
  look_at_waiting();
}

void SharedObjects::bury(ParticipantId dead) {
  for (const auto& [offset, made] : objects_) bury(space_->at(offset), made.kind, dead);
  for (const Made& made : destroyed_)
    static_cast<void>(shared::Section(*space_, space_->at(made.block), master()).remove_dead(dead));
  space_->participant(dead).waits_for.store(0, std::memory_order_seq_cst);
}

// By the kind that is known here: what stands in the object a task may have written over.
void SharedObjects::bury(shared::Object& object, SharedKind kind, ParticipantId dead) {
  const ParticipantId me = master();
  switch (kind) {
    case SharedKind::cells:
      return static_cast<void>(shared::Section(*space_, object, me));  // so that it is in none any more
    case SharedKind::lock:
    case SharedKind::recursive_lock:
      return shared::LockSection(*space_, object, me).bury(dead);
    case SharedKind::semaphore:
      return shared::SemaphoreSection(*space_, object, me).bury(dead);
    case SharedKind::condition:
      return shared::ConditionSection(*space_, object, me).bury(dead);
    case SharedKind::event:
      return shared::EventSection(*space_, object, me).bury(dead);
    case SharedKind::barrier:
      return shared::BarrierSection(*space_, object, me).bury(dead);
    case SharedKind::queue:
      return shared::QueueSection(*space_, object, me).bury(dead);
  }
}

}  // namespace rankpool::master
