// expect: run() calls its master with a rankpool::Pool&
#include <rankpool/rankpool.hpp>

int main(int argc, char** argv) {
  return rankpool::run(argc, argv, [] { return 0; });
}
