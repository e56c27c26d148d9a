// write_corpus <directory>
// Writes the corpus of the fuzz targets: what the real encoders make, so that mutation starts from what makes sense.
// Run by hand when a format changes; the files are committed.
#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <future>
#include <iostream>
#include <limits>
#include <regex>
#include <string>
#include <system_error>

#include "fuzz/codec_types.hpp"
#include "fuzz/formats.hpp"
#include "fuzz/image_types.hpp"
#include "host/channel.hpp"
#include "host/lot.hpp"
#include "host/outbox.hpp"
#include "launch/pool_settings.hpp"
#include "task/exception_image.hpp"
#include "wire/codec.hpp"

BOOST_CLASS_EXPORT_IMPLEMENT(rankpool::fuzz::Square)
BOOST_CLASS_EXPORT_IMPLEMENT(rankpool::fuzz::Hull)
BOOST_CLASS_EXPORT_IMPLEMENT(rankpool::fuzz::Stranger)

namespace {

using namespace rankpool;  // NOLINT(google-build-using-namespace)
using fuzz::Input;

/// The files of one target.
class Corpus {
 public:
  explicit Corpus(const std::filesystem::path& directory) : directory_(directory) {
    std::filesystem::create_directories(directory);
  }

  void write(const std::string& name, const Input& input) const {
    std::ofstream file(directory_ / name, std::ios::binary);
    file.exceptions(std::ios::failbit | std::ios::badbit);
    file.write(reinterpret_cast<const char*>(input.data()), static_cast<std::streamsize>(input.size()));
  }

 private:
  std::filesystem::path directory_;
};

Input bytes_of(std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

// --- wire -----------------------------------------------------------------------------------------------------------

template <class... Messages>
Input to(fuzz::Receiver receiver, const Messages&... messages) {
  Input input;
  fuzz::put(input, receiver);
  (wire::encode(input, messages), ...);
  return input;
}

void write_orders(const Corpus& corpus) {
  const Input state = bytes_of("state of the callable");
  const Input inputs = bytes_of("0123456789abcdef0123456789abcdef");
  const std::array<std::uint64_t, 5> offsets{7, 7, 9, 20, 39};
  const auto call = [&](std::uint64_t id, std::uint64_t stride) {
    return wire::OpenCall{id, {0xfeed, 0x1234, {"libsim.so"}}, state, stride, Schedule::guided, 50, 1'500'000'000, id};
  };
  const auto fixed = wire::OpenCall(call(1, 8));
  const auto varying = wire::OpenCall(call(2, detail::variable_stride));
  const auto without = wire::OpenCall(call(3, 0));
  const wire::RunLot fixed_lot{0, 1, 1000, 4, 1, 64, 5000, {}, inputs};
  const wire::RunLot varying_lot{1,     2, 10, 4, 2, 64, 5000, wire::Offsets(std::span<const std::uint64_t>(offsets)),
                                 inputs};
  const wire::RunLot lot_without{2, 3, 0, 1'000'000, 1, 2, 1'000'000, {}, {}};
  const auto leader = fuzz::Receiver::leader;
  corpus.write("open_call", to(leader, fixed));
  corpus.write("lot_of_fixed_stride", to(leader, fixed, fixed_lot));
  corpus.write("lot_of_variable_stride", to(leader, varying, varying_lot));
  corpus.write("lot_without_inputs", to(leader, without, lot_without));
  Input lot_beside = to(leader, fixed);
  const Input beside(fuzz::beside_bytes);
  wire::encode_but_payload(lot_beside, wire::RunLot{1, 1, 1000, beside.size() / 8, 1, 64, 5000, {}, beside});
  corpus.write("lot_with_inputs_beside_it", lot_beside);
  corpus.write("answer", to(leader, wire::Answer{.slot = 1, .number = 2, .bytes = state}));
  corpus.write("life_of_a_leader",
               to(leader, fixed, varying, fixed_lot, wire::RetractLot{0}, varying_lot, wire::RetractLot{1},
                  wire::StopCall{2}, wire::CloseCall{2}, wire::CloseCall{1}, wire::Stop{wire::StopMode::kill}));
}

void write_reports(const Corpus& corpus) {
  const Input image = bytes_of("image of an exception");
  const Input encoded = bytes_of("01234567");
  const auto master = fuzz::Receiver::master;
  const wire::Results results{1, 4, 4, 1'000'000, encoded};
  const wire::TaskFailed failed{1, 5, 12'345, 2, 5, image};
  wire::TaskDied died;
  died.lot = 1;
  died.task = 6;
  died.host = "n17";
  died.pid = 4711;
  died.wait_status = 139;
  wire::TaskDied late = died;
  late.time_limit = 250;
  corpus.write("results", to(master, results));
  const Input beside(fuzz::beside_bytes);
  Input results_beside = to(master);
  wire::encode_but_payload(results_beside, wire::Results{1, 4, 4, 1'000'000, beside});
  corpus.write("results_beside", results_beside);
  corpus.write("task_failed", to(master, failed));
  corpus.write("task_died", to(master, died));
  corpus.write("task_exceeded_its_time", to(master, late));
  corpus.write("initializer_failed", to(master, wire::InitializerFailed{2, 5, image}));
  corpus.write("broken", to(master, wire::Broken{"no memory", true}));
  corpus.write("question", to(master, wire::Question{.slot = 1, .number = 2, .bytes = image}));
  corpus.write("executor_gone", to(master, wire::ExecutorGone{3}));
  corpus.write("blocked", to(master, wire::Blocked{3, true, "no processes"}));
  Input all = to(master, wire::Executors{8, "no processes"});
  for (std::uint64_t lot = 0; lot < 16; ++lot) {
    wire::encode(all, wire::Results{lot, 4 * lot, 2, 1000, encoded});
    wire::encode(all, wire::TasksReturned{lot, 4 * lot + 2, 2});
    wire::encode(all, wire::Retracted{lot});
  }
  wire::encode(all, wire::RankLost{3, "n17", 4712, 6});
  wire::encode(all, wire::Stopped{wire::StopMode::finish});
  corpus.write("life_of_a_master", all);
}

// --- records --------------------------------------------------------------------------------------------------------

/// A channel with one executor's outbox, from which nobody reads.
class Outbox {
 public:
  /// @param head where in the ring it begins.
  explicit Outbox(std::uint64_t head) : channel_(config()), head_(head) {
    channel_.slot(0).head = head;
    channel_.slot(0).tail = head;
  }

  void run_chunk(std::uint64_t stride, const std::function<void(host::OutboxWriter&)>& tasks) {
    writer_.begin(7, 100, stride);
    tasks(writer_);
    writer_.end(1'234'567);
  }
  /// Leaves the run of results open.
  void die_in_chunk(std::uint64_t stride, const std::function<void(host::OutboxWriter&)>& tasks) {
    writer_.begin(7, 200, stride);
    tasks(writer_);
  }

  Input input() {
    const host::ExecutorSlot& slot = channel_.slot(0);
    const std::uint64_t tail = slot.tail;
    constexpr std::uint64_t of_open_run = 256;
    Input input;
    fuzz::put(input, fuzz::RecordInput{static_cast<std::uint32_t>(head_), static_cast<std::uint32_t>(tail - head_),
                                       slot.open_run, 0});
    const std::uint64_t end = tail + (slot.open_run != 0 ? of_open_run : 0);
    for (std::uint64_t at = head_; at < end; ++at) input.push_back(channel_.outbox(0)[at % host::outbox_bytes]);
    return input;
  }

 private:
  static host::Channel::Config config() {
    host::Channel::Config config;
    config.slot_ranks = {0};
    config.slot_members = {0};
    return config;
  }

  host::Channel channel_;
  std::uint64_t head_;
  host::OutboxWriter writer_{channel_, 0};
};

void put_number(host::OutboxWriter& results, std::uint64_t number) {
  std::memcpy(results.reserve(sizeof number), &number, sizeof number);
  results.commit(sizeof number);
}

void put_text(host::OutboxWriter& results, std::string_view text) {
  std::byte* to = results.reserve(sizeof(std::uint64_t) + text.size());
  const std::uint64_t length = text.size();
  std::memcpy(to, &length, sizeof length);
  std::memcpy(to + sizeof length, text.data(), text.size());
  results.commit(sizeof length + text.size());
}

void numbers(host::OutboxWriter& results) {
  for (std::uint64_t i = 0; i < 5; ++i) put_number(results, i * i);
}

void texts(host::OutboxWriter& results) {
  for (const char* text : {"one", "", "three", "more"}) put_text(results, text);
}

void throwing(host::OutboxWriter& results) {
  put_number(results, 1);
  try {
    throw std::out_of_range("no such row");
  } catch (...) {
    results.fail();
  }
  put_number(results, 3);
}

/// The first block that the target's fake channel has lent.
constexpr std::uint64_t lent_block = 4096 + host::outbox_bytes;

enum class Run { published, open };

/// A record whose payload is in the block, as an executor publishes it, or leaves it open.
Input record_in_block(Run run, host::RecordKind kind, std::uint64_t count, std::uint64_t stride, fuzz::Bytes payload) {
  alignas(host::RecordHeader) std::array<std::byte, sizeof(host::RecordHeader)> memory{};
  auto* header = new (memory.data()) host::RecordHeader{};
  header->kind = kind;
  header->lot = 7;
  header->first = 100;
  header->count = count;
  header->result_stride = stride;
  header->bytes = run == Run::open ? 0 : payload.size();
  header->capacity = 4096;
  header->block = lent_block;
  Input input;
  constexpr std::uint32_t published = sizeof(host::RecordHeader);
  const auto start = run == Run::open ? fuzz::RecordInput{0, 0, 1, payload.size()}
                                      : fuzz::RecordInput{0, published, 0, payload.size()};
  fuzz::put(input, start);
  fuzz::put(input, memory);
  fuzz::put(input, payload);
  return input;
}

void write_records_in_blocks(const Corpus& corpus) {
  constexpr std::uint64_t varies = detail::variable_stride;
  Input numbers;
  for (std::uint64_t i = 0; i < 16; ++i) fuzz::put(numbers, i * i);
  Input texts;
  for (const std::string_view text : {"one", "", "three", "more"}) {
    fuzz::put(texts, static_cast<std::uint64_t>(text.size()));
    fuzz::put(texts, std::as_bytes(std::span(text)));
  }
  const auto results = host::RecordKind::results;
  corpus.write("run_in_block", record_in_block(Run::published, results, 16, 8, numbers));
  corpus.write("texts_in_block", record_in_block(Run::published, results, 4, varies, texts));
  corpus.write("failure_in_block", record_in_block(Run::published, host::RecordKind::failure, 1, 0, texts));
  corpus.write("open_run_in_block", record_in_block(Run::open, results, 16, 8, numbers));
  corpus.write("open_run_of_texts_in_block", record_in_block(Run::open, results, 4, varies, texts));
}

void write_records(const Corpus& corpus) {
  const auto write = [&corpus](const std::string& name, std::uint64_t head, auto fill) {
    Outbox outbox(head);
    fill(outbox);
    corpus.write(name, outbox.input());
  };
  constexpr std::uint64_t varies = detail::variable_stride;
  write("numbers", 0, [](Outbox& outbox) { outbox.run_chunk(8, numbers); });
  write("texts", 0, [](Outbox& outbox) { outbox.run_chunk(varies, texts); });
  write("nothing", 0, [](Outbox& outbox) {
    outbox.run_chunk(0, [](host::OutboxWriter& results) { results.commit(0), results.commit(0); });
  });
  write("failure", 0, [](Outbox& outbox) { outbox.run_chunk(8, throwing); });
  write("several", 1600, [](Outbox& outbox) {
    outbox.run_chunk(8, numbers);
    outbox.run_chunk(varies, texts);
    outbox.run_chunk(8, throwing);
  });
  write("around_the_end", host::outbox_bytes - 1024, [](Outbox& outbox) {
    outbox.run_chunk(8, numbers);
    outbox.run_chunk(varies, texts);
  });
  write("rest_too_small_for_a_header", host::outbox_bytes - 64, [](Outbox& outbox) { outbox.run_chunk(8, numbers); });
  write("open_run_of_numbers", 320, [](Outbox& outbox) {
    outbox.run_chunk(8, numbers);
    outbox.die_in_chunk(8, numbers);
  });
  write("open_run_of_texts", 0, [](Outbox& outbox) { outbox.die_in_chunk(varies, texts); });
  write_records_in_blocks(corpus);
}

// --- codec ----------------------------------------------------------------------------------------------------------

Input at_place(std::size_t place, fuzz::Bytes bytes) {
  Input input;
  fuzz::put(input, static_cast<std::uint8_t>(place));
  fuzz::put(input, bytes);
  return input;
}

template <class T>
void write_value(const Corpus& corpus, const std::string& name, const T& value) {
  constexpr std::size_t place = fuzz::place_in<T>(fuzz::Values());
  static_assert(place < fuzz::Values::size);
  detail::ByteBuffer buffer;
  detail::encode_append(value, buffer);
  corpus.write(name, at_place(place, buffer.bytes()));
}

template <class... Args>
void write_arguments(const Corpus& corpus, const std::string& name, const Args&... arguments) {
  constexpr std::size_t place = fuzz::place_in<std::tuple<Args...>>(fuzz::Arguments());
  static_assert(place < fuzz::Arguments::size);
  detail::ByteBuffer buffer;
  detail::encode_args_append(buffer, arguments...);
  corpus.write(name, at_place(fuzz::Values::size + place, buffer.bytes()));
}

template <class R>
void write_results(const Corpus& corpus, const std::string& name, const std::vector<R>& results) {
  constexpr std::size_t place = fuzz::place_in<R>(fuzz::Results());
  static_assert(place < fuzz::Results::size);
  detail::ByteBuffer buffer;
  for (const R& result : results) detail::append_argument(result, buffer);
  Input run;
  fuzz::put(run, static_cast<std::uint8_t>(results.size()));
  fuzz::put(run, buffer.bytes());
  corpus.write(name, at_place(fuzz::Values::size + fuzz::Arguments::size + place, run));
}

void write_plain_values(const Corpus& corpus) {
  write_value(corpus, "bool", true);
  write_value(corpus, "int", -7);
  write_value(corpus, "optional", std::optional(true));
  write_value(corpus, "array_of_bool", std::array{true, false, true});
  write_value(corpus, "pair", std::pair('a', 2.5));
  write_value(corpus, "string", std::string("some text"));
  write_value(corpus, "wstring", std::wstring(L"wide"));
  write_value(corpus, "vector_of_double", std::vector{1.0, 2.5, -3.0});
  write_value(corpus, "vector_of_bool", std::vector{true, false, true});
  write_value(corpus, "vector_of_string", std::vector<std::string>{"a", "", "three"});
  write_value(corpus, "deque_of_lists", std::deque<std::list<std::string>>{{"a", "b"}, {}});
  write_value(corpus, "pair_of_containers", std::pair(std::vector{1, 2, 3}, std::string("x")));
  write_value(corpus, "tuple", std::tuple(std::string("s"), std::vector{true, false}, std::array{false, true}));
  using Variant = std::variant<int, std::string, std::vector<double>, fuzz::WithoutDefault>;
  write_value(corpus, "variant_string", Variant("two"));
  write_value(corpus, "variant_without_default", Variant(fuzz::WithoutDefault(4)));
  write_value(corpus, "map", std::map<int, std::vector<std::optional<std::string>>>{{1, {"a", std::nullopt}}, {2, {}}});
  write_value(corpus, "multimap",
              std::multimap<std::string, std::pair<std::string, int>>{{"k", {"v", 1}}, {"k", {"w", 2}}});
  write_value(corpus, "unordered_map", std::unordered_map<std::string, std::set<int>>{{"a", {1, 2}}, {"b", {}}});
  write_value(corpus, "unordered_multiset", std::unordered_multiset{1, 1, 2});
  write_value(corpus, "vector_of_empty_tuples", std::vector<std::tuple<>>(3));
  write_value(corpus, "elements_without_bytes",
              std::list<std::vector<fuzz::Nothing>>(2, std::vector<fuzz::Nothing>(5)));
  write_value(corpus, "path", std::filesystem::path("/tmp/x y"));
  write_value(corpus, "without_default", std::vector{fuzz::WithoutDefault(1), fuzz::WithoutDefault(2)});
}

void write_classes(const Corpus& corpus) {
  const fuzz::Account account{"ann", 12, true, {{1, 2, 3}, {4, 5, 6}}, {"x", "y"}};
  std::vector<fuzz::Constructed> constructed;
  constructed.emplace_back("one").rest = {1, 2};
  constructed.emplace_back("two");
  write_value(corpus, "constructed", constructed);
  write_value(corpus, "accounts", std::vector{account, account});
  std::map<std::string, std::unique_ptr<fuzz::Account>> unique;
  unique.emplace("a", std::make_unique<fuzz::Account>(account));
  unique.emplace("b", nullptr);
  write_value(corpus, "map_of_unique", unique);
  const auto text = std::make_shared<std::string>("shared");
  write_value(corpus, "shared",
              std::tuple(text, std::make_shared<const int>(3), text, std::make_shared<std::vector<double>>(2, 1.5)));
  const auto root = std::make_shared<fuzz::TreeNode>();
  for (int i = 0; i < 3; ++i) root->children.push_back(std::make_shared<fuzz::TreeNode>(fuzz::TreeNode{i, {}, root}));
  write_value(corpus, "tree", std::vector{root, root->children[1]});
  write_value(corpus, "nested", fuzz::Nested{{{}, {{{}, {}}}}});
  auto hull = std::make_unique<fuzz::Hull>();
  hull->corners = {{0, 0}, {1, 0}, {0, 1}};
  const auto square = std::make_shared<fuzz::Square>();
  hull->inner = square;
  std::vector<std::unique_ptr<fuzz::Stranger>> strangers;
  strangers.push_back(std::make_unique<fuzz::Stranger>());
  write_value(corpus, "shapes",
              std::tuple(std::unique_ptr<fuzz::Shape>(std::move(hull)), std::shared_ptr<fuzz::Shape>(square), square,
                         std::move(strangers)));
}

void write_lists(const Corpus& corpus) {
  write_arguments(corpus, "arguments_none");
  write_arguments(corpus, "arguments_text", std::string("four"));
  write_arguments(corpus, "arguments_fixed", 3, true, 4.5);
  write_arguments(corpus, "arguments_mixed", 3, std::string("text"), std::make_unique<int>(8),
                  std::map<int, std::string>{{1, "one"}});
  write_arguments(corpus, "arguments_vectors", std::vector{1.0, 2.0}, std::vector{3.0});
  write_results<double>(corpus, "results_of_double", {1, 2, 3});
  write_results<bool>(corpus, "results_of_bool", {true, false});
  write_results<std::string>(corpus, "results_of_string", {"a", "", "three"});
  write_results<std::pair<int, std::string>>(corpus, "results_of_pairs", {{1, "a"}, {2, "b"}});
  std::vector<std::unique_ptr<int>> unique;
  unique.push_back(std::make_unique<int>(5));
  unique.push_back(nullptr);
  write_results(corpus, "results_of_unique", unique);
}

void write_settings(const Corpus& corpus) {
  launch::PoolSettings settings;
  settings.name = "pool";
  settings.processes = 8;
  corpus.write("settings", at_place(fuzz::settings_place, launch::encode(settings)));
  settings.initializer.emplace();
  settings.initializer->kernel = {0xfeed, 0x1234, {"libsim.so"}};
  const Input state = bytes_of("state");
  settings.initializer->callable.assign(state.begin(), state.end());
  corpus.write("settings_with_initializer", at_place(fuzz::settings_place, launch::encode(settings)));
  settings.error = "negative processes";
  corpus.write("settings_with_error", at_place(fuzz::settings_place, launch::encode(settings)));
}

// --- images ---------------------------------------------------------------------------------------------------------

template <class Throw>
void write_image(const Corpus& corpus, const std::string& name, Throw throw_it) {
  try {
    throw_it();
  } catch (...) {
    Input input;
    fuzz::put(input, fuzz::Checksum::right);
    fuzz::put(input, task::capture_current_exception());
    corpus.write(name, input);
    input.front() = static_cast<std::byte>(fuzz::Checksum::as_is);
    corpus.write(name + "_as_is", input);
  }
}

fuzz::Diverged diverged() {
  fuzz::Diverged error;
  error.residuals = {1, 0.5, 7};
  error.solver = "lu";
  error.cause = std::make_shared<std::string>("pivot");
  return error;
}

void write_images(const Corpus& corpus) {
  fuzz::register_image_types();
  write_image(corpus, "runtime_error", [] { throw std::runtime_error("no convergence"); });
  write_image(corpus, "nested", [] {
    try {
      throw std::overflow_error("pivot");
    } catch (...) {
      std::throw_with_nested(std::logic_error("outer"));
    }
  });
  write_image(corpus, "serialized", [] { throw diverged(); });
  write_image(corpus, "copied", [] { throw fuzz::Singular{3, 1e-20}; });
  write_image(corpus, "from_text", [] { throw fuzz::Refused("refused"); });
  write_image(corpus, "filesystem_error", [] {
    throw std::filesystem::filesystem_error("copying", "/a", "/b", std::make_error_code(std::errc::file_exists));
  });
  write_image(corpus, "system_error", [] { throw std::system_error(ENOMEM, std::generic_category(), "mapping"); });
  write_image(corpus, "ios_failure", [] { throw std::ios_base::failure("reading"); });
  write_image(corpus, "future_error", [] { throw std::future_error(std::future_errc::broken_promise); });
  write_image(corpus, "regex_error", [] { throw std::regex_error(std::regex_constants::error_brack); });
  write_image(corpus, "worker_lost", [] { throw WorkerLost("lost", {1, "n1", 2, 3, 1}, 9, std::nullopt, 4711); });
  write_image(corpus, "number", [] { throw 7; });
  write_image(corpus, "bad_alloc", [] { throw std::bad_alloc(); });
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: write_corpus <directory>\n";
    return 2;
  }
  const std::filesystem::path directory = argv[1];
  const Corpus wire(directory / "wire");
  write_orders(wire);
  write_reports(wire);
  write_records(Corpus(directory / "record"));
  const Corpus codec(directory / "codec");
  write_plain_values(codec);
  write_classes(codec);
  write_lists(codec);
  write_settings(codec);
  write_images(Corpus(directory / "image"));
}
