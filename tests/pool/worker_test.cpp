// An MPI program: rank 0 plays the master, rank 1 serves with a host that only pretends to have executors.
#include "worker/worker.hpp"

#include <cerrno>
#include <chrono>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <system_error>
#include <thread>

#include <gtest/gtest.h>
#include <boost/mpi/collectives.hpp>

#include "transport/outbox.hpp"
#include "transport/session.hpp"
#include "wire/codec.hpp"

namespace {

using namespace rankpool;  // NOLINT(google-build-using-namespace)
using namespace std::chrono_literals;
using Buffer = std::vector<std::byte>;

constexpr int master = 0;
constexpr int leader = 1;

const boost::mpi::communicator& world() { return transport::MpiSession::start().world(); }
boost::mpi::communicator own_communicator() { return {world(), boost::mpi::comm_duplicate}; }

/// Runs each lot in one go when it is polled, by echoing its inputs as results.
class EchoHost final : public host::Host {
 public:
  void open_call(const host::CallImage& call) override {
    if (call.kernel.module == 0) throw std::runtime_error("no such module");
    stride = call.input_stride;
    task_timeout = call.task_timeout;
  }
  void close_call(host::CallId) override { ++calls_closed; }
  void stop_call(host::CallId call) override { stopped.push_back(call); }

  std::uint64_t allocate(std::size_t bytes) override {
    if (bytes > most_bytes) throw std::system_error(ENOMEM, std::generic_category());
    ++allocations;
    memory[next] = Buffer(bytes);
    next += bytes + 4096;
    return std::prev(memory.end())->first;
  }
  void release(std::uint64_t offset) override { memory.erase(offset); }
  std::byte* at(std::uint64_t offset) override {
    const auto block = std::prev(memory.upper_bound(offset));
    return block->second.data() + (offset - block->first);
  }

  void post(const host::Lot& lot) override { lots.push_back(lot); }
  void retract(host::LotId lot) override { retracted.push_back(lot); }
  [[nodiscard]] bool has_begun(host::LotId lot) const override {
    return std::ranges::find(lots, lot, &host::Lot::id) == lots.end();
  }

  bool poll(host::HostListener& listener) override {
    if (broken_because) return break_slowly(listener);
    bool any = !retracted.empty();
    for (const host::LotId lot : retracted) {
      std::erase_if(lots, [&](const host::Lot& held) {
        if (held.id == lot) listener.on_tasks_returned(lot, held.first, held.count);
        return held.id == lot;
      });
      listener.on_retracted(lot);
    }
    retracted.clear();
    std::deque<host::Lot> held;
    for (const host::Lot& lot : lots) {
      if (lot.attempt == 2) {  // a lot that waits to be retracted
        held.push_back(lot);
        continue;
      }
      any = true;
      run(lot, listener);
    }
    lots = std::move(held);
    return any;
  }

  void wait(std::chrono::nanoseconds timeout) override { std::this_thread::sleep_for(timeout); }
  [[nodiscard]] bool has_idle_cpu() override { return false; }
  [[nodiscard]] bool has_work_left() override { return false; }
  void ring() noexcept override {}
  void break_down(const std::string& reason) override {
    ++break_downs;
    broken_because = reason;
  }
  void shut_down() override { ++shut_downs; }
  void kill() override { ++kills; }

  std::map<std::uint64_t, Buffer> memory;
  std::uint64_t next = 4096;
  std::size_t most_bytes = 1'000'000;
  int allocations = 0;
  std::uint64_t stride = 0;
  std::deque<host::Lot> lots;
  std::vector<host::LotId> retracted;
  std::chrono::nanoseconds task_timeout{0};
  std::vector<host::CallId> stopped;
  int calls_closed = 0;
  int break_downs = 0;
  std::optional<std::string> broken_because;  ///< to be told by the next poll but `polls_to_break`
  int polls_to_break = 3;
  int shut_downs = 0;
  int kills = 0;

 private:
  /// A task that ran dies first.
  bool break_slowly(host::HostListener& listener) {
    if (--polls_to_break > 0) return false;
    listener.on_task_died(1, 1, {.rank = 1, .host = "n1", .slot = 4, .pid = 99, .wait_status = 9});
    listener.on_broken(*broken_because);
    broken_because.reset();
    return true;
  }

  void run(const host::Lot& lot, host::HostListener& listener) {
    if (lot.attempt == 5) throw std::runtime_error("a report is lost");
    if (lot.attempt == 3) {
      listener.on_task_died(
          lot.id, lot.first,
          {.rank = 1, .host = "n1", .slot = 4, .pid = 99, .wait_status = 11, .time_limit = task_timeout});
      return;
    }
    if (lot.attempt == 4) listener.on_executors(5, "no processes");
    std::uint64_t bytes = lot.count * stride;
    if (stride == detail::variable_stride) {
      std::memcpy(&bytes, at(lot.piece.offsets + lot.count * sizeof bytes), sizeof bytes);
    }
    listener.on_results(lot.id, lot.first, lot.count, 1000, {bytes == 0 ? nullptr : at(lot.piece.data), bytes});
  }
};

/// What the master hears.
struct Heard {
  std::vector<wire::Results> results;
  std::vector<Buffer> payloads;
  std::vector<wire::TaskDied> died;
  std::vector<wire::TasksReturned> returned;
  std::vector<wire::Retracted> retracted;
  std::vector<wire::Executors> executors;
  std::vector<wire::Broken> broken;
  std::size_t died_before_broken = 0;

  void operator()(const wire::Results& message) {
    results.push_back(message);
    payloads.emplace_back(message.encoded.begin(), message.encoded.end());
  }
  void operator()(const wire::TaskDied& message) { died.push_back(message); }
  void operator()(const wire::TasksReturned& message) { returned.push_back(message); }
  void operator()(const wire::Retracted& message) { retracted.push_back(message); }
  void operator()(const wire::Executors& message) { executors.push_back(message); }
  void operator()(const wire::Broken& message) {
    died_before_broken = died.size();
    broken.push_back(message);
  }
  void operator()(const wire::TaskFailed&) {}
  void operator()(const wire::InitializerFailed&) {}
  void operator()(const wire::RankLost&) {}
  void operator()(const wire::Question&) {}
  void operator()(const wire::ExecutorGone&) {}
  void operator()(const wire::Blocked&) {}
  void operator()(const wire::Stopped&) {}
};

/// One conversation: `talk` on the master, `check` on the leader when serve() has returned.
class Conversation {
 public:
  template <class Talk, class Check>
  void run(const Talk& talk, const Check& check) {
    if (world().rank() == leader) {
      EchoHost host;
      worker::serve(host, transport_, master);
      check(host);
    } else if (world().rank() == master) {
      talk(*this);
    }
    world().barrier();
  }

  template <class Message>
  void tell(const Message& message) {
    outbox_.add(leader, message);
    outbox_.flush();
  }

  /// The inputs travel beside the message.
  void tell_from_place(wire::RunLot message, const std::shared_ptr<const Buffer>& inputs) {
    message.inputs = *inputs;
    outbox_.add_from_place(leader, message, inputs);
  }

  void tell_raw(Buffer bytes) { transport_.send(leader, std::move(bytes)); }

  template <class Done>
  [[nodiscard]] bool hear_until(const Done& done) {
    const auto deadline = std::chrono::steady_clock::now() + 20s;
    while (!done(heard)) {
      transport_.poll([this](int, detail::Bytes bytes, const transport::Cargo& cargo) {
        wire::for_each_to_master(bytes, cargo.bytes, heard);
      });
      if (std::chrono::steady_clock::now() > deadline) return false;
      std::this_thread::sleep_for(100us);
    }
    return true;
  }

  Heard heard;

 private:
  transport::Transport transport_{own_communicator()};
  transport::Outbox outbox_{transport_};
};

wire::OpenCall call_of_stride(std::uint64_t stride) {
  return {.call = 1, .kernel = {7, 8, {}}, .callable = {}, .input_stride = stride};
}

wire::RunLot lot_of(std::uint64_t id, std::uint64_t count, detail::Bytes inputs, std::uint32_t attempt = 1) {
  return {.lot = id, .call = 1, .first = 10 * id, .count = count, .attempt = attempt, .offsets = {}, .inputs = inputs};
}

TEST(Worker, runs_lots_and_gives_their_memory_back) {
  Conversation().run(
      [](Conversation& leader_rank) {
        const Buffer inputs(24, std::byte{42});
        leader_rank.tell(call_of_stride(8));
        for (std::uint64_t id = 1; id <= 50; ++id) leader_rank.tell(lot_of(id, 3, inputs));
        EXPECT_TRUE(leader_rank.hear_until([](const Heard& heard) { return heard.results.size() == 50; }));
        EXPECT_EQ(leader_rank.heard.results.at(49).first, 500U);
        EXPECT_EQ(leader_rank.heard.payloads.at(49), inputs);
        leader_rank.tell(wire::CloseCall{1});
        leader_rank.tell(wire::Stop{});
      },
      [](const EchoHost& host) {
        EXPECT_TRUE(host.memory.empty());
        EXPECT_EQ(host.calls_closed, 1);
        EXPECT_EQ(host.shut_downs, 1);
        EXPECT_EQ(host.kills, 0);
      });
}

TEST(Worker, runs_lots_of_variable_stride_and_without_inputs) {
  Conversation().run(
      [](Conversation& leader_rank) {
        const Buffer inputs(7, std::byte{1});
        const std::vector<std::uint64_t> offsets{5, 5, 12};
        leader_rank.tell(call_of_stride(detail::variable_stride));
        wire::RunLot lot = lot_of(1, 2, inputs);
        lot.offsets = wire::Offsets(std::span<const std::uint64_t>(offsets));
        leader_rank.tell(lot);
        EXPECT_TRUE(leader_rank.hear_until([](const Heard& heard) { return heard.results.size() == 1; }));
        leader_rank.tell(wire::CloseCall{1});
        leader_rank.tell(call_of_stride(0));
        leader_rank.tell(lot_of(2, 1000, {}));
        EXPECT_TRUE(leader_rank.hear_until([](const Heard& heard) { return heard.results.size() == 2; }));
        EXPECT_EQ(leader_rank.heard.payloads.at(0), inputs);
        EXPECT_EQ(leader_rank.heard.results.at(1).count, 1000U);
        leader_rank.tell(wire::Stop{});
      },
      [](const EchoHost& host) { EXPECT_TRUE(host.memory.empty()); });
}

TEST(Worker, receives_large_inputs_where_executors_read_them) {
  Conversation().run(
      [](Conversation& leader_rank) {
        const auto inputs = std::make_shared<const Buffer>(400'000, std::byte{7});
        const std::vector<std::uint64_t> offsets{0, 100'000, 400'000};
        leader_rank.tell(call_of_stride(8));
        for (std::uint64_t id = 1; id <= 3; ++id) leader_rank.tell_from_place(lot_of(id, 50'000, {}), inputs);
        EXPECT_TRUE(leader_rank.hear_until([](const Heard& heard) { return heard.results.size() == 3; }));
        leader_rank.tell(wire::CloseCall{1});
        leader_rank.tell(call_of_stride(detail::variable_stride));
        wire::RunLot varying = lot_of(4, 2, {});
        varying.offsets = wire::Offsets(std::span<const std::uint64_t>(offsets));
        leader_rank.tell_from_place(varying, inputs);
        EXPECT_TRUE(leader_rank.hear_until([](const Heard& heard) { return heard.results.size() == 4; }));
        for (const Buffer& payload : leader_rank.heard.payloads) EXPECT_EQ(payload, *inputs);
        leader_rank.tell(wire::Stop{});
      },
      [](const EchoHost& host) {
        EXPECT_EQ(host.allocations, 5);  // one for each, and a table
        EXPECT_TRUE(host.memory.empty());
        EXPECT_EQ(host.break_downs, 0);
      });
}

TEST(Worker, gives_back_the_memory_of_large_inputs_that_it_refuses) {
  Conversation().run(
      [](Conversation& leader_rank) {
        const auto inputs = std::make_shared<const Buffer>(400'000, std::byte{7});
        leader_rank.tell_from_place(lot_of(1, 50'000, {}), inputs);
        EXPECT_TRUE(leader_rank.hear_until([](const Heard& heard) { return !heard.broken.empty(); }));
        leader_rank.tell(wire::Stop{});
      },
      [](const EchoHost& host) {
        EXPECT_EQ(host.allocations, 1);  // they came to the channel before anyone looked at them
        EXPECT_TRUE(host.memory.empty());
      });
}

TEST(Worker, large_inputs_for_which_there_is_no_memory_break_its_node_only) {
  Conversation().run(
      [](Conversation& leader_rank) {
        const auto inputs = std::make_shared<const Buffer>(2'000'000, std::byte{7});
        leader_rank.tell(call_of_stride(8));
        leader_rank.tell_from_place(lot_of(1, 250'000, {}), inputs);
        EXPECT_TRUE(leader_rank.hear_until([](const Heard& heard) { return !heard.broken.empty(); }));
        leader_rank.tell_from_place(lot_of(2, 250'000, {}), inputs);
        leader_rank.tell(wire::Stop{});
      },
      [](const EchoHost& host) {
        EXPECT_EQ(host.break_downs, 1);
        EXPECT_TRUE(host.memory.empty());
      });
}

TEST(Worker, answers_retractions_of_waiting_and_of_ended_lots) {
  Conversation().run(
      [](Conversation& leader_rank) {
        const Buffer inputs(16);
        leader_rank.tell(call_of_stride(8));
        leader_rank.tell(lot_of(1, 2, inputs, 2));
        leader_rank.tell(lot_of(2, 2, inputs));
        EXPECT_TRUE(leader_rank.hear_until([](const Heard& heard) { return heard.results.size() == 1; }));
        leader_rank.tell(wire::RetractLot{1});
        leader_rank.tell(wire::RetractLot{2});
        EXPECT_TRUE(leader_rank.hear_until([](const Heard& heard) { return heard.retracted.size() == 2; }));
        EXPECT_EQ(leader_rank.heard.returned.at(0).lot, 1U);
        EXPECT_EQ(leader_rank.heard.returned.at(0).count, 2U);
        leader_rank.tell(wire::Stop{});
      },
      [](const EchoHost& host) { EXPECT_TRUE(host.memory.empty()); });
}

TEST(Worker, forwards_the_death_of_an_executor) {
  Conversation().run(
      [](Conversation& leader_rank) {
        const Buffer inputs(8);
        leader_rank.tell(call_of_stride(8));
        leader_rank.tell(lot_of(1, 1, inputs, 3));
        EXPECT_TRUE(leader_rank.hear_until([](const Heard& heard) { return heard.died.size() == 1; }));
        EXPECT_EQ(leader_rank.heard.died.at(0).host, "n1");
        EXPECT_EQ(leader_rank.heard.died.at(0).pid, 99);
        EXPECT_EQ(leader_rank.heard.died.at(0).time_limit, 0);
        leader_rank.tell(wire::Stop{wire::StopMode::kill});
      },
      [](const EchoHost& host) {
        EXPECT_TRUE(host.memory.empty());
        EXPECT_EQ(host.kills, 1);
        EXPECT_EQ(host.shut_downs, 0);
      });
}

TEST(Worker, forwards_how_many_executors_there_are_and_why) {
  Conversation().run(
      [](Conversation& leader_rank) {
        const Buffer inputs(8);
        leader_rank.tell(call_of_stride(8));
        leader_rank.tell(lot_of(1, 1, inputs, 4));
        EXPECT_TRUE(leader_rank.hear_until([](const Heard& heard) { return heard.executors.size() == 1; }));
        EXPECT_EQ(leader_rank.heard.executors.at(0).count, 5U);
        EXPECT_EQ(leader_rank.heard.executors.at(0).why, "no processes");
        leader_rank.tell(wire::Stop{});
      },
      [](const EchoHost& host) { EXPECT_TRUE(host.memory.empty()); });
}

TEST(Worker, passes_the_limit_of_a_calls_tasks_on_and_that_nobody_waits_for_them) {
  Conversation().run(
      [](Conversation& leader_rank) {
        const Buffer inputs(8);
        wire::OpenCall call = call_of_stride(8);
        call.task_timeout = 1500;
        leader_rank.tell(call);
        leader_rank.tell(wire::StopCall{1});
        leader_rank.tell(lot_of(1, 1, inputs, 3));
        EXPECT_TRUE(leader_rank.hear_until([](const Heard& heard) { return heard.died.size() == 1; }));
        EXPECT_EQ(leader_rank.heard.died.at(0).time_limit, 1500);
        leader_rank.tell(wire::Stop{});
      },
      [](const EchoHost& host) {
        EXPECT_EQ(host.task_timeout.count(), 1500);
        EXPECT_EQ(host.stopped, std::vector<host::CallId>{1});
      });
}

/// After `wrong` the leader has its executors killed, says what they did and then why, and still stops when told to.
template <class Wrong>
void breaks_down(const Wrong& wrong, const std::string& reason, bool all_reported = true) {
  Conversation().run(
      [&](Conversation& leader_rank) {
        wrong(leader_rank);
        EXPECT_TRUE(leader_rank.hear_until([](const Heard& heard) { return heard.broken.size() == 1; }));
        ASSERT_FALSE(leader_rank.heard.broken.empty());
        EXPECT_NE(leader_rank.heard.broken[0].reason.find(reason), std::string::npos)
            << leader_rank.heard.broken[0].reason;
        EXPECT_EQ(leader_rank.heard.broken[0].all_reported, all_reported);
        EXPECT_EQ(leader_rank.heard.died_before_broken, 1U);
        leader_rank.tell(lot_of(9, 1, {}));  // ignored
        leader_rank.tell(wire::Stop{});
      },
      [](const EchoHost& host) {
        EXPECT_EQ(host.break_downs, 1);
        EXPECT_EQ(host.kills, 0);
        EXPECT_EQ(host.shut_downs, 0);
        EXPECT_TRUE(std::ranges::find(host.lots, std::uint64_t{9}, &host::Lot::id) == host.lots.end());
      });
}

TEST(Worker, says_that_a_report_may_be_lost) {
  breaks_down(
      [](Conversation& leader_rank) {
        leader_rank.tell(call_of_stride(0));
        leader_rank.tell(lot_of(1, 1, {}, 5));
      },
      "a report is lost", false);
}

TEST(Worker, whose_host_is_being_broken_down_ignores_orders_and_stops) {
  Conversation().run(
      [](Conversation& leader_rank) {
        leader_rank.tell_raw(Buffer(40, std::byte{0x5a}));
        leader_rank.tell_raw(Buffer(40, std::byte{0x5a}));
        leader_rank.tell(call_of_stride(0));
        leader_rank.tell(lot_of(9, 1, {}));
        leader_rank.tell(wire::Stop{});
      },
      [](const EchoHost& host) {
        EXPECT_EQ(host.break_downs, 1);
        EXPECT_EQ(host.shut_downs, 0);
        EXPECT_TRUE(host.lots.empty());
      });
}

TEST(Worker, a_malformed_message_breaks_its_node_only) {
  breaks_down([](Conversation& leader_rank) { leader_rank.tell_raw(Buffer(40, std::byte{0x5a})); }, "frame");
}

TEST(Worker, a_call_the_host_refuses_breaks_its_node_only) {
  breaks_down([](Conversation& leader_rank) { leader_rank.tell(wire::OpenCall()); }, "no such module");
}

TEST(Worker, a_lot_that_does_not_fit_its_call_breaks_its_node_only) {
  breaks_down([](Conversation& leader_rank) { leader_rank.tell(lot_of(1, 1, {})); }, "call 1, which is not open");
  breaks_down(
      [](Conversation& leader_rank) {
        const Buffer inputs(15);
        leader_rank.tell(call_of_stride(8));
        leader_rank.tell(lot_of(1, 2, inputs));
      },
      "15 bytes for 2 tasks of 8 bytes");
  breaks_down(
      [](Conversation& leader_rank) {
        leader_rank.tell(call_of_stride(0));
        leader_rank.tell(lot_of(1, std::uint64_t{1} << 60U, {}));
      },
      "1152921504606846976 tasks");
}

TEST(Worker, a_call_that_comes_twice_breaks_its_node_only) {
  breaks_down(
      [](Conversation& leader_rank) {
        leader_rank.tell(call_of_stride(8));
        leader_rank.tell(call_of_stride(16));
      },
      "call 1 came twice");
}

}  // namespace

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  if (world().size() < 2) return 1;
  return boost::mpi::all_reduce(world(), RUN_ALL_TESTS(), boost::mpi::maximum<int>());
}
