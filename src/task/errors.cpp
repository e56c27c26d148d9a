#include <rankpool/errors.hpp>

#include <array>
#include <cstddef>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include <rankpool/detail/deadline.hpp>

#include "task/backtrace.hpp"
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

void add_block(std::string& to, std::string_view title, std::string_view lines) {
  to += "\n  ";
  to += title;
  for (;;) {
    const std::size_t end = lines.find('\n');
    to += "\n    ";
    to += lines.substr(0, end);
    if (end == std::string_view::npos) return;
    lines.remove_prefix(end + 1);
  }
}

std::string numbered(const std::vector<std::string>& calls) {
  std::string lines;
  for (std::size_t i = 0; i < calls.size(); ++i) lines += (i == 0 ? "#" : "\n#") + std::to_string(i) + ' ' + calls[i];
  return lines;
}

}  // namespace

std::string RemoteError::describe() const {
  std::string lines = type_name() + ": " + text();
  lines += "\n  in task " + std::to_string(task()) + ", attempt " + std::to_string(attempt());
  lines += place_line(report_->place);
  for (const std::string& cause : causes()) lines += "\n  caused by: " + cause;
  if (!report_->stderr_tail.empty()) add_block(lines, "last lines on stderr:", report_->stderr_tail);
  if (!report_->stack.empty()) add_block(lines, "backtrace:", numbered(task::backtrace_lines(report_->stack)));
  return lines;
}

std::vector<std::string> WorkerLost::backtrace() const { return task::backtrace_lines(report().stack); }

std::string detail::text_of(const std::exception_ptr& error) {
  if (error == nullptr) return {};
  try {
    std::rethrow_exception(error);
  } catch (...) {
    return task::handled_text();
  }
}

void detail::throw_late(std::string_view what, Seconds time) {
  std::array<char, 32> seconds;
  std::snprintf(seconds.data(), seconds.size(), "%g", time.count());
  throw TimeoutError(std::string(what) + " within " + seconds.data() + " s");
}

}  // namespace rankpool
