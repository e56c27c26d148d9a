#include <rankpool/errors.hpp>

#include "task/exception_text.hpp"

namespace rankpool {

namespace {

std::string place_line(const TaskPlace& place) {
  std::string line;
  const auto add = [&line](const std::string& part) { line += (line.empty() ? "\n  on " : ", ") + part; };
  if (place.rank >= 0) add("rank " + std::to_string(place.rank));
  if (!place.host.empty()) add("host " + place.host);
  if (place.slot >= 0) add("slot " + std::to_string(place.slot));
  return line;
}

}  // namespace

std::string RemoteError::describe() const {
  std::string lines = type_name() + ": " + text();
  lines += "\n  in task " + std::to_string(task()) + ", attempt " + std::to_string(attempt());
  lines += place_line(report_->place);
  for (const std::string& cause : causes()) lines += "\n  caused by: " + cause;
  return lines;
}

std::string detail::text_of(const std::exception_ptr& error) {
  if (error == nullptr) return {};
  try {
    std::rethrow_exception(error);
  } catch (...) {
    return task::handled_text();
  }
}

}  // namespace rankpool
