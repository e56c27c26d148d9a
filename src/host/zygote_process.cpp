#include "host/zygote_process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <stdio_ext.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <climits>
#include <csignal>
#include <cstring>
#include <exception>
#include <fstream>
#include <map>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "host/crash_handler.hpp"

namespace rankpool::host {
namespace {

using Clock = std::chrono::steady_clock;

// SIGKILL works at once, except on a process that waits for a disk or file server that doesn't answer.
constexpr auto patience = std::chrono::seconds(2);

void kill_group(pid_t leader) {
  ::kill(-leader, SIGKILL);
  ::kill(leader, SIGKILL);
}

// A process that a disk or file server keeps waiting doesn't stop, but doesn't go on with its next task either.
constexpr auto patience_with_stop = std::chrono::milliseconds(20);

/// Returns when the child stands still, or has ended. @returns false if it has ended.
bool stop(pid_t child) {
  constexpr auto between_looks = std::chrono::microseconds(20);
  ::kill(child, SIGSTOP);
  siginfo_t state{};
  for (const auto deadline = Clock::now() + patience_with_stop; Clock::now() < deadline;) {
    if (waitid(P_PID, static_cast<id_t>(child), &state, WSTOPPED | WEXITED | WNOHANG | WNOWAIT) != 0) return false;
    if (state.si_pid != 0) return state.si_code == CLD_STOPPED;
    std::this_thread::sleep_for(between_looks);
  }
  return true;
}

class ZygoteProcess {
 public:
  ZygoteProcess(support::UniqueFd socket, pid_t rank, const SavedSignals& signals, ExecutorMain main);

  void serve();
  void end();

 private:
  struct Attachment {
    explicit Attachment(SharedMemory memory) : channel(std::move(memory)), pids(channel.slots(), 0) {}
    Channel channel;
    std::vector<pid_t> pids;  ///< by slot; 0: no process
  };
  struct Seat {
    Attachment* attachment;  ///< null: its channel was detached
    std::uint32_t slot;
  };

  enum class Next { go_on, leave };

  void wait_for_event(std::chrono::milliseconds timeout);
  void drain_signals();
  Next take_request();
  void carry_out(const ZygoteRequest& request, support::UniqueFd file);
  void reply(const std::string& problem);

  std::string attach(std::uint64_t id, support::UniqueFd file);
  void detach(std::uint64_t id);
  Attachment* find(const ZygoteRequest& request);
  void spawn(Attachment& attachment, std::uint32_t slot);
  void expire(Attachment& attachment, std::uint32_t slot) const;
  [[noreturn]] void become_executor(Attachment& attachment, std::uint32_t slot, pid_t zygote) noexcept;

  void reap();
  void record_exit(pid_t pid, int wait_status);
  void kill_strays();
  [[nodiscard]] bool has_executors(const Attachment& attachment) const;

  support::UniqueFd socket_;
  support::UniqueFd signal_file_;
  pid_t rank_;
  SavedSignals signals_;
  ExecutorMain main_;
  std::map<std::uint64_t, Attachment> channels_;
  std::unordered_map<pid_t, Seat> executors_;
  std::set<pid_t> ended_sessions_;  ///< of executors that are gone, but may have left something
};

ZygoteProcess::ZygoteProcess(support::UniqueFd socket, pid_t rank, const SavedSignals& signals, ExecutorMain main)
    : socket_(std::move(socket)), rank_(rank), signals_(signals), main_(main) {
  // What another thread of the rank printed since the streams were written out is the rank's to write.
  __fpurge(stdout);
  // Not the terminal's group: at Ctrl-C the zygote waits for its rank to go.
  setpgid(0, 0);
  // The socket's end tells of the rank's death unless another process holds the rank's side. The signal follows the
  // thread that forked, so it only makes the zygote look for its parent.
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  // What an executor leaves behind comes to the zygote.
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  // Ignored, it would throw the wait statuses away.
  std::signal(SIGCHLD, SIG_DFL);

  sigset_t watched;
  sigemptyset(&watched);
  sigaddset(&watched, SIGCHLD);
  sigaddset(&watched, SIGTERM);
  const auto own = static_cast<unsigned>(socket_.get());
  close_descriptors(STDERR_FILENO + 1, own - 1);
  close_descriptors(own + 1, UINT_MAX);
  signal_file_ = support::UniqueFd(signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signal_file_) throw std::runtime_error("rankpool: signalfd failed");
}

void ZygoteProcess::serve() {
  for (;;) {
    if (getppid() != rank_) return;
    wait_for_event(std::chrono::milliseconds(-1));
    drain_signals();
    reap();
    if (take_request() == Next::leave) return;
  }
}

void ZygoteProcess::wait_for_event(std::chrono::milliseconds timeout) {
  std::array<pollfd, 2> files{{{socket_.get(), POLLIN, 0}, {signal_file_.get(), POLLIN, 0}}};
  poll(files.data(), files.size(), static_cast<int>(timeout.count()));
}

void ZygoteProcess::drain_signals() {
  std::array<signalfd_siginfo, 16> received{};
  while (read(signal_file_.get(), received.data(), sizeof(received)) > 0) {
  }
}

ZygoteProcess::Next ZygoteProcess::take_request() {
  ZygoteRequest request{};
  iovec data{&request, sizeof(request)};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t bytes = recvmsg(socket_.get(), &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  if (bytes < 0 && (errno == EAGAIN || errno == EINTR)) return Next::go_on;
  if (bytes <= 0) return Next::leave;

  support::UniqueFd file;
  if (const cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr && header->cmsg_type == SCM_RIGHTS) {
    int fd = -1;
    std::memcpy(&fd, CMSG_DATA(header), sizeof(fd));
    file = support::UniqueFd(fd);
  }
  if (bytes == sizeof(request)) carry_out(request, std::move(file));
  return Next::go_on;
}

void ZygoteProcess::carry_out(const ZygoteRequest& request, support::UniqueFd file) {
  switch (request.kind) {
    case RequestKind::attach:
      reply(attach(request.channel, std::move(file)));
      break;
    case RequestKind::detach:
      detach(request.channel);
      reply("");
      break;
    case RequestKind::spawn:
      if (Attachment* attachment = find(request)) spawn(*attachment, request.slot);
      break;
    case RequestKind::kill:
      if (Attachment* attachment = find(request)) {
        if (const pid_t pid = attachment->pids[request.slot]; pid != 0) kill_group(pid);
      }
      break;
    case RequestKind::expire:
      if (Attachment* attachment = find(request)) expire(*attachment, request.slot);
      break;
  }
}

void ZygoteProcess::reply(const std::string& problem) {
  ZygoteReply answer{};
  problem.copy(answer.problem.data(), answer.problem.size() - 1);
  send(socket_.get(), &answer, sizeof(answer), MSG_NOSIGNAL);
}

std::string ZygoteProcess::attach(std::uint64_t id, support::UniqueFd file) {
  if (channels_.contains(id)) return "rankpool: the zygote has this channel already";
  if (!file)
    return "rankpool: the zygote can't take the channel's descriptor; is a limit on open files set (ulimit -n)?";
  try {
    const auto [place, inserted] = channels_.try_emplace(id, SharedMemory::attach(std::move(file)));
    place->second.channel.memory().close_file();
    place->second.channel.keep_roll_from_children();
    return {};
  } catch (const std::exception& error) {
    return error.what();
  }
}

void ZygoteProcess::detach(std::uint64_t id) {
  const auto place = channels_.find(id);
  if (place == channels_.end()) return;
  Attachment& attachment = place->second;
  for (const pid_t pid : attachment.pids) {
    if (pid != 0) kill_group(pid);
  }
  for (const auto deadline = Clock::now() + patience; Clock::now() < deadline;) {
    reap();
    if (!has_executors(attachment)) break;
    pollfd child{signal_file_.get(), POLLIN, 0};
    poll(&child, 1, 100);
    drain_signals();
  }
  for (auto& [pid, seat] : executors_) {
    if (seat.attachment == &attachment) seat.attachment = nullptr;
  }
  channels_.erase(place);
}

bool ZygoteProcess::has_executors(const Attachment& attachment) const {
  return std::ranges::any_of(attachment.pids, [](pid_t pid) { return pid != 0; });
}

ZygoteProcess::Attachment* ZygoteProcess::find(const ZygoteRequest& request) {
  const auto place = channels_.find(request.channel);
  if (place == channels_.end() || request.slot >= place->second.channel.slots()) return nullptr;
  return &place->second;
}

void ZygoteProcess::spawn(Attachment& attachment, std::uint32_t slot) {
  if (attachment.pids[slot] != 0) return;
  ExecutorSlot& place = attachment.channel.slot(slot);
  place.wait_status = 0;
  attachment.channel.last_words(slot).clear();
  place.overtime = 0;
  place.state = SlotState::starting;
  const pid_t zygote = getpid();
  const pid_t pid = fork();
  if (pid == 0) become_executor(attachment, slot, zygote);
  if (pid < 0) {
    place.wait_status = errno;
    place.state = SlotState::unforkable;
    attachment.channel.header().exited.insert(slot);
    attachment.channel.ring_leader();
    return;
  }
  place.pid = pid;
  attachment.channel.roll(slot).enter(support::ProcessIdentity::of(pid));
  attachment.pids[slot] = pid;
  executors_.emplace(pid, Seat{&attachment, slot});
  ended_sessions_.erase(pid);
}

// Stopped, it can't go on to its next task between the look and the kill: that one would be innocent. One that has died
// otherwise was not killed for its time.
void ZygoteProcess::expire(Attachment& attachment, std::uint32_t slot) const {
  const pid_t pid = attachment.pids[slot];
  if (pid == 0 || !stop(pid)) return;
  ExecutorSlot& place = attachment.channel.slot(slot);
  if (attachment.channel.progress(slot) == Progress{place.expired_tail, place.expired_finished}) {
    place.overtime = 1;
    kill_group(pid);
  } else {
    ::kill(pid, SIGCONT);
  }
}

void ZygoteProcess::become_executor(Attachment& attachment, std::uint32_t slot, pid_t zygote) noexcept {
  attachment.channel.slot(slot).pid = getpid();
  enter_executor_surroundings(attachment.channel.header().settings, slot, signals_, zygote);
  // Another pool's memory must not live on in this one's executors.
  std::erase_if(channels_, [&attachment](const auto& other) { return &other.second != &attachment; });
  main_(attachment.channel, slot);
  leave(EXIT_SUCCESS);
}

void ZygoteProcess::reap() {
  for (;;) {
    siginfo_t child{};
    // Left a zombie at first: as long as it is one its number can't be another process group's.
    if (waitid(P_ALL, 0, &child, WEXITED | WNOHANG | WNOWAIT) != 0 || child.si_pid == 0) break;
    const bool executor = executors_.contains(child.si_pid);
    if (executor) ::kill(-child.si_pid, SIGKILL);
    int wait_status = 0;
    if (waitpid(child.si_pid, &wait_status, 0) == child.si_pid && executor) record_exit(child.si_pid, wait_status);
  }
  if (!ended_sessions_.empty()) kill_strays();
}

void ZygoteProcess::record_exit(pid_t pid, int wait_status) {
  const Seat seat = executors_.extract(pid).mapped();
  ended_sessions_.insert(pid);
  if (seat.attachment == nullptr) return;
  seat.attachment->pids[seat.slot] = 0;
  Channel& channel = seat.attachment->channel;
  channel.roll(seat.slot).strike();
  channel.last_words(seat.slot).crash.name_known_modules();
  channel.slot(seat.slot).wait_status = wait_status;
  channel.slot(seat.slot).state = SlotState::exited;
  channel.header().exited.insert(seat.slot);
  channel.ring_leader();
}

// Of what an executor started, its own process group is dead with it. The rest of its session has come to the zygote,
// or does so when its parents die.
void ZygoteProcess::kill_strays() {
  std::set<pid_t> still_there;
  std::ifstream children("/proc/thread-self/children");
  for (pid_t child = 0; children >> child;) {
    const pid_t session = getsid(child);
    if (executors_.contains(child) || !ended_sessions_.contains(session)) continue;
    ::kill(child, SIGKILL);
    still_there.insert(session);
  }
  ended_sessions_ = std::move(still_there);
}

// Also what put itself into a session of its own ends with the rank.
void ZygoteProcess::end() {
  for (const auto& [pid, seat] : executors_) kill_group(pid);
  channels_.clear();
  for (auto& [pid, seat] : executors_) seat.attachment = nullptr;
  for (const auto deadline = Clock::now() + patience; Clock::now() < deadline;) {
    reap();
    siginfo_t child{};
    if (waitid(P_ALL, 0, &child, WEXITED | WNOHANG | WNOWAIT) != 0) return;
    std::ifstream children("/proc/thread-self/children");
    for (pid_t stray = 0; children >> stray;) ::kill(stray, SIGKILL);
    pollfd signal{signal_file_.get(), POLLIN, 0};
    poll(&signal, 1, 10);
    drain_signals();
  }
}

}  // namespace

void run_zygote(support::UniqueFd socket, pid_t rank, const SavedSignals& signals, ExecutorMain main) noexcept {
  try {
    warm_up_crash_handler();
    ZygoteProcess zygote(std::move(socket), rank, signals, main);
    zygote.serve();
    zygote.end();
  } catch (const std::exception&) {
    leave(EXIT_FAILURE);
  }
  leave(EXIT_SUCCESS);
}

}  // namespace rankpool::host
