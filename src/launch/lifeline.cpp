#include "launch/lifeline.hpp"

#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>
#include <random>
#include <span>
#include <system_error>
#include <utility>

#include <rankpool/detail/archive.hpp>
#include <rankpool/serialization.hpp>

#include "support/signal_mask.hpp"

namespace rankpool::launch {
namespace {

using namespace std::chrono_literals;
using support::UniqueFd;
using Clock = std::chrono::steady_clock;

// Five probes, five seconds apart, after five of silence: a link that comes back before that has harmed nobody.
constexpr int probe_seconds = 5;
constexpr int probes = 5;
constexpr unsigned unanswered_milliseconds = 1000U * probe_seconds * (probes + 1);

constexpr std::chrono::milliseconds never{-1};

// A launcher that ends the job for it does so without more words.
constexpr auto time_for_launcher = 5000ms;

constexpr auto time_to_introduce = 10s;
constexpr auto time_to_call = 20s;  // all leaders should have, by then
constexpr auto pause_without_room = 1s;
constexpr std::size_t most_callers = 64;  // at a time; more wait for their turn
constexpr auto time_to_connect = 3000ms;
constexpr std::uint8_t good_bye = 'b';
constexpr std::uint8_t confirmation = 'c';  // a leader's, when it has had the answer; its end before that is no loss

/// What a leader says first, and what the master answers.
struct Introduction {
  std::uint64_t token = 0;
  std::int32_t rank = -1;
  std::int32_t reserved = 0;
};

[[noreturn]] void fail(const char* what) {
  throw std::system_error(errno, std::generic_category(), std::string("rankpool: ") + what);
}

void set(int file, int level, int option, int value) { setsockopt(file, level, option, &value, sizeof value); }

void keep_alive(int line) {
  set(line, SOL_SOCKET, SO_KEEPALIVE, 1);
  set(line, IPPROTO_TCP, TCP_KEEPIDLE, probe_seconds);
  set(line, IPPROTO_TCP, TCP_KEEPINTVL, probe_seconds);
  set(line, IPPROTO_TCP, TCP_KEEPCNT, probes);
  set(line, IPPROTO_TCP, TCP_USER_TIMEOUT, unanswered_milliseconds);  // of what is sent: the good-bye
  set(line, IPPROTO_TCP, TCP_NODELAY, 1);
}

/// What came over a line.
struct Heard {
  enum class What { nothing, confirming, parting, end };
  What what = What::nothing;
  std::string why = {};
};

void say_good_bye(const UniqueFd& line) {
  [[maybe_unused]] const ssize_t sent = send(line.get(), &good_bye, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

Heard hear_from(const UniqueFd& line) {
  std::uint8_t word = 0;
  const ssize_t bytes = recv(line.get(), &word, 1, MSG_DONTWAIT);
  if (bytes == 1 && word == confirmation) return {.what = Heard::What::confirming};
  if (bytes == 1) return {.what = word == good_bye ? Heard::What::parting : Heard::What::nothing};
  if (bytes == 0) return {.what = Heard::What::end, .why = "its connection was closed, as by the end of its process"};
  if (errno == EAGAIN || errno == EINTR) return {};
  return {.what = Heard::What::end, .why = std::string("its connection is broken: ") + std::strerror(errno)};
}

/// Those of this machine by which others may reach it.
std::vector<std::string> own_addresses() {
  ifaddrs* all = nullptr;
  if (getifaddrs(&all) != 0) return {};
  const std::unique_ptr<ifaddrs, decltype(&freeifaddrs)> owner(all, freeifaddrs);
  std::vector<std::string> found;
  for (const ifaddrs* one = all; one != nullptr; one = one->ifa_next) {
    const bool up = (one->ifa_flags & IFF_UP) != 0 && (one->ifa_flags & IFF_LOOPBACK) == 0;
    if (one->ifa_addr == nullptr || !up) continue;
    const int family = one->ifa_addr->sa_family;
    if (family != AF_INET && family != AF_INET6) continue;
    std::array<char, NI_MAXHOST> text{};
    const socklen_t length = family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
    const int error = getnameinfo(one->ifa_addr, length, text.data(), text.size(), nullptr, 0, NI_NUMERICHOST);
    const std::string host = text.data();
    const bool is_of_one_link = host.find('%') != std::string::npos;
    if (error == 0 && !is_of_one_link) found.push_back(host);
  }
  return found;
}

/// At a port that the kernel chooses, by IPv4 and, where there is that, IPv6.
UniqueFd listen_anywhere() {
  UniqueFd listener(socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (listener) set(listener.get(), IPPROTO_IPV6, IPV6_V6ONLY, 0);
  if (!listener) listener = UniqueFd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!listener) fail("socket");
  if (listen(listener.get(), SOMAXCONN) != 0) fail("listen");  // unbound, it is bound to any address
  return listener;
}

std::uint16_t port_of(const UniqueFd& listener) {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  if (getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &length) != 0) fail("getsockname");
  return ntohs(address.ss_family == AF_INET6 ? reinterpret_cast<const sockaddr_in6&>(address).sin6_port
                                             : reinterpret_cast<const sockaddr_in&>(address).sin_port);
}

/// @param host a numeric address. @returns nothing where that can't be called.
UniqueFd begin_call(const std::string& host, std::uint16_t port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  if (getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found) != 0) return {};
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner(found, freeaddrinfo);
  UniqueFd line(socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!line) return {};
  keep_alive(line.get());
  const int begun = connect(line.get(), found->ai_addr, found->ai_addrlen);
  return begun == 0 || errno == EINPROGRESS ? std::move(line) : UniqueFd();
}

}  // namespace

std::vector<std::byte> LifelineAddress::encode() const {
  detail::ByteBuffer buffer;
  detail::OutputArchive archive(buffer);
  archive << token << port << hosts;
  return {buffer.data(), buffer.data() + buffer.size()};
}

LifelineAddress LifelineAddress::decode(const std::vector<std::byte>& bytes) {
  LifelineAddress address;
  detail::InputArchive archive(bytes);
  archive >> address.token >> address.port >> address.hosts;
  archive.finish();
  return address;
}

// ------------------------------------------------------------------------------------------------------ the master's

LifelineHub::LifelineHub() : listener_(listen_anywhere()) {
  address_.port = port_of(listener_);
  std::random_device entropy;
  address_.token = std::uint64_t{entropy()} << 32U | entropy();
  address_.hosts = own_addresses();
}

LifelineHub::~LifelineHub() {
  if (!thread_.joinable()) return;
  stop_.set();
  thread_.join();
  if (!has_good_bye_) return;
  for (const auto& [rank, line] : lines_) say_good_bye(line);
}

void LifelineHub::watch(OnLost on_lost, Warn warn) {
  on_lost_ = std::move(on_lost);
  warn_ = std::move(warn);
  begun_ = Clock::now();
  const support::SignalMask none(support::all_signals());  // they are for the program's threads
  thread_ = std::thread([this] { serve(); });
}

void LifelineHub::serve() {
  for (;;) {
    std::vector<pollfd> files{{stop_.file(), POLLIN, 0}, {takes_callers() ? listener_.get() : -1, POLLIN, 0}};
    for (const Caller& caller : callers_) files.push_back({caller.line.get(), POLLIN, 0});
    std::vector<int> ranks;
    for (const auto& [rank, line] : lines_) {
      ranks.push_back(rank);
      files.push_back({line.get(), POLLIN, 0});
    }
    if (poll(files.data(), files.size(), patience()) < 0) continue;
    if (files[0].revents != 0) return;
    for (std::size_t i = 0; i < ranks.size(); ++i) {
      if (files[2 + callers_.size() + i].revents != 0) hear_line(ranks[i]);
    }
    for (std::size_t i = 0; i < callers_.size(); ++i) {
      if (files[2 + i].revents != 0) hear(callers_[i]);
    }
    drop_silent_callers();
    if (files[1].revents != 0) admit();
    look_at_missing();
  }
}

void LifelineHub::hear_line(int rank) {
  const auto line = lines_.find(rank);
  const Heard heard = hear_from(line->second);
  if (heard.what == Heard::What::nothing) return;
  if (heard.what == Heard::What::confirming) {
    admitted_.insert(rank);
    return;
  }
  lines_.erase(line);
  if (heard.what == Heard::What::end && admitted_.contains(rank)) on_lost_(rank, heard.why);
}

bool LifelineHub::takes_callers() const {
  return listener_ && callers_.size() < most_callers && Clock::now() >= no_callers_until_;
}

/// In milliseconds. As long as somebody is awaited the clock is looked at, too.
int LifelineHub::patience() const {
  constexpr int look_again = 1000;
  return listener_ ? look_again : -1;
}

/// Nobody else is to call once all have.
void LifelineHub::look_at_missing() {
  const bool all_are_there = admitted_.size() >= expected_;
  if (!listener_ || (!all_are_there && Clock::now() < begun_ + time_to_call)) return;
  listener_.reset();
  callers_.clear();
  if (all_are_there) return;
  warn_(std::to_string(expected_ - admitted_.size()) + " of " + std::to_string(expected_) +
        " other nodes can't reach the master by TCP (a firewall?): of the loss of one the pool may not hear");
}

void LifelineHub::admit() {
  UniqueFd line(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!line) {
    no_callers_until_ = Clock::now() + pause_without_room;  // of descriptors, say
    return;
  }
  keep_alive(line.get());
  set(line.get(), SOL_SOCKET, SO_RCVLOWAT, sizeof(Introduction));  // part of it is nothing to be woken for
  callers_.push_back({std::move(line), Clock::now()});
}

void LifelineHub::hear(Caller& caller) {
  Introduction introduction;
  UniqueFd line = std::move(caller.line);
  const ssize_t bytes = recv(line.get(), &introduction, sizeof introduction, MSG_DONTWAIT);
  if (bytes != sizeof introduction || introduction.token != address_.token) return;
  if (send(line.get(), &introduction, sizeof introduction, MSG_NOSIGNAL | MSG_DONTWAIT) != sizeof introduction) return;
  set(line.get(), SOL_SOCKET, SO_RCVLOWAT, 1);
  lines_.insert_or_assign(introduction.rank, std::move(line));
}

void LifelineHub::drop_silent_callers() {
  const auto since = Clock::now() - time_to_introduce;
  std::erase_if(callers_, [since](const Caller& caller) { return !caller.line || caller.since < since; });
}

// ------------------------------------------------------------------------------------------------------- a leader's

Lifeline::Lifeline(LifelineAddress address, int rank, OnLost on_lost)
    : address_(std::move(address)), rank_(rank), on_lost_(std::move(on_lost)) {
  const support::SignalMask none(support::all_signals());
  thread_ = std::thread([this] { serve(); });
}

Lifeline::~Lifeline() {
  has_good_bye_ = std::uncaught_exceptions() == exceptions_;
  stop_.set();
  thread_.join();
}

void Lifeline::serve() {
  const UniqueFd line = call();
  if (!line) return;
  connected_ = true;
  for (;;) {
    if (is_to_stop(line.get(), POLLIN, never)) {
      if (has_good_bye_) say_good_bye(line);
      return;
    }
    const Heard heard = hear_from(line);
    if (heard.what == Heard::What::parting) return;
    if (heard.what == Heard::What::nothing) continue;
    if (!is_to_stop(-1, 0, time_for_launcher)) on_lost_(heard.why);
    return;
  }
}

/// @returns nothing where the master answers at no address, or there is no time to wait for that. Who answers something
/// else, or nothing, is another program: addresses may be those of a network that each machine has for itself.
UniqueFd Lifeline::call() const {
  const Introduction introduction{.token = address_.token, .rank = rank_};
  for (const std::string& host : address_.hosts) {
    UniqueFd line = begin_call(host, address_.port);
    if (!line) continue;
    if (is_to_stop(line.get(), POLLOUT, time_to_connect)) return {};
    const ssize_t sent = send(line.get(), &introduction, sizeof introduction, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent != sizeof introduction) continue;
    set(line.get(), SOL_SOCKET, SO_RCVLOWAT, sizeof introduction);
    if (is_to_stop(line.get(), POLLIN, time_to_connect)) return {};
    Introduction answer;
    const ssize_t bytes = recv(line.get(), &answer, sizeof answer, MSG_DONTWAIT);
    set(line.get(), SOL_SOCKET, SO_RCVLOWAT, 1);
    if (bytes != sizeof answer || answer.token != introduction.token || answer.rank != rank_) continue;
    if (send(line.get(), &confirmation, 1, MSG_NOSIGNAL | MSG_DONTWAIT) == 1) return line;
  }
  return {};
}

bool Lifeline::is_to_stop(int file, short events, std::chrono::milliseconds wait) const {
  std::array<pollfd, 2> files{{{stop_.file(), POLLIN, 0}, {file, events, 0}}};
  while (poll(files.data(), files.size(), static_cast<int>(wait.count())) < 0 && errno == EINTR) {
  }
  return files[0].revents != 0;
}

}  // namespace rankpool::launch
