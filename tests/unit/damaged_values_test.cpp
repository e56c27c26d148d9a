// Values whose bytes a task wrote over: refused with an error, before they do harm.
#include <cstdint>
#include <cstring>
#include <list>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <boost/archive/archive_exception.hpp>
#include <boost/serialization/base_object.hpp>
#include <boost/serialization/export.hpp>

#include <gtest/gtest.h>

#include <rankpool/detail/archive.hpp>
#include <rankpool/detail/object_ledger.hpp>
#include <rankpool/detail/results.hpp>

#include "codec_values.hpp"

namespace {

using rankpool::detail::ByteBuffer;
using rankpool::detail::Bytes;
using rankpool::detail::decode;
using rankpool::detail::DecodeError;
using rankpool::test::Account;
using rankpool::test::encoded;

struct Part {
  virtual ~Part() = default;
  int number = 0;
  template <class Archive>
  void serialize(Archive& archive, unsigned /*version*/) {
    archive& number;
  }
};

struct Wheel final : Part {
  std::string rim;
  template <class Archive>
  void serialize(Archive& archive, unsigned /*version*/) {
    archive& boost::serialization::base_object<Part>(*this) & rim;
  }
};

struct Unrelated {
  virtual ~Unrelated() = default;
  std::vector<double> values;
  template <class Archive>
  void serialize(Archive& archive, unsigned /*version*/) {
    archive& values;
  }
};

/// Points to a fellow, which is a value elsewhere.
struct Fellow {
  Fellow* other = nullptr;
  template <class Archive>
  void serialize(Archive& archive, unsigned /*version*/) {
    archive& other;
  }
};

struct Level {
  std::vector<Level> inside;
  template <class Archive>
  void serialize(Archive& archive, unsigned /*version*/) {
    archive& inside;
  }
};

struct Empty {
  template <class Archive>
  void serialize(Archive& /*archive*/, unsigned /*version*/) {}
};

}  // namespace

BOOST_CLASS_EXPORT(Wheel)
BOOST_CLASS_EXPORT(Unrelated)

// What Boost has made behind a pointer stays behind when its content turns out to be nonsense.
extern "C" const char* __asan_default_options() { return "detect_leaks=0"; }  // NOLINT: the sanitizer's name

namespace {

template <class T>
void put(ByteBuffer& to, T value) {
  to.append(&value, sizeof(value));
}

/// Decodes every value that comes of putting each byte of `whole` to each of some values; it is enough not to die of
/// it.
template <class T>
int count_refused(const ByteBuffer& whole) {
  int refused = 0;
  for (std::size_t at = 0; at < whole.size(); ++at) {
    for (const int value : {0x00, 0x01, 0x02, 0x03, 0x05, 0x7f, 0x80, 0xff}) {
      std::vector<std::byte> damaged(whole.data(), whole.data() + whole.size());
      damaged[at] = static_cast<std::byte>(value);
      try {
        static_cast<void>(decode<T>(damaged));
      } catch (const std::exception&) {
        ++refused;
      }
    }
  }
  return refused;
}

TEST(DamagedValue, of_a_bool_is_a_bool) {
  ByteBuffer two;
  put(two, std::uint8_t{2});
  EXPECT_TRUE(decode<bool>(two.bytes()));
  put(two, std::uint8_t{255});
  put(two, std::uint8_t{0});
  EXPECT_EQ((decode<std::array<bool, 3>>(two.bytes())), (std::array{true, true, false}));
  EXPECT_EQ((decode<std::tuple<bool, bool, bool>>(two.bytes())), std::tuple(true, true, false));
}

TEST(DamagedValue, shared_with_a_pointer_to_another_type_is_refused) {
  using Two = std::tuple<std::shared_ptr<std::string>, std::shared_ptr<std::vector<double>>>;
  ByteBuffer bytes = encoded(Two(std::make_shared<std::string>("text"), nullptr));
  const std::uint64_t first = 1;
  std::memcpy(bytes.data() + bytes.size() - sizeof(first), &first, sizeof(first));
  EXPECT_THROW((void)decode<Two>(bytes.bytes()), DecodeError);
}

TEST(DamagedValue, owned_by_two_unique_pointers_is_refused) {
  using Parts = std::vector<std::unique_ptr<Part>>;
  Parts parts;
  parts.push_back(std::make_unique<Part>());
  parts.push_back(std::make_unique<Part>());
  const ByteBuffer whole = encoded(parts);
  ASSERT_EQ(decode<Parts>(whole.bytes()).size(), 2U);
  // The second object says that it is the first: its number follows that of the class, 2 bytes.
  std::vector<std::byte> damaged(whole.data(), whole.data() + whole.size());
  const std::size_t second = whole.size() - sizeof(int) - sizeof(std::uint32_t);
  std::uint32_t number = 0;
  std::memcpy(&number, damaged.data() + second, sizeof(number));
  ASSERT_EQ(number, 1U);
  number = 0;
  std::memcpy(damaged.data() + second, &number, sizeof(number));
  damaged.resize(damaged.size() - sizeof(int));
  EXPECT_THROW((void)decode<Parts>(damaged), DecodeError);
}

/// The class of the next object in an archive.
rankpool::detail::Bytes class_number(const std::int16_t& number) { return std::as_bytes(std::span(&number, 1)); }

TEST(ObjectLedger, knows_no_pointer_any_more_when_it_has_been_read) {
  using Archive = rankpool::detail::InputArchive;
  namespace serializers = boost::archive::detail;
  const auto& kind = boost::serialization::singleton<serializers::iserializer<Archive, Part>>::get_const_instance();
  const auto& pointer =
      boost::serialization::singleton<serializers::pointer_iserializer<Archive, Part>>::get_const_instance();
  const std::int16_t first_class = 0;
  using rankpool::detail::ObjectLedger;
  ObjectLedger ledger;
  ledger.enter(kind);
  const auto find = [](const boost::serialization::extended_type_info&) -> const ObjectLedger::PointerClass* {
    return nullptr;
  };
  { const ObjectLedger::Pointer read(ledger, class_number(first_class), &pointer, find); }
  ledger.number_object(0);  // lies where it is: nobody has a pointer to it that could own it
  {
    const ObjectLedger::Pointer to_it(ledger, class_number(first_class), &pointer, find);
    ledger.number_object(0);
  }
  EXPECT_THROW(ledger.own_alone(), DecodeError);
}

TEST(DamagedValue, of_classes_behind_pointers_is_refused_or_read_but_never_ends_the_program) {
  using Both =
      std::tuple<std::unique_ptr<Part>, std::shared_ptr<Part>, std::shared_ptr<Unrelated>, std::shared_ptr<Part>>;
  auto wheel = std::make_unique<Wheel>();
  wheel->rim = "alloy";
  const auto shared = std::make_shared<Wheel>();
  EXPECT_GT(count_refused<Both>(encoded(Both(std::move(wheel), shared, std::make_shared<Unrelated>(), shared))), 100);
  std::vector<Fellow> fellows(3);
  fellows[1].other = &fellows[0];
  fellows[2].other = &fellows[1];
  EXPECT_GT(count_refused<std::vector<Fellow>>(encoded(fellows)), 10);
}

TEST(DamagedValue, of_a_set_or_map_with_the_same_key_twice_is_refused) {
  ByteBuffer set = encoded(std::set{1, 2});
  const int one = 1;
  std::memcpy(set.data() + set.size() - sizeof(one), &one, sizeof(one));
  EXPECT_THROW((void)decode<std::set<int>>(set.bytes()), DecodeError);
  ByteBuffer map = encoded(std::map<int, int>{{1, 5}, {2, 6}});
  std::memcpy(map.data() + map.size() - 2 * sizeof(one), &one, sizeof(one));
  EXPECT_THROW(((void)decode<std::map<int, int>>(map.bytes())), DecodeError);
}

TEST(DamagedValue, with_a_length_that_its_bytes_cannot_hold_is_refused_at_once) {
  ByteBuffer bytes;
  put(bytes, std::uint64_t{1000});  // as many strings need 8000 bytes
  bytes.append(std::string(4000, '\0').data(), 4000);
  EXPECT_THROW((void)decode<std::vector<std::string>>(bytes.bytes()), DecodeError);
  EXPECT_THROW((void)decode<std::vector<std::list<int>>>(bytes.bytes()), DecodeError);
}

TEST(DamagedValue, of_elements_without_bytes_is_not_believed_for_ever) {
  const std::list<std::vector<Empty>> some(2, std::vector<Empty>(100));
  EXPECT_EQ(rankpool::test::round_trip(some).back().size(), 100U);
  EXPECT_EQ(rankpool::test::round_trip(std::vector<Empty>(60'000)).size(), 60'000U);
  ByteBuffer bytes;
  constexpr std::uint64_t many = 2000;
  put(bytes, many);
  for (std::uint64_t i = 0; i < many; ++i) put(bytes, many);
  EXPECT_THROW((void)decode<std::list<std::list<std::tuple<>>>>(bytes.bytes()), DecodeError);
}

TEST(DamagedValue, nested_deeper_than_the_stack_is_refused) {
  const Level level{{{{}}, {}}};
  EXPECT_EQ(rankpool::test::round_trip(level).inside.size(), 2U);
  // What comes before the first length is Boost's word on the class.
  const ByteBuffer empty = encoded(Level{});
  ByteBuffer deep;
  deep.append(empty.data(), empty.size() - sizeof(std::uint64_t));
  for (int i = 0; i < 200'000; ++i) put(deep, std::uint64_t{1});
  put(deep, std::uint64_t{0});
  EXPECT_THROW((void)decode<Level>(deep.bytes()), DecodeError);
}

/// What became of each task of a run.
template <class R>
std::vector<std::string> outcomes(std::uint64_t count, Bytes run) {
  std::vector<std::string> seen;
  rankpool::detail::for_each_result<R>(
      0, count, run, [&seen](std::uint64_t, auto decode) { seen.push_back((static_cast<void>(decode()), "value")); },
      [&seen](std::uint64_t, const std::exception_ptr&) { seen.emplace_back("error"); });
  return seen;
}

TEST(DamagedResults, cost_the_tasks_from_the_damage_on) {
  ByteBuffer run;
  for (const char* text : {"one", "two", "three"}) rankpool::detail::append_argument(std::string(text), run);
  using Outcomes = std::vector<std::string>;
  EXPECT_EQ(outcomes<std::string>(3, run.bytes()), (Outcomes{"value", "value", "value"}));
  EXPECT_EQ(outcomes<std::string>(2, run.bytes()), (Outcomes{"value", "error"})) << "bytes are left";
  EXPECT_EQ(outcomes<std::string>(4, run.bytes()), (Outcomes{"value", "value", "value", "error"}));
  const std::uint64_t absurd = ~std::uint64_t{0};
  std::memcpy(run.data() + sizeof(absurd) + 3, &absurd, sizeof(absurd));
  EXPECT_EQ(outcomes<std::string>(3, run.bytes()), (Outcomes{"value", "error", "error"}));
  EXPECT_EQ(outcomes<std::string>(1, {}), (Outcomes{"error"}));
}

TEST(DamagedResults, of_a_fixed_size_are_the_first_tasks_error) {
  const std::vector<double> numbers{1, 2, 3};
  const Bytes bytes = std::as_bytes(std::span(numbers));
  for (const Bytes damaged : {bytes.first(23), bytes.first(8), bytes.first(0), bytes}) {
    rankpool::detail::MapSink<double> sink;
    sink.expect(8);
    rankpool::detail::ResultSink& receiver = sink;
    receiver.values(3, damaged.size() == bytes.size() ? 2 : 3, damaged);
    EXPECT_THROW((void)sink.take(), DecodeError);
  }
}

}  // namespace
