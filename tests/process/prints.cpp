// What a program and its tasks print, and what they read.
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <ranges>
#include <string>

#include <rankpool/rankpool.hpp>

namespace {

void print_in_pieces(int task) {
  switch (task % 4) {
    case 0:
      std::printf("task %d ", task);
      std::printf("prints with %s", "printf");
      std::printf(" to the end\n");
      break;
    case 1:
      std::cout << "task " << task << " prints with "
                << "cout"
                << " to the end" << '\n';
      break;
    case 2:
      std::cerr << "task " << task << " prints with "
                << "cerr"
                << " to the end" << '\n';
      break;
    default:
      std::fprintf(stderr, "task %d ", task);
      std::fprintf(stderr, "prints with %s", "fprintf");
      std::fprintf(stderr, " to the end\n");
  }
}

void print_wide(int task) { (task % 2 == 0 ? std::wcout : std::wclog) << L"wide task " << task << L'\n'; }

std::string read_line() {
  std::string line;
  int character = 0;
  while ((character = std::getchar()) != EOF && character != '\n') line += static_cast<char>(character);
  return character == EOF ? line + "(end)" : line;
}

std::string read_in_task(int /*task*/) { return read_line(); }

int print(int argc, char** argv) {
  // Neither is written out when run() begins: the output is a pipe.
  std::printf("printf before run\n");
  std::cout << "cout before run\n";
  return rankpool::run(argc, argv, [](rankpool::Pool& pool) {
    std::cout << "the master prints\n";
    pool.map(print_in_pieces, std::views::iota(0, 1000));
  });
}

int wide(int argc, char** argv) {
  std::ios_base::sync_with_stdio(false);
  std::wcout << L"wcout before run\n";
  return rankpool::run(argc, argv, [](rankpool::Pool& pool) { pool.map(print_wide, std::views::iota(0, 100)); });
}

int read(int argc, char** argv) {
  const std::string first = read_line();  // and stdio has read on
  return rankpool::run(argc, argv, [&first](rankpool::Pool& pool) {
    std::cout << "before run: " << first << '\n';
    for (const std::string& line : pool.map(read_in_task, std::views::iota(0, 8), {.chunksize = 1})) {
      std::cout << "task: " << line << '\n';
    }
    std::cout << "master: " << read_line() << '\n';
    std::cout << "master: " << read_line() << '\n';
  });
}

void crash_at_first(int /*task*/) {
  if (rankpool::this_task::attempt() > 1) return;
  std::fprintf(stderr, "giving up");
  std::abort();
}

int crash(int argc, char** argv) {
  return rankpool::run(argc, argv, [](rankpool::Pool& pool) { pool.map(crash_at_first, {1}); });
}

}  // namespace

int main(int argc, char** argv) {
  const std::string what = argc > 1 ? argv[1] : "";
  if (what == "wide") return wide(argc, argv);
  if (what == "crash") return crash(argc, argv);
  return what == "read" ? read(argc, argv) : print(argc, argv);
}
