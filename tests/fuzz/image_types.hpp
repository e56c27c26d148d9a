// Exceptions that a program registers: one of each way to travel.
#pragma once

#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include <rankpool/detail/exception_image.hpp>

namespace rankpool::fuzz {

struct Diverged : std::runtime_error {
  Diverged() : std::runtime_error("diverged") {}
  template <class Archive>
  void serialize(Archive& archive, unsigned /*version*/) {
    archive& residuals& solver& cause;
  }
  std::vector<double> residuals;
  std::string solver;
  std::shared_ptr<std::string> cause;
};

struct Singular {
  int row = 0;
  double pivot = 0;
};

struct Refused : std::logic_error {
  using std::logic_error::logic_error;
};

inline void register_image_types() {
  register_exception<Diverged>();
  register_exception<Singular>();
  register_exception<Refused>();
}

}  // namespace rankpool::fuzz
