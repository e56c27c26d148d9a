// Cells of values: words are atomics, others are whole whenever who writes them dies.
#include <gtest/gtest.h>

#include <array>
#include <cstring>

#include "shared/cells.hpp"
#include "shared/message.hpp"
#include "shared/operation.hpp"
#include "unit/shared_world.hpp"

namespace rankpool::shared::test {
namespace {

using detail::Number;
using detail::SharedAnswer;
using detail::SharedReply;
using detail::SharedRequest;
using detail::SharedVerb;

template <class T>
detail::Bytes bytes_of(const T& value) {
  return std::as_bytes(std::span(&value, 1));
}

template <class T>
T value_of(const SharedReply& reply, std::size_t i = 0) {
  T value;
  const void* from =
      reply.bytes.empty() ? static_cast<const void*>(&reply.word) : reply.bytes.data() + i * sizeof value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

struct Triple {
  std::array<std::uint64_t, 3> parts{};
};

template <class T>
struct CellsOf {
  CellsOf(World& in, std::uint64_t count) : world(in), object(in.make(Kind::cells)) {
    const std::uint64_t data = world.take(count * sizeof(T));
    Cells::set(*world.space, object, master,
               {.data = data, .count = count, .element_bytes = sizeof(T), .beside = world.take(sizeof(T))});
  }
  SharedReply ask(SharedVerb verb, std::uint64_t i, std::uint64_t word, detail::Bytes payload, ParticipantId me = 1) {
    return Cells(*world.space, object).perform({.verb = verb, .words = {i, word}, .payload = payload}, me);
  }
  SharedReply read(std::uint64_t i, std::uint64_t count = 1) { return ask(SharedVerb::read, i, count, {}); }

  World& world;
  Object& object;
};

TEST(Cells, of_words_are_written_read_added_and_exchanged) {
  World world;
  CellsOf<std::uint32_t> cells(world, 4);
  const std::array<std::uint32_t, 2> values{7, 8};
  EXPECT_EQ(cells.ask(SharedVerb::write, 1, 0, std::as_bytes(std::span(values))).answer, SharedAnswer::done);
  EXPECT_EQ(value_of<std::uint32_t>(cells.read(2)), 8u);
  const auto kind = static_cast<std::uint64_t>(Number::u32);
  EXPECT_EQ(value_of<std::uint32_t>(cells.ask(SharedVerb::add, 1, kind, bytes_of(5u))), 7u);
  const std::array<std::uint32_t, 2> wrong{7, 1};
  EXPECT_EQ(cells.ask(SharedVerb::compare_exchange, 1, 0, std::as_bytes(std::span(wrong))).answer,
            SharedAnswer::refused);
  const std::array<std::uint32_t, 2> right{12, 1};
  EXPECT_EQ(cells.ask(SharedVerb::compare_exchange, 1, 0, std::as_bytes(std::span(right))).answer, SharedAnswer::done);
  const SharedReply all = cells.read(0, 4);
  EXPECT_EQ(value_of<std::uint32_t>(all, 1), 1u);
  EXPECT_EQ(value_of<std::uint32_t>(all, 2), 8u);
}

TEST(Cells, refuse_what_does_not_fit_them) {
  World world;
  CellsOf<std::uint32_t> words(world, 4);
  CellsOf<Triple> triples(world, 2);
  const auto kind = static_cast<std::uint64_t>(Number::u64);
  EXPECT_EQ(words.ask(SharedVerb::add, 0, kind, bytes_of(std::uint64_t{1})).answer, SharedAnswer::wrong_kind);
  EXPECT_EQ(words.ask(SharedVerb::add, 0, 99, bytes_of(1u)).answer, SharedAnswer::wrong_kind);
  EXPECT_EQ(words.ask(SharedVerb::lock, 0, 0, {}).answer, SharedAnswer::wrong_kind);
  EXPECT_EQ(words.ask(SharedVerb::write, 0, 0, bytes_of('c')).answer, SharedAnswer::wrong_kind);
  EXPECT_EQ(words.ask(SharedVerb::compare_exchange, 0, 0, bytes_of(1u)).answer, SharedAnswer::wrong_kind);
  EXPECT_EQ(words.ask(SharedVerb::write, 4, 0, bytes_of(1u)).answer, SharedAnswer::out_of_range);
  EXPECT_EQ(words.read(~std::uint64_t{0}, 2).answer, SharedAnswer::out_of_range);
  EXPECT_EQ(words.read(1, ~std::uint64_t{0}).answer, SharedAnswer::out_of_range);
  EXPECT_EQ(triples.read(2).answer, SharedAnswer::out_of_range);
  EXPECT_EQ(words.read(4, 0).answer, SharedAnswer::done);
}

TEST(Cells, whose_description_a_task_has_overwritten_are_not_touched) {
  World world;
  CellsOf<std::uint32_t> words(world, 4);
  CellsOf<Triple> triples(world, 2);
  const auto answer_with = [&world](Object& object, std::size_t field, std::uint64_t nonsense) {
    for (State& state : object.states) state.fields[field] = nonsense;
    return Cells(*world.space, object).perform({.verb = SharedVerb::read, .words = {1, 1}}, 1).answer;
  };
  for (Object* object : {&words.object, &triples.object}) {
    const auto before = object->state();
    for (const std::uint64_t nonsense : {0xababababababababu, ~std::uint64_t{0}, std::uint64_t{1} << 40U}) {
      for (std::size_t field = 0; field < 3; ++field) {
        EXPECT_EQ(answer_with(*object, field, nonsense), SharedAnswer::damaged) << field;
        object->states.fill(before);
      }
      const bool uses_others = object == &triples.object;
      EXPECT_EQ(answer_with(*object, 3, nonsense), uses_others ? SharedAnswer::damaged : SharedAnswer::done);
      object->states.fill(before);
      EXPECT_EQ(answer_with(*object, 4, nonsense), SharedAnswer::done);
      object->states.fill(before);
    }
  }
}

// The writer is killed after each of its stores in turn; whoever comes next sees the old value or the new one.
TEST(Cells, larger_than_a_word_are_whole_wherever_their_writer_dies) {
  World world;
  CellsOf<Triple> cells(world, 3);
  Triple written{{1, 1, 1}};
  std::uint64_t seen = 0;
  for (int round = 0; round < 60; ++round) {
    {
      Child writer([&] {
        for (Triple next = written;;) {
          for (std::uint64_t& part : next.parts) ++part;
          cells.ask(SharedVerb::write, 1, 0, bytes_of(next), 5);
        }
      });
      std::this_thread::sleep_for(std::chrono::microseconds(300 + 13 * round));
    }
    world.gone[5] = true;
    const auto read = cells.ask(SharedVerb::read, 1, 1, {}, master);
    world.gone[5] = false;
    const auto now = value_of<Triple>(read);
    EXPECT_EQ(now.parts[0], now.parts[1]);
    EXPECT_EQ(now.parts[0], now.parts[2]);
    written = now;
    seen += now.parts[0];
  }
  EXPECT_GT(seen, 0u);
}

TEST(SharedMessage, that_is_cut_or_has_a_wrong_verb_or_answer_is_none) {
  const std::array<std::byte, 3> payload{std::byte{1}, std::byte{2}, std::byte{3}};
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(5);
  const SharedRequest request{
      .verb = SharedVerb::put, .object = {1, 2, 3}, .words = {4, 5}, .payload = payload, .deadline = deadline};
  std::vector<std::byte> bytes = encode(request);
  const auto decoded = decode_request(bytes);
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded->object, request.object);
  EXPECT_EQ(decoded->words, request.words);
  EXPECT_TRUE(std::ranges::equal(decoded->payload, payload));
  ASSERT_TRUE(decoded->deadline);
  EXPECT_LT(std::chrono::abs(*decoded->deadline - deadline), std::chrono::seconds(4));
  EXPECT_FALSE(decode_request(detail::Bytes(bytes).first(40)));
  bytes[0] = std::byte{200};
  EXPECT_FALSE(decode_request(bytes));

  std::vector<std::byte> reply = encode(SharedReply{.answer = SharedAnswer::late, .word = 7, .bytes = {std::byte{9}}});
  EXPECT_EQ(decode_reply(reply)->word, 7u);
  EXPECT_EQ(decode_reply(reply)->bytes.size(), 1u);
  EXPECT_FALSE(decode_reply(detail::Bytes(reply).first(8)));
  reply[0] = std::byte{200};
  EXPECT_FALSE(decode_reply(reply));
}

}  // namespace
}  // namespace rankpool::shared::test
