// Calls whose results are kept in a file: run again, they do what is left and return the same.
#include "pool/pool_test.hpp"

#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <tuple>
#include <vector>

namespace {

using namespace rankpool::test;  // NOLINT(google-build-using-namespace)
using rankpool::JournalError;
using rankpool::MapOptions;

std::string folder;  ///< gone when the pool has ended, which writes journals to its end

/// A file that no other case uses.
class ScratchJournal {
 public:
  ScratchJournal() : path_(folder + "/journal" + std::to_string(++made_)) {}

  /// Options of a call under a key.
  [[nodiscard]] MapOptions key(const std::string& key) const { return {.journal = path_, .journal_key = key}; }

 private:
  inline static int made_ = 0;
  std::string path_;
};

struct Plan {
  char runs[64] = {};  ///< file: each task adds its number when it begins
};

Plan plan_for(const ScratchFile& runs) {
  Plan plan;
  std::snprintf(plan.runs, sizeof plan.runs, "%s", runs.path().c_str());
  return plan;
}

int work(const Plan& plan, int i) {
  append_line(plan.runs, std::to_string(i));
  return square(i);
}

/// Task 40 throws when it runs for the first time.
int work_at_the_second_try(const Plan& plan, int i) {
  std::ostringstream text;
  text << std::ifstream(plan.runs).rdbuf();
  const int result = work(plan, i);
  if (i == 40 && !contains("\n" + text.str(), "\n40\n")) throw std::out_of_range("bad");
  return result;
}

std::vector<int> squares(int count) {
  std::vector<int> all;
  for (int i = 0; i < count; ++i) all.push_back(square(i));
  return all;
}

TEST(Journal, lets_a_call_that_was_made_before_run_nothing) {
  const ScratchJournal journal;
  const ScratchFile runs;
  const auto task = [plan = plan_for(runs)](int i) { return work(plan, i); };
  EXPECT_EQ(pool().map(task, numbers(300), journal.key("sweep")), squares(300));
  EXPECT_EQ(runs.numbers<std::vector<int>>().size(), 300U);
  EXPECT_EQ(pool().map(task, numbers(300), journal.key("sweep")), squares(300));
  EXPECT_EQ(runs.numbers<std::vector<int>>().size(), 300U);
}

TEST(Journal, lets_more_inputs_run_only_what_is_new) {
  const ScratchJournal journal;
  const ScratchFile runs;
  const auto task = [plan = plan_for(runs)](int i) { return work(plan, i); };
  EXPECT_EQ(pool().map(task, numbers(100), journal.key("sweep")), squares(100));
  EXPECT_EQ(pool().map(task, numbers(250), journal.key("sweep")), squares(250));
  EXPECT_EQ(runs.numbers<std::multiset<int>>().size(), 250U);
  EXPECT_EQ(runs.numbers<std::set<int>>().size(), 250U);
}

TEST(Journal, keeps_what_ended_beside_a_task_that_throws_which_runs_again) {
  const ScratchJournal journal;
  const ScratchFile runs;
  const auto sometimes = [plan = plan_for(runs)](int i) { return work_at_the_second_try(plan, i); };
  EXPECT_THROW(pool().map(sometimes, numbers(100), journal.key("sweep")), std::out_of_range);
  EXPECT_EQ(pool().map(sometimes, numbers(100), journal.key("sweep")), squares(100));
  const auto all = runs.numbers<std::multiset<int>>();
  EXPECT_EQ(all.count(40), 2U);
  EXPECT_EQ(all.size(), 101U);
}

std::string spelled(const Plan& plan, int i, const std::string& text) {
  append_line(plan.runs, std::to_string(i));
  return text + std::string(static_cast<std::size_t>(i), '!');
}

TEST(Journal, keeps_results_of_any_type_and_of_every_kind_of_call) {
  const ScratchJournal journal;
  const ScratchFile runs;
  const Plan plan = plan_for(runs);
  std::vector<std::tuple<int, std::string>> inputs;
  std::vector<std::string> expected;
  for (int i = 0; i < 50; ++i) {
    inputs.emplace_back(i, "n" + std::to_string(i));
    expected.push_back("n" + std::to_string(i) + std::string(static_cast<std::size_t>(i), '!'));
  }
  const auto spell = [plan](int i, const std::string& text) { return spelled(plan, i, text); };
  const auto note = [plan](int i) { append_line(plan.runs, std::to_string(i)); };
  for (int run = 0; run < 2; ++run) {
    EXPECT_EQ(pool().starmap(spell, inputs, journal.key("starmap")), expected);
    pool().map(note, numbers(50), journal.key("void"));
    std::vector<std::string> streamed;
    for (std::string& text : pool().istarmap(spell, inputs, journal.key("istarmap"))) streamed.push_back(text);
    EXPECT_EQ(streamed, expected);
    streamed.clear();
    for (std::string& text : pool().istarmap_unordered(spell, inputs, journal.key("unordered"))) {
      streamed.push_back(text);
    }
    EXPECT_EQ(std::multiset<std::string>(streamed.begin(), streamed.end()),
              std::multiset<std::string>(expected.begin(), expected.end()));
    EXPECT_EQ(pool().starmap_async(spell, inputs, journal.key("async")).get(), expected);
    const auto outcomes = pool().starmap_outcomes(spell, inputs, journal.key("outcomes"));
    for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_EQ(outcomes.at(i).value(), expected[i]);
    EXPECT_EQ(runs.numbers<std::vector<int>>().size(), 6 * 50U);
  }
}

TEST(Journal, refuses_other_inputs_other_functions_and_other_values) {
  const ScratchJournal journal;
  const auto add = [](int term) { return [term](int i) { return i + term; }; };
  EXPECT_EQ(pool().map(add(1), numbers(3), journal.key("sweep")), (std::vector{1, 2, 3}));
  const auto inputs = text_of_thrown<JournalError>([&] { pool().map(add(1), {0, 5}, journal.key("sweep")); });
  EXPECT_TRUE(contains(inputs, "the input of task 1 of the call sweep")) << inputs;
  const auto captured = text_of_thrown<JournalError>([&] { pool().map(add(2), numbers(3), journal.key("sweep")); });
  EXPECT_TRUE(contains(captured, "captured")) << captured;
  const auto function =
      text_of_thrown<JournalError>([&] { pool().map([](int i) { return i; }, numbers(3), journal.key("sweep")); });
  EXPECT_TRUE(contains(function, "another function")) << function;
  EXPECT_THROW(for (auto results = pool().imap(add(1), {0, 5}, journal.key("sweep")); results.next();){}, JournalError);
  EXPECT_EQ(pool().map(add(1), numbers(3), journal.key("sweep")), (std::vector{1, 2, 3}));
}

TEST(Journal, leaves_each_task_its_own_random_numbers) {
  const ScratchJournal journal;
  const auto first = [](int) { return rankpool::this_task::rng()(); };
  const auto undisturbed = [first, &journal](const std::string& key) {
    return pool().map(first, numbers(40), journal.key(key));
  };
  const auto some = pool().map(first, numbers(20), journal.key("sweep"));
  static_cast<void>(pool().map(first, numbers(3)));
  const auto all = pool().map(first, numbers(40), journal.key("sweep"));
  EXPECT_EQ(std::vector(all.begin(), all.begin() + 20), some);
  // Those of the call that was made first, whichever number it has now.
  std::uint64_t call = 1;
  while (rankpool::task_rng(0, 0, call)() != some[0]) ASSERT_LT(++call, 1000U);
  for (std::uint64_t i = 0; i < all.size(); ++i) EXPECT_EQ(all[i], rankpool::task_rng(0, i, call)());
  EXPECT_NE(undisturbed("another sweep"), all);
}

TEST(Journal, is_the_same_file_by_any_of_its_names_and_for_several_calls) {
  const std::string before = std::filesystem::current_path();
  std::filesystem::current_path(folder);
  const auto add = [](int i) { return i + 1; };
  const auto subtract = [](int i) { return i - 1; };
  EXPECT_EQ(pool().map(add, {1}, {.journal = "named"}), std::vector{2});
  EXPECT_EQ(pool().map(subtract, {1}, {.journal = "./named"}), std::vector{0});
  std::filesystem::current_path("/");
  const std::string whole = folder + "/named";
  EXPECT_EQ(pool().map(add, {5}, {.journal = whole, .journal_key = "third"}), std::vector{6});
  std::filesystem::create_symlink(whole, folder + "/linked");
  EXPECT_EQ(pool().map(add, {5}, {.journal = folder + "/linked", .journal_key = "third"}), std::vector{6});
  std::filesystem::current_path(before);
}

TEST(Journal, refuses_a_key_without_a_journal_and_one_that_looks_like_a_number) {
  const ScratchJournal journal;
  EXPECT_THROW(pool().map(square, numbers(2), {.journal_key = "sweep"}), std::invalid_argument);
  EXPECT_THROW(pool().map(square, numbers(2), journal.key("#1")), std::invalid_argument);
}

TEST(Journal, of_several_pools_goes_on_with_the_number_of_the_call) {
  static int runs = 0;
  const std::string path = folder + "/of several pools";
  const auto add = [](int i) { return i + 1; };
  const auto subtract = [](int i) { return i - 1; };
  if (++runs == 1) {
    EXPECT_EQ(pool().map(add, {1}, {.journal = path}), std::vector{2});
  } else {
    EXPECT_EQ(pool().map(subtract, {1}, {.journal = path}), std::vector{0});
  }
}

}  // namespace

int main(int argc, char** argv) {
  char name[] = "/tmp/journals-of-a-test-XXXXXX";
  folder = mkdtemp(name);
  int status = run_cases(argc, argv, "-Journal.of_*");
  // Calls are counted in the process, not in the pool.
  for (int run = 0; run < 2; ++run) status |= run_cases(argc, argv, "Journal.of_*");
  std::filesystem::remove_all(folder);
  return status;
}
