// The file that keeps results: what is found again, what is refused, and who may write.
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <csignal>

#include <atomic>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <numeric>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <rankpool/detail/call.hpp>
#include <rankpool/errors.hpp>

#include "journal/journal.hpp"

namespace rankpool::journal {
namespace {

namespace fs = std::filesystem;

class JournalTest : public testing::Test {
 protected:
  JournalTest() { fs::create_directory(folder_); }
  ~JournalTest() override { fs::remove_all(folder_); }

  std::shared_ptr<Journal> open() {
    return Journal::open(path(), [this](const std::string& text) { warnings_ += text + '\n'; });
  }
  [[nodiscard]] std::string path() const { return (folder_ / "sweep.journal").string(); }

  const fs::path folder_ = fs::temp_directory_path() / ("journal-test-" + std::to_string(getpid()));
  std::string warnings_;
};

/// Of a function from int to int.
CallIdentity identity(const std::string& key = "sweep", bool is_named = true) {
  return {.key = key,
          .is_named = is_named,
          .what = "map",
          .build = 1,
          .function = 2,
          .callable = 3,
          .result_type = "int",
          .result_stride = sizeof(int)};
}

std::vector<Hash> inputs(std::uint64_t first, std::uint64_t count) {
  std::vector<Hash> all(count);
  std::iota(all.begin(), all.end(), first + 1000);
  return all;
}

void record(CallLog& log, std::uint64_t first, const std::vector<int>& results) {
  log.record(first, inputs(first, results.size()), std::as_bytes(std::span(results)));
}

std::vector<int> numbers_of(const KeptResults& kept) {
  std::vector<int> all(kept.encoded.size() / sizeof(int));
  std::memcpy(all.data(), kept.encoded.data(), kept.encoded.size());
  return all;
}

/// The tasks that are kept, of those from `first` on.
std::vector<std::uint64_t> kept_tasks(CallLog& log, std::uint64_t first, std::uint64_t count) {
  std::vector<std::uint64_t> tasks;
  for (const KeptResults& kept : log.find(first, inputs(first, count))) {
    for (std::uint64_t i = 0; i < kept.count; ++i) tasks.push_back(kept.first + i);
  }
  return tasks;
}

std::string refusal(const auto& use) {
  try {
    use();
  } catch (const JournalError& error) {
    return error.what();
  }
  return "nothing was refused";
}

TEST_F(JournalTest, has_after_another_opening_what_was_recorded) {
  {
    const auto journal = open();
    const auto log = journal->open_call(identity());
    record(*log, 3, {30, 40});
    record(*log, 0, {0, 10});
    record(*log, 7, {70});
  }
  const auto journal = open();
  const auto log = journal->open_call(identity());
  EXPECT_EQ(kept_tasks(*log, 0, 10), (std::vector<std::uint64_t>{0, 1, 3, 4, 7}));
  const auto found = log->find(4, inputs(4, 4));
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].first, 4U);
  EXPECT_EQ(numbers_of(found[0]), std::vector{40});
  EXPECT_EQ(numbers_of(found[1]), std::vector{70});
  EXPECT_EQ(warnings_, "");
}

TEST_F(JournalTest, takes_results_of_any_size_apart) {
  CallIdentity call = identity();
  call.result_stride = detail::variable_stride;
  const auto encoded = [](std::initializer_list<std::string> texts) {
    std::string bytes;
    for (const std::string& text : texts) {
      const std::uint64_t size = text.size();
      bytes.append(reinterpret_cast<const char*>(&size), sizeof size).append(text);
    }
    return bytes;
  };
  {
    const auto log = open()->open_call(call);
    const std::string bytes = encoded({"one", "", "three"});
    log->record(0, inputs(0, 3), std::as_bytes(std::span(bytes)));
  }
  const auto log = open()->open_call(call);
  const auto found = log->find(1, inputs(1, 5));
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].count, 2U);
  const std::string rest = encoded({"", "three"});
  ASSERT_EQ(found[0].encoded.size(), rest.size());
  EXPECT_EQ(std::memcmp(found[0].encoded.data(), rest.data(), rest.size()), 0);
}

TEST_F(JournalTest, refuses_other_inputs_and_names_the_task) {
  {
    const auto log = open()->open_call(identity("sweep"));
    record(*log, 0, {1, 2, 3});
  }
  const auto log = open()->open_call(identity("sweep"));
  std::vector<Hash> other = inputs(0, 3);
  other[2] = 7;
  const std::string text = refusal([&] { static_cast<void>(log->find(0, other)); });
  EXPECT_NE(text.find("the input of task 2 of the call sweep"), std::string::npos) << text;
}

TEST_F(JournalTest, refuses_another_function_other_captures_and_other_results) {
  static_cast<void>(open()->open_call(identity()));
  const auto said = [this](auto change) {
    CallIdentity other = identity("sweep");
    change(other);
    return refusal([&] { static_cast<void>(open()->open_call(other)); });
  };
  EXPECT_NE(said([](CallIdentity& call) { call.function = 9; }).find("another function"), std::string::npos);
  EXPECT_NE(said([](CallIdentity& call) { call.callable = 9; }).find("captured"), std::string::npos);
  EXPECT_NE(said([](CallIdentity& call) { call.result_type = "double"; }).find("type int (4 bytes), not double"),
            std::string::npos);
  EXPECT_NE(said([](CallIdentity& call) { call.seed = 9; }).find("the seed 0, not 9"), std::string::npos);
  EXPECT_EQ(said([](CallIdentity&) {}), "nothing was refused");
}

TEST_F(JournalTest, takes_another_builds_results_by_the_users_key_alone) {
  for (const bool is_named : {false, true}) {
    const auto log = open()->open_call(identity(is_named ? "sweep" : "#1", is_named));
    record(*log, 0, {1, 2});
  }
  CallIdentity rebuilt = identity("#1", false);
  rebuilt.build = 8;
  rebuilt.function = 9;
  rebuilt.callable = 10;
  const std::string text = refusal([&] { static_cast<void>(open()->open_call(rebuilt)); });
  EXPECT_NE(text.find("another build"), std::string::npos) << text;
  EXPECT_NE(text.find("rankpool-journal rename " + path() + " '#1' KEY"), std::string::npos) << text;
  rebuilt.key = "sweep";
  rebuilt.is_named = true;
  EXPECT_EQ(kept_tasks(*open()->open_call(rebuilt), 0, 5), (std::vector<std::uint64_t>{0, 1}));
  rebuilt.function = 11;  // now it is of that build
  EXPECT_NE(refusal([&] { static_cast<void>(open()->open_call(rebuilt)); }).find("another function"),
            std::string::npos);
}

TEST_F(JournalTest, keeps_the_number_of_a_calls_random_numbers) {
  CallIdentity call = identity();
  call.number = 7;
  EXPECT_EQ(open()->open_call(call)->random_numbers(), 7U);
  call.number = 9;
  const auto log = open()->open_call(call);
  EXPECT_EQ(log->random_numbers(), 7U);
  EXPECT_EQ(log->number(), 9U);
}

TEST_F(JournalTest, gives_a_key_to_one_call_at_a_time_which_finds_what_the_last_one_left) {
  const auto journal = open();
  {
    const auto log = journal->open_call(identity("sweep"));
    record(*log, 2, {1});
    const std::string text = refusal([&] { static_cast<void>(journal->open_call(identity("sweep"))); });
    EXPECT_NE(text.find("still run"), std::string::npos) << text;
  }
  EXPECT_EQ(kept_tasks(*journal->open_call(identity("sweep")), 0, 9), std::vector<std::uint64_t>{2});
}

TEST_F(JournalTest, is_not_for_two_processes_at_a_time) {
  const auto journal = open();
  const pid_t other = fork();
  if (other == 0) {
    const std::string text = refusal([this] { open(); });
    _exit(text.find("in use by process " + std::to_string(getppid()) + " on ") != std::string::npos ? 0 : 1);
  }
  int status = 0;
  waitpid(other, &status, 0);
  EXPECT_EQ(status, 0);
}

// Killed at any moment, a writer leaves all that was flushed, and a file that the next one can use.
TEST_F(JournalTest, keeps_what_was_flushed_when_its_writer_is_killed) {
  std::uint64_t known = 0;
  for (int round = 0; round < 10; ++round) {
    int pipe_ends[2];
    ASSERT_EQ(pipe(pipe_ends), 0);
    const pid_t writer = fork();
    if (writer == 0) {
      const auto journal = open();
      const auto log = journal->open_call(identity());
      for (std::uint64_t task = known;; ++task) {
        record(*log, task, {static_cast<int>(task)});
        if (task % 10 != 9) continue;
        journal->flush();
        if (write(pipe_ends[1], &task, sizeof task) < 0) _exit(1);
      }
    }
    close(pipe_ends[1]);
    std::uint64_t flushed = 0;
    for (int i = 0; i <= round; ++i) ASSERT_EQ(read(pipe_ends[0], &flushed, sizeof flushed), 8);
    kill(writer, SIGKILL);
    waitpid(writer, nullptr, 0);
    close(pipe_ends[0]);
    const auto tasks = kept_tasks(*open()->open_call(identity()), 0, flushed + 1000);
    ASSERT_GT(tasks.size(), flushed);
    for (std::uint64_t task = 0; task < tasks.size(); ++task) ASSERT_EQ(tasks[task], task);
    known = tasks.size();
  }
}

TEST_F(JournalTest, goes_on_when_a_full_disk_has_room_again) {
  struct sigaction ignored {};
  struct sigaction before {};
  ignored.sa_handler = SIG_IGN;
  sigaction(SIGXFSZ, &ignored, &before);
  rlimit limit{};
  getrlimit(RLIMIT_FSIZE, &limit);
  {
    const auto journal = open();
    const auto log = journal->open_call(identity());
    record(*log, 0, {1});
    journal->flush();
    const rlimit full{fs::file_size(path()) + 4096, limit.rlim_max};
    setrlimit(RLIMIT_FSIZE, &full);
    record(*log, 1, std::vector<int>(100'000));
    journal->flush();
    EXPECT_NE(warnings_.find("can't be written"), std::string::npos) << warnings_;
    setrlimit(RLIMIT_FSIZE, &limit);
    record(*log, 200'000, {1});
  }
  sigaction(SIGXFSZ, &before, nullptr);
  EXPECT_EQ(kept_tasks(*open()->open_call(identity()), 0, 300'000).size(), 100'002U);
}

TEST_F(JournalTest, is_not_made_of_a_file_that_is_something_else) {
  std::ofstream(path()) << "temperature,energy\n" << std::string(5000, '1');
  const std::string text = refusal([this] { open(); });
  EXPECT_NE(text.find("no journal"), std::string::npos) << text;
  std::ifstream file(path());
  std::string first;
  std::getline(file, first);
  EXPECT_EQ(first, "temperature,energy");
  EXPECT_FALSE(fs::exists(path() + ".lock"));
}

// Whatever of it is lost, it is refused, or has the right results of fewer tasks. Rows are of many pages.
TEST_F(JournalTest, that_is_torn_gives_no_wrong_result) {
  constexpr int tasks = 30'000;
  {
    const auto log = open()->open_call(identity());
    for (int first = 0; first < tasks; first += tasks / 10) {
      std::vector<int> some(tasks / 10 - 1);
      std::iota(some.begin(), some.end(), first);
      record(*log, static_cast<std::uint64_t>(first), some);
    }
  }
  const auto whole = fs::file_size(path());
  const std::string copy = path() + ".copy";
  fs::copy_file(path(), copy);
  constexpr std::uintmax_t page = 4096;
  int refused = 0;
  int partial = 0;
  for (std::uintmax_t at = 0; at < whole; at += 3 * page) {
    for (const bool is_cut : {false, true}) {
      fs::copy_file(copy, path(), fs::copy_options::overwrite_existing);
      if (is_cut) {
        fs::resize_file(path(), at);
      } else {
        std::fstream(path(), std::ios::in | std::ios::out).seekp(static_cast<std::streamoff>(at))
            << std::string(page, '\0');
      }
      try {
        const auto log = open()->open_call(identity());
        std::uint64_t found = 0;
        for (const KeptResults& kept : log->find(0, inputs(0, tasks))) {
          const std::vector<int> numbers = numbers_of(kept);
          for (std::uint64_t i = 0; i < kept.count; ++i) ASSERT_EQ(numbers[i], static_cast<int>(kept.first + i));
          found += kept.count;
        }
        ASSERT_LT(found, tasks - 10U) << at;
        if (found != 0) ++partial;
      } catch (const JournalError&) {
        ++refused;
      }
    }
  }
  EXPECT_GT(refused, 0);
  EXPECT_GT(partial, 3);
}

// A journal's file may lie where no process of another machine can be asked about: by its beats it is known.
class OwnerTest : public JournalTest {
 protected:
  static constexpr Owner::Patience patience{.between_beats = std::chrono::milliseconds(20),
                                            .silence = std::chrono::milliseconds(400)};
  [[nodiscard]] std::string lock() const { return path() + ".lock"; }
  void write_note(const std::string& text) const { std::ofstream(lock()) << text; }
  /// @param how_patient in tests of those who live: however slow this machine is.
  std::unique_ptr<Owner> own(const Owner::Patience& how_patient = patience) {
    return std::make_unique<Owner>(
        path(), [this] { ++losses_; }, how_patient);
  }
  static constexpr Owner::Patience endless{.between_beats = std::chrono::milliseconds(20),
                                           .silence = std::chrono::seconds(40)};
  static constexpr const char* stranger = "n7 4711 99 another-boot/1\n";

  std::atomic<int> losses_ = 0;
};

TEST_F(OwnerTest, of_another_machine_that_is_silent_is_taken_for_dead) {
  write_note(std::string(stranger) + "5\n");
  const auto owner = own();
  EXPECT_FALSE(owner->is_lost());
}

TEST_F(OwnerTest, of_another_machine_that_beats_is_not) {
  std::atomic<bool> ends = false;
  std::thread other([&] {
    for (int beats = 0; !ends; ++beats) {
      write_note(stranger + std::to_string(beats) + '\n');
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
  });
  while (!fs::exists(lock())) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  const std::string text = refusal([this] { own(endless); });
  ends = true;
  other.join();
  EXPECT_NE(text.find("in use by process 4711 on n7"), std::string::npos) << text;
}

TEST_F(OwnerTest, of_a_process_that_has_died_is_followed_at_once) {
  const pid_t dead = fork();
  if (dead == 0) {
    const auto owner = own();
    kill(getpid(), SIGKILL);
  }
  waitpid(dead, nullptr, 0);
  EXPECT_TRUE(fs::exists(lock()));
  const auto begin = std::chrono::steady_clock::now();
  own(endless);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, endless.silence / 2);
}

TEST_F(OwnerTest, that_left_half_a_note_is_followed) {
  write_note("n7 47");
  own();
  write_note("");
  own();
}

TEST_F(OwnerTest, notices_that_another_has_taken_over_and_leaves_its_file_alone) {
  auto owner = own();
  write_note(std::string(stranger) + "0\n");
  while (!owner->is_lost()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  owner.reset();
  EXPECT_EQ(losses_, 1);
  EXPECT_TRUE(fs::exists(lock()));
}

TEST_F(OwnerTest, makes_its_file_again_where_it_was_removed) {
  const auto owner = own();
  fs::remove(lock());
  while (!fs::exists(lock())) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_FALSE(owner->is_lost());
}

TEST_F(OwnerTest, that_cannot_write_is_an_error_and_no_loop) {
  fs::create_directory(lock());
  EXPECT_THROW(own(), std::system_error);
}

TEST_F(JournalTest, in_a_folder_that_is_not_there_is_an_error_that_names_it) {
  const std::string nowhere = (folder_ / "none" / "sweep.journal").string();
  const std::string text = refusal([&] { Journal::open(nowhere, {}); });
  EXPECT_NE(text.find(nowhere), std::string::npos) << text;
}

}  // namespace
}  // namespace rankpool::journal
