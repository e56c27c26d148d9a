// What executors of other nodes ask for: each question is an operation that goes on here until it is answered.
#include <cstddef>
#include <new>
#include <string_view>
#include <utility>

#include "master/shared_objects.hpp"
#include "shared/message.hpp"
#include "support/text.hpp"

namespace rankpool::master {
namespace {

using detail::SharedAnswer;
using detail::SharedReply;
using detail::SharedRequest;
using detail::SharedVerb;
using shared::Operation;

SharedReply failure(std::string_view why) { return {.answer = SharedAnswer::failed, .bytes = support::bytes_of(why)}; }

}  // namespace

SharedObjects::Asked::Asked(HostId from, const host::Question& question, shared::Space& space, ParticipantId me,
                            const SharedRequest& asked)
    : host(from),
      slot(question.slot),
      number(question.number),
      payload(asked.payload.begin(), asked.payload.end()),
      request(asked),
      operation(space, me, request) {
  request.payload = payload;
}

void SharedObjects::ask(HostId host, const host::Question& question) {
  const auto reply_with = [&](const SharedReply& reply) {
    answer_(host, question.slot, question.number, shared::encode(reply));
  };
  const ParticipantId me = executor(host, question.slot);
  const auto request = shared::decode_request(question.bytes);
  if (!request || me == shared::nobody) return reply_with({.answer = SharedAnswer::wrong_kind});
  if (space_ && request->verb == SharedVerb::why) return reply_with({.bytes = take_why(me)});
  if (!space_ || !has_all_of(*request)) return reply_with({.answer = SharedAnswer::gone});
  if (request->verb == SharedVerb::make_room) {
    const auto problem = make_room(request->object, request->words[0]);
    return reply_with(problem ? failure(*problem) : SharedReply{});
  }
  try {
    const auto asked = waiting_.emplace(waiting_.end(), host, question, *space_, me, *request);
    if (take_step(*asked, [this](Operation& operation) { return start(operation); })) waiting_.erase(asked);
  } catch (const std::bad_alloc& error) {  // for its payload; a step's own is answered there
    reply_with(failure(error.what()));
  }
}

/// @returns whether that was the last step, and it is answered. What it throws, for want of memory say, is the answer.
template <class Step>
bool SharedObjects::take_step(Asked& asked, const Step& step) {
  try {
    if (!step(asked.operation)) return false;
    answer(asked, asked.operation.reply());
  } catch (const std::exception& error) {
    answer(asked, failure(error.what()));
  }
  return true;
}

void SharedObjects::answer(const Asked& asked, const SharedReply& reply) {
  answer_(asked.host, asked.slot, asked.number, shared::encode(reply));
}

void SharedObjects::look_at_waiting() {
  const auto now = std::chrono::steady_clock::now();
  for (auto next = waiting_.begin(); next != waiting_.end();) {
    const auto asked = next++;
    Operation& operation = asked->operation;
    const bool late = operation.deadline() && now >= *operation.deadline();
    const auto waited = shared::look(*space_, operation.awaited(), operation.me(), late);
    if (!waited) continue;
    if (take_step(*asked, [&](Operation& step) { return go_on(step, *waited); })) waiting_.erase(asked);
  }
}

void SharedObjects::end_late_waits() {
  const auto deadline = next_deadline();
  if (deadline && std::chrono::steady_clock::now() >= *deadline) look_at_waiting();
}

std::optional<std::chrono::steady_clock::time_point> SharedObjects::next_deadline() const {
  std::optional<std::chrono::steady_clock::time_point> next;
  for (const Asked& asked : waiting_) {
    const shared::Deadline& deadline = asked.operation.deadline();
    if (deadline && (!next || *deadline < *next)) next = deadline;
  }
  return next;
}

}  // namespace rankpool::master
