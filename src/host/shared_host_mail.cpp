// What executors ask of the master: taken from their mailboxes, and the answers put there.
#include <algorithm>
#include <cstring>

#include "host/shared_host.hpp"

namespace rankpool::host {

void SharedHost::look_at_mail(std::uint32_t slot, HostListener& listener) {
  Executor& known = executors_[slot];
  Mailbox& mailbox = channel_.mailbox(slot);
  const Mailbox::Turn turn = mailbox.turn.load(std::memory_order_acquire);
  if (known.sense == Sense::astray) return;
  if (turn == Mailbox::Turn::taken) return send_answer(slot);
  if (turn != Mailbox::Turn::part_of_question && turn != Mailbox::Turn::question) return;
  if (known.mail.number != 0) return;  // rung twice for one question
  const std::uint32_t length = mailbox.length.load(std::memory_order_relaxed);
  if (length > Mailbox::capacity) return disbelieve(slot);
  known.mail.question.insert(known.mail.question.end(), mailbox.data.begin(), mailbox.data.begin() + length);
  if (turn == Mailbox::Turn::part_of_question) {
    mailbox.turn.store(Mailbox::Turn::taken, std::memory_order_release);
    return channel_.slot(slot).bell.ring();
  }
  known.mail.number = ++questions_;
  const std::vector<std::byte> question = std::exchange(known.mail.question, {});
  listener.on_question({.slot = slot, .number = known.mail.number, .bytes = question});
}

void SharedHost::answer(std::uint32_t slot, std::uint64_t number, detail::Bytes bytes) {
  if (number == 0 || slot >= executors_.size() || executors_[slot].mail.number != number) return;
  if (life_ == Life::ended) return;
  Correspondence& mail = executors_[slot].mail;
  mail.answer.assign(bytes.begin(), bytes.end());
  mail.sent = 0;
  send_answer(slot);
}

void SharedHost::send_answer(std::uint32_t slot) {
  Correspondence& mail = executors_[slot].mail;
  const std::size_t left = mail.answer.size() - mail.sent;
  if (left == 0) return;  // this part was taken of a question
  Mailbox& mailbox = channel_.mailbox(slot);
  const std::size_t length = std::min(left, Mailbox::capacity);
  std::memcpy(mailbox.data.data(), mail.answer.data() + mail.sent, length);
  mailbox.length.store(static_cast<std::uint32_t>(length), std::memory_order_relaxed);
  mail.sent += length;
  const bool last = length == left;
  if (last) mail = {};
  mailbox.turn.store(last ? Mailbox::Turn::answer : Mailbox::Turn::part_of_answer, std::memory_order_release);
  channel_.slot(slot).bell.ring();
}

// Nobody is left to answer it: no answer at all, which the executor takes for nonsense.
void SharedHost::dismiss_question(std::uint32_t slot) {
  channel_.mailbox(slot).length.store(0, std::memory_order_relaxed);
  channel_.mailbox(slot).turn.store(Mailbox::Turn::answer, std::memory_order_release);
}

// One whose process the zygote has not entered in the roll yet is alive; who has been struck from it is not.
bool SharedHost::executor_is_gone(std::uint32_t slot) {
  const support::ProcessIdentity process = channel_.roll(slot).process();
  if (process.pid != 0) return process.has_ended();
  return !has_process(channel_.slot(slot).state.load(std::memory_order_acquire));
}

}  // namespace rankpool::host
