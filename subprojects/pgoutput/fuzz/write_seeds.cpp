#include <filesystem>
#include <fstream>
#include <iostream>

#include "../tests/samples.hpp"

// Writes the unit tests' sample messages as a corpus for fuzz_decode.
int main(int count, char** arguments) {
  if (count != 2) {
    std::cerr << "usage: write_seeds DIRECTORY\n";
    return 2;
  }
  std::filesystem::path const directory = arguments[1];
  std::filesystem::create_directories(directory);
  for (auto const& s : samples()) {
    std::ofstream file(directory / s.name, std::ios::binary);
    file << (s.in_stream ? '1' : '0') << s.message;
    if (!file.flush()) {
      std::cerr << "cannot write " << (directory / s.name) << '\n';
      return 1;
    }
  }
  return 0;
}
