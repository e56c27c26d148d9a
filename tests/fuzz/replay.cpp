// Runs a target over files: its corpus as a test where there is no libFuzzer.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <vector>

#include "fuzz/target.hpp"

namespace {

namespace fs = std::filesystem;

std::vector<fs::path> files_of(const fs::path& given) {
  if (!fs::is_directory(given)) return {given};
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(given)) files.push_back(entry.path());
  std::ranges::sort(files);
  return files;
}

void run(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  const std::vector<char> bytes{std::istreambuf_iterator<char>(in), {}};
  // Memory of its very size, so that a sanitizer sees a read behind its end.
  const std::vector<std::uint8_t> input(bytes.begin(), bytes.end());
  LLVMFuzzerTestOneInput(input.data(), input.size());
}

}  // namespace

int main(int argc, char** argv) {
  std::size_t count = 0;
  for (int i = 1; i < argc; ++i) {
    for (const fs::path& file : files_of(argv[i])) {
      std::cout << file.filename().string() << std::endl;  // before, so that the last one is it
      run(file);
      ++count;
    }
  }
  std::cout << count << " inputs\n";
  return count != 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
