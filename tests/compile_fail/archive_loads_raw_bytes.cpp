// expect: give the class a serialize function; for standard classes include <rankpool/serialization.hpp>
#include <rankpool/rankpool.hpp>

struct Table {
  std::vector<double> rows;
  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& rows;
  }
};
BOOST_CLASS_IMPLEMENTATION(Table, boost::serialization::primitive_type)

Table load(rankpool::detail::Bytes bytes) { return rankpool::detail::decode<Table>(bytes); }
