// Runs a fuzz target without libFuzzer: on the files of the folders named on the command line and
// on mutants of them, always the same ones. It keeps the targets compiling and finds the shallow
// half of their crashes in every run of the tests; `./test --fuzz SECONDS` looks deeper.
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

void run(const std::string& input) {
  // A copy of exactly this size, so that a sanitizer sees reads beyond it.
  const std::vector<uint8_t> exact(input.begin(), input.end());
  LLVMFuzzerTestOneInput(exact.data(), exact.size());
}

// One small damage: a byte changed, removed, doubled, or the tail cut off.
std::string damaged(std::string input, std::mt19937& random) {
  const size_t at = input.empty() ? 0 : random() % input.size();
  switch (random() % 5) {
    case 0:
      input.insert(at, 1, static_cast<char>(random() & 0xFF));
      break;
    case 1:
      input.erase(at, 1);
      break;
    case 2:
      input.resize(at);
      break;
    case 3:
      input.insert(at, input.substr(at, random() % 16));
      break;
    default:
      if (!input.empty()) input[at] = static_cast<char>(random() & 0xFF);
  }
  return input;
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string> seeds{""};
  for (int i = 1; i < argc; ++i) {
    if (!std::filesystem::is_directory(argv[i])) continue;
    for (const auto& entry : std::filesystem::directory_iterator(argv[i])) {
      std::ifstream file(entry.path(), std::ios::binary);
      seeds.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
    }
  }
  constexpr int kMutants = 20'000;
  std::mt19937 random(1);
  for (const std::string& seed : seeds) run(seed);
  for (int i = 0; i < kMutants; ++i) {
    std::string input = seeds[random() % seeds.size()];
    for (unsigned steps = 1 + random() % 4; steps > 0; --steps) input = damaged(input, random);
    run(input);
  }
  std::printf("%zu seeds, %d mutants\n", seeds.size(), kMutants);
  return 0;
}
