// The images of exceptions: of any bytes an exception is made that can be thrown and asked.
#include <exception>
#include <string>

#include "fuzz/image_types.hpp"
#include "fuzz/target.hpp"
#include "task/exception_image.hpp"

namespace {

using namespace rankpool;  // NOLINT(google-build-using-namespace)
using fuzz::require;

void ask(const std::exception_ptr& error) {
  require(error != nullptr, "there is an exception");
  try {
    std::rethrow_exception(error);
  } catch (const RemoteError& remote) {
    require(remote.what() != nullptr, "it has a text");
    require(remote.task() == 17 && remote.rank() == 3, "its place is the reader's word");
    require(!remote.describe().empty(), "it can be described");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  [[maybe_unused]] static const bool registered = (fuzz::register_image_types(), true);
  fuzz::Bytes input = std::as_bytes(std::span(data, size));
  const auto checksum = fuzz::take<fuzz::Checksum>(input);
  fuzz::Input image(input.begin(), input.end());
  if (checksum == fuzz::Checksum::right) fuzz::make_checksum_right(image);
  ask(task::rebuild(image, {.rank = 3, .host = "node07", .slot = 5, .task = 17, .attempt = 2}));
  return 0;
}
