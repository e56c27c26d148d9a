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
using detail::SharedReply;
using detail::SharedRequest;
using detail::SharedVerb;
using shared::Operation;

// A leader that has died never answers; the executor looks up now and then only so that a debugger sees it move.
constexpr auto look_up = 1s;

// What comes within this is worth more than the sleep and wake-up it saves.
constexpr auto spin_time = 50us;

/// As long as it lives this executor, though it has a task, wants no CPU.
class Blocked {
 public:
  Blocked(AtomicSet& blocked, std::uint32_t slot) : blocked_(blocked), slot_(slot) { blocked_.insert(slot_); }
  Blocked(const Blocked&) = delete;
  Blocked& operator=(const Blocked&) = delete;
  ~Blocked() { blocked_.erase(slot_); }

 private:
  AtomicSet& blocked_;
  std::uint32_t slot_;
};

bool is_for_cells(SharedVerb verb) { return verb <= SharedVerb::compare_exchange; }

}  // namespace

ExecutorObjects::ExecutorObjects(Channel& channel, std::uint32_t slot)
    : channel_(channel), slot_number_(slot), slot_(channel.slot(slot)), mailbox_(channel.mailbox(slot)) {}

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

SharedReply ExecutorObjects::perform(const SharedRequest& request) {
  home_.require("a shared object");
  if (is_for_cells(request.verb)) {
    shared::Space* here = space();
    return here != nullptr ? perform_here(*here, request) : ask_master(request);
  }
  if (!in_own_thread()) {
    throw std::logic_error(
        "rankpool: a thread that a task has started used a shared object other than a Value or an Array; that is for "
        "the thread in which the task runs");
  }
  const task::TaskNumber task = task::current_number();
  if (holdings_.any_but_of(task)) give_back_held();
  holdings_.reserve();
  shared::Space* here = space();
  SharedReply reply = here != nullptr ? perform_here(*here, request) : ask_master(request);
  holdings_.note(request, reply, task);
  return reply;
}

void ExecutorObjects::destroy(const detail::SharedHandle&) { detail::refuse_inside_task("destroy()"); }

SharedReply ExecutorObjects::perform_here(shared::Space& space, const SharedRequest& request) {
  const auto rest = [this](shared::Participant& mine, std::uint32_t rings, std::chrono::nanoseconds time) {
    if (spin([&] { return mine.rings.load(std::memory_order_relaxed) != rings; })) return;
    const Blocked blocked(channel_.header().blocked, slot_number_);
    mine.sleep(rings, time);
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
  std::optional<Blocked> blocked;
  if (in_own_thread()) blocked.emplace(channel_.header().blocked, slot_number_);
  for (;;) {
    const std::uint32_t rings = slot_.bell.rings.load(std::memory_order_seq_cst);
    if (is_mine()) return;
    support::futex_wait(slot_.bell.rings, rings, look_up);
  }
}

template <class Awaited>
bool ExecutorObjects::spin(const Awaited& awaited) {
  ChannelHeader& header = channel_.header();
  if (!trust_.worth_trying()) return false;
  const auto spin_until = std::chrono::steady_clock::now() + spin_time;
  while (header.awake() <= header.settings.cpus) {
    if (support::spin_round(awaited)) {
      trust_.note_success();
      return true;
    }
    if (std::chrono::steady_clock::now() >= spin_until) break;
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
