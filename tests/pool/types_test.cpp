#include "pool/pool_test.hpp"

#include <chrono>
#include <complex>
#include <deque>
#include <filesystem>
#include <limits>
#include <list>
#include <map>
#include <memory>
#include <numeric>
#include <optional>
#include <set>
#include <span>
#include <string_view>
#include <typeinfo>
#include <unordered_map>
#include <unordered_set>
#include <variant>
#include <vector>

#include <boost/core/demangle.hpp>
#include <boost/serialization/base_object.hpp>
#include <boost/serialization/export.hpp>

namespace {

using namespace std::chrono_literals;
using namespace rankpool::test;  // NOLINT(google-build-using-namespace)

/// Sends a value to a task and back: alone, and as elements of a map that is cut into chunks. EXPECT_EQ's printing of
/// every type would take the compiler seconds.
template <class T>
void expect_round_trip(const T& value) {
  const auto same = [](const T& x) { return x; };
  EXPECT_TRUE(pool().apply(same, value) == value) << boost::core::demangle(typeid(T).name());
  std::vector<T> values(7, value);
  values.insert(values.begin() + 3, T{});
  EXPECT_TRUE(pool().map(same, values, {.chunksize = 2}) == values) << boost::core::demangle(typeid(T).name());
}

TEST(Type, arithmetic_travels) {
  expect_round_trip(true);
  expect_round_trip('x');
  expect_round_trip(std::int8_t{-5});
  expect_round_trip(std::uint16_t{65535});
  expect_round_trip(-123456);
  expect_round_trip(std::numeric_limits<std::int64_t>::min());
  expect_round_trip(std::numeric_limits<std::uint64_t>::max());
  expect_round_trip(1.5F);
  expect_round_trip(std::numeric_limits<double>::denorm_min());
  expect_round_trip(3.14159265358979323846L);
  expect_round_trip(U'\u00e9');
}

enum Unscoped { first_value, second_value };
enum class Scoped : std::uint8_t { none, some = 200 };

TEST(Type, enums_travel) {
  expect_round_trip(second_value);
  expect_round_trip(Scoped::some);
  expect_round_trip(std::byte{0x7f});
}

struct Padded {
  char letter = 'a';
  double value = 0;
  short small = 0;
  bool operator==(const Padded&) const = default;
};
struct Nested {
  Padded inner;
  std::array<int, 3> numbers{};
  int raw[2] = {0, 0};
  bool operator==(const Nested&) const = default;
};

TEST(Type, trivially_copyable_classes_travel) {
  expect_round_trip(Padded{'b', 2.5, -7});
  expect_round_trip(Nested{{'c', 1, 2}, {3, 4, 5}, {6, 7}});
  expect_round_trip(std::vector<Padded>(100, Padded{'d', 4, 4}));
}

class Closed {
 public:
  Closed() = default;
  explicit Closed(int number) : number_(number) {}
  bool operator==(const Closed&) const = default;

 private:
  int number_ = 0;
  double half_ = 0.5 * number_;
};

TEST(Type, trivially_copyable_classes_with_private_members_travel) { expect_round_trip(Closed(12)); }

class HiddenPointer {
 public:
  explicit HiddenPointer(const int* to) : to_(to) {}

 private:
  const int* to_;
  int number_ = 0;
};

TEST(Type, hidden_pointers_are_refused_when_sent) {
  const auto target = std::make_unique<int>(1);
  const auto ignore = [](const HiddenPointer&) { return 1; };
  EXPECT_THROW((void)pool().apply(ignore, HiddenPointer(target.get())), rankpool::PointerCapture);
  EXPECT_THROW((void)pool().map(ignore, std::vector<HiddenPointer>(3, HiddenPointer(target.get()))),
               rankpool::PointerCapture);
  EXPECT_EQ(pool().apply(ignore, HiddenPointer(nullptr)), 1);
}

TEST(Type, texts_travel) {
  expect_round_trip(std::string("short"));
  expect_round_trip(std::string(5000, 'x') + std::string("\0y", 2));
  expect_round_trip(std::wstring(L"wide \u00e9"));
  expect_round_trip(std::vector<std::string>{"a", "", std::string(100, 'c')});
}

TEST(Type, sequences_travel) {
  expect_round_trip(std::vector<int>{});
  expect_round_trip(std::vector<int>{1, 2, 3});
  expect_round_trip(std::vector<double>(10000, 0.1));
  expect_round_trip(std::vector<bool>{true, false, true, true});
  expect_round_trip(std::vector<std::vector<int>>{{1}, {}, {2, 3}});
  expect_round_trip(std::array<double, 4>{1, 2, 3, 4});
  expect_round_trip(std::array<std::string, 2>{"a", "b"});
  expect_round_trip(std::list<std::string>{"a", "b"});
  expect_round_trip(std::deque<int>{5, 6});
}

TEST(Type, sets_and_maps_travel) {
  expect_round_trip(std::set<int>{3, 1, 2});
  expect_round_trip(std::multiset<int>{1, 1, 2});
  expect_round_trip(std::map<std::string, int>{{"a", 1}, {"b", 2}});
  expect_round_trip(std::multimap<int, std::string>{{1, "a"}, {1, "b"}});
  expect_round_trip(std::unordered_set<std::string>{"x", "y"});
  expect_round_trip(std::unordered_map<int, std::vector<double>>{{1, {0.5}}, {2, {}}});
}

TEST(Type, products_and_sums_travel) {
  expect_round_trip(std::pair<int, double>{1, 2.5});
  expect_round_trip(std::pair<std::string, std::vector<int>>{"a", {1}});
  expect_round_trip(std::tuple<int, std::string, Padded>{1, "b", {'c', 2, 3}});
  expect_round_trip(std::optional<std::string>{"here"});
  expect_round_trip(std::optional<int>{});
  expect_round_trip(std::variant<int, std::string>{"text"});
  expect_round_trip(std::variant<int, std::string>{7});
}

TEST(Type, numbers_of_the_standard_library_travel) {
  expect_round_trip(std::complex<double>{1, -2});
  expect_round_trip(std::vector<std::complex<float>>{{1, 2}, {3, 4}});
  expect_round_trip(std::chrono::nanoseconds{1'500});
  expect_round_trip(std::chrono::duration<double>(2.5));
  expect_round_trip(std::chrono::system_clock::now());
}

TEST(Type, paths_travel) { expect_round_trip(std::filesystem::path("/some/where") / "file.csv"); }

// --- serialize -------------------------------------------------------------------------------------------------------

struct Config {
  std::string name;
  std::map<std::string, double> settings;
  std::vector<std::optional<int>> choices;
  bool operator==(const Config&) const = default;

  template <class Archive>
  void serialize(Archive& archive, unsigned /*version*/) {
    archive& name& settings& choices;
  }
};

TEST(Type, classes_with_serialize_travel) {
  const Config config{"run 7", {{"dt", 0.1}, {"T", 2.5}}, {1, {}, 3}};
  expect_round_trip(config);
  expect_round_trip(std::vector<Config>(3, config));
  expect_round_trip(std::map<int, Config>{{1, config}});
}

struct FreeSerialize {
  std::string text;
  bool operator==(const FreeSerialize&) const = default;
};
template <class Archive>
void serialize(Archive& archive, FreeSerialize& value, unsigned /*version*/) {
  archive& value.text;
}

TEST(Type, classes_with_a_free_serialize_travel) { expect_round_trip(FreeSerialize{"free"}); }

}  // namespace

// Exported classes need names that are the same in every program.
struct Shape {
  virtual ~Shape() = default;
  [[nodiscard]] virtual double area() const = 0;
  template <class Archive>
  void serialize(Archive& /*archive*/, unsigned /*version*/) {}
};
struct Square : Shape {
  double side = 0;
  [[nodiscard]] double area() const override { return side * side; }
  template <class Archive>
  void serialize(Archive& archive, unsigned /*version*/) {
    archive& boost::serialization::base_object<Shape>(*this);
    archive& side;
  }
};
BOOST_SERIALIZATION_ASSUME_ABSTRACT(Shape)
BOOST_CLASS_EXPORT(Square)

namespace {

std::unique_ptr<Shape> make_square(double side) {
  auto square = std::make_unique<Square>();
  square->side = side;
  return square;
}

TEST(Type, exported_classes_travel_behind_pointers_to_their_base) {
  EXPECT_EQ(pool().apply([](const std::unique_ptr<Shape>& shape) { return shape->area(); }, make_square(3)), 9);
  EXPECT_EQ(pool().apply(make_square, 4.0)->area(), 16);
}

// --- pointers --------------------------------------------------------------------------------------------------------

TEST(Type, smart_pointers_travel_with_what_they_point_to) {
  const auto unpack = [](const std::unique_ptr<int>& p) { return p ? *p : -1; };
  EXPECT_EQ(pool().apply(unpack, std::make_unique<int>(5)), 5);
  EXPECT_EQ(pool().apply(unpack, std::unique_ptr<int>()), -1);
  const auto shared = std::make_shared<std::string>("shared");
  EXPECT_EQ(*pool().apply([](std::shared_ptr<std::string> p) { return p; }, shared), "shared");
  const auto one_object = [](const std::vector<std::shared_ptr<std::string>>& all) { return all[0] == all[1]; };
  EXPECT_TRUE(pool().apply(one_object, std::vector{shared, shared}));
}

// --- results ---------------------------------------------------------------------------------------------------------

TEST(Result, may_be_move_only) {
  const auto results = pool().map([](int i) { return std::make_unique<int>(i); }, std::views::iota(0, 50));
  for (int i = 0; i < 50; ++i) EXPECT_EQ(*results.at(static_cast<std::size_t>(i)), i);
  auto outcomes = pool().map_outcomes([](int i) { return std::make_unique<int>(i); }, {4});
  EXPECT_EQ(*std::move(outcomes[0]).value(), 4);
}

struct NoDefault {
  explicit NoDefault(int n) : number(n) {}
  int number;
};

TEST(Result, needs_no_default_constructor) {
  const auto make = [](int i) { return NoDefault(i); };
  const std::vector<NoDefault> results = pool().map(make, std::views::iota(0, 100), {.chunksize = 3});
  for (int i = 0; i < 100; ++i) EXPECT_EQ(results.at(static_cast<std::size_t>(i)).number, i);
  EXPECT_EQ(pool().apply(make, 7).number, 7);
  EXPECT_EQ(pool().map_outcomes(make, {8}).at(0).value().number, 8);
  EXPECT_EQ(pool().map([](NoDefault value) { return value.number; }, results).at(99), 99);
}

TEST(Result, may_be_const) {
  struct Makes {
    const std::string operator()(char c) const { return {c, c}; }  // NOLINT(readability-const-return-type): the point
  };
  EXPECT_EQ(pool().map(Makes{}, {'a', 'b'}), (std::vector<std::string>{"aa", "bb"}));
}

// --- parameters ------------------------------------------------------------------------------------------------------

double sum_of_span(std::span<const double> values) { return std::accumulate(values.begin(), values.end(), 0.0); }
std::size_t length_of_view(std::string_view text) { return text.size(); }

TEST(Parameter, may_be_a_view_of_owned_data) {
  EXPECT_EQ(pool().apply(sum_of_span, std::vector{1.0, 2.0, 3.0}), 6);
  EXPECT_EQ(pool().map(sum_of_span, std::vector<std::vector<double>>{{1}, {}, {2, 3}}), (std::vector<double>{1, 0, 5}));
  EXPECT_EQ(pool().apply(length_of_view, "literal"), 7U);
  EXPECT_EQ(pool().map(length_of_view, {std::string("ab"), std::string("c")}), (std::vector<std::size_t>{2, 1}));
}

TEST(Parameter, may_be_an_rvalue_reference) {
  EXPECT_EQ(pool().apply([](std::vector<int>&& v) { return std::move(v); }, std::vector{1, 2}), (std::vector{1, 2}));
}

// --- sizes -----------------------------------------------------------------------------------------------------------

TEST(Size, of_an_argument_and_a_result_may_be_many_megabytes) {
  std::vector<std::uint64_t> large(4'000'000);
  std::iota(large.begin(), large.end(), 0U);
  EXPECT_EQ(pool().apply([](const std::vector<std::uint64_t>& v) { return v; }, large), large);
}

TEST(Size, of_results_may_differ_from_task_to_task) {
  const auto make = [](int i) { return std::string(static_cast<std::size_t>(i % 7 == 0 ? i * 1000 : i), 'x'); };
  const auto results = pool().map(make, std::views::iota(0, 300));
  for (int i = 0; i < 300; ++i) EXPECT_EQ(results.at(static_cast<std::size_t>(i)), make(i));
}

TEST(Size, of_a_class_may_be_nothing) {
  struct Empty {};
  EXPECT_EQ(pool().map([](Empty) { return Empty{}; }, std::vector<Empty>(1000)).size(), 1000U);
}

}  // namespace

int main(int argc, char** argv) { return run_cases(argc, argv); }
