/// @file
/// The types of an aggregate's members, found by structured bindings (up to 32 members).
#pragma once

#include <cstddef>
#include <type_traits>
#include <utility>

namespace rankpool::detail {

template <class... Types>
struct TypeList {};

// NOLINTBEGIN(google-explicit-constructor): these are there to be converted

/// Converts to whatever member it initialises, references included.
struct AnyMember {
  template <class T>
  operator T&() const;
};

/// Converts to bases of `T` only: `T{AnyBase<T>}` compiles when T has one.
template <class T>
struct AnyBase {
  template <class Base>
  requires(std::is_base_of_v<Base, T> && !std::is_same_v<Base, T>) operator Base&() const;
};

/// Converts to unions only. An anonymous one would break a structured binding and can't always be told from a named
/// one.
struct AnyUnion {
  template <class T>
  requires std::is_union_v<T>
  operator T&() const;
};

// NOLINTEND(google-explicit-constructor)

template <std::size_t>
using AnyMemberAt = AnyMember;

inline constexpr std::size_t max_members = 32;
inline constexpr std::size_t unknown_members = static_cast<std::size_t>(-1);

template <class T, class Before, class After>
inline constexpr bool braced_between = false;
template <class T, std::size_t... Before, std::size_t... After>
inline constexpr bool braced_between<T, std::index_sequence<Before...>, std::index_sequence<After...>> = requires {
  T{AnyMemberAt<Before>{}..., {AnyMember{}}, AnyMemberAt<After>{}...};
};

/// Members of an aggregate that can't be made from `T{}`, such as one with a reference; unknown when it has an array.
template <class T, std::size_t Count = max_members>
consteval std::size_t count_filled_members() {
  constexpr bool fits = []<std::size_t... I>(std::index_sequence<I...>) {
    return requires { T{AnyMemberAt<I>{}...}; };
  }
  (std::make_index_sequence<Count>{});
  if constexpr (fits) {
    constexpr bool one_each = []<std::size_t... I>(std::index_sequence<I...>) {
      return (... && braced_between<T, std::make_index_sequence<I>, std::make_index_sequence<Count - I - 1>>);
    }
    (std::make_index_sequence<Count>{});
    constexpr bool all = []<std::size_t... I>(std::index_sequence<I...>) {
      return !requires { T{AnyMemberAt<I>{}..., {}}; };
    }
    (std::make_index_sequence<Count>{});
    return one_each && all ? Count : unknown_members;
  } else if constexpr (Count == 0) {
    return unknown_members;
  } else {
    return count_filled_members<T, Count - 1>();
  }
}

#define RANKPOOL_EMPTY_8 \
  {}, {}, {}, {}, {}, {}, {}, {}
#define RANKPOOL_NAMES_8(x) x##1, x##2, x##3, x##4, x##5, x##6, x##7, x##8
#define RANKPOOL_TYPES_8(x)                                                                                       \
  decltype(x##1), decltype(x##2), decltype(x##3), decltype(x##4), decltype(x##5), decltype(x##6), decltype(x##7), \
      decltype(x##8)

// clang-format off
// NOLINTBEGIN(bugprone-branch-clone): one line for each number of members

/// Members of an aggregate that can be made from `T{}`: as many empty initialisers as it takes. Unlike values, those
/// never spread over the elements of an array.
template <class T>
consteval std::size_t count_empty_members() {
  if constexpr (!requires { T{{}}; }) return 0;
  else if constexpr (!requires { T{AnyMember{}}; } || requires { T{AnyUnion{}}; }) return unknown_members;
  else if constexpr (!requires { T{{}, {}}; }) return 1;
  else if constexpr (!requires { T{{}, AnyMember{}}; } || requires { T{{}, AnyUnion{}}; }) return unknown_members;
  else if constexpr (!requires { T{{}, {}, {}}; }) return 2;
  else if constexpr (!requires { T{{}, {}, AnyMember{}}; } || requires { T{{}, {}, AnyUnion{}}; }) return unknown_members;
  else if constexpr (!requires { T{{}, {}, {}, {}}; }) return 3;
  else if constexpr (!requires { T{{}, {}, {}, AnyMember{}}; } || requires { T{{}, {}, {}, AnyUnion{}}; }) return unknown_members;
  else if constexpr (!requires { T{{}, {}, {}, {}, {}}; }) return 4;
  else if constexpr (!requires { T{{}, {}, {}, {}, AnyMember{}}; } || requires { T{{}, {}, {}, {}, AnyUnion{}}; }) return unknown_members;
  else if constexpr (!requires { T{{}, {}, {}, {}, {}, {}}; }) return 5;
  else if constexpr (!requires { T{{}, {}, {}, {}, {}, AnyMember{}}; } || requires { T{{}, {}, {}, {}, {}, AnyUnion{}}; }) return unknown_members;
  else if constexpr (!requires { T{{}, {}, {}, {}, {}, {}, {}}; }) return 6;
  else if constexpr (!requires { T{{}, {}, {}, {}, {}, {}, AnyMember{}}; } || requires { T{{}, {}, {}, {}, {}, {}, AnyUnion{}}; }) return unknown_members;
  else if constexpr (!requires { T{RANKPOOL_EMPTY_8}; }) return 7;
  else if constexpr (!requires { T{{}, {}, {}, {}, {}, {}, {}, AnyMember{}}; } || requires { T{{}, {}, {}, {}, {}, {}, {}, AnyUnion{}}; }) return unknown_members;
  else if constexpr (!requires { T{RANKPOOL_EMPTY_8, {}}; }) return 8;
  else if constexpr (!requires { T{RANKPOOL_EMPTY_8, AnyMember{}}; } || requires { T{RANKPOOL_EMPTY_8, AnyUnion{}}; }) return unknown_members;
  else if constexpr (!requires { T{RANKPOOL_EMPTY_8, {}, {}}; }) return 9;
  else if constexpr (!requires { T{RANKPOOL_EMPTY_8, {}, AnyMember{}}; } || requires { T{RANKPOOL_EMPTY_8, {}, AnyUnion{}}; }) return unknown_members;
  else if constexpr (!requires { T{RANKPOOL_EMPTY_8, {}, {}, {}}; }) return 10;
  else if constexpr (!requires { T{RANKPOOL_EMPTY_8, {}, {}, AnyMember{}}; } || requires { T{RANKPOOL_EMPTY_8, {}, {}, AnyUnion{}}; }) return unknown_members;
  else if constexpr (!requires { T{RANKPOOL_EMPTY_8, {}, {}, {}, {}}; }) return 11;
  else if constexpr (!requires { T{RANKPOOL_EMPTY_8, {}, {}, {}, AnyMember{}}; } || requires { T{RANKPOOL_EMPTY_8, {}, {}, {}, AnyUnion{}}; }) return unknown_members;
  else if constexpr (!requires { T{RANKPOOL_EMPTY_8, {}, {}, {}, {}, {}}; }) return 12;
  else if constexpr (!requires { T{RANKPOOL_EMPTY_8, {}, {}, {}, {}, AnyMember{}}; } || requires { T{RANKPOOL_EMPTY_8, {}, {}, {}, {}, AnyUnion{}}; }) return unknown_members;
  else if constexpr (!requires { T{RANKPOOL_EMPTY_8, {}, {}, {}, {}, {}, {}}; }) return 13;
  else if constexpr (!requires { T{RANKPOOL_EMPTY_8, {}, {}, {}, {}, {}, AnyMember{}}; } || requires { T{RANKPOOL_EMPTY_8, {}, {}, {}, {}, {}, AnyUnion{}}; }) return unknown_members;
  else if constexpr (!requires { T{RANKPOOL_EMPTY_8, {}, {}, {}, {}, {}, {}, {}}; }) return 14;
  else if constexpr (!requires { T{RANKPOOL_EMPTY_8, {}, {}, {}, {}, {}, {}, AnyMember{}}; } || requires { T{RANKPOOL_EMPTY_8, {}, {}, {}, {}, {}, {}, AnyUnion{}}; }) return unknown_members;
  else if constexpr (!requires { T{RANKPOOL_EMPTY_8, RANKPOOL_EMPTY_8}; }) return 15;
  else if constexpr (!requires { T{RANKPOOL_EMPTY_8, {}, {}, {}, {}, {}, {}, {}, AnyMember{}}; } || requires { T{RANKPOOL_EMPTY_8, {}, {}, {}, {}, {}, {}, {}, AnyUnion{}}; }) return unknown_members;
  else if constexpr (!requires { T{RANKPOOL_EMPTY_8, RANKPOOL_EMPTY_8, {}}; }) return 16;
  else if constexpr (!requires { T{RANKPOOL_EMPTY_8, RANKPOOL_EMPTY_8, AnyMember{}}; } || requires { T{RANKPOOL_EMPTY_8, RANKPOOL_EMPTY_8, AnyUnion{}}; }) return unknown_members;
  else if constexpr (!requires { T{RANKPOOL_EMPTY_8, RANKPOOL_EMPTY_8, {}, {}}; }) return 17;
  else if constexpr (!requires { T{RANKPOOL_EMPTY_8, RANKPOOL_EMPTY_8, {}, AnyMember{}}; } || requires { T{RANKPOOL_EMPTY_8, RANKPOOL_EMPTY_8, {}, AnyUnion{}}; }) return unknown_members;
  else if constexpr (!requires { T{RANKPOOL_EMPTY_8, RANKPOOL_EMPTY_8, {}, {}, {}}; }) return 18;
  else if constexpr (!requires { T{RANKPOOL_EMPTY_8, RANKPOOL_EMPTY_8, {}, {}, AnyMember{}}; } || requires { T{RANKPOOL_EMPTY_8, RANKPOOL_EMPTY_8, {}, {}, AnyUnion{}}; }) return unknown_members;
  else if constexpr (!requires { T{RANKPOOL_EMPTY_8, RANKPOOL_EMPTY_8, {}, {}, {}, {}}; }) return 19;
  else if constexpr (!requires { T{RANKPOOL_EMPTY_8, RANKPOOL_EMPTY_8, {}, {}, {}, AnyMember{}}; } || requires { T{RANKPOOL_EMPTY_8, RANKPOOL_EMPTY_8, {}, {}, {}, AnyUnion{}}; }) return unknown_members;
  else if constexpr (!requires { T{RANKPOOL_EMPTY_8, RANKPOOL_EMPTY_8, {}, {}, {}, {}, {}}; }) return 20;
  else if constexpr (!requires { T{RANKPOOL_EMPTY_8, RANKPOOL_EMPTY_8, {}, {}, {}, {}, AnyMember{}}; } || requires { T{RANKPOOL_EMPTY_8, RANKPOOL_EMPTY_8, {}, {}, {}, {}, AnyUnion{}}; }) return unknown_members;
  else if constexpr (!requires { T{RANKPOOL_EMPTY_8, RANKPOOL_EMPTY_8, {}, {}, {}, {}, {}, {}}; }) return 21;
  else if constexpr (!requires { T{RANKPOOL_EMPTY_8, RANKPOOL_EMPTY_8, {}, {}, {}, {}, {}, AnyMember{}}; } || requires { T{RANKPOOL_EMPTY_8, RANKPOOL_EMPTY_8, {}, {}, {}, {}, {}, AnyUnion{}}; }) return unknown_members;
  else if constexpr (!requires { T{RANKPOOL_EMPTY_8, RANKPOOL_EMPTY_8, {}, {}, {}, {}, {}, {}, {}}; }) return 22;
  else if constexpr (!requires { T{RANKPOOL_EMPTY_8, RANKPOOL_EMPTY_8, {}, {}, {}, {}, {}, {}, AnyMember{}}; } || requires { T{RANKPOOL_EMPTY_8, RANKPOOL_EMPTY_8, {}, {}, {}, {}, {}, {}, AnyUnion{}}; }) return unknown_members;
  else if constexpr (!requires { T{RANKPOOL_EMPTY_8, RANKPOOL_EMPTY_8, RANKPOOL_EMPTY_8}; }) return 23;
  else if constexpr (!requires { T{RANKPOOL_EMPTY_8, RANKPOOL_EMPTY_8, {}, {}, {}, {}, {}, {}, {}, AnyMember{}}; } || requires { T{RANKPOOL_EMPTY_8, RANKPOOL_EMPTY_8, {}, {}, {}, {}, {}, {}, {}, AnyUnion{}}; }) return unknown_members;
  else if constexpr (!requires { T{RANKPOOL_EMPTY_8, RANKPOOL_EMPTY_8, RANKPOOL_EMPTY_8, {}}; }) return 24;
  else if constexpr (!requires { T{RANKPOOL_EMPTY_8, RANKPOOL_EMPTY_8, RANKPOOL_EMPTY_8, AnyMember{}}; } || requires { T{RANKPOOL_EMPTY_8, RANKPOOL_EMPTY_8, RANKPOOL_EMPTY_8, AnyUnion{}}; }) return unknown_members;
  else if constexpr (!requires { T{RANKPOOL_EMPTY_8, RANKPOOL_EMPTY_8, RANKPOOL_EMPTY_8, {}, {}}; }) return 25;
  else if constexpr (!requires { T{RANKPOOL_EMPTY_8, RANKPOOL_EMPTY_8, RANKPOOL_EMPTY_8, {}, AnyMember{}}; } || requires { T{RANKPOOL_EMPTY_8, RANKPOOL_EMPTY_8, RANKPOOL_EMPTY_8, {}, AnyUnion{}}; }) return unknown_members;
  else if constexpr (!requires { T{RANKPOOL_EMPTY_8, RANKPOOL_EMPTY_8, RANKPOOL_EMPTY_8, {}, {}, {}}; }) return 26;
  else if constexpr (!requires { T{RANKPOOL_EMPTY_8, RANKPOOL_EMPTY_8, RANKPOOL_EMPTY_8, {}, {}, AnyMember{}}; } || requires { T{RANKPOOL_EMPTY_8, RANKPOOL_EMPTY_8, RANKPOOL_EMPTY_8, {}, {}, AnyUnion{}}; }) return unknown_members;
  else if constexpr (!requires { T{RANKPOOL_EMPTY_8, RANKPOOL_EMPTY_8, RANKPOOL_EMPTY_8, {}, {}, {}, {}}; }) return 27;
  else if constexpr (!requires { T{RANKPOOL_EMPTY_8, RANKPOOL_EMPTY_8, RANKPOOL_EMPTY_8, {}, {}, {}, AnyMember{}}; } || requires { T{RANKPOOL_EMPTY_8, RANKPOOL_EMPTY_8, RANKPOOL_EMPTY_8, {}, {}, {}, AnyUnion{}}; }) return unknown_members;
  else if constexpr (!requires { T{RANKPOOL_EMPTY_8, RANKPOOL_EMPTY_8, RANKPOOL_EMPTY_8, {}, {}, {}, {}, {}}; }) return 28;
  else if constexpr (!requires { T{RANKPOOL_EMPTY_8, RANKPOOL_EMPTY_8, RANKPOOL_EMPTY_8, {}, {}, {}, {}, AnyMember{}}; } || requires { T{RANKPOOL_EMPTY_8, RANKPOOL_EMPTY_8, RANKPOOL_EMPTY_8, {}, {}, {}, {}, AnyUnion{}}; }) return unknown_members;
  else if constexpr (!requires { T{RANKPOOL_EMPTY_8, RANKPOOL_EMPTY_8, RANKPOOL_EMPTY_8, {}, {}, {}, {}, {}, {}}; }) return 29;
  else if constexpr (!requires { T{RANKPOOL_EMPTY_8, RANKPOOL_EMPTY_8, RANKPOOL_EMPTY_8, {}, {}, {}, {}, {}, AnyMember{}}; } || requires { T{RANKPOOL_EMPTY_8, RANKPOOL_EMPTY_8, RANKPOOL_EMPTY_8, {}, {}, {}, {}, {}, AnyUnion{}}; }) return unknown_members;
  else if constexpr (!requires { T{RANKPOOL_EMPTY_8, RANKPOOL_EMPTY_8, RANKPOOL_EMPTY_8, {}, {}, {}, {}, {}, {}, {}}; }) return 30;
  else if constexpr (!requires { T{RANKPOOL_EMPTY_8, RANKPOOL_EMPTY_8, RANKPOOL_EMPTY_8, {}, {}, {}, {}, {}, {}, AnyMember{}}; } || requires { T{RANKPOOL_EMPTY_8, RANKPOOL_EMPTY_8, RANKPOOL_EMPTY_8, {}, {}, {}, {}, {}, {}, AnyUnion{}}; }) return unknown_members;
  else if constexpr (!requires { T{RANKPOOL_EMPTY_8, RANKPOOL_EMPTY_8, RANKPOOL_EMPTY_8, RANKPOOL_EMPTY_8}; }) return 31;
  else if constexpr (!requires { T{RANKPOOL_EMPTY_8, RANKPOOL_EMPTY_8, RANKPOOL_EMPTY_8, {}, {}, {}, {}, {}, {}, {}, AnyMember{}}; } || requires { T{RANKPOOL_EMPTY_8, RANKPOOL_EMPTY_8, RANKPOOL_EMPTY_8, {}, {}, {}, {}, {}, {}, {}, AnyUnion{}}; }) return unknown_members;
  else if constexpr (!requires { T{RANKPOOL_EMPTY_8, RANKPOOL_EMPTY_8, RANKPOOL_EMPTY_8, RANKPOOL_EMPTY_8, {}}; }) return 32;
  else if constexpr (!requires { T{RANKPOOL_EMPTY_8, RANKPOOL_EMPTY_8, RANKPOOL_EMPTY_8, RANKPOOL_EMPTY_8, AnyMember{}}; } || requires { T{RANKPOOL_EMPTY_8, RANKPOOL_EMPTY_8, RANKPOOL_EMPTY_8, RANKPOOL_EMPTY_8, AnyUnion{}}; }) return unknown_members;
  else return unknown_members;
}

/// @returns the TypeList of the members' types; with a reference member as its reference type.
template <std::size_t Count, class T>
constexpr auto bind_members([[maybe_unused]] T& object) {
  if constexpr (Count == 0) { return TypeList<>{}; }
  else if constexpr (Count == 1) { auto& [a1] = object; return TypeList<decltype(a1)>{}; }
  else if constexpr (Count == 2) { auto& [a1, a2] = object; return TypeList<decltype(a1), decltype(a2)>{}; }
  else if constexpr (Count == 3) { auto& [a1, a2, a3] = object; return TypeList<decltype(a1), decltype(a2), decltype(a3)>{}; }
  else if constexpr (Count == 4) { auto& [a1, a2, a3, a4] = object; return TypeList<decltype(a1), decltype(a2), decltype(a3), decltype(a4)>{}; }
  else if constexpr (Count == 5) { auto& [a1, a2, a3, a4, a5] = object; return TypeList<decltype(a1), decltype(a2), decltype(a3), decltype(a4), decltype(a5)>{}; }
  else if constexpr (Count == 6) { auto& [a1, a2, a3, a4, a5, a6] = object; return TypeList<decltype(a1), decltype(a2), decltype(a3), decltype(a4), decltype(a5), decltype(a6)>{}; }
  else if constexpr (Count == 7) { auto& [a1, a2, a3, a4, a5, a6, a7] = object; return TypeList<decltype(a1), decltype(a2), decltype(a3), decltype(a4), decltype(a5), decltype(a6), decltype(a7)>{}; }
  else if constexpr (Count == 8) { auto& [RANKPOOL_NAMES_8(a)] = object; return TypeList<RANKPOOL_TYPES_8(a)>{}; }
  else if constexpr (Count == 9) { auto& [RANKPOOL_NAMES_8(a), b1] = object; return TypeList<RANKPOOL_TYPES_8(a), decltype(b1)>{}; }
  else if constexpr (Count == 10) { auto& [RANKPOOL_NAMES_8(a), b1, b2] = object; return TypeList<RANKPOOL_TYPES_8(a), decltype(b1), decltype(b2)>{}; }
  else if constexpr (Count == 11) { auto& [RANKPOOL_NAMES_8(a), b1, b2, b3] = object; return TypeList<RANKPOOL_TYPES_8(a), decltype(b1), decltype(b2), decltype(b3)>{}; }
  else if constexpr (Count == 12) { auto& [RANKPOOL_NAMES_8(a), b1, b2, b3, b4] = object; return TypeList<RANKPOOL_TYPES_8(a), decltype(b1), decltype(b2), decltype(b3), decltype(b4)>{}; }
  else if constexpr (Count == 13) { auto& [RANKPOOL_NAMES_8(a), b1, b2, b3, b4, b5] = object; return TypeList<RANKPOOL_TYPES_8(a), decltype(b1), decltype(b2), decltype(b3), decltype(b4), decltype(b5)>{}; }
  else if constexpr (Count == 14) { auto& [RANKPOOL_NAMES_8(a), b1, b2, b3, b4, b5, b6] = object; return TypeList<RANKPOOL_TYPES_8(a), decltype(b1), decltype(b2), decltype(b3), decltype(b4), decltype(b5), decltype(b6)>{}; }
  else if constexpr (Count == 15) { auto& [RANKPOOL_NAMES_8(a), b1, b2, b3, b4, b5, b6, b7] = object; return TypeList<RANKPOOL_TYPES_8(a), decltype(b1), decltype(b2), decltype(b3), decltype(b4), decltype(b5), decltype(b6), decltype(b7)>{}; }
  else if constexpr (Count == 16) { auto& [RANKPOOL_NAMES_8(a), RANKPOOL_NAMES_8(b)] = object; return TypeList<RANKPOOL_TYPES_8(a), RANKPOOL_TYPES_8(b)>{}; }
  else if constexpr (Count == 17) { auto& [RANKPOOL_NAMES_8(a), RANKPOOL_NAMES_8(b), c1] = object; return TypeList<RANKPOOL_TYPES_8(a), RANKPOOL_TYPES_8(b), decltype(c1)>{}; }
  else if constexpr (Count == 18) { auto& [RANKPOOL_NAMES_8(a), RANKPOOL_NAMES_8(b), c1, c2] = object; return TypeList<RANKPOOL_TYPES_8(a), RANKPOOL_TYPES_8(b), decltype(c1), decltype(c2)>{}; }
  else if constexpr (Count == 19) { auto& [RANKPOOL_NAMES_8(a), RANKPOOL_NAMES_8(b), c1, c2, c3] = object; return TypeList<RANKPOOL_TYPES_8(a), RANKPOOL_TYPES_8(b), decltype(c1), decltype(c2), decltype(c3)>{}; }
  else if constexpr (Count == 20) { auto& [RANKPOOL_NAMES_8(a), RANKPOOL_NAMES_8(b), c1, c2, c3, c4] = object; return TypeList<RANKPOOL_TYPES_8(a), RANKPOOL_TYPES_8(b), decltype(c1), decltype(c2), decltype(c3), decltype(c4)>{}; }
  else if constexpr (Count == 21) { auto& [RANKPOOL_NAMES_8(a), RANKPOOL_NAMES_8(b), c1, c2, c3, c4, c5] = object; return TypeList<RANKPOOL_TYPES_8(a), RANKPOOL_TYPES_8(b), decltype(c1), decltype(c2), decltype(c3), decltype(c4), decltype(c5)>{}; }
  else if constexpr (Count == 22) { auto& [RANKPOOL_NAMES_8(a), RANKPOOL_NAMES_8(b), c1, c2, c3, c4, c5, c6] = object; return TypeList<RANKPOOL_TYPES_8(a), RANKPOOL_TYPES_8(b), decltype(c1), decltype(c2), decltype(c3), decltype(c4), decltype(c5), decltype(c6)>{}; }
  else if constexpr (Count == 23) { auto& [RANKPOOL_NAMES_8(a), RANKPOOL_NAMES_8(b), c1, c2, c3, c4, c5, c6, c7] = object; return TypeList<RANKPOOL_TYPES_8(a), RANKPOOL_TYPES_8(b), decltype(c1), decltype(c2), decltype(c3), decltype(c4), decltype(c5), decltype(c6), decltype(c7)>{}; }
  else if constexpr (Count == 24) { auto& [RANKPOOL_NAMES_8(a), RANKPOOL_NAMES_8(b), RANKPOOL_NAMES_8(c)] = object; return TypeList<RANKPOOL_TYPES_8(a), RANKPOOL_TYPES_8(b), RANKPOOL_TYPES_8(c)>{}; }
  else if constexpr (Count == 25) { auto& [RANKPOOL_NAMES_8(a), RANKPOOL_NAMES_8(b), RANKPOOL_NAMES_8(c), d1] = object; return TypeList<RANKPOOL_TYPES_8(a), RANKPOOL_TYPES_8(b), RANKPOOL_TYPES_8(c), decltype(d1)>{}; }
  else if constexpr (Count == 26) { auto& [RANKPOOL_NAMES_8(a), RANKPOOL_NAMES_8(b), RANKPOOL_NAMES_8(c), d1, d2] = object; return TypeList<RANKPOOL_TYPES_8(a), RANKPOOL_TYPES_8(b), RANKPOOL_TYPES_8(c), decltype(d1), decltype(d2)>{}; }
  else if constexpr (Count == 27) { auto& [RANKPOOL_NAMES_8(a), RANKPOOL_NAMES_8(b), RANKPOOL_NAMES_8(c), d1, d2, d3] = object; return TypeList<RANKPOOL_TYPES_8(a), RANKPOOL_TYPES_8(b), RANKPOOL_TYPES_8(c), decltype(d1), decltype(d2), decltype(d3)>{}; }
  else if constexpr (Count == 28) { auto& [RANKPOOL_NAMES_8(a), RANKPOOL_NAMES_8(b), RANKPOOL_NAMES_8(c), d1, d2, d3, d4] = object; return TypeList<RANKPOOL_TYPES_8(a), RANKPOOL_TYPES_8(b), RANKPOOL_TYPES_8(c), decltype(d1), decltype(d2), decltype(d3), decltype(d4)>{}; }
  else if constexpr (Count == 29) { auto& [RANKPOOL_NAMES_8(a), RANKPOOL_NAMES_8(b), RANKPOOL_NAMES_8(c), d1, d2, d3, d4, d5] = object; return TypeList<RANKPOOL_TYPES_8(a), RANKPOOL_TYPES_8(b), RANKPOOL_TYPES_8(c), decltype(d1), decltype(d2), decltype(d3), decltype(d4), decltype(d5)>{}; }
  else if constexpr (Count == 30) { auto& [RANKPOOL_NAMES_8(a), RANKPOOL_NAMES_8(b), RANKPOOL_NAMES_8(c), d1, d2, d3, d4, d5, d6] = object; return TypeList<RANKPOOL_TYPES_8(a), RANKPOOL_TYPES_8(b), RANKPOOL_TYPES_8(c), decltype(d1), decltype(d2), decltype(d3), decltype(d4), decltype(d5), decltype(d6)>{}; }
  else if constexpr (Count == 31) { auto& [RANKPOOL_NAMES_8(a), RANKPOOL_NAMES_8(b), RANKPOOL_NAMES_8(c), d1, d2, d3, d4, d5, d6, d7] = object; return TypeList<RANKPOOL_TYPES_8(a), RANKPOOL_TYPES_8(b), RANKPOOL_TYPES_8(c), decltype(d1), decltype(d2), decltype(d3), decltype(d4), decltype(d5), decltype(d6), decltype(d7)>{}; }
  else if constexpr (Count == 32) { auto& [RANKPOOL_NAMES_8(a), RANKPOOL_NAMES_8(b), RANKPOOL_NAMES_8(c), RANKPOOL_NAMES_8(d)] = object; return TypeList<RANKPOOL_TYPES_8(a), RANKPOOL_TYPES_8(b), RANKPOOL_TYPES_8(c), RANKPOOL_TYPES_8(d)>{}; }
}

// NOLINTEND(bugprone-branch-clone)
// clang-format on

#undef RANKPOOL_EMPTY_8
#undef RANKPOOL_NAMES_8
#undef RANKPOOL_TYPES_8

/// @returns the number of members, or unknown_members where structured bindings can't tell.
template <class T>
consteval std::size_t count_members() {
  if constexpr (!std::is_aggregate_v<T> || !std::is_class_v<T> || requires { T{AnyBase<T>{}}; }) {
    return unknown_members;
  } else if constexpr (requires { T{}; }) {
    return count_empty_members<T>();
  } else {
    return count_filled_members<T>();
  }
}

template <class T>
inline constexpr bool has_known_members = count_members<T>() != unknown_members;

/// TypeList of the members of an aggregate with known members.
template <class T>
using members_t = decltype(bind_members<count_members<T>()>(std::declval<T&>()));

}  // namespace rankpool::detail
