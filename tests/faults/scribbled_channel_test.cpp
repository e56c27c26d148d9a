// Tasks that write over the memory through which their executor reports. That executor is killed and what it had not
// told in time runs again; nobody else is any the worse for it.
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <sys/resource.h>

#include "host/channel.hpp"
#include "host/record.hpp"
#include "pool/pool_test.hpp"

namespace {

using namespace rankpool;        // NOLINT(google-build-using-namespace)
using namespace rankpool::test;  // NOLINT(google-build-using-namespace)

/// The channel as an executor finds it in its own memory.
class OwnChannel {
 public:
  OwnChannel() : base_(find()) {}

  [[nodiscard]] host::ChannelHeader& header() const { return *reinterpret_cast<host::ChannelHeader*>(base_); }
  [[nodiscard]] host::ExecutorSlot& slot() const {
    return reinterpret_cast<host::ExecutorSlot*>(base_ + slots_offset())[this_task::slot()];
  }
  /// The run that this task's result is going to be in.
  [[nodiscard]] host::RecordHeader& open_run() const {
    return *reinterpret_cast<host::RecordHeader*>(outbox() + place_of_run());
  }
  [[nodiscard]] std::byte* outbox() const {
    return base_ + host::outboxes_offset(header().slots) +
           static_cast<std::size_t>(this_task::slot()) * host::outbox_bytes;
  }

 private:
  [[nodiscard]] std::uint64_t place_of_run() const { return (slot().open_run - 1) % host::outbox_bytes; }

  static std::size_t rounded(std::size_t bytes, std::size_t unit) { return (bytes + unit - 1) / unit * unit; }
  static std::size_t slots_offset() { return rounded(sizeof(host::ChannelHeader), host::cache_line); }

  static std::byte* find() {
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);) {
      if (!contains(line, "rw-s 00000000 ") || !contains(line, "memfd:rankpool")) continue;
      return reinterpret_cast<std::byte*>(std::stoull(line, nullptr, 16));  // NOLINT(performance-no-int-to-ptr)
    }
    throw std::runtime_error("no channel in /proc/self/maps");
  }

  std::byte* base_;
};

void fill(void* memory, int value, std::size_t bytes) { std::memset(memory, value, bytes); }

[[noreturn]] void die() {
  const rlimit no_core{0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  std::abort();
}

/// What a task does to its channel.
struct Damage {
  const char* name;
  void (*inflict)(const OwnChannel& channel);
};

using Own = const OwnChannel&;

void ring_for_all(Own channel) {
  for (std::uint32_t i = 0; i < host::max_executors; ++i) {
    channel.header().asking.insert(i);
    channel.header().ready.insert(i);
    channel.header().exited.insert(i);
    channel.header().returning.insert(i);
    channel.header().mail.insert(i);
  }
}

void give_back(Own channel, std::uint64_t first, std::uint64_t end) {
  channel.slot().returned_lot = channel.slot().chunk_lot.load();
  channel.slot().returned_first = first;
  channel.slot().returned_end = end;
  channel.header().returning.insert(static_cast<std::uint32_t>(this_task::slot()));
  channel.header().attention = 1;
}

void ask_for_all_memory(Own channel) {
  channel.slot().wanted = ~std::uint64_t{0};
  ++channel.slot().asks;
  channel.header().asking.insert(static_cast<std::uint32_t>(this_task::slot()));
}

void change_sizes(Own channel) {
  channel.header().members = ~0U;
  channel.slot().member = 77;
  channel.slot().rank = -5;
}

/// All that the executor tells of its work, but for its results: a cache line and a half.
void forget_all(Own channel) {
  host::ExecutorSlot& slot = channel.slot();
  fill(&slot.tail, 0, reinterpret_cast<std::byte*>(&slot + 1) - reinterpret_cast<std::byte*>(&slot.tail));
}

const std::vector<Damage> damages{
    {"header of the run", [](Own channel) { fill(&channel.open_run(), 0xff, sizeof(host::RecordHeader)); }},
    {"lot of the run", [](Own channel) { channel.open_run().lot += 1000; }},
    {"tasks of the run", [](Own channel) { channel.open_run().first += 1'000'000; }},
    {"size of the run", [](Own channel) { channel.open_run().result_stride = 3; }},
    {"block of the run", [](Own channel) { channel.open_run().block = 64; }},
    {"whole outbox", [](Own channel) { fill(channel.outbox(), 0xab, host::outbox_bytes); }},
    {"tail", [](Own channel) { channel.slot().tail = std::uint64_t{1} << 60U; }},
    {"tail out of line", [](Own channel) { channel.slot().tail += 8; }},
    {"head", [](Own channel) { channel.slot().head += 64; }},
    {"question for a block", ask_for_all_memory},
    {"sets of executors", ring_for_all},
    {"absurd rest of a chunk", [](Own channel) { give_back(channel, 5, ~std::uint64_t{0}); }},
    {"rest of a chunk that is the end of another", [](Own channel) { give_back(channel, 0, 1); }},
    {"sizes of the channel", change_sizes},
};

/// It dies of itself then. What the leader reads of such an executor may be wrong without being absurd.
const std::vector<Damage> last_damages{
    {"absurd chunk",
     [](Own channel) {
       channel.slot().chunk_first = 5;
       channel.slot().chunk_end = ~std::uint64_t{0};
     }},
    {"absurd lot",
     [](Own channel) {
       channel.slot().claiming = 70;
       channel.slot().chunk_lot = ~std::uint64_t{0};
     }},
    {"no claim", [](Own channel) { channel.slot().claiming = 0; }},
    {"no chunk", [](Own channel) { channel.slot().chunk_end = 0; }},
    {"neither claim nor chunk",
     [](Own channel) {
       channel.slot().claiming = 0;
       channel.slot().chunk_end = 0;
     }},
    {"another claim and no chunk",
     [](Own channel) {
       channel.slot().chunk_end = 0;
       channel.slot().claiming = channel.slot().claiming % 60 + 3;
     }},
    {"empty chunk", [](Own channel) { channel.slot().chunk_end = channel.slot().chunk_first.load(); }},
    {"chunk that begins later", [](Own channel) { channel.slot().chunk_first += 2; }},
    {"chunk that ends sooner", [](Own channel) { channel.slot().chunk_end -= 1; }},
    {"all it tells", forget_all},
};

enum class Fate : bool { lives, dies };

void inflict(Fate fate, std::size_t damage) {
  if (fate == Fate::lives) return damages.at(damage).inflict(OwnChannel());
  last_damages.at(damage).inflict(OwnChannel());
  die();
}

/// Calls `test` with each damage, and what it is called.
void for_each_damage(const std::function<void(Fate, std::size_t)>& test) {
  for (const auto& [fate, all] : {std::pair{Fate::lives, &damages}, {Fate::dies, &last_damages}}) {
    for (std::size_t i = 0; i < all->size(); ++i) {
      SCOPED_TRACE(all->at(i).name);
      test(fate, i);
    }
  }
}

constexpr int scribbler = 17;

int square_and_scribble(Fate fate, std::size_t damage, int i) {
  if (i == scribbler && this_task::attempt() == 1) inflict(fate, damage);
  return square(i);
}

std::string text_and_scribble(Fate fate, std::size_t damage, int i) {
  if (i == scribbler && this_task::attempt() == 1) inflict(fate, damage);
  return std::to_string(i);
}

TEST(ScribbledChannel, costs_attempts_and_no_result) {
  for_each_damage([](Fate fate, std::size_t damage) {
    for (const int chunksize : {1, 5}) {
      EXPECT_EQ(pool().map(rankpool::bind(square_and_scribble, fate, damage), numbers(60),
                           {.chunksize = chunksize, .max_attempts = 10}),
                squares(60))
          << "chunks of " << chunksize;
    }
  });
}

TEST(ScribbledChannel, costs_no_result_whose_size_varies) {
  std::vector<std::string> texts;
  for (const int i : numbers(60)) texts.push_back(std::to_string(i));
  for_each_damage([&](Fate fate, std::size_t damage) {
    EXPECT_EQ(
        pool().map(rankpool::bind(text_and_scribble, fate, damage), numbers(60), {.chunksize = 3, .max_attempts = 10}),
        texts);
  });
}

int scribble_always(Fate fate, std::size_t damage, int i) {
  if (i == scribbler) inflict(fate, damage);
  return square(i);
}

void expect_loss_in_every_attempt(Fate fate, std::size_t damage) {
  const auto outcomes = pool().map_outcomes(rankpool::bind(scribble_always, fate, damage), numbers(60),
                                            {.chunksize = 1, .max_attempts = 3});
  ASSERT_EQ(outcomes.size(), 60U);
  EXPECT_TRUE(is_a<WorkerLost>(outcomes[scribbler].exception()));
  for (const int i : numbers(60)) {
    // Others may have lost their results with it three times over, though hardly ever.
    const auto& outcome = outcomes[static_cast<std::size_t>(i)];
    EXPECT_TRUE(outcome.has_value() ? outcome.value() == square(i) : is_a<WorkerLost>(outcome.exception())) << i;
  }
  EXPECT_EQ(pool().map(square, numbers(100)), squares(100));
}

TEST(ScribbledChannel, in_every_attempt_is_the_loss_of_the_worker) {
  expect_loss_in_every_attempt(Fate::lives, 0);
  for (std::size_t i = 0; i < last_damages.size(); ++i) {
    SCOPED_TRACE(last_damages[i].name);
    expect_loss_in_every_attempt(Fate::dies, i);
  }
}

TEST(ScribbledChannel, is_told_unless_the_log_is_to_be_quiet) {
  if (std::getenv("RANKPOOL_TEST_NODES") != nullptr) return;  // other nodes' leaders write to streams of their own
  const char* log = std::getenv("RANKPOOL_LOG");
  testing::internal::CaptureStderr();
  (void)pool().map_outcomes(rankpool::bind(scribble_always, Fate::lives, std::size_t{0}), numbers(60));
  const std::string told = testing::internal::GetCapturedStderr();
  const bool quiet = log != nullptr && std::string(log) == "quiet";
  EXPECT_NE(contains(told, "what it reports makes no sense"), quiet) << told;
}

std::string scribble_over_results(int i) {
  if (i == scribbler) fill(&OwnChannel().open_run() + 1, 0xff, 64);
  return std::to_string(i);
}

TEST(ScribbledChannel, results_that_make_no_sense_are_errors) {
  for (int round = 0; round < 5; ++round) {
    const auto outcomes = pool().map_outcomes(scribble_over_results, numbers(60), {.chunksize = 10});
    ASSERT_EQ(outcomes.size(), 60U);
    int errors = 0;
    for (const auto& outcome : outcomes) errors += outcome.has_value() ? 0 : 1;
    EXPECT_GT(errors, 0);
    EXPECT_LE(errors, 10);
  }
  EXPECT_EQ(pool().map(square, numbers(100)), squares(100));
}

}  // namespace

int main(int argc, char** argv) { return run_cases(argc, argv); }
