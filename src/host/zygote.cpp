#include "host/zygote.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

#include <rankpool/detail/task_output.hpp>

#include "support/signal_mask.hpp"
#include "support/threads.hpp"

namespace rankpool::host {
namespace {

// Far above what the zygote ever takes; then it doesn't work any more.
constexpr int patience_ms = 30000;

// What stands in a buffer now would be written by every process that is forked from this one. With threads, only the
// standard streams: one of the others may be locked by a thread that reads.
void flush_before_fork(bool has_threads) {
  detail::flush_output();
  if (!has_threads) std::fflush(nullptr);
}

[[noreturn]] void throw_unforkable(int error) {
  const char* advice = error == EAGAIN   ? "the limit on processes is reached; raise it (ulimit -u, or the container's "
                                           "or job's pids limit) or ask for fewer executors"
                       : error == ENOMEM ? "there is no memory for it; call run() or prefork() before large data are "
                                           "allocated, or raise the job's memory limit"
                                         : "fork failed";
  throw std::system_error(error, std::generic_category(),
                          std::string("rankpool: can't start the process that forks executors: ") + advice);
}

// Waits until the other end of the socket is closed, as the zygote's is when it goes. @returns false if it is still
// open.
bool hangs_up(int socket, int timeout_ms) {
  pollfd end{socket, 0, 0};
  int ready = 0;
  do {
    ready = poll(&end, 1, timeout_ms);
  } while (ready < 0 && errno == EINTR);
  return ready > 0;
}

}  // namespace

Zygote Zygote::fork_now(ExecutorMain main, ExecutorSignals executor_signals) {
  const std::ptrdiff_t threads = support::threads_of_this_process().value_or(1);
  flush_before_fork(threads > 1);

  std::array<int, 2> ends{};
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    throw std::system_error(errno, std::generic_category(),
                            "rankpool: can't make a socket; is a limit on open files set (ulimit -n)?");
  }
  support::UniqueFd rank_end(ends[0]);
  support::UniqueFd zygote_end(ends[1]);

  // No handler of the rank's is to run in the zygote.
  const support::SignalMask blocked(support::all_signals());
  const pid_t rank = getpid();
  const pid_t pid = fork();
  if (pid < 0) throw_unforkable(errno);
  if (pid == 0) {
    rank_end.reset();
    SavedSignals signals = SavedSignals::defaults();
    if (executor_signals == ExecutorSignals::inherited) {
      signals = SavedSignals::current();
      signals.set_mask(blocked.previous());
    }
    run_zygote(std::move(zygote_end), rank, signals, main);
  }
  return {std::move(rank_end), pid, threads};
}

Zygote::Zygote(support::UniqueFd socket, pid_t pid, std::ptrdiff_t threads_at_fork)
    : socket_(std::move(socket)), pid_(pid), threads_at_fork_(threads_at_fork) {}

Zygote::Zygote(Zygote&& other) noexcept
    : socket_(std::move(other.socket_)),
      asking_(std::move(other.asking_)),
      pid_(std::exchange(other.pid_, 0)),
      threads_at_fork_(other.threads_at_fork_),
      owner_(other.owner_) {}

Zygote& Zygote::operator=(Zygote&& other) noexcept {
  std::swap(socket_, other.socket_);
  std::swap(asking_, other.asking_);
  std::swap(pid_, other.pid_);
  std::swap(threads_at_fork_, other.threads_at_fork_);
  std::swap(owner_, other.owner_);
  return *this;
}

Zygote::~Zygote() {
  if (pid_ == 0 || !owner_.is_here()) return;
  // Unlike close() this is seen even if a fork of the rank still holds the socket.
  shutdown(socket_.get(), SHUT_WR);
  if (!hangs_up(socket_.get(), patience_ms)) ::kill(pid_, SIGKILL);
  while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

void Zygote::attach(std::uint64_t channel, const SharedMemory& memory) {
  ask({RequestKind::attach, 0, channel}, memory.file());
}

void Zygote::detach(std::uint64_t channel) { ask({RequestKind::detach, 0, channel}); }

void Zygote::spawn(std::uint64_t channel, std::uint32_t slot) { send({RequestKind::spawn, slot, channel}); }

void Zygote::kill(std::uint64_t channel, std::uint32_t slot) { send({RequestKind::kill, slot, channel}); }

void Zygote::expire(std::uint64_t channel, std::uint32_t slot) { send({RequestKind::expire, slot, channel}); }

bool Zygote::alive() const { return pid_ != 0 && owner_.is_here() && !hangs_up(socket_.get(), 0); }

void Zygote::ask(const ZygoteRequest& request, int file) {
  const std::lock_guard asking(*asking_);
  send(request, file);
  await_reply();
}

void Zygote::send(const ZygoteRequest& request, int file) const {
  ZygoteRequest copy = request;
  iovec data{&copy, sizeof(copy)};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  if (file >= 0) {
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(header), &file, sizeof(file));
  }
  ssize_t sent = 0;
  do {
    sent = sendmsg(socket_.get(), &message, MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0 && (errno == EPIPE || errno == ECONNRESET)) throw_gone();
  if (sent < 0) throw std::system_error(errno, std::generic_category(), "rankpool: can't reach the zygote");
}

void Zygote::await_reply() const {
  ZygoteReply reply{};
  pollfd answer{socket_.get(), POLLIN, 0};
  int ready = 0;
  do {
    ready = poll(&answer, 1, patience_ms);
  } while (ready < 0 && errno == EINTR);
  if (ready == 0) throw std::runtime_error("rankpool: the zygote (pid " + std::to_string(pid_) + ") doesn't answer");
  if (recv(socket_.get(), &reply, sizeof(reply), 0) != static_cast<ssize_t>(sizeof(reply))) throw_gone();
  if (reply.problem.front() != '\0') throw std::runtime_error(reply.problem.data());
}

void Zygote::throw_gone() const {
  throw std::runtime_error("rankpool: the process that forks executors (pid " + std::to_string(pid_) +
                           ") was killed, so no executor can be started any more; " + usual_killer);
}

}  // namespace rankpool::host
