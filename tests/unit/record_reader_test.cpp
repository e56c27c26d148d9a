// What executors leave in their outboxes, as the leader reads it: what the writer wrote, and what a task wrote over it.
#include <array>
#include <chrono>
#include <csignal>
#include <cstring>
#include <functional>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "host/channel.hpp"
#include "host/lot_book.hpp"
#include "host/outbox.hpp"
#include "host/record_reader.hpp"

namespace {

using namespace rankpool::host;  // NOLINT(google-build-using-namespace)
using rankpool::detail::variable_stride;

constexpr std::uint64_t lot = 7;

/// An outbox with its writer, read by hand.
class Outbox {
 public:
  explicit Outbox(std::uint64_t begin = 0) : channel(config()), head(begin) {
    slot().head = begin;
    slot().tail = begin;
  }

  static Channel::Config config() {
    Channel::Config config;
    config.slot_ranks = {0};
    config.slot_members = {0};
    return config;
  }

  ExecutorSlot& slot() { return channel.slot(0); }
  RecordHeader& header(std::uint64_t position) {
    return *reinterpret_cast<RecordHeader*>(channel.outbox(0) + position % outbox_bytes);
  }
  OutboxView view() { return {channel.outbox(0), channel.at(0), lent, head}; }

  Reading read() { return reader.read(view(), slot().tail, record); }
  Reading read_open() { return read_open_run(view(), slot().tail, slot().open_run, record); }
  void advance() {
    head = record.end;
    slot().head = head;
  }

  void put(std::uint64_t number) {
    std::memcpy(writer.reserve(sizeof number), &number, sizeof number);
    writer.commit(sizeof number);
  }
  void put_text(const std::string& text) {
    std::byte* to = writer.reserve(sizeof(std::uint64_t) + text.size());
    const std::uint64_t length = text.size();
    std::memcpy(to, &length, sizeof length);
    std::memcpy(to + sizeof length, text.data(), text.size());
    writer.commit(sizeof length + text.size());
  }

  Channel channel;
  std::uint64_t head;
  std::vector<LentBlock> lent;
  RecordReader reader;
  Record record;
  OutboxWriter writer{channel, 0};
};

std::vector<std::uint64_t> numbers_of(const Record& record) {
  std::vector<std::uint64_t> numbers(record.payload.size() / sizeof(std::uint64_t));
  if (!numbers.empty()) std::memcpy(numbers.data(), record.payload.data(), record.payload.size());
  return numbers;
}

void write_numbers(Outbox& outbox, std::uint64_t first, std::uint64_t count) {
  outbox.writer.begin(lot, first, sizeof(std::uint64_t));
  for (std::uint64_t i = 0; i < count; ++i) outbox.put(first + i);
  outbox.writer.end(5000);
}

TEST(RecordReader, reads_what_was_written) {
  Outbox outbox;
  write_numbers(outbox, 100, 3);
  ASSERT_EQ(outbox.read(), Reading::record);
  EXPECT_EQ(outbox.record.kind, RecordKind::results);
  EXPECT_EQ(outbox.record.lot, lot);
  EXPECT_EQ(outbox.record.first, 100U);
  EXPECT_EQ(outbox.record.count, 3U);
  EXPECT_EQ(outbox.record.nanoseconds, 5000);
  EXPECT_EQ(outbox.record.block, 0U);
  EXPECT_EQ(numbers_of(outbox.record), (std::vector<std::uint64_t>{100, 101, 102}));
  outbox.advance();
  EXPECT_EQ(outbox.head, outbox.slot().tail);
  EXPECT_EQ(outbox.read(), Reading::nothing);
}

TEST(RecordReader, reads_failures_between_results) {
  Outbox outbox;
  outbox.writer.begin(lot, 0, sizeof(std::uint64_t));
  outbox.put(0);
  try {
    throw std::runtime_error("pivot");
  } catch (...) {
    outbox.writer.fail();
  }
  outbox.put(2);
  outbox.writer.end(0);
  std::vector<std::pair<RecordKind, std::uint64_t>> seen;
  while (outbox.read() == Reading::record) {
    seen.emplace_back(outbox.record.kind, outbox.record.first);
    outbox.advance();
  }
  EXPECT_EQ(seen, (std::vector<std::pair<RecordKind, std::uint64_t>>{
                      {RecordKind::results, 0}, {RecordKind::failure, 1}, {RecordKind::results, 2}}));
}

TEST(RecordReader, reads_on_around_the_end_of_the_ring) {
  for (const std::uint64_t rest : {64, 80, 96, 512, 2048}) {  // 64: no header fits
    Outbox outbox(outbox_bytes - rest);
    for (std::uint64_t first = 0; first < 40; first += 10) {
      write_numbers(outbox, first, 10);
      ASSERT_EQ(outbox.read(), Reading::record) << rest;
      EXPECT_EQ(outbox.record.first, first);
      EXPECT_EQ(numbers_of(outbox.record).front(), first);
      EXPECT_EQ(numbers_of(outbox.record).size(), 10U);
      outbox.advance();
    }
    EXPECT_EQ(outbox.read(), Reading::nothing);
  }
}

TEST(RecordReader, reads_many_rings_of_results_of_every_size) {
  Outbox outbox;
  std::mt19937 random(5);
  std::uint64_t task = 0;
  for (int chunk = 0; chunk < 3000; ++chunk) {
    outbox.writer.begin(lot, task, variable_stride);
    const std::uint64_t end = task + 1 + random() % 5;
    for (std::uint64_t i = task; i < end; ++i) outbox.put_text(std::string(random() % 700, 'x'));
    outbox.writer.end(0);
    while (outbox.read() == Reading::record) {
      ASSERT_EQ(outbox.record.first, task);
      task += outbox.record.count;
      outbox.advance();
    }
    ASSERT_EQ(task, end);
  }
  EXPECT_GT(outbox.head, 4 * outbox_bytes);
}

TEST(RecordReader, reads_what_a_dead_executor_had_finished) {
  Outbox outbox;
  write_numbers(outbox, 0, 2);
  outbox.writer.begin(lot, 50, variable_stride);
  outbox.put_text("one");
  outbox.put_text("");
  outbox.put_text("three");
  ASSERT_EQ(outbox.read(), Reading::record);
  outbox.advance();
  EXPECT_EQ(outbox.read(), Reading::nothing);
  ASSERT_EQ(outbox.read_open(), Reading::record);
  EXPECT_EQ(outbox.record.first, 50U);
  EXPECT_EQ(outbox.record.count, 3U);
  EXPECT_EQ(outbox.record.payload.size(), 3 * sizeof(std::uint64_t) + 8);
}

TEST(RecordReader, finds_nothing_in_an_open_run_without_results) {
  Outbox outbox;
  EXPECT_EQ(outbox.read_open(), Reading::nothing);
  outbox.writer.begin(lot, 50, variable_stride);
  EXPECT_EQ(outbox.read_open(), Reading::nothing);
  outbox.put_text("one");
  outbox.writer.end(0);
  outbox.slot().open_run = 1;  // it died between publishing and forgetting the run
  EXPECT_EQ(outbox.read_open(), Reading::nothing);
}

TEST(RecordReader, reads_payloads_in_lent_blocks_only) {
  Outbox outbox;
  write_numbers(outbox, 0, 4);
  RecordHeader& header = outbox.header(0);
  header.block = outbox.channel.arena_begin();
  outbox.slot().tail = sizeof(RecordHeader);
  EXPECT_EQ(outbox.read(), Reading::nonsense);
  outbox.lent = {{header.block, 32}};
  ASSERT_EQ(outbox.read(), Reading::record);
  EXPECT_EQ(outbox.record.payload.data(), outbox.channel.at(header.block));
  EXPECT_EQ(outbox.record.payload.size(), 32U);
  outbox.lent = {{header.block, 31}};
  EXPECT_EQ(outbox.read(), Reading::nonsense);
  header.count = 0;
  header.bytes = 0;
  EXPECT_EQ(outbox.read(), Reading::record) << "a block that comes back unused";
}

/// One thing a task may have done to a record of four numbers.
struct Damage {
  const char* what;
  std::function<void(Outbox&)> inflict;
};

TEST(RecordReader, finds_what_no_executor_writes) {
  constexpr auto huge = ~std::uint64_t{0};
  const std::array damages{
      Damage{"a tail far away", [](Outbox& o) { o.slot().tail = std::uint64_t{1} << 60U; }},
      Damage{"a tail before the head", [](Outbox& o) { o.slot().tail = o.head - 16; }},
      Damage{"a tail that is not aligned", [](Outbox& o) { o.slot().tail += 8; }},
      Damage{"a tail in the header", [](Outbox& o) { o.slot().tail = o.head + 16; }},
      Damage{"a tail in the payload", [](Outbox& o) { o.slot().tail = o.head + sizeof(RecordHeader) + 16; }},
      Damage{"no kind", [](Outbox& o) { o.header(o.head).kind = RecordKind{}; }},
      Damage{"an unknown kind", [](Outbox& o) { o.header(o.head).kind = static_cast<RecordKind>(99); }},
      Damage{"padding to behind the tail", [](Outbox& o) { o.header(o.head).kind = RecordKind::padding; }},
      Damage{"a failure of several tasks", [](Outbox& o) { o.header(o.head).kind = RecordKind::failure; }},
      Damage{"more bytes than there are", [](Outbox& o) { o.header(o.head).bytes = 4096; }},
      Damage{"more bytes than a ring's record has",
             [](Outbox& o) {
               o.slot().tail = o.head + outbox_bytes / 2;
               o.header(o.head).bytes = max_inline_bytes + 8;
               o.header(o.head).count = o.header(o.head).bytes / 8;
             }},
      Damage{"bytes that overflow", [](Outbox& o) { o.header(o.head).bytes = huge; }},
      Damage{"bytes that overflow when rounded", [](Outbox& o) { o.header(o.head).bytes = huge - 8; }},
      Damage{"no tasks", [](Outbox& o) { o.header(o.head).count = 0; }},
      Damage{"too many tasks", [](Outbox& o) { o.header(o.head).count = 5; }},
      Damage{"tasks that overflow", [](Outbox& o) { o.header(o.head).count = (std::uint64_t{1} << 61U) + 4; }},
      Damage{"another stride", [](Outbox& o) { o.header(o.head).result_stride = 4; }},
      Damage{"lengths without room for them",
             [](Outbox& o) { o.header(o.head).result_stride = variable_stride, o.header(o.head).count = 5; }},
      Damage{"a block nobody lent", [](Outbox& o) { o.header(o.head).block = 4096; }},
      Damage{"time that goes back", [](Outbox& o) { o.header(o.head).nanoseconds = -1; }},
  };
  for (const Damage& damage : damages) {
    Outbox outbox(1600);
    write_numbers(outbox, 0, 4);
    ASSERT_EQ(outbox.read(), Reading::record);
    damage.inflict(outbox);
    EXPECT_EQ(outbox.read(), Reading::nonsense) << damage.what;
  }
}

/// A process that fills a record front to back and writes another of the same results in its place, over and over. Word
/// by word, so that no time is seen that is half of one and half of another record.
class Scribbler {
 public:
  Scribbler(std::byte* memory, std::size_t bytes) : pid_(fork()) {
    if (pid_ != 0) return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    std::vector<std::uint64_t> sound(bytes / sizeof(std::uint64_t));
    std::memcpy(sound.data(), memory, bytes);
    constexpr std::size_t time = offsetof(RecordHeader, nanoseconds) / sizeof(std::uint64_t);
    volatile auto* at = reinterpret_cast<std::uint64_t*>(memory);
    for (;;) {
      for (std::size_t i = 0; i < sound.size(); ++i) at[i] = 0xabababababababab;
      ++sound[time];
      for (std::size_t i = sound.size(); i-- > 0;) at[i] = sound[i];
    }
  }
  Scribbler(const Scribbler&) = delete;
  ~Scribbler() {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }

 private:
  pid_t pid_;
};

TEST(RecordReader, gives_no_result_that_is_written_over_while_it_is_read) {
  constexpr std::uint64_t count = 4;
  Outbox outbox;
  write_numbers(outbox, 0, count);
  const Scribbler scribbler(outbox.channel.outbox(0), outbox.slot().tail);
  int records = 0;
  int nonsense = 0;
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(2);
  while (std::chrono::steady_clock::now() < deadline) {
    for (int i = 0; i < 1000; ++i) {
      if (outbox.read() == Reading::nonsense) {
        ++nonsense;
        continue;
      }
      ++records;
      ASSERT_EQ(numbers_of(outbox.record), (std::vector<std::uint64_t>{0, 1, 2, 3})) << "in record " << records;
    }
  }
  EXPECT_GT(records, 0);
  EXPECT_GT(nonsense, 0);
}

TEST(RecordReader, finds_open_runs_that_no_executor_writes) {
  const std::array damages{
      Damage{"a place behind the tail", [](Outbox& o) { o.slot().open_run = o.slot().tail + 17; }},
      Damage{"a place far away", [](Outbox& o) { o.slot().open_run = ~std::uint64_t{0}; }},
      Damage{"a tail far away",
             [](Outbox& o) { o.slot().tail = std::uint64_t{1} << 60U, o.slot().open_run = o.slot().tail + 1; }},
      Damage{"a failure", [](Outbox& o) { o.header(o.head).kind = RecordKind::failure; }},
      Damage{"more tasks than lengths", [](Outbox& o) { o.header(o.head).count = ~std::uint64_t{0}; }},
      Damage{"tasks that overflow",
             [](Outbox& o) {
               o.header(o.head).result_stride = 8;
               o.header(o.head).count = (std::uint64_t{1} << 61U) + 1;
             }},
      Damage{"a length that overflows",
             [](Outbox& o) { std::memset(o.channel.outbox(0) + sizeof(RecordHeader), 0xff, sizeof(std::uint64_t)); }},
      Damage{"a block nobody lent", [](Outbox& o) { o.header(o.head).block = 4096; }},
  };
  for (const Damage& damage : damages) {
    Outbox outbox;
    outbox.writer.begin(lot, 50, variable_stride);
    outbox.put_text("one");
    ASSERT_EQ(outbox.read_open(), Reading::record);
    damage.inflict(outbox);
    EXPECT_EQ(outbox.read_open(), Reading::nonsense) << damage.what;
  }
}

TEST(RecordReader, reads_no_header_across_the_end_of_the_ring) {
  Outbox outbox(outbox_bytes - 64);
  outbox.slot().open_run = outbox.head + 1;
  EXPECT_EQ(outbox.read_open(), Reading::nonsense);
}

TEST(RecordReader, of_random_headers_stays_in_the_ring) {
  std::mt19937_64 random(20260417);
  Outbox outbox;
  int records = 0;
  for (int round = 0; round < 200'000; ++round) {
    outbox.head = random() % (4 * outbox_bytes) / record_alignment * record_alignment;
    RecordHeader& header = outbox.header(to_ring_end(outbox.head) < sizeof(RecordHeader) ? 0 : outbox.head);
    header.kind = static_cast<RecordKind>(random() % 5);
    header.bytes = random() >> (random() % 64);
    header.result_stride = random() % 2 == 0 ? 1 : random() >> (random() % 64);
    header.count = random() % 2 == 0 ? header.bytes : random() >> (random() % 64);
    header.block = 0;
    header.nanoseconds = 0;
    outbox.slot().tail = outbox.head + (random() >> (random() % 64)) / record_alignment * record_alignment;
    if (outbox.read() != Reading::record) continue;
    ++records;
    ASSERT_LE(outbox.record.payload.size(), max_inline_bytes);
    ASSERT_GT(outbox.record.end, outbox.head);
    ASSERT_LE(outbox.record.end, outbox.slot().tail);
  }
  EXPECT_GT(records, 100);
}

TEST(LotAccount, holds_only_ranges_of_its_own) {
  Lot of;
  of.first = 100;
  of.count = 50;
  const LotAccount account(of);
  EXPECT_TRUE(account.holds(100, 150));
  EXPECT_TRUE(account.holds(120, 120));
  EXPECT_FALSE(account.holds(99, 120));
  EXPECT_FALSE(account.holds(100, 151));
  EXPECT_FALSE(account.holds(120, 110));
  EXPECT_FALSE(account.holds(~std::uint64_t{0}, 3));
  EXPECT_FALSE(account.holds(0, ~std::uint64_t{0}));
}

}  // namespace
