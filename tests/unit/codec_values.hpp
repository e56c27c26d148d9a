/// @file
/// For the tests of the codec: there and back, and classes that several of them send.
#pragma once

#include <string>
#include <utility>

#include <boost/serialization/access.hpp>
#include <boost/serialization/nvp.hpp>

#include <rankpool/detail/codec.hpp>

namespace rankpool::test {

template <class T>
detail::ByteBuffer encoded(const T& value) {
  detail::ByteBuffer buffer;
  detail::encode(detail::Appender(buffer), value);
  return buffer;
}

template <class T>
T round_trip(const T& value) {
  const detail::ByteBuffer buffer = encoded(value);
  return detail::decode<T>(buffer.bytes());
}

struct WithoutDefault {
  explicit WithoutDefault(int n) : number(n) {}
  int number;
  bool operator==(const WithoutDefault&) const = default;
};

class Account {
 public:
  Account() = default;
  Account(std::string name, int balance) : name_(std::move(name)), balance_(balance) {}
  bool operator==(const Account&) const = default;

 private:
  friend class boost::serialization::access;
  template <class Archive>
  void serialize(Archive& archive, unsigned /*version*/) {
    archive& boost::serialization::make_nvp("name", name_) & balance_;
  }
  std::string name_;
  int balance_ = 0;
};

}  // namespace rankpool::test
