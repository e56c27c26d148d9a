// The types whose encodings are looked at: one of each way to travel.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <variant>
#include <vector>

#include <boost/serialization/base_object.hpp>
#include <boost/serialization/export.hpp>

#include <rankpool/detail/codec.hpp>

namespace rankpool::fuzz {

/// Takes no bytes.
struct Nothing {
  template <class Archive>
  void serialize(Archive& /*archive*/, unsigned /*version*/) {}
};

struct Account {
  std::string name;
  std::int64_t balance = 0;
  bool open = false;
  double history[2][3] = {};
  std::string owners[2] = {};
  template <class Archive>
  void serialize(Archive& archive, unsigned /*version*/) {
    archive& name& balance& open& history& owners;
  }
};

struct WithoutDefault {
  explicit WithoutDefault(int n) : number(n) {}
  int number;
};

struct Constructed {
  explicit Constructed(std::string text) : name(std::move(text)) {}
  std::string name;
  std::vector<int> rest{};
  template <class Archive>
  void serialize(Archive& archive, unsigned /*version*/) {
    archive& rest;
  }
};

/// Points to its own kind, down and up.
struct TreeNode {
  int value = 0;
  std::vector<std::shared_ptr<TreeNode>> children;
  std::weak_ptr<TreeNode> parent;
  template <class Archive>
  void serialize(Archive& archive, unsigned /*version*/) {
    archive& value& children& parent;
  }
};

/// Holds its own kind.
struct Nested {
  std::vector<Nested> inside;
  template <class Archive>
  void serialize(Archive& archive, unsigned /*version*/) {
    archive& inside;
  }
};

struct Shape {
  virtual ~Shape() = default;
  [[nodiscard]] virtual double area() const = 0;
  template <class Archive>
  void serialize(Archive& /*archive*/, unsigned /*version*/) {}
};

struct Square final : Shape {
  double side = 0;
  [[nodiscard]] double area() const override { return side * side; }
  template <class Archive>
  void serialize(Archive& archive, unsigned /*version*/) {
    archive& boost::serialization::base_object<Shape>(*this) & side;
  }
};

struct Hull final : Shape {
  std::vector<std::pair<double, double>> corners;
  std::shared_ptr<Shape> inner;
  [[nodiscard]] double area() const override { return static_cast<double>(corners.size()); }
  template <class Archive>
  void serialize(Archive& archive, unsigned /*version*/) {
    archive& boost::serialization::base_object<Shape>(*this) & corners& inner;
  }
};

/// Exported, but no Shape.
struct Stranger {
  virtual ~Stranger() = default;
  std::string text;
  template <class Archive>
  void serialize(Archive& archive, unsigned /*version*/) {
    archive& text;
  }
};

template <class... Types>
struct TypeList {
  static constexpr std::size_t size = sizeof...(Types);
};

/// Values; the first byte of an input is the place in this list.
using Values =
    TypeList<bool, int, std::optional<bool>, std::array<bool, 3>, std::pair<char, double>, std::string, std::wstring,
             std::vector<double>, std::vector<bool>, std::vector<std::string>, std::deque<std::list<std::string>>,
             std::pair<std::vector<int>, std::string>, std::tuple<std::string, std::vector<bool>, std::array<bool, 2>>,
             std::variant<int, std::string, std::vector<double>, WithoutDefault>,
             std::map<int, std::vector<std::optional<std::string>>>,
             std::multimap<std::string, std::pair<std::string, int>>, std::unordered_map<std::string, std::set<int>>,
             std::unordered_multiset<int>, std::vector<std::tuple<>>, std::list<std::vector<Nothing>>,
             std::filesystem::path, std::vector<WithoutDefault>, std::vector<Constructed>, std::vector<Account>,
             std::map<std::string, std::unique_ptr<Account>>,
             std::tuple<std::shared_ptr<std::string>, std::shared_ptr<const int>, std::shared_ptr<std::string>,
                        std::shared_ptr<std::vector<double>>>,
             std::vector<std::shared_ptr<TreeNode>>, Nested,
             std::tuple<std::unique_ptr<Shape>, std::shared_ptr<Shape>, std::shared_ptr<Square>,
                        std::vector<std::unique_ptr<Stranger>>>>;

/// Lists of arguments; their places follow those of the values.
using Arguments = TypeList<std::tuple<>, std::tuple<std::string>, std::tuple<int, bool, double>,
                           std::tuple<int, std::string, std::unique_ptr<int>, std::map<int, std::string>>,
                           std::tuple<std::vector<double>, std::vector<double>>>;

/// Results of runs of tasks; their places follow those of the arguments. The next byte is the number of tasks.
using Results = TypeList<double, bool, std::string, std::pair<int, std::string>, std::unique_ptr<int>>;

/// Behind all these: the settings of a pool.
inline constexpr std::size_t settings_place = Values::size + Arguments::size + Results::size;

/// Whether a value always has the same bytes.
template <class T>
inline constexpr bool has_order = true;
template <class... T>
inline constexpr bool has_order<std::unordered_map<T...>> = false;
template <class... T>
inline constexpr bool has_order<std::unordered_multiset<T...>> = false;

template <class T, class... Types>
consteval std::size_t place_in(TypeList<Types...> /*list*/) {
  std::size_t place = 0;
  (void)(... || (std::is_same_v<T, Types> || (++place, false)));
  return place;
}

}  // namespace rankpool::fuzz

namespace boost::serialization {

template <class Archive>
void save_construct_data(Archive& archive, const rankpool::fuzz::Constructed* value, unsigned /*version*/) {
  archive << value->name;
}

template <class Archive>
void load_construct_data(Archive& archive, rankpool::fuzz::Constructed* value, unsigned /*version*/) {
  std::string name;
  archive >> name;
  ::new (value) rankpool::fuzz::Constructed(std::move(name));
}

}  // namespace boost::serialization

BOOST_CLASS_EXPORT_KEY(rankpool::fuzz::Square)
BOOST_CLASS_EXPORT_KEY(rankpool::fuzz::Hull)
BOOST_CLASS_EXPORT_KEY(rankpool::fuzz::Stranger)
