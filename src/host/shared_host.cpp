#include "host/shared_host.hpp"

#include <algorithm>
#include <cstring>
#include <iostream>
#include <string>
#include <system_error>
#include <utility>

#include "support/futex.hpp"

namespace rankpool::host {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

// A reply that comes within this is worth more than the sleep and wake-up it saves.
constexpr auto spin_time = 50us;

// Memory that an executor may keep for its next large result.
constexpr std::uint64_t largest_spare = std::uint64_t{8} << 20U;

/// Another core has written the record: its lines come while the slot's come.
void prefetch_record(const std::byte* record) {
  __builtin_prefetch(record);
  __builtin_prefetch(record + cache_line);
}

}  // namespace

SharedHost::SharedHost(const Config& config, Zygote& zygote)
    : zygote_(zygote),
      host_name_(config.host_name),
      channel_id_(config.channel_id),
      channel_(config.channel),
      arena_(channel_.memory(), channel_.arena_begin()),
      board_(channel_),
      executors_(channel_.slots()),
      watch_(executors_.size()),
      has_initializer_(config.initializer.has_value()),
      quiet_(config.quiet),
      present_(channel_.base()) {
  for (std::uint32_t slot = 0; slot < channel_.slots(); ++slot) {
    executors_[slot].member = channel_.member(slot);
    executors_[slot].rank = channel_.rank(slot);
  }
  auto& name = channel_.header().settings.host;
  std::strncpy(name.data(), config.host_name.c_str(), name.size() - 1);
  if (config.initializer) channel_.header().settings.initializer = store_image(*config.initializer);
  zygote_.attach(channel_id_, channel_.memory());
}

SharedHost::~SharedHost() {
  if (life_ == Life::ended) return;
  try {
    kill();
  } catch (const std::exception&) {
    // The zygote is gone, and with it its executors.
  }
}

void SharedHost::start(const std::vector<NodeRank>& others) {
  others_.watch(others);
  for (std::uint32_t slot = 0; slot < channel_.base(); ++slot) order(slot, SlotCommand::spawn);
}

std::uint64_t SharedHost::store_image(const CallImage& call) {
  const std::size_t bytes = sizeof(CallHeader) + call.callable.size();
  const std::uint64_t offset = arena_.allocate(bytes);
  auto* header = new (channel_.at(offset)) CallHeader{.kernel = call.kernel,
                                                      .input_stride = call.input_stride,
                                                      .chunksize = call.chunksize,
                                                      .callable_bytes = call.callable.size(),
                                                      .random_numbers = call.random_numbers,
                                                      .schedule = static_cast<std::uint32_t>(call.schedule),
                                                      .stop = 0};
  if (!call.callable.empty()) std::memcpy(static_cast<void*>(header + 1), call.callable.data(), call.callable.size());
  return offset;
}

void SharedHost::open_call(const CallImage& call) {
  calls_.emplace(call.id, store_image(call));
  trust_.renew();
  if (call.task_timeout.count() == 0) return;
  watch_.open_call(call.id, call.task_timeout);
  channel_.ring_leader();  // its wait() may be longer than the tasks have
}

void SharedHost::close_call(CallId call) {
  const auto found = calls_.find(call);
  if (found == calls_.end()) return;
  arena_.release(found->second);
  calls_.erase(found);
  watch_.close_call(call);
}

void SharedHost::stop_call(CallId call) {
  const auto found = calls_.find(call);
  if (found == calls_.end()) return;
  reinterpret_cast<CallHeader*>(channel_.at(found->second))->stop.store(1, std::memory_order_relaxed);
}

void SharedHost::retract(LotId lot) {
  retracted_.emplace_back(lot, board_.take_back(lot));
  channel_.ring_leader();
}

bool SharedHost::poll(HostListener& listener) {
  if (is_glance_due()) {
    look_after_ranks(listener);
    board_.wake_for_all_unclaimed();
  }
  if (watch_.active()) watch_tasks();
  if (retry_.planned()) retry_missing(listener);
  const bool called = channel_.header().attention.load(std::memory_order_relaxed) != 0;
  if (called) listen(listener);
  // An executor that lets go of a lot to sleep rings the leader: looked at after what it has told.
  bool found = !audits_.empty() && audit_lots(listener);
  look_at_blocked(listener);
  if (life_ == Life::breaking && has_broken_down()) {
    listener.on_broken(broken_because_);
    found = true;
  }
  return called || found;
}

void SharedHost::listen(HostListener& listener) {
  auto& header = channel_.header();
  header.attention.exchange(0, std::memory_order_seq_cst);
  for (; !retracted_.empty(); retracted_.pop_front()) {
    const auto [lot, tasks] = retracted_.front();
    if (tasks.count != 0) listener.on_tasks_returned(lot, tasks.first, tasks.count);
    listener.on_retracted(lot);
  }
  const std::uint32_t slots = channel_.slots();
  header.asking.drain(slots, [&](std::uint32_t slot) { grant_block(slot); });
  header.ready.drain(slots, [&](std::uint32_t slot) { drain(slot, listener); });
  header.returning.for_each(slots, [&](std::uint32_t slot) { take_returned(slot, listener); });
  header.mail.drain(slots, [&](std::uint32_t slot) { look_at_mail(slot, listener); });
  if (header.far_rung.load(std::memory_order_seq_cst) != 0) {
    header.far_rung.exchange(0, std::memory_order_seq_cst);
    listener.on_far_rung();
  }
  header.exited.drain(slots, [&](std::uint32_t slot) { look_at(slot, listener); });
}

void SharedHost::wait(std::chrono::nanoseconds timeout) {
  if (timeout.count() > 0 && trust_.worth_trying() && spinning_pays()) {
    const auto deadline = Clock::now() + std::min<std::chrono::nanoseconds>(timeout, spin_time);
    const auto called = [this] { return is_called(); };
    const auto pays = [this] { return spinning_pays(); };
    if (spinner_.until(deadline, called, pays)) return trust_.note_success();
    trust_.note_failure();
  }
  doze(timeout);
}

void SharedHost::doze(std::chrono::nanoseconds timeout) {
  auto& header = channel_.header();
  if (life_ == Life::ended) header.attention.store(0, std::memory_order_seq_cst);  // there is no poll() that would
  const std::uint32_t rings = header.bell.rings.load(std::memory_order_seq_cst);
  header.sleeping.store(1, std::memory_order_seq_cst);
  if (!is_called()) {
    const auto now = Clock::now();
    const auto longest = std::min(
        {std::chrono::nanoseconds(glance_interval), watch_.until_next_round(now), retry_.until_next_round(now)});
    support::futex_wait(header.bell.rings, rings, std::min(timeout, longest));
    if (!is_called()) polls_ = 0;
  }
  header.sleeping.store(0, std::memory_order_relaxed);
}

// The clock is read where nothing has happened for long, and now and then where things happen all the time.
bool SharedHost::is_glance_due() {
  constexpr std::uint32_t polls_between_clocks = 256;
  return polls_++ % polls_between_clocks == 0 && glance_.is_over();
}

// Only while there is a CPU that no executor wants.
bool SharedHost::spinning_pays() {
  auto& header = channel_.header();
  return header.awake() + 1 <= header.settings.cpus;
}

bool SharedHost::has_idle_cpu() {
  auto& header = channel_.header();
  const std::uint32_t base = channel_.base();
  const bool any_idle = base == 0 || header.awake() - header.spinners.size(channel_.slots()) < base;
  return any_idle && spinning_pays();
}

void SharedHost::drain(std::uint32_t slot, HostListener& listener) {
  ExecutorSlot& executor = channel_.slot(slot);
  Executor& known = executors_[slot];
  prefetch_record(channel_.outbox(slot) + known.head % outbox_bytes);
  const std::uint64_t tail = executor.tail.load(std::memory_order_seq_cst);
  if (executor.head.load(std::memory_order_relaxed) != known.head) disbelieve(slot);
  while (known.sense == Sense::sound && known.head != tail) {
    Record record;
    const Reading reading = reader_.read(outbox(slot), tail, record);
    if (reading == Reading::nothing) break;
    if (reading == Reading::nonsense || !deliver(slot, record, listener)) return disbelieve(slot);
    known.head = record.end;
    executor.head.store(known.head, std::memory_order_release);
  }
  if (known.sense == Sense::astray) return;
  known.head = tail;
  executor.head.store(tail, std::memory_order_seq_cst);
  if (executor.waits_for_space.load(std::memory_order_seq_cst) != 0) executor.bell.ring();
}

// What a dead executor had finished of the run it was writing is whole.
void SharedHost::drain_open_run(std::uint32_t slot, HostListener& listener) {
  const ExecutorSlot& executor = channel_.slot(slot);
  if (executors_[slot].sense == Sense::astray) return;
  Record record;
  const Reading reading = read_open_run(outbox(slot), executor.tail.load(std::memory_order_acquire),
                                        executor.open_run.load(std::memory_order_acquire), record);
  if (reading == Reading::nothing) return;
  if (reading == Reading::nonsense || !deliver(slot, record, listener)) disbelieve(slot);
}

OutboxView SharedHost::outbox(std::uint32_t slot) {
  return {channel_.outbox(slot), channel_.at(0), executors_[slot].lent, executors_[slot].head};
}

/// Gives the block of what was delivered back, unless who got it keeps it; also when that has thrown.
class SharedHost::LetGo {
 public:
  explicit LetGo(SharedHost& host) : host_(host) {}
  LetGo(const LetGo&) = delete;
  LetGo& operator=(const LetGo&) = delete;
  ~LetGo() {
    const auto payload = std::exchange(host_.delivered_, std::nullopt);
    if (payload) host_.lend_again_or_release(payload->slot, payload->block);
  }

 private:
  SharedHost& host_;
};

bool SharedHost::deliver(std::uint32_t slot, const Record& record, HostListener& listener) {
  bool expected = true;
  if (record.block != 0) delivered_ = Payload{slot, reclaim(slot, record.block)};
  const LetGo let_go(*this);
  if (record.kind == RecordKind::failure) {
    expected = report_failure(slot, record, listener);
  } else if (record.lot == no_lot) {
    expected = has_initializer_;
  } else if (record.count != 0) {
    expected = board_.settle(record.lot, record.first, record.count);
    if (expected) listener.on_results(record.lot, record.first, record.count, record.nanoseconds, record.payload);
  }
  return expected;
}

// The block is nobody's meanwhile: not the executor's, which may die, and not free.
std::shared_ptr<const void> SharedHost::keep_results() {
  if (!delivered_) return nullptr;
  const Payload kept = *std::exchange(delivered_, std::nullopt);
  const auto let_go = [kept, host = std::weak_ptr(self_), memory = hold_memory()](const std::byte*) {
    if (const auto self = host.lock()) self->lend_again_or_release(kept.slot, kept.block);
  };
  return std::shared_ptr<const std::byte>(at(kept.block.offset), let_go);
}

bool SharedHost::report_failure(std::uint32_t slot, const Record& record, HostListener& listener) {
  const Place place{executors_[slot].rank, static_cast<std::int32_t>(slot)};
  if (record.lot == no_lot) {
    if (!has_initializer_ || executors_[slot].process == Process::serves) return false;
    if (is_spare(slot)) return true;  // its end is looked at soon
    listener.on_initializer_failed(place, record.payload);
    life_ = Life::broken;
    return true;
  }
  if (!board_.settle(record.lot, record.first, 1)) return false;
  listener.on_task_failed(record.lot, record.first, record.nanoseconds, place, record.payload);
  return true;
}

// What it published before stands; what it has published since, and the chunk it is at, are lost with it.
void SharedHost::disbelieve(std::uint32_t slot) {
  Executor& known = executors_[slot];
  if (known.sense == Sense::astray) return;
  known.sense = Sense::astray;
  order(slot, SlotCommand::kill);
  if (quiet_) return;
  std::cerr << "rankpool: an executor on " + host_name_ + " (rank " + std::to_string(known.rank) + ", slot " +
                   std::to_string(slot) +
                   ") is killed: what it reports makes no sense. A task writes to memory that is not its own; "
                   "RANKPOOL_INLINE=1 and valgrind show which.\n"
            << std::flush;
}

void SharedHost::grant_block(std::uint32_t slot) {
  ExecutorSlot& executor = channel_.slot(slot);
  Executor& known = executors_[slot];
  const std::uint64_t asks = executor.asks.load(std::memory_order_acquire);
  if (asks == known.answered) return;  // rung twice for one question
  known.answered = asks;
  if (const std::uint64_t unwanted = executor.unwanted.load(std::memory_order_relaxed); unwanted != 0) {
    if (std::erase_if(known.lent, [=](const LentBlock& block) { return block.offset == unwanted; }) != 0) {
      arena_.release(unwanted);
    }
  }
  std::uint64_t answer = ExecutorSlot::no_block;
  try {
    const std::uint64_t bytes = executor.wanted.load(std::memory_order_relaxed);
    answer = arena_.allocate(bytes);
    known.lent.push_back({answer, bytes});
  } catch (const std::system_error&) {
    // The executor makes it the task's error.
  }
  executor.granted.store(answer, std::memory_order_release);
  executor.bell.ring();
}

LentBlock SharedHost::reclaim(std::uint32_t slot, std::uint64_t block) {
  auto& lent = executors_[slot].lent;
  const auto known = std::ranges::find(lent, block, &LentBlock::offset);
  const LentBlock reclaimed = *known;
  lent.erase(known);
  return reclaimed;
}

// Lent again at once, if the executor has no spare: its next large result then need not wait for the leader.
void SharedHost::lend_again_or_release(std::uint32_t slot, const LentBlock& block) {
  ExecutorSlot& executor = channel_.slot(slot);
  const bool lives = executor.state.load(std::memory_order_acquire) == SlotState::serving;
  if (lives && block.bytes <= largest_spare && executor.spare.load(std::memory_order_acquire) == 0) {
    executors_[slot].lent.push_back(block);
    executor.spare.store(block.offset, std::memory_order_release);
  } else {
    arena_.release(block.offset);
  }
}

}  // namespace rankpool::host
