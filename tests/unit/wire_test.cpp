#include <algorithm>
#include <array>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "wire/codec.hpp"

namespace {

using namespace rankpool::wire;  // NOLINT(google-build-using-namespace)
using rankpool::Schedule;
using rankpool::detail::CodeAddress;
using Buffer = std::vector<std::byte>;

Buffer bytes_of(std::initializer_list<int> values) {
  Buffer bytes;
  for (const int value : values) bytes.push_back(static_cast<std::byte>(value));
  return bytes;
}

bool same(Bytes a, Bytes b) { return std::ranges::equal(a, b); }

template <class Message>
Buffer encoded(const Message& message) {
  Buffer buffer;
  encode(buffer, message);
  return buffer;
}

template <class Message, class Variant>
constexpr bool is_alternative = false;
template <class Message, class... Messages>
constexpr bool is_alternative<Message, std::variant<Messages...>> = (std::is_same_v<Message, Messages> || ...);

template <class Message>
Message decoded(const Buffer& buffer) {
  Bytes rest = buffer;
  Message message = [&] {
    if constexpr (is_alternative<Message, ToLeader>) {
      return std::get<Message>(decode_for_leader(rest));
    } else {
      return std::get<Message>(decode_for_master(rest));
    }
  }();
  EXPECT_TRUE(rest.empty());
  return message;
}

struct Samples {
  Buffer state = bytes_of({1, 2, 3});
  Buffer inputs = bytes_of({9, 8, 7, 6, 5, 4});
  std::array<std::uint64_t, 4> offsets{100, 102, 102, 106};

  OpenCall open{7, {0xfeed, 0x1234, {"libsim.so"}}, state, 16, Schedule::guided, 50, 1'500'000'000, 6};
  RunLot fixed{3, 7, 1000, 2, 1, 64, 5000, {}, inputs};
  RunLot variable{4, 7, 10, 3, 2, 64, 5000, Offsets(std::span<const std::uint64_t>(offsets)), inputs};
  Results results{3, 1000, 2, -1, inputs};
  TaskFailed failed{3, 1001, 12345, 2, 5, state};
  std::array<CodeAddress, 2> stack{{{0xfeed, 0x1234, {"libsim.so"}}, {0, 0x10, {}}}};
  TaskDied died{3, 1001, 2, "n17", 5, 4711, 139, 250, true, "line 1\nline 2", std::as_bytes(std::span(stack))};

  /// Every message once, with its payloads.
  [[nodiscard]] std::vector<Buffer> to_leader() const {
    return {encoded(open),
            encoded(CloseCall{7}),
            encoded(StopCall{7}),
            encoded(fixed),
            encoded(variable),
            encoded(RetractLot{3}),
            encoded(Answer{.slot = 1, .number = 2, .bytes = state}),
            encoded(Stop{StopMode::kill})};
  }
  [[nodiscard]] std::vector<Buffer> to_master() const {
    return {encoded(results),
            encoded(failed),
            encoded(died),
            encoded(TasksReturned{3, 5, 6}),
            encoded(Retracted{3}),
            encoded(Executors{8, "no processes"}),
            encoded(Stopped{StopMode::kill}),
            encoded(RankLost{3, "n1", 4711, 6}),
            encoded(Question{.slot = 1, .number = 2, .bytes = inputs}),
            encoded(ExecutorGone{3}),
            encoded(Blocked{3, true, "no processes"}),
            encoded(Broken{"no memory", true}),
            encoded(InitializerFailed{2, 5, state})};
  }
};

void decode_all_for_leader(Bytes bytes) {
  for_each_to_leader(bytes, {}, [](const auto&) {});
}
void decode_all_for_master(Bytes bytes) {
  for_each_to_master(bytes, {}, [](const auto&) {});
}

TEST(Wire, a_question_and_its_answer_arrive_as_they_were_sent) {
  const Samples samples;
  const Buffer asked = encoded(Question{.slot = 1, .number = 2, .bytes = samples.inputs});
  const auto question = decoded<Question>(asked);
  EXPECT_EQ(question.slot, 1u);
  EXPECT_EQ(question.number, 2u);
  EXPECT_TRUE(std::ranges::equal(question.bytes, samples.inputs));
  const Buffer replied = encoded(Answer{.slot = 3, .number = 4, .bytes = samples.state});
  const auto answer = decoded<Answer>(replied);
  EXPECT_EQ(answer.slot, 3u);
  EXPECT_EQ(answer.number, 4u);
  EXPECT_TRUE(std::ranges::equal(answer.bytes, samples.state));
  EXPECT_EQ(decoded<ExecutorGone>(encoded(ExecutorGone{5})).slot, 5u);
  const auto blocked = decoded<Blocked>(encoded(Blocked{.executors = 6, .all = true, .why = "no processes"}));
  EXPECT_EQ(blocked.executors, 6u);
  EXPECT_TRUE(blocked.all);
  EXPECT_EQ(blocked.why, "no processes");
}

TEST(Wire, a_call_arrives_as_it_was_sent) {
  const Samples samples;
  const Buffer buffer = encoded(samples.open);
  const auto call = decoded<OpenCall>(buffer);
  EXPECT_EQ(call.call, 7U);
  EXPECT_EQ(call.kernel, samples.open.kernel);
  EXPECT_TRUE(same(call.callable, samples.state));
  EXPECT_EQ(call.input_stride, 16U);
  EXPECT_EQ(call.schedule, Schedule::guided);
  EXPECT_EQ(call.chunksize, 50U);
  EXPECT_EQ(call.task_timeout, 1'500'000'000);
  EXPECT_EQ(call.random_numbers, 6U);
  EXPECT_EQ(decoded<CloseCall>(encoded(CloseCall{9})).call, 9U);
  EXPECT_EQ(decoded<StopCall>(encoded(StopCall{8})).call, 8U);
}

TEST(Wire, a_lot_of_fixed_stride_arrives_as_it_was_sent) {
  const Samples samples;
  const Buffer buffer = encoded(samples.fixed);
  const auto lot = decoded<RunLot>(buffer);
  EXPECT_EQ(lot.lot, 3U);
  EXPECT_EQ(lot.call, 7U);
  EXPECT_EQ(lot.first, 1000U);
  EXPECT_EQ(lot.count, 2U);
  EXPECT_EQ(lot.attempt, 1U);
  EXPECT_EQ(lot.executors, 64U);
  EXPECT_EQ(lot.total, 5000U);
  EXPECT_TRUE(lot.offsets.empty());
  EXPECT_TRUE(same(lot.inputs, samples.inputs));
}

TEST(Wire, a_lot_of_variable_stride_arrives_with_offsets_from_zero) {
  const Samples samples;
  const Buffer buffer = encoded(samples.variable);
  const auto lot = decoded<RunLot>(buffer);
  ASSERT_EQ(lot.offsets.size(), 4U);
  EXPECT_EQ(lot.offsets[0], 0U);
  EXPECT_EQ(lot.offsets[1], 2U);
  EXPECT_EQ(lot.offsets[2], 2U);
  EXPECT_EQ(lot.offsets[3], 6U);
  EXPECT_EQ(lot.attempt, 2U);
  EXPECT_TRUE(same(lot.inputs, samples.inputs));
}

TEST(Wire, reports_arrive_as_they_were_sent) {
  const Samples samples;
  const Buffer results_buffer = encoded(samples.results);
  const auto results = decoded<Results>(results_buffer);
  EXPECT_EQ(results.lot, 3U);
  EXPECT_EQ(results.first, 1000U);
  EXPECT_EQ(results.count, 2U);
  EXPECT_EQ(results.nanoseconds, -1);
  EXPECT_TRUE(same(results.encoded, samples.inputs));

  const Buffer failed_buffer = encoded(samples.failed);
  const auto failed = decoded<TaskFailed>(failed_buffer);
  EXPECT_EQ(failed.lot, 3U);
  EXPECT_EQ(failed.task, 1001U);
  EXPECT_EQ(failed.nanoseconds, 12345);
  EXPECT_EQ(failed.rank, 2);
  EXPECT_EQ(failed.slot, 5);
  EXPECT_TRUE(same(failed.image, samples.state));

  const Buffer initializer_buffer = encoded(InitializerFailed{2, 5, samples.state});
  const auto initializer = decoded<InitializerFailed>(initializer_buffer);
  EXPECT_EQ(initializer.rank, 2);
  EXPECT_EQ(initializer.slot, 5);
  EXPECT_TRUE(same(initializer.image, samples.state));

  const Buffer died_buffer = encoded(samples.died);
  const auto died = decoded<TaskDied>(died_buffer);
  EXPECT_EQ(died.lot, 3U);
  EXPECT_EQ(died.task, 1001U);
  EXPECT_EQ(died.rank, 2);
  EXPECT_EQ(died.host, "n17");
  EXPECT_EQ(died.slot, 5);
  EXPECT_EQ(died.pid, 4711);
  EXPECT_EQ(died.wait_status, 139);
  EXPECT_EQ(died.time_limit, 250);
  EXPECT_TRUE(died.is_ours);
  EXPECT_EQ(died.stderr_tail, "line 1\nline 2");
  EXPECT_TRUE(same(died.stack, std::as_bytes(std::span(samples.stack))));

  const auto returned = decoded<TasksReturned>(encoded(TasksReturned{3, 5, 6}));
  EXPECT_EQ(returned.lot, 3U);
  EXPECT_EQ(returned.first, 5U);
  EXPECT_EQ(returned.count, 6U);
}

TEST(Wire, small_messages_arrive_as_they_were_sent) {
  EXPECT_EQ(decoded<RetractLot>(encoded(RetractLot{11})).lot, 11U);
  EXPECT_EQ(decoded<Stop>(encoded(Stop{StopMode::kill})).mode, StopMode::kill);
  EXPECT_EQ(decoded<Stop>(encoded(Stop{StopMode::finish})).mode, StopMode::finish);
  EXPECT_EQ(decoded<Retracted>(encoded(Retracted{12})).lot, 12U);
  EXPECT_EQ(decoded<Executors>(encoded(Executors{13})).count, 13U);
  EXPECT_EQ(decoded<Executors>(encoded(Executors{0, "no processes"})).why, "no processes");
  const auto lost = decoded<RankLost>(encoded(RankLost{3, "n1", 4711, 6}));
  EXPECT_EQ(lost.rank, 3);
  EXPECT_EQ(lost.host, "n1");
  EXPECT_EQ(lost.pid, 4711);
  EXPECT_EQ(lost.executors, 6U);
  const Broken broken = decoded<Broken>(encoded(Broken{"no memory", true}));
  EXPECT_EQ(broken.reason, "no memory");
  EXPECT_TRUE(broken.all_reported);
  EXPECT_FALSE(decoded<Broken>(encoded(Broken{"no memory", false})).all_reported);
  Buffer neither = encoded(Broken{"no memory", true});
  neither.back() = std::byte{2};
  EXPECT_THROW(decode_all_for_master(neither), Malformed);
}

TEST(Wire, a_batch_is_read_in_the_order_it_was_written) {
  Buffer batch;
  for (std::uint64_t lot = 0; lot < 100; ++lot) {
    encode(batch, Retracted{lot});
    encode(batch, TasksReturned{lot, 0, lot + 1});
  }
  std::vector<std::uint64_t> retracted;
  std::uint64_t returned = 0;
  for_each_to_master(batch, {}, [&](const auto& message) {
    using Message = std::decay_t<decltype(message)>;
    if constexpr (std::is_same_v<Message, Retracted>) retracted.push_back(message.lot);
    if constexpr (std::is_same_v<Message, TasksReturned>) returned += message.count;
  });
  ASSERT_EQ(retracted.size(), 100U);
  EXPECT_TRUE(std::ranges::is_sorted(retracted));
  EXPECT_EQ(returned, 5050U);
}

TEST(Wire, payloads_are_views_into_the_received_buffer) {
  const Samples samples;
  const Buffer buffer = encoded(samples.results);
  const auto results = decoded<Results>(buffer);
  EXPECT_GE(results.encoded.data(), buffer.data());
  EXPECT_LE(results.encoded.data() + results.encoded.size(), buffer.data() + buffer.size());
}

TEST(Wire, a_payload_may_come_beside_the_messages) {
  const Samples samples;
  Buffer batch = encoded(Retracted{3});
  encode_but_payload(batch, samples.results);
  const Bytes payload = payload_of(samples.results);
  EXPECT_EQ(payload.data(), samples.inputs.data());
  Bytes rest = batch;
  decode_for_master(rest, payload);
  const auto results = std::get<Results>(decode_for_master(rest, payload));
  EXPECT_TRUE(rest.empty());
  EXPECT_EQ(results.encoded.data(), samples.inputs.data());
  EXPECT_EQ(results.encoded.size(), samples.inputs.size());
  EXPECT_EQ(results.first, samples.results.first);

  Buffer lot;
  encode_but_payload(lot, samples.variable);
  const Bytes inputs = payload_of(samples.variable);
  Bytes lot_rest = lot;
  const auto variable = std::get<RunLot>(decode_for_leader(lot_rest, inputs));
  EXPECT_EQ(variable.inputs.data(), samples.inputs.data());
  EXPECT_EQ(variable.offsets[2], samples.offsets[2] - samples.offsets[0]);
}

TEST(Wire, a_payload_that_is_not_beside_its_message_is_refused) {
  const Samples samples;
  Buffer frame;
  encode_but_payload(frame, samples.results);
  const Bytes payload = payload_of(samples.results);
  const Buffer longer(payload.size() + 1);
  for (const Bytes beside : {Bytes(), payload.first(payload.size() - 1), Bytes(longer)}) {
    Bytes rest = frame;
    EXPECT_THROW(decode_for_master(rest, beside), Malformed);
  }
  Buffer without = encoded(Retracted{1});
  std::memcpy(without.data() + sizeof(std::uint32_t), frame.data() + sizeof(std::uint32_t), sizeof(std::uint32_t));
  Bytes rest = without;
  EXPECT_THROW(decode_for_master(rest, payload), Malformed);
}

TEST(Wire, every_truncation_of_every_message_is_refused) {
  const Samples samples;
  for (const Buffer& whole : samples.to_leader()) {
    EXPECT_NO_THROW(decode_all_for_leader(whole));
    for (std::size_t size = 1; size < whole.size(); ++size) {
      EXPECT_THROW(decode_all_for_leader(Bytes(whole).first(size)), Malformed);
    }
  }
  for (const Buffer& whole : samples.to_master()) {
    EXPECT_NO_THROW(decode_all_for_master(whole));
    for (std::size_t size = 1; size < whole.size(); ++size) {
      EXPECT_THROW(decode_all_for_master(Bytes(whole).first(size)), Malformed);
    }
  }
}

// A frame that is shorter than its message says, with a header that agrees with it.
TEST(Wire, every_shortened_body_is_refused) {
  constexpr std::size_t length_at = 8;
  constexpr std::size_t header = 16;
  const Samples samples;
  for (const Buffer& whole : samples.to_master()) {
    for (std::uint64_t body = 0; body < whole.size() - header; ++body) {
      Buffer cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(header + body));
      std::memcpy(cut.data() + length_at, &body, sizeof body);
      EXPECT_THROW(decode_all_for_master(cut), Malformed);
    }
    Buffer grown = whole;
    grown.push_back(std::byte{0});
    const std::uint64_t body = grown.size() - header;
    std::memcpy(grown.data() + length_at, &body, sizeof body);
    EXPECT_THROW(decode_all_for_master(grown), Malformed);
  }
}

TEST(Wire, a_message_for_the_other_side_is_refused) {
  EXPECT_THROW(decode_all_for_master(encoded(Stop{})), Malformed);
  EXPECT_THROW(decode_all_for_leader(encoded(Executors{1})), Malformed);
}

TEST(Wire, nonsense_is_refused) {
  const Samples samples;
  EXPECT_THROW(decode_all_for_master(encoded(TasksReturned{1, 5, 0})), Malformed);
  EXPECT_THROW(decode_all_for_master(encoded(TasksReturned{1, ~std::uint64_t{0}, 2})), Malformed);
  EXPECT_THROW(decode_all_for_master(encoded(Results{1, 5, 0, 0, {}})), Malformed);
  EXPECT_THROW(decode_all_for_leader(encoded(Stop{static_cast<StopMode>(2)})), Malformed);
  OpenCall nameless = samples.open;
  nameless.kernel.name.fill('x');
  EXPECT_THROW(decode_all_for_leader(encoded(nameless)), Malformed);

  OpenCall call = samples.open;
  call.schedule = static_cast<Schedule>(99);
  EXPECT_THROW(decode_all_for_leader(encoded(call)), Malformed);
  call = samples.open;
  call.task_timeout = -1;
  EXPECT_THROW(decode_all_for_leader(encoded(call)), Malformed);
  TaskDied died = samples.died;
  died.time_limit = -1;
  EXPECT_THROW(decode_all_for_master(encoded(died)), Malformed);
  died = samples.died;
  died.stderr_tail.assign(TaskDied::most_tail_bytes + 1, 'x');
  EXPECT_THROW(decode_all_for_master(encoded(died)), Malformed);
  died = samples.died;
  died.stack = died.stack.first(died.stack.size() - 1);
  EXPECT_THROW(decode_all_for_master(encoded(died)), Malformed);
  const std::vector<CodeAddress> endless(TaskDied::most_stack_frames + 1);
  died.stack = std::as_bytes(std::span(endless));
  EXPECT_THROW(decode_all_for_master(encoded(died)), Malformed);
  std::array<CodeAddress, 1> without_end{};
  without_end[0].name.fill('x');
  died.stack = std::as_bytes(std::span(without_end));
  EXPECT_THROW(decode_all_for_master(encoded(died)), Malformed);

  RunLot lot = samples.variable;
  lot.count = 2;
  EXPECT_THROW(decode_all_for_leader(encoded(lot)), Malformed);
  lot = samples.variable;
  lot.inputs = lot.inputs.first(5);
  EXPECT_THROW(decode_all_for_leader(encoded(lot)), Malformed);
  const std::array<std::uint64_t, 4> disordered{0, 4, 2, 6};
  lot = samples.variable;
  lot.offsets = Offsets(std::span<const std::uint64_t>(disordered));
  EXPECT_THROW(decode_all_for_leader(encoded(lot)), Malformed);
  lot = samples.fixed;
  lot.attempt = 0;
  EXPECT_THROW(decode_all_for_leader(encoded(lot)), Malformed);
}

TEST(Wire, damaged_and_random_bytes_are_refused_or_read_but_never_crash) {
  std::mt19937_64 random(20260417);
  const auto try_both = [](const Buffer& bytes) {
    int refused = 0;
    try {
      decode_all_for_leader(bytes);
    } catch (const Malformed&) {
      ++refused;
    }
    try {
      decode_all_for_master(bytes);
    } catch (const Malformed&) {
      ++refused;
    }
    return refused;
  };
  for (int round = 0; round < 20'000; ++round) {
    Buffer noise(1 + random() % 200);
    for (std::byte& byte : noise) byte = static_cast<std::byte>(random());
    EXPECT_EQ(try_both(noise), 2);
  }
  const Samples samples;
  std::vector<Buffer> good = samples.to_leader();
  std::ranges::move(samples.to_master(), std::back_inserter(good));
  int refused = 0;
  for (int round = 0; round < 50'000; ++round) {
    Buffer damaged = good[random() % good.size()];
    for (std::uint64_t hits = 1 + random() % 3; hits > 0; --hits) {
      damaged[random() % damaged.size()] = static_cast<std::byte>(random());
    }
    refused += try_both(damaged);
  }
  EXPECT_GE(refused, 50'000);  // at least the side it was not meant for
}

}  // namespace
