// expect: returns the program's status as int, or nothing
#include <rankpool/rankpool.hpp>

int main(int argc, char** argv) {
  return rankpool::run(argc, argv, [](rankpool::Pool&) { return std::string("done"); });
}
