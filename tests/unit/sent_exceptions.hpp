/// @file
/// Sends exceptions the way they travel from a task to the master.
#pragma once

#include <gtest/gtest.h>

#include <exception>
#include <string>
#include <typeinfo>

#include <rankpool/errors.hpp>

#include "task/exception_image.hpp"

namespace rankpool::test {

inline const TaskPlace here{3, "node07", 5, 17, 2};

template <class Throw>
task::ExceptionImage image_of(Throw thrower) {
  try {
    thrower();
  } catch (...) {
    return task::capture_current_exception();
  }
  ADD_FAILURE() << "nothing was thrown";
  return {};
}

template <class Throw>
std::exception_ptr sent(Throw thrower) {
  return task::rebuild(image_of(thrower), here);
}

/// Calls `look(error)` with the exception as Caught; fails where it is none.
template <class Caught, class Look>
void expect_caught(const std::exception_ptr& error, Look look) {
  try {
    std::rethrow_exception(error);
  } catch (const Caught& caught) {
    look(caught);
  } catch (...) {
    ADD_FAILURE() << "not caught as " << typeid(Caught).name() << ": " << detail::text_of(error);
  }
}

template <class Caught>
bool is_caught_as(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const Caught&) {
    return true;
  } catch (...) {
  }
  return false;
}

inline bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

inline std::string remote_text(const std::exception_ptr& error) {
  std::string text;
  expect_caught<RemoteError>(error, [&text](const RemoteError& remote) { text = remote.what(); });
  return text;
}

inline std::string remote_type(const std::exception_ptr& error) {
  std::string name;
  expect_caught<RemoteError>(error, [&name](const RemoteError& remote) { name = remote.type_name(); });
  return name;
}

}  // namespace rankpool::test
