#include <rankpool/detail/codec.hpp>

#include <array>
#include <chrono>
#include <complex>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <filesystem>
#include <functional>
#include <limits>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <variant>
#include <vector>

#include <gtest/gtest.h>

#include <rankpool/pool.hpp>

#include "codec_values.hpp"

namespace {

using rankpool::detail::Appender;
using rankpool::detail::args_stride;
using rankpool::detail::ByteBuffer;
using rankpool::detail::Bytes;
using rankpool::detail::decode;
using rankpool::detail::decode_args;
using rankpool::detail::DecodeError;
using rankpool::detail::encode;
using rankpool::detail::encode_args;
using rankpool::detail::Obstacle;
using rankpool::detail::obstacle;
using rankpool::test::Account;
using rankpool::test::encoded;
using rankpool::test::round_trip;
using rankpool::test::WithoutDefault;

struct Padded {
  char tag;
  double value;
  bool operator==(const Padded&) const = default;
};

struct ThrowsWhenSaved {
  template <class Archive>
  void serialize(Archive& /*archive*/, unsigned /*version*/) {
    throw std::runtime_error("not today");
  }
};

struct HoldsPointer {
  int n;
  const double* data;
};
struct HoldsViewDeep {
  struct Inner {
    std::string_view text;
  } inner;
  int n;
};
struct HoldsReference {
  int& n;
};
enum class Color : std::uint8_t { red, green };

}  // namespace

TEST(Codec, fixed_size_types_travel_as_their_bytes) {
  static_assert(rankpool::detail::fixed_bytes<double> == sizeof(double));
  static_assert(rankpool::detail::fixed_bytes<std::pair<char, double>> == 9);
  static_assert(rankpool::detail::fixed_bytes<std::tuple<int, std::array<std::pair<int, char>, 2>>> == 14);
  static_assert(rankpool::detail::fixed_bytes<std::optional<int>> == 5);
  static_assert(!rankpool::detail::fixed_size<std::string>);
  EXPECT_EQ(round_trip(1.5), 1.5);
  EXPECT_EQ(round_trip(true), true);
  EXPECT_EQ(round_trip(Color::green), Color::green);
  EXPECT_EQ(round_trip(std::complex<double>(1, -2)), std::complex<double>(1, -2));
  EXPECT_EQ(round_trip(std::chrono::milliseconds(17)), std::chrono::milliseconds(17));
  const auto now = std::chrono::system_clock::now();
  EXPECT_EQ(round_trip(now), now);
  EXPECT_EQ(round_trip(std::numeric_limits<long double>::max()), std::numeric_limits<long double>::max());
  const std::pair pair('a', 2.5);
  EXPECT_EQ(round_trip(pair), pair);
  const std::tuple tuple(1, std::array{std::pair(1, 'x'), std::pair(2, 'y')}, std::optional<short>(3));
  EXPECT_EQ(round_trip(tuple), tuple);
  EXPECT_EQ(round_trip(std::optional<int>()), std::nullopt);
}

TEST(Codec, padding_is_never_sent) {
  alignas(Padded) std::array<std::byte, sizeof(Padded)> ones;
  std::memset(ones.data(), 0xff, ones.size());
  Padded* dirty = ::new (ones.data()) Padded;
  std::memset(ones.data(), 0xff, ones.size());
  dirty->tag = 'a';
  dirty->value = 1.0;
  for (const ByteBuffer& buffer : {encoded(*dirty), encoded(std::vector{*dirty})}) {
    ASSERT_EQ(buffer.size(), sizeof(Padded));
    for (std::size_t i = 1; i < offsetof(Padded, value); ++i) EXPECT_EQ(buffer.bytes()[i], std::byte{0});
  }
  EXPECT_EQ(round_trip(*dirty), *dirty);
}

TEST(Codec, contiguous_containers_are_their_elements_bytes) {
  EXPECT_EQ(encoded(std::string("abc")).size(), 3U);
  EXPECT_EQ(encoded(std::vector<double>(10)).size(), 80U);
  EXPECT_EQ(encoded(std::vector<std::pair<char, double>>(2)).size(), 18U);
  EXPECT_EQ(round_trip(std::string("abc\0d", 5)), std::string("abc\0d", 5));
  EXPECT_EQ(round_trip(std::wstring(L"wide")), L"wide");
  EXPECT_EQ(round_trip(std::vector<int>()), std::vector<int>());
  const std::vector<std::pair<char, double>> pairs{{'a', 1}, {'b', 2}};
  EXPECT_EQ(round_trip(pairs), pairs);
}

TEST(Codec, misaligned_bytes_decode) {
  ByteBuffer buffer;
  buffer.append("x", 1);
  encode(Appender(buffer), std::vector<double>{1, 2, 3});
  EXPECT_EQ(decode<std::vector<double>>(buffer.bytes().subspan(1)), (std::vector<double>{1, 2, 3}));
}

TEST(Codec, standard_types_nest) {
  const std::map<int, std::vector<std::optional<std::string>>> map{{1, {"a", std::nullopt}}, {2, {}}};
  EXPECT_EQ(round_trip(map), map);
  const std::unordered_map<std::string, std::set<int>> unordered{{"a", {1, 2}}, {"b", {}}};
  EXPECT_EQ(round_trip(unordered), unordered);
  const std::tuple<std::string, std::vector<bool>, std::array<std::string, 2>> tuple("s", {true, false}, {"p", "q"});
  EXPECT_EQ(round_trip(tuple), tuple);
  const std::vector<std::variant<int, std::string, std::vector<double>>> variants{1, "two", std::vector{3.0}};
  EXPECT_EQ(round_trip(variants), variants);
  const std::deque<std::list<std::string>> deque{{"a", "b"}, {}};
  EXPECT_EQ(round_trip(deque), deque);
  const std::multimap<std::string, std::pair<std::string, int>> multi{{"k", {"v", 1}}, {"k", {"w", 2}}};
  EXPECT_EQ(round_trip(multi), multi);
  const std::unordered_multiset<int> bag{1, 1, 2};
  EXPECT_EQ(round_trip(bag), bag);
  const std::variant<WithoutDefault, std::string> undefaulted("text");
  EXPECT_EQ(round_trip(undefaulted), undefaulted);
  EXPECT_EQ(round_trip(std::filesystem::path("/tmp/x y")), std::filesystem::path("/tmp/x y"));
  EXPECT_EQ(round_trip(std::vector<std::tuple<>>(3)).size(), 3U);
}

TEST(Codec, arguments_of_fixed_size_have_a_fixed_stride) {
  static_assert(args_stride<int, double> == 12);
  static_assert(args_stride<> == 0);
  static_assert(args_stride<int, std::string> == rankpool::detail::not_fixed);
  ByteBuffer buffer;
  EXPECT_EQ(encode_args(Appender(buffer), 3, 4.5), 12U);
  EXPECT_EQ((decode_args<std::tuple<int, double>>(buffer.bytes())), std::tuple(3, 4.5));
}

TEST(Codec, one_argument_needs_no_frame) {
  ByteBuffer buffer;
  EXPECT_EQ(encode_args(Appender(buffer), std::string("four")), 4U);
  EXPECT_EQ(decode_args<std::tuple<std::string>>(buffer.bytes()), std::tuple(std::string("four")));
}

TEST(Codec, mixed_arguments_travel_and_move_out) {
  ByteBuffer buffer;
  const auto unique = std::make_unique<int>(8);
  const std::map<int, std::string> map{{1, "one"}};
  encode_args(Appender(buffer), 3, std::string("text"), unique, map);
  auto args =
      decode_args<std::tuple<int, std::string, std::unique_ptr<int>, std::map<int, std::string>>>(buffer.bytes());
  EXPECT_EQ(std::get<1>(args), "text");
  EXPECT_EQ(*std::get<2>(args), 8);
  EXPECT_EQ(std::get<3>(args), map);
}

TEST(Codec, string_literals_travel_as_strings) {
  static_assert(std::is_same_v<rankpool::detail::travel_type_t<const char(&)[4]>, std::string>);
  static_assert(std::is_same_v<rankpool::detail::travel_type_t<const int&>, int>);
}

TEST(Codec, every_truncation_is_an_error) {
  const std::map<int, std::vector<std::string>> map{{1, {"a", "b"}}, {2, {"c"}}};
  const ByteBuffer archive = encoded(map);
  for (std::size_t n = 0; n < archive.size(); ++n) {
    EXPECT_THROW(((void)decode<std::map<int, std::vector<std::string>>>(archive.bytes().first(n))), DecodeError) << n;
  }
  const ByteBuffer account = encoded(Account("ann", 1));
  for (std::size_t n = 0; n < account.size(); ++n) {
    EXPECT_THROW((void)decode<Account>(account.bytes().first(n)), DecodeError) << n;
  }
  ByteBuffer args;
  encode_args(Appender(args), 1, std::string("text"), std::vector{1.0});
  for (std::size_t n = 0; n < args.size(); ++n) {
    EXPECT_THROW(((void)decode_args<std::tuple<int, std::string, std::vector<double>>>(args.bytes().first(n))),
                 DecodeError)
        << n;
  }
}

TEST(Codec, surplus_bytes_are_an_error) {
  ByteBuffer buffer = encoded(std::map<int, int>{{1, 2}});
  buffer.append("x", 1);
  EXPECT_THROW(((void)decode<std::map<int, int>>(buffer.bytes())), DecodeError);
  EXPECT_THROW((void)decode<double>(Bytes(buffer.bytes().first(9))), DecodeError);
  EXPECT_THROW((void)decode<std::vector<double>>(buffer.bytes().first(9)), DecodeError);
  ByteBuffer args;
  encode_args(Appender(args), 1, std::string("text"));
  args.append("x", 1);
  EXPECT_THROW(((void)decode_args<std::tuple<int, std::string>>(args.bytes())), DecodeError);
}

TEST(Codec, absurd_lengths_are_refused_before_memory_is_asked_for) {
  const std::uint64_t absurd = std::uint64_t{1} << 60U;
  ByteBuffer buffer;
  buffer.append(&absurd, sizeof(absurd));
  EXPECT_THROW((void)decode<std::vector<std::string>>(buffer.bytes()), DecodeError);
  EXPECT_THROW((void)decode<std::list<int>>(buffer.bytes()), DecodeError);
  EXPECT_THROW(((void)decode<std::pair<std::vector<int>, std::string>>(buffer.bytes())), DecodeError);
  EXPECT_THROW(((void)decode_args<std::tuple<std::string, int>>(buffer.bytes())), DecodeError);
}

TEST(Codec, what_serialize_throws_leaves_no_memory_asked_for) {
  bool asked = false;
  std::array<std::byte, 256> memory{};
  const auto reserve = [&](std::size_t) {
    asked = true;
    return memory.data();
  };
  EXPECT_THROW(encode(reserve, ThrowsWhenSaved{}), std::runtime_error);
  EXPECT_FALSE(asked);
  EXPECT_EQ(round_trip(Account("next", 1)), Account("next", 1));
}

TEST(Travels, pointers_views_and_references_are_found_wherever_they_hide) {
  EXPECT_EQ(obstacle<int*>(), Obstacle::pointer);
  EXPECT_EQ(obstacle<HoldsPointer>(), Obstacle::pointer);
  EXPECT_EQ(obstacle<std::vector<HoldsPointer>>(), Obstacle::pointer);
  EXPECT_EQ((obstacle<std::map<std::string, std::optional<const char*>>>()), Obstacle::pointer);
  EXPECT_EQ(obstacle<HoldsViewDeep>(), Obstacle::view);
  EXPECT_EQ(obstacle<std::span<int>>(), Obstacle::view);
  EXPECT_EQ(obstacle<HoldsReference>(), Obstacle::reference);
  EXPECT_EQ(obstacle<std::reference_wrapper<int>>(), Obstacle::reference);
  EXPECT_EQ(obstacle<std::vector<int>::iterator>(), Obstacle::iterator);
  EXPECT_EQ(obstacle<std::function<int()>>(), Obstacle::function_wrapper);
  EXPECT_EQ(obstacle<rankpool::Pool>(), Obstacle::pool);
  struct NotSerializable {
    std::string text;
  };
  EXPECT_EQ(obstacle<std::vector<NotSerializable>>(), Obstacle::no_serialize);
}

TEST(Travels, plain_data_travels) {
  EXPECT_EQ(obstacle<Padded>(), Obstacle::none);
  EXPECT_EQ(obstacle<Account>(), Obstacle::none);
  EXPECT_EQ((obstacle<std::map<std::string, std::vector<Account>>>()), Obstacle::none);
  EXPECT_EQ(obstacle<WithoutDefault>(), Obstacle::none);
}
