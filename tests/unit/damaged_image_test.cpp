#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <future>
#include <random>
#include <regex>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include <rankpool/detail/exception_image.hpp>
#include <rankpool/errors.hpp>

#include "sent_exceptions.hpp"

namespace {

using namespace rankpool::test;
using rankpool::Error;
using rankpool::Remote;
using rankpool::RemoteError;
using rankpool::task::ExceptionImage;

bool tells_of_damage(const ExceptionImage& image) {
  const auto error = rankpool::task::rebuild(image, here);
  bool told = false;
  expect_caught<RemoteError>(error, [&told](const RemoteError& remote) {
    told = contains(remote.what(), "damaged") && remote.task() == 17 && remote.host() == "node07";
  });
  return told;
}

struct Diverged : std::runtime_error {
  Diverged() : std::runtime_error("diverged") {}
  template <class Archive>
  void serialize(Archive& archive, unsigned /*version*/) {
    archive& residuals& solver;
  }
  std::vector<double> residuals{1.0, 2.0, 3.0};
  std::string solver = "lu";
};

ExceptionImage rich_image() {
  rankpool::register_exception<Diverged>();
  return image_of([] {
    try {
      throw std::overflow_error("pivot");
    } catch (...) {
      std::throw_with_nested(Diverged());
    }
  });
}

TEST(DamagedImage, cut_short_anywhere_is_told) {
  const ExceptionImage image = rich_image();
  for (std::size_t size = 1; size < image.size(); ++size) {
    EXPECT_TRUE(tells_of_damage({image.begin(), image.begin() + static_cast<std::ptrdiff_t>(size)})) << size;
  }
}

TEST(DamagedImage, with_bytes_after_its_end_is_told) {
  ExceptionImage image = rich_image();
  image.push_back(std::byte{0});
  EXPECT_TRUE(tells_of_damage(image));
}

TEST(DamagedImage, with_any_byte_changed_is_told) {
  const ExceptionImage image = rich_image();
  for (std::size_t at = 0; at < image.size(); ++at) {
    for (const unsigned flip : {0x01U, 0x80U, 0xffU}) {
      ExceptionImage damaged = image;
      damaged[at] ^= static_cast<std::byte>(flip);
      EXPECT_TRUE(tells_of_damage(damaged)) << at;
    }
  }
}

TEST(DamagedImage, of_random_bytes_is_told) {
  std::mt19937 random(1);
  for (int round = 0; round < 2000; ++round) {
    ExceptionImage image(1 + random() % 300);
    for (std::byte& byte : image) byte = static_cast<std::byte>(random());
    EXPECT_TRUE(tells_of_damage(image));
  }
}

/// Puts the right checksum on a changed body, so that the lengths inside are read.
void forge_checksum(ExceptionImage& image) {
  constexpr std::size_t head = sizeof(std::uint32_t) + sizeof(std::uint64_t);
  std::uint64_t hash = 0xcbf29ce484222325;
  for (std::size_t at = head; at < image.size(); ++at) {
    hash = (hash ^ std::to_integer<std::uint64_t>(image[at])) * 0x100000001b3;
  }
  std::memcpy(image.data() + sizeof(std::uint32_t), &hash, sizeof(hash));
}

TEST(DamagedImage, with_a_right_checksum_never_ends_the_program) {
  for (const ExceptionImage& image : {rich_image(), image_of([] {
                                        throw std::filesystem::filesystem_error(
                                            "copying", "/a", "/b", std::make_error_code(std::errc::file_exists));
                                      }),
                                      image_of([] { throw std::future_error(std::future_errc::broken_promise); }),
                                      image_of([] { throw std::regex_error(std::regex_constants::error_brack); })}) {
    for (std::size_t at = 12; at < image.size(); ++at) {
      for (const unsigned flip : {0x01U, 0x80U, 0xffU}) {
        ExceptionImage damaged = image;
        damaged[at] ^= static_cast<std::byte>(flip);
        forge_checksum(damaged);
        EXPECT_TRUE(is_caught_as<RemoteError>(rankpool::task::rebuild(damaged, here))) << at;
      }
      ExceptionImage cut(image.begin(), image.begin() + static_cast<std::ptrdiff_t>(at));
      forge_checksum(cut);
      EXPECT_TRUE(tells_of_damage(cut)) << at;
    }
  }
}

TEST(DamagedImage, that_is_empty_tells_of_lack_of_memory) {
  EXPECT_TRUE(contains(remote_text(rankpool::task::rebuild({}, here)), "no memory"));
}

}  // namespace
