#include <gtest/gtest.h>

#include <exception>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <rankpool/detail/exception_image.hpp>
#include <rankpool/errors.hpp>

#include "sent_exceptions.hpp"

namespace {

using namespace rankpool::test;
using rankpool::Error;
using rankpool::Remote;
using rankpool::RemoteError;

class Diverged : public std::runtime_error {
 public:
  Diverged() : std::runtime_error("diverged") {}
  Diverged(std::vector<double> residuals, std::string solver)
      : std::runtime_error("diverged in " + solver), residuals_(std::move(residuals)), solver_(std::move(solver)) {}
  const std::vector<double>& residuals() const { return residuals_; }
  const std::string& solver() const { return solver_; }

 private:
  friend class boost::serialization::access;
  template <class Archive>
  void serialize(Archive& archive, unsigned /*version*/) {
    archive& residuals_& solver_;
  }

  std::vector<double> residuals_;
  std::string solver_;
};

struct FromText : std::domain_error {
  explicit FromText(const std::string& text) : std::domain_error(text) {}
};
struct TextAndState : std::runtime_error {
  explicit TextAndState(const std::string& text, int at = 0) : std::runtime_error(text), step(at) {}
  template <class Archive>
  void serialize(Archive& archive, unsigned /*version*/) {
    archive& step;
  }
  int step;
};
struct Code {  // no std base, no default constructor
  explicit Code(int number) : value(number) {}
  int value;
};
struct Stateless : std::exception {
  const char* what() const noexcept override { return "stateless"; }
};
struct Base : std::runtime_error {
  using runtime_error::runtime_error;
};
struct Middle : Base {
  using Base::Base;
};
struct Leaf : Middle {
  using Middle::Middle;
};
struct VirtualBase : virtual std::exception {
  VirtualBase() = default;
  explicit VirtualBase(const std::string& given) : text(given) {}
  const char* what() const noexcept override { return text.c_str(); }
  std::string text;
};
struct OwnTree {  // polymorphic, without std base
  virtual ~OwnTree() = default;
  OwnTree() = default;
  OwnTree(const OwnTree&) = default;
  OwnTree& operator=(const OwnTree&) = default;
  std::string reason;
  template <class Archive>
  void serialize(Archive& archive, unsigned /*version*/) {
    archive& reason;
  }
};
struct BadSave : std::runtime_error {
  BadSave() : std::runtime_error("bad save") {}
  template <class Archive>
  void serialize(Archive& /*archive*/, unsigned /*version*/) {
    throw std::logic_error("serialize failed");
  }
};
struct BadLoad : std::runtime_error {
  BadLoad() : std::runtime_error("bad load") {}
  template <class Archive>
  void serialize(Archive& /*archive*/, unsigned /*version*/) {
    if constexpr (Archive::is_loading::value) throw std::logic_error("no licence");
  }
};

TEST(RegisteredException, with_serialize_arrives_with_its_whole_state) {
  rankpool::register_exception<Diverged>();
  const auto error = sent([] { throw Diverged({1.5, 2.5}, "gmres"); });
  expect_caught<Diverged>(error, [](const Diverged& caught) {
    EXPECT_EQ(caught.residuals(), (std::vector<double>{1.5, 2.5}));
    EXPECT_EQ(caught.solver(), "gmres");
    EXPECT_STREQ(caught.what(), "diverged in gmres");
  });
  EXPECT_TRUE(is_caught_as<std::runtime_error>(error));
  EXPECT_TRUE(is_caught_as<RemoteError>(error));
  EXPECT_TRUE(is_caught_as<Error>(error));
}

TEST(RegisteredException, thrown_with_a_nested_one_keeps_state_and_chain) {
  rankpool::register_exception<Diverged>();
  const auto error = sent([] {
    try {
      throw std::overflow_error("pivot");
    } catch (...) {
      std::throw_with_nested(Diverged({9.0}, "lu"));
    }
  });
  expect_caught<Remote<Diverged>>(error, [](const Remote<Diverged>& caught) {
    EXPECT_EQ(caught.solver(), "lu");
    EXPECT_EQ(caught.causes(), std::vector<std::string>{"pivot"});
    EXPECT_TRUE(contains(caught.type_name(), "Diverged"));
    EXPECT_FALSE(contains(caught.type_name(), "_Nested"));
  });
}

TEST(RegisteredException, from_text_is_made_from_its_text) {
  rankpool::register_exception<FromText>();
  const auto error = sent([] { throw FromText("x < 0"); });
  expect_caught<FromText>(error, [](const FromText& caught) { EXPECT_STREQ(caught.what(), "x < 0"); });
  EXPECT_TRUE(is_caught_as<std::domain_error>(error));
}

TEST(RegisteredException, with_text_and_serialize_gets_both) {
  rankpool::register_exception<TextAndState>();
  expect_caught<TextAndState>(sent([] { throw TextAndState("late", 8); }), [](const TextAndState& caught) {
    const TextAndState sliced = caught;  // NOLINT: the object inside must have the text as well
    EXPECT_STREQ(sliced.what(), "late");
    EXPECT_EQ(sliced.step, 8);
  });
}

TEST(RegisteredException, that_is_trivially_copyable_arrives_with_its_bytes) {
  rankpool::register_exception<Code>();
  const auto error = sent([] { throw Code(77); });
  expect_caught<Code>(error, [](const Code& caught) { EXPECT_EQ(caught.value, 77); });
  EXPECT_TRUE(contains(remote_text(error), "Code"));
}

TEST(RegisteredException, without_state_is_made_anew) {
  rankpool::register_exception<Stateless>();
  expect_caught<Stateless>(sent([] { throw Stateless(); }),
                           [](const Stateless& caught) { EXPECT_STREQ(caught.what(), "stateless"); });
}

TEST(RegisteredException, outside_the_std_tree_is_caught_by_its_own_tree) {
  rankpool::register_exception<OwnTree>();
  const auto error = sent([] {
    OwnTree thrown;
    thrown.reason = "no fuel";
    throw thrown;
  });
  expect_caught<OwnTree>(error, [](const OwnTree& caught) { EXPECT_EQ(caught.reason, "no fuel"); });
  EXPECT_TRUE(is_caught_as<RemoteError>(error));
}

TEST(RegisteredException, with_a_virtual_std_base_is_caught_as_such) {
  rankpool::register_exception<VirtualBase>();
  const auto error = sent([] { throw VirtualBase("virtual"); });
  expect_caught<VirtualBase>(error, [](const VirtualBase& caught) { EXPECT_EQ(caught.text, "virtual"); });
  expect_caught<std::exception>(error, [](const std::exception& caught) { EXPECT_STREQ(caught.what(), "virtual"); });
}

TEST(RegisteredException, is_found_before_its_registered_bases_in_any_order_of_registration) {
  rankpool::register_exception<Middle>();
  rankpool::register_exception<Base>();
  rankpool::register_exception<Leaf>();
  rankpool::register_exception<Base>();
  EXPECT_TRUE(is_caught_as<Remote<Leaf>>(sent([] { throw Leaf("leaf"); })));
  EXPECT_TRUE(is_caught_as<Remote<Middle>>(sent([] { throw Middle("middle"); })));
  EXPECT_TRUE(is_caught_as<Remote<Base>>(sent([] { throw Base("base"); })));
}

TEST(RegisteredException, catches_unregistered_types_derived_from_it) {
  struct Derived : FromText {
    using FromText::FromText;
  };
  rankpool::register_exception<FromText>();
  EXPECT_TRUE(is_caught_as<Remote<FromText>>(sent([] { throw Derived("derived"); })));
}

TEST(RegisteredException, of_a_standard_type_changes_nothing) {
  rankpool::register_exception<std::runtime_error>();
  EXPECT_TRUE(is_caught_as<Remote<std::range_error>>(sent([] { throw std::range_error("r"); })));
  EXPECT_TRUE(is_caught_as<Remote<std::runtime_error>>(sent([] { throw std::runtime_error("r"); })));
}

TEST(RegisteredException, whose_serialize_throws_in_the_task_arrives_as_its_standard_base) {
  rankpool::register_exception<BadSave>();
  const auto error = sent([] { throw BadSave(); });
  EXPECT_TRUE(is_caught_as<Remote<std::runtime_error>>(error));
  EXPECT_EQ(remote_text(error), "bad save");
  EXPECT_TRUE(contains(remote_type(error), "BadSave"));
}

TEST(RegisteredException, whose_serialize_throws_at_the_master_tells_both_texts) {
  rankpool::register_exception<BadLoad>();
  const std::string text = remote_text(sent([] { throw BadLoad(); }));
  EXPECT_TRUE(contains(text, "bad load")) << text;
  EXPECT_TRUE(contains(text, "no licence")) << text;
}

}  // namespace
