/// @file
/// The parameters of a callable, where it has one set of them.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <vector>

#include <rankpool/detail/bitwise.hpp>

namespace rankpool {

template <auto f>
struct Fn;

namespace detail {

/// The type that owns what a parameter takes: a std::string for a string_view, a vector for a span.
template <class Parameter>
struct Owned {
  using type = std::decay_t<Parameter>;
};
template <class Char, class Traits>
struct Owned<std::basic_string_view<Char, Traits>> {
  using type = std::basic_string<Char, Traits>;
};
template <class T, std::size_t Extent>
struct Owned<std::span<T, Extent>> {
  using type = std::vector<std::remove_cv_t<T>>;
};
template <class Parameter>
using owned_t = typename Owned<std::remove_cvref_t<Parameter>>::type;

/// `type` is the std::tuple of what a callable's parameters own, `Parameters` the TypeList of those as declared. Both
/// are missing when it has several call operators, or a template.
template <class F>
struct Signature {};

template <class Result, class... Parameters_>
struct Signature<Result (*)(Parameters_...)> {
  using Parameters = TypeList<Parameters_...>;
  using type = std::tuple<owned_t<Parameters_>...>;
};
template <class Result, class... Parameters>
struct Signature<Result (*)(Parameters...) noexcept> : Signature<Result (*)(Parameters...)> {};

/// A member function as a function of the object and its parameters.
template <class Member>
struct MemberSignature;

// NOLINTBEGIN(bugprone-macro-parentheses): a type takes none
#define RANKPOOL_MEMBER_SIGNATURE(qualifiers)                           \
  template <class Result, class Class, class... Parameters>             \
  struct MemberSignature<Result (Class::*)(Parameters...) qualifiers> { \
    using Called = Signature<Result (*)(Parameters...)>;                \
    using WithObject = Signature<Result (*)(Class, Parameters...)>;     \
  };
RANKPOOL_MEMBER_SIGNATURE()
RANKPOOL_MEMBER_SIGNATURE(const)
RANKPOOL_MEMBER_SIGNATURE(&)
RANKPOOL_MEMBER_SIGNATURE(const&)
RANKPOOL_MEMBER_SIGNATURE(&&)
RANKPOOL_MEMBER_SIGNATURE(noexcept)
RANKPOOL_MEMBER_SIGNATURE(const noexcept)
RANKPOOL_MEMBER_SIGNATURE(&noexcept)
RANKPOOL_MEMBER_SIGNATURE(const& noexcept)
RANKPOOL_MEMBER_SIGNATURE(&&noexcept)
#undef RANKPOOL_MEMBER_SIGNATURE
// NOLINTEND(bugprone-macro-parentheses)

template <class F>
requires std::is_member_function_pointer_v<F>
struct Signature<F> : MemberSignature<F>::WithObject {
};

template <class F>
requires requires { &F::operator(); }
struct Signature<F> : MemberSignature<decltype(&F::operator())>::Called {};

template <auto f>
struct Signature<Fn<f>> : Signature<std::decay_t<decltype(f)>> {};

/// F has one set of parameters.
template <class F>
concept has_signature = requires {
  typename Signature<std::decay_t<F>>::type;
};

template <class F>
struct ArgumentsOf {
  using type = void;
};
template <has_signature F>
struct ArgumentsOf<F> : Signature<std::decay_t<F>> {};

/// std::tuple of the owned types of F's parameters; void when F has no single set of them. SFINAE-friendly.
template <class F>
using arguments_of_t = typename ArgumentsOf<F>::type;

}  // namespace detail
}  // namespace rankpool
