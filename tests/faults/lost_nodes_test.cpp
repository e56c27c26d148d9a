// An MPI program: rank 0 has an engine, the other ranks play leaders of nodes by a script. What becomes of the calls
// when nodes are lost.
#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>
#include <boost/mpi/collectives.hpp>

#include <rankpool/rankpool.hpp>

#include "host/inline_host.hpp"
#include "master/engine.hpp"
#include "transport/outbox.hpp"
#include "transport/session.hpp"
#include "wire/codec.hpp"

namespace {

using namespace rankpool;  // NOLINT(google-build-using-namespace)
using namespace std::chrono_literals;

const boost::mpi::communicator& world() { return transport::MpiSession::start().world(); }
boost::mpi::communicator own_communicator() { return {world(), boost::mpi::comm_duplicate}; }

/// A process whose death the engine takes for that of a leader.
class StandIn {
 public:
  StandIn() : pid_(fork()) {
    if (pid_ == 0) {
      while (true) pause();
    }
  }
  StandIn(const StandIn&) = delete;
  StandIn& operator=(const StandIn&) = delete;
  ~StandIn() {
    die();
    waitpid(pid_, nullptr, 0);
  }

  [[nodiscard]] pid_t pid() const { return pid_; }
  void die() const {
    kill(pid_, SIGKILL);
    siginfo_t end{};
    waitid(P_PID, static_cast<id_t>(pid_), &end, WEXITED | WNOWAIT);
  }

 private:
  pid_t pid_;
};

/// A leader that has no executors, and answers as it was told.
class Leader {
 public:
  using Answer = std::function<void(Leader&, const wire::RunLot&)>;

  explicit Leader(Answer answer) : answer_(std::move(answer)) {}

  template <class Message>
  void tell(const Message& message) {
    outbox_.add(0, message);
  }
  void tell_nonsense() {
    outbox_.flush();
    transport_.send(0, std::vector<std::byte>(40, std::byte{0x5a}));
  }
  /// Gives the results of tasks that return what they are given.
  void run(const wire::RunLot& lot) {
    tell(wire::Results{
        .lot = lot.lot, .first = lot.first, .count = lot.count, .nanoseconds = 1000, .encoded = lot.inputs});
  }

  void serve() {
    while (!world().iprobe(0, farewell)) {
      transport_.poll([this](int, detail::Bytes bytes, const transport::Cargo& cargo) {
        wire::for_each_to_leader(bytes, cargo.bytes, *this);
      });
      outbox_.flush();
      std::this_thread::sleep_for(100us);
    }
    world().recv(0, farewell);
  }

  void operator()(const wire::RunLot& lot) { answer_(*this, lot); }
  void operator()(const wire::Stop& order) { tell(wire::Stopped{order.mode}); }
  template <class Other>
  void operator()(const Other& /*order*/) {}

  static constexpr int farewell = 77;  ///< tag

 private:
  transport::Transport transport_{own_communicator()};
  transport::Outbox outbox_{transport_};
  Answer answer_;
};

void runs(Leader& leader, const wire::RunLot& lot) { leader.run(lot); }
void keeps_silent(Leader& /*leader*/, const wire::RunLot& /*lot*/) {}

/// The master's own executor, inside its process.
class LocalHost final : public host::Host {
 public:
  enum class Kind {
    sound,
    busy,   ///< something has always happened
    broken  ///< starts nothing, and says so
  };

  explicit LocalHost(Kind kind) : kind_(kind) {}

  void open_call(const host::CallImage& call) override { host_.open_call(call); }
  void close_call(host::CallId call) override { host_.close_call(call); }
  void stop_call(host::CallId call) override { host_.stop_call(call); }
  std::uint64_t allocate(std::size_t bytes) override { return host_.allocate(bytes); }
  void release(std::uint64_t offset) override { host_.release(offset); }
  std::byte* at(std::uint64_t offset) override { return host_.at(offset); }
  void post(const host::Lot& lot) override {
    if (kind_ != Kind::broken) host_.post(lot);
    posted_ = true;
  }
  void retract(host::LotId lot) override { host_.retract(lot); }
  [[nodiscard]] bool has_begun(host::LotId lot) const override { return host_.has_begun(lot); }
  bool poll(host::HostListener& listener) override {
    if (kind_ == Kind::broken && posted_) listener.on_broken("the power failed");
    return host_.poll(listener) || kind_ == Kind::busy;
  }
  void wait(std::chrono::nanoseconds timeout) override { host_.wait(timeout); }
  [[nodiscard]] bool has_idle_cpu() override { return false; }
  [[nodiscard]] bool has_work_left() override { return false; }
  void ring() noexcept override { host_.ring(); }
  void break_down(const std::string& reason) override { host_.break_down(reason); }
  void shut_down() override { host_.shut_down(); }
  void kill() override { host_.kill(); }

 private:
  host::InlineHost host_{0, "n0", std::nullopt};
  Kind kind_;
  bool posted_ = false;
};

/// Ranks 1 and 2 lead a node each; rank 0 uses the pool.
struct Cluster {
  std::array<Leader::Answer, 2> answers{runs, runs};
  std::array<std::uint32_t, 2> executors{1, 1};
  std::uint32_t local_executors = 0;
  LocalHost::Kind local = LocalHost::Kind::sound;
  std::string name = "rankpool";
  support::LogLevel log = support::LogLevel::warning;

  struct Master {
    Pool& pool;
    const std::array<StandIn, 2>& leaders;  ///< of nodes 1 and 2
  };

  /// @returns what the master said on stderr.
  template <class Use>
  std::string run(const Use& use) const {
    std::string said;
    const auto rank = static_cast<std::size_t>(world().rank());
    if (rank == 0) {
      said = run_master(use);
    } else {
      Leader(answers.at(rank - 1)).serve();
    }
    world().barrier();
    return said;
  }

 private:
  template <class Use>
  std::string run_master(const Use& use) const {
    const std::array<StandIn, 2> leaders;
    std::vector<master::RemoteNode> nodes;
    for (std::size_t i = 0; i < 2; ++i) nodes.push_back({static_cast<int>(i + 1), executors[i], leaders[i].pid()});
    master::EngineOptions options;
    options.name = name;
    options.log = log;
    options.hosts = {"n0", "n1", "n2"};
    testing::internal::CaptureStderr();
    {
      Pool pool(master::Engine::make(options, std::make_unique<LocalHost>(local), local_executors,
                                     std::make_unique<transport::Transport>(own_communicator()), nodes));
      use(Master{pool, leaders});
    }
    for (int leader = 1; leader <= 2; ++leader) world().send(leader, Leader::farewell);
    return testing::internal::GetCapturedStderr();
  }
};

int same(int i) { return i; }

std::vector<int> numbers(int count) {
  std::vector<int> all;
  for (int i = 0; i < count; ++i) all.push_back(i);
  return all;
}

std::size_t count_lines(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

/// Only rank 0 has something to look at.
void expect_said(const std::string& said, const std::string& part) {
  if (world().rank() != 0) return;
  EXPECT_EQ(count_lines(said, part), 1U) << "where \"" << part << "\" was expected: " << said;
}

TEST(LostNode, one_without_executors_is_not_missed) {
  const std::string said = Cluster{.executors = {1, 0}}.run([](const Cluster::Master& master) {
    master.leaders[1].die();
    const auto looked = std::chrono::steady_clock::now() + 300ms;
    while (std::chrono::steady_clock::now() < looked) EXPECT_EQ(master.pool.map(same, numbers(20)), numbers(20));
    EXPECT_EQ(master.pool.state(), PoolState::running);
    EXPECT_EQ(master.pool.processes(), 1);
  });
  expect_said(said, "rankpool: going on without a node that had no executors: its leader, rank 2 on n2");
}

TEST(LostNode, that_says_so_again_and_again_is_lost_once) {
  const auto breaks = [](Leader& leader, const wire::RunLot& /*lot*/) {
    leader.tell(wire::Broken{.reason = "the power is low", .all_reported = true});
    leader.tell(wire::Broken{.reason = "the power is off", .all_reported = true});
    leader.tell(wire::Executors{.count = 5, .why = "the power is back"});
    leader.tell(wire::RankLost{.rank = 1, .host = "n1", .pid = 4711, .executors = 5});
    leader.tell_nonsense();
    leader.tell_nonsense();
  };
  const std::string said = Cluster{.answers = {breaks, runs}}.run([](const Cluster::Master& master) {
    EXPECT_EQ(master.pool.map(same, numbers(100), {.max_attempts = 1}), numbers(100));  // nothing had started
    master.leaders[0].die();
    const auto looked = std::chrono::steady_clock::now() + 300ms;
    while (std::chrono::steady_clock::now() < looked) EXPECT_EQ(master.pool.map(same, numbers(20)), numbers(20));
    EXPECT_EQ(master.pool.processes(), 1);
  });
  expect_said(said, "rankpool: ");
  expect_said(said, "going on without the executors of a node: the power is low");
}

TEST(LostNode, charges_tasks_that_may_have_run) {
  const auto breaks = [](Leader& leader, const wire::RunLot& /*lot*/) {
    leader.tell(wire::Broken{.reason = "the power failed", .all_reported = false});
  };
  Cluster{.answers = {breaks, runs}}.run([](const Cluster::Master& master) {
    const auto outcomes = master.pool.map_outcomes(same, numbers(40), {.max_attempts = 1});
    std::size_t lost = 0;
    for (const auto& outcome : outcomes) {
      if (outcome.has_value()) continue;
      ++lost;
      EXPECT_NE(outcome.error_text().find("is lost, on rank 1, host n1"), std::string::npos) << outcome.error_text();
      EXPECT_NE(outcome.error_text().find("the power failed"), std::string::npos) << outcome.error_text();
    }
    EXPECT_GT(lost, 0U);
    EXPECT_LT(lost, outcomes.size());
  });
}

std::array<pid_t, 2> doomed{};

/// Runs in the master's process: by the engine's next look both leaders have died.
int kill_both_leaders(int i) {
  for (const pid_t leader : doomed) {
    kill(leader, SIGKILL);
    siginfo_t end{};
    waitid(P_PID, static_cast<id_t>(leader), &end, WEXITED | WNOWAIT);
  }
  return i;
}

TEST(LostNode, is_blamed_for_its_own_tasks) {
  Cluster{.answers = {keeps_silent, keeps_silent}, .local_executors = 1}.run([](const Cluster::Master& master) {
    doomed = {master.leaders[0].pid(), master.leaders[1].pid()};
    const auto outcomes =
        master.pool.map_outcomes(kill_both_leaders, numbers(9), {.max_attempts = 1, .schedule = Schedule::static_});
    std::map<int, int> lost;
    for (const auto& outcome : outcomes) {
      try {
        static_cast<void>(outcome.value());
      } catch (const WorkerLost& error) {
        ++lost[error.rank()];
        EXPECT_EQ(error.host(), "n" + std::to_string(error.rank()));
        const std::string leader = "its leader, rank " + std::to_string(error.rank());
        EXPECT_NE(std::string(error.what()).find(leader), std::string::npos) << error.what();
        EXPECT_FALSE(error.signal());
      }
    }
    EXPECT_EQ(lost, (std::map<int, int>{{1, 3}, {2, 3}}));
  });
}

TEST(LostNode, is_blamed_for_the_attempt_that_was_lost_with_it) {
  const auto crashes_once = [](Leader& leader, const wire::RunLot& lot) {
    if (lot.attempt == 1) {
      leader.tell(wire::TaskDied{.lot = lot.lot, .task = lot.first, .rank = 1, .host = "n1", .wait_status = SIGSEGV});
    } else {
      leader.tell(wire::Broken{.reason = "the power failed", .all_reported = false});
    }
  };
  Cluster{.answers = {crashes_once, crashes_once}}.run([](const Cluster::Master& master) {
    const auto outcomes = master.pool.map_outcomes(same, {1}, {.max_attempts = 2});
    try {
      static_cast<void>(outcomes.at(0).value());
      ADD_FAILURE() << "the task has a value";
    } catch (const WorkerLost& error) {
      EXPECT_EQ(error.attempt(), 2U);
      EXPECT_FALSE(error.signal());
      EXPECT_NE(std::string(error.what()).find("the power failed"), std::string::npos) << error.what();
    }
  });
}

TEST(LostNode, keeps_what_it_told_of_the_tasks_that_ran) {
  const auto breaks_while_one_runs = [](Leader& leader, const wire::RunLot& lot) {
    leader.tell(wire::TaskDied{.lot = lot.lot,
                               .task = lot.first,
                               .rank = 1,
                               .host = "n1",
                               .pid = 4711,
                               .wait_status = SIGKILL,
                               .stderr_tail = "half done"});
    leader.tell(wire::Broken{.reason = "the power failed", .all_reported = true});
  };
  Cluster{.answers = {breaks_while_one_runs, runs}}.run([](const Cluster::Master& master) {
    const auto outcomes = master.pool.map_outcomes(same, numbers(40), {.max_attempts = 1});
    const auto lost = std::ranges::find_if(outcomes, [](const auto& outcome) { return !outcome.has_value(); });
    ASSERT_NE(lost, outcomes.end());
    EXPECT_EQ(std::ranges::count_if(outcomes, [](const auto& outcome) { return !outcome.has_value(); }), 1);
    try {
      static_cast<void>(lost->value());
    } catch (const WorkerLost& error) {
      EXPECT_EQ(error.signal(), SIGKILL);
      EXPECT_EQ(error.pid(), 4711);
      EXPECT_EQ(error.stderr_tail(), "half done");
    }
  });
}

TEST(LostNode, is_noticed_by_a_master_that_never_sleeps) {
  Cluster{.answers = {keeps_silent, runs}, .local = LocalHost::Kind::busy}.run([](const Cluster::Master& master) {
    master.leaders[0].die();
    EXPECT_EQ(master.pool.map(same, numbers(40)), numbers(40));
  });
}

TEST(LostNode, may_be_the_masters_own) {
  const std::string said =
      Cluster{.local_executors = 1, .local = LocalHost::Kind::broken}.run([](const Cluster::Master& master) {
        EXPECT_EQ(master.pool.map(same, numbers(40), {.max_attempts = 1}), numbers(40));
        EXPECT_EQ(master.pool.processes(), 2);
      });
  expect_said(said, "rankpool: going on without the executors of a node: the power failed");
}

TEST(LostNode, that_was_the_last_one_breaks_the_pool) {
  const auto loses_its_ranks = [](Leader& leader, const wire::RunLot& /*lot*/) {
    leader.tell(wire::RankLost{.rank = 1, .host = "n1", .pid = 4711, .executors = 0});
    leader.tell(wire::Broken{.reason = "no executor is left on n1", .all_reported = true});
  };
  const std::string said =
      Cluster{.answers = {loses_its_ranks, runs}, .executors = {1, 0}}.run([](const Cluster::Master& master) {
        EXPECT_THROW(master.pool.map(same, numbers(40)), BrokenPool);
        EXPECT_EQ(master.pool.state(), PoolState::broken);
      });
  expect_said(said, "rank 1 on n1 (pid 4711) was killed, and its executors with it\n");
  EXPECT_EQ(count_lines(said, "going on"), 0U) << said;
}

void breaks(Leader& leader, const wire::RunLot& /*lot*/) {
  leader.tell(wire::Executors{.count = 0, .why = "no process can be had"});
  leader.tell(wire::RankLost{.rank = 1, .host = "n1", .pid = 4711, .executors = 0});
  leader.tell(wire::Broken{.reason = "the power failed", .all_reported = true});
}

TEST(LostNode, is_named_with_the_name_of_its_pool) {
  const std::string said = Cluster{.answers = {breaks, runs}, .name = "sweep"}.run(
      [](const Cluster::Master& master) { EXPECT_EQ(master.pool.map(same, numbers(40)), numbers(40)); });
  expect_said(said, "rankpool: sweep: going on, although no process can be had\n");
  expect_said(said, "rankpool: sweep: rank 1 on n1 (pid 4711) was killed");
  expect_said(said, "rankpool: sweep: going on without a node that had no executors: the power failed\n");
}

TEST(LostNode, is_not_named_where_the_log_is_to_be_quiet) {
  const std::string said = Cluster{.answers = {breaks, runs}, .log = support::LogLevel::quiet}.run(
      [](const Cluster::Master& master) { EXPECT_EQ(master.pool.map(same, numbers(40)), numbers(40)); });
  EXPECT_EQ(said, "");
}

}  // namespace

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  if (world().size() != 3) return 1;
  return boost::mpi::all_reduce(world(), RUN_ALL_TESTS(), boost::mpi::maximum<int>());
}
