// expect: this class can't be made on the other side
#include <rankpool/bind.hpp>

struct Config {
  explicit Config(std::string n) : name(std::move(n)) {}
  std::string name;
  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& name;
  }
};
Config decode_config(rankpool::detail::Bytes bytes) { return rankpool::detail::decode<Config>(bytes); }
