// Classes with `serialize`, pointers, and values without a default constructor.
#include <array>
#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include <boost/serialization/base_object.hpp>
#include <boost/serialization/export.hpp>
#include <boost/serialization/split_free.hpp>

#include <gtest/gtest.h>

#include "codec_values.hpp"

namespace {

using rankpool::test::Account;
using rankpool::test::round_trip;
using rankpool::test::WithoutDefault;

/// Trivially copyable, but with a serialize of its own, which must be the one that is used.
struct Doubled {
  int number = 0;
  template <class Archive>
  void serialize(Archive& archive, unsigned /*version*/) {
    int twice = 2 * number;
    archive& twice;
    number = twice;
  }
};

struct FreelySerialized {
  std::vector<int> values;
};

struct Constructed {
  Constructed(int a, std::string b) : first(a), second(std::move(b)) {}
  int first;
  std::string second;
  std::vector<int> rest{};
  template <class Archive>
  void serialize(Archive& archive, unsigned /*version*/) {
    archive& rest;
  }
};

struct Shape {
  virtual ~Shape() = default;
  [[nodiscard]] virtual double area() const = 0;
  template <class Archive>
  void serialize(Archive& /*archive*/, unsigned /*version*/) {}
};
struct Square final : Shape {
  explicit Square(double s = 0) : side(s) {}
  [[nodiscard]] double area() const override { return side * side; }
  double side;
  template <class Archive>
  void serialize(Archive& archive, unsigned /*version*/) {
    archive& boost::serialization::base_object<Shape>(*this) & side;
  }
};

struct Versioned {
  unsigned seen = 0;
  template <class Archive>
  void serialize(Archive& /*archive*/, unsigned version) {
    seen = version;
  }
};

struct TreeNode {
  int value = 0;
  std::vector<std::shared_ptr<TreeNode>> children;
  std::weak_ptr<TreeNode> parent;
  template <class Archive>
  void serialize(Archive& archive, unsigned /*version*/) {
    archive& value& children& parent;
  }
};

struct PointsToFellow {
  int value = 0;
  PointsToFellow* fellow = nullptr;
  template <class Archive>
  void serialize(Archive& archive, unsigned /*version*/) {
    archive& value& fellow;
  }
};

struct HasCArrays {
  std::array<char, 3> unused{};
  double matrix[2][3] = {{1, 2, 3}, {4, 5, 6}};
  std::string names[2] = {"x", "y"};
  template <class Archive>
  void serialize(Archive& archive, unsigned /*version*/) {
    archive& matrix& names;
  }
};

}  // namespace

namespace boost::serialization {
template <class Archive>
void save(Archive& archive, const FreelySerialized& value, unsigned /*version*/) {
  archive << value.values;
}
template <class Archive>
void load(Archive& archive, FreelySerialized& value, unsigned /*version*/) {
  archive >> value.values;
}
template <class Archive>
void save_construct_data(Archive& archive, const Constructed* value, unsigned /*version*/) {
  archive << value->first << value->second;
}
template <class Archive>
void load_construct_data(Archive& archive, Constructed* value, unsigned /*version*/) {
  int first = 0;
  std::string second;
  archive >> first >> second;
  ::new (value) Constructed(first, second);
}
}  // namespace boost::serialization

BOOST_SERIALIZATION_SPLIT_FREE(FreelySerialized)
BOOST_CLASS_EXPORT(Square)
BOOST_CLASS_VERSION(Versioned, 7)

TEST(Codec, values_without_a_default_constructor_travel) {
  EXPECT_EQ(round_trip(WithoutDefault(4)), WithoutDefault(4));
  const std::vector<WithoutDefault> many{WithoutDefault(1), WithoutDefault(2)};
  EXPECT_EQ(round_trip(many), many);
  const auto made = round_trip(Constructed(3, "three"));
  EXPECT_EQ(made.first, 3);
  EXPECT_EQ(made.second, "three");
  std::vector<Constructed> several;
  several.emplace_back(1, "one").rest = {1, 1};
  several.emplace_back(2, "two");
  const auto there = round_trip(several);
  ASSERT_EQ(there.size(), 2U);
  EXPECT_EQ(there[0].second, "one");
  EXPECT_EQ(there[0].rest, (std::vector{1, 1}));
  EXPECT_EQ(there[1].first, 2);
}

TEST(Codec, move_only_values_travel) {
  EXPECT_EQ(*round_trip(std::make_unique<int>(5)), 5);
  EXPECT_EQ(round_trip(std::unique_ptr<std::string>()), nullptr);
  std::vector<std::unique_ptr<std::vector<int>>> many;
  many.push_back(std::make_unique<std::vector<int>>(3, 7));
  EXPECT_EQ(*round_trip(many).front(), (std::vector{7, 7, 7}));
  std::map<std::string, std::unique_ptr<Account>> accounts;
  accounts.emplace("a", std::make_unique<Account>("ann", 3));
  EXPECT_EQ(*round_trip(accounts).at("a"), Account("ann", 3));
}

TEST(Codec, classes_with_serialize_travel) {
  EXPECT_EQ(round_trip(Account("ann", 12)), Account("ann", 12));
  EXPECT_EQ(round_trip(Doubled{3}).number, 6);  // as bytes it would be 3
  EXPECT_EQ(round_trip(FreelySerialized{{1, 2}}).values, (std::vector{1, 2}));
  EXPECT_EQ(round_trip(Versioned{}).seen, 7U);
  HasCArrays arrays;
  arrays.matrix[1][2] = 60;
  arrays.names[1] = "why";
  const auto there = round_trip(arrays);
  EXPECT_EQ(there.matrix[1][2], 60);
  EXPECT_EQ(there.names[1], "why");
  const std::map<std::string, std::vector<Account>> nested{{"x", {Account("a", 1), Account("b", 2)}}};
  EXPECT_EQ(round_trip(nested), nested);
}

TEST(Codec, exported_classes_travel_behind_pointers_to_their_base) {
  std::unique_ptr<Shape> unique = std::make_unique<Square>(3);
  EXPECT_EQ(round_trip(unique)->area(), 9);
  const std::shared_ptr<Shape> shape = std::make_shared<Square>(2);
  const auto square = std::dynamic_pointer_cast<Square>(shape);
  const auto there = round_trip(std::tuple(shape, square, std::string("x")));
  EXPECT_EQ(std::get<0>(there)->area(), 4);
  EXPECT_EQ(std::get<0>(there).get(), std::get<1>(there).get());
  EXPECT_EQ(std::get<0>(there).use_count(), 2);
}

TEST(Codec, shared_pointers_share_again) {
  const auto text = std::make_shared<std::string>("shared");
  const auto number = std::make_shared<const int>(3);
  const auto there = round_trip(std::tuple(text, number, text, number, std::shared_ptr<int>()));
  EXPECT_EQ(*std::get<0>(there), "shared");
  EXPECT_EQ(std::get<0>(there), std::get<2>(there));
  EXPECT_EQ(std::get<1>(there), std::get<3>(there));
  EXPECT_EQ(*std::get<1>(there), 3);
  EXPECT_EQ(std::get<4>(there), nullptr);
}

TEST(Codec, cycles_of_shared_and_weak_pointers_travel) {
  const auto root = std::make_shared<TreeNode>();
  root->value = 1;
  for (int i = 2; i < 4; ++i) {
    root->children.push_back(std::make_shared<TreeNode>(TreeNode{i, {}, root}));
  }
  const auto there = round_trip(root);
  ASSERT_EQ(there->children.size(), 2U);
  EXPECT_EQ(there->children[1]->value, 3);
  EXPECT_EQ(there->children[1]->parent.lock(), there);
  EXPECT_EQ(there.use_count(), 1);
}

TEST(Codec, tracked_elements_are_found_where_they_end_up) {
  std::vector<PointsToFellow> ring(100);
  for (std::size_t i = 0; i < ring.size(); ++i) {
    ring[i].value = static_cast<int>(i);
    if (i > 0) ring[i].fellow = &ring[i - 1];
  }
  const auto there = round_trip(ring);
  for (std::size_t i = 1; i < there.size(); ++i) ASSERT_EQ(there[i].fellow, &there[i - 1]);

  std::map<int, PointsToFellow> map;
  map[0].value = 7;
  map[1].fellow = &map[0];
  const auto map_there = round_trip(map);
  EXPECT_EQ(map_there.at(1).fellow, &map_there.at(0));

  std::vector<std::variant<int, PointsToFellow>> variants(2, PointsToFellow{});
  std::get<1>(variants[1]).fellow = &std::get<1>(variants[0]);
  const auto variants_there = round_trip(variants);
  EXPECT_EQ(std::get<1>(variants_there[1]).fellow, &std::get<1>(variants_there[0]));
}
