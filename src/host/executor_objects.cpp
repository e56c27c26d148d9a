#include "host/executor_objects.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <exception>
#include <new>
#include <stdexcept>

#include <rankpool/detail/call_spec.hpp>

#include "shared/cells.hpp"
#include "shared/message.hpp"
#include "shared/operation.hpp"
#include "support/spin.hpp"
#include "task/this_task.hpp"

namespace rankpool::host {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using detail::SharedReply;
using detail::SharedRequest;
using detail::SharedVerb;
using shared::Operation;

// A leader that has died never answers; the executor looks up now and then only so that a debugger sees it move.
constexpr auto look_up = 1s;

// A task that has waited so long for others may wait for what has not been begun: that is to have its executor. Far
// from the objects a message and its answer may take as long on a busy machine.
constexpr auto long_wait = 1ms;
constexpr auto long_wait_for_answer = 10ms;

// What comes within this is worth more than the sleep and wake-up it saves.
constexpr auto spin_time = 50us;

bool is_for_cells(SharedVerb verb) { return verb <= SharedVerb::compare_exchange; }

}  // namespace

/// The executor waits, as long as it lives, in a task.
class ExecutorObjects::Waiting {
 public:
  Waiting(ExecutorObjects& objects, Clock::duration long_wait)
      : objects_(objects), header_(objects.channel_.header()), until_long_(Clock::now() + long_wait) {}
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;
  ~Waiting() {
    if (state_ != State::brief) header_.blocked.erase(objects_.slot_number_);
  }

  /// Calls `sleep` with the time to sleep at most.
  template <class Sleep>
  void sleep(std::chrono::nanoseconds time, const Sleep& sleep) {
    const bool in_task = objects_.in_own_thread();
    if (in_task && state_ != State::told) time = std::min(time, note_long_wait());
    if (in_task) header_.resting.insert(objects_.slot_number_);
    const auto begin = Clock::now();
    sleep(time);
    // After short sleeps spinning may pay again.
    if (Clock::now() - begin < spin_time) objects_.trust_.note_miss();
    if (in_task) header_.resting.erase(objects_.slot_number_);
  }

 private:
  enum class State : std::uint8_t {
    brief,
    is_long,
    told  ///< and there is nothing to be given up for others
  };

  /// @returns how long to sleep at most before the next note.
  std::chrono::nanoseconds note_long_wait() {
    const auto left = until_long_ - Clock::now();
    if (left.count() > 0) return left;
    if (std::exchange(state_, State::is_long) == State::brief) header_.blocked.insert(objects_.slot_number_);
    const bool done = objects_.hooks_.on_blocked();
    objects_.channel_.ring_leader();
    if (!done) return long_wait;
    state_ = State::told;
    return std::chrono::nanoseconds::max();
  }

  ExecutorObjects& objects_;
  ChannelHeader& header_;
  Clock::time_point until_long_;
  State state_ = State::brief;
};

ExecutorObjects::ExecutorObjects(Channel& channel, std::uint32_t slot, Hooks hooks)
    : channel_(channel),
      slot_number_(slot),
      slot_(channel.slot(slot)),
      mailbox_(channel.mailbox(slot)),
      hooks_(std::move(hooks)) {}

/// Null on a node where they are not.
shared::Space* ExecutorObjects::space() {
  const std::uint64_t table = channel_.header().participants.load(std::memory_order_acquire);
  if (table == 0) return nullptr;
  std::call_once(space_found_, [this, table] {
    space_.emplace(std::span(channel_.at(0), channel_.memory().size()), table, nullptr,
                   [this] { channel_.ring_far(); });
  });
  return &*space_;
}

SharedReply ExecutorObjects::perform(const SharedRequest& asked) {
  home_.require("a shared object");
  if (is_for_cells(asked.verb)) {
    shared::Space* here = space();
    return here != nullptr ? perform_here(*here, asked) : ask_master(asked);
  }
  if (!in_own_thread()) {
    throw std::logic_error(
        "rankpool: a thread that a task has started used a shared object other than a Value or an Array; that is for "
        "the thread in which the task runs");
  }
  const task::TaskNumber task = task::current_number();
  if (holdings_.any_but_of(task)) give_back_held();
  holdings_.reserve();
  SharedRequest request = asked;
  request.task = task == task::TaskNumber{} ? 0 : task.index + 1;
  if (task::current_task() != nullptr) request.rank = task::current_task()->workplace->rank;
  shared::Space* here = space();
  SharedReply reply;
  try {
    reply = here != nullptr ? perform_here(*here, request) : ask_master(request);
  } catch (...) {
    // Without memory for the answer nobody knows what it was: a lock that was given is given back with the task's end.
    holdings_.note(request, {}, task);
    throw;
  }
  holdings_.note(request, reply, task);
  if (!holdings_.empty() && request.task != 0) hooks_.on_held();
  return reply;
}

void ExecutorObjects::destroy(const detail::SharedHandle&) { detail::refuse_inside_task("destroy()"); }

SharedReply ExecutorObjects::perform_here(shared::Space& space, const SharedRequest& request) {
  std::optional<Waiting> waiting;
  const auto rest = [&](shared::Participant& mine, std::uint32_t rings, std::chrono::nanoseconds time) {
    if (spin([&] { return mine.rings.load(std::memory_order_relaxed) != rings; })) return;
    if (!waiting) waiting.emplace(*this, long_wait);
    waiting->sleep(time, [&](std::chrono::nanoseconds most) { mine.sleep(rings, most); });
  };
  Operation operation(space, slot_number_ + 1, request);
  for (Operation::Next next = operation.start(); next != Operation::Next::done;) {
    if (next == Operation::Next::wait) {
      next = operation.go_on(
          shared::wait_for_turn(space, operation.awaited(), operation.me(), operation.deadline(), rest));
      continue;
    }
    const std::string why = ask_for_room(request);
    next = why.empty() ? operation.try_again() : operation.go_without_room(why);
  }
  if (operation.reply().answer == detail::SharedAnswer::in_vain) {
    operation.reply().bytes = ask_master({.verb = SharedVerb::why, .object = request.object}).bytes;
  }
  return std::move(operation.reply());
}

/// @returns why there is none; empty if there is.
std::string ExecutorObjects::ask_for_room(const SharedRequest& request) {
  try {
    const SharedReply room =
        ask_master({.verb = SharedVerb::make_room, .object = request.object, .words = {request.payload.size()}});
    if (room.answer == detail::SharedAnswer::done) return {};
    return "no room: " + std::string(reinterpret_cast<const char*>(room.bytes.data()), room.bytes.size());
  } catch (const std::exception& error) {
    return error.what();
  }
}

SharedReply ExecutorObjects::ask_master(const SharedRequest& request) {
  const std::vector<std::byte> question = shared::encode(request);
  const std::lock_guard lock(mutex_);
  put_question(question);
  auto reply = shared::decode_reply(take_answer());
  if (!reply) throw std::logic_error("rankpool: the master's answer about a shared object makes no sense");
  return std::move(*reply);
}

void ExecutorObjects::put_question(detail::Bytes question) {
  for (;;) {
    const std::size_t length = std::min(question.size(), Mailbox::capacity);
    std::memcpy(mailbox_.data.data(), question.data(), length);
    mailbox_.length.store(static_cast<std::uint32_t>(length), std::memory_order_relaxed);
    question = question.subspan(length);
    pass_turn(question.empty() ? Mailbox::Turn::question : Mailbox::Turn::part_of_question);
    if (question.empty()) return;
    await_turn_of_mine();
  }
}

std::vector<std::byte> ExecutorObjects::take_answer() {
  std::vector<std::byte> answer;
  std::exception_ptr failure;
  for (;;) {
    await_turn_of_mine();
    const bool last = mailbox_.turn.load(std::memory_order_acquire) == Mailbox::Turn::answer;
    const auto length = std::min<std::size_t>(mailbox_.length.load(std::memory_order_relaxed), Mailbox::capacity);
    try {
      if (!failure) answer.insert(answer.end(), mailbox_.data.begin(), mailbox_.data.begin() + length);
    } catch (const std::bad_alloc&) {
      failure = std::current_exception();  // what is still to come is taken all the same: the next answer is behind it
    }
    if (last) break;
    pass_turn(Mailbox::Turn::taken);
  }
  mailbox_.turn.store(Mailbox::Turn::nothing, std::memory_order_relaxed);
  if (failure) std::rethrow_exception(failure);
  return answer;
}

void ExecutorObjects::pass_turn(Mailbox::Turn turn) {
  passed_ = turn;
  mailbox_.turn.store(turn, std::memory_order_release);
  channel_.header().mail.insert(slot_number_);
  channel_.ring_leader();
}

void ExecutorObjects::await_turn_of_mine() {
  const auto is_mine = [this] { return mailbox_.turn.load(std::memory_order_acquire) != passed_; };
  if (spin(is_mine)) return;
  Waiting waiting(*this, long_wait_for_answer);
  for (;;) {
    const std::uint32_t rings = slot_.bell.rings.load(std::memory_order_seq_cst);
    if (is_mine()) return;
    waiting.sleep(look_up, [&](std::chrono::nanoseconds most) { support::futex_wait(slot_.bell.rings, rings, most); });
  }
}

template <class Awaited>
bool ExecutorObjects::spin(const Awaited& awaited) {
  ChannelHeader& header = channel_.header();
  if (!trust_.worth_trying()) return false;
  const auto spin_until = Clock::now() + spin_time;
  while (header.awake() <= header.settings.cpus) {
    if (support::spin_round(awaited)) {
      trust_.note_success();
      return true;
    }
    if (Clock::now() >= spin_until) break;
  }
  trust_.note_failure();
  return false;
}

void ExecutorObjects::end_task() noexcept {
  if (holdings_.empty()) return;
  try {
    give_back_held();
  } catch (...) {  // NOLINT(bugprone-empty-catch): the object or its pool is gone, and nobody waits for it
  }
}

void ExecutorObjects::give_back_held() {
  while (!holdings_.empty()) {
    const SharedRequest request{.verb = SharedVerb::give_back, .object = holdings_.last()};
    shared::Space* here = space();
    static_cast<void>(here != nullptr ? perform_here(*here, request) : ask_master(request));
    holdings_.remove(request.object);
  }
}

}  // namespace rankpool::host
