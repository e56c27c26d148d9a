// Who is on the other end of a lifeline, and what its end tells.
#include "launch/lifeline.hpp"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "support/unique_fd.hpp"

namespace {

using namespace std::chrono_literals;
using rankpool::launch::Lifeline;
using rankpool::launch::LifelineAddress;
using rankpool::launch::LifelineHub;
using rankpool::support::UniqueFd;

bool eventually(const std::function<bool()>& holds) {
  for (int tries = 0; tries < 2000; ++tries) {
    if (holds()) return true;
    std::this_thread::sleep_for(5ms);
  }
  return false;
}

/// What was lost, as another thread tells it.
class Losses {
 public:
  void add(int rank, const std::string& why) {
    const std::lock_guard lock(mutex_);
    all_[rank] = why;
  }
  std::map<int, std::string> all() {
    const std::lock_guard lock(mutex_);
    return all_;
  }

 private:
  std::mutex mutex_;
  std::map<int, std::string> all_;
};

/// Of this machine's own, as the hub gives none that is only for this machine.
LifelineAddress here(const LifelineHub& hub) {
  LifelineAddress address = hub.address();
  address.hosts = {"127.0.0.1"};
  return address;
}

UniqueFd call(const LifelineAddress& address) {
  UniqueFd line(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in master{};
  master.sin_family = AF_INET;
  master.sin_port = htons(address.port);
  inet_pton(AF_INET, "127.0.0.1", &master.sin_addr);
  EXPECT_EQ(connect(line.get(), reinterpret_cast<const sockaddr*>(&master), sizeof master), 0);
  return line;
}

class Hub : public testing::Test {
 protected:
  void SetUp() override {
    hub_.emplace();
    hub_->expect(100);
    hub_->watch([this](int rank, const std::string& why) { lost_.add(rank, why); }, [](const std::string&) {});
  }

  Losses lost_;
  std::optional<LifelineHub> hub_;
};

TEST_F(Hub, and_leader_part_with_a_good_bye) {
  Losses masters;
  std::optional<Lifeline> first(std::in_place, here(*hub_), 1, [&](const std::string& why) { masters.add(1, why); });
  std::optional<Lifeline> second(std::in_place, here(*hub_), 2, [&](const std::string& why) { masters.add(2, why); });
  ASSERT_TRUE(eventually([&] { return first->is_connected() && second->is_connected(); }));
  first.reset();
  std::this_thread::sleep_for(50ms);
  hub_.reset();
  std::this_thread::sleep_for(50ms);
  second.reset();
  EXPECT_TRUE(lost_.all().empty());
  EXPECT_TRUE(masters.all().empty());
}

TEST_F(Hub, hears_at_once_of_a_leader_that_was_killed) {
  std::array<int, 2> ready{};
  ASSERT_EQ(pipe(ready.data()), 0);
  const LifelineAddress address = here(*hub_);
  const pid_t leader = fork();
  if (leader == 0) {
    const Lifeline line(address, 7, [](const std::string&) {});
    if (!eventually([&] { return line.is_connected(); })) _exit(1);
    [[maybe_unused]] const ssize_t told = write(ready[1], "!", 1);
    pause();
  }
  char word = 0;
  ASSERT_EQ(read(ready[0], &word, 1), 1);
  std::this_thread::sleep_for(20ms);
  EXPECT_TRUE(lost_.all().empty());
  kill(leader, SIGKILL);
  waitpid(leader, nullptr, 0);
  ASSERT_TRUE(eventually([&] { return !lost_.all().empty(); }));
  EXPECT_EQ(lost_.all(), (std::map<int, std::string>{{7, "its connection was closed, as by the end of its process"}}));
}

TEST_F(Hub, takes_none_for_lost_that_has_not_heard_its_answer) {
  const UniqueFd line = call(here(*hub_));
  const struct {
    std::uint64_t token;
    std::int32_t rank = 7;
    std::int32_t reserved = 0;
  } introduction{hub_->address().token};
  ASSERT_EQ(send(line.get(), &introduction, sizeof introduction, MSG_NOSIGNAL), ssize_t{sizeof introduction});
  shutdown(line.get(), SHUT_WR);
  std::this_thread::sleep_for(200ms);
  EXPECT_TRUE(lost_.all().empty());
}

TEST(LifelineOfALeader, hears_of_a_master_that_was_killed) {
  std::array<int, 2> pipe_ends{};
  ASSERT_EQ(pipe(pipe_ends.data()), 0);
  const pid_t master = fork();
  if (master == 0) {
    LifelineHub hub;
    hub.expect(1);
    hub.watch([](int, const std::string&) {}, [](const std::string&) {});
    const std::pair<std::uint64_t, std::uint16_t> address{hub.address().token, hub.address().port};
    if (write(pipe_ends[1], &address, sizeof address) < 0) _exit(1);
    pause();
  }
  std::pair<std::uint64_t, std::uint16_t> address;
  ASSERT_EQ(read(pipe_ends[0], &address, sizeof address), static_cast<ssize_t>(sizeof address));
  Losses lost;
  const Lifeline line({.token = address.first, .port = address.second, .hosts = {"127.0.0.1"}}, 3,
                      [&](const std::string& why) { lost.add(0, why); });
  ASSERT_TRUE(eventually([&] { return line.is_connected(); }));
  kill(master, SIGKILL);
  waitpid(master, nullptr, 0);
  ASSERT_TRUE(eventually([&] { return !lost.all().empty(); }));
  EXPECT_TRUE(lost.all()[0].starts_with("its connection ")) << lost.all()[0];
}

TEST_F(Hub, lets_no_stranger_in_and_none_of_them_keeps_it_busy) {
  LifelineAddress wrong = here(*hub_);
  ++wrong.token;
  const Lifeline stranger(wrong, 4, [](const std::string&) { ADD_FAILURE() << "it takes the hub for its master"; });
  // One that talks another language, and one that says next to nothing.
  const UniqueFd line = call(wrong);
  const std::string request = "GET / HTTP/1.0\r\n\r\n";
  EXPECT_EQ(send(line.get(), request.data(), request.size(), MSG_NOSIGNAL), static_cast<ssize_t>(request.size()));
  char answer = 0;
  EXPECT_LE(recv(line.get(), &answer, 1, 0), 0);
  const UniqueFd silent = call(wrong);
  EXPECT_EQ(send(silent.get(), "?", 1, MSG_NOSIGNAL), 1);
  const std::clock_t before = std::clock();
  const Lifeline known(here(*hub_), 5, [](const std::string&) {});
  EXPECT_TRUE(eventually([&] { return known.is_connected(); }));
  std::this_thread::sleep_for(300ms);
  EXPECT_LT(std::clock() - before, CLOCKS_PER_SEC / 5);
  EXPECT_FALSE(stranger.is_connected());
  EXPECT_TRUE(lost_.all().empty());
}

TEST(LifelineOfALeader, goes_on_to_the_next_address_where_another_program_answers) {
  LifelineHub another;
  another.expect(1);
  another.watch([](int, const std::string&) {}, [](const std::string&) {});
  LifelineAddress address = here(another);
  ++address.token;
  const Lifeline line(address, 1, [](const std::string&) { ADD_FAILURE() << "it was no master"; });
  std::this_thread::sleep_for(200ms);
  EXPECT_FALSE(line.is_connected());
}

TEST(LifelineOfALeader, goes_without_where_no_address_answers) {
  const Lifeline none({.token = 1, .port = 1, .hosts = {}}, 1, [](const std::string&) { ADD_FAILURE(); });
  const Lifeline refused({.token = 1, .port = 1, .hosts = {"127.0.0.1", "nonsense"}}, 1,
                         [](const std::string&) { ADD_FAILURE(); });
  std::this_thread::sleep_for(100ms);
  EXPECT_FALSE(none.is_connected());
  EXPECT_FALSE(refused.is_connected());
}

TEST(LifelineAddress, travels) {
  const LifelineAddress address{.token = 0xfedcba9876543210, .port = 65535, .hosts = {"10.1.2.3", "fe::1"}};
  const LifelineAddress copy = LifelineAddress::decode(address.encode());
  EXPECT_EQ(copy.token, address.token);
  EXPECT_EQ(copy.port, address.port);
  EXPECT_EQ(copy.hosts, address.hosts);
}

}  // namespace
