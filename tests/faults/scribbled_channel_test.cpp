// Tasks that write over the memory through which their executor reports. That executor is killed and what it had not
// told in time runs again; nobody else is any the worse for it.
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>
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
  /// Found by the run in it: on a page behind the slots.
  [[nodiscard]] std::byte* outbox() const {
    constexpr std::size_t page = 4096;
    constexpr std::size_t most_pages = 256;
    std::byte* first = base_ + rounded(slots_offset() + header().slots * sizeof(host::ExecutorSlot), page) +
                       static_cast<std::size_t>(this_task::slot()) * host::outbox_bytes;
    for (std::byte* at = first; at < first + most_pages * page; at += page) {
      const auto& run = *reinterpret_cast<const host::RecordHeader*>(at + place_of_run());
      const bool is_run = run.kind == host::RecordKind::results && run.lot == slot().chunk_lot;
      if (is_run && run.first + run.count == this_task::index()) return at;
    }
    throw std::runtime_error("no outbox in the channel");
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

enum class Damage : std::uint8_t {
  header_of_the_run,
  lot_of_the_run,
  tasks_of_the_run,
  size_of_the_run,
  block_of_the_run,
  whole_outbox,
  tail,
  tail_out_of_line,
  head,
  question_for_a_block,
  sets_of_executors,
  sizes_of_the_channel,
  chunk_before_it_dies,
  lot_before_it_dies,
  after_the_last
};

std::ostream& operator<<(std::ostream& to, Damage damage) { return to << "damage " << static_cast<int>(damage); }

void fill(void* memory, int value, std::size_t bytes) { std::memset(memory, value, bytes); }

[[noreturn]] void die() {
  const rlimit no_core{0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  std::abort();
}

void inflict(Damage damage) {
  const OwnChannel channel;
  host::ExecutorSlot& slot = channel.slot();
  switch (damage) {
    case Damage::header_of_the_run:
      return fill(&channel.open_run(), 0xff, sizeof(host::RecordHeader));
    case Damage::lot_of_the_run:
      channel.open_run().lot += 1000;
      return;
    case Damage::tasks_of_the_run:
      channel.open_run().first += 1'000'000;
      return;
    case Damage::size_of_the_run:
      channel.open_run().result_stride = 3;
      return;
    case Damage::block_of_the_run:
      channel.open_run().block = 64;
      return;
    case Damage::whole_outbox:
      return fill(channel.outbox(), 0xab, host::outbox_bytes);
    case Damage::tail:
      slot.tail = std::uint64_t{1} << 60U;
      return;
    case Damage::tail_out_of_line:
      slot.tail += 8;
      return;
    case Damage::head:
      slot.head += 64;
      return;
    case Damage::question_for_a_block:
      slot.wanted = ~std::uint64_t{0};
      ++slot.asks;
      channel.header().asking.insert(static_cast<std::uint32_t>(this_task::slot()));
      return;
    case Damage::sets_of_executors:
      for (std::uint32_t i = 0; i < host::max_executors; ++i) {
        channel.header().asking.insert(i);
        channel.header().ready.insert(i);
        channel.header().exited.insert(i);
      }
      return;
    case Damage::sizes_of_the_channel:
      channel.header().members = ~0U;
      slot.member = 77;
      slot.rank = -5;
      return;
    case Damage::chunk_before_it_dies:
      slot.chunk_first = 5;
      slot.chunk_end = ~std::uint64_t{0};
      die();
    case Damage::lot_before_it_dies:
      slot.claiming = 70;
      slot.chunk_lot = ~std::uint64_t{0};
      die();
    case Damage::after_the_last:
      break;
  }
}

constexpr int scribbler = 17;

int square_and_scribble(Damage damage, int i) {
  if (i == scribbler && this_task::attempt() == 1) inflict(damage);
  return square(i);
}

std::string text_and_scribble(Damage damage, int i) {
  if (i == scribbler && this_task::attempt() == 1) inflict(damage);
  return std::to_string(i);
}

std::vector<Damage> all_damages() {
  std::vector<Damage> all;
  for (int i = 0; i < static_cast<int>(Damage::after_the_last); ++i) all.push_back(static_cast<Damage>(i));
  return all;
}

TEST(ScribbledChannel, costs_attempts_and_no_result) {
  for (const Damage damage : all_damages()) {
    for (const int chunksize : {1, 5}) {
      const auto results = pool().map(rankpool::bind(square_and_scribble, damage), numbers(60),
                                      {.chunksize = chunksize, .max_attempts = 10});
      EXPECT_EQ(results, squares(60)) << damage << ", chunks of " << chunksize;
    }
  }
}

TEST(ScribbledChannel, costs_no_result_whose_size_varies) {
  std::vector<std::string> texts;
  for (const int i : numbers(60)) texts.push_back(std::to_string(i));
  for (const Damage damage : all_damages()) {
    EXPECT_EQ(pool().map(rankpool::bind(text_and_scribble, damage), numbers(60), {.chunksize = 3, .max_attempts = 10}),
              texts)
        << damage;
  }
}

int scribble_always(int i) {
  if (i == scribbler) inflict(Damage::header_of_the_run);
  return square(i);
}

TEST(ScribbledChannel, in_every_attempt_is_the_loss_of_the_worker) {
  const auto outcomes = pool().map_outcomes(scribble_always, numbers(60), {.chunksize = 1, .max_attempts = 3});
  ASSERT_EQ(outcomes.size(), 60U);
  EXPECT_TRUE(is_a<WorkerLost>(outcomes[scribbler].exception()));
  for (const int i : numbers(60)) {
    // Others may have lost their results with it three times over, though hardly ever.
    const auto& outcome = outcomes[static_cast<std::size_t>(i)];
    EXPECT_TRUE(outcome.has_value() ? outcome.value() == square(i) : is_a<WorkerLost>(outcome.exception())) << i;
  }
  EXPECT_EQ(pool().map(square, numbers(100)), squares(100));
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
